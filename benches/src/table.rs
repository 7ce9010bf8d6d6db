//! The table of targets: every figure that the engine promises, measured and held against its target.

mod calls;
mod exactness;
mod families;
mod families_of_peers;
mod http;
mod instructions;
mod memory;
mod peers;
mod probe;
mod reload;
mod report;
mod threads;
mod updates;

use std::{num::NonZero, thread, time::Duration};

use sentinel_core::{Clock as _, SystemClock, TscClock};

use self::report::Report;
use crate::Error;

type Part = fn(&mut Report) -> Result<(), Error>;

/// The parts by name, in the order in which they run.
const PARTS: [(&str, Part); 12] = [
    ("calls", calls::measure),
    ("instructions", instructions::measure),
    ("memory", memory::measure),
    ("reload", reload::measure),
    ("updates", updates::measure),
    ("threads", threads::measure),
    ("http", http::measure),
    ("peers", peers::measure),
    ("families", families::measure),
    ("families-of-peers", families_of_peers::measure),
    ("exactness", exactness::measure),
    ("exactness-of-peers", exactness::measure_peers),
];

/// The names of the parts.
pub fn parts() -> impl Iterator<Item = &'static str> {
    PARTS.iter().map(|(name, _)| *name)
}

/// Measures the parts of these names, or all, and prints a line for each figure.
///
/// # Errors
///
/// When a part cannot be measured, or does something else than its name says. A target that is missed is no error.
pub fn print(wanted: &[String], json: bool) -> Result<(), Error> {
    let mut report = Report::new(json);
    machine(&mut report);
    for (name, measure) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|part| part == name) {
            report.part(name);
            measure(&mut report)?;
        }
    }
    report.end();
    Ok(())
}

/// Says what is measured on.
fn machine(report: &mut Report) {
    let cores = thread::available_parallelism().map_or(0, NonZero::get);
    let tsc = TscClock::new();
    let system = SystemClock::new();
    let start = (tsc.nanos(), system.nanos());
    thread::sleep(Duration::from_millis(200));
    let passed = ((tsc.nanos() - start.0) as f64, (system.nanos() - start.1) as f64);
    let drift = (passed.0 / passed.1 - 1.0) * 1e6;
    report.say(&format!(
        "{cores} cores, {} on {}; the clock of the benches runs {drift:+.0} ppm against the system's",
        std::env::consts::ARCH,
        std::env::consts::OS,
    ));
}
