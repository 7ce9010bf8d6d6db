//! No state of a breaker lasts for ever, whatever becomes of calls and rules: through entries, on the manual clock.

use std::{
    future::pending,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::{Context, Waker},
    thread,
    time::Duration,
};

use sentinel_core::{
    BreakerControl, BreakerParams, BreakerRule, Decision, Entry, FlowRule, ManualClock, Reservation, Resource, Rules,
    Sentinel,
};

/// Schedules that one instance goes through, one after the other: each begins with what the ones before have left.
const IN_A_ROW: u64 = 100;
const INSTANCES: u64 = 1_000;
const THREADS: usize = 2;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Numbers that look like chance, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn of<T: Copy, const N: usize>(&mut self, choices: [T; N]) -> T {
        choices[self.below(N as u64) as usize]
    }

    fn index<T>(&mut self, of: &[T]) -> usize {
        self.below(of.len() as u64) as usize
    }
}

/// One resource, its rules, and the calls that somebody has made.
struct Schedule {
    chance: Chance,
    clock: ManualClock,
    sentinel: Sentinel,
    resource: Resource,
    rules: Chosen,
    inside: Vec<Entry>,
    waiting: Vec<Reservation>,
}

#[derive(Clone, Copy)]
struct Chosen {
    breaker: BreakerParams,
    /// Whether it has a name.
    is_named: bool,
    /// Whether there is a rule before it on the same resource, in whose place it might be taken.
    has_another: bool,
    /// Whether calls wait for their turn before the breaker is asked.
    is_spaced: bool,
    /// Whether a later rule refuses all that the breaker lets through.
    is_refused_later: bool,
}

impl Chosen {
    fn any(chance: &mut Chance) -> Self {
        let breaker = match chance.below(3) {
            0 => BreakerParams::slow_ratio(ms(50), 0.5),
            1 => BreakerParams::error_ratio(0.3),
            _ => BreakerParams::error_count(2),
        };
        let mut breaker = breaker.min_request_amount(chance.of([1, 2, 3])).probes(chance.of([1, 1, 2, 4]));
        breaker =
            if chance.below(2) == 0 { breaker.window_calls(10) } else { breaker.interval(ms(chance.of([10, 1_000]))) };
        breaker = breaker.retry_timeout(ms(chance.of([1, 100, 2_000]))).recovery(ms(chance.of([0, 0, 500])));
        if chance.below(2) == 0 {
            breaker = breaker.retry_growth(2.0).max_retry_timeout(ms(4_000)).retry_jitter(0.5);
        }
        if chance.below(2) == 0 {
            breaker = breaker.probe_timeout(ms(chance.of([1, 100, 3_000])));
        }
        let mut is = || chance.below(5) == 0;
        Self { breaker, is_named: is(), has_another: is(), is_spaced: is(), is_refused_later: is() }
    }

