//! Isolation rules: how many calls are in flight at a time.

mod adaptive;
#[cfg(feature = "json")]
mod go;
mod rule;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use self::adaptive::Finder;
pub use self::rule::{Adaptive, Algorithm, IsolationParams, IsolationRule, Queue, QueueOrder};
use crate::{
    call::Call,
    clock::saturating_nanos,
    families::{
        Cause, Check, Checks, Context, Exit, Family, Resume, Step, Turn,
        origin::{Applies, OriginLimit, OriginSelector, Origins},
        sealed::Sealed,
    },
    rules::Compiled,
    sync::{
        gauge::{Asked, Gauge, QueueLimits},
        waiter::{Fate, Waiter},
    },
};

/// Isolation rules: how many calls are in flight at a time.
///
/// # What it protects from
///
/// A dependency that gets slow, and then holds all threads, connections and memory of those who call it. A rate does
/// not help there: ten calls a second that take a minute each are six hundred in flight. A limit on those leaves the
/// rest of the service what it needs; a short queue before it takes up bursts.
///
/// # Fields
///
/// | document | in code | meaning | range | default |
/// |---|---|---|---|---|
/// | `threshold` | [`threshold`](IsolationParams::threshold) | permits in flight; 0 blocks whatever takes permits | 0 to 4,294,967,295 | |
/// | `origin` | [`OriginSelector`] | whose calls: everybody's together, those of one origin, or those of every other one on its own | `default`, `other`, or a name of 1 to 512 bytes | `default` |
/// | `maxQueueSize` | [`max_waiting`](Queue::max_waiting) | calls that may wait; 0 is no queue | 0 to 1,000,000 | 0 |
/// | `maxQueueingTimeMs` | [`max_wait`](Queue::max_wait) | the longest wait | above 0 ms, to 1 h | 500 ms |
/// | `queueOrder` | [`QueueOrder`] | who is served first | `fifo`, `newestFirst` | `fifo` |
/// | `defaultShare`, `sheddableShare` | [`Shares`](crate::Shares) | the shares of the limit that default and sheddable calls may use; only without a queue | above 0, to 1 | 1 |
/// | `adaptive` | [`Algorithm`] | how the limit finds itself; `threshold` is then the first one, by default 20, or the bound that is next to it | `aimd`, `vegas`, `gradient2` | |
/// | `minThreshold`, `maxThreshold` | [`Adaptive`] | the bounds of a limit that finds itself | 1 to 1,000,000 | 1, 1,000 |
/// | `windowMs` | [`window`](Adaptive::window) | the time over which response times are averaged; at least ten calls | 10 ms to 10 s | 100 ms |
/// | `backoff`, `maxResponseTimeMs` | [`Aimd`](Algorithm::Aimd) | what a window that was too slow leaves of the limit, and what is too slow | 0.5 to below 1; above 0 ms, to 1 h | 0.9, 5 s |
/// | `tolerance`, `headroom`, `smoothing` | [`Gradient2`](Algorithm::Gradient2) | see there | | 1.5, 4, 0.2 |
///
/// In a dry run, a call that would have to wait counts as one that would be blocked.
///
/// A reload that changes anything but `origin` applies at once and goes on counting calls that are inside: a lower
/// threshold takes effect as they end, a higher one serves those who wait. A limit that has found itself stays, unless
/// how it is found changes. A rule counts the calls that were admitted under it: with another `origin` it starts anew,
/// and so does one that is put back after it was removed or disabled, whatever is still inside from before.
///
/// # How it decides
///
/// Permits that are free are counted in one word: taking some and giving them back is one step each, so there is no
/// moment at which one too many is in flight. A call beyond the threshold is blocked, or joins the queue while that has
/// room, and whoever comes later stands behind it. Permits that come back go to the first in the queue, a batch there
/// waits until all of its permits are free, and who gives up leaves his place and what he was granted to the next. With
/// `newestFirst`, a queue that has not been empty for 100 ms serves the newest call first, the one that somebody most
/// likely still waits for, and refuses the oldest when it is full and the newest does wait, until it has been empty. (A
/// semaphore, as the bulkhead of *Release It!*, Nygard 2007; the order under overload is the adaptive LIFO of "Fail at
/// Scale", ACM Queue 13(8), 2015. The Sentinel family compares first and counts later, which lets too many in, and
/// counts a batch as one.)
///
/// # Limits that find themselves
///
/// Where nobody knows the right number, or it changes, `adaptive` finds it from response times. The algorithms are
/// those of Netflix's concurrency-limits, fed with means over windows:
///
/// - `aimd` raises the limit by one in each window in which it is used, and lowers it by a share when calls take longer than
///   `maxResponseTimeMs` on average. It needs that number: what calls take without a queue, and as much as they may wait.
/// - `vegas` estimates the queue from the shortest response time that it has seen, and keeps it short. It needs no number.
/// - `gradient2` compares response times now and long ago.
///
/// In a simulation of a service at 1.5 and 5 times its capacity (`examples/tests/adaptive.rs`), ten seconds after its
/// capacity halved or doubled, `aimd` uses at least 0.94 of the new capacity, with a 99th percentile of at most 3 times
/// the one at half load; so does `vegas` (0.93, 2.4 times), but for a service whose calls become slower, which it takes
/// for a queue (0.69 in the worst case). `gradient2` uses 0.99, but lets a queue grow: up to 12 times.
///
/// *Calls of different cost.* Where one kind takes three times as long as another on the same servers, and each is a
/// resource with a limit of its own, at three times the capacity all three use all of it, but divide it differently:
/// the cheap calls get 0.45 of the work under `aimd`, half of it under `vegas`, and 0.14 under `gradient2`, whose 99th
/// percentiles are three to six times those of the others. `aimd` cannot do it with one number for both, nor with one
/// in proportion to the cost: with 50 ms for both, 0.02 of the costly calls got through, and with 50 and 150 ms, 0.02
/// of the cheap ones. It takes what each kind needs and the same wait on top, here 50 and 90 ms.
///
/// Failed calls count as an overload where they are a tenth of a window, however fast they fail;
/// [ignored](crate::Entry::ignore) ones do not count, nor do response times below 0.1 ms.
///
/// # Example
///
/// ```
/// use sentinel_core::{IsolationRule, Rules, Sentinel};
///
/// let sentinel = Sentinel::default();
/// sentinel.rules().replace("code", Rules::new().isolation([IsolationRule::new("orders", 2)]))?;
///
/// let first = sentinel.enter("orders").immediately().unwrap();
/// let _second = sentinel.enter("orders").immediately().unwrap();
/// let refused = sentinel.enter("orders").immediately().unwrap_err();
/// assert_eq!(
///     refused.to_string(),
///     "isolation rule `isolation:orders#0` blocks `orders`: 2 of 2 in flight, try again in 1ms",
/// );
/// drop(first);
/// assert!(sentinel.enter("orders").immediately().is_ok());
/// # Ok::<(), sentinel_core::ReplaceError>(())
/// ```
///
/// A call that may wait asks with [`admitted`](crate::Decision::admitted), or
/// [`admitted_blocking`](crate::Decision::admitted_blocking) on a thread of its own, and goes on as soon as it is its
/// turn.
///
/// # What a refusal looks like
///
/// [`Blocked`](crate::Blocked) with the family `isolation`; it [observed](crate::Blocked::observed) the permits in
/// flight, of the [threshold](crate::Blocked::threshold). When a call will end is not known, so
/// [`retry_after`](crate::Blocked::retry_after) is a millisecond: trying again may help at any moment. It is `None` for
/// a call that asks for more permits than the threshold. Who is refused after a wait gets the same. The HTTP adapters
/// answer 503.
///
/// # When not to use it
///
/// To hold a rate that somebody else allows: that is a flow rule. A number that nobody has measured: too low a threshold
/// refuses what could be served, too high a one protects from nothing; let the limit find itself. A long queue helps
/// nobody: what waits for longer than its caller does is served in vain.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Isolation;

