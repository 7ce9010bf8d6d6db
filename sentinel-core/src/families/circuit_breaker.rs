//! Circuit breaker rules: when a resource is left alone for a while.

mod breaker;
mod circuit;
#[cfg(feature = "json")]
mod go;
#[cfg(feature = "json")]
mod java;
mod machine;
#[cfg(all(test, loom))]
mod models;
mod policy;
mod rule;
#[cfg(all(test, shuttle))]
mod shuttled;
#[cfg(all(test, not(loom)))]
mod tests;
mod window;

use std::{fmt, sync::Arc, time::Duration};

pub use self::{
    breaker::{Breaker, BreakerBuilder, BreakerCallError, BreakerRefusal, BreakerTicket},
    circuit::BreakerSnapshot,
    machine::{BreakerChange, BreakerState},
    rule::{BreakerControl, BreakerParams, BreakerRule, BreakerStrategy, BreakerWindow},
};
use self::{
    circuit::{Circuit, Tell},
    machine::{End, Ticket},
};
use crate::{
    call::Call,
    event::{Listeners, Noted},
    families::{Cause, Check, Checks, Context, Exit, Family, Step, Surroundings, sealed::Sealed},
    rules::Compiled,
};

/// Nanoseconds after which results that nothing was made of may be forgotten: ten minutes.
const FORGET: u64 = 600_000_000_000;

