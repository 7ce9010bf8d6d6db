//! The breaker against the model, after long pasts.

use std::time::Duration;

use proptest::{collection::vec, prelude::*, sample::select};

use super::model::{Model, ModelTicket};
use crate::{
    BreakerControl, BreakerParams, BreakerState, Outcome,
    families::circuit_breaker::{
        circuit::Circuit,
        machine::{End, SOON, Ticket},
        tests::Silent,
    },
    sync::dice::Dice,
};

/// Valid parameters of which times are whole milliseconds, so that model and machine agree to the nanosecond.
pub(super) fn params() -> impl Strategy<Value = BreakerParams> {
    let kind = prop_oneof![
        (0..80_u64, 1..=10_u32)
            .prop_map(|(ms, tenths)| BreakerParams::slow_ratio(Duration::from_millis(ms), f64::from(tenths) / 10.0)),
        (1..=10_u32).prop_map(|tenths| BreakerParams::error_ratio(f64::from(tenths) / 10.0)),
        (1..6_u32).prop_map(BreakerParams::error_count),
    ];
    let window = (any::<bool>(), select(vec![1, 100, 1_000]), select(vec![1, 2, 3, 10]), 6..80_u32);
    let retry = (select(vec![1, 10, 500]), select(vec![1.0, 2.0]), select(vec![None, Some(1_000)]));
    let probes = (1..4_u32, select(vec![None, None, Some(1), Some(300)]), select(vec![0, 0, 40, 1_000]));
    (kind, window, 1..6_u32, retry, probes, any::<bool>()).prop_map(
        |(params, (by_calls, interval, buckets, calls), amount, (retry, growth, longest), probes, strict)| {
            let ms = Duration::from_millis;
            let (probes, probe_timeout, recovery) = probes;
            let mut params = params.min_request_amount(amount).retry_timeout(ms(retry)).retry_growth(growth);
            params = params.probes(probes).recovery(ms(recovery)).interval(ms(interval)).buckets(buckets);
            if by_calls {
                params = params.window_calls(calls);
            }
            params.max_retry_timeout = longest.map(ms);
            params.probe_timeout = probe_timeout.map(ms);
            params.strict = strict;
            params
        },
    )
}

#[derive(Clone, Copy, Debug)]
enum Act {
    /// Waits, in microseconds, then asks.
    Ask(u64),
    /// Waits, then ends one of the calls that are inside, which took so long, in milliseconds.
    End(u64, usize, Outcome, u64),
    /// Gives one of them up.
    Undo(usize),
    /// Follows other parameters.
    Set(usize),
}

