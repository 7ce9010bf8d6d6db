//! The one loop: connect, read, put in force, wait for a change, read again; and after any failure, from the beginning.

use std::{
    future::pending,
    panic::resume_unwind,
    sync::Arc,
    time::{Duration, SystemTime},
};

use backon::ExponentialBackoff;
use parking_lot::Mutex;
use sentinel_core::Sentinel;
use tokio::{
    sync::{oneshot, watch},
    task::{self, JoinError},
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};

use crate::{
    Connection as _, Content, Datasource, Document, Outcome, Reading, Source, SourceError, State, Status,
    datasource::Settings,
    parts::{Applied, Parts},
    snapshot::Snapshot,
};

/// What is larger is read and compiled where it holds up no other task.
const LARGE: usize = 64 << 10;

/// How often to try valid rules again that cannot be in force beside those of other sources.
const RETRY: Duration = Duration::from_secs(2);

/// Keeps the rules of one source in force.
pub(crate) struct Driver<S> {
    source: S,
    settings: Settings,
    resync_interval: Duration,
    status: Arc<Mutex<Status>>,
    place: Place,
    /// Locked by one at a time: the driver waits for what it has others do.
    kept: Arc<Mutex<Kept>>,
    started: bool,
    /// Whether valid rules are not in force for what may pass without a change of the source.
    is_refused: bool,
}

/// Where large documents are read and compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Beside the tasks of a runtime, none of which may be held up.
    Runtime,
    /// On a thread that does nothing else.
    Thread,
}

/// What is in force, here and on disk.
struct Kept {
    parts: Parts,
    snapshot: Option<Snapshot>,
    /// Whether the snapshot may be written: not before a start is done, which may have to read it.
    may_save: bool,
    /// Whether what is in force is not on disk yet.
    is_unsaved: bool,
    sentinel: Sentinel,
    /// Tells that the run is over when it goes: not before the last work on all of this.
    _running: watch::Sender<()>,
}

impl<S: Source> Driver<S> {
    pub(crate) fn new(
        datasource: Datasource<S>,
        sentinel: &Sentinel,
        place: Place,
        running: watch::Sender<()>,
    ) -> Self {
        let Datasource { mut source, settings } = datasource;
        source.limit(settings.max_size);
        let name = settings.name.clone().unwrap_or_else(|| source.name());
        let when_missing = settings.when_missing.unwrap_or_else(|| source.when_missing());
        let snapshot = settings.snapshot.clone();
        let kept = Kept {
            parts: Parts::new(name.clone(), settings.max_size, when_missing),
            snapshot: snapshot.map(|path| Snapshot::new(path, name.clone(), settings.max_size)),
            may_save: false,
            is_unsaved: false,
            sentinel: sentinel.clone(),
            _running: running,
        };
        Self {
            resync_interval: settings.resync_interval.unwrap_or_else(|| source.resync_interval()),
            source,
            settings,
            status: Arc::new(Mutex::new(Status::new(name))),
            place,
            kept: Arc::new(Mutex::new(kept)),
            started: false,
            is_refused: false,
        }
    }

    pub(crate) fn status(&self) -> Arc<Mutex<Status>> {
        Arc::clone(&self.status)
    }

    /// Keeps the rules in force until it is dropped; only a start that fails ends by itself.
    pub(crate) async fn run(mut self, started: oneshot::Sender<Result<(), Arc<SourceError>>>) {
        let mut pauses = self.settings.backoff.pauses();
        let (mut connection, outcome) = self.begin(&mut pauses).await;
        let has_failed = outcome.is_err();
        if !has_failed {
            let save_error = self.work(0, Kept::begin_saving).await;
            self.saved(save_error);
        }
        // Nobody hears it when the start was given up, and then the run is about to be dropped.
        let _ = started.send(outcome);
        if has_failed {
            return;
        }
        self.started = true;
        loop {
            let since = Instant::now();
            let error = match connection.take() {
                Some(connection) => self.follow(connection).await,
                None => match self.connect().await {
                    Ok((mut connection, reading)) => {
                        let outcomes = self.take(reading, connection.remark()).await;
                        self.tell(&mut connection, &outcomes).await;
                        self.follow(connection).await
                    }
                    Err(error) => error,
                },
            };
            self.disconnected(error);
            // A connection that breaks as soon as it is made is no success.
            if since.elapsed() > self.settings.backoff.longest {
                pauses = self.settings.backoff.pauses();
            }
            pause(&mut pauses).await;
        }
    }

