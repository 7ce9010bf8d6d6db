//! Memory of resources and allocations of calls, counted by a binary whose allocator counts.

use std::process::Command;

use super::{
    probe,
    report::{Report, Row},
};
use crate::Error;

pub(crate) fn measure(report: &mut Report) -> Result<(), Error> {
    let (told, _) = probe::run(&mut Command::new(probe::build("memory")?))?;
    for line in told.lines() {
        let (name, value) = line.split_once('\t').ok_or("`memory` prints names and values")?;
        let value = value.parse()?;
        report.add(&if name.contains("allocations") {
            Row::new(name, value, "allocations").at_most(0.0)
        } else if name.contains("on each, called once") {
            Row::new(name, value, "bytes each")
        } else if name.contains("called once") {
            Row::new(name, value, "bytes each").at_most(4_096.0).note("aim 3072")
        } else if name.contains("reloads") {
            // Plans that a thread keeps for its next call.
            Row::new(name, value, "bytes").at_most(65_536.0)
        } else {
            Row::new(name, value, "bytes")
        });
    }
    Ok(())
}
