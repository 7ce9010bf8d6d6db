//! Random traces, beside a model that is slow and obviously right.

use std::collections::HashMap;

use proptest::{collection::vec, sample::Index};

use super::*;

/// The moment at which `under` begins.
const START: u64 = 3_600_000_000_000;
const MILLI: u64 = 1_000_000;

#[derive(Clone, Debug)]
enum Act {
    Advance(u64),
    /// Enters with this value and so many permits; a second rule may refuse it.
    Enter {
        value: usize,
        permits: u32,
        refused_later: bool,
    },
    /// Ends a call, or gives a wait up.
    End(Index),
    /// Goes on with a wait whose time has come.
    Resume(Index),
}

fn acts() -> impl proptest::strategy::Strategy<Value = Vec<Act>> {
    let enter = (0..5_usize, 1..4_u32, prop::bool::weighted(0.2))
        .prop_map(|(value, permits, refused_later)| Act::Enter { value, permits, refused_later });
    let act = prop_oneof![
        2 => (0..400_u64).prop_map(Act::Advance),
        6 => enter,
        2 => any::<Index>().prop_map(Act::End),
        1 => any::<Index>().prop_map(Act::Resume),
    ];
    vec(act, 1..150)
}

/// What was admitted of one value.
#[derive(Debug, Default)]
struct Model {
    /// When, and how many permits.
    taken: Vec<(u64, u64)>,
    inside: u64,
    /// The places of a queue: where they begin and end, in nanoseconds times the threshold.
    places: Vec<(u64, u64)>,
}

#[derive(Debug, PartialEq)]
enum Answer {
    Pass,
    Wait(u64),
    Block,
}

impl Model {
    fn enter(&self, rule: &HotspotParams, threshold: u64, now: u64, permits: u64) -> Answer {
        let interval = rule.interval.as_nanos() as u64;
        match rule.metric {
            HotspotMetric::Bucket { burst, .. } => {
                let capacity = if threshold == 0 { 0 } else { threshold + u64::from(burst) };
                let mut sum = permits;
                let fits = permits <= capacity
                    && self.taken.iter().rev().all(|&(from, more)| {
                        sum += more;
                        sum.saturating_sub(capacity) * interval <= (now - from) * threshold
                    });
                if fits { Answer::Pass } else { Answer::Block }
            }
            HotspotMetric::Concurrency if self.inside + permits <= threshold => Answer::Pass,
            HotspotMetric::Concurrency => Answer::Block,
            HotspotMetric::Throttle { .. } if permits > threshold => Answer::Block,
            HotspotMetric::Throttle { max_queueing_time } => {
                let wait = (self.free(threshold, now) - now * threshold).div_ceil(threshold);
                match wait {
                    0 => Answer::Pass,
                    wait if wait <= max_queueing_time.as_nanos() as u64 => Answer::Wait(wait),
                    _ => Answer::Block,
                }
            }
        }
    }

    fn free(&self, threshold: u64, now: u64) -> u64 {
        self.places.last().map_or(0, |place| place.1).max(now * threshold)
    }

    /// Takes what a call that goes on takes; returns its place.
    fn take(&mut self, rule: &HotspotParams, threshold: u64, now: u64, permits: u64) -> (u64, u64) {
        let begin = self.free(threshold, now);
        let place = (begin, begin + permits * rule.interval.as_nanos() as u64);
        self.taken.push((now, permits));
        self.inside += permits;
        self.places.push(place);
        place
    }

    fn give_up(&mut self, threshold: u64, now: u64, place: (u64, u64), permits: u64) {
        self.inside -= permits;
        if self.places.last() == Some(&place) {
            self.places.pop();
            // What has passed of it is gone.
            if place.0 < now * threshold {
                self.places.push((place.0, place.1.min(now * threshold)));
            }
        }
    }
}

