use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::{Watching, bell::Bell};

/// Links followed from one to the next: as many as systems follow themselves.
pub(crate) const MAX_LINKS: usize = 40;

/// The folders in which a change may concern a file; the system rings when there is one.
#[derive(Debug)]
pub(crate) struct Folders {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    /// Why the system does not tell of every change.
    trouble: Option<String>,
}

impl Folders {
    /// Asks the system for nothing.
    pub(crate) fn unwatched() -> Self {
        Self { watcher: None, watched: BTreeSet::new(), trouble: Some("polling was asked for".to_owned()) }
    }

    /// Asks the system to ring.
    pub(crate) fn watched(bell: Arc<Bell>) -> Self {
        let changed = move |event: notify::Result<notify::Event>| {
            // Reading is no change, or looking at the file would wake the thread again.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                bell.ring();
            }
        };
        match notify::recommended_watcher(changed) {
            Ok(watcher) => Self { watcher: Some(watcher), watched: BTreeSet::new(), trouble: None },
            Err(error) => Self { watcher: None, watched: BTreeSet::new(), trouble: Some(error.to_string()) },
        }
    }

    /// Watches the folders that matter for the file now, and no others.
    pub(crate) fn follow(&mut self, file: &Path) {
        let Some(watcher) = &mut self.watcher else { return };
        let wanted = folders_of(file);
        for gone in self.watched.difference(&wanted) {
            // A folder that was deleted is not watched any more anyway.
            let _ = watcher.unwatch(gone);
        }
        self.trouble = None;
        for folder in &wanted {
            // Again and again: a folder that was deleted and made anew is another one, which only the system knows.
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive)
                && !is_missing(&error)
            {
                self.trouble = Some(error.to_string());
            }
        }
        self.watched = wanted;
    }

    /// How changes are noticed.
    pub(crate) fn state(&self) -> Watching {
        match &self.trouble {
            None => Watching::Notified,
            Some(reason) => Watching::Polling { reason: reason.clone() },
        }
    }
}

/// Whether a folder has gone meanwhile, which is no trouble of the watcher.
fn is_missing(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        _ => false,
    }
}

/// The folder of a file, and that of every link on the way to it, each by its one name without links.
///
/// For a folder that is not there, the nearest one above it that is: there it will come back.
fn folders_of(file: &Path) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    let mut watch = |folder: &Path| folders.extend(folder.ancestors().find_map(|folder| fs::canonicalize(folder).ok()));
    let mut pending = vec![std::path::absolute(file).unwrap_or_else(|_| file.to_owned())];
    for _ in 0..MAX_LINKS {
        let Some(path) = pending.pop() else { break };
        if let Some(folder) = path.parent() {
            watch(folder);
        }
        for part in path.ancestors() {
            if let (Ok(target), Some(folder)) = (fs::read_link(part), part.parent()) {
                watch(folder);
                let resolved = folder.join(target);
                // Joining nothing would add a slash.
                pending.push(match path.strip_prefix(part) {
                    Ok(rest) if !rest.as_os_str().is_empty() => resolved.join(rest),
                    _ => resolved,
                });
            }
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        (folder, path)
    }

    #[test]
    fn of_a_folder_that_is_missing_the_nearest_above_is_watched() {
        let (_guard, root) = folder();
        assert_eq!(folders_of(&root.join("flow.yaml")), BTreeSet::from([root.clone()]));
        assert_eq!(folders_of(&root.join("a/b/flow.yaml")), BTreeSet::from([root]));
    }

    #[cfg(unix)]
    #[test]
    fn every_link_on_the_way_counts_and_a_circle_of_links_ends() {
        use std::os::unix::fs::symlink;

        let (_guard, root) = folder();
        fs::create_dir_all(root.join("volume/..1")).unwrap();
        fs::create_dir(root.join("etc")).unwrap();
        symlink("..1", root.join("volume/..data")).unwrap();
        symlink("..data/flow.yaml", root.join("volume/flow.yaml")).unwrap();
        symlink("../volume/flow.yaml", root.join("etc/flow.yaml")).unwrap();
        let expected = [root.join("etc"), root.join("volume"), root.join("volume/..1")];
        assert_eq!(folders_of(&root.join("etc/flow.yaml")), BTreeSet::from(expected));

        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        assert_eq!(folders_of(&root.join("a")), BTreeSet::from([root]));
    }

    #[test]
    fn a_folder_that_has_gone_is_no_trouble() {
        let (guard, root) = folder();
        let mut folders = Folders::watched(Arc::default());
        folders.follow(&root.join("flow.yaml"));
        assert_eq!(folders.state(), Watching::Notified);
        guard.close().unwrap();
        folders.follow(&root.join("flow.yaml"));
        assert_eq!(folders.state(), Watching::Notified);
    }
}
