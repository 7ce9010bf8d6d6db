use std::{
    collections::BTreeSet,
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::{Instant, SystemTime},
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use parking_lot::Mutex;
use sentinel_core::Sentinel;

use crate::{FileError, FileSource, Loaded, Status, Watching, WhenMissing, read::Stamp};

/// Links followed from one to the next: as many as systems follow themselves.
const MAX_LINKS: usize = 40;

/// A file that is being watched. Dropping it ends that, and its thread.
#[must_use = "dropping the watch ends it"]
pub struct FileWatch {
    status: Arc<Mutex<Status>>,
    wake: Sender<Wake>,
    thread: Option<JoinHandle<()>>,
}

/// Why the thread wakes up.
enum Wake {
    Changed,
    Stop,
}

impl FileWatch {
    pub(crate) fn start(source: FileSource, sentinel: &Sentinel) -> Result<Self, FileError> {
        source.known_format()?;
        let (wake, woken) = channel();
        let status = Arc::new(Mutex::new(Status {
            path: source.path.clone(),
            source: source.name(),
            watching: Watching::Polling { reason: "polling was asked for".to_owned() },
            applied: 0,
            failed: 0,
            last_success: None,
            last_error: None,
            rules: 0,
            warnings: Vec::new(),
        }));
        let mut follower = Follower {
            folders: Folders::new(&source, wake.clone(), &status),
            source,
            sentinel: sentinel.clone(),
            status: Arc::clone(&status),
            seen: None,
        };
        // Before the first look, so that no change between the two goes unnoticed.
        follower.folders.follow(&follower.source.path);
        let first = follower.look();
        if follower.source.must_load {
            first?;
        }
        let path = follower.source.path.clone();
        let thread = std::thread::Builder::new()
            .name("sentinel-file".to_owned())
            .spawn(move || follower.run(&woken))
            .map_err(|error| FileError::Thread { path, error: Arc::new(error) })?;
        Ok(Self { status, wake, thread: Some(thread) })
    }

    /// How the file stands.
    pub fn status(&self) -> Status {
        self.status.lock().clone()
    }

    /// Ends the watch, and waits until its thread has.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for FileWatch {
    fn drop(&mut self) {
        // Fails only when the thread has ended already.
        let _ = self.wake.send(Wake::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that watched a rule file had panicked");
        }
    }
}

impl fmt::Debug for FileWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileWatch").field("status", &*self.status.lock()).finish_non_exhaustive()
    }
}

/// Follows the file, on the thread.
struct Follower {
    source: FileSource,
    sentinel: Sentinel,
    status: Arc<Mutex<Status>>,
    folders: Folders,
    /// What was last read, whether it could be used or not.
    seen: Option<(Stamp, u64)>,
}

