//! Hotspot rules: how many calls each value of an argument admits.

#[cfg(feature = "frequency-cache")]
mod frequent;
#[cfg(feature = "json")]
mod go;
#[cfg(feature = "json")]
mod java;
mod known;
mod limits;
mod meter;
mod recent;
mod rule;
mod shard;
mod store;
#[cfg(test)]
mod tests;
mod traffic;
#[cfg(feature = "json")]
mod wire;

use std::{fmt, sync::Arc, time::Duration};

pub use self::rule::{
    HotspotItem, HotspotMetric, HotspotParams, HotspotRule, ItemValue, Parameter, Refill, ValueCache,
};
use self::{
    limits::{Keys, Limits},
    meter::Law,
    shard::Token,
    store::Store,
};
use crate::{
    call::Call,
    families::{Cause, Check, Checks, Context, Exit, Family, Shortcut, Step, sealed::Sealed},
    rules::Compiled,
    snapshot::HotValue,
};

/// Hotspot rules: how many calls each value of an argument admits.
///
/// # What it protects from
///
/// One customer, product, key or address that takes all there is: a tenant whose job runs wild, the article that
/// everybody reads today, a client that retries without end. Every value of the argument has a limit of its own, so one
/// that is too hot is cut down and the others do not notice.
///
/// # Fields
///
/// | document | in code | meaning | range | default |
/// |---|---|---|---|---|
/// | `paramIndex` | [`Parameter::Index`] | the argument at a position, counted from 0, or from the end: -1 is the last | a 32-bit number | |
/// | `paramKey` | [`Parameter::Key`] | the argument of a name, in place of `paramIndex` | 1 to 128 bytes | |
/// | `threshold` | [`threshold`](HotspotParams::threshold) | permits of one value, per interval or inside; 0 blocks every value | 0 to 4,294,967,295 | |
/// | `metric` | [`HotspotMetric`] | whether permits count in time or while they are inside | `qps`, `concurrency` | `qps` |
/// | `intervalMs` | [`interval`](HotspotParams::interval) | the time that the threshold refers to | 1 ms to 7 days | 1 s |
/// | `behavior` | [`HotspotMetric`] | whether what is too much is blocked, or spaced evenly and made to wait | `reject`, `throttle` | `reject` |
/// | `burst` | [`HotspotMetric::Bucket`] | permits that a value which has rested has beyond the threshold | 0 to 4,294,967,295 | 0 |
/// | `refill` | [`Refill`] | whether permits come back all the time, or together after an interval | `continuous`, `interval` | `continuous` |
/// | `maxQueueingTimeMs` | [`HotspotMetric::Throttle`] | the longest wait | 0 to an hour | 500 ms |
/// | `items` | [`items`](HotspotParams::items) | values with a threshold of their own, each `{value, threshold}`; a value is a number, a text or a truth value, not [bytes](crate::Arg::Bytes), and 1, "1" and 1.0 are different ones | at most 10,000 | |
/// | `capacity` | [`capacity`](HotspotParams::capacity) | how many values have a state of their own | 1 to 1,000,000 | 10,000 |
/// | `cache` | [`ValueCache`] | which values are forgotten for others: those called longest ago, or those called seldom (feature `frequency-cache`) | `lru`, `frequency` | `lru` |
///
/// A reload that changes only thresholds, `burst`, `items` or `maxQueueingTimeMs` applies at once, and what is used
/// stays used. With anything else changed, `capacity` and `cache` among them, the rule starts anew, and so does one
/// that is put back after it was removed or disabled: a rule counts the calls that were admitted under it, so with
/// `concurrency`, those that are inside from before do not count.
///
/// # How it decides
///
/// The call's [argument](crate::Call::args) is hashed and looked up; a call without it is none of the rule's business.
/// With `reject`, a value has a token bucket of threshold and burst that fills by the threshold per interval: the
/// generic cell rate algorithm (ITU-T I.371), exact in whole numbers. With `throttle`, calls of a value are spaced
/// evenly, each taking the next free place and paying for it afterwards, and one that would wait too long is blocked.
/// With `concurrency`, the permits of a value that are inside never exceed its threshold. A call that gives up, or that
/// a later rule refuses, gives back what it took as far as time has not given it back already; of a queue only the last
/// place, since those behind another one have been told when to go.
///
/// An argument is one value. For a call that is about several, pass several arguments and give each a rule: what the
/// first rules have taken is given back where a later one refuses.
///
/// A token bucket admits up to twice its size within one interval: all that it holds, and what comes back meanwhile. What
/// has to hold in every interval is a matter for [flow rules](crate::Flow).
///
/// # More values than the capacity
///
/// What is known of the values is kept in shards, each behind a lock that is held for a few steps. Where a shard is
/// full, a new value takes the place of another one, which has a full bucket when it comes again. That is never one
/// that is *held*: one that has nothing left, that has calls inside, or whose calls wait. Of the others,
///
/// - the `lru` cache looks at eight in turn. It takes one that is as good as new, which loses nothing, and of several the one
///   that was admitted longest ago; where none is, the one that was called least often since it came, and of several the
///   one that has used least.
/// - the `frequency` cache takes one by Clock-PRO, which is close to S3-FIFO: one that was called once goes soon, one that is
///   called again and again stays.
///
/// So whoever is forgotten gets back less than a bucket, and nobody is forgotten again and again who is called often: a
/// flood of other values, each called as often and with as many permits as it likes, leaves a value its state that gets
/// at least one of as many calls as an eighth of the capacity, of 1,250 by default. Only a flood that has nearly all
/// other values of a shard held when that one is not gets it forgotten. For that it has to use up whole buckets as fast
/// as they fill: capacity times threshold permits an interval, a million a second for 10,000 values at 100 a second.
///
/// Where all that are looked at are held, new values of the shard share one state, with the rule's threshold for all of
/// them together, until there is room; values that the rule names in its items always find room. With a low threshold
/// and a long interval many values are held for long: give such a rule the capacity for all values that come within an
/// interval.
///
/// With a capacity below 64 there is one shard. From there on there are several, and more values than the capacity are
/// kept, since chance does not fill shards alike: up to three quarters more, with the default a sixth. Each takes some
/// 170 bytes, with `frequency` 245.
///
/// # Example
///
/// ```
/// use sentinel_core::{Arg, Call, HotspotRule, Rules, Sentinel};
///
/// let sentinel = Sentinel::default();
/// let rule = HotspotRule::new("orders", "tenant", 2).value("batch", 0).id("per-tenant");
/// sentinel.rules().replace("code", Rules::new().hotspot([rule]))?;
///
/// let enter = |tenant| {
///     let args = [("tenant", Arg::from(tenant))];
///     sentinel.enter_with("orders", &Call::new().named_args(&args)).immediately()
/// };
/// assert!(enter("alice").is_ok() && enter("alice").is_ok() && enter("bob").is_ok());
/// let refused = enter("alice").unwrap_err();
/// assert!(refused.to_string().starts_with(
///     "hotspot rule `per-tenant` blocks `orders`: 2 of 2 for this value of the argument `tenant`, try again in",
/// ));
/// assert!(enter("batch").is_err());
///
/// let orders = sentinel.snapshot_of("orders").unwrap();
/// assert_eq!(&*orders.rules[0].hot_values[0].value, "alice");
/// # Ok::<(), sentinel_core::ReplaceError>(())
/// ```
///
/// # What a refusal looks like
///
/// [`Blocked`](crate::Blocked) with the family `hotspot`: [`observed`](crate::Blocked::observed) are the permits of the
/// value in use, [`threshold`](crate::Blocked::threshold) is the value's, and with `reject`,
/// [`retry_after`](crate::Blocked::retry_after) is exactly when as many permits will be there, if nobody else comes.
/// With `concurrency` it is a millisecond, since a call may end at any moment. It is `None` for more permits than the
/// value ever has. [`RuleSnapshot::hot_values`](crate::RuleSnapshot::hot_values) shows the ten values that were called
/// most.
///
/// # When not to use it
///
/// For values that few calls have in common, such as the id of a request: nothing is ever hot. For limits by caller,
/// where [flow rules](crate::Flow) have [origins](crate::OriginSelector). For a limit that has to hold over all values
/// together: that is a flow rule or an isolation rule, which goes well beside this one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hotspot;

