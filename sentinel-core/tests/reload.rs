//! Rules that change while calls run.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use sentinel_core::{Decision, Event, FlowRule, IsolationRule, ManualClock, ReplaceError, Rules, Sentinel};

fn instance() -> (ManualClock, Sentinel) {
    let clock = ManualClock::new();
    clock.advance(Duration::from_secs(60));
    let sentinel = Sentinel::builder().clock(clock.clone()).build().expect("valid");
    (clock, sentinel)
}

fn put(sentinel: &Sentinel, rules: impl IntoIterator<Item = FlowRule>) {
    sentinel.rules().replace("code", Rules::new().flow(rules)).expect("valid");
}

fn admitted(sentinel: &Sentinel, tries: usize) -> usize {
    (0..tries).filter(|_| sentinel.enter("r").immediately().is_ok()).count()
}

#[test]
fn rules_act_on_resources_that_are_there_already() {
    let (_clock, sentinel) = instance();
    assert_eq!(admitted(&sentinel, 5), 5);
    put(&sentinel, [FlowRule::new("r", 2.0)]);
    assert_eq!(admitted(&sentinel, 5), 2);
    put(&sentinel, []);
    assert_eq!(admitted(&sentinel, 5), 5);
}

#[test]
fn names_that_are_made_are_unique_so_equal_rules_are_unchanged() {
    let (_clock, sentinel) = instance();
    let rules = || [FlowRule::new("a", 1.0), FlowRule::new("a", 2.0), FlowRule::new("b", 3.0).id("flow:a#1")];
    put(&sentinel, rules());
    let changes = sentinel.rules().replace("code", Rules::new().flow(rules())).expect("valid");
    assert_eq!((changes.unchanged, changes.added, changes.changed, changes.removed), (3, 0, 0, 0));
    let snapshot = sentinel.resource("a").snapshot();
    let ids: Vec<_> = snapshot.rules.iter().map(|rule| &*rule.id).collect();
    assert_eq!(ids, ["flow:a#0", "flow:a#2"]);
}

/// The names of the rules in force on `r`, each with its threshold.
fn in_force(sentinel: &Sentinel) -> Vec<(String, f64)> {
    let rules = sentinel.snapshot_of("r").expect("it was entered").rules;
    rules.iter().map(|rule| (rule.id.to_string(), rule.threshold)).collect()
}

#[test]
fn rules_without_a_name_are_found_again_by_what_they_say() {
    let (_clock, sentinel) = instance();
    let rule = |permits: f64, minutes: u64| FlowRule::new("r", permits).per(Duration::from_secs(60 * minutes));
    let known = |id: &str, threshold| (id.to_owned(), threshold);
    put(&sentinel, [rule(5.0, 1), rule(6.0, 2), rule(7.0, 3)]);
    assert_eq!(admitted(&sentinel, 3), 3);

    put(&sentinel, [rule(7.0, 3), rule(6.0, 2)]);
    assert_eq!(
        in_force(&sentinel),
        [known("flow:r#2", 7.0), known("flow:r#1", 6.0)],
        "one is gone, two changed places"
    );
    assert_eq!(admitted(&sentinel, 9), 3, "and six have had three");

    put(&sentinel, [rule(9.0, 2), rule(8.0, 5), rule(7.0, 3)]);
    let expected = [known("flow:r#1", 9.0), known("flow:r#0", 8.0), known("flow:r#2", 7.0)];
    assert_eq!(in_force(&sentinel), expected, "one is changed, one is new");
    assert_eq!(admitted(&sentinel, 9), 1, "seven have had six");

    let named = rule(7.0, 3).id("flow:r#1");
    let changes = sentinel.rules().replace("code", Rules::new().flow([rule(9.0, 2), named])).expect("valid");
    assert_eq!((changes.added, changes.changed, changes.removed, changes.unchanged), (0, 2, 1, 0));
    assert_eq!(
        in_force(&sentinel),
        [known("flow:r#0", 9.0), known("flow:r#1", 7.0)],
        "a name that is given goes first"
    );
}

