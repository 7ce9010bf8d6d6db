//! Watching real files in real time: every wait ends when what is waited for has come, or fails after five seconds.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use sentinel_core::Sentinel;
use sentinel_file::{FileError, FileSource, FileWatch, Status, Watching, WhenMissing};
use tempfile::TempDir;

const NAME: &str = "orders";

/// A folder with a file of rules, or none yet.
struct Folder {
    folder: TempDir,
    sentinel: Sentinel,
}

impl Folder {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), sentinel: Sentinel::default() }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("flow.yaml")
    }

    fn source(&self) -> FileSource {
        // Polling is so far away that only being told of a change can be quick.
        FileSource::new(self.file()).source_name("file").poll_interval(Duration::from_secs(60))
    }

    /// A watch of the file with this threshold.
    fn watched(&self, threshold: u32) -> FileWatch {
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

fn within_five_seconds(come: impl Fn() -> bool, instead: impl Fn() -> String) -> Duration {
    let start = Instant::now();
    while !come() {
        assert!(start.elapsed() < Duration::from_secs(5), "it has not come: {}", instead());
        thread::sleep(Duration::from_millis(1));
    }
    start.elapsed()
}

fn until_status(watch: &FileWatch, come: impl Fn(&Status) -> bool) {
    within_five_seconds(|| come(&watch.status()), || format!("{:?}", watch.status()));
}

fn rules(threshold: u32) -> String {
    format!("flow: [{{resource: {NAME}, threshold: {threshold}}}]\n")
}

/// Writes beside the file and renames over it, as careful editors do.
fn rename_over(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, path).unwrap();
}

#[test]
fn what_is_written_into_the_file_is_in_force_within_a_second() {
    let folder = Folder::new();
    let watch = folder.watched(1);
    assert_eq!(folder.threshold(), Some(1.0), "at once");
    assert_eq!(watch.status().watching, Watching::Notified);
    fs::write(folder.file(), rules(2)).unwrap();
    let took = folder.until(2);
    println!("in force after {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    until_status(&watch, |status| status.applied == 2 && status.rules == 1 && status.last_success.is_some());
}

#[test]
fn a_rename_over_the_file_is_seen_again_and_again() {
    let folder = Folder::new();
    let _watch = folder.watched(1);
    for threshold in 2..6 {
        rename_over(&folder.file(), &rules(threshold));
        folder.until(threshold);
    }
}

#[test]
fn a_file_that_is_deleted_keeps_its_rules_and_one_made_anew_is_seen() {
    let folder = Folder::new();
    let watch = folder.watched(1);
    fs::remove_file(folder.file()).unwrap();
    until_status(&watch, |status| matches!(status.last_error, Some((_, FileError::Missing { .. }))));
    assert_eq!(folder.threshold(), Some(1.0));
    fs::write(folder.file(), rules(2)).unwrap();
    folder.until(2);
    until_status(&watch, |status| status.last_error.is_none());
}

#[test]
fn rules_go_with_their_file_where_that_is_asked_for() {
    let folder = Folder::new();
    fs::write(folder.file(), rules(1)).unwrap();
    let _watch = folder.source().when_missing(WhenMissing::Clear).watch(&folder.sentinel).unwrap();
    fs::remove_file(folder.file()).unwrap();
    within_five_seconds(|| folder.threshold().is_none(), || format!("{:?}", folder.threshold()));
    fs::write(folder.file(), rules(2)).unwrap();
    folder.until(2);
}

#[cfg(unix)]
#[test]
fn the_swap_of_links_that_kubernetes_makes_is_seen() {
    use std::os::unix::fs::symlink;

    let folder = Folder::new();
    let volume = folder.folder.path();
    let publish = |version: &str, threshold| {
        fs::create_dir(volume.join(version)).unwrap();
        fs::write(volume.join(version).join("flow.yaml"), rules(threshold)).unwrap();
        symlink(version, volume.join("..data_tmp")).unwrap();
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    };
    publish("..2026_01", 1);
    symlink("..data/flow.yaml", folder.file()).unwrap();
    let watch = folder.source().watch(&folder.sentinel).unwrap();
    assert_eq!(folder.threshold(), Some(1.0));
    for (version, threshold) in [("..2026_02", 2), ("..2026_03", 3)] {
        publish(version, threshold);
        folder.until(threshold);
    }
    fs::remove_dir_all(volume.join("..2026_02")).unwrap();
    assert!(watch.status().last_error.is_none());
}

#[cfg(unix)]
#[test]
fn a_change_in_the_folder_that_a_link_leads_to_is_seen() {
    let folder = Folder::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("real.yaml");
    fs::write(&target, rules(1)).unwrap();
    std::os::unix::fs::symlink(&target, folder.file()).unwrap();
    let _watch = folder.source().watch(&folder.sentinel).unwrap();
    rename_over(&target, &rules(2));
    folder.until(2);
}

#[test]
fn a_file_caught_half_written_keeps_the_rules_until_it_is_whole() {
    let folder = Folder::new();
    let watch = folder.watched(1);
    let whole = rules(2);
    fs::write(folder.file(), &whole[..whole.len() - 5]).unwrap();
    until_status(&watch, |status| matches!(status.last_error, Some((_, FileError::Document { .. }))));
    assert_eq!(folder.threshold(), Some(1.0));
    fs::write(folder.file(), whole).unwrap();
    folder.until(2);
}

#[test]
fn whatever_is_wrong_with_the_file_its_last_good_rules_stay_and_the_status_says_why() {
    let folder = Folder::new();
    let watch = folder.watched(1);
    let cases: [(&[u8], &str); 5] = [
        (b"", "empty"),
        (b"# only a comment\n", "empty"),
        (b"flow: [{resource: orders, threshold: -3}]", "-3"),
        (b"\xff\xfe\x00", "utf-8"),
        (b"flow: [[[", "flow.yaml"),
    ];
    for (text, why) in cases {
        rename_over(&folder.file(), "{}");
        until_status(&watch, |status| status.last_error.is_none() && status.rules == 0);
        rename_over(&folder.file(), &rules(1));
        folder.until(1);
        let beside = folder.file().with_extension("bad");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, folder.file()).unwrap();
        until_status(&watch, |status| {
            status.last_error.as_ref().is_some_and(|(_, error)| error.to_string().contains(why))
        });
        assert_eq!(folder.threshold(), Some(1.0), "{why}");
    }
}

