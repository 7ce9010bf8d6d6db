//! Rules against the model, through entries and reloads.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};

use super::{
    model::{Model, ModelTicket},
    sequences::params,
};
use crate::{
    BreakerParams, BreakerRule, Decision, Entry, FlowRule, ManualClock, Outcome, Rules, Sentinel,
    families::circuit_breaker::machine::SOON,
};

#[derive(Clone, Copy, Debug)]
enum Act {
    /// Waits, in microseconds, then enters.
    Enter(u64),
    /// Waits, then ends one of the calls that are inside.
    End(u64, usize, Outcome),
    /// Follows other parameters.
    Reload(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let wait = || prop_oneof![6 => Just(0_u64), 4 => 0..2_000_u64, 3 => 0..60_000_u64, 1 => 0..3_000_000_u64];
    let outcome = prop_oneof![5 => Just(Outcome::Ok), 4 => Just(Outcome::Error), 1 => Just(Outcome::Ignored)];
    let act = prop_oneof![
        10 => wait().prop_map(Act::Enter),
        9 => (wait(), any::<usize>(), outcome).prop_map(|(wait, call, outcome)| Act::End(wait, call, outcome)),
        1 => (0..3_usize).prop_map(Act::Reload),
    ];
    vec(act, 1..300)
}

/// An instance with a rule and the model of it.
struct Pair {
    clock: ManualClock,
    sentinel: Sentinel,
    model: Model,
    /// When each came in.
    inside: Vec<(u64, Entry, ModelTicket)>,
}

impl Pair {
    fn new(params: BreakerParams) -> Self {
        let clock = ManualClock::new();
        clock.advance(Duration::from_secs(60));
        let sentinel = Sentinel::builder().clock(clock.clone()).build().expect("the defaults are valid");
        let pair = Self { clock, sentinel, model: Model::new(params), inside: Vec::new() };
        pair.put_in_force(params);
        pair
    }

    fn put_in_force(&self, params: BreakerParams) {
        let rules = Rules::new().flow([FlowRule::new("r", 1e9)]).circuit_breaker([BreakerRule::on("r", params)]);
        self.sentinel.rules().replace("test", rules).expect("valid");
    }

    fn now(&self) -> u64 {
        self.clock.elapsed().as_nanos() as u64
    }

    fn wait(&self, micros: u64) -> u64 {
        self.clock.advance(Duration::from_micros(micros));
        self.now()
    }

    fn act(&mut self, act: Act, others: &[BreakerParams]) -> Result<(), TestCaseError> {
        match act {
            Act::Enter(micros) => {
                let now = self.wait(micros);
                match (self.sentinel.enter("r"), self.model.ask(now)) {
                    (Decision::Admit(entry), Ok(ticket)) => self.inside.push((now, entry, ticket)),
                    (Decision::Block(blocked), Err(wait)) => {
                        let retry_after = blocked.retry_after().map_or(u64::MAX, |after| after.as_nanos() as u64);
                        prop_assert!(wait.map_or(retry_after <= SOON, |wait| wait == retry_after), "{blocked}");
                    }
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            Act::End(micros, call, outcome) if !self.inside.is_empty() => {
                let now = self.wait(micros);
                let (since, mut entry, ticket) = self.inside.swap_remove(call % self.inside.len());
                match outcome {
                    Outcome::Ok => {}
                    Outcome::Error => entry.fail(),
                    Outcome::Ignored => entry.ignore(),
                }
                drop(entry);
                self.model.end(ticket, now, now - since, outcome);
            }
            Act::End(..) => {}
            Act::Reload(which) => {
                let params = others[which % others.len()];
                self.put_in_force(params);
                self.model.set(params, self.now());
            }
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn a_rule_does_what_the_model_does(params in params(), other in params(), acts in acts()) {
        let near = params.probes(2).retry_timeout(Duration::from_millis(3));
        let near = BreakerParams { max_retry_timeout: None, ..near };
        let mut pair = Pair::new(params);
        for act in acts {
            pair.act(act, &[params, near, other])?;
        }
        pair.inside.clear();
        let entered = pair.sentinel.snapshot_of("r");
        prop_assert_eq!(entered.map_or(0, |resource| resource.statistics.in_flight), 0);
    }
}
