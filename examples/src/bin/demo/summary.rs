//! What came of it, in words: whether each rule was kept, and whether everybody counts the same.

use std::{
    io::{self, Write},
    sync::atomic::Ordering,
    time::Duration,
};

use sentinel_core::Sentinel;
use sentinel_examples::record::Record;

use crate::{
    flood::{Flood, Stream},
    history::History,
    judge::{Row, Verdict, judge},
};

/// How the demo went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conclusion {
    Good,
    /// The flood was not what it should have been.
    ClientsFailed,
    /// A rule was violated, or counts do not agree.
    Bad,
}

pub(crate) struct Summary {
    rows: Vec<Row>,
    clients: Vec<Clients>,
}

/// One route as its clients and the service saw it.
struct Clients {
    words: String,
    failures: Option<String>,
    agree: bool,
}

impl Summary {
    /// Counts are compared only where every request came to its end.
    pub(crate) fn of(sentinel: &Sentinel, record: &Record, history: &History, flood: &Flood, ended: bool) -> Self {
        history.look();
        let rows = judge(&history.periods(), &record.all());
        let clients = flood.streams.iter().map(|stream| clients(sentinel, record, stream, ended)).collect();
        Self { rows, clients }
    }

    pub(crate) fn conclusion(&self) -> Conclusion {
        if self.violated() > 0 || self.clients.iter().any(|clients| !clients.agree) {
            return Conclusion::Bad;
        }
        let failed = self.clients.iter().any(|clients| clients.failures.is_some());
        if failed { Conclusion::ClientsFailed } else { Conclusion::Good }
    }

    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "\n{:18} {:34} {:>8} {:>9} {:>8} {:>15}  verdict",
            "resource", "rule", "offered", "admitted", "allowed", "worst interval"
        )?;
        for row in &self.rows {
            write_row(out, row)?;
        }
        for clients in &self.clients {
            writeln!(out, "{}", clients.words)?;
        }
        for failures in self.clients.iter().filter_map(|clients| clients.failures.as_ref()) {
            writeln!(out, "CLIENTS FAILED: {failures}")?;
        }
        if self.clients.iter().any(|clients| !clients.agree) {
            writeln!(out, "COUNTS DO NOT AGREE")?;
        }
        writeln!(out, "{}", self.words())
    }

    fn violated(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::TooMany | Verdict::TooEarly(_)))
    }

    fn count(&self, of: impl Fn(Verdict) -> bool) -> usize {
        self.rows.iter().filter(|row| of(row.verdict)).count()
    }

    /// No more than what was judged.
    fn words(&self) -> String {
        let (violated, held) = (self.violated(), self.count(|verdict| verdict == Verdict::Held));
        let judged = match (violated, held) {
            (0, 0) => "no rule was judged".to_owned(),
            (0, _) => format!("every judged rule held ({held} judged)"),
            _ => format!("A RULE WAS VIOLATED ({violated} of {} judged)", violated + held),
        };
        match self.count(|verdict| matches!(verdict, Verdict::NotJudged(_))) {
            0 => judged,
            others => format!("{judged}; not judged: {others}"),
        }
    }
}

fn write_row(out: &mut impl Write, row: &Row) -> io::Result<()> {
    let or_dash = |number: Option<usize>| number.map_or("-".to_owned(), |number| number.to_string());
    let verdict = match row.verdict {
        Verdict::Held => "ok".to_owned(),
        Verdict::TooMany => "VIOLATED".to_owned(),
        Verdict::TooEarly(by) => format!("VIOLATED: {:?} ahead of its pace", Duration::from_nanos(by)),
        Verdict::NotJudged(why) => format!("not judged: {why}"),
        Verdict::NoRule => "-".to_owned(),
    };
    writeln!(
        out,
        "{:18} {:34} {:>8} {:>9} {:>8} {:>15}  {verdict}",
        row.resource.as_deref().unwrap_or("(pattern)"),
        row.rule,
        or_dash(row.calls.map(|(offered, _)| offered)),
        or_dash(row.calls.map(|(_, admitted)| admitted)),
        or_dash(row.allowed),
        row.worst.map_or("-".to_owned(), |(worst, most)| format!("{worst} of {most}")),
    )
}

/// Whether clients, record and statistics have counted the same.
fn clients(sentinel: &Sentinel, record: &Record, stream: &Stream, ended: bool) -> Clients {
    let seen = &stream.seen;
    let [ok, refused, failed] = [&seen.ok, &seen.refused, &seen.failed].map(|count| count.load(Ordering::Relaxed));
    let calls = record.calls(stream.resource);
    let (offered, admitted) = (calls.offered.len() as u64, calls.admitted.len() as u64);
    let totals = sentinel.snapshot_of(stream.resource).map(|resource| resource.statistics.totals).unwrap_or_default();
    // A request that failed may have come as far as to be counted, or not.
    let about = |more: u64, less: u64| less <= more && more - less <= failed;
    let agree = about(offered, totals.pass + totals.block)
        && about(totals.pass, admitted)
        && about(totals.pass, totals.complete)
        && offered >= ok + refused;
    let others = offered.saturating_sub(ok + refused + failed);
    let service = match (ended, agree, others) {
        (false, ..) => "requests were open at the end, so counts are not compared".to_owned(),
        (true, true, 0) => "the service counts the same".to_owned(),
        (true, true, _) => format!("the service counts {others} more, from others"),
        (true, false, _) => format!("the service counts {totals:?} of {offered}"),
    };
    let failures =
        seen.first_failure.get().map(|first| format!("{failed} requests for {}; the first: {first}", stream.path));
    let words = format!("{:18} clients: {ok} served, {refused} refused, {failed} failed; {service}", stream.resource);
    Clients { words, failures, agree: agree || !ended }
}

#[cfg(test)]
mod tests;
