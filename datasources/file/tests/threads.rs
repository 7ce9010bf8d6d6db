//! Alone in its process, since it counts the threads of it.
#![cfg(target_os = "linux")]

mod support;

use std::fs;

use sentinel_core::Sentinel;
use sentinel_file::FileSource;

use self::support::within_five_seconds;

/// The names of the threads that belong to watches.
fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    // A thread may end between the two.
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    let mut names: Vec<_> = names.map(|name| name.trim().to_owned()).collect();
    names.retain(|name| name.starts_with("sentinel") || name.starts_with("notify"));
    names.sort();
    names
}

/// A thread has its name a moment after it began, and is listed for a moment after it was waited for.
fn until_threads(expected: &[&str]) {
    within_five_seconds(|| threads() == expected, || format!("{:?}", threads()));
}

#[test]
fn a_watch_has_its_threads_and_takes_them_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flow.yaml");
    fs::write(&path, "flow: []").unwrap();
    let sentinel = Sentinel::default();
    let source = FileSource::new(&path);

    source.load(&sentinel).unwrap();
    assert_eq!(threads(), [""; 0], "loading needs none");

    let watch = source.clone().poll_only().watch(&sentinel).unwrap();
    until_threads(&["sentinel-rules"]);
    watch.stop();
    until_threads(&[]);

    let watch = source.clone().watch(&sentinel).unwrap();
    // The system cuts names to 15 characters.
    until_threads(&["notify-rs inoti", "sentinel-rules"]);
    drop(watch);
    until_threads(&[]);

    let missing = FileSource::new(folder.path().join("missing.yaml"));
    assert!(missing.watch(&sentinel).is_err());
    until_threads(&[]);
}
