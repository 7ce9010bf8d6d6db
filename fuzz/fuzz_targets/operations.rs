//! Any sequence of entries, exits, waits, reloads of rules of all families and steps of time: nothing panics, and in
//! the end nothing is held.

#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sentinel_core::{Arg, Call, Criticality, Decision, Entry, ManualClock, Reservation, Sentinel, Target};
use sentinel_kit_fuzz::{AnyRule, NAMES, ORIGINS, pick, rules_of};

/// Rules come first and are always as many, so that short inputs have some.
#[derive(Arbitrary, Debug)]
struct Input {
    documents: [[AnyRule; 4]; 2],
    operations: Vec<Operation>,
}

#[derive(Arbitrary, Debug)]
enum Operation {
    Enter { name: u8, count: u8, origin: u8, value: Value, criticality: u8, prioritized: bool, inbound: bool },
    Exit { index: u8, outcome: u8 },
    Resume { index: u8 },
    GiveUp { index: u8 },
    Advance { micros: u32 },
    Memory { bytes: u64, share: u8 },
    Processor { usage: u8, load: u8 },
    Reload { which: u8 },
    Look,
}

/// The argument of a call.
#[derive(Arbitrary, Debug)]
enum Value {
    None,
    Integer(i8),
    Text(u8),
    Bool(bool),
    Float(f32),
    Bytes(u8),
}

const CRITICALITIES: [Criticality; 3] = [Criticality::Sheddable, Criticality::Default, Criticality::Critical];
const TEXTS: [&str; 4] = ["one", "two", "three", ""];

impl Value {
    fn arg(&self) -> Option<Arg<'static>> {
        Some(match *self {
            Self::None => return None,
            Self::Integer(value) => Arg::Integer(value.into()),
            Self::Text(index) => Arg::Text(pick(&TEXTS, index)),
            Self::Bool(value) => Arg::Bool(value),
            Self::Float(value) => Arg::Float(value.into()),
            Self::Bytes(index) => Arg::Bytes(pick(&TEXTS, index).as_bytes()),
        })
    }
}

fn take<T>(from: &mut Vec<T>, index: u8) -> Option<T> {
    (!from.is_empty()).then(|| from.swap_remove(usize::from(index) % from.len()))
}

fuzz_target!(|input: Input| {
    let clock = ManualClock::new();
    let sentinel =
        Sentinel::builder().clock(clock.clone()).seed(1).max_resources(3).build().expect("the settings are valid");
    let reload = |which: u8| {
        let rules = input.documents.get(usize::from(which) % 3).map(|rules| rules_of(rules)).unwrap_or_default();
        // Invalid rules are part of the game.
        let _ = sentinel.rules().replace("fuzz", rules);
    };
    reload(0);
    let mut entries: Vec<Entry> = Vec::new();
    let mut waiting: Vec<Reservation> = Vec::new();
    let keep = |decision, entries: &mut Vec<Entry>, waiting: &mut Vec<Reservation>| match decision {
        Decision::Admit(entry) => entries.push(entry),
        Decision::Wait(reservation) => waiting.push(reservation),
        Decision::Block(blocked) => assert!(!blocked.to_string().is_empty()),
    };
    for operation in input.operations {
        match operation {
            Operation::Enter { name, count, origin, value, criticality, prioritized, inbound } => {
                let arg = value.arg();
                let named = arg.map(|arg| ("key", arg));
                let call = Call::new().count(count.into()).origin(pick(&ORIGINS, origin));
                let call = call.criticality(pick(&CRITICALITIES, criticality));
                let call = call.args(arg.as_slice()).named_args(named.as_slice());
                let call = if prioritized { call.prioritized() } else { call };
                let target = Target::new(pick(&NAMES, name));
                let target = if inbound { target.inbound() } else { target };
                keep(sentinel.enter_with(target, &call), &mut entries, &mut waiting);
            }
            Operation::Exit { index, outcome } => {
                if let Some(mut entry) = take(&mut entries, index) {
                    match outcome % 3 {
                        0 => entry.fail(),
                        1 => entry.ignore(),
                        _ => {}
                    }
                }
            }
            Operation::Resume { index } => {
                if let Some(reservation) = take(&mut waiting, index) {
                    keep(reservation.resume(), &mut entries, &mut waiting);
                }
            }
            Operation::GiveUp { index } => drop(take(&mut waiting, index)),
            Operation::Advance { micros } => clock.advance(Duration::from_micros(micros.into())),
            Operation::Memory { bytes, share } => {
                sentinel.signals().set_memory_used(bytes);
                sentinel.signals().set_memory_usage(f64::from(share) / 255.0);
            }
            Operation::Processor { usage, load } => {
                sentinel.signals().set_cpu_usage(f64::from(usage) / 255.0);
                sentinel.signals().set_load1(load.into());
            }
            Operation::Reload { which } => reload(which),
            Operation::Look => assert!(sentinel.snapshot().resources.len() <= 2 * NAMES.len()),
        }
    }
    drop((entries, waiting));
    let snapshot = sentinel.snapshot();
    let of_resources = snapshot.resources.iter().map(|resource| (&*resource.name, resource.statistics));
    for (name, statistics) in of_resources.chain([("inbound", snapshot.inbound)]) {
        let totals = statistics.totals;
        assert_eq!((statistics.in_flight, totals.pass), (0, totals.complete), "{name}");
    }
});
