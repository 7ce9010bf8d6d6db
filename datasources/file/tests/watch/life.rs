//! How watches begin and end, and what belongs to them.

use std::{
    fs,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use sentinel_core::{Event, FlowRule, Format, Rules};
use sentinel_file::{Datasource, FileSource, SourceError, State};

use crate::{Folder, rename_over, rules, until_status, within_five_seconds};

#[test]
fn a_watch_that_needs_the_file_fails_without_it_and_an_optional_one_waits_for_it() {
    let folder = Folder::new();
    let refused = folder.source().watch(&folder.sentinel).unwrap_err();
    assert!(matches!(*refused.error, SourceError::Missing { .. }), "{refused}");
    let watch = Datasource::new(folder.source()).optional().start_on_thread(&folder.sentinel).unwrap();
    let status = watch.status();
    assert!(status.last_error.as_ref().is_some_and(|(_, error)| matches!(**error, SourceError::Missing { .. })));
    assert_eq!((status.applied, status.failed, status.rules), (0, 1, 0));
    fs::write(folder.file(), rules(1)).unwrap();
    folder.until(1);
}

#[test]
fn where_the_extension_says_nothing_the_file_itself_does() {
    let folder = Folder::new();
    let file = folder.path().join("rules.conf");
    fs::write(&file, rules(1)).unwrap();
    let source = FileSource::new(&file).source_name("file");
    for format in [Format::Yaml, Format::Json, Format::Toml] {
        source.clone().format(format).save(&Rules::new().flow([FlowRule::new("orders", 3.0)])).unwrap();
        source.load(&folder.sentinel).unwrap();
        assert_eq!(folder.threshold(), Some(3.0), "{format}");
        fs::write(&file, rules(1)).unwrap();
        source.load(&folder.sentinel).unwrap();
        assert_eq!(folder.threshold(), Some(1.0));
    }
    let refused = source.format(Format::Json).load(&folder.sentinel).unwrap_err();
    assert!(refused.to_string().contains("the document is not JSON"), "{refused}");
}

#[test]
fn stopping_is_prompt_and_twice_is_fine() {
    let folder = Folder::new();
    let watch = folder.watched(1);
    let start = Instant::now();
    watch.stop();
    let took = start.elapsed();
    println!("stopped after {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    watch.stop();
    assert_eq!(watch.status().state, State::Ended);
    assert_eq!(watch.status().rules, 1);

    fs::write(folder.file(), rules(2)).unwrap();
    let again = folder.source().watch(&folder.sentinel).unwrap();
    assert_eq!((folder.threshold(), watch.status().applied), (Some(2.0), 1));
    drop(again);
    assert_eq!(folder.threshold(), Some(2.0), "the rules stay in force");
}

#[test]
fn stopping_is_prompt_also_while_the_file_keeps_changing() {
    let folder = Folder::new();
    fs::write(folder.file(), rules(1)).unwrap();
    let watch = folder.source().debounce(Duration::from_secs(60)).watch(&folder.sentinel).unwrap();
    fs::write(folder.file(), rules(2)).unwrap();
    let start = Instant::now();
    drop(watch);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(folder.threshold(), Some(1.0));
}

#[test]
fn many_may_stop_at_once() {
    let folder = Folder::new();
    let watch = folder.watched(1);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| watch.stop());
        }
    });
    assert_eq!(watch.status().state, State::Ended);
}

#[test]
fn a_listener_may_ask_for_the_status_and_stop_the_watch_on_its_own_thread() {
    let folder = Folder::new();
    let watch = Arc::new(Mutex::new(None));
    *watch.lock().unwrap() = Some(folder.watched(1));
    let heard = Arc::new(Mutex::new(None));
    let _subscription = folder.sentinel.subscribe({
        let (watch, heard) = (Arc::clone(&watch), Arc::clone(&heard));
        move |event| {
            if matches!(event, Event::RulesReplaced { source: "file", .. })
                && let Some(watch) = watch.lock().unwrap().take()
            {
                let status = watch.status();
                watch.stop();
                *heard.lock().unwrap() = Some(status);
            }
        }
    });
    rename_over(&folder.file(), rules(2));
    within_five_seconds(|| heard.lock().unwrap().is_some(), || "nothing heard".to_owned());
    assert_eq!(heard.lock().unwrap().as_ref().map(|status| status.applied), Some(1), "as it was before the change");
}

#[test]
fn a_listener_that_panics_does_not_end_the_watch() {
    let folder = Folder::new();
    let watch = folder.watched(1);
    let _subscription = folder.sentinel.subscribe(|_| panic!("as this test wants it"));
    rename_over(&folder.file(), rules(2));
    folder.until(2);
    rename_over(&folder.file(), rules(3));
    folder.until(3);
    assert_ne!(watch.status().state, State::Ended);
}

#[test]
fn each_file_owns_its_part() {
    let folder = Folder::new();
    let code = Rules::new().flow([FlowRule::new("code", 5.0)]);
    folder.sentinel.rules().replace("code", code.clone()).unwrap();
    let _first = folder.watched(1);
    let other = folder.path().join("other.json");
    fs::write(&other, r#"{"flow": [{"resource": "mail", "threshold": 7}]}"#).unwrap();
    let second = FileSource::new(&other).watch(&folder.sentinel).unwrap();
    assert_eq!(second.status().source, format!("file:{}", other.display()));
    fs::write(&other, "{}").unwrap();
    until_status(&second, |status| status.applied == 2 && status.rules == 0);
    assert_eq!(folder.threshold(), Some(1.0));
    rename_over(&folder.file(), rules(2));
    folder.until(2);
    assert_eq!(second.status().applied, 2);
    assert_eq!(folder.sentinel.rules().get("code"), Some(code));
}
