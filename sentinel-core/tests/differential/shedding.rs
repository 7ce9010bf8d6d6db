use std::cell::Cell;

use proptest::{collection::vec, prelude::*, sample::Index, test_runner::TestRunner};
use sentinel_core::{Call, Entry, Outcome, Rules, SheddingRule};

use super::{BEGIN, ms, under};

#[derive(Clone, Debug)]
enum Act {
    Enter(u32),
    End(Index, Outcome),
    Advance(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let outcome = prop_oneof![4 => Just(Outcome::Error), 3 => Just(Outcome::Ok), 1 => Just(Outcome::Ignored)];
    prop_oneof![
        5 => (1..4_u32).prop_map(Act::Enter),
        4 => (any::<Index>(), outcome).prop_map(|(which, outcome)| Act::End(which, outcome)),
        1 => (0..900_u64).prop_map(Act::Advance),
    ]
}

/// An interval of 4 s in 40 buckets.
const INTERVAL: u64 = 4_000;
const BUCKET: u64 = INTERVAL / 40;
const K: f64 = 1.5;
const MAX_SHARE: f64 = 0.8;
const LEAST: u64 = 5;

/// Everything that was asked for and has ended, or was refused.
#[derive(Default)]
struct Known(Vec<(u64, bool, u64)>);

impl Known {
    /// The formula of the SRE book over the window at `now`.
    fn share(&self, now: u64) -> f64 {
        let begin = (now / BUCKET + 1) * BUCKET - INTERVAL;
        let within = || self.0.iter().filter(|(at, ..)| *at >= begin);
        let asked: u64 = within().map(|(_, _, permits)| permits).sum();
        let good: u64 = within().filter(|(_, good, _)| *good).map(|(_, _, permits)| permits).sum();
        if asked < LEAST {
            return 0.0;
        }
        ((asked as f64 - K * good as f64) / (asked as f64 + 1.0)).clamp(0.0, MAX_SHARE)
    }
}

#[test]
fn as_many_calls_are_shed_as_the_formula_says() {
    // Refusals, those that were to be expected, and their variance, over all traces.
    let (shed, expected, variance) = (Cell::new(0.0), Cell::new(0.0), Cell::new(0.0));
    let trace = |(seed, acts): (u64, Vec<Act>)| {
        let rule =
            SheddingRule::new("r").k(K).within(ms(INTERVAL)).min_request_amount(LEAST as u32).max_share(MAX_SHARE);
        let (clock, sentinel) = under(Rules::new().shedding([rule]), seed);
        let (mut known, mut now, mut inside) = (Known::default(), BEGIN, Vec::<Entry>::new());
        for act in acts {
            match act {
                Act::Advance(by) => {
                    now += by;
                    clock.advance(ms(by));
                }
                Act::End(which, outcome) if !inside.is_empty() => {
                    let mut entry = inside.swap_remove(which.index(inside.len()));
                    let permits = entry.permits().into();
                    match outcome {
                        Outcome::Error => entry.fail(),
                        Outcome::Ignored => entry.ignore(),
                        _ => {}
                    }
                    if outcome != Outcome::Ignored {
                        known.0.push((now, outcome == Outcome::Ok, permits));
                    }
                }
                Act::End(..) => {}
                Act::Enter(permits) => {
                    let share = known.share(now);
                    expected.set(expected.get() + share);
                    variance.set(variance.get() + share * (1.0 - share));
                    match sentinel.enter_with("r", &Call::new().count(permits)).immediately() {
                        Ok(entry) => inside.push(entry),
                        Err(_) => {
                            prop_assert!(share > 0.0, "refused though the share is 0");
                            known.0.push((now, false, permits.into()));
                            shed.set(shed.get() + 1.0);
                        }
                    }
                }
            }
        }
        Ok(())
    };
    let mut runner = TestRunner::deterministic();
    runner.run(&(any::<u64>(), vec(act(), 1..200)), trace).expect("traces agree");
    let (shed, expected, deviation) = (shed.get(), expected.get(), variance.get().sqrt());
    assert!(expected > 500.0, "there is something to shed: {expected}");
    assert!((shed - expected).abs() < 4.0 * deviation, "{shed} shed, {expected} ± {deviation} expected");
}
