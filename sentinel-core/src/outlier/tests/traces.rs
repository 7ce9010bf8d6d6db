//! Any trace goes as a naive model says, which keeps a log of all calls.

use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
/// Seconds.
const INTERVAL: u64 = 10;
const FACTOR: f64 = 1.13;
const GAP: f64 = 0.0517;

#[derive(Clone, Debug)]
enum Act {
    Admit(usize),
    Begin(usize),
    End(Index, Outcome),
    Record(usize, Outcome, usize),
    Advance(u64),
    Forget(usize),
    Look,
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![4 => Just(Outcome::Ok), 4 => Just(Outcome::Error), 1 => Just(Outcome::Ignored)]
}

fn act() -> impl Strategy<Value = Act> {
    let which = || 0..NAMES.len();
    prop_oneof![
        3 => which().prop_map(Act::Admit),
        2 => which().prop_map(Act::Begin),
        5 => (any::<Index>(), outcome()).prop_map(|(which, outcome)| Act::End(which, outcome)),
        6 => (which(), outcome(), 1..8_usize).prop_map(|(which, outcome, times)| Act::Record(which, outcome, times)),
        4 => prop_oneof![4 => 1..8_u64, 2 => 8..30_u64, 1 => 30..400_u64].prop_map(Act::Advance),
        1 => which().prop_map(Act::Forget),
        2 => Just(Act::Look),
    ]
}

fn config() -> impl Strategy<Value = OutlierConfig> {
    let row = proptest::option::of(1..5_u32);
    let ratio = proptest::option::of((0.1..1.0, 1..12_u32));
    let rate = proptest::option::of((2..5_usize, 1..8_u32));
    (row, ratio, rate, 0.0..=1.0, 1..4_u32, 1..40_u32, 0..100_u32).prop_map(
        |(consecutive_errors, ratio, rate, share, probes, base, more)| OutlierConfig {
            consecutive_errors,
            error_ratio: ratio.map(|(threshold, min_request_amount)| ErrorRatio { threshold, min_request_amount }),
            success_rate: rate.map(|(min_backends, min_request_amount)| SuccessRate {
                factor: FACTOR,
                min_backends,
                min_request_amount,
                min_gap: GAP,
            }),
            interval: SECOND * INTERVAL as u32,
            base_ejection_time: SECOND * base,
            max_ejection_time: SECOND * (base + more),
            max_ejected_share: share,
            probes,
            ..OutlierConfig::default()
        },
    )
}

/// One backend.
struct Naive {
    /// Whether each call of this service went well.
    log: Vec<bool>,
    /// How many of them were judged.
    judged: usize,
    stage: Stage,
    /// No two are the same.
    period: u64,
    multiplier: u64,
    ejections: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Serving,
    /// Until the first probe is due.
    Ejected(u64),
    Probation {
        passed: u32,
        newest: u64,
        next: u64,
    },
}

#[derive(Clone, Copy)]
enum Call {
    Served { which: usize, period: u64 },
    Probe { which: usize, period: u64, number: u64 },
    Nothing,
}

struct Model {
    config: OutlierConfig,
    due: u64,
    periods: u64,
    all: Vec<Naive>,
}

impl Model {
    fn new(config: OutlierConfig) -> Self {
        let mut model = Self { config, due: INTERVAL, periods: 0, all: Vec::new() };
        for _ in NAMES {
            let new = model.fresh();
            model.all.push(new);
        }
        model
    }

    fn fresh(&mut self) -> Naive {
        self.periods += 1;
        let period = self.periods;
        Naive { log: Vec::new(), judged: 0, stage: Stage::Serving, period, multiplier: 0, ejections: 0 }
    }

    fn out(&self) -> usize {
        self.all.iter().filter(|backend| backend.stage != Stage::Serving).count()
    }

    fn most(&self) -> usize {
        let count = self.all.len();
        let fits = |out: &usize| *out as f64 / count as f64 <= self.config.max_ejected_share + 1e-9;
        if self.config.max_ejected_share == 0.0 { 0 } else { (1..count).rev().find(fits).unwrap_or(1) }
    }

    fn eject(&mut self, which: usize, now: u64) {
        let (base, max) = (self.config.base_ejection_time.as_secs(), self.config.max_ejection_time.as_secs());
        self.periods += 1;
        let backend = &mut self.all[which];
        if backend.multiplier * base < max + base {
            backend.multiplier += 1;
        }
        backend.ejections += 1;
        backend.period = self.periods;
        backend.stage = Stage::Ejected(now + (backend.multiplier * base).min(max));
    }

