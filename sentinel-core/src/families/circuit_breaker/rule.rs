//! What a circuit breaker rule says.

use std::time::Duration;

use super::CircuitBreaker;
use crate::{
    clock,
    families::Params,
    rules::{Report, Rule},
};

const MIN_DURATION: Duration = Duration::from_millis(1);
const MAX_DURATION: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const MAX_COUNT: f64 = u32::MAX as f64;
const MAX_BUCKETS: u32 = 100;
const MAX_CALLS: u32 = 65_536;
const MAX_GROWTH: f64 = 1_000.0;
const MAX_PROBES: u32 = 1_000;

const DEFAULT_MIN_REQUESTS: u32 = 5;
pub(super) const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);
pub(super) const DEFAULT_BUCKETS: u32 = 10;
const DEFAULT_RETRY: Duration = Duration::from_secs(10);
const DEFAULT_MAX_RETRY: Duration = Duration::from_secs(10 * 60);

/// A rule on when a resource is left alone for a while, because its calls fail or take too long.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use sentinel_core::BreakerRule;
///
/// let rules = [
///     BreakerRule::error_ratio("orders", 0.5).retry_timeout(Duration::from_secs(5)),
///     BreakerRule::slow_ratio("search", Duration::from_millis(200), 0.6).min_request_amount(20).probes(3),
///     BreakerRule::error_count("mail", 10).interval(Duration::from_secs(60)),
/// ];
/// ```
pub type BreakerRule = Rule<CircuitBreaker>;

/// What a circuit breaker rule asks for; also what a [`Breaker`](crate::Breaker) of one's own is made from.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct BreakerParams {
    /// Which results are bad, and what is made of them. Document: `strategy`.
    pub strategy: BreakerStrategy,
    /// From where on it opens: a ratio above 0, at most 1, or a number of errors from 1 to 4,294,967,295. Document:
    /// `threshold`.
    ///
    /// With [`strict`](BreakerParams::strict), 0 is possible too.
    pub threshold: f64,
    /// Which results are looked at. Documents: `intervalMs` and `buckets`, or `windowCalls`.
    pub window: BreakerWindow,
    /// With fewer results in the window it does not open; from 1, default 5. Document: `minRequestAmount`.
    pub min_request_amount: u32,
    /// How long it stays open before it lets a probe through; from 1 ms to 7 days, default 10 s. Document:
    /// `retryTimeoutMs`.
    pub retry_timeout: Duration,
    /// How many times longer it stays open each time that it opens again before it has closed; from 1 to 1,000, default 1.
    /// Document: `retryGrowth`.
    pub retry_growth: f64,
    /// To where the growth goes; from the retry timeout to 7 days, default 10 minutes, or the retry timeout where that is
    /// longer. Document: `maxRetryTimeoutMs`.
    pub max_retry_timeout: Option<Duration>,
    /// Up to which share of it it stays open longer, by chance, so that not all instances probe at once; from 0 to 1,
    /// default 0. It comes on top, also of the longest timeout. Document: `retryJitter`.
    pub retry_jitter: f64,
    /// How many probes have to end well before it closes; from 1 to 1,000, default 1. No more than are still needed are
    /// let through at a time. Document: `probes`.
    pub probes: u32,
    /// After how long a probe that has not ended makes room for another one; from 1 ms to 7 days, default as long as it
    /// was open. Document: `probeTimeoutMs`.
    pub probe_timeout: Option<Duration>,
    /// How long it takes after the probes until all calls are let through again: a tenth of them at first, then ever
    /// more; at most 7 days, default 0: all at once. Document: `recoveryMs`.
    pub recovery: Duration,
    /// Whether the threshold has to be exceeded, as in Sentinel for Java, and not just reached; default `false`. A
    /// ratio of 1 is always reached. Document: `strict`.
    pub strict: bool,
    /// Whether it decides by results, or is told what to be. Document: `state`.
    pub state: BreakerControl,
}

