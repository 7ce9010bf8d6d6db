//! Saving rules to files.

use std::{fs, thread};

use sentinel_core::{FlowRule, Format, Rules, Sentinel};
use sentinel_datasource::Source;
use sentinel_file::{FileSource, SaveError, save};

fn rules(threshold: f64) -> Rules {
    Rules::new().flow([FlowRule::new("orders", threshold)])
}

#[test]
fn what_was_saved_can_be_loaded_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.json", "a.yaml", "a.yml", "a.toml"] {
        let source = FileSource::new(folder.path().join(name));
        source.save(&rules(7.0)).unwrap();
        let sentinel = Sentinel::default();
        assert_eq!(source.load(&sentinel).unwrap().rules, 1, "{name}");
        assert_eq!(sentinel.rules().get(&Source::name(&source)), Some(rules(7.0)), "{name}");
    }
}

#[test]
fn nothing_else_is_left_in_the_folder_also_when_saving_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flow.json");
    save(&path, &rules(1.0), Format::Json).unwrap();
    save(&path, &rules(2.0), Format::Json).unwrap();
    // A folder cannot be replaced by a file.
    let taken = folder.path().join("taken.json");
    fs::create_dir_all(taken.join("inner")).unwrap();
    assert!(save(&taken, &rules(1.0), Format::Json).is_err());
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["flow.json", "taken.json"]);
    let nowhere = folder.path().join("no/such/folder/flow.json");
    let error = save(&nowhere, &rules(1.0), Format::Json).unwrap_err();
    assert!(matches!(error, SaveError::Io { .. }), "{error}");
    assert!(error.to_string().starts_with(&nowhere.display().to_string()), "{error}");
}

#[cfg(unix)]
#[test]
fn permissions_and_links_stay_as_they_are() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    let folder = tempfile::tempdir().unwrap();
    let (target, link) = (folder.path().join("real.json"), folder.path().join("flow.json"));
    fs::write(&target, "{}").unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real.json", &link).unwrap();
    save(&link, &rules(3.0), Format::Json).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::read_to_string(&target).unwrap().contains("orders"));

    let new = folder.path().join("new.json");
    save(&new, &rules(3.0), Format::Json).unwrap();
    assert_eq!(fs::metadata(&new).unwrap().permissions().mode() & 0o777, 0o600);
}

#[cfg(unix)]
#[test]
fn a_file_stays_that_of_its_owner() {
    use std::os::unix::fs::{MetadataExt as _, chown};

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flow.json");
    fs::write(&path, "{}").unwrap();
    if let Err(error) = chown(&path, Some(12345), Some(23456)) {
        eprintln!("skipped: only the superuser may give files away: {error}");
        return;
    }
    save(&path, &rules(1.0), Format::Json).unwrap();
    let after = fs::metadata(&path).unwrap();
    assert_eq!((after.uid(), after.gid()), (12345, 23456));
}

#[cfg(unix)]
#[test]
fn a_link_to_a_file_that_is_not_there_yet_stays_one_and_a_circle_is_an_error() {
    use std::os::unix::fs::symlink;

    let folder = tempfile::tempdir().unwrap();
    let [link, middle, circle] = ["flow.json", "middle.json", "circle.json"].map(|name| folder.path().join(name));
    fs::create_dir(folder.path().join("inner")).unwrap();
    symlink("middle.json", &link).unwrap();
    symlink("inner/real.json", &middle).unwrap();
    save(&link, &rules(3.0), Format::Json).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::symlink_metadata(&middle).unwrap().is_symlink());
    assert!(fs::read_to_string(folder.path().join("inner/real.json")).unwrap().contains("orders"));

    symlink("circle.json", &circle).unwrap();
    assert!(matches!(save(&circle, &rules(1.0), Format::Json), Err(SaveError::Io { .. })));
    assert!(fs::symlink_metadata(&circle).unwrap().is_symlink());
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_replaced_by_one() {
    use std::os::unix::net::UnixListener;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flow.json");
    let _socket = UnixListener::bind(&path).unwrap();
    assert!(matches!(save(&path, &rules(1.0), Format::Json), Err(SaveError::Io { .. })));
    assert!(!fs::metadata(&path).unwrap().is_file());
}

#[test]
fn whoever_reads_while_many_save_reads_something_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flow.yaml");
    save(&path, &rules(0.0), Format::Yaml).unwrap();
    thread::scope(|scope| {
        for number in 1..4 {
            let path = &path;
            scope.spawn(move || (0..50).for_each(|_| save(path, &rules(f64::from(number)), Format::Yaml).unwrap()));
        }
        for _ in 0..200 {
            let parsed = Rules::parse(&fs::read(&path).unwrap(), Format::Yaml).unwrap();
            assert_eq!(parsed.rules.len(), 1);
        }
    });
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
