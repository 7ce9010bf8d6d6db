use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use sentinel_core::Warning;

use crate::SourceError;

/// How a source stands: plain numbers for a health check or an exporter, and words for people.
///
/// Cheap to copy, however many errors and warnings there are.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// The name under which the rules of the source are in force.
    pub source: String,
    /// Whether it is connected.
    pub state: State,
    /// Since when it is connected.
    pub connected_since: Option<SystemTime>,
    /// What the source calls the state that was last read.
    pub revision: Option<String>,
    /// When the source was last read, whether anything was new or not.
    pub last_success: Option<SystemTime>,
    /// Why there is no connection, or the documents cannot be used as they are now, and since when. The last good rules
    /// are in force.
    pub last_error: Option<(SystemTime, Arc<SourceError>)>,
    /// How many rules of the source are in force.
    pub rules: usize,
    /// When the rules in force were put there.
    pub rules_since: Option<SystemTime>,
    /// Whether the rules in force are those of a snapshot.
    pub from_snapshot: bool,
    /// Why the snapshot could not be written since the rules in force changed. It is tried again each time the source is
    /// read.
    pub snapshot_error: Option<Arc<SourceError>>,
    /// How often rules were put in force.
    pub applied: u64,
    /// How often the source became unusable, or unusable for another reason.
    pub failed: u64,
    /// How often a connection was made.
    pub connections: u64,
    /// The documents, in the order of their keys.
    pub documents: Arc<[DocumentStatus]>,
    /// What the source says about how changes are noticed.
    pub remark: Option<String>,
}

/// Whether a source is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It was read over the connection that there is now.
    Connected,
    /// A connection is being made, or there is a pause before that.
    Connecting,
    /// No more: the watch was stopped, or its task has panicked.
    Ended,
}

/// How one document stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DocumentStatus {
    /// Its key.
    pub key: String,
    /// How many of its rules are in force.
    pub rules: usize,
    /// Why it cannot be used as it is now.
    pub error: Option<Arc<SourceError>>,
    /// What is odd about the document in force.
    pub warnings: Arc<[Warning]>,
}

impl Status {
    pub(crate) fn new(source: String) -> Self {
        Self {
            source,
            state: State::Connecting,
            connected_since: None,
            revision: None,
            last_success: None,
            last_error: None,
            rules: 0,
            rules_since: None,
            from_snapshot: false,
            snapshot_error: None,
            applied: 0,
            failed: 0,
            connections: 0,
            documents: Arc::default(),
            remark: None,
        }
    }

    /// Notes what is wrong: whether it is something new, since the same trouble is told once.
    pub(crate) fn fail(&mut self, error: &Arc<SourceError>) -> bool {
        if self.last_error.as_ref().is_some_and(|(_, last)| last.to_string() == error.to_string()) {
            return false;
        }
        self.failed += 1;
        self.last_error = Some((SystemTime::now(), Arc::clone(error)));
        true
    }

    /// How old the rules in force are: how long ago they were put there.
    pub fn rules_age(&self) -> Option<Duration> {
        self.rules_since.map(since)
    }

    /// How long ago the source was last read.
    pub fn staleness(&self) -> Option<Duration> {
        self.last_success.map(since)
    }

    /// Whether it is connected, and every document of it is in force; not whether they are kept on disk.
    pub fn is_healthy(&self) -> bool {
        self.state == State::Connected && self.last_error.is_none()
    }

    /// The numbers of the status, each with a name that a metric can have; ages are in seconds, and left out where there
    /// is none.
    pub fn numbers(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let flag = |is: bool| Some(f64::from(u8::from(is)));
        let seconds = |age: Option<Duration>| age.map(|age| age.as_secs_f64());
        [
            ("connected", flag(self.state == State::Connected)),
            ("healthy", flag(self.is_healthy())),
            ("from_snapshot", flag(self.from_snapshot)),
            ("snapshot_failed", flag(self.snapshot_error.is_some())),
            ("rules", Some(self.rules as f64)),
            ("rules_age_seconds", seconds(self.rules_age())),
            ("staleness_seconds", seconds(self.staleness())),
            ("applied_total", Some(self.applied as f64)),
            ("failed_total", Some(self.failed as f64)),
            ("connections_total", Some(self.connections as f64)),
        ]
        .into_iter()
        .filter_map(|(name, number)| Some((name, number?)))
    }
}

fn since(time: SystemTime) -> Duration {
    // A clock that was set back makes nothing older.
    SystemTime::now().duration_since(time).unwrap_or_default()
}