    /// Puts rules in force for the first time, from the source or the snapshot: the connection, if there is one, and
    /// whether this will do.
    async fn begin(
        &mut self,
        pauses: &mut ExponentialBackoff,
    ) -> (Option<S::Connection>, Result<(), Arc<SourceError>>) {
        let deadline = Instant::now() + self.settings.start_within;
        let mut connection = None;
        loop {
            let attempt = timeout_at(deadline, self.connect()).await;
            let is_last = match attempt {
                Ok(Ok((mut made, reading))) => {
                    // Not given up half-way: nobody would know what is in force.
                    let outcomes = self.take(reading, made.remark()).await;
                    // The source hears of it another time where there is none left.
                    let _ = timeout_at(deadline, self.tell(&mut made, &outcomes)).await;
                    connection = Some(made);
                    true
                }
                Ok(Err(error)) => {
                    let is_lasting = error.is_lasting();
                    self.disconnected(error);
                    is_lasting
                }
                Err(_) => {
                    let has_none = self.status.lock().last_error.is_none();
                    if has_none {
                        self.disconnected(SourceError::TimedOut {
                            doing: "starting",
                            after: self.settings.start_within,
                        });
                    }
                    true
                }
            };
            if is_last || timeout_at(deadline, pause(pauses)).await.is_err() {
                break;
            }
        }
        let Some((_, error)) = self.status.lock().last_error.clone() else { return (connection, Ok(())) };
        match self.restore().await {
            Ok(true) => (connection, Ok(())),
            Ok(false) if self.settings.must_load => (None, Err(error)),
            Ok(false) => (connection, Ok(())),
            Err(snapshot) => {
                let source = self.status.lock().source.clone();
                tracing::error!(source, error = %snapshot, "there is no snapshot to start from");
                (connection, if self.settings.must_load { Err(error) } else { Ok(()) })
            }
        }
    }

    /// Makes a connection, and reads for the first time.
    async fn connect(&mut self) -> Result<(S::Connection, Reading), SourceError> {
        let limit = self.settings.timeout;
        let connecting = timeout(limit, self.source.connect()).await;
        let mut connection = connecting.map_err(|_| SourceError::TimedOut { doing: "connecting", after: limit })??;
        let reading = self.read(&mut connection).await?;
        Ok((connection, reading))
    }

    /// Puts in force what changes, until the connection fails.
    async fn follow(&mut self, mut connection: S::Connection) -> SourceError {
        loop {
            let read_at = Instant::now();
            let resync = if self.is_refused { self.resync_interval.min(RETRY) } else { self.resync_interval };
            let told = tokio::select! {
                told = connection.changed() => told,
                () = sleep(resync) => Ok(()),
            };
            // What changes meanwhile is read with it.
            sleep_until(read_at + self.settings.min_interval).await;
            let reading = match told {
                Ok(()) => self.read(&mut connection).await,
                Err(error) => Err(error),
            };
            match reading {
                Ok(reading) => {
                    let outcomes = self.take(reading, connection.remark()).await;
                    self.tell(&mut connection, &outcomes).await;
                }
                Err(error) => return error,
            }
        }
    }

    /// Reads what is there.
    async fn read(&mut self, connection: &mut S::Connection) -> Result<Reading, SourceError> {
        let limit = self.settings.timeout;
        let reading = timeout(limit, connection.read()).await;
        reading.map_err(|_| SourceError::TimedOut { doing: "reading", after: limit })?
    }

    /// Puts in force what was read: what became of the documents, if any are new.
    async fn take(&mut self, reading: Reading, remark: Option<String>) -> Vec<Outcome> {
        match reading {
            Reading::Unchanged => {
                self.again(remark).await;
                Vec::new()
            }
            Reading::Content(content) => self.apply(content, remark).await,
        }
    }

    /// Tells the source what became of its documents.
    async fn tell(&mut self, connection: &mut S::Connection, outcomes: &[Outcome]) {
        let limit = self.settings.timeout;
        let told = timeout(limit, connection.settled(outcomes)).await;
        let told =
            told.unwrap_or(Err(SourceError::TimedOut { doing: "telling what became of documents", after: limit }));
        if let Err(error) = told {
            let source = self.status.lock().source.clone();
            tracing::warn!(source, %error, "the source could not be told what became of its documents");
        }
    }

    async fn apply(&mut self, content: Content, remark: Option<String>) -> Vec<Outcome> {
        let Content { revision, documents } = content;
        let size: usize = documents.iter().map(Document::size).sum();
        let whole = self.settings.must_load && !self.started;
        let applied = self.work(size, move |kept| kept.apply(documents, whole)).await;
        {
            let mut status = self.status.lock();
            status.revision = revision;
            status.remark = remark;
        }
        self.in_force(&applied, false);
        self.connected(applied.error);
        applied.outcomes
    }

    /// Nothing is new, but what was refused may be taken now.
    async fn again(&mut self, remark: Option<String>) {
        self.status.lock().remark = remark;
        let applied = self.work(if self.is_refused { LARGE } else { 0 }, Kept::again).await;
        self.in_force(&applied, false);
        self.connected(applied.error);
    }

    /// Starts from the snapshot: whether there is one.
    async fn restore(&mut self) -> Result<bool, SourceError> {
        if self.settings.snapshot.is_none() {
            return Ok(false);
        }
        let applied = self.work(LARGE, Kept::restore).await?;
        self.in_force(&applied, true);
        Ok(true)
    }

