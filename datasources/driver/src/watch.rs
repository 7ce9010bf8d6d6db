use std::{
    fmt,
    sync::Arc,
    thread::{self, JoinHandle},
};

use parking_lot::Mutex;
use sentinel_core::Sentinel;
use tokio::{
    runtime,
    sync::{oneshot, watch},
};

use crate::{
    Cause, Datasource, Source, SourceError, StartError, State, Status,
    driver::{Driver, Place},
};

/// A source whose rules are kept in force. Dropping it ends that; the rules stay in force as they are.
#[must_use = "dropping the watch ends it"]
pub struct Watch {
    status: Arc<Mutex<Status>>,
    stop: watch::Sender<bool>,
    /// Closed when the run is over, whatever ended it.
    ended: watch::Receiver<()>,
}

impl Watch {
    pub(crate) async fn start<S: Source>(datasource: Datasource<S>, sentinel: &Sentinel) -> Result<Self, StartError> {
        let (watch, run, started) = Self::prepare(datasource, sentinel, Place::Runtime);
        tokio::spawn(run);
        let outcome = started.await;
        watch.started(outcome.ok())
    }

    /// The watch, what it has to run, and where that says how its start went.
    fn prepare<S: Source>(
        datasource: Datasource<S>,
        sentinel: &Sentinel,
        place: Place,
    ) -> (Self, impl Future<Output = ()> + Send + use<S>, oneshot::Receiver<Result<(), Arc<SourceError>>>) {
        let (stop, mut stopped) = watch::channel(false);
        let (running, ended) = watch::channel(());
        let driver = Driver::new(datasource, sentinel, place, running);
        let (started, outcome) = oneshot::channel();
        let watch = Self { status: driver.status(), stop, ended };
        let run = async move {
            tokio::select! {
                // An error means that the watch was dropped.
                _ = stopped.wait_for(|stopped| *stopped) => {}
                () = driver.run(started) => {}
            }
        };
        (watch, run, outcome)
    }

    fn started(self, outcome: Option<Result<(), Arc<SourceError>>>) -> Result<Self, StartError> {
        // No outcome: the run has panicked, or its runtime has gone.
        match outcome.unwrap_or_else(|| Err(Arc::new(SourceError::Ended))) {
            Ok(()) => Ok(self),
            Err(error) => Err(StartError { source_name: self.status.lock().source.clone(), error }),
        }
    }

    /// How the source stands.
    pub fn status(&self) -> Status {
        let mut status = self.status.lock().clone();
        if self.ended.has_changed().is_err() {
            status.state = State::Ended;
            status.connected_since = None;
        }
        status
    }

    /// Ends the watch, and waits until its task and its connection have; what is in force stays so.
    ///
    /// Documents that are just being put in force still are, before this returns. Stopping again does nothing.
    pub async fn stop(&self) {
        self.end();
        self.ended().await;
    }

    /// Ends the watch without waiting.
    pub fn end(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until the watch has ended: when it was [stopped](Watch::stop), its task has panicked, or its runtime has gone.
    pub async fn ended(&self) {
        // Nothing is ever sent: it ends when the sender does.
        while self.ended.clone().changed().await.is_ok() {}
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("status", &self.status()).finish_non_exhaustive()
    }
}

/// A [`Watch`] on a thread of its own. Dropping it ends it, and the thread.
#[must_use = "dropping the watch ends it"]
pub struct ThreadWatch {
    watch: Watch,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl ThreadWatch {
    pub(crate) fn start<S: Source>(datasource: Datasource<S>, sentinel: &Sentinel) -> Result<Self, StartError> {
        let name = datasource.settings.name.clone().unwrap_or_else(|| datasource.source.name());
        let (watch, run, started) = Watch::prepare(datasource, sentinel, Place::Thread);
        let failed = |cause| StartError { source_name: name.clone(), error: Arc::new(SourceError::Thread { cause }) };
        // Not the runtime's way of waiting, which is forbidden inside of another one.
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let thread = thread::Builder::new().name("sentinel-rules".to_owned()).spawn(move || {
            // Not on the caller's thread: where tokio minds signals, it panics when no file descriptor is left.
            let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = tell.send(Err(error));
                    return;
                }
            };
            runtime.block_on(async {
                tokio::join!(run, async {
                    // Nobody hears it when the start was given up.
                    let _ = tell.send(Ok(started.await.ok()));
                });
            });
        });
        let thread = thread.map_err(|error| failed(error.into()))?;
        let outcome = match told.recv() {
            Ok(Ok(outcome)) => watch.started(outcome),
            Ok(Err(error)) => Err(failed(error.into())),
            Err(_) => Err(failed(Cause::text("it has panicked"))),
        };
        match outcome {
            Ok(watch) => Ok(Self { watch, thread: Mutex::new(Some(thread)) }),
            Err(error) => {
                // Who tries again at once needs what it still holds.
                join(thread);
                Err(error)
            }
        }
    }

    /// How the source stands.
    pub fn status(&self) -> Status {
        self.watch.status()
    }

    /// Ends the watch, and waits until its thread has, at most as long as it needs for what it is reading.
    ///
    /// A listener of the instance may do so as well: on the thread itself, nothing is waited for. Stopping again does
    /// nothing.
    pub fn stop(&self) {
        self.watch.end();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread
            && thread.thread().id() != thread::current().id()
        {
            join(thread);
        }
    }
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("the thread that watched a source had panicked");
    }
}

impl Drop for ThreadWatch {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for ThreadWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadWatch").field("status", &self.status()).finish_non_exhaustive()
    }
}
