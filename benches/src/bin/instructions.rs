//! Makes calls of one kind, for callgrind to count their instructions.
//!
//! ```text
//! valgrind --tool=callgrind --toggle-collect='*measured_calls*' target/release/instructions admitted 20000
//! ```

use std::hint::black_box;

use sentinel_benches::{
    Error, floor,
    ours::{self, Limit, RESOURCE},
    peers,
};
use sentinel_core::{ManualClock, TscClock};

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
        "governor" => count(peers::governor(1_000_000_000), calls, true),
        _ => Err(format!("there is no case `{case}`").into()),
    }
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