fn rules() -> impl proptest::strategy::Strategy<Value = HotspotRule> {
    let metric = prop_oneof![
        (0..4_u32).prop_map(|burst| HotspotMetric::Bucket { burst, refill: Refill::Continuous }),
        (0..600_u64).prop_map(|wait| HotspotMetric::Throttle { max_queueing_time: ms(wait) }),
        Just(HotspotMetric::Concurrency),
    ];
    let cache = prop::sample::select(CACHES);
    (1..6_u32, 0..9_u32, 1..2_000_u64, metric, cache).prop_map(|(threshold, special, interval, metric, cache)| {
        let mut rule =
            HotspotRule::new("r", 0, threshold).per(ms(interval)).value("b", special).capacity(9).cache(cache);
        rule.params.metric = metric;
        rule
    })
}

proptest! {
    #[test]
    fn every_trace_is_decided_as_by_the_model(rule in rules(), acts in acts()) {
        let values = [Arg::from("a"), Arg::from("b"), Arg::from(1), Arg::from(true), Arg::from("1")];
        let (clock, sentinel) = under([rule.clone(), HotspotRule::new("r", 1, 1).value("closed", 0)]);
        let params = &rule.params;
        let threshold = |value: usize| u64::from(if value == 1 { params.items[0].threshold } else { params.threshold });
        let mut models: HashMap<usize, Model> = HashMap::new();
        let mut entries = Vec::new();
        let mut waiting = Vec::new();
        let mut now = START;
        for act in acts {
            match act {
                Act::Advance(millis) => {
                    now += millis * MILLI;
                    clock.advance(ms(millis));
                }
                Act::Enter { value, permits, refused_later } => {
                    let closed = [values[value], Arg::from("closed")];
                    let args = if refused_later { &closed } else { &closed[..1] };
                    let decision = sentinel.enter_with("r", &Call::new().args(args).count(permits));
                    let (threshold, permits) = (threshold(value), u64::from(permits));
                    let model = models.entry(value).or_default();
                    let expected = model.enter(params, threshold, now, permits);
                    match decision {
                        Decision::Admit(entry) => {
                            prop_assert_eq!(expected, Answer::Pass);
                            entries.push((value, permits, model.take(params, threshold, now, permits), entry));
                        }
                        Decision::Wait(reservation) => {
                            let delay = reservation.delay().as_nanos() as u64;
                            prop_assert_eq!(expected, Answer::Wait(delay));
                            let place = model.take(params, threshold, now, permits);
                            waiting.push((value, permits, place, now + delay, refused_later, reservation));
                        }
                        Decision::Block(_) => prop_assert!(refused_later || expected == Answer::Block),
                    }
                }
                Act::End(which) if which.index(2) == 0 && !waiting.is_empty() => {
                    let (value, permits, place, ..) = waiting.swap_remove(which.index(waiting.len()));
                    models.entry(value).or_default().give_up(threshold(value), now, place, permits);
                }
                Act::End(which) if !entries.is_empty() => {
                    let (value, permits, _, entry) = entries.swap_remove(which.index(entries.len()));
                    drop(entry);
                    models.entry(value).or_default().inside -= permits;
                }
                Act::Resume(which) if !waiting.is_empty() => {
                    let (value, permits, place, due, refused_later, reservation) =
                        waiting.swap_remove(which.index(waiting.len()));
                    match reservation.resume() {
                        Decision::Admit(entry) => {
                            prop_assert!(due <= now && !refused_later);
                            entries.push((value, permits, place, entry));
                        }
                        Decision::Wait(reservation) => {
                            prop_assert!(now < due);
                            waiting.push((value, permits, place, due, refused_later, reservation));
                        }
                        Decision::Block(_) => {
                            prop_assert!(due <= now && refused_later);
                            models.entry(value).or_default().give_up(threshold(value), now, place, permits);
                        }
                    }
                }
                Act::End(_) | Act::Resume(_) => {}
            }
        }
    }
}