    fn come_back(&mut self, which: usize) {
        let new = self.fresh();
        let Naive { multiplier, ejections, .. } = self.all[which];
        self.all[which] = Naive { multiplier, ejections, ..new };
    }

    fn begin(&mut self, which: usize, now: u64) -> Option<Call> {
        let lease = self.config.base_ejection_time.as_secs();
        let backend = &mut self.all[which];
        let (passed, newest, due) = match backend.stage {
            Stage::Serving => return Some(Call::Served { which, period: backend.period }),
            Stage::Ejected(until) => (0, 0, until),
            Stage::Probation { passed, newest, next } => (passed, newest, next),
        };
        if now < due {
            return None;
        }
        backend.stage = Stage::Probation { passed, newest: newest + 1, next: now + lease };
        Some(Call::Probe { which, period: backend.period, number: newest + 1 })
    }

    fn end(&mut self, call: Call, outcome: Outcome, now: u64) {
        self.sweep(now);
        match call {
            Call::Served { which, period } if self.all[which].period == period => match outcome {
                Outcome::Ok => self.all[which].log.push(true),
                Outcome::Error => {
                    self.all[which].log.push(false);
                    if self.row(which) == 0 && self.out() < self.most() {
                        self.eject(which, now);
                    }
                }
                Outcome::Ignored => {}
            },
            Call::Probe { which, period, number } if self.all[which].period == period => {
                let Stage::Probation { mut passed, newest, mut next } = self.all[which].stage else { panic!() };
                match outcome {
                    Outcome::Error => return self.eject(which, now),
                    Outcome::Ok => passed += 1,
                    Outcome::Ignored => {}
                }
                if newest == number {
                    next = now;
                }
                self.all[which].stage = Stage::Probation { passed, newest, next };
                if passed == self.config.probes {
                    self.come_back(which);
                }
            }
            _ => {}
        }
    }

    /// Errors since the last success or whole row.
    fn row(&self, which: usize) -> usize {
        let errors = self.all[which].log.iter().rev().take_while(|good| !**good).count();
        errors % self.config.consecutive_errors.map_or(usize::MAX, |row| row as usize)
    }

    fn sweep(&mut self, now: u64) {
        if now < self.due {
            return;
        }
        let intervals = (now - self.due) / INTERVAL + 1;
        self.due += intervals * INTERVAL;
        for which in 0..self.all.len() {
            match self.all[which].stage {
                Stage::Serving => {
                    self.all[which].multiplier = self.all[which].multiplier.saturating_sub(intervals);
                }
                Stage::Ejected(due) | Stage::Probation { next: due, .. } if due + INTERVAL <= now => {
                    self.come_back(which);
                }
                _ => {}
            }
        }
        let mut outliers = if intervals == 1 { self.outliers() } else { Vec::new() };
        outliers.sort_by(|(_, one), (_, other)| one.total_cmp(other));
        for backend in self.all.iter_mut().filter(|backend| backend.stage == Stage::Serving) {
            backend.judged = backend.log.len();
        }
        for (which, _) in outliers {
            if self.out() < self.most() {
                self.eject(which, now);
            }
        }
    }

    /// Who does badly, with the percentage of calls that went well.
    fn outliers(&self) -> Vec<(usize, f64)> {
        let of = |backend: &Naive| {
            let lately = &backend.log[backend.judged..];
            let good = lately.iter().filter(|good| **good).count();
            (lately.len(), good as f64 / lately.len() as f64 * 100.0)
        };
        let serving = || self.all.iter().enumerate().filter(|(_, backend)| backend.stage == Stage::Serving);
        let mut found = Vec::new();
        if let Some(rule) = self.config.error_ratio {
            for (which, backend) in serving() {
                let (calls, rate) = of(backend);
                if calls >= rule.min_request_amount as usize && 1.0 - rate / 100.0 >= rule.threshold {
                    found.push((which, rate));
                }
            }
        }
        if let Some(rule) = self.config.success_rate {
            let many = |(_, (calls, _)): &(usize, (usize, f64))| *calls >= rule.min_request_amount as usize;
            let compared: Vec<(usize, (usize, f64))> =
                serving().map(|(which, backend)| (which, of(backend))).filter(many).collect();
            let count = compared.len() as f64;
            let mean = compared.iter().map(|(_, (_, rate))| rate).sum::<f64>() / count;
            let squares = compared.iter().map(|(_, (_, rate))| rate * rate).sum::<f64>() / count;
            let deviation = (squares - mean * mean).max(0.0).sqrt();
            for (which, (_, rate)) in &compared {
                let far = mean - rate > FACTOR * deviation && mean - rate > GAP * 100.0;
                if compared.len() >= rule.min_backends && far && !found.iter().any(|(known, _)| known == which) {
                    found.push((*which, *rate));
                }
            }
            found.sort_by_key(|(which, _)| *which);
        }
        found
    }

