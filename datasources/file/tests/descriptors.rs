//! A system that cannot tell of changes, because there are no file descriptors left to ask it.
#![cfg(unix)]

mod support;

use std::{
    env,
    fs::{self, File},
    process::Command,
    time::Duration,
};

use sentinel_core::Sentinel;
use sentinel_file::FileSource;

use self::support::within_five_seconds;

/// Says that this process is the one with few descriptors.
const FEW: &str = "SENTINEL_FILE_FEW_DESCRIPTORS";

#[test]
fn without_descriptors_the_file_is_polled_and_the_status_says_why() {
    if env::var_os(FEW).is_some() {
        return polls();
    }
    let itself = env::current_exe().unwrap();
    let run =
        Command::new("sh").args(["-c", "ulimit -n 64 && exec \"$0\" --nocapture"]).arg(itself).env(FEW, "1").output();
    let output = run.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn polls() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flow.yaml");
    fs::write(&path, "flow: []").unwrap();
    let mut taken: Vec<File> = std::iter::from_fn(|| File::open(&path).ok()).collect();
    assert!(taken.len() < 64);
    let sentinel = Sentinel::default();
    let source = FileSource::new(&path).poll_interval(Duration::from_millis(20));
    // As few are left as a start needs: enough to read the file, too few to be told of changes.
    let watch = loop {
        match source.clone().watch(&sentinel) {
            Ok(watch) => break watch,
            Err(error) => drop(taken.pop().unwrap_or_else(|| panic!("{error}"))),
        }
    };
    let reason = watch.status().remark.unwrap_or_else(|| panic!("{:?}", watch.status()));
    assert!(reason.contains("os error 24"), "{reason}");
    drop(taken);
    fs::write(&path, "flow: [{resource: orders, threshold: 1}]").unwrap();
    within_five_seconds(|| watch.status().rules == 1, || format!("{:?}", watch.status()));
}