#[test]
fn a_directory_in_place_of_the_file_is_an_error_until_the_file_is_back() {
    let folder = Folder::new();
    let watch = folder.watched(1);
    fs::remove_file(folder.file()).unwrap();
    fs::create_dir(folder.file()).unwrap();
    until_status(&watch, |status| matches!(status.last_error, Some((_, FileError::Io { .. }))));
    assert_eq!(folder.threshold(), Some(1.0));
    fs::remove_dir(folder.file()).unwrap();
    fs::write(folder.file(), rules(2)).unwrap();
    folder.until(2);
}

#[test]
fn a_folder_that_is_deleted_and_made_anew_is_seen_by_polling() {
    let folder = Folder::new();
    let inner = folder.folder.path().join("inner");
    let file = inner.join("flow.yaml");
    fs::create_dir(&inner).unwrap();
    fs::write(&file, rules(1)).unwrap();
    let source = FileSource::new(&file).source_name("file").poll_interval(Duration::from_millis(50));
    let watch = source.watch(&folder.sentinel).unwrap();
    fs::remove_dir_all(&inner).unwrap();
    until_status(&watch, |status| matches!(status.last_error, Some((_, FileError::Missing { .. }))));
    fs::create_dir(&inner).unwrap();
    fs::write(&file, rules(2)).unwrap();
    folder.until(2);
    fs::write(&file, rules(3)).unwrap();
    folder.until(3);
}

#[test]
fn polling_alone_sees_every_change() {
    let folder = Folder::new();
    fs::write(folder.file(), rules(1)).unwrap();
    let source = folder.source().poll_only().poll_interval(Duration::from_millis(20));
    let watch = source.watch(&folder.sentinel).unwrap();
    assert!(matches!(watch.status().watching, Watching::Polling { .. }));
    fs::write(folder.file(), rules(22)).unwrap();
    folder.until(22);
    rename_over(&folder.file(), &rules(33));
    folder.until(33);
}

