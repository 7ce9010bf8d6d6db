//! What an isolation rule says.

use std::time::Duration;

use super::Isolation;
use crate::{
    clock,
    families::{Params, Shares, origin::OriginSelector},
    rules::{Report, Rule},
};

const MAX_WAITING: u32 = 1_000_000;
const MAX_QUEUEING_TIME: Duration = Duration::from_secs(60 * 60);
const MAX_BOUND: u32 = 1_000_000;
const MIN_WINDOW: Duration = Duration::from_millis(10);
const MAX_WINDOW: Duration = Duration::from_secs(10);
const MAX_RESPONSE_TIME: Duration = Duration::from_secs(60 * 60);

const DEFAULT_QUEUEING_TIME: Duration = Duration::from_millis(500);
const DEFAULT_INITIAL: u32 = 20;
const DEFAULT_MAX: u32 = 1_000;
const DEFAULT_WINDOW: Duration = Duration::from_millis(100);
const DEFAULT_BACKOFF: f64 = 0.9;
const DEFAULT_TOLERANCE: f64 = 1.5;
const DEFAULT_HEADROOM: u32 = 4;
const DEFAULT_SMOOTHING: f64 = 0.2;

/// A rule on how many calls are in flight at a time.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use sentinel_core::IsolationRule;
///
/// let rules = [
///     IsolationRule::new("orders", 50),
///     IsolationRule::new("reports", 2).for_origin("batch"),
///     IsolationRule::new("search", 20).queue(100, Duration::from_millis(200)).newest_first(),
/// ];
/// ```
pub type IsolationRule = Rule<Isolation>;

/// What an isolation rule asks for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct IsolationParams {
    /// The most permits in flight; from 0, which blocks everything that takes permits, to 4,294,967,295. With an
    /// [adaptive](IsolationParams::adaptive) limit, the first one. Document: `threshold`.
    pub threshold: u32,
    /// How the limit finds itself; by default it does not. Document: `adaptive`.
    pub adaptive: Option<Adaptive>,
    /// What is kept for more important calls; only without a queue.
    pub shares: Shares,
    /// Whose calls the rule is about. Document: `origin`.
    pub origin: OriginSelector,
    /// Where calls beyond the threshold wait; by default there is no queue, and they are blocked. With
    /// [`OriginSelector::Other`], every origin has a queue of its own.
    pub queue: Option<Queue>,
}

/// A limit that finds itself, from how calls go.
///
/// Only for all origins together.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Adaptive {
    /// How it is found.
    pub algorithm: Algorithm,
    /// The least limit; from 1 to the greatest, default 1. With [`Shares`] it is at least as many as there are classes
    /// which they tell apart. Document: `minThreshold`.
    pub min: u32,
    /// The greatest limit; at most 1,000,000, default 1,000. Document: `maxThreshold`.
    pub max: u32,
    /// The time over which response times are averaged, which is longer where fewer than ten calls end within it; from
    /// 10 ms to 10 s, default 100 ms. Document: `windowMs`.
    pub window: Duration,
}

impl Adaptive {
    /// With a least limit of which no class of calls can leave those above it nothing.
    pub(super) fn under(self, shares: &Shares) -> Self {
        Self { min: self.min.max(shares.fewest()).min(self.max), ..self }
    }
}

/// How a limit finds itself. A window in which a tenth of the calls or more failed counts as an overload in all of them.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Algorithm {
    /// One more in each window in which it is used, and a share of it when calls take too long. Document: `aimd`.
    Aimd {
        /// What is left of the limit; from 0.5 to below 1, default 0.9. Document: `backoff`.
        backoff: f64,
        /// How long calls may take on average; above 0, at most an hour, default 5 s. Document: `maxResponseTimeMs`.
        max_response_time: Duration,
    },
    /// Some calls more than are worked on, as estimated by the shortest response time; the default. Document: `vegas`.
    Vegas,
    /// What the ratio of response times long ago and now allows. Document: `gradient2`.
    Gradient2 {
        /// How many times longer than long ago calls may take before the limit is lowered; from 1 to 10, default 1.5.
        /// Document: `tolerance`.
        tolerance: f64,
        /// Permits beyond what the ratio allows; from 1 to 10,000, default 4. Document: `headroom`.
        headroom: u32,
        /// The share of a new limit in the next one; above 0, at most 1, default 0.2. Document: `smoothing`.
        smoothing: f64,
    },
}

