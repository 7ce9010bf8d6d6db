use std::{
    fmt,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Instant, SystemTime},
};

use parking_lot::Mutex;
use sentinel_core::Sentinel;

use crate::{
    FileError, FileSource, Loaded, Status, Watching, WhenMissing,
    bell::{Bell, Heard},
    folders::Folders,
    read::Stamp,
    settling::{Settled, Settling},
};

/// A file that is being watched. Dropping it ends that, and its thread; the rules stay in force.
///
/// # Example
///
/// ```
/// use sentinel_core::Sentinel;
/// use sentinel_file::{FileSource, Watching};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("flow.toml");
/// std::fs::write(&path, "[[flow]]\nresource = 'orders'\nthreshold = 100\n")?;
///
/// let watch = FileSource::new(path).watch(&Sentinel::default())?;
/// assert_eq!(watch.status().rules, 1);
/// watch.stop();
/// assert_eq!(watch.status().watching, Watching::Ended);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping the watch ends it"]
pub struct FileWatch {
    status: Arc<Mutex<Status>>,
    bell: Arc<Bell>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl FileWatch {
    pub(crate) fn start(source: FileSource, sentinel: &Sentinel) -> Result<Self, FileError> {
        source.known_format()?;
        let bell = Arc::new(Bell::default());
        let folders = if source.poll_only { Folders::unwatched() } else { Folders::watched(Arc::clone(&bell)) };
        let mut follower = Follower::new(source, sentinel, folders);
        let status = Arc::clone(&follower.status);
        // Before the first look, so that no change between the two goes unnoticed.
        follower.follow_folders();
        match follower.look() {
            Err(error) if follower.source.must_load => return Err(error),
            outcome => follower.note(outcome),
        }
        let path = follower.source.path.clone();
        let thread = thread::Builder::new()
            .name("sentinel-file".to_owned())
            .spawn({
                let bell = Arc::clone(&bell);
                move || follower.run(&bell)
            })
            .map_err(|error| FileError::Thread { path, error: Arc::new(error) })?;
        Ok(Self { status, bell, thread: Mutex::new(Some(thread)) })
    }

    /// How the file stands.
    pub fn status(&self) -> Status {
        let mut status = self.status.lock().clone();
        if self.thread.lock().as_ref().is_none_or(JoinHandle::is_finished) {
            status.watching = Watching::Ended;
        }
        status
    }

    /// Ends the watch, and waits until its thread has, at most as long as it needs for what it is reading.
    ///
    /// A listener of the instance may do so as well: on the thread itself, nothing is waited for. Stopping again does
    /// nothing.
    pub fn stop(&self) {
        self.bell.end();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread
            && thread.thread().id() != thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the thread that watched a rule file had panicked");
        }
    }
}

impl Drop for FileWatch {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for FileWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileWatch").field("status", &self.status()).finish_non_exhaustive()
    }
}

/// Follows the file, on the thread.
struct Follower {
    source: FileSource,
    sentinel: Sentinel,
    status: Arc<Mutex<Status>>,
    folders: Folders,
    /// What was last read, whether it could be used or not.
    seen: Option<Seen>,
}

struct Seen {
    stamp: Stamp,
    /// Whether every change since has another stamp.
    is_settled: bool,
    hash: u64,
}

impl Follower {
    fn new(source: FileSource, sentinel: &Sentinel, folders: Folders) -> Self {
        let status = Status {
            path: source.path.clone(),
            source: source.name(),
            // Until the folders are followed, which tells when it is otherwise.
            watching: Watching::Notified,
            applied: 0,
            failed: 0,
            last_success: None,
            last_error: None,
            rules: 0,
            warnings: Arc::default(),
        };
        Self { source, sentinel: sentinel.clone(), status: Arc::new(Mutex::new(status)), folders, seen: None }
    }

    fn run(mut self, bell: &Bell) {
        let mut settled = true;
        loop {
            // While it is being written, nobody may tell of the end of that.
            if settled {
                match bell.wait(self.source.poll_interval) {
                    Heard::End => return,
                    Heard::Nothing if self.is_as_seen() => continue,
                    Heard::Nothing | Heard::Change => {}
                }
            }
            match self.settle(bell) {
                None => return,
                Some(now) => settled = now,
            }
            self.follow_folders();
            let outcome = if settled { self.look() } else { Err(self.unsettled()) };
            self.note(outcome);
        }
    }

    /// Waits until the file is left alone: whether it is, or nothing when the watch ends.
    fn settle(&self, bell: &Bell) -> Option<bool> {
        let look = || Stamp::of(&self.source.path);
        let mut settling = Settling::new(self.source.debounce, look(), Instant::now());
        loop {
            let told = match bell.wait(self.source.debounce) {
                Heard::End => return None,
                heard => heard == Heard::Change,
            };
            match settling.observe(look(), told, Instant::now()) {
                Settled::Yes => return Some(true),
                Settled::Never => return Some(false),
                Settled::NotYet => {}
            }
        }
    }

    /// What is in a file that is being written may be half of it.
    fn unsettled(&mut self) -> FileError {
        self.seen = None;
        FileError::Unsettled { path: self.source.path.clone() }
    }