/// Circuit breaker rules: when a resource is left alone for a while.
///
/// # What it protects from
///
/// Calls to something that fails or hardly answers: they cost threads, connections and patience here, and there they keep
/// down what would otherwise get up. After enough bad results the calls are refused at once, and a few probes find out
/// when it goes well again.
///
/// # Fields
///
/// | document | in code | meaning | range | default |
/// |---|---|---|---|---|
/// | `strategy` | [`BreakerStrategy`] | which results are bad, and whether their share or their number counts | `slowRequestRatio`, `errorRatio`, `errorCount` | |
/// | `threshold` | [`threshold`](BreakerParams::threshold) | from where on it opens | a ratio above 0, at most 1; a number of errors from 1 | |
/// | `maxResponseTimeMs` | [`SlowRatio`](BreakerStrategy::SlowRatio) | what takes longer is slow; only with `slowRequestRatio` | 0 to 7 days | |
/// | `minRequestAmount` | [`min_request_amount`](BreakerParams::min_request_amount) | with fewer results in the window it does not open | from 1 | 5 |
/// | `intervalMs` | [`BreakerWindow::Time`] | how long the window reaches back | 1 ms to 7 days | 1 s |
/// | `buckets` | [`BreakerWindow::Time`] | in how many parts results leave it | 1 to 100 | 10 |
/// | `windowCalls` | [`BreakerWindow::Calls`] | the last so many results instead | 1 to 65,536 | |
/// | `retryTimeoutMs` | [`retry_timeout`](BreakerParams::retry_timeout) | how long it stays open | 1 ms to 7 days | 10 s |
/// | `retryGrowth` | [`retry_growth`](BreakerParams::retry_growth) | how many times longer each time that it opens again before it has closed | 1 to 1,000 | 1 |
/// | `maxRetryTimeoutMs` | [`max_retry_timeout`](BreakerParams::max_retry_timeout) | to where that grows | `retryTimeoutMs` to 7 days | 10 min, or `retryTimeoutMs` |
/// | `retryJitter` | [`retry_jitter`](BreakerParams::retry_jitter) | up to which share longer it stays open by chance, on top | 0 to 1 | 0 |
/// | `probes` | [`probes`](BreakerParams::probes) | how many probes have to end well | 1 to 1,000 | 1 |
/// | `probeTimeoutMs` | [`probe_timeout`](BreakerParams::probe_timeout) | after how long a probe that has not ended makes room for another one | 1 ms to 7 days | as long as it was open |
/// | `recoveryMs` | [`recovery`](BreakerParams::recovery) | how long the share of calls rises afterwards, from a tenth to all | 0 to 7 days | 0 |
/// | `strict` | [`strict`](BreakerParams::strict) | whether the threshold has to be exceeded, and not just reached | | `false` |
/// | `state` | [`BreakerControl`] | whether it decides by results, or is told what to be | `auto`, `forcedOpen`, `forcedClosed` | `auto` |
///
/// # How it decides
///
/// *Closed*, it lets every call through, and each result goes into the window; once there are enough, and their share
/// or number of bad ones reaches the threshold, it opens. *Open*, it refuses everything until the retry timeout is
/// over; the next call makes it *half-open*. Then only as many calls go through as good probes are still missing, and
/// only these decide: a bad one opens it again, and enough good ones close it, with an empty window. A probe that is
/// cancelled, or refused by a later rule, gives its place back at once, and one that does not end makes room after a
/// while, so it never stays half-open for want of an answer. A result counts only in the period between two changes of
/// state in which its call was let through: what was on its way before decides nothing. (Nygard, "Release It!", 2007;
/// strategies and names are those of the Sentinel family, in which any call that ends while half-open decides.)
///
/// Calls count, not permits. A call that is [ignored](crate::Entry::ignore), such as one that was cancelled, does not
/// count; but where slow calls are bad, one that had already taken too long is a slow one. With an error strategy a
/// probe may take as long as it likes; also after it has made room for another one, its result counts: a service whose
/// good calls take longer than `probeTimeoutMs` would never be let through again otherwise.
///
/// # Reloads
///
/// A rule that is changed keeps its state and follows the new values at once. With another strategy or another window,
/// and when it was forced, it starts anew: closed and empty, or as it is forced. An operator who wants it out of the
/// way sets `state: forcedClosed`. With `enabled: false` the rule is as if it were not there: where a pattern or a
/// default rule is about the resource too, that one is in force then.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use sentinel_core::{BreakerRule, ManualClock, Rules, Sentinel};
///
/// let clock = ManualClock::new();
/// let sentinel = Sentinel::builder().clock(clock.clone()).build()?;
/// let rule = BreakerRule::error_ratio("orders", 0.5).retry_timeout(Duration::from_secs(5));
/// sentinel.rules().replace("code", Rules::new().circuit_breaker([rule]))?;
///
/// for _ in 0..5 {
///     let entry = sentinel.enter("orders").immediately()?;
///     let _ = entry.call(|| Err::<(), _>("no route to host"));
/// }
/// let refused = sentinel.enter("orders").immediately().unwrap_err();
/// assert_eq!(
///     refused.to_string(),
///     "circuitBreaker rule `circuitBreaker:orders#0` blocks `orders`: it is open: 1.000 of the calls failed, the limit is \
///      0.500, try again in 5s",
/// );
///
/// clock.advance(Duration::from_secs(5));
/// let probe = sentinel.enter("orders").immediately()?;
/// assert!(sentinel.enter("orders").immediately().is_err(), "one probe at a time");
/// drop(probe);
/// assert!(sentinel.enter("orders").immediately().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What a refusal looks like
///
/// [`Blocked`](crate::Blocked) with the family `circuitBreaker`. [`observed`](crate::Blocked::observed) is the ratio or
/// the number of errors that opened it, or 1 for a probe that was bad; [`threshold`](crate::Blocked::threshold) is that
/// of the rule. [`retry_after`](crate::Blocked::retry_after) is exact while it is open; while probes are under way, or
/// the share of calls rises, it is 10 ms at most, since an answer may come at any moment; forced open, there is none.
/// The HTTP adapters answer 503. Each change of state is an [`Event::BreakerChanged`](crate::Event::BreakerChanged).
///
/// # When not to use it
///
/// For a service that is merely busy: a breaker lets everything through or nothing, and what it turns away was often
/// fine. A limit on calls in flight, or shedding by success, follows the load. And not for calls that fail by the
/// caller's fault: tell those apart before they are marked as [failed](crate::Entry::fail).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CircuitBreaker;

impl Sealed for CircuitBreaker {}

