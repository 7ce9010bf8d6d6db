use proptest::{collection::vec, prelude::*, sample::select};
use sentinel_core::{Call, Decision, FlowRule, MemoryAdaptive, Rules, Sentinel};

use super::{BEGIN, Log, ms, sliding_agrees, under};

const SECOND: u64 = 1_000;

fn advance() -> impl Strategy<Value = u64> {
    prop_oneof![4 => Just(0_u64), 4 => 1..60_u64, 2 => 60..700_u64, 1 => 700..4_000_u64]
}

/// The begin of the window of a limit that is aligned to half seconds.
fn aligned(now: u64) -> u64 {
    (now / (SECOND / 2)).saturating_sub(1) * (SECOND / 2)
}

fn admitted(sentinel: &Sentinel, resource: &str, call: &Call<'_>) -> bool {
    sentinel.enter_with(resource, call).immediately().is_ok()
}

proptest! {
    #[test]
    fn a_sliding_limit_is_that_of_a_log(
        threshold in 1..12_u32,
        acts in vec((advance(), 1..4_u32, any::<bool>()), 1..200),
    ) {
        // The second rule refuses some calls, whose permits the first one gets back.
        let rules = [FlowRule::new("r", threshold.into()), FlowRule::new("r", 0.0).for_origin("refused")];
        let (clock, sentinel) = under(Rules::new().flow(rules), 7);
        let (mut log, mut now) = (Log::default(), BEGIN);
        for (advance, permits, refused) in acts {
            now += advance;
            clock.advance(ms(advance));
            let call = Call::new().count(permits).origin(if refused { "refused" } else { "" });
            let is_in = admitted(&sentinel, "r", &call);
            if refused {
                prop_assert!(!is_in);
                continue;
            }
            let agrees = sliding_agrees(&log, now, SECOND, threshold, permits, is_in);
            prop_assert_eq!(agrees, Ok(()), "at {}", now - BEGIN);
            if is_in {
                log.add(now, permits);
            }
        }
    }

    #[test]
    fn aligned_limits_by_origin_are_those_of_logs(
        (all, web, other) in (1..20_u32, 1..8_u32, 1..8_u32),
        acts in vec((advance(), 1..3_u32, select(vec!["", "web", "a", "b"])), 1..150),
    ) {
        let rules = [
            FlowRule::new("r", all.into()).aligned(),
            FlowRule::new("r", web.into()).aligned().for_origin("web"),
            FlowRule::new("r", other.into()).aligned().for_other_origins(),
        ];
        let (clock, sentinel) = under(Rules::new().flow(rules), 7);
        let mut log: Vec<(u64, u32, &str)> = Vec::new();
        let mut now = BEGIN;
        for (advance, permits, origin) in acts {
            now += advance;
            clock.advance(ms(advance));
            let used = |is_of: &dyn Fn(&str) -> bool| -> u32 {
                let within = log.iter().filter(|(at, _, of)| *at >= aligned(now) && is_of(of));
                within.map(|(_, permits, _)| permits).sum()
            };
            let fits = |used: u32, threshold: u32| used + permits <= threshold;
            let expected = fits(used(&|_| true), all)
                && match origin {
                    "" => true,
                    "web" => fits(used(&|of| of == "web"), web),
                    _ => fits(used(&|of| of == origin), other),
                };
            let is_in = admitted(&sentinel, "r", &Call::new().count(permits).origin(origin));
            prop_assert_eq!(is_in, expected, "`{}` at {}", origin, now - BEGIN);
            if is_in {
                log.push((now, permits, origin));
            }
        }
    }

    #[test]
    fn a_threshold_that_follows_memory_is_linear_between_its_marks(
        acts in vec((advance(), 1..3_u32, 0..2_000_u64), 1..120),
    ) {
        let bounds = MemoryAdaptive {
            low_memory_threshold: 20.0,
            high_memory_threshold: 2.0,
            low_water_mark: 500,
            high_water_mark: 1_500,
        };
        let rule = FlowRule::new("r", 1.0).memory_adaptive(bounds);
        let (clock, sentinel) = under(Rules::new().flow([rule]), 7);
        let (mut log, mut now) = (Log::default(), BEGIN);
        for (advance, permits, used) in acts {
            now += advance;
            clock.advance(ms(advance));
            sentinel.signals().set_memory_used(used);
            let threshold = match used {
                ..=500 => 20.0,
                1_500.. => 2.0,
                _ => 20.0 - 18.0 * (used - 500) as f64 / 1_000.0,
            };
            let is_in = admitted(&sentinel, "r", &Call::new().count(permits));
            let agrees = sliding_agrees(&log, now, SECOND, threshold as u32, permits, is_in);
            prop_assert_eq!(agrees, Ok(()), "{} used at {}", used, now - BEGIN);
            if is_in {
                log.add(now, permits);
            }
        }
    }

    #[test]
    fn a_throttled_call_waits_for_its_place_in_a_row(
        (threshold, max_wait) in (1..30_u32, 0..3_000_u64),
        acts in vec((advance(), 1..4_u32, any::<bool>()), 1..120),
    ) {
        let rule = FlowRule::new("r", threshold.into()).throttle(ms(max_wait));
        let (clock, sentinel) = under(Rules::new().flow([rule]), 7);
        // When the next place begins, in nanoseconds.
        let (mut free, mut now, mut waiting) = (0, BEGIN * 1_000_000, Vec::new());
        for (advance, permits, stays) in acts {
            now += advance * 1_000_000;
            clock.advance(ms(advance));
            let cost = (1e9 * f64::from(permits) / f64::from(threshold)).ceil() as u64;
            let (start, decision) = (now.max(free), sentinel.enter_with("r", &Call::new().count(permits)));
            let wait = start - now;
            if permits > threshold || wait > max_wait * 1_000_000 {
                prop_assert!(matches!(decision, Decision::Block(_)), "{:?}", decision);
                continue;
            }
            match decision {
                Decision::Admit(_) => prop_assert_eq!(wait, 0),
                Decision::Wait(reservation) => {
                    prop_assert_eq!(u128::from(wait), reservation.delay().as_nanos());
                    if !stays {
                        // The last place is given back.
                        continue;
                    }
                    waiting.push(reservation);
                }
                Decision::Block(blocked) => prop_assert!(false, "{}", blocked),
            }
            free = start + cost;
        }
        clock.advance(ms(max_wait));
        for reservation in waiting {
            prop_assert!(matches!(reservation.resume(), Decision::Admit(_)));
        }
    }
}
