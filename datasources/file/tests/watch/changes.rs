//! Every way in which a file can change.

use std::{
    fs::{self, File},
    io::{Seek as _, Write as _},
    thread,
    time::Duration,
};

use sentinel_file::{Datasource, FileSource, SourceError, WhenMissing};

use crate::{Folder, of, rename_over, rules, until_error, until_status, within_five_seconds};

#[test]
fn what_is_written_into_the_file_is_in_force_within_a_second() {
    let folder = Folder::new();
    let watch = folder.watched(1);
    assert_eq!(folder.threshold(), Some(1.0), "at once");
    assert_eq!(watch.status().remark, None);
    for threshold in 2..6 {
        fs::write(folder.file(), rules(threshold)).unwrap();
        let took = folder.until(threshold);
        println!("written: in force after {took:?}");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    until_status(&watch, |status| status.applied == 5 && status.rules == 1 && status.last_success.is_some());
}

#[test]
fn a_rename_over_the_file_is_in_force_within_a_second_again_and_again() {
    let folder = Folder::new();
    let _watch = folder.watched(1);
    for threshold in 2..6 {
        rename_over(&folder.file(), rules(threshold));
        let took = folder.until(threshold);
        println!("renamed over: in force after {took:?}");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

#[test]
fn a_file_that_is_deleted_keeps_its_rules_and_one_made_anew_is_seen() {
    let folder = Folder::new();
    let watch = folder.watched(1);
    for threshold in 2..5 {
        fs::remove_file(folder.file()).unwrap();
        until_status(&watch, |status| {
            status.last_error.as_ref().is_some_and(|(_, error)| matches!(**error, SourceError::Missing { .. }))
        });
        assert_eq!(folder.threshold(), Some(f64::from(threshold - 1)));
        fs::write(folder.file(), rules(threshold)).unwrap();
        folder.until(threshold);
        until_status(&watch, |status| status.last_error.is_none());
    }
}

#[test]
fn rules_go_with_their_file_where_that_is_asked_for() {
    let folder = Folder::new();
    fs::write(folder.file(), "flow: [{resource: orders, threshold: 1, treshold: 1}]").unwrap();
    let watch =
        Datasource::new(folder.source()).when_missing(WhenMissing::Clear).start_on_thread(&folder.sentinel).unwrap();
    for threshold in 2..4 {
        fs::remove_file(folder.file()).unwrap();
        within_five_seconds(|| folder.threshold().is_none(), || format!("{:?}", folder.threshold()));
        until_status(&watch, |status| {
            status.rules == 0 && status.documents[0].warnings.is_empty() && status.is_healthy()
        });
        fs::write(folder.file(), rules(threshold)).unwrap();
        folder.until(threshold);
    }
    rename_over(&folder.file(), "flow: [");
    until_error(&watch, "YAML");
    assert_eq!(folder.threshold(), Some(3.0), "a file that is there and wrong is not missing");
}

#[cfg(unix)]
#[test]
fn the_swap_of_links_that_kubernetes_makes_is_seen() {
    use std::os::unix::fs::symlink;

    let folder = Folder::new();
    let volume = folder.path();
    let publish = |version: u32| {
        let name = format!("..2026_{version}");
        fs::create_dir(volume.join(&name)).unwrap();
        fs::write(volume.join(&name).join("flow.yaml"), rules(version)).unwrap();
        symlink(&name, volume.join("..data_tmp")).unwrap();
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
        // The version before goes at once.
        let _ = fs::remove_dir_all(volume.join(format!("..2026_{}", version - 1)));
    };
    publish(1);
    symlink("..data/flow.yaml", folder.file()).unwrap();
    let watch = folder.source().watch(&folder.sentinel).unwrap();
    assert_eq!(folder.threshold(), Some(1.0));
    for version in 2..6 {
        publish(version);
        let took = folder.until(version);
        println!("swapped: in force after {took:?}");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    until_status(&watch, |status| status.applied == 5);
    assert!(watch.status().last_error.is_none());
    assert_eq!(watch.status().remark, None);
    fs::write(volume.join("..data/flow.yaml"), rules(9)).unwrap();
    folder.until(9);
}

#[cfg(unix)]
#[test]
fn a_change_in_the_folder_that_a_link_leads_to_is_seen_and_so_is_another_link() {
    use std::os::unix::fs::symlink;

    let folder = Folder::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let (first, second) = (elsewhere.path().join("first.yaml"), elsewhere.path().join("second.yaml"));
    fs::write(&first, rules(1)).unwrap();
    fs::write(&second, rules(3)).unwrap();
    symlink(&first, folder.file()).unwrap();
    let _watch = folder.source().watch(&folder.sentinel).unwrap();
    rename_over(&first, rules(2));
    folder.until(2);
    fs::remove_file(folder.file()).unwrap();
    symlink(&second, folder.file()).unwrap();
    folder.until(3);
    rename_over(&second, rules(4));
    folder.until(4);
}

#[test]
fn a_file_written_piece_by_piece_is_in_force_once_it_is_whole() {
    let folder = Folder::new();
    let watch = folder.watched(1);
    let whole = rules(2);
    let (half, rest) = whole.split_at(whole.len() - 5);
    let mut file = File::create(folder.file()).unwrap();
    file.write_all(half.as_bytes()).unwrap();
    until_error(&watch, "YAML");
    assert_eq!(folder.threshold(), Some(1.0), "half a file changes nothing");
    file.write_all(rest.as_bytes()).unwrap();
    folder.until(2);
    until_status(&watch, |status| status.last_error.is_none() && status.failed > 0);
}

#[test]
fn a_folder_that_is_deleted_and_made_anew_is_seen_without_polling() {
    let folder = Folder::new();
    let inner = folder.path().join("outer/inner");
    let file = inner.join("flow.yaml");
    fs::create_dir_all(&inner).unwrap();
    fs::write(&file, rules(1)).unwrap();
    let watch = of(&file).watch(&folder.sentinel).unwrap();
    for threshold in [2, 4, 6] {
        fs::remove_dir_all(folder.path().join("outer")).unwrap();
        until_error(&watch, "does not exist");
        fs::create_dir_all(&inner).unwrap();
        fs::write(&file, rules(threshold)).unwrap();
        let took = folder.until(threshold);
        println!("folder made anew: in force after {took:?}");
        assert!(took < Duration::from_secs(1), "{took:?}");
        fs::write(&file, rules(threshold + 1)).unwrap();
        folder.until(threshold + 1);
    }
}

#[test]
fn a_folder_that_another_one_takes_the_place_of_at_once_is_seen() {
    let folder = Folder::new();
    let (inner, old) = (folder.path().join("inner"), folder.path().join("old"));
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("flow.yaml"), rules(1)).unwrap();
    let _watch = of(&inner.join("flow.yaml")).watch(&folder.sentinel).unwrap();
    fs::rename(&inner, old).unwrap();
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("flow.yaml"), rules(2)).unwrap();
    folder.until(2);
    fs::write(inner.join("flow.yaml"), rules(3)).unwrap();
    folder.until(3);
}

#[test]
fn polling_alone_sees_every_change() {
    let folder = Folder::new();
    fs::write(folder.file(), rules(1)).unwrap();
    let source = folder.source().poll_only().poll_interval(Duration::from_millis(20));
    let watch = source.watch(&folder.sentinel).unwrap();
    assert_eq!(watch.status().remark.as_deref(), Some("the file is polled: polling was asked for"));
    rename_over(&folder.file(), rules(2));
    folder.until(2);
    fs::remove_file(folder.file()).unwrap();
    until_error(&watch, "does not exist");
    fs::write(folder.file(), rules(3)).unwrap();
    folder.until(3);
    fs::write(folder.file(), "").unwrap();
    until_error(&watch, "empty");
    fs::write(folder.file(), rules(4)).unwrap();
    folder.until(4);
}

#[test]
fn polling_sees_a_change_that_keeps_length_and_time() {
    let folder = Folder::new();
    fs::write(folder.file(), rules(1)).unwrap();
    let modified = fs::metadata(folder.file()).unwrap().modified().unwrap();
    let source = folder.source().poll_only().poll_interval(Duration::from_millis(20));
    let _watch = source.watch(&folder.sentinel).unwrap();
    let mut file = File::options().write(true).open(folder.file()).unwrap();
    for threshold in 2..20 {
        file.rewind().unwrap();
        file.write_all(rules(threshold).as_bytes()).unwrap();
        file.set_modified(modified).unwrap();
        folder.until(threshold);
    }
}

#[test]
fn of_thousands_of_quick_changes_the_last_one_is_in_force() {
    let folder = Folder::new();
    let watch = folder.watched(1);
    for threshold in 2..5_000 {
        if threshold % 2 == 0 {
            fs::write(folder.file(), rules(threshold)).unwrap();
        } else {
            rename_over(&folder.file(), rules(threshold));
        }
    }
    let took = folder.until(4_999);
    until_status(&watch, |status| status.last_error.is_none());
    let applied = watch.status().applied;
    println!("of 5000 changes, {applied} were put in force, the last one after {took:?}");
    assert!(applied < 500, "changes in quick succession are taken together: {applied}");
}

#[test]
fn what_happens_beside_the_file_does_not_hold_it_up() {
    let folder = Folder::new();
    let _watch = folder.watched(1);
    rename_over(&folder.file(), rules(2));
    let noise = folder.path().join("noise");
    within_five_seconds(
        || {
            fs::write(&noise, "x").unwrap();
            folder.threshold() == Some(2.0)
        },
        || format!("{:?}", folder.threshold()),
    );
}

#[test]
fn nothing_of_a_file_that_is_being_written_is_in_force_told_or_polled() {
    for poll_only in [false, true] {
        let folder = Folder::new();
        fs::write(folder.file(), rules(1)).unwrap();
        let source = folder.source().debounce(Duration::from_millis(150)).poll_interval(Duration::from_millis(10));
        let source = if poll_only { source.poll_only() } else { source };
        let watch = source.watch(&folder.sentinel).unwrap();
        // Each state of it is a document.
        let mut file = File::create(folder.file()).unwrap();
        writeln!(file, "flow:\n- {{resource: orders, threshold: 2}}").unwrap();
        let written = within_five_seconds(
            || {
                writeln!(&file, "- {{resource: orders, threshold: 3}}").unwrap();
                watch.status().last_error.is_some()
            },
            || "it counts as settled".to_owned(),
        );
        println!("given up after {written:?}");
        assert!(matches!(&*watch.status().last_error.unwrap().1, SourceError::Unreadable { .. }));
        assert_eq!((folder.threshold(), watch.status().applied), (Some(1.0), 1), "the last good rules");
        folder.until(2);
        until_status(&watch, |status| status.last_error.is_none() && status.applied == 2 && status.rules > 2);
    }
}

#[test]
fn the_last_of_many_saves_is_in_force_whenever_it_comes() {
    for saves in 22..32 {
        let folder = Folder::new();
        let _watch = folder.watched(1);
        for threshold in 2..saves {
            rename_over(&folder.file(), rules(threshold));
            thread::sleep(Duration::from_millis(20));
        }
        folder.until(saves - 1);
    }
}

#[test]
fn without_a_debounce_no_save_is_lost() {
    let folder = Folder::new();
    fs::write(folder.file(), rules(1)).unwrap();
    let watch = folder.source().debounce(Duration::ZERO).watch(&folder.sentinel).unwrap();
    for threshold in 2..100 {
        fs::write(folder.file(), rules(threshold)).unwrap();
        if threshold % 3 == 0 {
            folder.until(threshold);
        }
    }
    folder.until(99);
    until_status(&watch, |status| status.last_error.is_none());
}

#[test]
fn ten_megabytes_of_rules_are_loaded_and_so_is_a_change_of_them() {
    let folder = Folder::new();
    let file = folder.path().join("flow.json");
    let rule = |number: usize| {
        format!(
            "{{\"resource\": \"GET /a/rather/long/path/to/some/{{thing}}/{number}\", \"threshold\": {number}, \
             \"behavior\": \"throttle\", \"maxQueueingTimeMs\": 100}}"
        )
    };
    let mut count = 10_000_000 / rule(10_000).len();
    let write = |count| {
        let rules: Vec<_> = (0..count).map(rule).collect();
        let text = format!("{{\"flow\": [\n{}\n]}}", rules.join(",\n"));
        rename_over(&file, &text);
        text.len()
    };
    let size = write(count);
    assert!(size > 10_000_000, "{size}");
    let start = std::time::Instant::now();
    let loaded = FileSource::new(&file).load(&folder.sentinel).unwrap();
    println!("{count} rules in {size} bytes: in force after {:?}", start.elapsed());
    assert_eq!((loaded.rules, loaded.changes.added), (count, count));

    let watch = of(&file).watch(&folder.sentinel).unwrap();
    count += 1;
    write(count);
    let start = std::time::Instant::now();
    while watch.status().rules != count {
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", watch.status().last_error);
        thread::sleep(Duration::from_millis(20));
    }
    println!("one rule more: in force after {:?}", start.elapsed());
}

#[test]
fn a_file_that_is_read_more_often_than_it_rests_is_seen_and_never_half_of_it() {
    let folder = Folder::new();
    fs::write(folder.file(), rules(1)).unwrap();
    let source = folder.source().poll_only().debounce(Duration::from_millis(500));
    let datasource = Datasource::new(source).resync_interval(Duration::from_millis(100));
    let _watch = datasource.start_on_thread(&folder.sentinel).unwrap();

    let mut file = File::create(folder.file()).unwrap();
    let mut write = |line: &str| file.write_all(line.as_bytes()).unwrap();
    write("flow:\n- {resource: orders, threshold: 2}\n");
    for _ in 0..40 {
        thread::sleep(Duration::from_millis(20));
        assert_eq!(folder.threshold(), Some(1.0));
        write("- {resource: more, threshold: 2}\n");
    }
    folder.until(2);
    assert_eq!(folder.sentinel.rules().get("file").unwrap().len(), 41);
}
