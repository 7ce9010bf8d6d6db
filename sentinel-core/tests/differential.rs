//! Random traces of calls under the rules of one family, against a reference that remembers everything.
//!
//! Isolation, hotspot and circuit breaker rules have theirs beside the code.

#[path = "differential/authority.rs"]
mod authority;
#[path = "differential/flow.rs"]
mod flow;
#[path = "differential/shedding.rs"]
mod shedding;
#[path = "differential/system.rs"]
mod system;

use std::time::Duration;

use sentinel_core::{ManualClock, Rules, Sentinel};

/// Milliseconds of the clock at which traces begin: a whole hour.
const BEGIN: u64 = 3_600_000;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// An instance at the beginning of a trace.
fn under(rules: Rules, seed: u64) -> (ManualClock, Sentinel) {
    let clock = ManualClock::new();
    clock.advance(ms(BEGIN));
    let sentinel = Sentinel::builder().clock(clock.clone()).seed(seed).build().expect("the settings are in range");
    sentinel.rules().replace("trace", rules).expect("the rules are valid");
    (clock, sentinel)
}

/// All permits that were admitted, with their times.
#[derive(Default)]
struct Log(Vec<(u64, u32)>);

impl Log {
    fn add(&mut self, at: u64, permits: u32) {
        self.0.push((at, permits));
    }

    /// Permits later than so long ago.
    fn within(&self, now: u64, interval: u64) -> u32 {
        self.0.iter().filter(|(at, _)| at + interval > now).map(|(_, permits)| permits).sum()
    }
}

/// A limit that holds in every sliding interval admits nothing that the log would not, and refuses nothing that would fit
/// if permits came back two of its groups later.
fn sliding_agrees(
    log: &Log,
    now: u64,
    interval: u64,
    threshold: u32,
    permits: u32,
    admitted: bool,
) -> Result<(), String> {
    let (used, late) = (log.within(now, interval), log.within(now, interval + interval.div_ceil(64)));
    match admitted {
        true if used + permits > threshold => Err(format!("{permits} more than {used} of {threshold} admitted")),
        false if late + permits <= threshold => Err(format!("{permits} more than {late} of {threshold} refused")),
        _ => Ok(()),
    }
}
