//! Putting a large document in force of which one rule changed.

use std::time::{Duration, Instant};

use sentinel_core::{FlowRule, Rules, Sentinel};

use super::report::{Report, Row};
use crate::{Error, timing::median};

const RULES: usize = 10_000;
const ROUNDS: usize = 15;

pub(crate) fn measure(report: &mut Report) -> Result<(), Error> {
    let sentinel = Sentinel::default();
    let start = Instant::now();
    sentinel.rules().replace("bench", rules(0))?;
    report.add(&Row::new(format!("{RULES} new rules put in force"), millis(start.elapsed()), "ms"));
    for number in 0..RULES {
        drop(sentinel.resource(&name(number)));
    }
    let mut times = Vec::with_capacity(ROUNDS);
    for round in 1..=ROUNDS {
        let document = rules(round);
        let start = Instant::now();
        let changes = sentinel.rules().replace("bench", document)?;
        times.push(millis(start.elapsed()));
        if (changes.changed, changes.unchanged) != (1, RULES - 1) {
            return Err(format!("one rule was to change: {changes:?}").into());
        }
    }
    let name = format!("{RULES} rules and as many resources, one rule changed");
    report.add(&Row::new(name, median(times), "ms").at_most(20.0));
    Ok(())
}

/// Rules of which one differs from round to round.
fn rules(round: usize) -> Rules {
    Rules::new().flow((0..RULES).map(|number| {
        let changed = if number == RULES / 2 { round } else { 0 };
        FlowRule::new(name(number), 100.0 + changed as f64)
    }))
}

fn name(number: usize) -> String {
    format!("GET /resources/{number}")
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