/// Which results are bad, and what is made of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BreakerStrategy {
    /// Slow calls, as a share of all. Document: `slowRequestRatio`.
    SlowRatio {
        /// A call that takes longer is slow, whether it fails or not; at most 7 days. Document: `maxResponseTimeMs`.
        max_response_time: Duration,
    },
    /// Calls that fail, as a share of all. Document: `errorRatio`.
    ErrorRatio,
    /// Calls that fail, in number. Document: `errorCount`.
    ErrorCount,
}

/// Which results a breaker looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BreakerWindow {
    /// Those of the last while; the default.
    Time {
        /// How long it reaches back; from 1 ms to 7 days, default 1 s. Document: `intervalMs`.
        interval: Duration,
        /// In how many parts results leave it; from 1 to 100, default 10. With one, it begins anew at each multiple of
        /// the interval, as in Sentinel for Java. Document: `buckets`.
        buckets: u32,
    },
    /// The last so many, however long ago; from 1 to 65,536. Document: `windowCalls`.
    Calls(u32),
}

impl Default for BreakerWindow {
    fn default() -> Self {
        Self::Time { interval: DEFAULT_INTERVAL, buckets: DEFAULT_BUCKETS }
    }
}

/// Whether a breaker decides by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BreakerControl {
    /// It decides by results; the default. After it was forced, it starts closed. Document: `auto`.
    #[default]
    Auto,
    /// It lets nothing through. Document: `forcedOpen`.
    ForcedOpen,
    /// It lets everything through. Document: `forcedClosed`.
    ForcedClosed,
}

impl BreakerParams {
    /// Opens when this share of the calls takes longer than `max_response_time`.
    pub fn slow_ratio(max_response_time: Duration, ratio: f64) -> Self {
        Self::new(BreakerStrategy::SlowRatio { max_response_time }, ratio)
    }

    /// Opens when this share of the calls fails.
    pub fn error_ratio(ratio: f64) -> Self {
        Self::new(BreakerStrategy::ErrorRatio, ratio)
    }

    /// Opens when this many calls fail, of at least [`min_request_amount`](BreakerParams::min_request_amount).
    pub fn error_count(errors: u32) -> Self {
        Self::new(BreakerStrategy::ErrorCount, errors.into())
    }

    pub(super) fn new(strategy: BreakerStrategy, threshold: f64) -> Self {
        Self {
            strategy,
            threshold,
            window: BreakerWindow::default(),
            min_request_amount: DEFAULT_MIN_REQUESTS,
            retry_timeout: DEFAULT_RETRY,
            retry_growth: 1.0,
            max_retry_timeout: None,
            retry_jitter: 0.0,
            probes: 1,
            probe_timeout: None,
            recovery: Duration::ZERO,
            strict: false,
            state: BreakerControl::Auto,
        }
    }

    /// The longest that it stays open, without jitter.
    pub(super) fn longest_retry(&self) -> Duration {
        self.max_retry_timeout.unwrap_or(DEFAULT_MAX_RETRY).max(self.retry_timeout)
    }
}

impl Rule<CircuitBreaker> {
    /// Opens when this share of the calls takes longer than `max_response_time`.
    pub fn slow_ratio(resource: impl Into<String>, max_response_time: Duration, ratio: f64) -> Self {
        Self::on(resource, BreakerParams::slow_ratio(max_response_time, ratio))
    }

    /// Opens when this share of the calls fails.
    pub fn error_ratio(resource: impl Into<String>, ratio: f64) -> Self {
        Self::on(resource, BreakerParams::error_ratio(ratio))
    }

    /// Opens when this many calls fail, of at least [`min_request_amount`](BreakerParams::min_request_amount).
    pub fn error_count(resource: impl Into<String>, errors: u32) -> Self {
        Self::on(resource, BreakerParams::error_count(errors))
    }
}

