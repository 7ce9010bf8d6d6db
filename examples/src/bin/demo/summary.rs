//! What came of it: whether every limit was kept, by the service's own record and by its clients'.

use std::{sync::atomic::Ordering, time::Duration};

use sentinel_core::Sentinel;
use sentinel_examples::{
    audit::{Admitted, ExactLog, Pacer, most_inside},
    record::{Calls, Record},
};

use crate::{
    flood::Flood,
    limits::{Limit, Limits},
};

/// How long before a change was seen it may already have been in force.
const SETTLING: Duration = Duration::from_millis(100);

/// One limit while it was in force.
struct Period {
    limit: Limit,
    from: u64,
    until: u64,
}

/// Prints the summary; whether all is as it should be.
pub(crate) fn print(sentinel: &Sentinel, record: &Record, limits: &Limits, flood: &Flood) -> bool {
    println!();
    println!(
        "{:18} {:34} {:>8} {:>9} {:>8} {:>15}  verdict",
        "resource", "limit", "offered", "admitted", "allowed", "worst interval"
    );
    let mut kept = true;
    for (resource, periods) in by_resource(limits) {
        let calls = record.calls(&resource);
        if !calls.offered.is_empty() {
            kept &= judge(&resource, &periods, &calls);
        }
    }
    kept &= clients_agree(sentinel, record, flood);
    println!("{}", if kept { "every rule was kept" } else { "A RULE WAS VIOLATED, or counts do not agree" });
    kept
}

/// Each resource with the limits that it had, one after the other.
fn by_resource(limits: &Limits) -> Vec<(String, Vec<Period>)> {
    let changes = limits.changes();
    let mut resources: Vec<(String, Vec<Period>)> = Vec::new();
    for (index, change) in changes.iter().enumerate() {
        let until = changes.get(index + 1).map_or(u64::MAX, |next| next.at);
        for limit in &change.limits {
            let period = Period { limit: limit.clone(), from: change.at, until };
            match resources.iter_mut().find(|(resource, _)| *resource == limit.resource) {
                Some((_, periods)) => match periods.last_mut() {
                    Some(last) if last.limit == *limit && last.until == change.at => last.until = until,
                    _ => periods.push(period),
                },
                None => resources.push((limit.resource.clone(), vec![period])),
            }
        }
    }
    resources
}

/// Judges the limits of a resource.
///
/// Within the time of one limit, every interval has to hold it. Across a change, every interval has to hold the higher one.
fn judge(resource: &str, periods: &[Period], calls: &Calls) -> bool {
    let mut kept = true;
    let mut log = ExactLog::default();
    let mut pacer = Pacer::default();
    for period in periods {
        let limit = &period.limit;
        let settled = period.until.saturating_sub(nanos(SETTLING));
        let mut admitted: Vec<Admitted> =
            calls.admitted.iter().filter(|call| call.before >= period.from && call.after < settled).copied().collect();
        let worst = most_inside(&mut admitted, nanos(limit.interval));
        let offered: Vec<u64> =
            calls.offered.iter().copied().filter(|at| (period.from..period.until).contains(at)).collect();
        let count = calls.admitted.iter().filter(|call| (period.from..period.until).contains(&call.before)).count();
        let allowed = offered.iter().filter(|at| match limit.max_wait {
            None => log.offer(**at, limit.threshold, nanos(limit.interval)),
            Some(wait) => pacer.offer(**at, nanos(limit.interval) / limit.threshold.max(1) as u64, nanos(wait)),
        });
        let allowed = allowed.count();
        let ok = worst <= limit.threshold as u64;
        kept &= ok;
        println!(
            "{resource:18} {:34} {:>8} {count:>9} {allowed:>8} {:>15}  {}",
            limit.to_string(),
            offered.len(),
            format!("{worst} of {}", limit.threshold),
            if ok { "ok" } else { "VIOLATED" }
        );
    }
    let (highest, longest) = (
        periods.iter().map(|period| period.limit.threshold).max(),
        periods.iter().map(|period| period.limit.interval).max(),
    );
    let same_interval = periods.iter().all(|period| Some(period.limit.interval) == longest);
    if let (Some(highest), Some(interval), true) = (highest, longest, same_interval && periods.len() > 1) {
        let worst = most_inside(&mut calls.admitted.clone(), nanos(interval));
        let ok = worst <= highest as u64;
        kept &= ok;
        println!(
            "{resource:18} {:34} {:>44}  {}",
            "across the changes",
            format!("{worst} of {highest}"),
            if ok { "ok" } else { "VIOLATED" }
        );
    }
    kept
}

/// Whether clients, record and statistics have counted the same.
fn clients_agree(sentinel: &Sentinel, record: &Record, flood: &Flood) -> bool {
    let mut agree = true;
    for stream in &flood.streams {
        let [ok, refused, failed] =
            [&stream.seen.ok, &stream.seen.refused, &stream.seen.failed].map(|count| count.load(Ordering::Relaxed));
        let calls = record.calls(stream.resource);
        let totals =
            sentinel.snapshot_of(stream.resource).map(|resource| resource.statistics.totals).unwrap_or_default();
        let counted = totals.pass == calls.admitted.len() as u64
            && totals.pass + totals.block == calls.offered.len() as u64
            && totals.pass == totals.complete
            && ok + refused == calls.offered.len() as u64;
        agree &= counted && failed == 0;
        println!(
            "{:18} clients: {ok} served, {refused} refused, {failed} failed; the service counts {}",
            stream.resource,
            if counted { "the same".to_owned() } else { format!("{totals:?} of {}", calls.offered.len()) }
        );
    }
    agree
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
