//! Any sequence of entries, exits, waits, reloads and steps of time: nothing panics, and in the end nothing is held.

#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sentinel_core::{Call, Decision, Entry, FlowRule, ManualClock, Reservation, Rules, Sentinel};

#[derive(Arbitrary, Debug)]
enum Operation {
    Enter { name: u8, count: u8, origin: u8, prioritized: bool },
    Exit { index: u8, failed: bool },
    Resume { index: u8 },
    GiveUp { index: u8 },
    Advance { micros: u32 },
    Memory { bytes: u64 },
    Reload { rules: Vec<FuzzRule> },
}

#[derive(Arbitrary, Debug)]
struct FuzzRule {
    name: u8,
    threshold: f64,
    interval_ms: u16,
    shape: u8,
    origin: u8,
    millis: u16,
    dry_run: bool,
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const ORIGINS: [&str; 3] = ["", "web", "mobile"];

fn pick<'a>(from: &[&'a str], index: u8) -> &'a str {
    from[usize::from(index) % from.len()]
}

fn rule(fuzz: &FuzzRule) -> FlowRule {
    let millis = Duration::from_millis(fuzz.millis.into());
    let mut rule = FlowRule::new(pick(&NAMES, fuzz.name), fuzz.threshold.abs() % 50.0)
        .per(Duration::from_millis(u64::from(fuzz.interval_ms) + 1));
    rule = match fuzz.shape % 6 {
        0 => rule.throttle(millis),
        1 => rule.warm_up(millis + Duration::from_millis(1)),
        2 => rule.warm_up(millis + Duration::from_millis(1)).throttle(millis),
        3 => rule.aligned(),
        4 => rule.related_to("e"),
        _ => rule,
    };
    rule = match fuzz.origin % 4 {
        0 => rule.for_other_origins(),
        1 => rule.for_origin("web"),
        _ => rule,
    };
    if fuzz.dry_run { rule.dry_run() } else { rule }
}

fn take<T>(from: &mut Vec<T>, index: u8) -> Option<T> {
    (!from.is_empty()).then(|| from.swap_remove(usize::from(index) % from.len()))
}

fuzz_target!(|operations: Vec<Operation>| {
    let clock = ManualClock::new();
    let sentinel = Sentinel::builder().clock(clock.clone()).max_resources(3).build().expect("the settings are valid");
    let mut entries: Vec<Entry> = Vec::new();
    let mut waiting: Vec<Reservation> = Vec::new();
    let keep = |decision, entries: &mut Vec<Entry>, waiting: &mut Vec<Reservation>| match decision {
        Decision::Admit(entry) => entries.push(entry),
        Decision::Wait(reservation) => waiting.push(reservation),
        Decision::Block(blocked) => assert!(!blocked.to_string().is_empty()),
    };
    for operation in operations {
        match operation {
            Operation::Enter { name, count, origin, prioritized } => {
                let mut call = Call::new().count(count.into()).origin(pick(&ORIGINS, origin));
                if prioritized {
                    call = call.prioritized();
                }
                keep(sentinel.enter_with(pick(&NAMES, name), &call), &mut entries, &mut waiting);
            }
            Operation::Exit { index, failed } => {
                if let Some(mut entry) = take(&mut entries, index)
                    && failed
                {
                    entry.fail();
                }
            }
            Operation::Resume { index } => {
                if let Some(reservation) = take(&mut waiting, index) {
                    keep(reservation.resume(), &mut entries, &mut waiting);
                }
            }
            Operation::GiveUp { index } => drop(take(&mut waiting, index)),
            Operation::Advance { micros } => clock.advance(Duration::from_micros(micros.into())),
            Operation::Memory { bytes } => sentinel.signals().set_memory_used(bytes),
            Operation::Reload { rules } => {
                // Invalid rules are part of the game.
                let _ = sentinel.rules().replace("fuzz", Rules::new().flow(rules.iter().map(rule)));
            }
        }
    }
    drop((entries, waiting));
    for resource in sentinel.snapshot().resources {
        let (totals, in_flight) = (resource.statistics.totals, resource.statistics.in_flight);
        assert_eq!((in_flight, totals.pass), (0, totals.complete), "{}", resource.name);
    }
});
