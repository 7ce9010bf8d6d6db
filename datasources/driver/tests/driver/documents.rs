//! What is in force of the documents of a source.

use std::time::Duration;

use sentinel_core::Sentinel;
use sentinel_datasource::{Datasource, State, WhenMissing};
use tokio::time::sleep;

use crate::memory::{Server, error, flow, settle, started, threshold};

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
    for key in ["c", "d", "e", "f", "g"] {
        server.put(key, &flow(2));
    }
    server.put("h", &many("r"));
    sleep(Duration::from_secs(2)).await;
    let status = watch.status();
    assert!(error(&watch).starts_with("`b`: 80000 flow rules are about `r`"), "{}", error(&watch));
    let (rules, refused): (Vec<_>, Vec<_>) =
        status.documents.iter().map(|document| (document.rules, document.error.is_some())).unzip();
    assert_eq!(rules, [40_000, 1, 1, 1, 1, 1, 1, 0]);
    assert_eq!(refused, [false, true, false, false, false, false, false, true]);
    assert_eq!(sentinel.rules().get("memory").unwrap().len(), 40_006);
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
