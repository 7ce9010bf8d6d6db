//! Files that cannot be used: the last good rules stay in force, and the status says why.

use std::fs;

use sentinel_core::InvalidDocument;
use sentinel_file::{Datasource, FileSource, SourceError, ThreadWatch};

use crate::{Folder, rename_over, rules, until_error, until_status};

/// The file becomes bad, and good again.
fn survives(folder: &Folder, watch: &ThreadWatch, why: &str, spoil: impl FnOnce(), repair: impl FnOnce()) {
    let (threshold, before) = (folder.threshold(), watch.status());
    spoil();
    until_error(watch, why);
    let bad = watch.status();
    assert_eq!(folder.threshold(), threshold, "{why}");
    assert_eq!((bad.rules, bad.applied, bad.rules_since), (before.rules, before.applied, before.rules_since), "{why}");
    assert!(bad.failed > before.failed, "{why}");
    let error = bad.last_error.unwrap().1.to_string();
    assert!(error.contains(&folder.file().display().to_string()), "the message names the file: {error}");
    repair();
    let next = if threshold == Some(1.0) { 2 } else { 1 };
    rename_over(&folder.file(), rules(next));
    folder.until(next);
    // The rules are in force a moment before the status says so.
    until_status(watch, |status| status.applied > before.applied && status.last_error.is_none());
}

#[test]
fn bad_content_keeps_the_last_good_rules() {
    let folder = Folder::new();
    let watch = folder.watched(1);
    let cases: [(&[u8], &str); 7] = [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"# only a comment\n", "empty"),
        (b"flow: [{resource: orders, threshold: -3}]", "threshold is -3"),
        (b"flow: \xff\xfe\x00", "utf-8"),
        (b"flow: [[[", "YAML"),
        (b"[1, 2]", "say which dialect"),
    ];
    for (content, why) in cases {
        survives(&folder, &watch, why, || rename_over(&folder.file(), content), || {});
    }
}

#[test]
fn every_error_of_every_rule_is_in_the_error() {
    let folder = Folder::new();
    let watch = folder.watched(1);
    rename_over(&folder.file(), "flow: [{resource: a, threshold: -1}, {threshold: 1}, {resource: b, threshold: x}]");
    until_error(&watch, "3 errors");
    let (_, error) = watch.status().last_error.unwrap();
    let SourceError::Document { error: InvalidDocument::Rules(rules), .. } = &*error else { panic!("{error}") };
    let places: Vec<_> = rules.errors().iter().map(|error| (error.index, &*error.field)).collect();
    assert_eq!(places, [(0, "threshold"), (1, "resource"), (2, "threshold")]);
}

#[test]
fn a_directory_in_place_of_the_file_is_an_error_until_the_file_is_back() {
    let folder = Folder::new();
    let watch = folder.watched(1);
    let file = folder.file();
    survives(
        &folder,
        &watch,
        "no regular file",
        || {
            // Both at once, so that the file is never seen missing.
            fs::create_dir(file.with_extension("dir")).unwrap();
            fs::remove_file(&file).unwrap();
            fs::rename(file.with_extension("dir"), &file).unwrap();
        },
        || fs::remove_dir(&file).unwrap(),
    );
}

