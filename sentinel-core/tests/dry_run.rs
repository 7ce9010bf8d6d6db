//! Rules that only watch: what they count, and that nothing else is any different.

use std::time::Duration;

use sentinel_core::{
    AuthorityRule, BreakerRule, Call, FlowRule, HotspotRule, IsolationRule, ManualClock, Rules, Sentinel, SheddingRule,
};

fn under(rules: Rules) -> (ManualClock, Sentinel) {
    let clock = ManualClock::new();
    clock.advance(Duration::from_secs(60));
    let sentinel = Sentinel::builder().clock(clock.clone()).seed(1).build().expect("the defaults are valid");
    sentinel.rules().replace("test", rules).expect("the rules are valid");
    (clock, sentinel)
}

/// How many of a hundred calls are admitted, each of which fails and is inside until all have come.
fn admitted(sentinel: &Sentinel, resource: &str, origin: &str) -> usize {
    let args = [7.into()];
    let call = Call::new().origin(origin).args(&args);
    let fail = || sentinel.enter_with(resource, &call).immediately().map(|mut entry| entry.fail()).is_ok();
    let first = (0..50).filter(|_| fail()).count();
    let inside: Vec<_> = (0..50).filter_map(|_| sentinel.enter_with(resource, &call).immediately().ok()).collect();
    first + inside.len()
}

/// A rule of each family that refuses some of those calls on a resource, or the same as a dry run.
fn rule(family: usize, resource: &str, is_dry_run: bool) -> Rules {
    fn put<F: sentinel_core::Family>(rule: sentinel_core::Rule<F>, is_dry_run: bool) -> [sentinel_core::Rule<F>; 1] {
        [if is_dry_run { rule.dry_run() } else { rule }]
    }
    let rules = Rules::new();
    match family {
        0 => rules.authority(put(AuthorityRule::deny(resource, ["web"]), is_dry_run)),
        1 => rules.shedding(put(SheddingRule::new(resource), is_dry_run)),
        2 => rules.flow(put(FlowRule::new(resource, 7.0), is_dry_run)),
        3 => rules.isolation(put(IsolationRule::new(resource, 7), is_dry_run)),
        4 => rules.hotspot(put(HotspotRule::new(resource, 0, 7), is_dry_run)),
        _ => rules.circuit_breaker(put(BreakerRule::error_count(resource, 7), is_dry_run)),
    }
}

#[test]
fn a_dry_run_by_name_leaves_default_rules_in_force() {
    for family in 0..6 {
        let (_clock, plain) = under(rule(family, "*", false));
        let (_clock, watched) = under(rule(family, "*", false));
        watched.rules().replace("dry", rule(family, "r", true)).expect("valid");
        let expected = admitted(&plain, "r", "web");
        assert!(expected < 100);
        assert_eq!(admitted(&watched, "r", "web"), expected, "family {family}");
        let rules = watched.snapshot_of("r").expect("it was entered").rules;
        assert_eq!(rules.iter().map(|rule| rule.dry_run).collect::<Vec<_>>(), [true, false]);
        assert!(rules[0].would_block > 0, "family {family}: it sees the same calls");
    }
}

#[cfg(feature = "regex")]
#[test]
fn a_dry_run_by_pattern_leaves_default_rules_in_force_and_one_by_name_leaves_patterns() {
    let (_clock, sentinel) = under(Rules::new().flow([
        FlowRule::new("r.*", 9.0).pattern().id("pattern").dry_run(),
        FlowRule::new("s.*", 5.0).pattern().id("other pattern"),
        FlowRule::new("*", 7.0).id("default"),
        FlowRule::new("s", 3.0).id("name").dry_run(),
    ]));
    assert_eq!(["r", "s", "t"].map(|resource| admitted(&sentinel, resource, "")), [7, 5, 7]);
    let rules = |resource| {
        let rules = sentinel.snapshot_of(resource).expect("it was entered").rules;
        rules.iter().map(|rule| rule.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(rules("r"), ["pattern", "default"]);
    assert_eq!(rules("s"), ["name", "other pattern"]);
    assert_eq!(rules("t"), ["default"]);
}

#[test]
fn a_dry_run_watches_where_it_would_be_in_force() {
    let (_clock, sentinel) =
        under(Rules::new().flow([FlowRule::new("*", 1.0).dry_run(), FlowRule::new("r", 5.0).id("own")]));
    assert_eq!(["r", "s"].map(|resource| admitted(&sentinel, resource, "")), [5, 100]);
    let would_block = |resource| {
        let rules = sentinel.snapshot_of(resource).expect("it was entered").rules;
        rules.iter().map(|rule| rule.would_block).collect::<Vec<_>>()
    };
    assert_eq!(would_block("r"), [0], "that is the one of its own");
    assert_eq!(would_block("s"), [99]);
}

#[test]
fn a_dry_run_for_one_origin_leaves_that_to_the_rule_for_the_others() {
    let flow = |rule: FlowRule| Rules::new().flow([FlowRule::new("r", 7.0).for_other_origins(), rule]);
    let isolation =
        |rule: IsolationRule| Rules::new().isolation([IsolationRule::new("r", 7).for_other_origins(), rule]);
    let earnest =
        [flow(FlowRule::new("r", 9.0).for_origin("web")), isolation(IsolationRule::new("r", 9).for_origin("web"))];
    let dry = [
        flow(FlowRule::new("r", 9.0).for_origin("web").dry_run()),
        isolation(IsolationRule::new("r", 9).for_origin("web").dry_run()),
    ];
    for (earnest, dry) in earnest.into_iter().zip(dry) {
        let inside = |rules| {
            let (_clock, sentinel) = under(rules);
            let enter = |origin| sentinel.enter_with("r", &Call::new().origin(origin)).immediately().ok();
            let calls: Vec<_> = (0..20).flat_map(|_| [enter("web"), enter("mobile")]).collect();
            let of = |first| calls.iter().skip(first).step_by(2).filter(|call| call.is_some()).count();
            (of(0), of(1))
        };
        assert_eq!(inside(earnest), (9, 7));
        assert_eq!(inside(dry), (7, 7));
    }
}

#[test]
fn a_dry_run_with_a_queue_counts_who_would_have_had_to_wait() {
    let rule = IsolationRule::new("r", 1).queue(2, Duration::from_secs(1)).dry_run();
    let (_clock, sentinel) = under(Rules::new().isolation([rule]));
    let inside: Vec<_> = (0..100).map(|_| sentinel.enter("r").immediately().expect("a dry run")).collect();
    assert_eq!(sentinel.snapshot_of("r").expect("it was entered").rules[0].would_block, 99);
    drop(inside);
    drop(sentinel.enter("r").immediately().expect("a dry run"));
    assert_eq!(sentinel.snapshot_of("r").expect("it was entered").rules[0].would_block, 99);
}