impl Algorithm {
    /// [`Aimd`](Algorithm::Aimd) with its default.
    pub const fn aimd(max_response_time: Duration) -> Self {
        Self::Aimd { backoff: DEFAULT_BACKOFF, max_response_time }
    }

    /// [`Gradient2`](Algorithm::Gradient2) with its defaults.
    pub const fn gradient2() -> Self {
        Self::Gradient2 { tolerance: DEFAULT_TOLERANCE, headroom: DEFAULT_HEADROOM, smoothing: DEFAULT_SMOOTHING }
    }

    /// How documents name it.
    const fn name(&self) -> &'static str {
        match self {
            Self::Aimd { .. } => "aimd",
            Self::Vegas => "vegas",
            Self::Gradient2 { .. } => "gradient2",
        }
    }
}

/// A queue for calls beyond a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Queue {
    /// How many calls wait at a time; from 1 to 1,000,000. Document: `maxQueueSize`, where 0, the default, is no queue.
    pub max_waiting: u32,
    /// The longest wait; above 0, at most an hour, default 500 ms. Document: `maxQueueingTimeMs`.
    pub max_wait: Duration,
    /// Who is served first. Document: `queueOrder`.
    pub order: QueueOrder,
}

/// Who is served first of those who wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueOrder {
    /// Who came first; the default. Document: `fifo`.
    #[default]
    Fifo,
    /// Who came first, but who came last while the queue is overloaded: when it has not been empty for 100 ms. A full
    /// queue then refuses the oldest and not the newest call. Document: `newestFirst`.
    NewestFirst,
}

impl IsolationParams {
    /// Blocks beyond a threshold.
    pub fn new(threshold: u32) -> Self {
        let (origin, shares) = (OriginSelector::default(), Shares::default());
        Self { threshold, adaptive: None, shares, origin, queue: None }
    }
}

impl Rule<Isolation> {
    /// Blocks what exceeds a number of permits in flight.
    pub fn new(resource: impl Into<String>, threshold: u32) -> Self {
        Self::on(resource, IsolationParams::new(threshold))
    }

    /// Lets the limit find itself, from 20 on and up to 1,000.
    pub fn adaptive(resource: impl Into<String>, algorithm: Algorithm) -> Self {
        let mut rule = Self::new(resource, DEFAULT_INITIAL);
        rule.params.adaptive = Some(Adaptive { algorithm, min: 1, max: DEFAULT_MAX, window: DEFAULT_WINDOW });
        rule
    }

    /// Sets the least and the greatest limit of an [adaptive](Rule::adaptive) rule.
    #[must_use]
    pub fn between(mut self, min: u32, max: u32) -> Self {
        self.params.adaptive = self.params.adaptive.map(|adaptive| Adaptive { min, max, ..adaptive });
        self.params.threshold = self.params.threshold.max(min).min(max.max(min));
        self
    }

    /// Keeps what is beyond these shares of the limit for more important calls.
    #[must_use]
    pub fn shares(mut self, default: f64, sheddable: f64) -> Self {
        self.params.shares = Shares { default, sheddable };
        self
    }

    /// Limits the calls of one origin only.
    #[must_use]
    pub fn for_origin(mut self, origin: impl Into<String>) -> Self {
        self.params.origin = OriginSelector::Named(origin.into());
        self
    }

    /// Limits the calls of every origin that no rule names, each on its own.
    #[must_use]
    pub fn for_other_origins(mut self) -> Self {
        self.params.origin = OriginSelector::Other;
        self
    }

    /// Lets so many calls beyond the threshold wait, so long at most.
    #[must_use]
    pub fn queue(mut self, max_waiting: u32, max_wait: Duration) -> Self {
        let order = self.params.queue.map_or(QueueOrder::default(), |queue| queue.order);
        self.params.queue = Some(Queue { max_waiting, max_wait, order });
        self
    }