impl Sealed for Isolation {}

impl Family for Isolation {
    const NAME: &'static str = "isolation";
    #[cfg(feature = "json")]
    const FORMS: &'static [crate::rules::Form] = &[go::GO, go::KUBERNETES];
    type Params = IsolationParams;
}

/// One rule on one resource.
#[derive(Debug)]
pub(crate) struct State {
    applies: Applies,
    gauges: Gauges,
    queue: QueueLimits,
    /// What finds the limit, where that is not given.
    finder: Option<Arc<Finder>>,
}

#[derive(Debug)]
enum Gauges {
    Total(Arc<Gauge>),
    PerOrigin(Arc<Origins<Gauge>>),
}

/// What a call took: permits, or a place in the queue that becomes permits.
#[derive(Debug)]
pub(crate) struct Token {
    /// The gauge of its origin, where each has its own.
    of_origin: Option<Arc<Gauge>>,
    /// The place in the queue, if it had to wait.
    waiter: Option<Arc<Waiter>>,
}

impl Checks for Isolation {
    const HOLDS: bool = true;
    type Shared = ();
    type State = State;
    type Token = Token;

    fn share(_rule: &IsolationParams, _previous: Option<&Compiled<Self>>) {}

    fn build(rule: &Compiled<Self>, previous: Option<&Check<Self>>, context: &Context<'_, Self>) -> State {
        let params = &rule.rule.params;
        let kept = previous.filter(|before| before.rule.rule.params.origin == params.origin);
        let before = kept.and_then(|before| before.state.finder.as_ref());
        let adaptive = params.adaptive.map(|adaptive| adaptive.under(&params.shares));
        let finder = adaptive.map(|adaptive| {
            let found = before.filter(|finder| finder.is_for(&adaptive));
            found.cloned().ok_or_else(|| Arc::new(Finder::new(&adaptive, params.threshold, context.seed(rule))))
        });
        let goes_on = matches!(finder, Some(Ok(_)));
        if let Some(before) = before.filter(|_| !goes_on) {
            // Calls that it still learns from must not set the limit that is in force from now on.
            before.retire();
        }
        let gauges = match kept.map(|before| &before.state.gauges) {
            Some(Gauges::Total(gauge)) if goes_on => Gauges::Total(Arc::clone(gauge)),
            Some(gauges) => gauges.follow(params.threshold, context),
            None if params.origin == OriginSelector::Other => {
                Gauges::PerOrigin(Arc::new(Origins::new(params.threshold)))
            }
            None => Gauges::Total(Arc::new(Gauge::new(params.threshold))),
        };
        let applies = Applies::new(&params.origin, context.rules.iter().map(|rule| &rule.rule.params.origin));
        let finder = finder.map(|finder| finder.unwrap_or_else(|new| new));
        let queue = params.queue.filter(|_| !rule.rule.dry_run);
        State { applies, gauges, finder, queue: queue.map_or_else(QueueLimits::default, |queue| limits(&queue)) }
    }

