//! Many random schedules: never too many are out, and everybody comes back.

use super::*;
use crate::sync::dice::Dice;

/// A detector to which anything happens.
struct Schedule {
    dice: Dice,
    clock: ManualClock,
    detector: OutlierDetector,
    all: Vec<Backend>,
    calls: Vec<BackendTicket>,
    most: usize,
}

impl Schedule {
    fn new(number: u64) -> Self {
        let dice = Dice::new(number);
        let up_to = |most: u32| (dice.roll() * f64::from(most)) as u32;
        let share = dice.roll();
        let config = OutlierConfig::default()
            .consecutive_errors(1 + up_to(4))
            .error_ratio(0.5, 1 + up_to(5))
            .success_rate(1.0, 2, 1 + up_to(5))
            .ejection_time(SECOND * (1 + up_to(40)), SECOND * (41 + up_to(100)))
            .jitter(SECOND * up_to(10))
            .max_ejected_share(share)
            .probes(1 + up_to(3))
            .seed(number);
        let count = 1 + up_to(6) as usize;
        let (clock, detector) = detector(config);
        let all = backends(&detector, count);
        let most = if count == 1 { 0 } else { ((count as f64 * share) as usize).clamp(1, count - 1) };
        Self { dice, clock, detector, all, calls: Vec::new(), most }
    }

    fn up_to(&self, most: usize) -> usize {
        (self.dice.roll() * most as f64) as usize
    }

    fn step(&mut self) {
        let backend = &self.all[self.up_to(self.all.len())];
        match self.up_to(10) {
            0 => self.calls.extend(backend.admit()),
            1 => self.calls.extend(self.detector.pick(&self.all)),
            2 => self.calls.push(backend.begin()),
            3..6 if !self.calls.is_empty() => {
                let call = self.calls.swap_remove(self.up_to(self.calls.len()));
                match self.up_to(4) {
                    0 => drop(call),
                    1 => call.success(),
                    _ => call.fail(),
                }
            }
            6 => drop(self.detector.snapshot()),
            7 => self.clock.advance(SECOND * self.up_to(90) as u32 / 2),
            _ => (0..self.up_to(8)).for_each(|_| backend.record(Outcome::Error)),
        }
        let out = self.all.iter().filter(|backend| backend.is_ejected()).count();
        assert!(out <= self.most, "{out} of {}, but at most {}", self.all.len(), self.most);
        assert!(self.detector.eligible(&self.all).count() >= self.all.len() - self.most);
    }

    /// From now on every call goes well, and those from before that have not ended do not end.
    fn heal(self) {
        let config = &self.detector.core().config;
        for backend in &self.all {
            let wait = match state(&self.detector, backend) {
                BackendState::InService => Duration::ZERO,
                BackendState::Ejected { remaining } => remaining,
                BackendState::OnProbation { .. } => config.base_ejection_time,
            };
            self.clock.advance(wait);
            for _ in 0..config.probes {
                backend.admit().expect("its time has come").success();
            }
            assert_eq!(state(&self.detector, backend), BackendState::InService);
        }
    }
}

#[test]
fn in_a_hundred_thousand_schedules_never_too_many_are_out_and_everybody_comes_back_in_time() {
    for number in 0..100_000 {
        let mut schedule = Schedule::new(number);
        for _ in 0..30 {
            schedule.step();
        }
        schedule.heal();
    }
}