    fn rules(&self) -> Rules {
        let on = |params| BreakerRule::on("r", params);
        let refuse = BreakerParams::error_ratio(1.0).state(BreakerControl::ForcedOpen);
        let another = self.has_another.then(|| on(BreakerParams::error_count(9).state(BreakerControl::ForcedClosed)));
        let breaker = on(self.breaker);
        let breaker = if self.is_named { breaker.id("breaker") } else { breaker };
        let later = self.is_refused_later.then(|| on(refuse).id("later"));
        let spaced = self.is_spaced.then(|| FlowRule::new("r", 1_000.0).throttle(ms(3)));
        Rules::new().circuit_breaker(another.into_iter().chain([breaker]).chain(later)).flow(spaced)
    }
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let clock = ManualClock::new();
        let sentinel = Sentinel::builder().clock(clock.clone()).seed(seed).build().expect("the defaults are valid");
        let resource = sentinel.resource("r");
        let rules = Chosen::any(&mut chance);
        sentinel.rules().replace("test", rules.rules()).expect("the rules are valid");
        Self { chance, clock, sentinel, resource, rules, inside: Vec::new(), waiting: Vec::new() }
    }

    /// Goes through one schedule; returns whether calls are admitted again.
    fn run(&mut self) -> bool {
        if self.chance.below(2) == 0 {
            self.rules = Chosen::any(&mut self.chance);
            self.reload();
        }
        for _ in 0..4 + self.chance.below(16) {
            self.disturb();
        }
        self.recovers()
    }

    fn reload(&self) {
        self.sentinel.rules().replace("test", self.rules.rules()).expect("the rules are valid");
    }

    /// Something goes wrong.
    fn disturb(&mut self) {
        match self.chance.below(20) {
            // A call, which may be a probe, comes in; it may never end.
            0..=6 => {
                let decision = self.resource.enter();
                self.keep(decision);
            }
            7..=11 if !self.inside.is_empty() => {
                let at = self.chance.index(&self.inside);
                let entry = self.inside.swap_remove(at);
                self.end(entry);
            }
            12..=14 if !self.waiting.is_empty() => {
                let at = self.chance.index(&self.waiting);
                let waiting = self.waiting.swap_remove(at);
                if self.chance.below(4) > 0 {
                    self.keep(waiting.resume());
                }
            }
            15 => {
                let other = Chosen::any(&mut self.chance);
                // All of it is another, only the breaker, or all but the breaker.
                self.rules = match self.chance.below(3) {
                    0 => other,
                    1 => Chosen { breaker: other.breaker, ..self.rules },
                    _ => Chosen { breaker: self.rules.breaker, ..other },
                };
                self.reload();
            }
            16 => self.clock.advance(ms(self.chance.below(5_000))),
            _ => self.clock.advance(ms(self.chance.below(60))),
        }
    }

    fn keep(&mut self, decision: Decision) {
        match decision {
            Decision::Admit(entry) => self.inside.push(entry),
            Decision::Wait(reservation) => self.waiting.push(reservation),
            Decision::Block(_) => {}
        }
    }

    /// A call ends well, badly, cancelled, or by a panic.
    fn end(&mut self, mut entry: Entry) {
        match self.chance.below(24) {
            0..=7 => {}
            8..=17 => entry.fail(),
            18..=20 => entry.ignore(),
            21..=22 => {
                let mut run = pin!(entry.run(pending::<Result<(), ()>>()));
                assert!(run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
            _ => {
                let work =
                    || entry.call(|| -> Result<(), ()> { std::panic::resume_unwind(Box::new("the work panics")) });
                assert!(catch_unwind(AssertUnwindSafe(work)).is_err());
            }
        }
    }

    /// The longest that calls may be refused from now on if none that comes is bad.
    fn recovery_time(&self) -> Duration {
        let BreakerParams { retry_timeout, max_retry_timeout, retry_jitter, probe_timeout, recovery, .. } =
            self.rules.breaker;
        let open = max_retry_timeout.unwrap_or(retry_timeout).mul_f64(1.0 + retry_jitter);
        (open + probe_timeout.unwrap_or(open)).max(recovery)
    }

    /// All is well: what is asked from now on ends at once and well. What is inside may hang for ever.
    fn recovers(&mut self) -> bool {
        if self.rules.is_spaced || self.rules.is_refused_later {
            self.rules = Chosen { is_spaced: false, is_refused_later: false, ..self.rules };
            self.reload();
        }
        let is_admitted = |_| self.resource.enter().immediately().is_ok();
        for _ in 0..2 * self.rules.breaker.probes + 2 {
            self.clock.advance(self.recovery_time());
            // As often as it takes for a share of a tenth to let one through.
            if !(0..10).any(is_admitted) {
                return false;
            }
        }
        (0..10).all(is_admitted)
    }
}

#[test]
fn after_any_schedule_of_calls_and_rules_calls_are_admitted_within_a_recovery_time_and_soon_all_of_them() {
    let run = |seed| {
        let mut schedule = Schedule::new(seed);
        for number in 0..IN_A_ROW {
            assert!(schedule.run(), "seed {seed}, schedule {number}");
        }
        schedule.waiting.clear();
        schedule.inside.clear();
        assert_eq!(schedule.resource.in_flight(), 0, "seed {seed}");
    };
    thread::scope(|scope| {
        for first in 0..THREADS {
            scope.spawn(move || (0..INSTANCES).skip(first).step_by(THREADS).for_each(run));
        }
    });
}