    /// Works on what is kept, where it holds up nothing.
    async fn work<T: Send + 'static>(&mut self, size: usize, work: impl FnOnce(&mut Kept) -> T + Send + 'static) -> T {
        let kept = Arc::clone(&self.kept);
        let is_short = size < LARGE && self.settings.snapshot.is_none();
        if is_short || self.place == Place::Thread {
            return work(&mut kept.lock());
        }
        match task::spawn_blocking(move || work(&mut kept.lock())).await.map_err(JoinError::try_into_panic) {
            Ok(done) => done,
            Err(Ok(panic)) => resume_unwind(panic),
            // The runtime is going, and this task with it.
            Err(Err(_)) => pending().await,
        }
    }

    /// Keeps in the status what is in force now.
    fn in_force(&mut self, applied: &Applied, from_snapshot: bool) {
        self.is_refused = applied.is_refused;
        self.saved(applied.save_error.clone());
        let mut status = self.status.lock();
        status.documents = applied.documents.clone();
        if !applied.changed {
            return;
        }
        status.applied += 1;
        status.rules = applied.rules;
        status.rules_since = Some(SystemTime::now());
        status.from_snapshot = from_snapshot;
        let (source, revision) = (status.source.clone(), status.revision.clone());
        drop(status);
        if from_snapshot {
            tracing::warn!(source, rules = applied.rules, "the rules of the snapshot are in force");
            return;
        }
        tracing::info!(source, rules = applied.rules, revision, "the rules of the source are in force");
        for document in &*applied.documents {
            for warning in &*document.warnings {
                tracing::warn!(source, key = document.key, %warning, "the rules are odd");
            }
        }
    }

    /// Keeps in the status whether what is in force is on disk as well, where it should be.
    fn saved(&self, error: Option<Arc<SourceError>>) {
        let mut status = self.status.lock();
        if let (None, Some(error)) = (&status.snapshot_error, &error) {
            tracing::error!(source = status.source, %error, "the rules are in force, but not kept on disk");
        }
        status.snapshot_error = error;
    }

    /// Keeps in the status that the source was read, and what is wrong with its documents.
    fn connected(&self, error: Option<Arc<SourceError>>) {
        let now = SystemTime::now();
        let mut status = self.status.lock();
        let source = status.source.clone();
        if status.state != State::Connected {
            status.state = State::Connected;
            status.connected_since = Some(now);
            status.connections += 1;
            tracing::info!(source, connections = status.connections, "the source is connected");
        }
        status.last_success = Some(now);
        match error {
            None => {
                if status.last_error.take().is_some() {
                    tracing::info!(source, "the source can be used, and all of its documents");
                }
            }
            Some(error) => {
                if status.fail(&error) {
                    drop(status);
                    tracing::error!(source, %error, "a document cannot be used, the last good rules stay in force");
                }
            }
        }
    }

    /// Keeps in the status that there is no connection.
    fn disconnected(&self, error: SourceError) {
        let error = Arc::new(error);
        let mut status = self.status.lock();
        status.state = State::Connecting;
        status.connected_since = None;
        let source = status.source.clone();
        if status.fail(&error) {
            drop(status);
            tracing::warn!(source, %error, "the source cannot be used, the last good rules stay in force");
        }
    }
}

impl Kept {
    fn apply(&mut self, documents: Vec<Document>, whole: bool) -> Applied {
        let applied = self.parts.apply(&self.sentinel, documents, whole);
        self.keep(applied)
    }

    fn again(&mut self) -> Applied {
        let applied = self.parts.again(&self.sentinel);
        self.keep(applied)
    }

    fn restore(&mut self) -> Result<Applied, SourceError> {
        let rules = self.snapshot.as_ref().map(Snapshot::load).transpose()?.unwrap_or_default();
        let applied = self.parts.restore(&self.sentinel, rules);
        Ok(self.keep(applied))
    }

    fn begin_saving(&mut self) -> Option<Arc<SourceError>> {
        self.may_save = true;
        self.save()
    }

    /// Keeps on disk what has changed.
    fn keep(&mut self, applied: Applied) -> Applied {
        self.is_unsaved |= applied.changed;
        Applied { save_error: self.save(), ..applied }
    }

    /// Writes what is not on disk yet: why it could not be.
    fn save(&mut self) -> Option<Arc<SourceError>> {
        let snapshot = self.snapshot.as_ref().filter(|_| self.may_save && self.is_unsaved)?;
        let saved = snapshot.save(self.parts.in_force());
        self.is_unsaved = saved.is_err();
        saved.err().map(Arc::new)
    }
}

/// Waits as long as it is the turn to.
async fn pause(pauses: &mut ExponentialBackoff) {
    // They never end.
    sleep(pauses.next().unwrap_or_default()).await;
}