/// Writes methods that set a field, for the parameters and for a rule that has them.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident($($value:ident: $type:ty)?) $set:expr;)+) => {
        impl BreakerParams {
            $($(#[$doc])*
            #[must_use]
            pub fn $name(mut self $(, $value: $type)?) -> Self {
                let set: fn(&mut Self $(, $type)?) = $set;
                set(&mut self $(, $value)?);
                self
            })+
        }

        impl Rule<CircuitBreaker> {
            $($(#[$doc])*
            #[must_use]
            pub fn $name(mut self $(, $value: $type)?) -> Self {
                self.params = self.params.$name($($value)?);
                self
            })+
        }
    };
}

setters! {
    /// Looks at the results of the last while.
    interval(interval: Duration) |params, interval| {
        let buckets = match params.window {
            BreakerWindow::Time { buckets, .. } => buckets,
            BreakerWindow::Calls(_) => DEFAULT_BUCKETS,
        };
        params.window = BreakerWindow::Time { interval, buckets };
    };
    /// Looks at a while in so many parts; with one, it begins anew at each multiple of the interval.
    buckets(buckets: u32) |params, buckets| {
        let interval = match params.window {
            BreakerWindow::Time { interval, .. } => interval,
            BreakerWindow::Calls(_) => DEFAULT_INTERVAL,
        };
        params.window = BreakerWindow::Time { interval, buckets };
    };
    /// Looks at the last so many results.
    window_calls(calls: u32) |params, calls| params.window = BreakerWindow::Calls(calls);
    /// Does not open with fewer results in the window.
    min_request_amount(results: u32) |params, results| params.min_request_amount = results;
    /// Sets how long it stays open.
    retry_timeout(timeout: Duration) |params, timeout| params.retry_timeout = timeout;
    /// Stays open so many times longer each time that it opens again before it has closed.
    retry_growth(factor: f64) |params, factor| params.retry_growth = factor;
    /// Sets to where the growth goes.
    max_retry_timeout(longest: Duration) |params, longest| params.max_retry_timeout = Some(longest);
    /// Stays open longer, by up to this share, by chance.
    retry_jitter(share: f64) |params, share| params.retry_jitter = share;
    /// Closes after so many probes that end well.
    probes(probes: u32) |params, probes| params.probes = probes;
    /// Gives the place of a probe that has not ended by then to another.
    probe_timeout(timeout: Duration) |params, timeout| params.probe_timeout = Some(timeout);
    /// Lets ever more calls through over this time after the probes, and not all at once.
    recovery(duration: Duration) |params, duration| params.recovery = duration;
    /// Opens only beyond the threshold, as Sentinel for Java does.
    strict() |params| params.strict = true;
    /// Forces it open or closed, or lets it decide again.
    state(state: BreakerControl) |params, state| params.state = state;
}

impl Params for BreakerParams {
    fn validate(&self, report: &mut Report<'_>) {
        self.validate_threshold(report);
        self.validate_window(report);
        self.validate_retry(report);
        if !(1..=MAX_PROBES).contains(&self.probes) {
            report.invalid("probes", self.probes, "there are 1 to 1,000 probes");
        }
        if let Some(timeout) = self.probe_timeout {
            duration(report, "probeTimeoutMs", timeout, MIN_DURATION, "a probe has from 1 ms to 7 days");
        }
        duration(report, "recoveryMs", self.recovery, Duration::ZERO, "a recovery takes 7 days at most");
    }

    #[cfg(feature = "json")]
    fn read(fields: &mut crate::rules::Fields<'_>) -> Self {
        wire::read(fields)
    }

    #[cfg(feature = "json")]
    fn write(&self, out: &mut crate::rules::Writer) {
        wire::write(self, out);
    }
}

