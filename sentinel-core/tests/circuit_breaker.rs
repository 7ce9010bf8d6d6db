//! Circuit breaker rules, as a service meets them: on the manual clock, through entries.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::Duration,
};

use sentinel_core::{
    Blocked, BreakerControl, BreakerRule, BreakerSnapshot, BreakerState, Decision, Event, FlowRule, ManualClock, Rules,
    Sentinel,
};

use BreakerState::{Closed, HalfOpen, Open, Recovering};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn instance(rules: impl IntoIterator<Item = BreakerRule>) -> (ManualClock, Sentinel) {
    under(Rules::new().circuit_breaker(rules))
}

fn under(rules: Rules) -> (ManualClock, Sentinel) {
    let clock = ManualClock::new();
    clock.advance(Duration::from_secs(3_600));
    let sentinel = Sentinel::builder().clock(clock.clone()).build().expect("the defaults are valid");
    sentinel.rules().replace("test", rules).expect("the rules are valid");
    (clock, sentinel)
}

fn replace(sentinel: &Sentinel, rules: impl IntoIterator<Item = BreakerRule>) {
    sentinel.rules().replace("test", Rules::new().circuit_breaker(rules)).expect("the rules are valid");
}

/// A breaker that one error opens for 10 s.
fn fragile(resource: &str) -> BreakerRule {
    BreakerRule::error_ratio(resource, 0.5).min_request_amount(1)
}

fn fail(sentinel: &Sentinel, resource: &str) {
    sentinel.enter(resource).immediately().expect("it is let through").fail();
}

fn succeed(sentinel: &Sentinel, resource: &str) {
    drop(sentinel.enter(resource).immediately().expect("it is let through"));
}

fn refusal(sentinel: &Sentinel, resource: &str) -> Blocked {
    sentinel.enter(resource).immediately().expect_err("it is refused")
}

fn breakers(sentinel: &Sentinel, resource: &str) -> Vec<BreakerSnapshot> {
    let rules = sentinel.snapshot_of(resource).map(|resource| resource.rules).unwrap_or_default();
    rules.iter().filter_map(|rule| rule.breaker).collect()
}

fn states(sentinel: &Sentinel, resource: &str) -> Vec<BreakerState> {
    breakers(sentinel, resource).iter().map(|breaker| breaker.state).collect()
}

/// Everything that breakers tell.
type Told = Arc<Mutex<Vec<Change>>>;

struct Change {
    resource: String,
    from: BreakerState,
    to: BreakerState,
}

fn told(sentinel: &Sentinel) -> Told {
    let all = Told::default();
    let into = Arc::clone(&all);
    let listener = move |event: &Event<'_>| {
        if let Event::BreakerChanged { resource, from, to, .. } = *event {
            into.lock().expect("no panic").push(Change { resource: resource.to_owned(), from, to });
        }
    };
    sentinel.subscribe(listener).forever();
    all
}

fn changes(told: &Told) -> Vec<(BreakerState, BreakerState)> {
    told.lock().expect("no panic").iter().map(|change| (change.from, change.to)).collect()
}

#[test]
fn a_refusal_says_what_opened_it_and_when_the_probe_may_come() {
    let (clock, sentinel) = instance([BreakerRule::error_ratio("r", 0.5).id("fragile").retry_timeout(ms(5_000))]);
    for call in 0..5 {
        if call < 3 { fail(&sentinel, "r") } else { succeed(&sentinel, "r") }
    }
    clock.advance(ms(1_500));
    let refused = refusal(&sentinel, "r");
    assert_eq!((refused.family(), refused.rule_id(), refused.resource()), ("circuitBreaker", "fragile", "r"));
    assert_eq!((refused.observed(), refused.threshold()), (0.6, 0.5));
    assert_eq!((refused.retry_after(), refused.interval()), (Some(ms(3_500)), Some(ms(1_000))));
    let statistics = sentinel.snapshot_of("r").expect("entered").statistics;
    assert_eq!((statistics.totals.pass, statistics.totals.block), (5, 1));
    clock.advance(ms(3_500));
    let probe = sentinel.enter("r").immediately().expect("the probe");
    assert_eq!(refusal(&sentinel, "r").retry_after(), Some(ms(10)), "it may end at any moment");
    drop(probe);
    assert_eq!(states(&sentinel, "r"), [Closed]);
}