impl Follower {
    fn run(mut self, woken: &Receiver<Wake>) {
        loop {
            match woken.recv_timeout(self.source.poll_interval) {
                Ok(Wake::Changed) => {
                    if !self.settle(woken) {
                        return;
                    }
                }
                // Untold: look only if the file seems to have changed.
                Err(RecvTimeoutError::Timeout) => {
                    let now = Stamp::of(&self.source.path);
                    if now.is_some() && now == self.seen.map(|(stamp, _)| stamp) {
                        continue;
                    }
                }
                Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
            self.folders.follow(&self.source.path);
            // The outcome is in the status.
            let _ = self.look();
        }
    }

    /// Waits until the changes pause; `false` when the watch ends meanwhile.
    fn settle(&self, woken: &Receiver<Wake>) -> bool {
        let latest = Instant::now() + self.source.debounce * 10;
        while Instant::now() < latest {
            match woken.recv_timeout(self.source.debounce) {
                Ok(Wake::Changed) => {}
                Err(RecvTimeoutError::Timeout) => return true,
                Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        true
    }

    /// Reads the file, and puts in force what is new.
    fn look(&mut self) -> Result<(), FileError> {
        match self.source.fetch() {
            Ok(version) => {
                let known = self.seen.replace((version.stamp, version.hash));
                if known.is_some_and(|(_, hash)| hash == version.hash) {
                    return Ok(());
                }
                let loaded = self.source.apply(&self.sentinel, &version);
                self.note(loaded)
            }
            Err(error @ FileError::Missing { .. }) => {
                self.seen = None;
                if self.source.when_missing == WhenMissing::Clear && std::mem::take(&mut self.status.lock().rules) > 0 {
                    self.sentinel.rules().clear(&self.source.name());
                }
                self.note(Err(error))
            }
            Err(error) => {
                self.seen = None;
                self.note(Err(error))
            }
        }
    }

    fn note(&self, outcome: Result<Loaded, FileError>) -> Result<(), FileError> {
        let now = SystemTime::now();
        let mut status = self.status.lock();
        let source = status.source.clone();
        match outcome {
            Ok(loaded) => {
                status.applied += 1;
                status.last_success = Some(now);
                status.last_error = None;
                status.rules = loaded.rules;
                status.warnings.clone_from(&loaded.warnings);
                drop(status);
                tracing::info!(source, rules = loaded.rules, "the rules of the file are in force");
                for warning in &loaded.warnings {
                    tracing::warn!(source, %warning, "the rules of the file are odd");
                }
                Ok(())
            }
            Err(error) => {
                // The same trouble at every look is told once.
                let known = status.last_error.as_ref().is_some_and(|(_, last)| last.to_string() == error.to_string());
                if !known {
                    status.failed += 1;
                    status.last_error = Some((now, error.clone()));
                    drop(status);
                    tracing::error!(source, %error, "the file cannot be used, the last good rules stay in force");
                }
                Err(error)
            }
        }
    }
}

/// The folders in which a change may concern the file.
struct Folders {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    status: Arc<Mutex<Status>>,
}

impl Folders {
    fn new(source: &FileSource, wake: Sender<Wake>, status: &Arc<Mutex<Status>>) -> Self {
        let mut folders = Self { watcher: None, watched: BTreeSet::new(), status: Arc::clone(status) };
        if source.poll_only {
            return folders;
        }
        let changed = move |event: notify::Result<notify::Event>| {
            // Reading is no change, or looking at the file would wake the thread again.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                // Fails only when the thread has ended already.
                let _ = wake.send(Wake::Changed);
            }
        };
        match notify::recommended_watcher(changed) {
            Ok(watcher) => {
                folders.watcher = Some(watcher);
                status.lock().watching = Watching::Notified;
            }
            Err(error) => folders.give_up(&error),
        }
        folders
    }

    /// Watches the folders that matter now, and no others.
    fn follow(&mut self, path: &Path) {
        let Some(watcher) = &mut self.watcher else { return };
        let wanted = folders_of(path);
        for gone in self.watched.difference(&wanted) {
            // A folder that was deleted is not watched any more anyway.
            let _ = watcher.unwatch(gone);
        }
        let mut failure = None;
        for folder in &wanted {
            // Again and again: a folder that was deleted and made anew is another one, which only the system knows.
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive)
                && folder.is_dir()
            {
                failure = Some(error);
            }
        }
        self.watched = wanted;
        if let Some(error) = failure {
            self.give_up(&error);
        }
    }

    fn give_up(&mut self, error: &notify::Error) {
        self.watcher = None;
        self.watched.clear();
        let reason = error.to_string();
        tracing::warn!(reason, "the system does not tell of changes, the file is polled");
        self.status.lock().watching = Watching::Polling { reason };
    }
}

/// The folder of the file, and that of every link on the way to it.
fn folders_of(path: &Path) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    let mut pending = vec![absolute(path)];
    for _ in 0..MAX_LINKS {
        let Some(path) = pending.pop() else { break };
        if let Some(folder) = path.parent() {
            folders.insert(folder.to_owned());
        }
        for part in path.ancestors() {
            if let (Ok(target), Some(folder)) = (std::fs::read_link(part), part.parent()) {
                folders.insert(folder.to_owned());
                let rest = path.strip_prefix(part).unwrap_or(Path::new(""));
                // Joining nothing would add a slash.
                let resolved = folder.join(target);
                pending.push(if rest.as_os_str().is_empty() { resolved } else { resolved.join(rest) });
            }
        }
    }
    folders
}

fn absolute(path: &Path) -> PathBuf {
    let made: io::Result<PathBuf> = std::path::absolute(path);
    made.unwrap_or_else(|_| path.to_owned())
}
