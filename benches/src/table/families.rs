//! What a rule of each family adds to a call, and what all families cost together, on one thread.

use std::time::Duration;

use sentinel_core::{Clock, Direction, ManualClock, Sentinel, TscClock};

use super::report::{Report, Row};
use crate::{
    Error,
    families::{self, Kind},
    ours::RESOURCE,
    timing::{Loop, Timings},
};

const ROUNDS: usize = 101;

pub(crate) fn measure(report: &mut Report) -> Result<(), Error> {
    on_clock(report, "TSC clock", &TscClock::new(), || ())?;
    let clock = ManualClock::new();
    on_clock(report, "manual clock", &clock.clone(), move || clock.advance(Duration::from_secs(1)))
}

fn on_clock<C: Clock + Clone>(
    report: &mut Report,
    on: &str,
    clock: &C,
    tick: impl Fn() + Clone + 'static,
) -> Result<(), Error> {
    let under = |kinds: &[Kind]| families::sentinel(clock.clone(), kinds);
    let round = |each: Loop, sentinel: Sentinel| {
        let tick = tick.clone();
        each.before_each_round(move || {
            tick();
            families::read_signals(&sentinel);
        })
    };
    let by_handle = |name: &str, sentinel: Sentinel, direction| {
        round(Loop::admitted(name, families::by_handle(sentinel.clone(), RESOURCE, direction)), sentinel)
    };
    let mut loops = Vec::new();
    for direction in [Direction::Inbound, Direction::Outbound] {
        let all = under(&Kind::EACH)?;
        loops.push(by_handle(none(direction), under(&[])?, direction));
        loops.push(by_handle(each(direction), all.clone(), direction));
        loops.push(round(Loop::admitted(by_name(direction), families::by_name(all.clone(), direction)), all));
    }
    for kind in Kind::ALL {
        loops.push(by_handle(kind.name(), under(&[kind])?, kind.direction()));
    }
    loops.push(by_handle(FLOW_OUT, under(&[Kind::Flow])?, Direction::Outbound));
    let admitted = Timings::take(&loops, ROUNDS)?;
    let mut loops = Vec::new();
    for kind in Kind::ALL {
        if let Some(call) = families::refused(clock.clone(), kind)? {
            let tick = tick.clone();
            loops.push(Loop::refused(kind.name(), call).before_each_round(tick));
        }
    }
    let refused = Timings::take(&loops, ROUNDS)?;

    let mut nanos = |name: String, value: f64| report.add(&Row::new(name, value, "ns"));
    for direction in [Direction::Inbound, Direction::Outbound] {
        nanos(format!("{}, the same call, {on}", none(direction)), admitted.nanos(none(direction)));
    }
    for kind in Kind::ALL {
        let name = kind.name();
        nanos(format!("{name}: adds when it admits, {on}"), admitted.difference(name, none(kind.direction())));
        if kind.can_refuse() {
            nanos(format!("{name}: refused, {on}"), refused.nanos(name));
        }
    }
    for (direction, flow) in [(Direction::Inbound, Kind::Flow.name()), (Direction::Outbound, FLOW_OUT)] {
        let mut nanos = |name: &str| report.add(&Row::new(format!("{name}, {on}"), admitted.nanos(name), "ns"));
        nanos(each(direction));
        nanos(by_name(direction));
        let ratio = admitted.ratio(each(direction), flow);
        report.add(&Row::new(format!("{} to flow alone, {on}", each(direction)), ratio, "x").at_most(3.0));
    }
    Ok(())
}

const FLOW_OUT: &str = "flow, out";

const fn none(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "no rule, in",
        Direction::Outbound => "no rule, out",
    }
}

const fn each(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "all families, in",
        Direction::Outbound => "all families, out",
    }
}

const fn by_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "all families, in, by name",
        Direction::Outbound => "all families, out, by name",
    }
}
