//! All families at once: whatever happens to calls and rules, nothing that was taken stays taken.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Waker},
    thread,
    time::Duration,
};

use proptest::{collection::vec, prelude::*, sample::select};
use sentinel_core::{
    Arg, AuthorityRule, BreakerRule, Call, Criticality, Decision, Entry, FlowRule, HotspotRule, IsolationRule,
    ManualClock, Reservation, Rules, Sentinel, SheddingRule, SystemRule, Target,
};

/// How many of the sets that are chosen from.
const RULES: usize = 14;
const NAMES: [&str; 3] = ["a", "b", "c"];

/// Calls of `c` go out, all others come in.
fn target(name: &str) -> Target<'_> {
    if name == "c" { Target::new(name) } else { Target::new(name).inbound() }
}

const ORIGINS: [&str; 3] = ["", "web", "batch"];
const CLASSES: [Criticality; 3] = [Criticality::Sheddable, Criticality::Default, Criticality::Critical];

/// A small set of rules: which of them there are, and how tight they are.
#[derive(Clone, Debug)]
struct Chosen {
    which: Vec<bool>,
    threshold: u32,
    wait: u64,
}

impl Chosen {
    fn rules(&self) -> Rules {
        let Self { which, threshold, wait } = self;
        let wait = Duration::from_millis(*wait);
        let threshold = *threshold;
        let mut rules = Rules::new();
        let has = |index: usize| which.get(index).copied().unwrap_or_default();
        if has(0) {
            rules = rules.flow([FlowRule::new("a", threshold.into()).id("flow")]);
        }
        if has(1) {
            rules = rules.flow([FlowRule::new("a", f64::from(threshold) * 10.0).throttle(wait).id("throttle")]);
        }
        if has(2) {
            rules = rules.isolation([IsolationRule::new("a", threshold).queue(3, wait).id("queue")]);
        }
        if has(3) {
            rules = rules.isolation([IsolationRule::new("b", threshold).for_other_origins().id("origins")]);
        }
        if has(4) {
            rules = rules.isolation([IsolationRule::new("*", threshold + 1).shares(0.8, 0.4).id("default")]);
        }
        if has(5) {
            rules = rules.system([SystemRule::in_flight(2 * threshold).id("system")]);
        }
        if has(6) {
            rules = rules.shedding([SheddingRule::new("c").min_request_amount(2).id("shedding")]);
        }
        if has(7) {
            rules = rules.authority([AuthorityRule::deny("b", ["batch"]).id("authority")]);
        }
        if has(8) {
            rules = rules.flow([FlowRule::new("b", threshold.into()).per(Duration::from_secs(5)).id("late")]);
        }
        if has(9) {
            let breaker = BreakerRule::error_ratio("a", 0.5).min_request_amount(2).probes(2).id("breaker");
            rules = rules.circuit_breaker([breaker.retry_timeout(wait)]);
        }
        if has(10) {
            // Of the four values some have to share.
            let inside = HotspotRule::new("a", 0, threshold).concurrency().capacity(2).id("inside");
            rules = rules.hotspot([inside, HotspotRule::new("*", -1, threshold).value(2, 0).id("bucket")]);
        }
        if has(11) {
            rules = rules.hotspot([HotspotRule::new("a", 0, threshold).throttle(wait).id("spaced")]);
        }
        if has(12) {
            rules = rules.flow([FlowRule::new("c", threshold.into()).aligned(), FlowRule::new("*", 1.0).dry_run()]);
        }
        if has(13) {
            // Without names, so that a reload has to find them again.
            let watched = IsolationRule::new("a", 1).queue(2, wait).dry_run();
            rules = rules.isolation([watched, IsolationRule::new("a", threshold + 2)]);
        }
        rules
    }
}

fn chosen() -> impl Strategy<Value = Chosen> {
    (vec(any::<bool>(), RULES), 1..5_u32, select(vec![1_u64, 50, 1_000])).prop_map(|(which, threshold, wait)| Chosen {
        which,
        threshold,
        wait,
    })
}

/// What a caller does; numbers choose among the calls that are there.
#[derive(Clone, Debug)]
enum Act {
    Enter { name: usize, count: u32, origin: usize, class: usize, value: i64, prioritized: bool },
    Finish { call: usize, how: usize },
    Resume(usize),
    GiveUp(usize),
    Advance(u64),
    Reload(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (0..3_usize, 0..3_u32, 0..3_usize, 0..3_usize, 0..4_i64, any::<bool>()).prop_map(
            |(name, count, origin, class, value, prioritized)| {
                Act::Enter { name, count, origin, class, value, prioritized }
            },
        ),
        4 => (any::<usize>(), 0..6_usize).prop_map(|(call, how)| Act::Finish { call, how }),
        3 => any::<usize>().prop_map(Act::Resume),
        1 => any::<usize>().prop_map(Act::GiveUp),
        3 => prop_oneof![0..20_u64, 0..3_000_u64].prop_map(Act::Advance),
        1 => (0..2_usize).prop_map(Act::Reload),
    ];
    vec(act, 1..120)
}

/// The calls of one caller.
#[derive(Default)]
struct Calls {
    entries: Vec<Entry>,
    waiting: Vec<Reservation>,
}

