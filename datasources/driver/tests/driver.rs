//! The driver on a clock that is advanced by hand, with a source whose every step the test decides.

use std::{collections::VecDeque, fs, sync::Arc, time::Duration};

use parking_lot::Mutex;
use sentinel_core::{Encoding, Sentinel};
use sentinel_datasource::{
    Backoff, Cause, Connection, Content, Datasource, Document, Outcome, Reading, Source, SourceError, StartError,
    State, Watch, WhenMissing,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

/// A server in memory.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Inside>>, Arc<Notify>);

#[derive(Default)]
struct Inside {
    documents: Vec<(String, Option<String>)>,
    revision: u64,
    is_down: bool,
    denies: bool,
    /// Connections stay, but nothing comes back.
    stalls: bool,
    /// Changes are not told.
    is_silent: bool,
    /// What breaks connections that wait.
    generation: u64,
    connections: Vec<Instant>,
    reads: u64,
    open: usize,
    outcomes: VecDeque<Vec<Outcome>>,
}

impl Server {
    fn of(documents: &[(&str, &str)]) -> Self {
        let server = Self::default();
        for (key, text) in documents {
            server.put(key, text);
        }
        server
    }

    fn put(&self, key: &str, text: &str) {
        self.change(key, Some(text.to_owned()));
    }

    fn delete(&self, key: &str) {
        self.change(key, None);
    }

    fn change(&self, key: &str, text: Option<String>) {
        {
            let mut inside = self.0.lock();
            inside.documents.retain(|(other, _)| other != key);
            inside.documents.push((key.to_owned(), text));
            inside.revision += 1;
        }
        self.1.notify_waiters();
    }

    /// Breaks all connections.
    fn kill(&self) {
        {
            let mut inside = self.0.lock();
            inside.is_down = true;
            inside.generation += 1;
        }
        self.1.notify_waiters();
    }

    fn revive(&self) {
        self.0.lock().is_down = false;
    }

    fn set(&self, change: impl FnOnce(&mut Inside)) {
        change(&mut self.0.lock());
    }
}

struct Connected {
    server: Server,
    generation: u64,
    seen: u64,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.server.0.lock().open -= 1;
    }
}

impl Source for Server {
    type Connection = Connected;

    fn name(&self) -> String {
        "memory".to_owned()
    }

    async fn connect(&mut self) -> Result<Connected, SourceError> {
        let mut inside = self.0.lock();
        inside.connections.push(Instant::now());
        if inside.is_down {
            return Err(SourceError::Unreachable { server: "memory".to_owned(), cause: Cause::text("it is down") });
        }
        if inside.denies {
            return Err(SourceError::Denied { server: "memory".to_owned(), cause: Cause::text("wrong password") });
        }
        inside.open += 1;
        Ok(Connected { server: self.clone(), generation: inside.generation, seen: 0 })
    }
}

impl Connection for Connected {
    async fn read(&mut self) -> Result<Reading, SourceError> {
        if self.server.0.lock().stalls {
            std::future::pending::<()>().await;
        }
        let mut inside = self.server.0.lock();
        inside.reads += 1;
        if inside.generation != self.generation {
            return Err(SourceError::Ended);
        }
        self.seen = inside.revision;
        let document = |(key, text): &(String, Option<String>)| match text {
            Some(text) => Document::new(key, text.clone(), Encoding::detected()),
            None => Document::missing(key),
        };
        Ok(Content::new(inside.documents.iter().map(document)).revision(inside.revision.to_string()).into())
    }

    async fn changed(&mut self) -> Result<(), SourceError> {
        let notify = Arc::clone(&self.server.1);
        loop {
            let told = notify.notified();
            {
                let inside = self.server.0.lock();
                if inside.generation != self.generation {
                    return Err(SourceError::Ended);
                }
                if inside.revision != self.seen && !inside.is_silent {
                    return Ok(());
                }
            }
            told.await;
        }
    }

    async fn settled(&mut self, outcomes: &[Outcome]) -> Result<(), SourceError> {
        self.server.0.lock().outcomes.push_back(outcomes.to_vec());
        Ok(())
    }
}

fn flow(threshold: u32) -> String {
    format!("flow: [{{resource: orders, threshold: {threshold}}}]")
}

fn threshold(sentinel: &Sentinel) -> Option<f64> {
    sentinel.rules().get("memory")?.flow.first().map(|rule| rule.params.threshold)
}