impl BreakerParams {
    fn validate_threshold(&self, report: &mut Report<'_>) {
        let Self { strategy, threshold, strict, window, .. } = *self;
        if let BreakerStrategy::SlowRatio { max_response_time } = strategy {
            let expected = "a response time is 7 days at most";
            duration(report, "maxResponseTimeMs", max_response_time, Duration::ZERO, expected);
        }
        let whole = threshold.fract() == 0.0;
        let (max, is_kind, expected) = match strategy {
            BreakerStrategy::SlowRatio { .. } | BreakerStrategy::ErrorRatio => {
                (1.0, true, "a ratio is above 0, or from 0 where it is strict, and at most 1")
            }
            BreakerStrategy::ErrorCount => (
                MAX_COUNT,
                whole,
                "a number of errors is a whole number from 1, or from 0 where it is strict, to 4294967295",
            ),
        };
        let above_min = if strict { threshold >= 0.0 } else { threshold > 0.0 };
        if !(above_min && threshold <= max && is_kind) {
            report.invalid("threshold", threshold, expected);
        } else if let (BreakerStrategy::ErrorCount, BreakerWindow::Calls(calls)) = (strategy, window)
            && threshold + f64::from(u8::from(strict)) > f64::from(calls)
        {
            report.invalid("threshold", threshold, "the last windowCalls calls never hold so many errors");
        }
    }

    fn validate_window(&self, report: &mut Report<'_>) {
        match self.window {
            BreakerWindow::Time { interval, buckets } => {
                duration(report, "intervalMs", interval, MIN_DURATION, "an interval lasts from 1 ms to 7 days");
                if !(1..=MAX_BUCKETS).contains(&buckets) {
                    report.invalid("buckets", buckets, "there are 1 to 100 buckets");
                }
            }
            BreakerWindow::Calls(calls) => {
                if !(1..=MAX_CALLS).contains(&calls) {
                    report.invalid("windowCalls", calls, "a window holds 1 to 65,536 calls");
                } else if self.min_request_amount > calls {
                    let expected = "the last windowCalls calls never are so many";
                    report.invalid("minRequestAmount", self.min_request_amount, expected);
                }
            }
        }
        if self.min_request_amount == 0 {
            report.invalid("minRequestAmount", 0, "it takes at least one result to open");
        }
    }

    fn validate_retry(&self, report: &mut Report<'_>) {
        let Self { retry_timeout, retry_growth, max_retry_timeout, retry_jitter, .. } = *self;
        duration(report, "retryTimeoutMs", retry_timeout, MIN_DURATION, "a retry timeout lasts from 1 ms to 7 days");
        if !(1.0..=MAX_GROWTH).contains(&retry_growth) {
            report.invalid("retryGrowth", retry_growth, "a growth is a factor from 1 to 1,000");
        }
        if let Some(max) = max_retry_timeout {
            let expected = "the longest retry timeout lasts from retryTimeoutMs to 7 days";
            duration(report, "maxRetryTimeoutMs", max, retry_timeout, expected);
        }
        if !(0.0..=1.0).contains(&retry_jitter) {
            report.invalid("retryJitter", retry_jitter, "a jitter is a share from 0 to 1");
        }
    }
}

fn duration(report: &mut Report<'_>, field: &'static str, value: Duration, min: Duration, expected: &'static str) {
    if !(min..=MAX_DURATION).contains(&value) {
        report.invalid(field, clock::millis(value), expected);
    }
}

/// The form of circuit breaker rules in documents.
#[cfg(feature = "json")]
mod wire {
    use super::*;
    use crate::rules::{Fields, Writer};

    #[derive(Clone, Copy)]
    enum Kind {
        SlowRatio,
        ErrorRatio,
        ErrorCount,
    }

    pub(super) fn read(fields: &mut Fields<'_>) -> BreakerParams {
        let strategy = read_strategy(fields);
        let threshold = fields.number("threshold");
        let threshold = fields.required("threshold", threshold).unwrap_or(1.0);
        let states = [
            ("auto", BreakerControl::Auto),
            ("forcedOpen", BreakerControl::ForcedOpen),
            ("forcedClosed", BreakerControl::ForcedClosed),
        ];
        BreakerParams {
            window: read_window(fields),
            min_request_amount: fields.small("minRequestAmount").unwrap_or(DEFAULT_MIN_REQUESTS),
            retry_timeout: fields.millis("retryTimeoutMs").unwrap_or(DEFAULT_RETRY),
            retry_growth: fields.number("retryGrowth").unwrap_or(1.0),
            max_retry_timeout: fields.millis("maxRetryTimeoutMs"),
            retry_jitter: fields.number("retryJitter").unwrap_or(0.0),
            probes: fields.small("probes").unwrap_or(1),
            probe_timeout: fields.millis("probeTimeoutMs"),
            recovery: fields.millis("recoveryMs").unwrap_or_default(),
            strict: fields.boolean("strict").unwrap_or(false),
            state: fields.choice("state", &states).unwrap_or_default(),
            ..BreakerParams::new(strategy, threshold)
        }
    }

