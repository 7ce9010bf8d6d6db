//! Instructions per call: a figure without noise, and without what hides behind the clock.

use std::process::Command;

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
    let none = count("same-call")?;
    instructions("no rule, a call with origin and argument, inbound".to_owned(), none);
    for kind in Kind::ALL {
        let name = kind.name();
        instructions(format!("{name}: adds when it admits"), count(&format!("admits {name}"))? - none);
        if kind.can_refuse() {
            instructions(format!("{name}: refused"), count(&format!("refuses {name}"))?);
        }
    }
    instructions("all families, admitted".to_owned(), count("all")?);
    instructions("all families, admitted, TSC clock".to_owned(), count("all-tsc")?);
    instructions("all families, admitted, by name".to_owned(), count("all-by-name")?);
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