    /// Forgets a backend, and knows a new one of the same name.
    fn forget(&mut self, which: usize) {
        self.all.remove(which);
        while self.out() > self.most() {
            let due = |which: &usize| match self.all[*which].stage {
                Stage::Serving => u64::MAX,
                Stage::Ejected(due) | Stage::Probation { next: due, .. } => due,
            };
            let first = (0..self.all.len()).min_by_key(due).unwrap();
            self.come_back(first);
        }
        let new = self.fresh();
        self.all.insert(which, new);
    }

    fn check(&self, snapshot: &[BackendSnapshot], now: u64) {
        for ((which, backend), real) in self.all.iter().enumerate().zip(snapshot) {
            let state = match backend.stage {
                Stage::Serving => BackendState::InService,
                Stage::Ejected(until) => {
                    BackendState::Ejected { remaining: Duration::from_secs(until.saturating_sub(now)) }
                }
                Stage::Probation { passed, .. } => BackendState::OnProbation { passed },
            };
            let lately = &backend.log[backend.judged..];
            let expected = BackendSnapshot {
                name: NAMES[which].into(),
                state,
                calls: lately.len() as u32,
                errors: lately.iter().filter(|good| !**good).count() as u32,
                errors_in_a_row: self.row(which) as u32,
                multiplier: backend.multiplier as u32,
                ejections: backend.ejections,
            };
            assert_eq!(*real, expected);
        }
    }
}

fn replay(config: OutlierConfig, acts: Vec<Act>) {
    let (clock, detector) = detector(config.clone());
    let mut model = Model::new(config);
    let mut all = NAMES.map(|name| detector.backend(name));
    let mut calls: Vec<(BackendTicket, Call)> = Vec::new();
    let mut now = 0;
    for act in acts {
        match act {
            Act::Admit(which) => {
                let (real, naive) = (all[which].admit(), model.begin(which, now));
                assert_eq!(real.is_some(), naive.is_some());
                calls.extend(real.zip(naive));
            }
            Act::Begin(which) => {
                calls.push((all[which].begin(), model.begin(which, now).unwrap_or(Call::Nothing)));
            }
            Act::End(which, outcome) if !calls.is_empty() => {
                let (ticket, call) = calls.swap_remove(which.index(calls.len()));
                match outcome {
                    Outcome::Ok => ticket.success(),
                    Outcome::Error => ticket.fail(),
                    Outcome::Ignored => drop(ticket),
                }
                model.end(call, outcome, now);
            }
            Act::End(..) => {}
            Act::Record(which, outcome, times) => {
                for _ in 0..times {
                    all[which].record(outcome);
                    let call = model.begin(which, now).unwrap_or(Call::Nothing);
                    model.end(call, outcome, now);
                }
            }
            Act::Advance(seconds) => {
                clock.advance(Duration::from_secs(seconds));
                now += seconds;
            }
            Act::Forget(which) => {
                detector.forget(NAMES[which]);
                all[which] = detector.backend(NAMES[which]);
                model.forget(which);
            }
            Act::Look => {
                let snapshot = detector.snapshot();
                model.sweep(now);
                model.check(&snapshot, now);
            }
        }
        for (backend, naive) in all.iter().zip(&model.all) {
            let out = match naive.stage {
                Stage::Serving => false,
                Stage::Ejected(until) | Stage::Probation { next: until, .. } => now < until,
            };
            assert_eq!(backend.is_ejected(), out);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_trace_goes_as_a_log_of_all_calls_would(config in config(), acts in vec(act(), 1..150)) {
        replay(config, acts);
    }
}
