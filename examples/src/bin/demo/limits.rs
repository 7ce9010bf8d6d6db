//! What rules limit, as far as it can be judged from outside.

use std::{fmt, sync::Arc, time::Duration};

use sentinel_core::{Behavior, FlowParams, FlowRule, OriginSelector, Selector, Sentinel, Strategy, Window};

/// A limit whose keeping can be judged from outside: one on all calls of a resource.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limit {
    threshold: f64,
    interval: Duration,
    /// How long calls may wait for their turn, if they are spaced evenly.
    max_wait: Option<Duration>,
}

/// The spacing of a limit whose calls wait, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    pub(crate) spacing: u64,
    pub(crate) max_wait: u64,
}

impl Limit {
    /// The most calls in any [`Self::window`].
    pub(crate) fn permits(&self) -> u64 {
        match self.max_wait {
            // Evenly spaced calls of two and a half per second may lie at 0, 400 and 800 ms.
            Some(_) => self.threshold.ceil() as u64,
            None if self.threshold <= 0.0 => 0,
            // The engine forgives rounding errors of a computed threshold.
            None => ((self.threshold * (1.0 + 1e-12)) as u64).max(1),
        }
    }

    /// The length of the intervals that hold [`Self::permits`], in nanoseconds: below one permit, longer ones hold one.
    pub(crate) fn window(&self) -> u64 {
        if self.threshold > 0.0 && self.threshold < 1.0 { self.nanos_per_permit() } else { nanos(self.interval) }
    }

    /// How calls are spaced, if they are.
    pub(crate) fn pace(&self) -> Option<Pace> {
        let max_wait = self.max_wait.filter(|_| self.threshold > 0.0)?;
        Some(Pace { spacing: self.nanos_per_permit(), max_wait: nanos(max_wait) })
    }

    /// Whether what has been counted under one limit counts under the other.
    pub(crate) fn shares_state_with(&self, other: &Self) -> bool {
        self.interval == other.interval && self.max_wait == other.max_wait
    }

    fn nanos_per_permit(&self) -> u64 {
        (self.interval.as_nanos() as f64 / self.threshold) as u64
    }
}

/// A rule in force: it is the same one as long as its key is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rule {
    /// Source and name, as the engine keeps state by them.
    pub(crate) key: (Arc<str>, String),
    /// None of a pattern.
    pub(crate) resource: Option<String>,
    /// What it says, in words.
    pub(crate) words: String,
    /// What can be judged, or why nothing can.
    pub(crate) limit: Result<Limit, &'static str>,
}

/// All rules of an instance.
pub(crate) fn rules(sentinel: &Sentinel) -> Vec<Rule> {
    let mut all = Vec::new();
    for (source, rules) in sentinel.rules().list() {
        for (index, rule) in rules.flow.iter().enumerate() {
            let position =
                rules.flow[..index].iter().filter(|other| other.resource.as_str() == rule.resource.as_str()).count();
            let name = rule.id.clone().unwrap_or_else(|| format!("{}#{position}", rule.resource.as_str()));
            all.push(Rule {
                key: (Arc::clone(&source), name),
                resource: match &rule.resource {
                    Selector::Exact(resource) => Some(resource.clone()),
                    _ => None,
                },
                words: Words(rule).to_string(),
                limit: limit(rule),
            });
        }
    }
    all
}

/// The limit of a rule, or why it cannot be judged from outside.
fn limit(rule: &FlowRule) -> Result<Limit, &'static str> {
    let FlowParams { threshold, interval, .. } = rule.params;
    if !rule.enabled {
        return Err("disabled");
    }
    if rule.dry_run {
        return Err("a dry run refuses nothing");
    }
    if !matches!(rule.resource, Selector::Exact(_)) {
        return Err("a pattern limits each resource that matches on its own");
    }
    if rule.params.origin != OriginSelector::Any {
        return Err("the record does not tell origins apart");
    }
    if rule.params.related_resource.is_some() {
        return Err("it counts the calls of another resource");
    }
    match rule.params.strategy {
        Strategy::Direct => {}
        Strategy::WarmUp { .. } => return Err("its threshold follows the traffic"),
        Strategy::MemoryAdaptive(_) => return Err("its threshold follows the memory in use"),
        _ => return Err("its threshold moves"),
    }
    if rule.params.window != Window::Sliding {
        return Err("an aligned window does not limit every interval");
    }
    let max_wait = match rule.params.behavior {
        Behavior::Reject => None,
        Behavior::Throttle { max_queueing_time } => Some(max_queueing_time),
        _ => return Err("it neither rejects nor throttles"),
    };
    Ok(Limit { threshold, interval, max_wait })
}

/// A rule in words.
struct Words<'a>(&'a FlowRule);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FlowRule { params, enabled, dry_run, .. } = self.0;
        match params.strategy {
            Strategy::MemoryAdaptive(bounds) => {
                write!(f, "{} to {}", bounds.high_memory_threshold, bounds.low_memory_threshold)?;
            }
            Strategy::WarmUp { .. } => write!(f, "up to {}", params.threshold)?,
            _ => write!(f, "{}", params.threshold)?,
        }
        write!(f, " in {:?}", params.interval)?;
        if let Behavior::Throttle { max_queueing_time } = params.behavior {
            write!(f, ", evenly, wait up to {max_queueing_time:?}")?;
        }
        match &params.origin {
            OriginSelector::Named(origin) => write!(f, ", of {origin}")?,
            OriginSelector::Other => f.write_str(", of each other origin")?,
            _ => {}
        }
        if let Some(related) = &params.related_resource {
            write!(f, ", of {related}")?;
        }
        if params.window != Window::Sliding {
            f.write_str(", aligned")?;
        }
        f.write_str(if *enabled { "" } else { ", disabled" })?;
        f.write_str(if *dry_run { ", dry run" } else { "" })
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
