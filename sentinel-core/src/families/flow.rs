//! Flow rules: how many calls per interval a resource admits, and what becomes of the others.
//!
//! A rule combines where its threshold comes from (given, rising while the resource warms up, or following the memory in
//! use) with how it spreads calls (refuse what is too much, or space calls evenly and let them wait).

#[cfg(feature = "json")]
mod go;
#[cfg(feature = "json")]
mod java;
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

/// Flow rules: how many calls per interval a resource admits, and what becomes of the others.
///
/// # What it protects from
///
/// More calls than were agreed on or than a resource can serve: a client in a loop, a crowd, a job without manners; and a
/// burst that a service behind this one could not bear.
///
/// # Fields
///
/// | document | in code | meaning | range | default |
/// |---|---|---|---|---|
/// | `threshold` | [`threshold`](FlowParams::threshold) | permits per interval; 0 blocks everything | 0 to 4,294,967,295 | |
/// | `intervalMs` | [`interval`](FlowParams::interval) | the time that the threshold refers to | 1 ms to 7 days | 1 s |
/// | `window`, `buckets` | [`Window`] | which intervals have to hold it: every one, or those of aligned buckets | `sliding`, `aligned`; 1 to 100 buckets | `sliding`, 2 |
/// | `origin` | [`OriginSelector`] | whose calls: everybody's together, those of one origin, or those of every other one on its own | `default`, `other`, or a name of 1 to 512 bytes | `default` |
/// | `relatedResource` | [`related_resource`](FlowParams::related_resource) | the resource whose admitted calls count instead | a name of 1 to 512 bytes | |
/// | `strategy` | [`Strategy`] | where the threshold in force comes from | `direct`, `warmUp`, `memoryAdaptive` | `direct` |
/// | `warmUpPeriodSec`, `coldFactor` | [`WarmUp`](Strategy::WarmUp) | how long a busy resource takes to get warm, and how many times lower a cold one's threshold is | above 0 s, to a day; above 1, to 1,000 | 10 s, 3 |
/// | `lowMemoryThreshold`, `highMemoryThreshold`, `lowMemoryWaterMarkBytes`, `highMemoryWaterMarkBytes` | [`MemoryAdaptive`] | thresholds with little and with much memory in use, and what is little and much | above 0 | |
/// | `behavior`, `maxQueueingTimeMs` | [`Behavior`] | what becomes of calls beyond it: refused, or spaced evenly with a wait of so long at most | `reject`, `throttle`; 0 to 1 h | `reject`, 500 ms |
///
/// # How it decides
///
/// A call takes its permits, all or none, in one step. With `reject`, the limiter remembers the admissions of the last
/// interval in at most 130 groups, so the threshold holds in every interval, wherever it begins, and at least 99 % of
/// what a log of all admissions would admit is admitted. With `throttle`, each call takes the next free slot of a queue
/// in time (the leaky bucket as a queue, which is the generic cell rate algorithm of ITU-T I.371) and is told how long
/// to wait for it. `warmUp` follows the curve of Guava's warming rate limiter. Prioritised calls may borrow permits
/// that come back within half an interval.
///
/// Of origins under `other`, a thousand have limits of their own at a time. Those that have used nothing make room;
/// beyond that new ones share one limit.
///
/// # Example
///
/// ```
/// use sentinel_core::{FlowRule, Rules, Sentinel};
///
/// let sentinel = Sentinel::default();
/// sentinel.rules().replace("code", Rules::new().flow([FlowRule::new("orders", 1.0)]))?;
///
/// assert!(sentinel.enter("orders").immediately().is_ok());
/// let refused = sentinel.enter("orders").immediately().unwrap_err();
/// assert!(refused.to_string().starts_with("flow rule `flow:orders#0` blocks `orders`: 1 of 1, try again in "));
/// # Ok::<(), sentinel_core::ReplaceError>(())
/// ```
///
/// # What a refusal looks like
///
/// [`Blocked`](crate::Blocked) with the family `flow`, the permits in use, the threshold, and the exact time until trying
/// again may help; `None` for a call that asks for more than the threshold. The HTTP adapters answer 429.
///
/// # When not to use it
///
/// To bound what a slow dependency holds: that is an isolation rule. Where the right number is not known: system rules,
/// or isolation rules whose limit finds itself. For limits by customer or key: hotspot rules, which keep one for each
/// value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flow;

impl Sealed for Flow {}

impl Family for Flow {
    const NAME: &'static str = "flow";
    #[cfg(feature = "json")]
    const FORMS: &'static [crate::rules::Form] = &[java::FORM, go::GO, go::KUBERNETES];
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

    fn keeps_state(before: &FlowParams, after: &FlowParams) -> bool {
        before.differs_only_in_thresholds(after)
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

    #[inline(always)]
    fn acquire(check: &Check<Self>, call: &Call<'_>, now: u64, place: &mut Option<Token>) -> Step {
        if !check.state.applies.is_about(call.caller()) {
            return Step::Pass;
        }
        match &check.state.limit {
            Limits::Total(limit) => limit.acquire(call, now, place),
            Limits::PerOrigin(origins) => origins.of(call.caller(), now).acquire(call, now, place),
            Limits::Related { window, threshold } => {
                let bucket = saturating_nanos(check.rule.rule.params.interval) / u64::from(WATCH_BUCKETS);
                related(window, threshold.get(), bucket, call, now)
            }
            Limits::Watch(window) => {
                *place = Some(Token::Counted(window.record(now, u64::from(call.permits()))));
                Step::Pass
            }
        }
    }

    fn undo(check: &Check<Self>, token: Token, call: &Call<'_>, _now: u64) {
        match &check.state.limit {
            Limits::Total(limit) => limit.undo(token, call),
            // An origin that was forgotten meanwhile had used nothing any more, so there is nothing to undo. What was
            // taken from the common limit stays taken where the origin has one of its own by now.
            Limits::PerOrigin(origins) => origins.known(call.caller()).undo(token, call),
            Limits::Related { .. } => {}
            Limits::Watch(window) => {
                if let Token::Counted(stamp) = token {
                    window.undo(stamp, u64::from(call.permits()));
                }
            }
        }
    }

    fn seen(check: &Check<Self>, token: &Token, call: &Call<'_>) -> (f64, f64) {
        match &check.state.limit {
            Limits::Total(limit) => limit.seen(token),
            Limits::PerOrigin(origins) => origins.known(call.caller()).seen(token),
            Limits::Related { .. } | Limits::Watch(_) => (0.0, Self::threshold(check)),
        }
    }

    fn release(_check: &Check<Self>, _token: &Token, _exit: &Exit) {}

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
fn related(window: &BucketWindow, threshold: f64, bucket: u64, call: &Call<'_>, now: u64) -> Step {
    let observed = window.sum(now) as f64;
    if observed + f64::from(call.permits()) > threshold {
        return Step::Block(Cause { observed, threshold, retry_after: bucket });
    }
    Step::Pass
}