#[test]
fn of_thousands_of_quick_changes_the_last_one_is_in_force() {
    let folder = Folder::new();
    let watch = folder.watched(1);
    for threshold in 2..3_000 {
        if threshold % 2 == 0 {
            fs::write(folder.file(), rules(threshold)).unwrap();
        } else {
            rename_over(&folder.file(), &rules(threshold));
        }
    }
    folder.until(2_999);
    let applied = watch.status().applied;
    assert!(applied < 300, "changes in quick succession are taken together: {applied}");
    until_status(&watch, |status| status.last_error.is_none());
}

#[test]
fn ten_megabytes_of_rules_are_in_force_as_fast_as_they_can_be_read() {
    let folder = Folder::new();
    let mut text = String::from("{\"flow\": [\n");
    let mut count = 0;
    while text.len() < 10_000_000 {
        let comma = if count == 0 { "" } else { "," };
        text += &format!(
            "{comma}{{\"resource\": \"GET /a/rather/long/path/to/some/{{thing}}/{count}\", \"threshold\": {count}, \"behavior\": \"throttle\", \"maxQueueingTimeMs\": 100}}\n"
        );
        count += 1;
    }
    text += "]}";
    let file = folder.folder.path().join("flow.json");
    fs::write(&file, &text).unwrap();
    let start = Instant::now();
    let loaded = FileSource::new(&file).load(&folder.sentinel).unwrap();
    println!("{count} rules of {} bytes in force after {:?}", text.len(), start.elapsed());
    assert_eq!((loaded.rules, loaded.changes.added), (count, count));
}

#[test]
fn a_file_that_is_too_large_is_not_even_read() {
    let folder = Folder::new();
    fs::write(folder.file(), rules(1)).unwrap();
    let watch = folder.source().max_size(100).watch(&folder.sentinel).unwrap();
    rename_over(&folder.file(), &format!("{}# {}", rules(2), "x".repeat(100)));
    until_status(&watch, |status| matches!(status.last_error, Some((_, FileError::TooLarge { max: 100, .. }))));
    assert_eq!(folder.threshold(), Some(1.0));
}

#[test]
fn what_is_odd_about_the_document_is_in_the_status() {
    let folder = Folder::new();
    fs::write(folder.file(), "flow: [{resource: a, threshold: 1, treshold: 2}]").unwrap();
    let watch = folder.source().watch(&folder.sentinel).unwrap();
    let warnings = watch.status().warnings;
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].to_string().contains("did you mean `threshold`"), "{}", warnings[0]);
}

#[test]
fn a_watch_that_needs_the_file_fails_without_it_and_an_optional_one_waits_for_it() {
    let folder = Folder::new();
    assert!(matches!(folder.source().watch(&folder.sentinel), Err(FileError::Missing { .. })));
    let watch = folder.source().optional().watch(&folder.sentinel).unwrap();
    assert!(matches!(watch.status().last_error, Some((_, FileError::Missing { .. }))));
    fs::write(folder.file(), rules(1)).unwrap();
    folder.until(1);
    let unknown = FileSource::new(folder.folder.path().join("rules.txt")).optional();
    assert!(matches!(unknown.watch(&folder.sentinel), Err(FileError::UnknownFormat { .. })));
}

#[test]
fn a_watch_ends_promptly_and_its_rules_stay_in_force() {
    let folder = Folder::new();
    let watch = folder.watched(1);
    let start = Instant::now();
    watch.stop();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    fs::write(folder.file(), rules(2)).unwrap();
    let again = folder.source().watch(&folder.sentinel).unwrap();
    assert_eq!(folder.threshold(), Some(2.0));
    drop(again);
    assert_eq!(folder.threshold(), Some(2.0));
}

#[test]
fn each_file_owns_its_part() {
    let folder = Folder::new();
    let _first = folder.watched(1);
    let other = folder.folder.path().join("other.json");
    fs::write(&other, r#"{"flow": [{"resource": "mail", "threshold": 7}]}"#).unwrap();
    let second = FileSource::new(&other).watch(&folder.sentinel).unwrap();
    assert_eq!(second.status().source, format!("file:{}", other.display()));
    fs::write(&other, "{}").unwrap();
    until_status(&second, |status| status.applied == 2 && status.rules == 0);
    assert_eq!(folder.threshold(), Some(1.0));
}