    /// Serves the newest call first while the [queue](Rule::queue), which the rule has to have, is overloaded.
    #[must_use]
    pub fn newest_first(mut self) -> Self {
        let queue = Queue { max_waiting: 0, max_wait: DEFAULT_QUEUEING_TIME, order: QueueOrder::NewestFirst };
        self.params.queue = Some(Queue { order: queue.order, ..self.params.queue.unwrap_or(queue) });
        self
    }
}

impl Params for IsolationParams {
    fn validate(&self, report: &mut Report<'_>) {
        self.origin.validate(report);
        self.shares.validate(report);
        self.validate_adaptive(report);
        if self.queue.is_some() && !self.shares.is_all() {
            let expected = "whoever is in the queue goes first: with shares there is none";
            report.invalid("maxQueueSize", self.queue.map_or(0, |queue| queue.max_waiting), expected);
        }
        let Some(queue) = &self.queue else { return };
        if !(1..=MAX_WAITING).contains(&queue.max_waiting) {
            report.invalid("maxQueueSize", queue.max_waiting, "a queue has room for 1 to 1,000,000 calls");
        }
        if queue.max_wait.is_zero() || queue.max_wait > MAX_QUEUEING_TIME {
            let millis = clock::millis(queue.max_wait);
            report.invalid("maxQueueingTimeMs", millis, "a call waits for more than 0 ms and an hour at most");
        }
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

impl IsolationParams {
    fn validate_adaptive(&self, report: &mut Report<'_>) {
        let Some(Adaptive { algorithm, min, max, window }) = self.adaptive else { return };
        if self.origin != OriginSelector::Any {
            report.invalid("adaptive", algorithm.name(), "a limit finds itself only for all origins together");
        }
        if max == 0 || max > MAX_BOUND {
            report.invalid("maxThreshold", max, "it is from 1 to 1,000,000");
        }
        if min == 0 || min > max {
            report.invalid("minThreshold", min, "it is from 1 to maxThreshold");
        }
        if !(min..=max).contains(&self.threshold) {
            report.invalid("threshold", self.threshold, "the first limit is from minThreshold to maxThreshold");
        }
        if !(MIN_WINDOW..=MAX_WINDOW).contains(&window) {
            report.invalid("windowMs", clock::millis(window), "a window lasts from 10 ms to 10 s");
        }
        match algorithm {
            Algorithm::Aimd { backoff, max_response_time } => {
                if !(0.5..1.0).contains(&backoff) {
                    report.invalid("backoff", backoff, "it is from 0.5 to below 1");
                }
                if max_response_time.is_zero() || max_response_time > MAX_RESPONSE_TIME {
                    let millis = clock::millis(max_response_time);
                    report.invalid("maxResponseTimeMs", millis, "a response time is above 0 ms and at most an hour");
                }
            }
            Algorithm::Vegas => {}
            Algorithm::Gradient2 { tolerance, headroom, smoothing } => {
                if !(1.0..=10.0).contains(&tolerance) {
                    report.invalid("tolerance", tolerance, "it is from 1 to 10");
                }
                if !(1..=10_000).contains(&headroom) {
                    report.invalid("headroom", headroom, "it is from 1 to 10,000");
                }
                if !(smoothing > 0.0 && smoothing <= 1.0) {
                    report.invalid("smoothing", smoothing, "a share is above 0 and at most 1");
                }
            }
        }
    }
}

/// The form of isolation rules in documents.
#[cfg(feature = "json")]
mod wire {
    use super::*;
    use crate::rules::{Fields, Writer};

    pub(super) fn read(fields: &mut Fields<'_>) -> IsolationParams {
        let adaptive = read_adaptive(fields);
        let initial = adaptive.map(|Adaptive { min, max, .. }| DEFAULT_INITIAL.max(min).min(max));
        let threshold = fields.small("threshold").or(initial);
        IsolationParams {
            threshold: fields.required("threshold", threshold).unwrap_or(1),
            adaptive,
            shares: Shares::read(fields),
            origin: OriginSelector::read(fields),
            queue: read_queue(fields),
        }
    }

    const DEFAULT_RESPONSE_TIME: Duration = Duration::from_secs(5);

    #[derive(Clone, Copy, PartialEq)]
    enum Name {
        Aimd,
        Vegas,
        Gradient2,
    }

    const NAMES: [(&str, Name); 3] = [("aimd", Name::Aimd), ("vegas", Name::Vegas), ("gradient2", Name::Gradient2)];
    const OF_AIMD: [&str; 2] = ["backoff", "maxResponseTimeMs"];
    const OF_GRADIENT2: [&str; 3] = ["tolerance", "headroom", "smoothing"];

    fn read_adaptive(fields: &mut Fields<'_>) -> Option<Adaptive> {
        let name = fields.choice("adaptive", &NAMES);
        if name.is_none() {
            ["minThreshold", "maxThreshold", "windowMs"].into_iter().for_each(|name| fields.unused(name, "adaptive"));
        }
        if name != Some(Name::Aimd) {
            OF_AIMD.into_iter().for_each(|name| fields.unused(name, "the algorithm aimd"));
        }
        if name != Some(Name::Gradient2) {
            OF_GRADIENT2.into_iter().for_each(|name| fields.unused(name, "the algorithm gradient2"));
        }
        let algorithm = match name? {
            Name::Aimd => Algorithm::Aimd {
                backoff: fields.number("backoff").unwrap_or(DEFAULT_BACKOFF),
                max_response_time: fields.millis("maxResponseTimeMs").unwrap_or(DEFAULT_RESPONSE_TIME),
            },
            Name::Vegas => Algorithm::Vegas,
            Name::Gradient2 => Algorithm::Gradient2 {
                tolerance: fields.number("tolerance").unwrap_or(DEFAULT_TOLERANCE),
                headroom: fields.small("headroom").unwrap_or(DEFAULT_HEADROOM),
                smoothing: fields.number("smoothing").unwrap_or(DEFAULT_SMOOTHING),
            },
        };
        Some(Adaptive {
            algorithm,
            min: fields.small("minThreshold").unwrap_or(1),
            max: fields.small("maxThreshold").unwrap_or(DEFAULT_MAX),
            window: fields.millis("windowMs").unwrap_or(DEFAULT_WINDOW),
        })
    }

    fn write_adaptive(adaptive: &Adaptive, out: &mut Writer) {
        out.field("adaptive", adaptive.algorithm.name());
        match adaptive.algorithm {
            Algorithm::Aimd { backoff, max_response_time } => {
                out.number("backoff", backoff);
                out.millis("maxResponseTimeMs", max_response_time);
            }
            Algorithm::Vegas => {}
            Algorithm::Gradient2 { tolerance, headroom, smoothing } => {
                out.number("tolerance", tolerance);
                out.field("headroom", headroom);
                out.number("smoothing", smoothing);
            }
        }
        out.field("minThreshold", adaptive.min);
        out.field("maxThreshold", adaptive.max);
        if adaptive.window != DEFAULT_WINDOW {
            out.millis("windowMs", adaptive.window);
        }
    }

    fn read_queue(fields: &mut Fields<'_>) -> Option<Queue> {
        let max_waiting = fields.small("maxQueueSize").unwrap_or(0);
        if max_waiting == 0 {
            ["maxQueueingTimeMs", "queueOrder"].into_iter().for_each(|name| fields.unused(name, "maxQueueSize"));
            return None;
        }
        let orders = [("fifo", QueueOrder::Fifo), ("newestFirst", QueueOrder::NewestFirst)];
        Some(Queue {
            max_waiting,
            max_wait: fields.millis("maxQueueingTimeMs").unwrap_or(DEFAULT_QUEUEING_TIME),
            order: fields.choice("queueOrder", &orders).unwrap_or_default(),
        })
    }

    pub(super) fn write(params: &IsolationParams, out: &mut Writer) {
        out.field("threshold", params.threshold);
        params.origin.write(out);
        params.shares.write(out);
        if let Some(adaptive) = &params.adaptive {
            write_adaptive(adaptive, out);
        }
        let Some(queue) = &params.queue else { return };
        out.field("maxQueueSize", queue.max_waiting);
        if queue.max_wait != DEFAULT_QUEUEING_TIME {
            out.millis("maxQueueingTimeMs", queue.max_wait);
        }
        if queue.order == QueueOrder::NewestFirst {
            out.field("queueOrder", "newestFirst");
        }
    }
}
