//! Whether each rule was kept while it was in force, by the service's own record.

use std::collections::BTreeMap;

use sentinel_examples::{
    audit::{Admitted, ExactLog, Pacer, most_inside, too_early},
    record::Calls,
};

use crate::{
    history::Period,
    limits::{Limit, Pace},
};

/// One rule while it said the same, or calls that no rule was about.
#[derive(Debug)]
pub(crate) struct Row {
    /// None where a rule is not about one resource.
    pub(crate) resource: Option<String>,
    pub(crate) rule: String,
    /// How many calls asked to enter, and how many did.
    pub(crate) calls: Option<(usize, usize)>,
    /// How many of the calls the rule allows by itself.
    pub(crate) allowed: Option<usize>,
    /// The most calls within one interval, and the most that the rule allows there.
    pub(crate) worst: Option<(u64, u64)>,
    pub(crate) verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Held,
    TooMany,
    /// By so many nanoseconds.
    TooEarly(u64),
    NotJudged(&'static str),
    NoRule,
}

/// Judges all rules, and lists the calls that none was about.
pub(crate) fn judge(rules: &[Vec<Period>], calls: &BTreeMap<String, Calls>) -> Vec<Row> {
    let mut rows = Vec::new();
    for periods in rules {
        let mut replay = Replay::default();
        for period in periods {
            if !period.continues {
                replay = Replay::default();
            }
            rows.push(row(period, calls, &mut replay));
        }
    }
    rows.extend(calls.iter().filter_map(|(resource, calls)| without_rule(resource, rules, calls)));
    rows
}

fn row(period: &Period, calls: &BTreeMap<String, Calls>, replay: &mut Replay) -> Row {
    let rule = period.rule.words.clone();
    let resource = period.rule.resource.clone();
    let not_judged = |why, calls| {
        let (resource, rule) = (resource.clone(), rule.clone());
        Row { resource, rule, calls, allowed: None, worst: None, verdict: Verdict::NotJudged(why) }
    };
    let Some(name) = &resource else {
        return not_judged(period.rule.limit.as_ref().err().copied().unwrap_or("it is about no one resource"), None);
    };
    let none = Calls::default();
    let calls = calls.get(name).unwrap_or(&none);
    let time = period.from..period.until;
    let offered: Vec<u64> = calls.offered.iter().copied().filter(|at| time.contains(at)).collect();
    let admitted = calls.admitted.iter().filter(|call| time.contains(&call.before)).count();
    let counts = Some((offered.len(), admitted));
    let limit = match &period.rule.limit {
        Ok(limit) => limit,
        Err(why) => return not_judged(why, counts),
    };
    let allowed = Some(replay.allowed(&offered, limit));
    // Only what was offered while the rule was certainly in force says something about it.
    if !offered.iter().any(|at| *at < period.seen) {
        return Row { allowed, ..not_judged("no calls while it was in force", counts) };
    }
    let (worst, verdict) = verdict(limit, &certain(period, calls));
    Row { resource, rule, calls: counts, allowed, worst: Some((worst, limit.permits())), verdict }
}

/// The calls that were admitted wholly while a rule was certainly in force.
fn certain(period: &Period, calls: &Calls) -> Vec<Admitted> {
    let inside = |call: &&Admitted| call.before >= period.from && call.after < period.seen;
    calls.admitted.iter().filter(inside).copied().collect()
}

/// The most calls in one interval, and what is to be said about them.
fn verdict(limit: &Limit, admitted: &[Admitted]) -> (u64, Verdict) {
    let pace = limit.pace();
    // The runtime sleeps by a clock of its own, which may run a little faster: a thousandth is more than clocks differ
    // by.
    let slack = pace.map_or(0, |pace| pace.max_wait / 1_000);
    let mut admitted: Vec<Admitted> =
        admitted.iter().map(|call| Admitted { after: call.after.saturating_add(slack), ..*call }).collect();
    let worst = most_inside(&mut admitted, limit.window());
    let early = pace.map_or(0, |pace| too_early(&admitted, pace.spacing));
    let verdict = match (worst > limit.permits(), early) {
        (true, _) => Verdict::TooMany,
        (false, 0) => Verdict::Held,
        (false, early) => Verdict::TooEarly(early),
    };
    (worst, verdict)
}

/// What came to a resource while no rule named it.
fn without_rule(resource: &str, rules: &[Vec<Period>], calls: &Calls) -> Option<Row> {
    let on_it: Vec<&Period> =
        rules.iter().flatten().filter(|period| period.rule.resource.as_deref() == Some(resource)).collect();
    let free = |at: u64| !on_it.iter().any(|period| (period.from..period.until).contains(&at));
    let offered = calls.offered.iter().filter(|at| free(**at)).count();
    let admitted = calls.admitted.iter().filter(|call| free(call.before)).count();
    (offered > 0).then(|| Row {
        resource: Some(resource.to_owned()),
        rule: "no rule names it".to_owned(),
        calls: Some((offered, admitted)),
        allowed: None,
        worst: None,
        verdict: Verdict::NoRule,
    })
}

/// A rule applied to the calls that were offered, with its state so far.
#[derive(Default)]
struct Replay {
    log: ExactLog,
    pacer: Pacer,
}

impl Replay {
    fn allowed(&mut self, offered: &[u64], limit: &Limit) -> usize {
        let permits = usize::try_from(limit.permits()).unwrap_or(usize::MAX);
        let allows = |at: &&u64| match limit.pace() {
            Some(Pace { spacing, max_wait }) => self.pacer.offer(**at, spacing, max_wait),
            None => self.log.offer(**at, permits, limit.window()),
        };
        offered.iter().filter(allows).count()
    }
}

#[cfg(test)]
mod tests;