#[test]
fn more_rules_on_a_resource_than_a_call_can_be_led_through_are_refused() {
    let (_clock, sentinel) = instance();
    let rules = |count| Rules::new().isolation(vec![IsolationRule::new("r", 7); count]);
    let refused = sentinel.rules().replace("code", rules(65_535)).expect_err("too many");
    let ReplaceError::TooMany { family, resource, count } = &refused else { panic!("{refused}") };
    assert_eq!((*family, &**resource, *count), ("isolation", "r", 65_535));
    assert_eq!(
        refused.to_string(),
        "65535 isolation rules are about `r`, patterns and default rules included: 65534 at most may be"
    );
    assert!(sentinel.rules().get("code").is_none(), "nothing changes");

    sentinel.rules().replace("code", rules(65_534)).expect("valid");
    let inside: Vec<_> = (0..9).map_while(|_| sentinel.enter("r").immediately().ok()).collect();
    assert_eq!(inside.len(), 7);
    drop(inside);
    let one_more = sentinel.rules().replace("more", Rules::new().isolation([IsolationRule::new("*", 1)]));
    assert!(matches!(one_more, Err(ReplaceError::TooMany { .. })), "of all sources together");
    let inside: Vec<_> = (0..9).map_while(|_| sentinel.enter("r").immediately().ok()).collect();
    assert_eq!(inside.len(), 7, "no permit was lost");
}