fn error(watch: &Watch) -> String {
    watch.status().last_error.map(|(_, error)| error.to_string()).unwrap_or_default()
}

/// Lets everything that is due happen.
async fn settle() {
    sleep(Duration::from_millis(150)).await;
}

async fn started(server: &Server) -> (Sentinel, Watch) {
    let sentinel = Sentinel::default();
    let watch = Datasource::new(server.clone()).start(&sentinel).await.unwrap();
    (sentinel, watch)
}

#[tokio::test(start_paused = true)]
async fn rules_are_in_force_when_the_start_is_done_and_soon_after_each_change() {
    let server = Server::of(&[("rules", &flow(1))]);
    let (sentinel, watch) = started(&server).await;
    assert_eq!(threshold(&sentinel), Some(1.0));
    let status = watch.status();
    assert!(status.is_healthy());
    assert_eq!((status.rules, status.revision.as_deref(), status.applied, status.connections), (1, Some("1"), 1, 1));

    settle().await;
    server.put("rules", &flow(2));
    tokio::task::yield_now().await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(threshold(&sentinel), Some(2.0), "after a rest a change is in force at once");
}

#[tokio::test(start_paused = true)]
async fn of_changes_in_quick_succession_the_last_one_is_in_force_and_few_are_read() {
    let server = Server::of(&[("rules", &flow(0))]);
    let (sentinel, watch) = started(&server).await;
    for change in 1..=5_000 {
        server.put("rules", &flow(change));
        if change % 5 == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }
    settle().await;
    assert_eq!(threshold(&sentinel), Some(5_000.0));
    let reads = server.0.lock().reads;
    assert!((5..=12).contains(&reads), "5,000 changes within a second were read {reads} times");
    assert!(watch.status().is_healthy());
}