#[test]
fn each_kind_of_rule_says_in_words_why_it_is_open() {
    let rules = [
        BreakerRule::slow_ratio("slow", ms(10), 0.5).min_request_amount(1),
        fragile("errors"),
        BreakerRule::error_count("count", 1).min_request_amount(1),
        BreakerRule::error_count("forced", 1).state(BreakerControl::ForcedOpen),
    ];
    let (clock, sentinel) = instance(rules);
    for resource in ["slow", "errors", "count"] {
        let mut entry = sentinel.enter(resource).immediately().expect("closed");
        entry.fail();
        clock.advance(ms(11));
    }
    let said = |resource| {
        let text = refusal(&sentinel, resource).to_string();
        text.split_once("`: ").expect("it says whom it blocks").1.to_owned()
    };
    assert_eq!(said("slow"), "it is open: 1.000 of the calls were slow, the limit is 0.500, try again in 9.978s");
    assert_eq!(said("errors"), "it is open: 1.000 of the calls failed, the limit is 0.500, try again in 9.989s");
    assert_eq!(said("count"), "it is open: the errors came to 1, the limit is 1, try again in 10s");
    assert_eq!(said("forced"), "it is forced open, and trying again will not help");
}

#[test]
fn of_two_breakers_the_probe_of_the_first_is_undone_silently_while_the_second_is_open() {
    let g2 = fragile("r").id("g2").retry_timeout(ms(1_000));
    let (clock, sentinel) = instance([g2, fragile("r").id("g1").retry_timeout(ms(5_000))]);
    let told = told(&sentinel);
    fail(&sentinel, "r");
    let refused_by = |at| {
        clock.advance_to(Duration::from_secs(3_600) + ms(at));
        refusal(&sentinel, "r").rule_id().to_owned()
    };
    assert_eq!(refused_by(500), "g2");
    for at in [1_001, 2_000, 3_000, 4_000] {
        assert_eq!(refused_by(at), "g1");
    }
    assert_eq!(changes(&told), [(Closed, Open), (Closed, Open), (Open, HalfOpen)], "no to and fro");
    clock.advance(ms(1_001));
    succeed(&sentinel, "r");
    assert_eq!(states(&sentinel, "r"), [Closed, Closed]);
    assert_eq!(changes(&told)[3..], [(Open, HalfOpen), (HalfOpen, Closed), (HalfOpen, Closed)]);
}

#[test]
fn a_call_that_an_earlier_rule_refuses_is_no_probe() {
    let (clock, sentinel) = instance([fragile("r")]);
    fail(&sentinel, "r");
    clock.advance(ms(10_000));
    let with_flow = Rules::new().flow([FlowRule::new("r", 0.0)]).circuit_breaker([fragile("r")]);
    sentinel.rules().replace("test", with_flow).expect("valid");
    for _ in 0..10 {
        assert_eq!(refusal(&sentinel, "r").family(), "flow");
    }
    assert_eq!(states(&sentinel, "r"), [Open]);
}

#[test]
fn a_call_that_waits_is_asked_by_the_breaker_when_the_wait_is_over() {
    let rules = || {
        let flow = FlowRule::new("r", 10.0).throttle(ms(1_000));
        Rules::new().flow([flow]).circuit_breaker([fragile("r")])
    };
    let (clock, sentinel) = under(rules());
    let inside = sentinel.enter("r").immediately().expect("closed, and nobody before it");
    let Decision::Wait(waiting) = sentinel.enter("r") else { panic!("it has to wait") };
    let mut inside = inside;
    inside.fail();
    drop(inside);
    assert_eq!(states(&sentinel, "r"), [Open]);
    clock.advance(waiting.delay());
    let Decision::Block(refused) = waiting.resume() else { panic!("it is open by now") };
    assert_eq!(refused.family(), "circuitBreaker");
}

#[test]
fn a_call_that_panics_has_failed() {
    let (_, sentinel) = instance([fragile("r")]);
    let panics = || {
        let _entry = sentinel.enter("r").immediately().expect("closed");
        panic!("halfway");
    };
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    assert_eq!(states(&sentinel, "r"), [Open]);
}

