//! The instance and its resources: what they share, how many there may be, what is given up.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use sentinel_core::{
    BuildError, Decision, Direction, Event, FlowRule, IsolationRule, Kind, ManualClock, Rules, Sentinel, SystemRule,
    Target,
};

fn bounded(max: usize) -> (ManualClock, Sentinel) {
    let clock = ManualClock::new();
    clock.advance(Duration::from_secs(60));
    let sentinel = Sentinel::builder().clock(clock.clone()).max_resources(max).build().expect("valid");
    (clock, sentinel)
}

fn enter(sentinel: &Sentinel, name: &str) -> bool {
    sentinel.enter(name).immediately().is_ok()
}

fn names(sentinel: &Sentinel) -> Vec<String> {
    sentinel.snapshot().resources.iter().map(|resource| resource.name.to_string()).collect()
}

#[test]
fn two_instances_share_nothing() {
    let (one, other) = (Sentinel::default(), Sentinel::default());
    one.rules().replace("code", Rules::new().flow([FlowRule::new("r", 0.0)])).expect("valid");
    assert!(!enter(&one, "r"));
    assert!(enter(&other, "r"));
    assert_eq!(one.snapshot_of("r").map(|r| (r.statistics.second.pass, r.statistics.second.block)), Some((0, 1)));
    assert_eq!(other.snapshot_of("r").map(|r| (r.statistics.second.pass, r.statistics.second.block)), Some((1, 0)));
}

#[test]
fn clones_are_the_same_instance_and_a_name_is_one_resource() {
    let sentinel = Sentinel::default();
    let handle = sentinel.clone().resource("r");
    let entry = handle.enter().immediately().expect("no rule");
    assert_eq!(sentinel.resource("r").in_flight(), 1);
    drop(entry);
    assert!(enter(&sentinel, "r"));
    assert_eq!(handle.snapshot().statistics.totals.pass, 2);
}

#[test]
fn the_first_use_says_what_a_resource_is() {
    let sentinel = Sentinel::default();
    let first = sentinel.resource(Target::new("r").inbound().kind(Kind::Web));
    let second = sentinel.resource("r");
    assert_eq!((first.direction(), first.kind()), (Direction::Inbound, Kind::Web));
    assert_eq!((second.direction(), second.kind()), (Direction::Inbound, Kind::Web));
}

#[test]
fn an_id_tells_a_resource_from_every_other_until_it_is_given_up() {
    let (clock, sentinel) = bounded(1);
    assert_eq!(sentinel.resource_id("a"), None, "asking makes none");
    let id = sentinel.enter("a").resource_id();
    assert_eq!(sentinel.resource_id("a"), Some(id));
    assert_eq!(sentinel.resource("a").id(), id);
    assert_ne!(bounded(1).1.resource("a").id(), id, "of another instance");
    clock.advance(Duration::from_secs(120));
    assert_ne!(sentinel.enter("b").resource_id(), id);
    assert_eq!(sentinel.resource_id("a"), None, "given up");
    clock.advance(Duration::from_secs(120));
    assert_ne!(sentinel.enter("a").resource_id(), id, "made anew");
}

#[test]
fn a_setting_out_of_range_is_an_error() {
    for buckets in [0, 3, 101, 1_000] {
        let error = Sentinel::builder().buckets_per_second(buckets).build().expect_err("not a divisor");
        assert_eq!(error, BuildError::Buckets { given: buckets });
    }
    assert!(Sentinel::builder().buckets_per_second(20).build().is_ok());
}

#[test]
fn past_the_bound_an_idle_resource_makes_room() {
    let (clock, sentinel) = bounded(3);
    for name in ["a", "b", "c"] {
        assert!(enter(&sentinel, name));
        clock.advance(Duration::from_secs(1));
    }
    clock.advance(Duration::from_secs(62));
    assert!(enter(&sentinel, "b"));
    assert!(enter(&sentinel, "d"), "the one that was used longest ago goes");
    assert_eq!(names(&sentinel), ["b", "c", "d"]);
    let capacity = sentinel.snapshot().capacity;
    assert_eq!((capacity.resources, capacity.evicted, capacity.overflowed), (3, 1, 0));
}

