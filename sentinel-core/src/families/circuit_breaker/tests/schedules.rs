//! No state lasts for ever: whatever calls do, they are let through again soon after all is well.

use std::time::Duration;

use crate::{
    BreakerParams, BreakerState, Outcome,
    families::circuit_breaker::machine::{End, Machine, Ticket},
    sync::dice::Dice,
};

const MS: u64 = 1_000_000;

struct Schedule {
    dice: Dice,
    machine: Machine,
    params: BreakerParams,
    now: u64,
    inside: Vec<Ticket>,
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let dice = Dice::new(seed);
        let params = any_params(&dice);
        Self { machine: Machine::new(params, seed), dice, params, now: 0, inside: Vec::new() }
    }

    /// Something goes wrong.
    fn disturb(&mut self) {
        match pick(&self.dice, 12) {
            // A call, which may be a probe, comes in; it may never end.
            0..=4 => self.inside.extend(self.machine.ask(self.now)),
            // One of those inside ends, well, badly, cancelled, or late.
            5..=7 if !self.inside.is_empty() => {
                let ticket = self.inside.swap_remove(pick(&self.dice, self.inside.len()));
                let outcome = [Outcome::Ok, Outcome::Error, Outcome::Error, Outcome::Ignored][pick(&self.dice, 4)];
                let response_time = [0, 20, 100][pick(&self.dice, 3)] * MS;
                self.machine.end(&ticket, End { now: self.now, response_time, outcome });
            }
            // A later rule refuses it.
            8 if !self.inside.is_empty() => {
                let ticket = self.inside.swap_remove(pick(&self.dice, self.inside.len()));
                self.machine.undo(&ticket);
            }
            9 => {
                self.params = any_params(&self.dice);
                self.machine.set(self.params, self.now);
            }
            10 => self.now += pick(&self.dice, 5_000) as u64 * MS,
            _ => self.now += pick(&self.dice, 60) as u64 * MS,
        }
    }

    /// The longest that calls may be refused from now on if none that comes is bad.
    fn recovery_time(&self) -> u64 {
        let open = self.params.longest_retry().mul_f64(1.0 + self.params.retry_jitter);
        let probes = self.params.probe_timeout.unwrap_or(open);
        (open + probes).max(self.params.recovery).as_nanos() as u64
    }

    /// Asks as often as it takes for a share of a tenth to let one through.
    fn ask(&mut self) -> Option<Ticket> {
        (0..10).find_map(|_| self.machine.ask(self.now).ok())
    }

    fn end_well(&mut self, ticket: &Ticket) {
        self.machine.end(ticket, End { now: self.now, response_time: 0, outcome: Outcome::Ok });
    }
}

fn pick(dice: &Dice, of: usize) -> usize {
    (dice.roll() * of as f64) as usize
}

fn any_params(dice: &Dice) -> BreakerParams {
    let ms = |choices: [u64; 3]| Duration::from_millis(choices[pick(dice, 3)]);
    let params = match pick(dice, 3) {
        0 => BreakerParams::slow_ratio(Duration::from_millis(50), 0.5),
        1 => BreakerParams::error_ratio(0.3),
        _ => BreakerParams::error_count(2),
    };
    let mut params = params.min_request_amount(1 + pick(dice, 3) as u32).probes(1 + pick(dice, 4) as u32);
    params = if pick(dice, 2) == 0 { params.window_calls(10) } else { params.interval(ms([10, 100, 1_000])) };
    params = params.retry_timeout(ms([1, 100, 2_000])).recovery(ms([0, 0, 500]));
    if pick(dice, 2) == 0 {
        params = params.retry_growth(2.0).max_retry_timeout(Duration::from_secs(4)).retry_jitter(0.5);
    }
    if pick(dice, 2) == 0 {
        params = params.probe_timeout(ms([1, 100, 3_000]));
    }
    params
}

#[test]
fn after_any_schedule_calls_are_let_through_within_a_recovery_time_and_soon_all_of_them() {
    let mut seen = std::collections::HashSet::new();
    for seed in 0..100_000 {
        let mut schedule = Schedule::new(seed);
        for _ in 0..10 + pick(&schedule.dice, 50) {
            schedule.disturb();
        }
        seen.insert(schedule.machine.shown());
        // All is well: what is asked from now on ends at once and well; what is inside may hang for ever.
        let (mut relapses, mut well) = (0, 0);
        for _ in 0..2 * schedule.params.probes + 10 {
            schedule.now += schedule.recovery_time();
            let ticket = schedule.ask().unwrap_or_else(|| panic!("seed {seed}: {:?}", schedule.machine));
            schedule.end_well(&ticket);
            match schedule.machine.shown() {
                BreakerState::Closed => well += 1,
                // Results of before were in the window still, and there are enough of them now.
                BreakerState::Open => relapses += 1,
                _ => {}
            }
        }
        assert!(relapses <= 1 && well >= 5, "seed {seed}: {:?}", schedule.machine);
        assert!((0..10).all(|_| schedule.machine.ask(schedule.now).is_ok()), "seed {seed}: {:?}", schedule.machine);
    }
    assert_eq!(seen.len(), 4, "the schedules lead to every state: {seen:?}");
}

#[test]
fn a_service_that_is_slower_than_the_probe_timeout_is_let_through_again_once_it_is_well() {
    let params = BreakerParams::error_ratio(0.5).min_request_amount(1).retry_timeout(Duration::from_secs(1));
    let mut machine = Machine::new(params, 0);
    let ticket = machine.ask(0).expect("closed");
    machine.end(&ticket, End { now: 0, response_time: 0, outcome: Outcome::Error });
    // Each call takes 3 s and ends well.
    let mut inside = std::collections::VecDeque::new();
    for second in 1..10 {
        let now = second * 1_000 * MS;
        if inside.front().is_some_and(|(since, _)| now - since >= 3_000 * MS) {
            let (_, ticket) = inside.pop_front().expect("there is one");
            machine.end(&ticket, End { now, response_time: 3_000 * MS, outcome: Outcome::Ok });
        }
        inside.extend(machine.ask(now).ok().map(|ticket| (now, ticket)));
    }
    assert_eq!(machine.shown(), BreakerState::Closed);
}
