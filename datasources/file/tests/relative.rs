//! Alone in its process, since the folder in which it runs is that of all its threads.

mod support;

use std::{env, fs, time::Duration};

use sentinel_core::{FlowRule, Rules, Sentinel};
use sentinel_datasource::Source as _;
use sentinel_file::FileSource;

use self::support::within_five_seconds;

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
    let is_in_force = || sentinel.rules().get("file:flow.yaml").as_ref() == Some(&rules);
    within_five_seconds(is_in_force, || format!("{:?}", sentinel.rules()));
}
