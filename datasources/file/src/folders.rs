use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use notify::{ErrorKind, Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Links followed from one to the next: as many as systems follow themselves.
pub(crate) const MAX_LINKS: usize = 40;

/// The folders in which a change may concern a file; the system rings when one does.
#[derive(Debug)]
pub(crate) struct Folders {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    places: Arc<Mutex<BTreeSet<PathBuf>>>,
    /// Why the system does not tell of every change.
    trouble: Option<String>,
}

impl Folders {
    /// Asks the system for nothing.
    pub(crate) fn unwatched() -> Self {
        Self::new(None, Arc::default(), Some("polling was asked for".to_owned()))
    }

    /// Asks the system to ring.
    pub(crate) fn watched(bell: Arc<Notify>) -> Self {
        let places = Arc::<Mutex<BTreeSet<PathBuf>>>::default();
        let concerning = Arc::clone(&places);
        let changed = move |event: notify::Result<Event>| {
            if event.map_or(true, |event| concerns(&event, &concerning.lock())) {
                bell.notify_one();
            }
        };
        match notify::recommended_watcher(changed) {
            Ok(watcher) => Self::new(Some(watcher), places, None),
            Err(error) => Self::new(None, places, Some(error.to_string())),
        }
    }

    fn new(
        watcher: Option<RecommendedWatcher>,
        places: Arc<Mutex<BTreeSet<PathBuf>>>,
        trouble: Option<String>,
    ) -> Self {
        Self { watcher, watched: BTreeSet::new(), places, trouble }
    }

    /// Watches the folders that matter for the file now, and no others.
    pub(crate) fn follow(&mut self, file: &Path) {
        let Some(watcher) = &mut self.watcher else { return };
        let places = places_of(file);
        let wanted: BTreeSet<_> = places.iter().filter_map(|place| place.parent()).map(Path::to_owned).collect();
        // First, so that nothing that happens in a folder watched from now on is held for another's.
        *self.places.lock() = places;
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

    /// Why the system does not tell of every change.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }
}

/// Whether an event may be a change of what is in these places.
fn concerns(event: &Event, places: &BTreeSet<PathBuf>) -> bool {
    // Reading is no change, or looking at the file would wake the thread again.
    if event.kind.is_access() {
        return false;
    }
    // What befalls a folder befalls what is in it.
    let is_concerned = |path: &PathBuf| places.iter().any(|place| place.starts_with(path));
    event.need_rescan() || event.paths.is_empty() || event.paths.iter().any(is_concerned)
}

/// Whether a folder has gone meanwhile, which is no trouble of the watcher.
fn is_missing(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        _ => false,
    }
}

/// Where something may happen that concerns a file: its own place, and that of every link on the way to it, each in a
/// folder by its one name without links.
///
/// In a folder that is not there, nothing can happen; there the place is the folder's own, or that of the highest one
/// above it that is not there either.
fn places_of(file: &Path) -> BTreeSet<PathBuf> {
    let mut places = BTreeSet::new();
    let mut pending = vec![std::path::absolute(file).unwrap_or_else(|_| file.to_owned())];
    for _ in 0..MAX_LINKS {
        let Some(path) = pending.pop() else { break };
        places.extend(place_of(&path));
        for part in path.ancestors() {
            if let (Ok(target), Some(folder)) = (fs::read_link(part), part.parent()) {
                places.extend(place_of(part));
                let resolved = folder.join(target);
                // Joining nothing would add a slash.
                pending.push(match path.strip_prefix(part) {
                    Ok(rest) if !rest.as_os_str().is_empty() => resolved.join(rest),
                    _ => resolved,
                });
            }
        }
    }
    places
}

/// The path itself, or the highest folder above it that is not there, below a folder without links in its name.
fn place_of(path: &Path) -> Option<PathBuf> {
    path.ancestors().zip(path.ancestors().skip(1)).find_map(|(place, folder)| {
        let folder = fs::canonicalize(folder).ok()?;
        Some(place.file_name().map(|name| folder.join(name)).unwrap_or(folder))
    })
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, EventKind, Flag, ModifyKind, RemoveKind};

    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        (folder, path)
    }

    #[test]
    fn of_a_folder_that_is_missing_the_nearest_above_is_watched() {
        let (_guard, root) = folder();
        assert_eq!(places_of(&root.join("flow.yaml")), BTreeSet::from([root.join("flow.yaml")]));
        assert_eq!(places_of(&root.join("a/b/flow.yaml")), BTreeSet::from([root.join("a")]));
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
        let expected = ["etc/flow.yaml", "volume/flow.yaml", "volume/..data", "volume/..1/flow.yaml"];
        let expected = expected.map(|place| root.join(place));
        assert_eq!(places_of(&root.join("etc/flow.yaml")), BTreeSet::from(expected));

        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        assert_eq!(places_of(&root.join("a")), BTreeSet::from([root.join("a"), root.join("b")]));
    }

    #[test]
    fn only_what_befalls_the_file_or_a_folder_of_it_rings() {
        let places = BTreeSet::from([PathBuf::from("/etc/flow.yaml")]);
        let concerns = |kind, path: &str| concerns(&Event::new(kind).add_path(path.into()), &places);
        let changed = EventKind::Modify(ModifyKind::Any);
        assert!(concerns(changed, "/etc/flow.yaml"));
        assert!(concerns(EventKind::Remove(RemoveKind::Folder), "/etc"));
        assert!(!concerns(changed, "/etc/flow.yaml.swp"));
        assert!(!concerns(changed, "/etc/other/flow.yaml"));
        assert!(!concerns(EventKind::Access(AccessKind::Any), "/etc/flow.yaml"));
        let lost = Event::new(EventKind::Other).set_flag(Flag::Rescan).add_path("/".into());
        assert!(super::concerns(&lost, &places), "some events were lost");
    }

    #[test]
    fn a_folder_that_has_gone_is_no_trouble() {
        let (guard, root) = folder();
        let mut folders = Folders::watched(Arc::default());
        folders.follow(&root.join("flow.yaml"));
        assert_eq!(folders.trouble(), None);
        guard.close().unwrap();
        folders.follow(&root.join("flow.yaml"));
        assert_eq!(folders.trouble(), None);
    }
}