impl Calls {
    fn act(&mut self, sentinel: &Sentinel, act: &Act) {
        match *act {
            Act::Enter { name, count, origin, class, value, prioritized } => {
                let args = [Arg::from(value)];
                let call = if prioritized { Call::new().prioritized() } else { Call::new() };
                let call = call.count(count).origin(ORIGINS[origin]).criticality(CLASSES[class]).args(&args);
                self.keep(sentinel.enter_with(target(NAMES[name]), &call));
            }
            Act::Finish { call, how } if !self.entries.is_empty() => {
                let mut entry = self.entries.swap_remove(call % self.entries.len());
                match how {
                    0 => {}
                    1 => entry.fail(),
                    2 => entry.ignore(),
                    3 => {
                        let mut run = pin!(entry.run(std::future::pending::<Result<(), ()>>()));
                        assert!(run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                    }
                    4 => thread::scope(|scope| drop(scope.spawn(|| drop(entry)))),
                    _ => {
                        let panicked = catch_unwind(AssertUnwindSafe(move || {
                            let _inside = entry;
                            std::panic::resume_unwind(Box::new("the work panics"));
                        }));
                        assert!(panicked.is_err());
                    }
                }
            }
            Act::Resume(call) if !self.waiting.is_empty() => {
                let reservation = self.waiting.swap_remove(call % self.waiting.len());
                self.keep(reservation.resume());
            }
            Act::GiveUp(call) if !self.waiting.is_empty() => {
                drop(self.waiting.swap_remove(call % self.waiting.len()));
            }
            _ => {}
        }
    }

    fn keep(&mut self, decision: Decision) {
        match decision {
            Decision::Admit(entry) => self.entries.push(entry),
            Decision::Wait(reservation) => self.waiting.push(reservation),
            Decision::Block(_) => {}
        }
    }
}

fn instance(clock: &ManualClock, rules: Rules) -> Sentinel {
    let sentinel = Sentinel::builder().clock(clock.clone()).seed(1).build().expect("the defaults are valid");
    sentinel.rules().replace("test", rules).expect("the rules are valid");
    sentinel
}

/// Well used, and left alone for a while, an instance admits what a new one does.
fn is_like_new(clock: &ManualClock, used: &Sentinel, rules: &Rules) {
    for resource in used.snapshot().resources {
        assert_eq!(resource.statistics.in_flight, 0, "{}", resource.name);
    }
    assert_eq!(used.snapshot().inbound.in_flight, 0);
    clock.advance(Duration::from_secs(3_600));
    // Whatever learns from outcomes learns that all is well.
    for _ in 0..40 {
        NAMES.iter().for_each(|name| drop(used.enter(target(name)).immediately()));
        clock.advance(Duration::from_secs(60));
    }
    clock.advance(Duration::from_secs(3_600));
    let new = instance(clock, rules.clone());
    let offer = |sentinel: &Sentinel| {
        let mut calls = Calls::default();
        for round in 0..60_usize {
            let (name, origin) = (round % 3, round / 3 % 3);
            let value = (round % 4) as i64;
            let act = Act::Enter { name, count: 1, origin, class: 1, value, prioritized: false };
            calls.act(sentinel, &act);
        }
        (calls.entries.len(), calls.waiting.len())
    };
    assert_eq!(offer(used), offer(&new));
}

proptest! {
    #[test]
    fn after_all_calls_have_ended_an_instance_is_like_new(one in chosen(), other in chosen(), acts in acts()) {
        let clock = ManualClock::new();
        clock.advance(Duration::from_secs(60));
        let sets = [one.rules(), other.rules()];
        let sentinel = instance(&clock, sets[0].clone());
        let mut calls = Calls::default();
        let mut in_force = 0;
        for act in &acts {
            match act {
                Act::Advance(millis) => clock.advance(Duration::from_millis(*millis)),
                Act::Reload(which) => {
                    in_force = *which;
                    sentinel.rules().replace("test", sets[in_force].clone()).expect("valid");
                }
                act => calls.act(&sentinel, act),
            }
        }
        drop(calls);
        is_like_new(&clock, &sentinel, &sets[in_force]);
    }
}

#[test]
fn threads_that_panic_give_up_and_reload_leave_nothing_behind() {
    let clock = ManualClock::new();
    clock.advance(Duration::from_secs(60));
    let all = Chosen { which: vec![true; RULES], threshold: 3, wait: 50 };
    let few =
        Chosen { which: (0..RULES).map(|index| [2, 5, 10, 13].contains(&index)).collect(), threshold: 2, wait: 1 };
    let sets = [all.rules(), few.rules()];
    let sentinel = instance(&clock, sets[0].clone());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..8_u64)
            .map(|number| {
                let sentinel = &sentinel;
                scope.spawn(move || {
                    let mut chance = number;
                    let mut calls = Calls::default();
                    for _ in 0..20_000 {
                        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        let pick = (chance >> 33) as usize;
                        let act = match pick % 16 {
                            0..6 => Act::Enter {
                                name: pick / 16 % 3,
                                count: (pick / 48 % 3) as u32,
                                origin: pick / 144 % 3,
                                class: pick / 432 % 3,
                                value: (pick / 1_296 % 4) as i64,
                                prioritized: (pick / 5_184).is_multiple_of(2),
                            },
                            // A panic and another thread are slow.
                            6..12 => Act::Finish {
                                call: pick / 16,
                                how: if pick.is_multiple_of(97) { 4 + pick / 16 % 2 } else { pick / 16 % 4 },
                            },
                            12..15 => Act::Resume(pick / 16),
                            _ => Act::GiveUp(pick / 16),
                        };
                        calls.act(sentinel, &act);
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            for round in 0.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                clock.advance(Duration::from_millis(7));
                sentinel.rules().replace("test", sets[round % 2].clone()).expect("valid");
            }
        });
        workers.into_iter().for_each(|worker| worker.join().expect("every panic is caught"));
        done.store(true, Ordering::Relaxed);
    });
    sentinel.rules().replace("test", sets[0].clone()).expect("valid");
    is_like_new(&clock, &sentinel, &sets[0]);
}
