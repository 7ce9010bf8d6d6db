//! What one call costs, from asking to enter to the end of the entry, on one thread.

use std::time::Duration;

use sentinel_core::{Clock as _, ManualClock, TscClock};

use super::report::{Report, Row};
use crate::{
    Error, floor,
    ours::{self, Limit, RESOURCE},
    timing::{Loop, Timings},
    used_up,
};

const ROUNDS: usize = 101;

pub(crate) fn measure(report: &mut Report) -> Result<(), Error> {
    let tsc = |limit| ours::sentinel(TscClock::new(), limit);
    let plenty = tsc(Limit::PLENTY)?;
    let clock = ManualClock::new();
    let manual = |limit| ours::sentinel(clock.clone(), limit);
    let advance = |each: Loop| {
        let clock = clock.clone();
        each.before_each_round(move || clock.advance(Duration::from_secs(1)))
    };
    let reading = TscClock::new();
    let timings = Timings::take(
        &[
            Loop::admitted("clock", move || reading.nanos() > 0),
            Loop::admitted("floor", floor::call(TscClock::new())),
            Loop::admitted("one rule", ours::by_handle(plenty.resource(RESOURCE))),
            Loop::admitted("by name", ours::by_name(plenty)),
            Loop::refused("refused", used_up(ours::by_handle(tsc(Limit::ONE)?.resource(RESOURCE)))),
            Loop::admitted("no rule", ours::by_handle(tsc(Limit::None)?.resource(RESOURCE))),
            Loop::admitted("inbound", ours::inbound(&tsc(Limit::PLENTY)?)),
            Loop::admitted("manual floor", floor::call(clock.clone())),
            advance(Loop::admitted("manual one rule", ours::by_handle(manual(Limit::PLENTY)?.resource(RESOURCE)))),
            advance(Loop::admitted("manual by name", ours::by_name(manual(Limit::PLENTY)?))),
            advance(Loop::refused("manual refused", used_up(ours::by_handle(manual(Limit::ONE)?.resource(RESOURCE))))),
            advance(Loop::admitted("manual no rule", ours::by_handle(manual(Limit::None)?.resource(RESOURCE)))),
        ],
        ROUNDS,
    )?;
    let mut nanos = |what: &str, name: &str| report.add(&Row::new(what, timings.nanos(name), "ns"));
    nanos("one reading of the TSC clock", "clock");
    nanos("floor, TSC clock: 2 readings, 1 compare-exchange, 5 counters", "floor");
    nanos("one rule, admitted, TSC clock", "one rule");
    nanos("one rule, admitted, by name, TSC clock", "by name");
    nanos("one rule, refused, TSC clock", "refused");
    nanos("no rule, TSC clock", "no rule");
    nanos("one rule, admitted, inbound, TSC clock", "inbound");
    nanos("floor, manual clock", "manual floor");
    nanos("one rule, admitted, manual clock", "manual one rule");
    nanos("one rule, admitted, by name, manual clock", "manual by name");
    nanos("one rule, refused, manual clock", "manual refused");
    nanos("no rule, manual clock", "manual no rule");
    let ratio = |what: &str, name: &str, to: &str| Row::new(what, timings.ratio(name, to), "x");
    report.add(&ratio("one rule to the floor, TSC clock", "one rule", "floor").at_most(1.5));
    report.add(&ratio("one rule to the floor, manual clock", "manual one rule", "manual floor").at_most(3.0));
    report.add(&Row::new("by name more than by handle", timings.difference("by name", "one rule"), "ns").at_most(15.0));
    report.add(&ratio("refused to admitted, TSC clock", "refused", "one rule").at_most(1.0));
    report.add(&ratio("refused to admitted, manual clock", "manual refused", "manual one rule").at_most(1.0));
    Ok(())
}
