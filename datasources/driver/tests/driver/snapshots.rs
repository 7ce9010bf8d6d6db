//! Rules that are kept on disk.

use std::{fs, time::Duration};

use sentinel_core::Sentinel;
use sentinel_datasource::{Datasource, WhenMissing};
use tokio::time::{Instant, sleep};

use crate::memory::{Server, error, failing, flow, threshold};

#[tokio::test]
async fn a_snapshot_is_what_a_start_falls_back_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.snapshot");
    let server = Server::of(&[("rules", &flow(1))]);
    let source = || Datasource::new(server.clone()).start_within(Duration::from_millis(300)).snapshot(&path);

    let sentinel = Sentinel::default();
    server.kill();
    let (error, _) = failing(source(), &sentinel).await;
    assert_eq!(error.to_string(), "memory: memory cannot be reached: it is down", "there is no snapshot yet");

    server.revive();
    source().start(&sentinel).await.unwrap().stop().await;
    server.kill();
    server.put("rules", &flow(2));

    let sentinel = Sentinel::default();
    let watch = source().start(&sentinel).await.unwrap();
    assert_eq!(threshold(&sentinel), Some(1.0));
    let status = watch.status();
    assert!(status.from_snapshot && !status.is_healthy() && status.rules == 1);
    assert!(error_text(&status).contains("it is down"));

    server.revive();
    while watch.status().from_snapshot {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(threshold(&sentinel), Some(2.0));
    assert!(watch.status().is_healthy());
    watch.stop().await;

    // A document that is wrong is no more use than a server that is down.
    server.put("rules", "flow: 7");
    let sentinel = Sentinel::default();
    let watch = source().start(&sentinel).await.unwrap();
    assert_eq!(threshold(&sentinel), Some(2.0));
    assert!(watch.status().from_snapshot);

    fs::write(&path, "{}").unwrap();
    let (error, _) = failing(source(), &Sentinel::default()).await;
    assert!(error.to_string().starts_with("memory: `rules`: flow rule 1"), "{error}");
}

fn error_text(status: &sentinel_datasource::Status) -> String {
    status.last_error.as_ref().map(|(_, error)| error.to_string()).unwrap_or_default()
}

#[tokio::test]
async fn rules_that_are_refused_at_a_start_leave_those_of_the_snapshot_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let named = |id: &str, threshold| format!("flow: [{{id: {id}, resource: orders, threshold: {threshold}}}]");
    let server = Server::of(&[("a", &named("one", 1)), ("b", &named("two", 2))]);
    let source = || Datasource::new(server.clone()).snapshot(folder.path().join("rules.snapshot"));
    source().start(&Sentinel::default()).await.unwrap().stop().await;

    server.put("a", &named("one", 3));
    server.put("b", &named("one", 4));
    let sentinel = Sentinel::default();
    let watch = source().start(&sentinel).await.unwrap();
    let in_force: Vec<f64> =
        sentinel.rules().get("memory").unwrap().flow.iter().map(|rule| rule.params.threshold).collect();
    assert_eq!((in_force, watch.status().rules), (vec![3.0, 2.0], 2));
    assert_eq!(error(&watch), "`b`: the flow rule `one` is in `a` already");
}

#[tokio::test]
async fn an_optional_start_with_a_broken_document_has_its_rules_from_the_snapshot_and_keeps_them_there() {
    let folder = tempfile::tempdir().unwrap();
    let isolation = |threshold| format!("isolation: [{{resource: r, threshold: {threshold}}}]");
    let server = Server::of(&[("a", &flow(1)), ("b", &isolation(1))]);
    let source = || {
        let source = Datasource::new(server.clone()).snapshot(folder.path().join("rules.snapshot"));
        source.start_within(Duration::from_millis(300))
    };
    source().start(&Sentinel::default()).await.unwrap().stop().await;

    server.put("a", "flow: 7");
    server.put("b", &isolation(2));
    // The second time, from what the first one has left on disk.
    for _ in 0..2 {
        let sentinel = Sentinel::default();
        let watch = source().optional().start(&sentinel).await.unwrap();
        let rules = sentinel.rules().get("memory").unwrap();
        assert_eq!((rules.flow[0].params.threshold, rules.isolation[0].params.threshold), (1.0, 2));
        assert!(!watch.status().is_healthy());
        watch.stop().await;
        server.kill();
    }
}

#[tokio::test]
async fn a_snapshot_does_not_bring_back_what_the_source_has_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let isolation = "isolation: [{resource: r, threshold: 1}]";
    for (when_missing, left) in [(WhenMissing::Clear, 0), (WhenMissing::Keep, 1)] {
        let server = Server::of(&[("a", &flow(1)), ("b", isolation)]);
        let source = || {
            Datasource::new(server.clone()).when_missing(when_missing).snapshot(folder.path().join("rules.snapshot"))
        };
        source().start(&Sentinel::default()).await.unwrap().stop().await;

        server.put("a", "flow: 7");
        server.delete("b");
        let sentinel = Sentinel::default();
        let _watch = source().start(&sentinel).await.unwrap();
        assert_eq!(threshold(&sentinel), Some(1.0));
        assert_eq!(sentinel.rules().get("memory").unwrap().isolation.len(), left);
    }
}

#[tokio::test]
async fn a_snapshot_that_could_not_be_written_is_written_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("later/rules.snapshot");
    let server = Server::of(&[("rules", &flow(1))]);
    let source = Datasource::new(server).snapshot(&path).resync_interval(Duration::from_millis(100));
    let watch = source.start(&Sentinel::default()).await.unwrap();
    let status = watch.status();
    assert!(status.is_healthy() && status.snapshot_error.unwrap().to_string().contains("later/rules.snapshot"));
    fs::create_dir(path.parent().unwrap()).unwrap();
    let begin = Instant::now();
    while watch.status().snapshot_error.is_some() {
        assert!(begin.elapsed() < Duration::from_secs(5));
        sleep(Duration::from_millis(10)).await;
    }
    assert!(path.exists());
}
