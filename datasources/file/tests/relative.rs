//! Alone in its process, since the folder in which it runs is that of all its threads.

use std::{
    env, fs, thread,
    time::{Duration, Instant},
};

use sentinel_core::{FlowRule, Rules, Sentinel};
use sentinel_file::FileSource;

#[test]
fn a_path_without_a_folder_can_be_watched_and_saved() {
    let folder = tempfile::tempdir().unwrap();
    env::set_current_dir(folder.path()).unwrap();
    fs::write("flow.yaml", "flow: []").unwrap();
    let source = FileSource::new("flow.yaml").poll_interval(Duration::from_secs(60));
    assert_eq!(source.name(), "file:flow.yaml");
    let sentinel = Sentinel::default();
    let _watch = source.clone().watch(&sentinel).unwrap();
    let rules = Rules::new().flow([FlowRule::new("orders", 2.0)]);
    source.save(&rules).unwrap();
    let start = Instant::now();
    while sentinel.rules().get("file:flow.yaml").as_ref() != Some(&rules) {
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", sentinel.rules());
        thread::sleep(Duration::from_millis(1));
    }
}
