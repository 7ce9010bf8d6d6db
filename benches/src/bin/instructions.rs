//! Makes calls of one kind, for callgrind to count their instructions.
//!
//! ```text
//! valgrind --tool=callgrind --toggle-collect='*measured_calls*' target/release/instructions admitted 20000
//! ```
//!
//! A case is a name, or a kind of rule after `admits` or `refuses`: `"admits circuit breaker"`.

use std::hint::black_box;

use sentinel_benches::{
    Error, breakers,
    families::{self, Kind},
    floor,
    keys::Keys,
    ours::{self, Limit, RESOURCE},
    peers, stack,
};
use sentinel_core::{
    Clock, Direction,
    Direction::{Inbound, Outbound},
    ManualClock, TscClock,
};

/// Enough calls for all that happens only at first: the first call of a thread, and a resource that becomes hot.
const WARM_UP: u32 = 5_000;

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (Some(case), Some(calls)) = (args.next(), args.next()) else {
        return Err("usage: instructions CASE CALLS".into());
    };
    let calls = calls.parse()?;
    let manual = |limit| ours::sentinel(ManualClock::new(), limit);
    match case.as_str() {
        "admitted" => count(ours::by_handle(manual(Limit::PLENTY)?.resource(RESOURCE)), calls, true),
        "admitted-tsc" => {
            let sentinel = ours::sentinel(TscClock::new(), Limit::PLENTY)?;
            count(ours::by_handle(sentinel.resource(RESOURCE)), calls, true)
        }
        "by-name" => count(ours::by_name(manual(Limit::PLENTY)?), calls, true),
        "inbound" => count(ours::inbound(&manual(Limit::PLENTY)?), calls, true),
        "refused" => count(ours::by_handle(manual(Limit::ONE)?.resource(RESOURCE)), calls, false),
        "no-rule" => count(ours::by_handle(manual(Limit::None)?.resource(RESOURCE)), calls, true),
        "floor" => count(floor::call(ManualClock::new()), calls, true),
        "breaker-of-calls" => {
            let through = breakers::of_calls(TscClock::new())?;
            count(|| through(true), calls, true)
        }
        "breaker-of-a-second" => {
            let through = breakers::of_a_second(TscClock::new())?;
            count(|| through(true), calls, true)
        }
        "recloser" => {
            let through = breakers::recloser();
            count(|| through(true), calls, true)
        }
        "failsafe" => {
            let through = breakers::failsafe();
            count(|| through(true), calls, true)
        }
        "stack" => {
            let sentinel = stack::sentinel(TscClock::new())?;
            count(ours::by_handle(sentinel.resource(RESOURCE)), calls, true)
        }
        "stack-layer" => count(stack::caller(stack::layer(TscClock::new())?), calls, true),
        "stack-tower-resilience" => count(stack::caller(stack::tower_resilience()?), calls, true),
        "same-call" => count(under(ManualClock::new(), &[], Inbound)?, calls, true),
        "same-call-out" => count(under(ManualClock::new(), &[], Outbound)?, calls, true),
        "all" => count(under(ManualClock::new(), &Kind::EACH, Inbound)?, calls, true),
        "all-out" => count(under(ManualClock::new(), &Kind::EACH, Outbound)?, calls, true),
        "all-tsc" => count(under(TscClock::new(), &Kind::EACH, Inbound)?, calls, true),
        "all-by-name" => {
            count(families::by_name(families::sentinel(ManualClock::new(), &Kind::EACH)?, Inbound), calls, true)
        }
        "zipf" => count(keyed(&[])?, calls, true),
        "zipf-hotspot" => count(keyed(&[Kind::Hotspot])?, calls, true),
        "zipf-governor" => count(Keys::zipf(10_000).governor(1_000_000_000), calls, true),
        "governor" => count(peers::governor(1_000_000_000), calls, true),
        other => under_one(other, calls),
    }
}

/// A case that is about one kind of rule.
fn under_one(case: &str, calls: u32) -> Result<(), Error> {
    let unknown = || Error::from(format!("there is no case `{case}`"));
    let (what, name) = case.split_once(' ').ok_or_else(unknown)?;
    let kind = Kind::named(name).ok_or_else(unknown)?;
    match what {
        "admits" => count(under(ManualClock::new(), &[kind], kind.direction())?, calls, true),
        "refuses" => count(families::refused(ManualClock::new(), kind)?.ok_or_else(unknown)?, calls, false),
        _ => Err(unknown()),
    }
}

fn under(clock: impl Clock, kinds: &[Kind], direction: Direction) -> Result<impl Fn() -> bool, Error> {
    Ok(families::by_handle(families::sentinel(clock, kinds)?, RESOURCE, direction))
}

fn keyed(kinds: &[Kind]) -> Result<impl Fn() -> bool, Error> {
    let sentinel = families::sentinel(TscClock::new(), kinds)?;
    Ok(Keys::zipf(10_000).by_handle(sentinel))
}

fn count(call: impl Fn() -> bool, calls: u32, admitted: bool) -> Result<(), Error> {
    for _ in 0..WARM_UP {
        black_box(call());
    }
    match measured_calls(&call, calls) {
        all if all == calls && admitted => Ok(()),
        0 if !admitted => Ok(()),
        some => Err(format!("{some} of {calls} calls were admitted").into()),
    }
}

/// The function inside which instructions are counted; how many calls were admitted.
#[inline(never)]
fn measured_calls(call: &impl Fn() -> bool, calls: u32) -> u32 {
    let mut admitted = 0;
    for _ in 0..calls {
        admitted += u32::from(black_box(call()));
    }
    admitted
}
