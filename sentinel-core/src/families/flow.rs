//! Flow rules: how many calls per interval a resource admits, and what becomes of the others.
//!
//! A rule combines where its threshold comes from (given, rising while the resource warms up, or following the memory in
//! use) with how it spreads calls (refuse what is too much, or space calls evenly and let them wait).

mod limit;
mod rule;
#[cfg(test)]
mod tests;
mod warm_up;

use std::{sync::Arc, time::Duration};

use self::limit::{Limit, Token};
pub use self::rule::{Behavior, FlowParams, FlowRule, MemoryAdaptive, Strategy, Window};
use crate::{
    call::Call,
    clock::saturating_nanos,
    families::{
        Cause, Check, Checks, Context, Exit, Family, Shortcut, Step,
        origin::{Applies, OriginSelector, Origins},
        sealed::Sealed,
    },
    rules::Compiled,
    sync::{bucket_window::BucketWindow, number::Number},
};

/// Buckets of the window in which a rule watches a related resource; the oldest counts whole.
const WATCH_BUCKETS: u32 = 64;

/// The family of flow rules.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flow;

impl Sealed for Flow {}

impl Family for Flow {
    const NAME: &'static str = "flow";
    type Params = FlowParams;
}

/// One rule on one resource.
#[derive(Debug)]
pub(crate) struct State {
    applies: Applies,
    limit: Limits,
}

#[derive(Debug)]
enum Limits {
    Total(Arc<Limit>),
    PerOrigin(Arc<Origins<Limit>>),
    /// A limit by what another resource admits.
    Related {
        window: Arc<BucketWindow>,
        threshold: Number,
    },
    /// Sees calls for a rule of another resource.
    Watch(Arc<BucketWindow>),
}

/// What all resources under one rule share: the window of the resource that it watches.
#[derive(Debug)]
pub(crate) struct Shared {
    watch: Option<Arc<BucketWindow>>,
}

impl Checks for Flow {
    const HOLDS: bool = false;
    type Shared = Shared;
    type State = State;
    type Token = Token;

    fn share(rule: &FlowParams, previous: Option<&Compiled<Self>>) -> Shared {
        let kept = previous
            .filter(|before| {
                before.rule.params.related_resource == rule.related_resource
                    && before.rule.params.interval == rule.interval
            })
            .and_then(|before| before.shared.watch.clone());
        let new = || Arc::new(BucketWindow::new(saturating_nanos(rule.interval), WATCH_BUCKETS));
        Shared { watch: rule.related_resource.is_some().then(|| kept.unwrap_or_else(new)) }
    }

    fn build(rule: &Compiled<Self>, previous: Option<&Check<Self>>, context: &Context<'_, Self>) -> State {
        let params = &rule.rule.params;
        let applies = Applies::new(&params.origin, context.rules.iter().map(|rule| &rule.rule.params.origin));
        if let Some(window) = &rule.shared.watch {
            let limit = Limits::Related { window: Arc::clone(window), threshold: Number::new(params.threshold) };
            return State { applies, limit };
        }
        let signals = context.around.signals;
        let previous = previous
            .filter(|before| before.rule.rule.params.differs_only_in_thresholds(params))
            .map(|before| &before.state.limit);
        let limit = match (&params.origin, previous) {
            (OriginSelector::Other, Some(Limits::PerOrigin(origins))) => {
                origins.set_terms((params.clone(), Arc::clone(signals)));
                Limits::PerOrigin(Arc::clone(origins))
            }
            (OriginSelector::Other, _) => {
                Limits::PerOrigin(Arc::new(Origins::new((params.clone(), Arc::clone(signals)))))
            }
            (_, Some(Limits::Total(limit))) => {
                limit.set_params(params);
                Limits::Total(Arc::clone(limit))
            }
            _ => Limits::Total(Arc::new(Limit::new(params, signals))),
        };
        State { applies, limit }
    }

    fn watched(rule: &FlowParams) -> Option<&str> {
        rule.related_resource.as_deref()
    }

    fn watch(rule: &Compiled<Self>) -> Option<State> {
        let window = Arc::clone(rule.shared.watch.as_ref()?);
        Some(State { applies: Applies::All, limit: Limits::Watch(window) })
    }

    #[cfg(feature = "sampler")]
    fn reads_signals(rule: &FlowParams) -> bool {
        matches!(rule.strategy, Strategy::MemoryAdaptive(_))
    }

    fn shortcut(check: &Check<Self>) -> Shortcut {
        match (&check.state.applies, &check.state.limit) {
            (Applies::All, Limits::Total(limit)) => limit.shortcut(),
            _ => Shortcut::Walk,
        }
    }

    fn acquire(check: &Check<Self>, call: &Call<'_>, now: u64) -> Step<Token> {
        if !check.state.applies.is_about(call.caller()) {
            return Step::Skip;
        }
        match &check.state.limit {
            Limits::Total(limit) => limit.acquire(call, now),
            Limits::PerOrigin(origins) => origins.of(call.caller(), now).acquire(call, now),
            Limits::Related { window, threshold } => {
                let bucket = saturating_nanos(check.rule.rule.params.interval) / u64::from(WATCH_BUCKETS);
                related(window, threshold.get(), bucket, call, now)
            }
            Limits::Watch(window) => Step::Pass(Token::Counted(window.record(now, u64::from(call.permits())))),
        }
    }

    fn undo(check: &Check<Self>, token: Token, call: &Call<'_>, _now: u64) {
        match &check.state.limit {
            Limits::Total(limit) => limit.undo(token, call),
            // An origin that was forgotten meanwhile had used nothing any more, so there is nothing to undo. What was taken
            // from the common limit stays taken where the origin has one of its own by now.
            Limits::PerOrigin(origins) => origins.known(call.caller()).undo(token, call),
            Limits::Related { .. } => {}
            Limits::Watch(window) => {
                if let Token::Counted(stamp) = token {
                    window.undo(stamp, u64::from(call.permits()));
                }
            }
        }
    }

    fn release(_check: &Check<Self>, _token: Token, _exit: &Exit) {}

    fn threshold(check: &Check<Self>) -> f64 {
        match &check.state.limit {
            Limits::Total(limit) => limit.threshold(),
            Limits::PerOrigin(origins) => origins.beyond().threshold(),
            Limits::Related { threshold, .. } => threshold.get(),
            Limits::Watch(_) => f64::INFINITY,
        }
    }

    fn interval(rule: &FlowParams) -> Option<Duration> {
        Some(rule.interval)
    }

    fn is_idle(check: &Check<Self>, now: u64) -> bool {
        match &check.state.limit {
            Limits::Total(limit) => limit.is_idle(now),
            Limits::PerOrigin(origins) => origins.is_idle(now),
            Limits::Related { .. } => true,
            Limits::Watch(_) => false,
        }
    }
}

/// Refuses while the related resource has had its threshold; may change with each bucket of its window.
fn related(window: &BucketWindow, threshold: f64, bucket: u64, call: &Call<'_>, now: u64) -> Step<Token> {
    let observed = window.sum(now) as f64;
    if observed + f64::from(call.permits()) > threshold {
        return Step::Block(Cause { observed, threshold, retry_after: bucket });
    }
    Step::Pass(Token::Nothing)
}