    fn read_strategy(fields: &mut Fields<'_>) -> BreakerStrategy {
        let kinds =
            [("slowRequestRatio", Kind::SlowRatio), ("errorRatio", Kind::ErrorRatio), ("errorCount", Kind::ErrorCount)];
        let kind = fields.choice("strategy", &kinds);
        let kind = fields.required("strategy", kind);
        let max_response_time = fields.millis("maxResponseTimeMs");
        match kind {
            Some(Kind::SlowRatio) => {
                let max_response_time = fields.required("maxResponseTimeMs", max_response_time).unwrap_or_default();
                return BreakerStrategy::SlowRatio { max_response_time };
            }
            Some(_) => fields.unused("maxResponseTimeMs", "the strategy slowRequestRatio"),
            None => {}
        }
        if let Some(Kind::ErrorCount) = kind { BreakerStrategy::ErrorCount } else { BreakerStrategy::ErrorRatio }
    }

    fn read_window(fields: &mut Fields<'_>) -> BreakerWindow {
        if let Some(calls) = fields.small("windowCalls") {
            ["intervalMs", "buckets"]
                .into_iter()
                .for_each(|name| fields.unused(name, "a window in time, which windowCalls replaces"));
            return BreakerWindow::Calls(calls);
        }
        BreakerWindow::Time {
            interval: fields.millis("intervalMs").unwrap_or(DEFAULT_INTERVAL),
            buckets: fields.small("buckets").unwrap_or(DEFAULT_BUCKETS),
        }
    }

    pub(super) fn write(params: &BreakerParams, out: &mut Writer) {
        match params.strategy {
            BreakerStrategy::SlowRatio { max_response_time } => {
                out.field("strategy", "slowRequestRatio");
                out.millis("maxResponseTimeMs", max_response_time);
            }
            BreakerStrategy::ErrorRatio => out.field("strategy", "errorRatio"),
            BreakerStrategy::ErrorCount => out.field("strategy", "errorCount"),
        }
        let defaults = BreakerParams::new(params.strategy, params.threshold);
        out.number("threshold", params.threshold);
        match params.window {
            BreakerWindow::Calls(calls) => out.field("windowCalls", calls),
            BreakerWindow::Time { interval, buckets } => {
                out.millis("intervalMs", interval);
                if buckets != DEFAULT_BUCKETS {
                    out.field("buckets", buckets);
                }
            }
        }
        if params.min_request_amount != defaults.min_request_amount {
            out.field("minRequestAmount", params.min_request_amount);
        }
        out.millis("retryTimeoutMs", params.retry_timeout);
        if params.retry_growth != defaults.retry_growth {
            out.number("retryGrowth", params.retry_growth);
        }
        if let Some(max) = params.max_retry_timeout {
            out.millis("maxRetryTimeoutMs", max);
        }
        if params.retry_jitter != defaults.retry_jitter {
            out.number("retryJitter", params.retry_jitter);
        }
        if params.probes != defaults.probes {
            out.field("probes", params.probes);
        }
        if let Some(timeout) = params.probe_timeout {
            out.millis("probeTimeoutMs", timeout);
        }
        if params.recovery != defaults.recovery {
            out.millis("recoveryMs", params.recovery);
        }
        if params.strict {
            out.field("strict", true);
        }
        match params.state {
            BreakerControl::Auto => {}
            BreakerControl::ForcedOpen => out.field("state", "forcedOpen"),
            BreakerControl::ForcedClosed => out.field("state", "forcedClosed"),
        }
    }
}