impl Family for CircuitBreaker {
    const NAME: &'static str = "circuitBreaker";
    #[cfg(feature = "json")]
    const FORMS: &'static [crate::rules::Form] = &[java::FORM, go::GO, go::KUBERNETES];
    type Params = BreakerParams;
}

impl Checks for CircuitBreaker {
    const HOLDS: bool = true;
    type Shared = ();
    type State = Arc<Circuit<Told>>;
    type Token = Ticket;

    fn share(_rule: &BreakerParams, _previous: Option<&Compiled<Self>>) {}

    fn build(rule: &Compiled<Self>, previous: Option<&Check<Self>>, context: &Context<'_, Self>) -> Self::State {
        let params = rule.rule.params;
        let Surroundings { resource, listeners, now, later, .. } = context.around;
        if let Some(before) = previous {
            let circuit = Arc::clone(&before.state);
            circuit.set(params, *now);
            later.add({
                let circuit = Arc::clone(&circuit);
                move || circuit.tell()
            });
            return circuit;
        }
        let told = Told { listeners: (*listeners).clone(), resource: Arc::clone(resource), rule: Arc::clone(&rule.id) };
        Arc::new(Circuit::new(params, context.seed(rule), told))
    }

    fn keeps_state(before: &BreakerParams, after: &BreakerParams) -> bool {
        after.counts_like(before)
    }

    #[inline(always)]
    fn acquire(check: &Check<Self>, _call: &Call<'_>, now: u64, place: &mut Option<Ticket>) -> Step {
        match check.state.ask(|| now) {
            Ok(ticket) => {
                *place = Some(ticket);
                Step::Pass
            }
            Err(retry_after) => {
                let (observed, threshold) = (check.state.observed(), check.rule.rule.params.threshold);
                Step::Block(Cause { observed, threshold, retry_after })
            }
        }
    }

    fn undo(check: &Check<Self>, token: Ticket, _call: &Call<'_>, _now: u64) {
        check.state.undo(&token);
    }

    #[inline(always)]
    fn release(check: &Check<Self>, token: &Ticket, exit: &Exit) {
        let Exit { now, response_time, outcome, .. } = *exit;
        check.state.end(token, End { now, response_time, outcome });
    }

    fn explain(check: &Check<Self>, cause: &Cause, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cause { observed, threshold, retry_after } = *cause;
        match check.rule.rule.params.strategy {
            _ if retry_after == u64::MAX => f.write_str("it is forced open"),
            BreakerStrategy::SlowRatio { .. } => {
                write!(f, "it is open: {observed:.3} of the calls were slow, the limit is {threshold:.3}")
            }
            BreakerStrategy::ErrorRatio => {
                write!(f, "it is open: {observed:.3} of the calls failed, the limit is {threshold:.3}")
            }
            BreakerStrategy::ErrorCount => {
                write!(f, "it is open: the errors came to {observed}, the limit is {threshold}")
            }
        }
    }

    fn threshold(check: &Check<Self>) -> f64 {
        check.rule.rule.params.threshold
    }

    fn interval(rule: &BreakerParams) -> Option<Duration> {
        match rule.window {
            BreakerWindow::Time { interval, .. } => Some(interval),
            BreakerWindow::Calls(_) => None,
        }
    }

    fn breaker(check: &Check<Self>, now: u64) -> Option<BreakerSnapshot> {
        Some(check.state.snapshot(now))
    }

    fn is_idle(check: &Check<Self>, now: u64) -> bool {
        check.state.is_idle(now, FORGET)
    }
}

/// Who is told of the changes of a rule's breaker.
#[derive(Debug)]
pub(crate) struct Told {
    listeners: Listeners,
    resource: Arc<str>,
    rule: Arc<str>,
}

impl Tell for Told {
    fn note(&self, change: BreakerChange) {
        let (resource, rule) = (Arc::clone(&self.resource), Arc::clone(&self.rule));
        self.listeners.note(Noted { resource, rule, change });
    }

    fn tell(&self) {
        self.listeners.tell_noted();
    }
}
