//! The thread of an instance that was asked for one.

use std::{
    fmt, io,
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

use parking_lot::Mutex;

use super::Sampler;
use crate::signals::Signals;

/// Reads the signals in a thread, as long as a rule needs them.
pub(crate) struct SamplerThread {
    interval: Duration,
    /// Dropping the sender ends the thread.
    running: Mutex<Option<Sender<()>>>,
}

impl SamplerThread {
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, running: Mutex::new(None) }
    }

    /// Starts the thread, or ends it; one that runs goes on. Whether it is needed is asked under a lock, so that of two
    /// who ask the later one decides.
    pub(crate) fn run_if(&self, is_needed: impl FnOnce() -> bool, signals: &Arc<Signals>) -> io::Result<()> {
        let mut running = self.running.lock();
        if !is_needed() {
            *running = None;
        } else if running.is_none() {
            let (sender, end) = channel::<()>();
            let (interval, signals) = (self.interval, Arc::clone(signals));
            thread::Builder::new().name("sentinel-sampler".to_owned()).spawn(move || {
                let mut sampler = Sampler::new();
                loop {
                    sampler.sample(&signals);
                    if end.recv_timeout(interval) != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                }
            })?;
            *running = Some(sender);
        }
        Ok(())
    }
}

impl fmt::Debug for SamplerThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SamplerThread")
            .field("interval", &self.interval)
            .field("runs", &self.running.lock().is_some())
            .finish()
    }
}