    fn keeps_state(before: &IsolationParams, after: &IsolationParams) -> bool {
        before.origin == after.origin
    }

    #[inline(always)]
    fn acquire(check: &Check<Self>, call: &Call<'_>, now: u64, place: &mut Option<Token>) -> Step {
        let State { applies, gauges, .. } = &check.state;
        if !applies.is_about(call.caller()) {
            return Step::Pass;
        }
        match gauges {
            Gauges::Total(gauge) => ask(gauge, None, check, call, now, place),
            Gauges::PerOrigin(origins) => {
                let gauge = origins.of(call.caller(), now);
                ask(&gauge, Some(Arc::clone(&gauge)), check, call, now, place)
            }
        }
    }

    fn undo(check: &Check<Self>, token: Token, call: &Call<'_>, now: u64) {
        let Some(gauge) = token.gauge(check) else { return };
        match &token.waiter {
            Some(waiter) => gauge.leave(waiter, now),
            None => gauge.release(call.permits(), now),
        }
    }

    fn resume(check: &Check<Self>, token: &mut Token, now: u64) -> Resume {
        let (Some(gauge), Some(waiter)) = (token.gauge(check), &token.waiter) else { return Resume::Pass };
        let fate = match waiter.fate() {
            None if now < waiter.until() => {
                gauge.stay(waiter, now);
                return Resume::Wait;
            }
            None => gauge.withdraw(waiter, now),
            Some(fate) => fate,
        };
        match fate {
            Fate::Granted => Resume::Pass,
            Fate::Refused => Resume::Block(cause(gauge, waiter.permits())),
        }
    }

    fn seen(check: &Check<Self>, token: &Token, _call: &Call<'_>) -> (f64, f64) {
        token.gauge(check).map_or((0.0, 0.0), |gauge| (gauge.in_flight().into(), gauge.limit().into()))
    }

    #[inline(always)]
    fn release(check: &Check<Self>, token: &Token, exit: &Exit) {
        let Some(gauge) = token.gauge(check) else { return };
        let is_another_limit = check.state.finder.as_ref().is_some_and(|finder| finder.learn(exit, gauge));
        gauge.release(exit.count, exit.now);
        if is_another_limit {
            gauge.serve(exit.now);
        }
    }

