//! What a call costs through other libraries, in one run with ours.

use std::time::Duration;

use sentinel_core::TscClock;

use super::report::{Report, Row};
use crate::{
    Error,
    ours::{self, Limit, RESOURCE},
    peers,
    timing::{Loop, Timings},
    used_up,
};

const ROUNDS: usize = 61;
/// Permits per second that no bench reaches.
const PLENTY: u32 = 1_000_000_000;
/// The same for logs, which take memory for each; a bench makes fewer calls in a second.
const LOGGED: usize = 4_000_000;
const HOUR: Duration = Duration::from_secs(3_600);

pub(crate) fn measure(report: &mut Report) -> Result<(), Error> {
    let plenty = ours::sentinel(TscClock::new(), Limit::PLENTY)?;
    let one = ours::sentinel(TscClock::new(), Limit::ONE)?;
    let timings = Timings::take(
        &[
            Loop::admitted("ours", ours::by_handle(plenty.resource(RESOURCE))),
            Loop::admitted("ours by name", ours::by_name(plenty)),
            Loop::refused("ours refused", used_up(ours::by_handle(one.resource(RESOURCE)))),
            Loop::admitted("sentinel", peers::sentinel_published("admitted", 1e15)?),
            Loop::refused("sentinel refused", peers::sentinel_published("refused", 0.0)?),
            Loop::admitted("assembled", peers::assembled(PLENTY)),
            Loop::admitted("governor", peers::governor(PLENTY)),
            Loop::refused("governor refused", used_up(peers::governor_hourly())),
            Loop::admitted("governor keyed", peers::governor_keyed(PLENTY)),
            Loop::admitted("tower-resilience", peers::tower_resilience(LOGGED, Duration::from_secs(1))?),
            Loop::refused("tower-resilience refused", used_up(peers::tower_resilience(1, HOUR)?)),
            Loop::admitted("limitador", peers::limitador(u64::from(PLENTY), Duration::from_secs(1))),
            Loop::refused("limitador refused", used_up(peers::limitador(1, HOUR))),
        ],
        ROUNDS,
    )?;
    let mut nanos = |what: &str, name: &str| report.add(&Row::new(what, timings.nanos(name), "ns"));
    nanos("ours, admitted", "ours");
    nanos("ours, admitted, by name", "ours by name");
    nanos("ours, refused", "ours refused");
    nanos("sentinel-core 0.1.3, admitted", "sentinel");
    nanos("sentinel-core 0.1.3, refused", "sentinel refused");
    nanos("governor + 5 counters + gauge + 2 clock readings, admitted", "assembled");
    nanos("governor, bare check, admitted", "governor");
    nanos("governor, bare check, refused", "governor refused");
    nanos("governor, check by key, admitted", "governor keyed");
    nanos("tower-resilience 0.13, sliding log, admitted", "tower-resilience");
    nanos("tower-resilience 0.13, sliding log, refused", "tower-resilience refused");
    nanos("limitador 0.14, in memory, admitted", "limitador");
    nanos("limitador 0.14, in memory, refused", "limitador refused");
    let ratio = |what: &str, name: &str, to: &str| Row::new(what, timings.ratio(name, to), "x");
    report.add(&ratio("sentinel-core 0.1.3 to ours, admitted", "sentinel", "ours").at_least(20.0));
    report.add(&ratio("sentinel-core 0.1.3 to ours, refused", "sentinel refused", "ours refused").at_least(100.0));
    report.add(&ratio("governor + counters + gauge + clock to ours", "assembled", "ours").at_least(1.5));
    report.add(&ratio("ours to governor's bare check", "ours", "governor").at_most(2.8));
    report.add(&ratio("ours by name to governor's check by key", "ours by name", "governor keyed"));
    report.add(&ratio("tower-resilience to ours, admitted", "tower-resilience", "ours"));
    report.add(&ratio("limitador to ours, admitted", "limitador", "ours"));
    Ok(())
}
