//! Which rules were in force when.

use std::sync::Arc;

use parking_lot::Mutex;
use sentinel_core::{Clock, Event, Sentinel, Subscription};

use crate::limits::{self, Rule};

/// The rules in force from one moment on.
///
/// Rules are told after they have come into force, and nobody tells when exactly the former ones went. So they are looked
/// at again and again: what is seen has been in force all the time since it was told.
#[derive(Clone, Debug)]
struct Change {
    /// When they had come into force.
    at: u64,
    /// When they were last seen in force.
    seen: u64,
    rules: Vec<Rule>,
}

/// A time during which one rule said the same.
#[derive(Clone, Debug)]
pub(crate) struct Period {
    pub(crate) rule: Rule,
    /// From here on it was certainly in force,
    pub(crate) from: u64,
    /// up to here,
    pub(crate) seen: u64,
    /// and from here on certainly not.
    pub(crate) until: u64,
    /// Whether the period before was of the same rule with another threshold and ended where this one begins.
    pub(crate) continues: bool,
}

/// All rules of a run.
pub(crate) struct History {
    sentinel: Sentinel,
    clock: Arc<dyn Clock>,
    changes: Arc<Mutex<Vec<Change>>>,
    _subscription: Subscription,
}

impl History {
    /// Notes the rules from now on; all of them, or just the last ones.
    pub(crate) fn following(sentinel: &Sentinel, clock: impl Clock, all: bool) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let changes: Arc<Mutex<Vec<Change>>> = Arc::default();
        let (of, by, noted) = (sentinel.clone(), Arc::clone(&clock), Arc::clone(&changes));
        let subscription = sentinel.subscribe(move |event| {
            if matches!(event, Event::RulesReplaced { .. }) {
                let mut changes = noted.lock();
                let seen = by.nanos();
                let rules = limits::rules(&of);
                if !all {
                    changes.clear();
                }
                changes.push(Change { at: by.nanos(), seen, rules });
            }
        });
        Self { sentinel: sentinel.clone(), clock, changes, _subscription: subscription }
    }

    /// The time, as changes tell it.
    pub(crate) fn now(&self) -> u64 {
        self.clock.nanos()
    }

    /// Looks whether the rules told last are still in force.
    pub(crate) fn look(&self) {
        // Read before: rules that are seen afterwards were in force then.
        let now = self.clock.nanos();
        let rules = limits::rules(&self.sentinel);
        if let Some(last) = self.changes.lock().last_mut()
            && last.rules == rules
        {
            last.seen = last.seen.max(now);
        }
    }

    /// When rules first changed after a moment.
    pub(crate) fn first_change_after(&self, moment: u64) -> Option<u64> {
        self.changes.lock().iter().map(|change| change.at).find(|at| *at > moment)
    }

    /// The rules in force on a resource, in words.
    pub(crate) fn in_force(&self, resource: &str) -> String {
        let changes = self.changes.lock();
        let rules = changes.last().map(|change| change.rules.as_slice()).unwrap_or_default();
        let on_it = rules.iter().filter(|rule| rule.resource.as_deref() == Some(resource));
        on_it.map(|rule| rule.words.as_str()).collect::<Vec<_>>().join("; ")
    }

    /// The periods of each rule, one after the other.
    pub(crate) fn periods(&self) -> Vec<Vec<Period>> {
        let changes = self.changes.lock();
        let mut periods: Vec<Vec<Period>> = Vec::new();
        for (index, change) in changes.iter().enumerate() {
            let until = changes.get(index + 1).map_or(u64::MAX, |next| next.at);
            for rule in &change.rules {
                let period = Period { rule: rule.clone(), from: change.at, seen: change.seen, until, continues: false };
                match periods.iter_mut().find(|of_one| of_one.iter().any(|period| period.rule.key == rule.key)) {
                    Some(of_one) => go_on(of_one, period),
                    None => periods.push(vec![period]),
                }
            }
        }
        periods
    }
}

/// Adds a period to those of the same rule; where nothing has changed, the last one lasts longer.
fn go_on(periods: &mut Vec<Period>, mut next: Period) {
    if let Some(last) = periods.last_mut().filter(|last| last.until == next.from) {
        if last.rule == next.rule {
            last.seen = last.seen.max(next.seen);
            last.until = next.until;
            return;
        }
        next.continues = last.rule.resource == next.rule.resource
            && matches!((&last.rule.limit, &next.rule.limit), (Ok(last), Ok(next)) if last.shares_state_with(next));
    }
    periods.push(next);
}
