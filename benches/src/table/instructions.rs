//! Instructions per call: a figure without noise, and without what hides behind the clock.

use std::process::Command;

use super::{
    probe,
    report::{Report, Row},
};
use crate::Error;

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
    Ok(())
}