#[test]
fn a_future_that_is_dropped_gives_the_place_of_its_probe_back() {
    let (clock, sentinel) = instance([fragile("r")]);
    fail(&sentinel, "r");
    clock.advance(ms(10_000));
    let entry = sentinel.enter("r").immediately().expect("the probe");
    let mut run = Box::pin(entry.run(std::future::pending::<Result<(), ()>>()));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(run.as_mut().poll(&mut context).is_pending());
    assert_eq!(refusal(&sentinel, "r").family(), "circuitBreaker");
    drop(run);
    assert_eq!(states(&sentinel, "r"), [HalfOpen]);
    succeed(&sentinel, "r");
    assert_eq!(states(&sentinel, "r"), [Closed]);
}

#[test]
fn a_slow_call_that_is_cancelled_counts_as_slow() {
    let (clock, sentinel) = instance([BreakerRule::slow_ratio("r", ms(50), 0.5).min_request_amount(1)]);
    for (takes, state) in [(50, Closed), (51, Open)] {
        let mut entry = sentinel.enter("r").immediately().expect("closed");
        entry.ignore();
        clock.advance(ms(takes));
        drop(entry);
        assert_eq!(states(&sentinel, "r"), [state]);
    }
}

#[test]
fn a_reload_keeps_the_state_where_results_mean_the_same() {
    let (clock, sentinel) = instance([fragile("r").id("a")]);
    fail(&sentinel, "r");
    let rule = || fragile("r").id("a");
    let changed =
        [rule(), rule().dry_run(), rule().probes(3), rule().recovery(ms(10)), rule().retry_timeout(ms(20_000))];
    for rule in changed {
        replace(&sentinel, [rule]);
        assert_eq!(states(&sentinel, "r"), [Open]);
    }
    assert_eq!(refusal(&sentinel, "r").retry_after(), Some(ms(20_000)), "times follow at once");
    replace(&sentinel, [rule().retry_timeout(ms(100))]);
    clock.advance(ms(100));
    succeed(&sentinel, "r");
    assert_eq!(states(&sentinel, "r"), [Closed]);
}

#[test]
fn a_reload_of_an_unrelated_rule_keeps_the_window() {
    let rule = || BreakerRule::error_count("r", 3).min_request_amount(1).interval(ms(60_000));
    let (_, sentinel) = instance([rule()]);
    (0..2).for_each(|_| fail(&sentinel, "r"));
    sentinel.rules().replace("other", Rules::new().flow([FlowRule::new("r", 100.0)])).expect("valid");
    replace(&sentinel, [rule(), fragile("s")]);
    assert_eq!(states(&sentinel, "r"), [Closed]);
    fail(&sentinel, "r");
    assert_eq!(states(&sentinel, "r"), [Open]);
}

#[test]
fn another_strategy_or_window_starts_closed_and_is_told() {
    for rule in [BreakerRule::error_count("r", 9), fragile("r").window_calls(10), fragile("r").interval(ms(500))] {
        let (_, sentinel) = instance([fragile("r").id("a")]);
        let told = told(&sentinel);
        let inside = sentinel.enter("r").immediately().expect("closed");
        fail(&sentinel, "r");
        replace(&sentinel, [rule.id("a")]);
        assert_eq!(changes(&told), [(Closed, Open), (Open, Closed)]);
        drop(inside);
        assert_eq!(breakers(&sentinel, "r")[0].results, 0, "what was let through before counts for nothing");
    }
}

