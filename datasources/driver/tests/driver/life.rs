//! How watches end, and what they tell.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sentinel_core::Sentinel;
use sentinel_datasource::{Datasource, Source, SourceError, State};

use crate::memory::{Connected, Server, flow, long, settle, started, threshold};

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_stopped_or_dropped_leaves_its_rules_and_nothing_else() {
    let server = Server::of(&[("rules", &flow(1))]);
    let (sentinel, watch) = started(&server).await;
    watch.stop().await;
    assert_eq!((watch.status().state, server.0.lock().open), (State::Ended, 0));
    watch.stop().await;
    server.put("rules", &flow(2));
    settle().await;
    assert_eq!(threshold(&sentinel), Some(1.0));

    let (_, watch) = started(&server).await;
    assert_eq!(server.0.lock().open, 1);
    drop(watch);
    settle().await;
    assert_eq!(server.0.lock().open, 0);
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_while_it_connects_too() {
    let server = Server::of(&[("rules", &flow(1))]);
    server.set(|inside| inside.stalls = true);
    let sentinel = Sentinel::default();
    // The caller gives up.
    let start = Datasource::new(server.clone()).timeout(Duration::MAX).start_within(Duration::from_secs(600));
    assert!(tokio::time::timeout(Duration::from_secs(1), start.start(&sentinel)).await.is_err());
    settle().await;
    assert_eq!(server.0.lock().open, 0);

    let watch = Datasource::new(server.clone()).optional().start(&sentinel).await.unwrap();
    watch.stop().await;
    assert_eq!((watch.status().state, server.0.lock().open), (State::Ended, 0));
}

#[test]
fn a_watch_on_a_thread_needs_no_runtime_and_ends_with_its_thread() {
    let server = Server::of(&[("rules", &flow(1))]);
    let sentinel = Sentinel::default();
    let watch = Datasource::new(server.clone()).start_on_thread(&sentinel).unwrap();
    assert_eq!(threshold(&sentinel), Some(1.0));
    server.put("rules", &flow(2));
    let begin = std::time::Instant::now();
    while threshold(&sentinel) != Some(2.0) {
        assert!(begin.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(5));
    }
    watch.stop();
    assert_eq!((watch.status().state, server.0.lock().open), (State::Ended, 0));

    server.put("rules", "flow: 7");
    let error = Datasource::new(server.clone()).start_on_thread(&sentinel).unwrap_err();
    assert!(error.to_string().starts_with("memory: `rules`"), "{error}");
    assert_eq!(server.0.lock().open, 0);
}

/// Fails with an error, or else with a panic, and knows whether the thread is there on which it did.
struct Failing {
    error: Option<SourceError>,
    is_there: Arc<AtomicBool>,
}

/// Goes with its thread, without haste.
struct Presence(Arc<AtomicBool>);

impl Drop for Presence {
    fn drop(&mut self) {
        std::thread::sleep(Duration::from_millis(50));
        self.0.store(false, Ordering::Release);
    }
}

impl Source for Failing {
    type Connection = Connected;

    fn name(&self) -> String {
        "failing".to_owned()
    }

    async fn connect(&mut self) -> Result<Connected, SourceError> {
        thread_local!(static PRESENCE: RefCell<Option<Presence>> = const { RefCell::new(None) });
        self.is_there.store(true, Ordering::Release);
        PRESENCE.set(Some(Presence(Arc::clone(&self.is_there))));
        Err(self.error.clone().expect("an error to fail with"))
    }
}

#[test]
fn a_start_that_fails_has_left_no_thread_behind() {
    let missing = SourceError::Missing { key: "rules".to_owned() };
    for (error, told) in
        [(Some(missing), "`rules` does not exist"), (None, "no thread could be started: it has panicked")]
    {
        let is_there = Arc::<AtomicBool>::default();
        let source = Failing { error, is_there: Arc::clone(&is_there) };
        let error = Datasource::new(source).start_on_thread(&Sentinel::default()).unwrap_err();
        assert!(!is_there.load(Ordering::Acquire), "it has ended");
        assert_eq!(error.to_string(), format!("failing: {told}"));
    }
}

#[test]
fn numbers_have_names_that_metrics_can_have() {
    let server = Server::of(&[("rules", &flow(1))]);
    let watch = Datasource::new(server).start_on_thread(&Sentinel::default()).unwrap();
    let numbers: Vec<_> = watch.status().numbers().collect();
    let of = |name: &str| numbers.iter().find(|(other, _)| *other == name).unwrap().1;
    assert_eq!([of("connected"), of("healthy"), of("rules"), of("applied_total")], [1.0; 4]);
    assert!(of("rules_age_seconds") < 60.0);
}

#[tokio::test]
async fn after_a_stop_nothing_is_put_in_force_any_more() {
    let server = Server::of(&[("rules", &flow(1))]);
    let sentinel = Sentinel::default();
    let watch = Datasource::new(server.clone()).min_interval(Duration::ZERO).start(&sentinel).await.unwrap();
    let reads = || server.0.lock().reads;
    let before = reads();
    server.put("rules", &long(5_000));
    while reads() == before {
        tokio::task::yield_now().await;
    }
    watch.stop().await;
    let left = sentinel.rules().get("memory");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(sentinel.rules().get("memory"), left);
}
