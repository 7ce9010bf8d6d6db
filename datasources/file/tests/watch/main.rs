//! Watching real files in real time: every wait ends when what is waited for has come, or fails after five seconds.

mod changes;
mod faults;
mod life;
#[path = "../support/mod.rs"]
mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use sentinel_core::Sentinel;
use sentinel_file::{FileSource, Status, ThreadWatch};
use tempfile::TempDir;

use self::support::within_five_seconds;

/// A folder with a file of rules, or none yet, and an instance.
struct Folder {
    folder: TempDir,
    sentinel: Sentinel,
}

impl Folder {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), sentinel: Sentinel::default() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self) -> PathBuf {
        self.path().join("flow.yaml")
    }

    fn source(&self) -> FileSource {
        of(&self.file())
    }

    /// A watch of the file with this threshold.
    fn watched(&self, threshold: u32) -> ThreadWatch {
        fs::write(self.file(), rules(threshold)).unwrap();
        self.source().watch(&self.sentinel).unwrap()
    }

    /// The threshold in force.
    fn threshold(&self) -> Option<f64> {
        self.sentinel.rules().get("file")?.flow.first().map(|rule| rule.params.threshold)
    }

    /// Waits until this threshold is in force; how long that took.
    fn until(&self, threshold: u32) -> Duration {
        within_five_seconds(|| self.threshold() == Some(f64::from(threshold)), || format!("{:?}", self.threshold()))
    }
}

/// Polling is so far away that only being told of a change can be quick.
fn of(file: &Path) -> FileSource {
    FileSource::new(file).source_name("file").poll_interval(Duration::from_secs(60))
}

fn until_status(watch: &ThreadWatch, come: impl Fn(&Status) -> bool) {
    within_five_seconds(|| come(&watch.status()), || format!("{:?}", watch.status()));
}

/// Waits until the file cannot be used for a reason whose words contain this.
fn until_error(watch: &ThreadWatch, why: &str) {
    until_status(watch, |status| status.last_error.as_ref().is_some_and(|(_, error)| error.to_string().contains(why)));
}

/// Always of the same length, below a thousand million.
fn rules(threshold: u32) -> String {
    format!("flow: [{{resource: orders, threshold: {threshold:9}}}]\n")
}

/// Writes beside the file and renames over it, as careful editors do.
fn rename_over(path: &Path, content: impl AsRef<[u8]>) {
    let beside = path.with_extension("new");
    fs::write(&beside, content).unwrap();
    fs::rename(beside, path).unwrap();
}
