use std::time::Duration;

use sentinel_core::{FlowRule, ManualClock, MemoryAdaptive, Rules, Sentinel};
use sentinel_examples::record::Record;

use super::*;
use crate::history::History;

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

/// An instance whose rules are followed, and a record of calls that need not keep to them.
struct World {
    clock: ManualClock,
    sentinel: Sentinel,
    record: Record,
    history: History,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::new();
        let sentinel = Sentinel::builder().clock(clock.clone()).build().unwrap();
        let record = Record::new(clock.clone());
        let history = History::following(&sentinel, clock.clone(), true);
        Self { clock, sentinel, record, history }
    }

    fn rules(&self, rules: impl IntoIterator<Item = FlowRule>) {
        // As the demo: what was in force is looked at now and then.
        self.history.look();
        self.clock.advance(MILLI);
        self.sentinel.rules().replace("test", Rules::new().flow(rules)).unwrap();
        self.clock.advance(MILLI);
    }

    /// Calls on `a` that are admitted, whatever the rules say.
    fn admit(&self, calls: u32, apart: Duration) {
        for _ in 0..calls {
            let before = self.record.offered("a");
            self.record.admitted("a", before);
            self.clock.advance(apart);
        }
    }

    fn judged(&self) -> Vec<Row> {
        self.history.look();
        judge(&self.history.periods(), &self.record.all())
    }

    fn verdicts(&self) -> Vec<Verdict> {
        self.judged().iter().map(|row| row.verdict).collect()
    }
}

#[test]
fn as_many_as_allowed_is_kept_and_one_more_is_not() {
    for (calls, verdict) in [(3, Verdict::Held), (4, Verdict::TooMany)] {
        let world = World::new();
        world.rules([FlowRule::new("a", 3.0)]);
        world.admit(calls, MILLI);
        let rows = world.judged();
        assert_eq!((rows.len(), rows[0].verdict), (1, verdict));
        assert_eq!((rows[0].calls, rows[0].allowed), (Some((calls as usize, calls as usize)), Some(3)));
        assert_eq!(rows[0].worst, Some((u64::from(calls), 3)));
    }
}

#[test]
fn a_limit_that_went_and_came_back_is_not_judged_over_the_gap() {
    let world = World::new();
    world.rules([FlowRule::new("a", 2.0)]);
    world.admit(2, MILLI);
    world.rules([]);
    world.admit(7, MILLI);
    world.rules([FlowRule::new("a", 2.0)]);
    world.admit(2, MILLI);
    let rows = world.judged();
    assert_eq!(rows.iter().map(|row| row.verdict).collect::<Vec<_>>(), [Verdict::Held, Verdict::Held, Verdict::NoRule]);
    assert_eq!(rows.iter().map(|row| row.calls).collect::<Vec<_>>(), [Some((2, 2)), Some((2, 2)), Some((7, 7))]);

    world.admit(1, MILLI);
    assert_eq!(world.verdicts(), [Verdict::Held, Verdict::TooMany, Verdict::NoRule], "but within its own time");
}

#[test]
fn a_changed_threshold_is_judged_by_itself_on_either_side() {
    let world = World::new();
    world.rules([FlowRule::new("a", 2.0)]);
    world.admit(2, MILLI);
    world.rules([FlowRule::new("a", 5.0)]);
    world.admit(5, MILLI);
    let rows = world.judged();
    assert_eq!([rows[0].verdict, rows[1].verdict], [Verdict::Held; 2]);
    assert_eq!([rows[0].allowed, rows[1].allowed], [Some(2), Some(3)], "two of the second's permits were used before");

    world.clock.advance(SECOND);
    world.rules([FlowRule::new("a", 2.0)]);
    world.admit(3, MILLI);
    assert_eq!(world.verdicts(), [Verdict::Held, Verdict::Held, Verdict::TooMany]);
}

#[test]
fn a_reload_that_leaves_a_rule_as_it_is_does_not_hide_what_lies_across_it() {
    let world = World::new();
    world.rules([FlowRule::new("a", 3.0)]);
    world.admit(2, MILLI);
    world.rules([FlowRule::new("a", 3.0), FlowRule::new("b", 1.0)]);
    world.admit(2, MILLI);
    assert_eq!(world.verdicts(), [Verdict::TooMany, Verdict::NotJudged("no calls while it was in force")]);
}

#[test]
fn a_change_that_nobody_has_been_told_of_yet_is_not_held_against_the_rules_before() {
    let world = World::new();
    world.rules([FlowRule::new("a", 2.0)]);
    world.admit(2, MILLI);
    world.history.look();
    // In force already, and told only after the calls.
    world.admit(5, MILLI);
    world.sentinel.rules().replace("test", Rules::new().flow([FlowRule::new("a", 9.0)])).unwrap();
    assert_eq!(world.verdicts()[0], Verdict::Held);
}

