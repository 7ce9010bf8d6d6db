use proptest::{collection::vec, prelude::*, sample::Index};
use sentinel_core::{Call, Entry, Rules, Sentinel, SystemRule, Target};

use super::{BEGIN, Log, ms, sliding_agrees, under};

#[derive(Clone, Debug)]
enum Act {
    Enter { permits: u32, inbound: bool },
    End(Index),
    Advance(u64),
    Read { cpu: f64, load: f64, memory: f64 },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (1..3_u32, prop::bool::weighted(0.8)).prop_map(|(permits, inbound)| Act::Enter { permits, inbound }),
        4 => any::<Index>().prop_map(Act::End),
        3 => (0..900_u64).prop_map(Act::Advance),
        1 => (0.0..1.0, 0.0..4.0, 0.0..1.0).prop_map(|(cpu, load, memory)| Act::Read { cpu, load, memory }),
    ]
}

fn enter(sentinel: &Sentinel, permits: u32, inbound: bool) -> Option<Entry> {
    let target = if inbound { Target::new("in").inbound() } else { Target::new("out") };
    sentinel.enter_with(target, &Call::new().count(permits)).immediately().ok()
}

proptest! {
    #[test]
    fn inbound_calls_enter_while_signals_and_calls_in_flight_are_below_their_thresholds(
        most in 1..8_u32,
        acts in vec(act(), 1..150),
    ) {
        let (cpu_most, load_most, memory_most) = (0.7, 3.0, 0.9);
        let rules = [
            SystemRule::in_flight(most),
            SystemRule::cpu_usage(cpu_most).gate(),
            SystemRule::load1(load_most).gate(),
            SystemRule::memory_usage(memory_most).gate(),
        ];
        let (clock, sentinel) = under(Rules::new().system(rules), 7);
        let mut inside: Vec<(Entry, bool)> = Vec::new();
        let mut read = (0.0, 0.0, 0.0);
        let tell = |(cpu, load, memory)| {
            sentinel.signals().set_cpu_usage(cpu);
            sentinel.signals().set_load1(load);
            sentinel.signals().set_memory_usage(memory);
        };
        for act in acts {
            match act {
                Act::Advance(by) => clock.advance(ms(by)),
                Act::Read { cpu, load, memory } => read = (cpu, load, memory),
                Act::End(which) if !inside.is_empty() => drop(inside.swap_remove(which.index(inside.len()))),
                Act::End(_) => {}
                Act::Enter { permits, inbound } => {
                    // Readings that are repeated do not grow old.
                    tell(read);
                    let in_flight: u32 = inside.iter().filter(|(_, inbound)| *inbound).map(|(of, _)| of.permits()).sum();
                    let is_calm = read.0 <= cpu_most && read.1 <= load_most && read.2 <= memory_most;
                    let expected = !inbound || (is_calm && in_flight + permits <= most);
                    let entry = enter(&sentinel, permits, inbound);
                    prop_assert_eq!(entry.is_some(), expected, "{:?}, {} in flight", read, in_flight);
                    inside.extend(entry.map(|entry| (entry, inbound)));
                }
            }
        }
    }

    #[test]
    fn inbound_permits_per_second_are_those_of_a_log(most in 1..12_u32, acts in vec(act(), 1..200)) {
        let (clock, sentinel) = under(Rules::new().system([SystemRule::inbound_qps(most.into())]), 7);
        let (mut log, mut now) = (Log::default(), BEGIN);
        for act in acts {
            match act {
                Act::Advance(by) => {
                    now += by;
                    clock.advance(ms(by));
                }
                Act::Enter { permits, inbound } => {
                    let is_in = enter(&sentinel, permits, inbound).is_some();
                    if inbound {
                        prop_assert_eq!(sliding_agrees(&log, now, 1_000, most, permits, is_in), Ok(()));
                        if is_in {
                            log.add(now, permits);
                        }
                    } else {
                        prop_assert!(is_in);
                    }
                }
                Act::End(_) | Act::Read { .. } => {}
            }
        }
    }
}