#[test]
fn an_operator_forces_it_open_or_closed_and_lets_it_start_anew() {
    let rule = |state| [fragile("r").id("a").state(state)];
    let (clock, sentinel) = instance(rule(BreakerControl::Auto));
    let told = told(&sentinel);
    let inside = sentinel.enter("r").immediately().expect("closed");

    replace(&sentinel, rule(BreakerControl::ForcedOpen));
    assert_eq!(refusal(&sentinel, "r").retry_after(), None);
    clock.advance(Duration::from_secs(86_400));
    assert_eq!(refusal(&sentinel, "r").observed(), 0.0, "no results have opened it");

    replace(&sentinel, rule(BreakerControl::ForcedClosed));
    (0..20).for_each(|_| fail(&sentinel, "r"));
    succeed(&sentinel, "r");

    replace(&sentinel, rule(BreakerControl::Auto));
    drop(inside);
    assert_eq!((states(&sentinel, "r"), breakers(&sentinel, "r")[0].results), (vec![Closed], 0));
    fail(&sentinel, "r");
    replace(&sentinel, rule(BreakerControl::ForcedClosed));
    succeed(&sentinel, "r");
    assert_eq!(changes(&told), [(Closed, Open), (Open, Closed), (Closed, Open), (Open, Closed)]);

    replace(&sentinel, [fragile("r").id("a").disabled()]);
    (0..20).for_each(|_| fail(&sentinel, "r"));
}

#[test]
fn a_dry_run_counts_what_it_would_refuse_and_recovers_like_any() {
    let (clock, sentinel) = instance([fragile("r").dry_run()]);
    fail(&sentinel, "r");
    (0..3).for_each(|_| succeed(&sentinel, "r"));
    let would_block = || sentinel.snapshot_of("r").expect("entered").rules[0].would_block;
    assert_eq!((states(&sentinel, "r"), would_block()), (vec![Open], 3));
    clock.advance(ms(10_000));
    let probe = sentinel.enter("r").immediately().expect("the probe");
    fail(&sentinel, "r");
    assert_eq!((states(&sentinel, "r"), would_block()), (vec![HalfOpen], 4));
    drop(probe);
    assert_eq!(states(&sentinel, "r"), [Closed]);
}

#[test]
fn a_default_rule_gives_each_resource_a_breaker_of_its_own() {
    let (_, sentinel) = instance([fragile("*"), BreakerRule::error_count("own", 9)]);
    let told = told(&sentinel);
    for resource in ["a", "b", "own"] {
        succeed(&sentinel, resource);
    }
    fail(&sentinel, "a");
    fail(&sentinel, "own");
    assert_eq!(["a", "b", "own"].map(|resource| states(&sentinel, resource)), [[Open], [Closed], [Closed]]);
    assert_eq!(told.lock().expect("no panic")[0].resource, "a");
}

#[test]
fn a_rule_that_is_disabled_is_as_if_it_were_not_there_and_one_that_is_forced_closed_keeps_the_default_out() {
    let own = || BreakerRule::error_count("r", 100).id("own");
    let (_, sentinel) = instance([fragile("*").id("default"), own().disabled()]);
    fail(&sentinel, "r");
    assert_eq!(refusal(&sentinel, "r").rule_id(), "default");
    replace(&sentinel, [fragile("*").id("default"), own().state(BreakerControl::ForcedClosed)]);
    (0..9).for_each(|_| fail(&sentinel, "r"));
}

#[test]
fn without_names_a_rule_keeps_its_state_when_another_one_of_its_resource_goes() {
    let rules = || [BreakerRule::slow_ratio("r", ms(100), 0.5), BreakerRule::error_count("r", 1).min_request_amount(1)];
    let (_, sentinel) = instance(rules());
    fail(&sentinel, "r");
    assert_eq!(states(&sentinel, "r"), [Closed, Open]);
    replace(&sentinel, rules().into_iter().skip(1));
    assert_eq!(states(&sentinel, "r"), [Open]);
    replace(&sentinel, rules());
    assert_eq!(states(&sentinel, "r"), [Closed, Open], "nor when it is back");
}

#[test]
fn without_names_a_rule_does_not_take_over_the_state_of_another_one_that_goes() {
    let patient = || BreakerRule::error_count("r", 1_000).min_request_amount(1_000);
    let (_, sentinel) = instance([BreakerRule::error_count("r", 1).min_request_amount(1), patient()]);
    fail(&sentinel, "r");
    assert_eq!(states(&sentinel, "r"), [Open, Closed]);
    replace(&sentinel, [patient()]);
    assert_eq!(states(&sentinel, "r"), [Closed]);
    succeed(&sentinel, "r");
}