#[test]
fn a_change_of_the_threshold_alone_keeps_what_was_used() {
    for make in [FlowRule::new, |name, threshold| FlowRule::new(name, threshold).aligned()]
        as [fn(&'static str, f64) -> FlowRule; 2]
    {
        let (_clock, sentinel) = instance();
        put(&sentinel, [make("r", 3.0)]);
        assert_eq!(admitted(&sentinel, 2), 2);
        put(&sentinel, [make("r", 5.0)]);
        assert_eq!(admitted(&sentinel, 9), 3);
        put(&sentinel, [make("r", 1.0)]);
        assert_eq!(admitted(&sentinel, 9), 0);
        put(&sentinel, [make("r", 7.0)]);
        assert_eq!(admitted(&sentinel, 9), 2);
    }
}

#[test]
fn a_call_inside_goes_on_under_its_own_rules() {
    let (_clock, sentinel) = instance();
    put(&sentinel, [FlowRule::new("r", 5.0)]);
    let inside = sentinel.enter("r").immediately().expect("five are free");
    put(&sentinel, [FlowRule::new("r", 0.0)]);
    assert_eq!(admitted(&sentinel, 1), 0);
    drop(inside);
    assert_eq!(sentinel.resource("r").in_flight(), 0);
}

#[test]
fn a_call_that_waits_across_a_reload_gives_back_to_the_rule_it_waits_for() {
    let (clock, sentinel) = instance();
    put(&sentinel, [FlowRule::new("r", 10.0).throttle(Duration::from_secs(1))]);
    assert_eq!(admitted(&sentinel, 1), 1);
    let Decision::Wait(waiting) = sentinel.enter("r") else { panic!("the spacing is not over") };
    put(&sentinel, [FlowRule::new("r", 20.0).throttle(Duration::from_secs(1))]);
    drop(waiting);
    let Decision::Wait(next) = sentinel.enter("r") else { panic!("the spacing is not over") };
    assert_eq!(next.delay(), Duration::from_millis(100));
    clock.advance(next.delay());
    assert!(next.resume().immediately().is_ok());
}

#[test]
fn every_source_owns_its_part() {
    let (_clock, sentinel) = instance();
    let rules = sentinel.rules();
    rules.replace("a", Rules::new().flow([FlowRule::new("r", 3.0).id("same")])).expect("valid");
    rules.replace("b", Rules::new().flow([FlowRule::new("r", 2.0).id("same")])).expect("valid");
    assert_eq!(admitted(&sentinel, 9), 2);
    assert_eq!(rules.clear("b").removed, 1);
    assert_eq!(admitted(&sentinel, 9), 1);
    assert_eq!(rules.get("a").map(|rules| rules.len()), Some(1));
    let sources: Vec<String> = rules.list().iter().map(|(source, _)| source.to_string()).collect();
    assert_eq!(sources, ["a", "b"]);
}

#[test]
fn a_bad_document_changes_nothing_and_names_every_error() {
    let (_clock, sentinel) = instance();
    put(&sentinel, [FlowRule::new("r", 2.0)]);
    let told = Arc::new(Mutex::new(0));
    let heard = Arc::clone(&told);
    let subscription = sentinel.subscribe(move |event| {
        if let Event::RulesRefused { source: "code", .. } = event {
            *heard.lock().expect("no panic") += 1;
        }
    });
    let bad = Rules::new().flow([FlowRule::new("r", -1.0), FlowRule::new("s", 1.0), FlowRule::new("", f64::NAN)]);
    let Err(ReplaceError::Invalid(invalid)) = sentinel.rules().replace("code", bad) else { panic!("it is bad") };
    assert_eq!(invalid.errors().len(), 3, "{invalid}");
    assert_eq!(admitted(&sentinel, 9), 2);
    assert_eq!(*told.lock().expect("no panic"), 1);
    drop(subscription);
    assert!(sentinel.rules().replace("code", Rules::new().flow([FlowRule::new("r", -1.0)])).is_err());
    assert_eq!(*told.lock().expect("no panic"), 1, "the subscription is over");
}

#[test]
fn a_listener_may_own_a_subscription() {
    let sentinel = Sentinel::default();
    let heard = Arc::new(Mutex::new(0));
    let count = Arc::clone(&heard);
    let owned = sentinel.subscribe(move |_| *count.lock().expect("no panic") += 1);
    drop(sentinel.subscribe(move |_| drop(format!("{owned:?}"))));
    sentinel.rules().replace("code", Rules::new()).expect("valid");
    assert_eq!(*heard.lock().expect("no panic"), 0, "ending the one ends the other");
}

#[test]
fn a_listener_may_use_the_instance() {
    let (_clock, sentinel) = instance();
    let inner = sentinel.clone();
    sentinel
        .subscribe(move |event| {
            if let Event::RulesReplaced { source: "code", changes } = event {
                assert_eq!(changes.added, 1);
                assert!(inner.rules().get("code").is_some());
                assert!(inner.enter("r").immediately().is_ok());
                inner.rules().replace("listener", Rules::new()).expect("valid");
            }
        })
        .forever();
    put(&sentinel, [FlowRule::new("r", 1.0)]);
    assert_eq!(admitted(&sentinel, 1), 0, "the listener took it");
}

#[test]
fn a_disabled_rule_does_nothing_and_a_dry_run_counts_what_it_would_block() {
    let (_clock, sentinel) = instance();
    put(&sentinel, [FlowRule::new("r", 0.0).disabled(), FlowRule::new("r", 2.0).dry_run().id("dry")]);
    assert_eq!(admitted(&sentinel, 7), 7);
    let snapshot = sentinel.snapshot_of("r").expect("it was entered");
    assert_eq!(snapshot.rules.len(), 1);
    let dry = &snapshot.rules[0];
    assert_eq!((&*dry.id, dry.dry_run, dry.would_block), ("dry", true, 5));
    put(&sentinel, [FlowRule::new("r", 2.0).dry_run().id("dry")]);
    assert_eq!(sentinel.snapshot_of("r").map(|r| r.rules[0].would_block), Some(5), "a reload keeps the count");
}

#[test]
fn rules_are_asked_in_order_and_a_later_block_gives_back() {
    let (clock, sentinel) = instance();
    put(
        &sentinel,
        [FlowRule::new("r", 3.0).id("first"), FlowRule::new("r", 1.0).per(Duration::from_millis(100)).id("second")],
    );
    let mut admitted = 0;
    for _ in 0..20 {
        admitted += usize::from(sentinel.enter("r").immediately().is_ok());
        clock.advance(Duration::from_millis(10));
    }
    assert_eq!(admitted, 2, "blocks of the second cost the first nothing");
    assert!(sentinel.enter("r").immediately().is_ok());
    let blocked = sentinel.enter("r").immediately().expect_err("three in a second");
    assert_eq!(blocked.rule_id(), "first");
}

#[test]
fn dropping_an_instance_leaves_calls_inside_alone() {
    let (_clock, sentinel) = instance();
    put(&sentinel, [FlowRule::new("r", 5.0)]);
    let handle = sentinel.resource("r");
    let inside = sentinel.enter("r").immediately().expect("five are free");
    drop(sentinel);
    assert!(handle.enter().immediately().is_ok());
    drop(inside);
    assert_eq!(handle.in_flight(), 0);
}
