//! The end: open requests have a while to finish, and a user who interrupts is not kept waiting.

use std::{future::poll_fn, io, task::Poll, time::Duration};

#[cfg(unix)]
use tokio::signal::unix::Signal;
#[cfg(windows)]
use tokio::signal::windows::CtrlC as Signal;
use tokio::time::{Instant, sleep_until};

/// How long open requests may take to finish.
const GRACE: Duration = Duration::from_secs(3);

/// Every Ctrl-C and request to terminate from the beginning on: none is lost between two waits.
pub(crate) struct Interrupts(Vec<Signal>);

impl Interrupts {
    pub(crate) fn listen() -> io::Result<Self> {
        #[cfg(unix)]
        let signals = {
            use tokio::signal::unix::{SignalKind, signal};
            vec![signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?]
        };
        #[cfg(windows)]
        let signals = vec![tokio::signal::windows::ctrl_c()?];
        Ok(Self(signals))
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        poll_fn(|context| {
            let heard = self.0.iter_mut().any(|signal| matches!(signal.poll_recv(context), Poll::Ready(Some(()))));
            if heard { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
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
