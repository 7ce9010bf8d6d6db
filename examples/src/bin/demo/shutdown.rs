//! The end: open requests have a while to finish, and a user who interrupts is not kept waiting.

use std::{future::pending, io, time::Duration};

#[cfg(unix)]
use tokio::signal::unix::Signal;
#[cfg(windows)]
use tokio::signal::windows::CtrlC as Signal;
use tokio::time::{Instant, sleep_until};

/// How long open requests may take to finish.
const GRACE: Duration = Duration::from_secs(3);

/// Every Ctrl-C from the beginning on: none is lost between two waits.
pub(crate) struct Interrupts(Signal);

impl Interrupts {
    pub(crate) fn listen() -> io::Result<Self> {
        #[cfg(unix)]
        let signal = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
        #[cfg(windows)]
        let signal = tokio::signal::windows::ctrl_c()?;
        Ok(Self(signal))
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            pending::<()>().await;
        }
    }
}

/// The time that is left for what is still going on.
pub(crate) struct Grace {
    interrupted: Interrupts,
    end: Instant,
    kept: bool,
}

impl Grace {
    /// It begins now, and an interrupt ends it.
    pub(crate) fn begin(interrupted: Interrupts) -> Self {
        Self { interrupted, end: Instant::now() + GRACE, kept: true }
    }

    /// What comes of some work, unless that takes too long.
    pub(crate) async fn wait<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => return Some(done),
            () = self.interrupted.next() => self.end = Instant::now(),
            () = sleep_until(self.end) => {}
        }
        self.kept = false;
        None
    }

    /// Whether everything ended in time.
    pub(crate) fn kept(&self) -> bool {
        self.kept
    }
}
