//! Instructions per call: a figure without noise, and without what hides behind the clock.

use std::process::Command;

use sentinel_core::Direction;

use super::{
    probe,
    report::{Report, Row},
};
use crate::{Error, families::Kind};

const CALLS: u32 = 20_000;

pub(crate) fn measure(report: &mut Report) -> Result<(), Error> {
    if probe::run(Command::new("valgrind").arg("--version")).is_err() {
        report.say("skipped: valgrind is not installed");
        return Ok(());
    }
    let binary = probe::build("instructions")?;
    let count = |case: &str| {
        // Only what happens inside the function of this name counts.
        let mut callgrind = Command::new("valgrind");
        callgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*measured_calls*"]);
        callgrind.arg(&binary).args([case, &CALLS.to_string()]);
        let (_, told) = probe::run(&mut callgrind)?;
        let collected = told.lines().find_map(|line| line.split_once("Collected :")).map(|(_, count)| count.trim());
        let collected: f64 = collected.ok_or("callgrind does not say what it collected")?.parse()?;
        if collected == 0.0 {
            return Err(Error::from(format!("callgrind saw nothing of `{case}`")));
        }
        Ok(collected / f64::from(CALLS))
    };
    let row = |name: &str, case: &str| Ok::<_, Error>(Row::new(name, count(case)?, "instructions"));
    report.add(&row("one rule, admitted, TSC clock", "admitted-tsc")?.at_most(340.0).note("aim 220"));
    report.add(&row("one rule, admitted, manual clock", "admitted")?.at_most(340.0).note("aim 220"));
    report.add(&row("one rule, admitted, by name, manual clock", "by-name")?);
    report.add(&row("one rule, admitted, inbound, manual clock", "inbound")?);
    report.add(&row("one rule, refused, manual clock", "refused")?);
    report.add(&row("no rule, manual clock", "no-rule")?);
    report.add(&row("floor, manual clock", "floor")?);
    report.add(&row("governor, bare check", "governor")?);

    let mut instructions = |name: String, value: f64| report.add(&Row::new(name, value, "instructions"));
    let (none, none_out) = (count("same-call")?, count("same-call-out")?);
    instructions("no rule, in, a call with origin and argument".to_owned(), none);
    instructions("no rule, out, a call with origin and argument".to_owned(), none_out);
    let none_of = |kind: Kind| if kind.direction() == Direction::Inbound { none } else { none_out };
    for kind in Kind::ALL {
        let name = kind.name();
        instructions(format!("{name}: adds when it admits"), count(&format!("admits {name}"))? - none_of(kind));
        if kind.can_refuse() {
            instructions(format!("{name}: refused"), count(&format!("refuses {name}"))?);
        }
    }
    instructions("all families, in".to_owned(), count("all")?);
    instructions("all families, in, TSC clock".to_owned(), count("all-tsc")?);
    instructions("all families, in, by name".to_owned(), count("all-by-name")?);
    instructions("all families, out".to_owned(), count("all-out")?);
    instructions("10000 values: a hotspot rule adds".to_owned(), count("zipf-hotspot")? - count("zipf")?);
    instructions("10000 values: governor's check by key".to_owned(), count("zipf-governor")?);
    instructions("breaker alone, the last 100 calls: ours".to_owned(), count("breaker-of-calls")?);
    instructions("breaker alone, the last 100 calls: recloser".to_owned(), count("recloser")?);
    instructions("breaker alone, the last second: ours".to_owned(), count("breaker-of-a-second")?);
    instructions("breaker alone, the last second: failsafe".to_owned(), count("failsafe")?);
    instructions("breaker, bulkhead and rate: ours, on one entry".to_owned(), count("stack")?);
    instructions("breaker, bulkhead and rate: ours, as a tower layer".to_owned(), count("stack-layer")?);
    instructions("breaker, bulkhead and rate: tower-resilience".to_owned(), count("stack-tower-resilience")?);
    Ok(())
}