#[cfg(unix)]
#[test]
fn links_that_lead_to_each_other_are_an_error() {
    let folder = Folder::new();
    let watch = folder.watched(1);
    let other = folder.path().join("other.yaml");
    let circle = || {
        std::os::unix::fs::symlink(folder.file(), &other).unwrap();
        let beside = folder.path().join("link");
        std::os::unix::fs::symlink(&other, &beside).unwrap();
        fs::rename(beside, folder.file()).unwrap();
    };
    // Not even the superuser can open this.
    survives(&folder, &watch, "os error 40", circle, || fs::remove_file(&other).unwrap());
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read_is_an_error_until_it_may() {
    use std::{os::unix::fs::PermissionsExt as _, path::Path};

    let folder = Folder::new();
    let allow = |file: &Path, mode| fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
    let probe = folder.path().join("probe");
    fs::write(&probe, "").unwrap();
    allow(&probe, 0o000);
    if fs::read(&probe).is_ok() {
        eprintln!("skipped: the superuser may read everything, so that no permission can be missing");
        return;
    }
    let watch = folder.watched(1);
    let file = folder.file();
    survives(&folder, &watch, "os error 13", || allow(&file, 0o000), || allow(&file, 0o600));
}

#[cfg(unix)]
#[test]
fn a_pipe_in_place_of_the_file_holds_up_nobody() {
    let folder = Folder::new();
    let watch = folder.watched(1);
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    if !made.is_ok_and(|status| status.success()) {
        eprintln!("skipped: there is no mkfifo");
        return;
    }
    survives(&folder, &watch, "no regular file", || fs::rename(&pipe, folder.file()).unwrap(), || {});
}

#[test]
fn a_file_that_is_too_large_is_an_error() {
    let folder = Folder::new();
    fs::write(folder.file(), rules(1)).unwrap();
    let watch = Datasource::new(folder.source()).max_size(100).start_on_thread(&folder.sentinel).unwrap();
    let large = format!("{}# {}", rules(3), "x".repeat(100));
    survives(&folder, &watch, "it may hold 100", || rename_over(&folder.file(), &large), || {});
}

#[test]
fn loading_what_cannot_be_used_changes_nothing() {
    let folder = Folder::new();
    fs::write(folder.file(), rules(1)).unwrap();
    let source = folder.source();
    source.load(&folder.sentinel).unwrap();
    fs::write(folder.file(), "flow: [").unwrap();
    assert!(matches!(source.load(&folder.sentinel), Err(SourceError::Document { .. })));
    fs::write(folder.file(), " ".repeat((16 << 20) + 1)).unwrap();
    assert!(matches!(source.load(&folder.sentinel), Err(SourceError::TooLarge { size: 16777217, max: 16777216, .. })));
    fs::remove_file(folder.file()).unwrap();
    assert!(matches!(source.load(&folder.sentinel), Err(SourceError::Missing { .. })));
    assert!(source.watch(&folder.sentinel).is_err());
    assert!(matches!(FileSource::new(folder.path()).load(&folder.sentinel), Err(SourceError::Unreadable { .. })));
    assert_eq!(folder.threshold(), Some(1.0));
}

#[test]
fn rules_that_are_too_large_together_are_tried_again() {
    let folder = Folder::new();
    let pattern = |letter, length| format!("flow: [{{resource: '{letter}{{{length}}}', regex: true, threshold: 1}}]");
    let other = folder.path().join("other.yaml");
    let source = FileSource::new(&other).source_name("other");
    // As long as it may be, so that there is no room for another of that length.
    let mut length = 1_024;
    loop {
        fs::write(&other, pattern('b', length)).unwrap();
        if source.load(&folder.sentinel).is_err() {
            break;
        }
        assert!(length < 1 << 30, "there is no limit");
        length *= 2;
    }
    fs::write(folder.file(), pattern('a', length / 2)).unwrap();
    let watch = Datasource::new(folder.source()).optional().start_on_thread(&folder.sentinel).unwrap();
    until_error(&watch, "too large together");
    folder.sentinel.rules().clear("other");
    folder.until(1);
    until_status(&watch, |status| status.last_error.is_none() && status.rules == 1);
}

#[test]
fn what_is_odd_about_the_document_is_in_the_status() {
    let folder = Folder::new();
    fs::write(folder.file(), "flow: [{resource: a, threshold: 1, treshold: 2}]\nflwo: []\n").unwrap();
    let watch = folder.source().watch(&folder.sentinel).unwrap();
    let warnings: Vec<_> = watch.status().documents[0].warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "flow rule 1 for `a`: unknown field `treshold`, did you mean `threshold`?",
            "unknown family `flwo`, did you mean `flow`?"
        ]
    );
    rename_over(&folder.file(), rules(1));
    until_status(&watch, |status| status.documents[0].warnings.is_empty());
}