#[test]
fn past_the_bound_with_nothing_idle_names_share_a_resource_that_is_counted_and_told() {
    let (_clock, sentinel) = bounded(2);
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    sentinel
        .subscribe(move |event| {
            if let Event::ResourcesFull { resource, max_resources } = event {
                heard.lock().expect("no panic").push((resource.to_string(), *max_resources));
            }
        })
        .forever();
    for name in ["a", "b", "c", "d", "e"] {
        assert!(enter(&sentinel, name));
    }
    assert_eq!(names(&sentinel), ["__other__", "a", "b"]);
    assert_eq!(sentinel.snapshot().resource("__other__").map(|other| other.statistics.second.pass), Some(3));
    assert_eq!(sentinel.snapshot().capacity.overflowed, 3);
    assert_eq!(*told.lock().expect("no panic"), [("c".to_owned(), 2)], "once in ten milliseconds");
}

#[test]
fn a_flood_of_names_evicts_nothing_that_is_named_held_inside_or_in_use() {
    let (clock, sentinel) = bounded(4);
    sentinel
        .rules()
        .replace("code", Rules::new().flow([FlowRule::new("named", 1.0).per(Duration::from_secs(3_600))]))
        .expect("valid");
    assert!(enter(&sentinel, "named"));
    let held = sentinel.resource("held");
    let inside = sentinel.enter("inside").immediately().expect("no rule");
    assert!(enter(&sentinel, "idle"));
    clock.advance(Duration::from_secs(100));
    assert!(enter(&sentinel, "in use"));
    for flood in 0..10_000 {
        enter(&sentinel, &format!("flood {flood}"));
    }
    assert!(!enter(&sentinel, "named"), "its permit is taken for an hour");
    let names = names(&sentinel);
    for name in ["named", "held", "inside", "in use", "flood 0", "__other__"] {
        assert!(names.iter().any(|known| known == name), "{name} in {names:?}");
    }
    assert_eq!(names.len(), 6);
    drop((held, inside));
}

#[test]
fn a_rule_always_finds_room_for_the_resource_that_it_names() {
    let (_clock, sentinel) = bounded(1);
    assert!(enter(&sentinel, "a"));
    sentinel.rules().replace("code", Rules::new().flow([FlowRule::new("named", 1.0)])).expect("valid");
    assert!(enter(&sentinel, "named"));
    assert!(!enter(&sentinel, "named"));
    assert_eq!(names(&sentinel), ["a", "named"]);
}

#[test]
fn a_default_rule_holds_on_every_resource_that_no_other_rule_is_about() {
    let (_clock, sentinel) = bounded(100);
    let rules =
        Rules::new().flow([FlowRule::new("*", 1.0), FlowRule::new("hot", 3.0), FlowRule::new("idle", 1.0).disabled()]);
    sentinel.rules().replace("test", rules).expect("valid");
    let admitted = |name| (0..5).filter(|_| enter(&sentinel, name)).count();
    assert_eq!(["a", "b", "hot", "idle"].map(admitted), [1, 1, 3, 1], "each has state of its own");
}

#[test]
fn past_the_bound_a_default_rule_holds_on_the_shared_resource() {
    let (_clock, sentinel) = bounded(1);
    sentinel.rules().replace("test", Rules::new().flow([FlowRule::new("*", 1.0).id("all")])).expect("valid");
    let admitted = ["a", "b", "c", "d"].iter().filter(|name| enter(&sentinel, name)).count();
    assert_eq!(admitted, 2, "one of `a`, one of all others together");
    assert_eq!(names(&sentinel), ["__other__:all", "a"]);
}