fn acts(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Act>> {
    let wait = || prop_oneof![6 => Just(0_u64), 4 => 0..2_000_u64, 3 => 0..60_000_u64, 1 => 0..3_000_000_u64];
    let outcome = prop_oneof![5 => Just(Outcome::Ok), 4 => Just(Outcome::Error), 1 => Just(Outcome::Ignored)];
    let act = prop_oneof![
        10 => wait().prop_map(Act::Ask),
        9 => (wait(), any::<usize>(), outcome, 0..100_u64).prop_map(|(wait, call, outcome, ms)| Act::End(wait, call, outcome, ms)),
        1 => any::<usize>().prop_map(Act::Undo),
        1 => (0..4_usize).prop_map(Act::Set),
    ];
    vec(act, len)
}

/// Any past, made from a number.
fn past(seed: u64, len: usize) -> Vec<Act> {
    let dice = Dice::new(seed);
    let up_to = |most: f64| (dice.roll() * most) as u64;
    let act = |_| {
        let wait = [0, 0, up_to(2_000.0), up_to(30_000.0)][up_to(4.0) as usize];
        match up_to(20.0) {
            0..10 => Act::Ask(wait),
            10 => Act::Undo(up_to(1e9) as usize),
            _ => {
                let outcome = [Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Error][up_to(4.0) as usize];
                Act::End(wait, up_to(1e9) as usize, outcome, up_to(60.0))
            }
        }
    };
    (0..len).map(act).collect()
}

/// A breaker and its model in step.
struct Pair {
    circuit: Circuit<Silent>,
    model: Model,
    inside: Vec<(Ticket, ModelTicket)>,
    now: u64,
    acts: u32,
}

impl Pair {
    fn new(params: BreakerParams) -> Self {
        Self {
            circuit: Circuit::new(params, 0, Silent),
            model: Model::new(params),
            inside: Vec::new(),
            now: 60_000_000_000,
            acts: 0,
        }
    }

    fn act(&mut self, act: Act, others: &[BreakerParams]) -> Result<(), TestCaseError> {
        match act {
            Act::Ask(wait) => {
                self.now += wait * 1_000;
                match (self.circuit.ask(|| self.now), self.model.ask(self.now)) {
                    (Ok(one), Ok(other)) => self.inside.push((one, other)),
                    (Err(one), Err(Some(other))) => prop_assert_eq!(one, other),
                    (Err(one), Err(None)) => prop_assert!(0 < one && one <= SOON),
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            Act::End(wait, call, outcome, ms) => {
                self.now += wait * 1_000;
                if let Some((one, other)) = self.leave(call) {
                    let response_time = ms * 1_000_000;
                    self.circuit.end(&one, End { now: self.now, response_time, outcome });
                    self.model.end(other, self.now, response_time, outcome);
                }
            }
            Act::Undo(call) => {
                if let Some((one, other)) = self.leave(call) {
                    self.circuit.undo(&one);
                    self.model.undo(other);
                }
            }
            Act::Set(which) => {
                self.circuit.set(others[which % others.len()], self.now);
                self.model.set(others[which % others.len()], self.now);
            }
        }
        self.acts += 1;
        if self.acts.is_multiple_of(7) { self.compare() } else { Ok(()) }
    }

    /// Compares everything. Not always, since a look takes over what good results were counted without the lock.
    fn compare(&mut self) -> Result<(), TestCaseError> {
        self.model.wait(self.now);
        let snapshot = self.circuit.snapshot(self.now);
        prop_assert_eq!((snapshot.results as usize, snapshot.bad as usize), self.model.window());
        let (one, other) = (snapshot.state, self.model.state());
        // That a recovery is over the breaker notes with the next call.
        prop_assert!(
            one == other || (one, other) == (BreakerState::Recovering, BreakerState::Closed),
            "{:?} {:?}",
            one,
            other
        );
        Ok(())
    }

    fn leave(&mut self, call: usize) -> Option<(Ticket, ModelTicket)> {
        (!self.inside.is_empty()).then(|| self.inside.swap_remove(call % self.inside.len()))
    }
}

proptest! {
    #[test]
    fn it_does_what_the_model_does(params in params(), seed in any::<u64>(), acts in acts(1..300)) {
        let mut pair = Pair::new(params);
        for act in past(seed, 2_000) {
            pair.act(act, &[params])?;
        }
        for act in acts {
            pair.act(act, &[params])?;
        }
    }

    #[test]
    fn it_follows_changes_as_the_model_does(
        params in params(),
        others in vec(params(), 1..3),
        forced in select(vec![BreakerControl::Auto, BreakerControl::ForcedOpen, BreakerControl::ForcedClosed]),
        seed in any::<u64>(),
        acts in acts(1..300),
    ) {
        let mut pair = Pair::new(params);
        for act in past(seed, 300) {
            pair.act(act, &[params])?;
        }
        // One that differs in numbers only, one that is told what to be, and any.
        let near = BreakerParams { probes: 1, threshold: 1.0, retry_timeout: Duration::from_millis(7), ..params };
        let all: Vec<BreakerParams> = [params, near, params.state(forced)].into_iter().chain(others).collect();
        for act in acts {
            pair.act(act, &all)?;
        }
    }
}

#[test]
fn a_window_of_calls_still_slides_after_a_million_of_them() {
    let circuit = Circuit::new(BreakerParams::error_ratio(0.5).window_calls(100), 0, Silent);
    let end = |outcome| {
        let ticket = circuit.ask(|| 0).expect("closed");
        circuit.end(&ticket, End { now: 0, response_time: 0, outcome });
        circuit.state()
    };
    assert!((0..1_000_000).all(|_| end(Outcome::Ok) == BreakerState::Closed));
    assert!((0..49).all(|_| end(Outcome::Error) == BreakerState::Closed));
    assert_eq!(end(Outcome::Error), BreakerState::Open);
}