    fn explain(_check: &Check<Self>, cause: &Cause, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} in flight", cause.observed, cause.threshold)
    }

    fn threshold(check: &Check<Self>) -> f64 {
        match &check.state.gauges {
            Gauges::Total(gauge) => gauge.limit().into(),
            Gauges::PerOrigin(origins) => origins.beyond().limit().into(),
        }
    }

    fn is_idle(check: &Check<Self>, now: u64) -> bool {
        match &check.state.gauges {
            Gauges::Total(gauge) => gauge.is_idle(),
            Gauges::PerOrigin(origins) => origins.is_idle(now),
        }
    }
}

impl Gauges {
    /// The same gauges, with another threshold.
    fn follow(&self, threshold: u32, context: &Context<'_, Isolation>) -> Self {
        let now = context.around.now;
        match self {
            Self::Total(gauge) => {
                gauge.set_limit(threshold);
                let raised = Arc::clone(gauge);
                context.around.later.add(move || raised.serve(now));
                Self::Total(Arc::clone(gauge))
            }
            Self::PerOrigin(origins) => {
                origins.set_terms(threshold);
                let raised = Arc::clone(origins);
                context.around.later.add(move || raised.all().iter().for_each(|gauge| gauge.serve(now)));
                Self::PerOrigin(Arc::clone(origins))
            }
        }
    }
}

impl Token {
    /// The gauge that it was taken from.
    #[inline]
    fn gauge<'a>(&'a self, check: &'a Check<Isolation>) -> Option<&'a Gauge> {
        match &check.state.gauges {
            Gauges::Total(gauge) => Some(gauge),
            Gauges::PerOrigin(_) => self.of_origin.as_deref(),
        }
    }
}

impl OriginLimit for Gauge {
    type Terms = u32;

    fn new(limit: &u32) -> Self {
        Self::new(*limit)
    }

    fn set_terms(&self, limit: &u32) {
        self.set_limit(*limit);
    }

    fn is_idle(&self, _now: u64) -> bool {
        self.is_idle()
    }
}

impl Turn for Waiter {
    fn poll(&self, context: &mut TaskContext<'_>) -> Poll<()> {
        self.poll(context)
    }
}

/// The turn of a call beyond the room of its queue: that it waits is known when it is polled.
#[derive(Debug)]
struct Guest {
    gauge: Arc<Gauge>,
    waiter: Arc<Waiter>,
    joined: u64,
}

impl Turn for Guest {
    fn poll(&self, context: &mut TaskContext<'_>) -> Poll<()> {
        self.gauge.stay(&self.waiter, self.joined);
        self.waiter.poll(context)
    }
}

fn limits(queue: &Queue) -> QueueLimits {
    QueueLimits {
        room: queue.max_waiting,
        max_wait: saturating_nanos(queue.max_wait),
        newest_first: queue.order == QueueOrder::NewestFirst,
    }
}

#[inline(always)]
fn ask(
    gauge: &Arc<Gauge>,
    of_origin: Option<Arc<Gauge>>,
    check: &Check<Isolation>,
    call: &Call<'_>,
    now: u64,
    place: &mut Option<Token>,
) -> Step {
    let (shares, queue) = (&check.rule.rule.params.shares, &check.state.queue);
    let left = shares.left(gauge.limit(), call.importance());
    if left > 0 {
        return if gauge.acquire_leaving(call.permits(), left) {
            *place = Some(Token { of_origin, waiter: None });
            Step::Pass
        } else {
            Step::Block(Cause::in_flight(gauge.in_flight(), gauge.limit().saturating_sub(left), call.permits()))
        };
    }
    match gauge.acquire(call.permits(), now, queue) {
        Asked::Granted => {
            *place = Some(Token { of_origin, waiter: None });
            Step::Pass
        }
        Asked::Queued(waiter) => {
            *place = Some(Token { of_origin, waiter: Some(Arc::clone(&waiter)) });
            let turn: Arc<dyn Turn> = match waiter.beyond() {
                None => waiter,
                Some(_) => Arc::new(Guest { gauge: Arc::clone(gauge), waiter, joined: now }),
            };
            Step::Queue(turn, queue.max_wait)
        }
        Asked::Refused => Step::Block(cause(gauge, call.permits())),
    }
}

/// Too few permits are free.
#[cold]
fn cause(gauge: &Gauge, permits: u32) -> Cause {
    Cause::in_flight(gauge.in_flight(), gauge.limit(), permits)
}