#[test]
fn past_the_bound_calls_that_come_in_stay_inbound_and_those_that_go_out_do_not_become_so() {
    for outbound_first in [true, false] {
        let (_clock, sentinel) = bounded(1);
        sentinel.rules().replace("test", Rules::new().system([SystemRule::in_flight(2)])).expect("valid");
        assert!(enter(&sentinel, "first"));
        if outbound_first {
            assert!(enter(&sentinel, "out"));
        }
        let calls = || ["a", "b", "c", "d"].map(|name| sentinel.enter(Target::new(name).inbound()).immediately());
        let inside = calls();
        assert_eq!(inside.iter().filter(|call| call.is_ok()).count(), 2, "system rules hold");
        assert!((0..9).all(|_| enter(&sentinel, "out")), "and not on calls that go out");
        let inbound = sentinel.snapshot().inbound;
        assert_eq!((inbound.totals.pass, inbound.totals.block, inbound.in_flight), (2, 2, 2));
        assert_eq!(names(&sentinel), ["__other__", "__other_inbound__", "first"]);
        let ids = [Target::new("a"), Target::new("a").inbound()].map(|target| sentinel.resource_id(target));
        assert!(ids[0].is_some() && ids[1].is_some() && ids[0] != ids[1], "{ids:?}");
    }
}

#[test]
fn a_rule_for_the_first_name_past_the_bound_is_not_one_for_those_that_share_its_resource() {
    let (_clock, sentinel) = bounded(1);
    for name in ["a", "first", "second"] {
        assert!(enter(&sentinel, name));
    }
    sentinel.rules().replace("test", Rules::new().flow([FlowRule::new("first", 0.0)])).expect("valid");
    assert_eq!(["first", "second", "third"].map(|name| enter(&sentinel, name)), [false, true, true]);
}

#[test]
fn a_resource_for_which_a_call_waits_is_not_given_up() {
    let (clock, sentinel) = bounded(1);
    let rules = Rules::new()
        .flow([FlowRule::new("*", 1.0).throttle(Duration::from_secs(9))])
        .isolation([IsolationRule::new("*", 1)]);
    sentinel.rules().replace("test", rules).expect("valid");
    assert!(enter(&sentinel, "a"));
    let Decision::Wait(late) = sentinel.enter("a") else { panic!("the spacing is not over") };
    clock.advance(Duration::from_secs(600));
    assert!(enter(&sentinel, "b"), "by the shared resource");
    assert!(names(&sentinel).contains(&"a".to_owned()));
    let _inside = late.resume().immediately().expect("its time has come");
    clock.advance(Duration::from_secs(9));
    let Decision::Block(refused) = sentinel.enter("a") else { panic!("one is inside") };
    assert_eq!(refused.family(), "isolation");
}

#[test]
fn a_reservation_that_was_dropped_keeps_no_resource() {
    let (clock, sentinel) = bounded(1);
    let rules = Rules::new().flow([FlowRule::new("*", 1.0).throttle(Duration::from_secs(9))]);
    sentinel.rules().replace("test", rules).expect("valid");
    assert!(enter(&sentinel, "a"));
    drop(sentinel.enter("a"));
    clock.advance(Duration::from_secs(600));
    assert!(enter(&sentinel, "b"));
    assert_eq!(names(&sentinel), ["b"]);
}

#[cfg(feature = "regex")]
mod patterns {
    use super::*;

    fn inbound(sentinel: &Sentinel, name: &str) -> bool {
        sentinel.enter(Target::new(name).inbound()).immediately().is_ok()
    }

    #[test]
    fn each_matching_resource_has_a_limit_of_its_own_and_the_whole_name_has_to_match() {
        let sentinel = Sentinel::default();
        let rules = Rules::new().flow([FlowRule::new("abc/.*", 80.0).per(Duration::from_secs(20)).pattern()]);
        sentinel.rules().replace("code", rules).expect("valid");
        for name in ["abc/1", "abc/2"] {
            assert_eq!((0..100).filter(|_| enter(&sentinel, name)).count(), 80);
        }
        assert_eq!((0..100).filter(|_| enter(&sentinel, "xabc/1")).count(), 100);
    }

    #[test]
    fn rules_by_exact_name_come_before_patterns() {
        let sentinel = Sentinel::default();
        let rules = Rules::new().flow([FlowRule::new(".*", 1.0).pattern(), FlowRule::new("hot", 5.0)]);
        sentinel.rules().replace("code", rules).expect("valid");
        assert_eq!((0..10).filter(|_| enter(&sentinel, "hot")).count(), 5);
        assert_eq!((0..10).filter(|_| enter(&sentinel, "other")).count(), 1);
    }