#[tokio::test(start_paused = true)]
async fn what_is_the_same_as_before_is_not_put_in_force_again() {
    let server = Server::of(&[("rules", &flow(1))]);
    let (_sentinel, watch) = started(&server).await;
    for _ in 0..5 {
        server.put("rules", &flow(1));
        settle().await;
    }
    let status = watch.status();
    assert_eq!((status.applied, status.revision.as_deref()), (1, Some("6")));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_document_changes_nothing_and_is_told_with_key_rule_and_field() {
    let server = Server::of(&[("rules", &flow(1))]);
    let (sentinel, watch) = started(&server).await;
    server.put("rules", "flow: [{resource: orders, threshold: -3}]");
    settle().await;
    assert_eq!(threshold(&sentinel), Some(1.0));
    let expected =
        "`rules`: flow rule 1 for `orders`: threshold is -3, but a threshold is a number from 0 to 4294967295";
    assert_eq!(error(&watch), expected);
    assert_eq!(watch.status().state, State::Connected);
    assert_eq!(watch.status().rules, 1);
    assert!(!watch.status().is_healthy());

    sleep(Duration::from_secs(60)).await;
    assert_eq!(watch.status().failed, 1, "the same trouble is told once");

    server.put("rules", &flow(2));
    settle().await;
    assert_eq!((threshold(&sentinel), error(&watch)), (Some(2.0), String::new()));
}

#[tokio::test(start_paused = true)]
async fn each_key_keeps_its_last_good_rules_on_its_own() {
    let server = Server::of(&[
        ("flow", "flow: [{resource: a, threshold: 1}]"),
        ("more", "isolation: [{resource: a, threshold: 1}]"),
    ]);
    let (sentinel, watch) = started(&server).await;
    server.put("flow", "flow: [");
    server.put("more", "isolation: [{resource: a, threshold: 2}]");
    settle().await;
    let rules = sentinel.rules().get("memory").unwrap();
    assert_eq!((rules.flow.len(), rules.isolation.len()), (1, 1));
    assert!(error(&watch).starts_with("`flow`: the document is not"), "{}", error(&watch));
    let documents = watch.status().documents;
    assert_eq!(documents.iter().map(|document| document.error.is_some()).collect::<Vec<_>>(), [true, false]);
    assert_eq!(watch.status().applied, 2);
}

#[tokio::test(start_paused = true)]
async fn of_two_keys_with_a_rule_of_the_same_name_the_later_one_keeps_what_it_had() {
    let named = |id: &str, threshold: u32| format!("flow: [{{id: {id}, resource: r, threshold: {threshold}}}]");
    let server = Server::of(&[("a", &named("x", 1)), ("b", &named("w", 2))]);
    let (sentinel, watch) = started(&server).await;
    let in_force = || {
        let rules = sentinel.rules().get("memory").unwrap().flow;
        rules.iter().map(|rule| (rule.id.clone().unwrap(), rule.params.threshold)).collect::<Vec<_>>()
    };
    server.put("b", &named("x", 3));
    settle().await;
    assert_eq!(in_force(), [("x".to_owned(), 1.0), ("w".to_owned(), 2.0)]);
    assert_eq!(error(&watch), "`b`: the flow rule `x` is in `a` already");

    // Solved by the other key: nobody has to touch the first again.
    server.put("a", &named("z", 4));
    settle().await;
    assert_eq!(in_force(), [("z".to_owned(), 4.0), ("x".to_owned(), 3.0)]);
    assert!(watch.status().is_healthy());
}

#[tokio::test(start_paused = true)]
async fn rules_that_are_refused_together_are_put_in_force_as_far_as_they_can_be() {
    let many = |resource: &str| {
        let rules: Vec<String> = (0..40_000).map(|_| format!("{{resource: {resource}, threshold: 1}}")).collect();
        format!("flow: [{}]", rules.join(", "))
    };
    let server = Server::of(&[("a", &many("r")), ("b", &flow(1))]);
    let (sentinel, watch) = started(&server).await;
    server.put("b", &many("r"));
    server.put("c", &flow(2));
    sleep(Duration::from_secs(2)).await;
    let status = watch.status();
    assert!(error(&watch).starts_with("`b`: 80000 flow rules are about `r`"), "{}", error(&watch));
    assert_eq!(status.documents.iter().map(|document| document.rules).collect::<Vec<_>>(), [40_000, 1, 1]);
    assert_eq!(sentinel.rules().get("memory").unwrap().len(), 40_002);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_gone_keeps_its_rules_unless_they_are_to_go_with_it() {
    for when_missing in [WhenMissing::Keep, WhenMissing::Clear] {
        let server = Server::of(&[("rules", &flow(1))]);
        let sentinel = Sentinel::default();
        let watch = Datasource::new(server.clone()).when_missing(when_missing).start(&sentinel).await.unwrap();
        server.delete("rules");
        settle().await;
        match when_missing {
            WhenMissing::Keep => {
                assert_eq!((threshold(&sentinel), error(&watch).as_str()), (Some(1.0), "`rules` does not exist"));
            }
            WhenMissing::Clear => assert_eq!((threshold(&sentinel), watch.status().rules), (None, 0)),
        }
        assert_eq!(watch.status().is_healthy(), when_missing == WhenMissing::Clear);
        server.put("rules", &flow(2));
        settle().await;
        assert_eq!(threshold(&sentinel), Some(2.0));
        assert!(watch.status().is_healthy());
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_the_source_does_not_name_any_more_is_gone_too() {
    let server = Server::of(&[("a", &flow(1)), ("b", "isolation: [{resource: r, threshold: 1}]")]);
    let sentinel = Sentinel::default();
    let watch = Datasource::new(server.clone()).when_missing(WhenMissing::Clear).start(&sentinel).await.unwrap();
    server.set(|inside| inside.documents.retain(|(key, _)| key != "b"));
    server.put("a", &flow(2));
    settle().await;
    assert_eq!((watch.status().rules, watch.status().documents.len()), (1, 1));
    assert_eq!(threshold(&sentinel), Some(2.0));
}

#[tokio::test(start_paused = true)]
async fn a_document_that_is_too_large_is_refused() {
    let server = Server::of(&[("rules", &flow(1))]);
    let sentinel = Sentinel::default();
    let watch = Datasource::new(server.clone()).max_size(100).start(&sentinel).await.unwrap();
    server.put("rules", &format!("{}{}", flow(2), " ".repeat(100)));
    settle().await;
    assert_eq!(threshold(&sentinel), Some(1.0));
    assert_eq!(error(&watch), "`rules` holds 140 bytes, but it may hold 100");
}

#[tokio::test(start_paused = true)]
async fn what_changed_while_the_server_was_away_is_in_force_when_it_is_back() {
    let server = Server::of(&[("rules", &flow(1))]);
    let (sentinel, watch) = started(&server).await;
    server.kill();
    settle().await;
    assert_eq!(watch.status().state, State::Connecting);
    server.put("rules", &flow(2));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(threshold(&sentinel), Some(1.0));
    assert_eq!(error(&watch), "memory cannot be reached: it is down");

    server.revive();
    let back = Instant::now();
    while threshold(&sentinel) != Some(2.0) {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(back.elapsed() <= Duration::from_secs(3), "{:?}", back.elapsed());
    assert!(watch.status().is_healthy());
    assert_eq!(server.0.lock().open, 1, "the broken connection is gone");
}

#[tokio::test(start_paused = true)]
async fn attempts_to_connect_come_in_growing_pauses() {
    let server = Server::of(&[("rules", &flow(1))]);
    let sentinel = Sentinel::default();
    let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(4));
    let _watch = Datasource::new(server.clone()).backoff(backoff).start(&sentinel).await.unwrap();
    server.kill();
    sleep(Duration::from_secs(120)).await;
    let connections = server.0.lock().connections.clone();
    let pauses: Vec<Duration> = connections.windows(2).skip(1).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.len() < 40, "{}", pauses.len());
    assert!(pauses[0] < Duration::from_millis(500) && pauses.iter().all(|pause| *pause <= Duration::from_secs(8)));
    assert!(pauses[10..].iter().all(|pause| *pause >= Duration::from_secs(4)));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_again_and_again_is_not_made_in_a_hurry() {
    let server = Server::of(&[("rules", &flow(1))]);
    let (_sentinel, _watch) = started(&server).await;
    for _ in 0..60_000 {
        server.set(|inside| inside.generation += 1);
        server.1.notify_waiters();
        sleep(Duration::from_millis(1)).await;
    }
    let connections = server.0.lock().connections.len();
    assert!(connections < 80, "{connections} connections within a minute");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_nobody_tells_of_is_found_by_reading_from_time_to_time() {
    let server = Server::of(&[("rules", &flow(1))]);
    let (sentinel, _watch) = started(&server).await;
    server.set(|inside| inside.is_silent = true);
    server.put("rules", &flow(2));
    sleep(Duration::from_secs(16)).await;
    assert_eq!(threshold(&sentinel), Some(2.0));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_dead_without_a_word_is_made_anew() {
    let server = Server::of(&[("rules", &flow(1))]);
    let (sentinel, watch) = started(&server).await;
    server.set(|inside| inside.stalls = true);
    server.put("rules", &flow(2));
    sleep(Duration::from_secs(30)).await;
    assert_eq!(error(&watch), "reading took longer than 5000 ms");
    server.set(|inside| inside.stalls = false);
    sleep(Duration::from_secs(3 + 5)).await;
    assert_eq!(threshold(&sentinel), Some(2.0));
    assert_eq!(server.0.lock().open, 1);
}

async fn failing(datasource: Datasource<Server>, sentinel: &Sentinel) -> (StartError, Duration) {
    let begin = Instant::now();
    let error = datasource.start(sentinel).await.unwrap_err();
    (error, begin.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_start_waits_for_a_server_that_is_not_there_yet_but_not_for_what_will_not_change() {
    let sentinel = Sentinel::default();
    let server = Server::of(&[("rules", &flow(1))]);
    server.kill();
    let (error, took) = failing(Datasource::new(server.clone()), &sentinel).await;
    assert_eq!(error.to_string(), "memory: memory cannot be reached: it is down");
    assert_eq!(took, Duration::from_secs(5));

    let late = server.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(2)).await;
        late.revive();
    });
    drop(Datasource::new(server.clone()).start(&sentinel).await.unwrap());

    server.set(|inside| inside.denies = true);
    let (error, took) = failing(Datasource::new(server.clone()), &sentinel).await;
    assert_eq!((error.to_string().as_str(), took), ("memory: memory refuses access: wrong password", Duration::ZERO));

    server.set(|inside| (inside.denies, inside.stalls) = (false, true));
    let (error, took) = failing(Datasource::new(server.clone()).timeout(Duration::from_secs(60)), &sentinel).await;
    assert_eq!(
        (error.to_string().as_str(), took),
        ("memory: starting took longer than 5000 ms", Duration::from_secs(5))
    );
}

#[tokio::test(start_paused = true)]
async fn a_start_with_a_wrong_document_puts_nothing_in_force_unless_it_is_optional() {
    let sentinel = Sentinel::default();
    let server = Server::of(&[("a", &flow(1)), ("b", "flow: 7")]);
    let (error, took) = failing(Datasource::new(server.clone()), &sentinel).await;
    assert!(error.to_string().starts_with("memory: `b`: flow rule 1"), "{error}");
    assert_eq!(took, Duration::ZERO);
    assert!(sentinel.rules().get("memory").is_none());
    settle().await;
    assert_eq!(server.0.lock().open, 0, "a start that failed leaves no connection");

    let watch = Datasource::new(server.clone()).optional().start(&sentinel).await.unwrap();
    assert_eq!((threshold(&sentinel), watch.status().is_healthy()), (Some(1.0), false));
}

#[tokio::test(start_paused = true)]
async fn a_start_without_the_key_fails_where_it_has_to_be_there() {
    let sentinel = Sentinel::default();
    let server = Server::default();
    server.delete("rules");
    let (error, _) = failing(Datasource::new(server.clone()), &sentinel).await;
    assert_eq!(error.to_string(), "memory: `rules` does not exist");

    let watch = Datasource::new(server.clone()).when_missing(WhenMissing::Clear).start(&sentinel).await.unwrap();
    assert!(watch.status().is_healthy());
}

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

#[tokio::test(start_paused = true)]
async fn authors_are_told_what_became_of_their_documents() {
    let server = Server::of(&[("a", &flow(1)), ("b", "flow: []")]);
    let (_sentinel, _watch) = started(&server).await;
    server.put("b", "flow: 7");
    settle().await;
    let outcomes: Vec<Vec<(String, Option<usize>)>> = server
        .0
        .lock()
        .outcomes
        .iter()
        .map(|outcomes| {
            outcomes.iter().map(|outcome| (outcome.key.clone(), outcome.result.as_ref().ok().copied())).collect()
        })
        .collect();
    let of = |b| vec![("a".to_owned(), Some(1)), ("b".to_owned(), b)];
    assert_eq!(outcomes, [of(Some(0)), of(None)]);
}

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

#[tokio::test(start_paused = true)]
async fn sources_beside_each_other_own_their_rules() {
    let (one, two) = (Server::of(&[("rules", &flow(1))]), Server::of(&[("rules", &flow(2))]));
    let sentinel = Sentinel::default();
    let first = Datasource::new(one.clone()).name("one").start(&sentinel).await.unwrap();
    let second = Datasource::new(two.clone()).name("two").start(&sentinel).await.unwrap();
    one.put("rules", &flow(3));
    two.put("rules", "flow: 7");
    settle().await;
    let of = |name| sentinel.rules().get(name).unwrap().flow[0].params.threshold;
    assert_eq!((of("one"), of("two")), (3.0, 2.0));
    assert_eq!((first.status().is_healthy(), second.status().is_healthy()), (true, false));
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

#[test]
fn numbers_have_names_that_metrics_can_have() {
    let server = Server::of(&[("rules", &flow(1))]);
    let watch = Datasource::new(server).start_on_thread(&Sentinel::default()).unwrap();
    let numbers: Vec<_> = watch.status().numbers().collect();
    let of = |name: &str| numbers.iter().find(|(other, _)| *other == name).unwrap().1;
    assert_eq!([of("connected"), of("healthy"), of("rules"), of("applied_total")], [1.0; 4]);
    assert!(of("rules_age_seconds") < 60.0);
}

#[tokio::test(start_paused = true)]
async fn any_duration_can_be_asked_for() {
    let server = Server::of(&[("rules", &flow(1))]);
    let datasource = Datasource::new(server.clone()).start_within(Duration::MAX).min_interval(Duration::MAX);
    let longest = datasource.timeout(Duration::MAX).backoff(Backoff::new(Duration::MAX, Duration::MAX));
    let watch = longest.start(&Sentinel::default()).await.unwrap();
    server.put("rules", &flow(2));
    settle().await;
    assert_eq!(watch.status().state, State::Connected);
}

/// A document that takes longer to be put in force than the tests wait for it.
fn long(rules: usize) -> String {
    let rules: Vec<String> = (0..rules).map(|rule| format!(r#"{{"resource": "r{rule}", "threshold": 1}}"#)).collect();
    format!(r#"{{"flow": [{}]}}"#, rules.join(","))
}

#[tokio::test]
async fn what_was_read_in_time_is_in_force_when_the_start_is_done_and_the_status_knows() {
    let server = Server::of(&[("rules", &long(5_000))]);
    let sentinel = Sentinel::default();
    let watch = Datasource::new(server).start_within(Duration::from_millis(1)).start(&sentinel).await.unwrap();
    assert_eq!(sentinel.rules().get("memory").map(|rules| rules.len()), Some(5_000));
    assert_eq!((watch.status().rules, watch.status().applied), (5_000, 1));
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
