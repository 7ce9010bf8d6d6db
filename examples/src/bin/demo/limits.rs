//! Which limits were in force when.

use std::{fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use sentinel_core::{Behavior, Event, FlowRule, OriginSelector, Selector, Sentinel, Strategy, Subscription, Window};
use sentinel_examples::record::Record;

/// A limit whose keeping can be judged from outside.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limit {
    pub(crate) resource: String,
    /// Whole permits per interval.
    pub(crate) threshold: usize,
    pub(crate) interval: Duration,
    /// How long calls may wait for their turn, if they are spaced evenly.
    pub(crate) max_wait: Option<Duration>,
}

impl Limit {
    /// The limit of a rule on all calls of one resource, and none of other rules.
    fn of(rule: &FlowRule) -> Option<Self> {
        let Selector::Exact(resource) = &rule.resource else { return None };
        let params = &rule.params;
        let plain = params.origin == OriginSelector::Any
            && params.strategy == Strategy::Direct
            && params.window == Window::Sliding
            && params.related_resource.is_none();
        if !rule.enabled || rule.dry_run || !plain || (params.threshold > 0.0 && params.threshold < 1.0) {
            return None;
        }
        let max_wait = match params.behavior {
            Behavior::Throttle { max_queueing_time } => Some(max_queueing_time),
            _ => None,
        };
        let resource = resource.clone();
        Some(Self { resource, threshold: params.threshold as usize, interval: params.interval, max_wait })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {:?}", self.threshold, self.interval)?;
        match self.max_wait {
            Some(wait) => write!(f, ", evenly, wait up to {wait:?}"),
            None => Ok(()),
        }
    }
}

/// The limits in force from one moment on.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) at: u64,
    pub(crate) limits: Vec<Limit>,
}

/// All limits of a run.
pub(crate) struct Limits {
    record: Record,
    changes: Arc<Mutex<Vec<Change>>>,
    _subscription: Subscription,
}

impl Limits {
    /// Notes the limits from now on.
    pub(crate) fn following(sentinel: &Sentinel, record: &Record) -> Self {
        let changes: Arc<Mutex<Vec<Change>>> = Arc::default();
        let (of, clock, noted) = (sentinel.clone(), record.clone(), Arc::clone(&changes));
        let subscription = sentinel.subscribe(move |event| {
            if matches!(event, Event::RulesReplaced { .. }) {
                let rules = of.rules().list();
                let limits = rules.iter().flat_map(|(_, rules)| &rules.flow).filter_map(Limit::of).collect();
                noted.lock().push(Change { at: clock.now(), limits });
            }
        });
        Self { record: record.clone(), changes, _subscription: subscription }
    }

    /// The time, as changes tell it.
    pub(crate) fn now(&self) -> u64 {
        self.record.now()
    }

    /// When limits first changed after a moment.
    pub(crate) fn first_change_after(&self, moment: u64) -> Option<u64> {
        self.changes.lock().iter().map(|change| change.at).find(|at| *at > moment)
    }

    /// All changes, the first limits among them.
    pub(crate) fn changes(&self) -> Vec<Change> {
        self.changes.lock().clone()
    }

    /// The limits in force on a resource, in words.
    pub(crate) fn in_force(&self, resource: &str) -> String {
        let changes = self.changes.lock();
        let limits = changes.last().map(|change| change.limits.as_slice()).unwrap_or_default();
        let texts: Vec<_> = limits.iter().filter(|limit| limit.resource == resource).map(ToString::to_string).collect();
        texts.join("; ")
    }
}