    fn follow_folders(&mut self) {
        self.folders.follow(&self.source.path);
        let state = self.folders.state();
        let mut status = self.status.lock();
        if let Watching::Polling { reason } = &state
            && !self.source.poll_only
            && status.watching != state
        {
            tracing::warn!(
                source = status.source,
                reason,
                "the system does not tell of every change, the file is polled"
            );
        }
        status.watching = state;
    }

    /// Whether the file is what was last read, as far as can be told without reading it.
    fn is_as_seen(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.is_settled && Stamp::of(&self.source.path) == Some(seen.stamp))
    }

    /// Reads the file, and puts in force what is new, if anything is.
    fn look(&mut self) -> Result<Option<Loaded>, FileError> {
        if self.is_as_seen() {
            return Ok(None);
        }
        let now = SystemTime::now();
        let outcome = self.source.fetch().and_then(|version| {
            let seen = Seen { stamp: version.stamp, is_settled: version.stamp.is_settled(now), hash: version.hash };
            let before = self.seen.replace(seen);
            if before.is_some_and(|before| before.hash == version.hash) {
                return Ok(None);
            }
            self.source.apply(&self.sentinel, &version).map(Some)
        });
        // A document stays wrong until it changes; all else may pass without that.
        if matches!(&outcome, Err(error) if !matches!(error, FileError::Document { .. })) {
            self.seen = None;
        }
        outcome
    }

    /// Keeps the outcome in the status.
    fn note(&self, outcome: Result<Option<Loaded>, FileError>) {
        match outcome {
            Ok(Some(loaded)) => self.succeeded(loaded),
            Ok(None) => {}
            Err(error) => self.failed(error),
        }
    }

    fn succeeded(&self, loaded: Loaded) {
        let mut status = self.status.lock();
        status.applied += 1;
        status.last_success = Some(SystemTime::now());
        status.last_error = None;
        status.rules = loaded.rules;
        status.warnings = loaded.warnings.into();
        let (source, warnings) = (status.source.clone(), Arc::clone(&status.warnings));
        drop(status);
        tracing::info!(source, rules = loaded.rules, "the rules of the file are in force");
        for warning in &*warnings {
            tracing::warn!(source, %warning, "the rules of the file are odd");
        }
    }

    fn failed(&self, error: FileError) {
        // The same trouble at every look is told once.
        if self.status.lock().last_error.as_ref().is_some_and(|(_, last)| last.to_string() == error.to_string()) {
            return;
        }
        let source = self.source.name();
        if self.source.when_missing == WhenMissing::Clear && matches!(error, FileError::Missing { .. }) {
            // Listeners hear of it, and may ask for the status.
            self.sentinel.rules().clear(&source);
            let mut status = self.status.lock();
            status.rules = 0;
            status.warnings = Arc::default();
            drop(status);
            tracing::warn!(source, %error, "the file is gone, and its rules with it");
        } else {
            tracing::error!(source, %error, "the file cannot be used, the last good rules stay in force");
        }
        let mut status = self.status.lock();
        status.failed += 1;
        status.last_error = Some((SystemTime::now(), Arc::new(error)));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn follower() -> (tempfile::TempDir, Follower) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flow.yaml");
        fs::write(&path, "flow: [{resource: a, threshold: 1}]").unwrap();
        (folder, Follower::new(FileSource::new(path), &Sentinel::default(), Folders::unwatched()))
    }

    #[test]
    fn what_was_read_before_is_not_put_in_force_again() {
        let (_folder, mut follower) = follower();
        assert_eq!(follower.look().unwrap().unwrap().changes.added, 1);
        assert!(follower.look().unwrap().is_none());
        fs::write(&follower.source.path, "flow: [{resource: a, threshold: 1}]").unwrap();
        assert!(follower.look().unwrap().is_none(), "the same content again");
        fs::write(&follower.source.path, "flow: [{resource: a, threshold: 2}]").unwrap();
        assert_eq!(follower.look().unwrap().unwrap().changes.changed, 1);
    }

    #[test]
    fn a_file_that_may_have_changed_within_its_time_is_read_again() {
        let (_folder, mut follower) = follower();
        let stamp = Stamp::of(&follower.source.path).unwrap();
        follower.seen = Some(Seen { stamp, is_settled: true, hash: 0 });
        assert!(follower.look().unwrap().is_none(), "nothing can have changed");
        follower.seen = Some(Seen { stamp, is_settled: false, hash: 0 });
        assert!(follower.look().unwrap().is_some());
    }

    #[test]
    fn the_same_trouble_counts_once_until_it_is_another() {
        let (_folder, mut follower) = follower();
        let mut failed = |content| {
            fs::write(&follower.source.path, content).unwrap();
            let outcome = follower.look();
            follower.note(outcome);
            follower.status.lock().failed
        };
        assert_eq!([failed(""), failed(" "), failed("  ")], [1, 1, 1]);
        assert_eq!(failed("flow: ["), 2);
        assert_eq!(failed("{}"), 2);
        assert_eq!(failed(""), 3, "again, after it was good");
    }
}