impl Sealed for Hotspot {}

impl Family for Hotspot {
    const NAME: &'static str = "hotspot";
    #[cfg(feature = "json")]
    const FORMS: &'static [crate::rules::Form] = &[java::FORM, go::GO, go::KUBERNETES];
    type Params = HotspotParams;
}

/// One rule on one resource.
#[derive(Debug)]
pub(crate) struct State {
    limits: Limits,
    values: Arc<Store>,
}

impl Checks for Hotspot {
    const HOLDS: bool = true;

    fn holds(check: &Check<Self>) -> bool {
        check.rule.rule.params.metric == HotspotMetric::Concurrency
    }

    type Shared = ();
    type State = State;
    type Token = Token;

    fn share(_rule: &HotspotParams, _previous: Option<&Compiled<Self>>) {}

    fn build(rule: &Compiled<Self>, previous: Option<&Check<Self>>, context: &Context<'_, Self>) -> State {
        let params = &rule.rule.params;
        let values = previous.filter(|before| params.keeps_state_of(&before.rule.rule.params)).map_or_else(
            || Arc::new(Store::new(params.cache, params.capacity, Law::of(params), Keys::new(context.seed(rule)))),
            |before| Arc::clone(&before.state.values),
        );
        State { limits: Limits::new(params, values.keys()), values }
    }