#[cfg(feature = "regex")]
#[test]
fn a_pattern_gives_each_resource_a_breaker_of_its_own() {
    let (_, sentinel) = instance([fragile("GET .*").pattern()]);
    fail(&sentinel, "GET /a");
    succeed(&sentinel, "GET /b");
    assert_eq!(["GET /a", "GET /b"].map(|resource| states(&sentinel, resource)), [[Open], [Closed]]);
}

#[test]
fn a_resource_whose_breaker_knows_something_is_not_given_up_for_another_until_that_is_old() {
    let open = fragile("*").retry_timeout(Duration::from_secs(120));
    let has_an_error = BreakerRule::error_count("*", 2).interval(Duration::from_secs(86_400));
    for (rule, forgotten) in [(open, 120 + 600), (has_an_error, 600)] {
        let clock = ManualClock::new();
        let sentinel = Sentinel::builder().clock(clock.clone()).max_resources(1).build().expect("valid");
        replace(&sentinel, [rule]);
        fail(&sentinel, "a");
        let exists_when_another_comes = |second, other| {
            clock.advance_to(Duration::from_secs(second));
            succeed(&sentinel, other);
            sentinel.snapshot_of("a").is_some()
        };
        assert!(exists_when_another_comes(61, "b"));
        assert!(exists_when_another_comes(forgotten - 1, "c"));
        assert!(!exists_when_another_comes(forgotten, "d"));
        assert_eq!(states(&sentinel, "d"), [Closed]);
    }
}

#[test]
fn changes_are_told_with_their_numbers_in_order() {
    let rule = BreakerRule::error_count("r", 2).min_request_amount(2).probes(2).recovery(ms(100)).id("b");
    let (clock, sentinel) = instance([rule]);
    let numbers = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&numbers);
    let listener = move |event: &Event<'_>| {
        if let Event::BreakerChanged { to, observed, threshold, .. } = *event {
            into.lock().expect("no panic").push((to, observed, threshold));
        }
    };
    sentinel.subscribe(listener).forever();
    (0..2).for_each(|_| fail(&sentinel, "r"));
    clock.advance(ms(10_000));
    fail(&sentinel, "r");
    clock.advance(ms(10_000));
    (0..2).for_each(|_| succeed(&sentinel, "r"));
    clock.advance(ms(100));
    succeed(&sentinel, "r");
    let expected = [(Open, 2.0), (HalfOpen, 2.0), (Open, 1.0), (HalfOpen, 1.0), (Recovering, 1.0), (Closed, 1.0)];
    assert_eq!(*numbers.lock().expect("no panic"), expected.map(|(to, observed)| (to, observed, 2.0)));
}

#[test]
fn a_listener_may_enter_and_reload_and_panic_and_still_everything_is_told_in_order() {
    let (clock, sentinel) = instance([fragile("r"), fragile("s")]);
    let inner = sentinel.clone();
    let careless = move |event: &Event<'_>| {
        if let Event::BreakerChanged { resource: "r", to: Open, .. } = event {
            // Opens the other one, is refused here, and forces this one closed.
            fail(&inner, "s");
            assert_eq!(refusal(&inner, "r").resource(), "r");
            replace(&inner, [fragile("r").state(BreakerControl::ForcedClosed), fragile("s")]);
            panic!("and it cannot cope");
        }
    };
    sentinel.subscribe(careless).forever();
    let told = told(&sentinel);
    fail(&sentinel, "r");
    let expected = [("r", Open), ("s", Open), ("r", Closed)];
    let heard: Vec<(String, BreakerState)> =
        told.lock().expect("no panic").iter().map(|change| (change.resource.clone(), change.to)).collect();
    assert_eq!(heard, expected.map(|(resource, to)| (resource.to_owned(), to)));
    clock.advance(ms(10_000));
    succeed(&sentinel, "s");
    assert_eq!(changes(&told)[3..], [(Open, HalfOpen), (HalfOpen, Closed)]);
}

#[test]
fn many_permits_are_one_call() {
    let (_, sentinel) = instance([BreakerRule::error_count("r", 3).min_request_amount(1)]);
    for _ in 0..2 {
        let call = sentinel_core::Call::new().count(100);
        sentinel.enter_with("r", &call).immediately().expect("closed").fail();
    }
    assert_eq!((states(&sentinel, "r"), breakers(&sentinel, "r")[0].bad), (vec![Closed], 2));
}