    #[test]
    fn past_the_bound_names_share_the_rules_that_they_match() {
        let (_clock, sentinel) = bounded(1);
        let rules = Rules::new().flow([FlowRule::new("user/.*", 2.0).pattern().id("users")]);
        sentinel.rules().replace("code", rules).expect("valid");
        assert!(enter(&sentinel, "a"));
        let admitted = (0..100).filter(|user| enter(&sentinel, &format!("user/{user}"))).count();
        assert_eq!(admitted, 2, "never no protection");
        assert_eq!((0..100).filter(|n| enter(&sentinel, &format!("free/{n}"))).count(), 100);
        assert_eq!(names(&sentinel), ["__other__", "__other__:users", "a"]);
    }

    #[test]
    fn past_the_bound_every_pattern_holds_however_many_combinations_there_are() {
        let (_clock, sentinel) = bounded(1);
        let bit = |bit: usize| format!("x{}1{}", ".".repeat(bit), ".".repeat(8 - bit));
        let bits = (0..9).map(|number| FlowRule::new(bit(number), if number == 8 { 0.0 } else { 1e6 }).pattern());
        sentinel.rules().replace("code", Rules::new().flow(bits)).expect("valid");
        assert!(enter(&sentinel, "a"));
        for number in 0..512 {
            let name = format!("x{number:09b}");
            let is_refused_by_name = name.ends_with('1');
            assert!(!enter(&sentinel, &name) || !is_refused_by_name, "{name}");
            let id = sentinel.enter(name.as_str()).resource_id();
            assert_eq!(sentinel.resource_id(&name), Some(id));
        }
        let names = names(&sentinel);
        assert_eq!(names.len(), 1 + 255, "there is room for one more, under all patterns for inbound calls");
        assert!(names.contains(&"__other__:*".to_owned()), "under all patterns");
        for number in 0..512 {
            let name = format!("x{number:09b}");
            assert!(!inbound(&sentinel, &name) || !name.ends_with('1'), "{name}");
        }
        let names = self::names(&sentinel);
        assert!(names.contains(&"__other_inbound__:*".to_owned()) && names.len() == 1 + 256, "{names:?}");
    }

    #[test]
    fn a_reload_keeps_what_names_past_the_bound_have_used() {
        let (_clock, sentinel) = bounded(1);
        let users = || FlowRule::new("user/.*", 2.0).pattern().id("users");
        sentinel.rules().replace("code", Rules::new().flow([users()])).expect("valid");
        assert!(enter(&sentinel, "a"));
        assert_eq!((0..9).filter(|user| enter(&sentinel, &format!("user/{user}"))).count(), 2);
        let more = Rules::new().flow([FlowRule::new("team/.*", 1.0).pattern(), users()]);
        sentinel.rules().replace("code", more).expect("valid");
        assert_eq!((0..9).filter(|user| enter(&sentinel, &format!("user/{user}"))).count(), 0);
    }

    #[test]
    fn a_resource_whose_pattern_rule_would_forget_something_is_not_given_up() {
        let (clock, sentinel) = bounded(1);
        let rules = Rules::new().flow([FlowRule::new("user/.*", 1.0).per(Duration::from_secs(3_600)).pattern()]);
        sentinel.rules().replace("code", rules).expect("valid");
        assert!(enter(&sentinel, "user/1"));
        clock.advance(Duration::from_secs(600));
        assert!(enter(&sentinel, "user/2"), "by the shared resource");
        assert!(!enter(&sentinel, "user/1"));
        clock.advance(Duration::from_secs(3_001));
        assert!(enter(&sentinel, "user/3"), "an hour later user/1 has lost nothing, and goes");
        assert!(names(&sentinel).contains(&"user/3".to_owned()));
    }
}

#[test]
fn the_last_minute_can_be_read_second_by_second() {
    let (clock, sentinel) = bounded(10);
    let orders = sentinel.resource("orders");
    assert!(orders.seconds().is_empty());
    for calls in 1..=3 {
        for _ in 0..calls {
            assert!(orders.enter().immediately().is_ok());
        }
        clock.advance(Duration::from_secs(1));
    }
    assert!(orders.enter().immediately().is_ok());
    let passed: Vec<_> = orders.seconds().iter().map(|second| second.pass).collect();
    assert_eq!(passed[passed.len() - 4..], [1, 2, 3, 1]);
}