    fn keeps_state(before: &HotspotParams, after: &HotspotParams) -> bool {
        after.keeps_state_of(before)
    }

    fn watch(_rule: &Compiled<Self>) -> Option<State> {
        None
    }

    fn shortcut(check: &Check<Self>) -> Shortcut {
        match check.state.limits.law {
            Law::Bucket { .. } => Shortcut::Alone,
            Law::Queue { .. } | Law::Inside => Shortcut::Walk,
        }
    }

    fn acquire(check: &Check<Self>, call: &Call<'_>, now: u64, place: &mut Option<Token>) -> Step {
        let State { limits, values } = &check.state;
        let arg = match &check.rule.rule.params.parameter {
            Parameter::Index(index) => call.arg(*index as isize),
            Parameter::Key(name) => call.named_arg(name),
        };
        let Some(arg) = arg.filter(|_| call.permits() > 0) else { return Step::Pass };
        match values.take(arg, limits, now, call.permits()) {
            Ok((token, wait)) => {
                *place = Some(token);
                Step::after(wait)
            }
            Err(refusal) => Step::Block(Cause {
                observed: refusal.observed as f64,
                threshold: refusal.threshold.into(),
                retry_after: refusal.retry_after,
            }),
        }
    }

    fn undo(check: &Check<Self>, token: Token, _call: &Call<'_>, now: u64) {
        check.state.values.give_back(&token, &check.state.limits, now);
    }

    fn seen(check: &Check<Self>, token: &Token, _call: &Call<'_>) -> (f64, f64) {
        let threshold = check.state.limits.of(token.key).threshold.into();
        (threshold, threshold)
    }

    fn release(check: &Check<Self>, token: &Token, exit: &Exit) {
        if Self::holds(check) {
            check.state.values.give_back(token, &check.state.limits, exit.now);
        }
    }

    fn explain(check: &Check<Self>, cause: &Cause, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} for this value of the argument ", cause.observed, cause.threshold)?;
        match &check.rule.rule.params.parameter {
            Parameter::Index(index) => write!(f, "{index}"),
            Parameter::Key(name) => write!(f, "`{name}`"),
        }
    }

    fn threshold(check: &Check<Self>) -> f64 {
        check.rule.rule.params.threshold.into()
    }

    fn interval(rule: &HotspotParams) -> Option<Duration> {
        (rule.metric != HotspotMetric::Concurrency).then_some(rule.interval)
    }

    fn hot_values(check: &Check<Self>, now: u64) -> Vec<HotValue> {
        check.state.values.hottest(now)
    }

    fn is_idle(check: &Check<Self>, now: u64) -> bool {
        check.state.values.is_idle(&check.state.limits.law, now)
    }
}
