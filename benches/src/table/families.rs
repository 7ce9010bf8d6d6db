//! What a rule of each family adds to a call, and what all families cost together, on one thread.

use std::time::Duration;

use sentinel_core::{Clock, ManualClock, Sentinel, TscClock};

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
    let by_handle = |name: &str, sentinel: Sentinel| {
        round(Loop::admitted(name, families::by_handle(sentinel.clone(), RESOURCE)), sentinel)
    };
    let all = under(&Kind::EACH)?;
    let mut loops = vec![
        by_handle("no rule", under(&[])?),
        by_handle("all", all.clone()),
        round(Loop::admitted("all by name", families::by_name(all.clone())), all),
    ];
    for kind in Kind::ALL {
        loops.push(by_handle(kind.name(), under(&[kind])?));
    }
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
    nanos(format!("no rule, the same call, {on}"), admitted.nanos("no rule"));
    for kind in Kind::ALL {
        let name = kind.name();
        nanos(format!("{name}: adds when it admits, {on}"), admitted.difference(name, "no rule"));
        if kind.can_refuse() {
            nanos(format!("{name}: refused, {on}"), refused.nanos(name));
        }
    }
    nanos(format!("all families, admitted, {on}"), admitted.nanos("all"));
    nanos(format!("all families, admitted, by name, {on}"), admitted.nanos("all by name"));
    let ratio = admitted.ratio("all", Kind::Flow.name());
    report.add(&Row::new(format!("all families to flow alone, {on}"), ratio, "x").at_most(3.0));
    Ok(())
}