#[test]
fn limits_on_one_resource_are_judged_each_by_itself() {
    let world = World::new();
    world.rules([FlowRule::new("a", 2.0).per(10 * MILLI), FlowRule::new("a", 5.0)]);
    world.admit(5, 5 * MILLI);
    let rows = world.judged();
    assert_eq!([rows[0].verdict, rows[1].verdict], [Verdict::Held; 2]);
    assert_eq!([rows[0].allowed, rows[1].allowed], [Some(5); 2]);
    world.admit(1, 5 * MILLI);
    assert_eq!(world.verdicts(), [Verdict::Held, Verdict::TooMany]);
}

#[test]
fn throttled_calls_have_to_be_spaced_and_not_just_few() {
    for (apart, verdict) in [(100, Verdict::Held), (99, Verdict::TooEarly(4_000_000)), (90, Verdict::TooMany)] {
        let world = World::new();
        world.rules([FlowRule::new("a", 10.0).throttle(Duration::ZERO)]);
        world.admit(if apart == 90 { 20 } else { 5 }, apart * MILLI);
        assert_eq!(world.verdicts(), [verdict], "{apart} ms apart");
    }
}

#[test]
fn a_throttled_call_was_let_go_at_some_time_and_the_best_one_counts() {
    let world = World::new();
    world.rules([FlowRule::new("a", 10.0).throttle(SECOND)]);
    let all: Vec<u64> = (0..3).map(|_| world.record.offered("a")).collect();
    for before in &all {
        world.record.admitted("a", *before);
        world.clock.advance(100 * MILLI);
    }
    assert_eq!(world.verdicts(), [Verdict::Held], "they came at once and waited for their turns");
}

#[test]
fn fractions_of_permits_are_counted_as_the_engine_does() {
    let throttled = FlowRule::new("a", 2.5).throttle(Duration::ZERO);
    let rare = FlowRule::new("a", 0.5);
    for (rule, apart, more) in [(throttled, 400, 399), (rare, 2_000, 1_999)] {
        let world = World::new();
        world.rules([rule]);
        world.admit(4, apart * MILLI);
        assert_eq!(world.verdicts(), [Verdict::Held]);
        world.clock.advance(SECOND);
        world.admit(2, more * MILLI);
        assert_ne!(world.verdicts(), [Verdict::Held]);
    }
}

#[test]
fn nothing_passes_a_limit_of_nothing() {
    for rule in [FlowRule::new("a", 0.0), FlowRule::new("a", 0.0).throttle(SECOND)] {
        let world = World::new();
        world.rules([rule]);
        world.record.offered("a");
        world.clock.advance(MILLI);
        assert_eq!(world.verdicts(), [Verdict::Held]);
        world.admit(1, MILLI);
        assert_eq!(world.verdicts(), [Verdict::TooMany]);
    }
}

#[test]
fn what_cannot_be_judged_from_outside_is_listed_with_the_reason() {
    let memory =
        MemoryAdaptive { low_memory_threshold: 9.0, high_memory_threshold: 1.0, low_water_mark: 1, high_water_mark: 2 };
    let rules = [
        (FlowRule::new("a", 1.0).disabled(), "disabled"),
        (FlowRule::new("a", 1.0).dry_run(), "dry run"),
        (FlowRule::new("a", 1.0).for_origin("batch"), "origins"),
        (FlowRule::new("a", 1.0).for_other_origins(), "origins"),
        (FlowRule::new("a", 1.0).related_to("b"), "another resource"),
        (FlowRule::new("a", 1.0).warm_up(SECOND), "traffic"),
        (FlowRule::new("a", 1.0).memory_adaptive(memory), "memory"),
        (FlowRule::new("a", 1.0).aligned(), "aligned"),
        (FlowRule::new("a.*", 1.0).pattern(), "pattern"),
    ];
    let world = World::new();
    world.rules(rules.iter().map(|(rule, _)| rule.clone()));
    world.admit(9, MILLI);
    let rows = world.judged();
    assert_eq!(rows.len(), rules.len());
    for (row, (_, reason)) in rows.iter().zip(&rules) {
        assert!(matches!(row.verdict, Verdict::NotJudged(why) if why.contains(reason)), "{reason}: {row:?}");
        assert_eq!((row.allowed, row.worst), (None, None), "{reason}");
        assert_eq!(row.calls, row.resource.as_ref().map(|_| (9, 9)), "{reason}");
    }
}
