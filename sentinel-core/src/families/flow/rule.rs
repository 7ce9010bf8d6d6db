//! What a flow rule says.

use std::time::Duration;

use super::Flow;
use crate::{
    clock,
    families::{Params, origin::OriginSelector},
    rules::{Report, Rule},
};

/// Thresholds fit the permits of the exact limiter, with room to spare.
const MAX_THRESHOLD: f64 = u32::MAX as f64;
const MIN_INTERVAL: Duration = Duration::from_millis(1);
const MAX_INTERVAL: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const MAX_QUEUEING_TIME: Duration = Duration::from_secs(60 * 60);
const MAX_PERIOD: Duration = Duration::from_secs(24 * 60 * 60);
const MAX_COLD_FACTOR: f64 = 1_000.0;
const MAX_BUCKETS: u32 = 100;
const MAX_RELATED: usize = 512;

pub(super) const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);
#[cfg(feature = "json")]
pub(super) const DEFAULT_QUEUEING_TIME: Duration = Duration::from_millis(500);
pub(super) const DEFAULT_PERIOD: Duration = Duration::from_secs(10);
pub(super) const DEFAULT_COLD_FACTOR: f64 = 3.0;
const DEFAULT_BUCKETS: u32 = 2;

/// A rule on how many calls a resource admits per interval.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use sentinel_core::FlowRule;
///
/// let rules = [
///     FlowRule::new("orders", 100.0),
///     FlowRule::new("reports", 5.0).per(Duration::from_secs(60)).for_origin("batch"),
///     FlowRule::new("mail", 20.0).throttle(Duration::from_secs(2)),
///     FlowRule::new("search", 500.0).warm_up(Duration::from_secs(30)),
/// ];
/// ```
pub type FlowRule = Rule<Flow>;

/// What a flow rule asks for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FlowParams {
    /// The most permits per interval; from 0, which blocks everything, to 4,294,967,295. Document: `threshold`.
    ///
    /// Exact rejection counts whole permits: of 2.5 it admits 2. Below 1, it admits one permit in a proportionally
    /// longer time, but in [aligned](Window::Aligned) windows none. Ignored by [`Strategy::MemoryAdaptive`], which has
    /// thresholds of its own.
    pub threshold: f64,
    /// The time that the threshold refers to; from 1 ms to 7 days, default 1 s. Document: `intervalMs`.
    pub interval: Duration,
    /// Which intervals have to hold the threshold. Documents: `window`, `buckets`.
    pub window: Window,
    /// Whose calls the rule is about. Document: `origin`.
    pub origin: OriginSelector,
    /// The resource whose admitted calls count instead of this one's own: calls here are blocked while they would exceed
    /// the threshold there. Only with [`Strategy::Direct`], [`Behavior::Reject`] and [`Window::Sliding`]. Document:
    /// `relatedResource`.
    pub related_resource: Option<String>,
    /// Where the threshold in force comes from. Document: `strategy`.
    pub strategy: Strategy,
    /// What becomes of calls beyond it. Document: `behavior`.
    pub behavior: Behavior,
}

/// Which intervals have to hold the threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Window {
    /// Every interval, wherever it begins; the default. Document: `sliding`.
    #[default]
    Sliding,
    /// Intervals of whole buckets aligned to the clock, as the rest of the Sentinel family counts. Around a boundary
    /// nearly twice the threshold passes within one interval. Document: `aligned`.
    Aligned {
        /// Buckets per interval, 1 to 100; default 2. They divide the interval into whole milliseconds.
        buckets: u32,
    },
}

/// Where the threshold in force comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Strategy {
    /// The rule's threshold; the default. Document: `direct`.
    #[default]
    Direct,
    /// It rises to the rule's threshold while the resource gets busy, and falls again while it rests. Document: `warmUp`.
    WarmUp {
        /// How long a busy resource takes to get warm; above 0, at most a day, default 10 s. Document: `warmUpPeriodSec`.
        period: Duration,
        /// How many times lower a cold resource's threshold is; above 1, at most 1,000, default 3. Document:
        /// `coldFactor`.
        cold_factor: f64,
    },
    /// It falls while the memory in use ([`Signals`](crate::Signals)) rises. Document: `memoryAdaptive`.
    MemoryAdaptive(MemoryAdaptive),
}

/// Thresholds that follow the memory in use: linear between the marks, constant outside of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryAdaptive {
    /// With memory up to the low mark, or unknown; above the other threshold. Document: `lowMemoryThreshold`.
    pub low_memory_threshold: f64,
    /// With memory from the high mark on; above 0. Document: `highMemoryThreshold`.
    pub high_memory_threshold: f64,
    /// In bytes, above 0. Document: `lowMemoryWaterMarkBytes`.
    pub low_water_mark: u64,
    /// In bytes, above the low mark. Document: `highMemoryWaterMarkBytes`.
    pub high_water_mark: u64,
}

/// What becomes of calls beyond the threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Behavior {
    /// They are blocked; the default. Document: `reject`.
    #[default]
    Reject,
    /// Calls are spaced evenly, and those that come too early wait. Document: `throttle`.
    Throttle {
        /// The longest wait; at most an hour, default 500 ms. With 0, what comes too early is blocked. Document:
        /// `maxQueueingTimeMs`.
        max_queueing_time: Duration,
    },
}

impl FlowParams {
    /// Rejects beyond a threshold per second.
    pub fn new(threshold: f64) -> Self {
        Self {
            threshold,
            interval: DEFAULT_INTERVAL,
            window: Window::default(),
            origin: OriginSelector::default(),
            related_resource: None,
            strategy: Strategy::default(),
            behavior: Behavior::default(),
        }
    }

    /// Whether state under one is state under the other.
    pub(super) fn differs_only_in_thresholds(&self, other: &Self) -> bool {
        let strategy = match (self.strategy, other.strategy) {
            (Strategy::MemoryAdaptive(_), Strategy::MemoryAdaptive(_)) => other.strategy,
            (strategy, _) => strategy,
        };
        Self { threshold: other.threshold, strategy, ..self.clone() } == *other
    }
}

impl Rule<Flow> {
    /// Rejects what exceeds a threshold per second.
    pub fn new(resource: impl Into<String>, threshold: f64) -> Self {
        Self::on(resource, FlowParams::new(threshold))
    }

    /// Sets the interval that the threshold refers to.
    #[must_use]
    pub fn per(mut self, interval: Duration) -> Self {
        self.params.interval = interval;
        self
    }

    /// Spaces calls evenly instead of rejecting, and lets them wait so long at most.
    #[must_use]
    pub fn throttle(mut self, max_queueing_time: Duration) -> Self {
        self.params.behavior = Behavior::Throttle { max_queueing_time };
        self
    }

    /// Lets the threshold rise over this period while the resource gets busy.
    #[must_use]
    pub fn warm_up(mut self, period: Duration) -> Self {
        let cold_factor = match self.params.strategy {
            Strategy::WarmUp { cold_factor, .. } => cold_factor,
            _ => DEFAULT_COLD_FACTOR,
        };
        self.params.strategy = Strategy::WarmUp { period, cold_factor };
        self
    }

    /// Says how many times lower the threshold of a cold resource is.
    #[must_use]
    pub fn cold_factor(mut self, cold_factor: f64) -> Self {
        let period = match self.params.strategy {
            Strategy::WarmUp { period, .. } => period,
            _ => DEFAULT_PERIOD,
        };
        self.params.strategy = Strategy::WarmUp { period, cold_factor };
        self
    }

    /// Lets the threshold follow the memory in use.
    #[must_use]
    pub fn memory_adaptive(mut self, bounds: MemoryAdaptive) -> Self {
        self.params.strategy = Strategy::MemoryAdaptive(bounds);
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

    /// Blocks by what another resource admits.
    #[must_use]
    pub fn related_to(mut self, resource: impl Into<String>) -> Self {
        self.params.related_resource = Some(resource.into());
        self
    }

    /// Counts in two aligned buckets, as the rest of the Sentinel family does.
    #[must_use]
    pub fn aligned(mut self) -> Self {
        self.params.window = Window::Aligned { buckets: DEFAULT_BUCKETS };
        self
    }
}

impl Params for FlowParams {
    fn validate(&self, report: &mut Report<'_>) {
        self.validate_threshold(report);
        if !(MIN_INTERVAL..=MAX_INTERVAL).contains(&self.interval) {
            report.invalid("intervalMs", clock::millis(self.interval), "an interval lasts from 1 ms to 7 days");
        }
        self.origin.validate(report);
        if let Strategy::WarmUp { period, cold_factor } = self.strategy {
            if period.is_zero() || period > MAX_PERIOD {
                report.invalid(
                    "warmUpPeriodSec",
                    period.as_secs_f64(),
                    "a period lasts more than 0 s and at most a day",
                );
            }
            if !(cold_factor > 1.0 && cold_factor <= MAX_COLD_FACTOR) {
                report.invalid("coldFactor", cold_factor, "a cold factor is above 1 and at most 1,000");
            }
        }
        if let Behavior::Throttle { max_queueing_time } = self.behavior
            && max_queueing_time > MAX_QUEUEING_TIME
        {
            let millis = clock::millis(max_queueing_time);
            report.invalid("maxQueueingTimeMs", millis, "a call waits for an hour at most");
        }
        self.validate_window(report);
        self.validate_relation(report);
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

impl FlowParams {
    fn validate_threshold(&self, report: &mut Report<'_>) {
        if let Strategy::MemoryAdaptive(bounds) = &self.strategy {
            let MemoryAdaptive { low_memory_threshold: low, high_memory_threshold: high, .. } = *bounds;
            if !(high > 0.0 && high <= MAX_THRESHOLD) {
                report.invalid(
                    "highMemoryThreshold",
                    high,
                    "a threshold that follows the memory is above 0 and at most 4294967295",
                );
            }
            if !(low > high && low <= MAX_THRESHOLD) {
                let expected = "with little memory used more passes than with much: it is above the other threshold and at most 4294967295";
                report.invalid("lowMemoryThreshold", low, expected);
            }
            if bounds.low_water_mark == 0 {
                report.invalid("lowMemoryWaterMarkBytes", 0, "a mark is above 0 bytes");
            }
            if bounds.high_water_mark <= bounds.low_water_mark {
                report.invalid("highMemoryWaterMarkBytes", bounds.high_water_mark, "it is above the low water mark");
            }
            if !self.threshold.is_finite() {
                report.invalid("threshold", self.threshold, "a threshold is a number, even where it means nothing");
            }
            return;
        }
        if !(0.0..=MAX_THRESHOLD).contains(&self.threshold) {
            report.invalid("threshold", self.threshold, "a threshold is a number from 0 to 4294967295");
        } else if self.threshold == 0.0 && matches!(self.strategy, Strategy::WarmUp { .. }) {
            report.invalid("threshold", self.threshold, "there is nothing to warm up to: with warmUp it is above 0");
        }
    }

    fn validate_window(&self, report: &mut Report<'_>) {
        let Window::Aligned { buckets } = self.window else { return };
        let divides = buckets > 0 && self.interval.as_nanos().is_multiple_of(u128::from(buckets) * 1_000_000);
        if !(1..=MAX_BUCKETS).contains(&buckets) || !divides {
            let expected = "there are 1 to 100 buckets, and they divide the interval into whole milliseconds";
            report.invalid("buckets", buckets, expected);
        }
        if self.behavior != Behavior::Reject || self.strategy != Strategy::Direct {
            let expected = "aligned windows go with the behavior reject and the strategy direct only";
            report.invalid("window", "\"aligned\"", expected);
        }
    }

    fn validate_relation(&self, report: &mut Report<'_>) {
        let Some(related) = &self.related_resource else { return };
        let shown = format!("{related:?}");
        if related.trim().is_empty() || related.len() > MAX_RELATED {
            report.invalid("relatedResource", shown, "the name of a resource has 1 to 512 bytes, not only blanks");
        } else if related == report.resource() {
            report.invalid("relatedResource", shown, "a resource is related to another one, not to itself");
        } else if self.behavior != Behavior::Reject
            || self.strategy != Strategy::Direct
            || self.window != Window::Sliding
        {
            let expected = "a relation goes with the behavior reject, the strategy direct and the window sliding only";
            report.invalid("relatedResource", shown, expected);
        }
    }
}

/// The form of flow rules in documents.
#[cfg(feature = "json")]
mod wire {
    use super::*;
    use crate::rules::{Fields, Writer};

    #[derive(Clone, Copy, PartialEq)]
    enum Source {
        Direct,
        WarmUp,
        MemoryAdaptive,
    }

    pub(super) fn read(fields: &mut Fields<'_>) -> FlowParams {
        let choices =
            [("direct", Source::Direct), ("warmUp", Source::WarmUp), ("memoryAdaptive", Source::MemoryAdaptive)];
        let source = fields.choice("strategy", &choices).unwrap_or(Source::Direct);
        FlowParams {
            threshold: read_threshold(fields, source),
            interval: fields.millis("intervalMs").unwrap_or(DEFAULT_INTERVAL),
            window: read_window(fields),
            origin: OriginSelector::read(fields),
            related_resource: fields.string("relatedResource"),
            strategy: read_strategy(fields, source),
            behavior: read_behavior(fields),
        }
    }

    fn read_threshold(fields: &mut Fields<'_>, source: Source) -> f64 {
        if source == Source::MemoryAdaptive {
            fields.unused("threshold", "another strategy than memoryAdaptive");
            return 0.0;
        }
        let threshold = fields.number("threshold");
        fields.required("threshold", threshold).unwrap_or(1.0)
    }

    fn read_window(fields: &mut Fields<'_>) -> Window {
        if fields.choice("window", &[("sliding", false), ("aligned", true)]).unwrap_or(false) {
            let buckets = fields.unsigned("buckets").map_or(DEFAULT_BUCKETS, |n| u32::try_from(n).unwrap_or(u32::MAX));
            Window::Aligned { buckets }
        } else {
            fields.unused("buckets", "the window aligned");
            Window::Sliding
        }
    }

    fn read_strategy(fields: &mut Fields<'_>, source: Source) -> Strategy {
        let memory =
            ["lowMemoryThreshold", "highMemoryThreshold", "lowMemoryWaterMarkBytes", "highMemoryWaterMarkBytes"];
        if source != Source::MemoryAdaptive {
            memory.into_iter().for_each(|name| fields.unused(name, "the strategy memoryAdaptive"));
        }
        if source != Source::WarmUp {
            ["warmUpPeriodSec", "coldFactor"].into_iter().for_each(|name| fields.unused(name, "the strategy warmUp"));
        }
        let [low, high, low_mark, high_mark] = memory;
        match source {
            Source::Direct => Strategy::Direct,
            Source::WarmUp => Strategy::WarmUp {
                period: fields.seconds("warmUpPeriodSec").unwrap_or(DEFAULT_PERIOD),
                cold_factor: fields.number("coldFactor").unwrap_or(DEFAULT_COLD_FACTOR),
            },
            Source::MemoryAdaptive => {
                let mut number = |name| {
                    let value = fields.number(name);
                    fields.required(name, value).unwrap_or_default()
                };
                let (low_memory_threshold, high_memory_threshold) = (number(low), number(high));
                let mut bytes = |name| {
                    let value = fields.unsigned(name);
                    fields.required(name, value).unwrap_or_default()
                };
                let (low_water_mark, high_water_mark) = (bytes(low_mark), bytes(high_mark));
                Strategy::MemoryAdaptive(MemoryAdaptive {
                    low_memory_threshold,
                    high_memory_threshold,
                    low_water_mark,
                    high_water_mark,
                })
            }
        }
    }

    fn read_behavior(fields: &mut Fields<'_>) -> Behavior {
        if fields.choice("behavior", &[("reject", false), ("throttle", true)]).unwrap_or(false) {
            let max_queueing_time = fields.millis("maxQueueingTimeMs").unwrap_or(DEFAULT_QUEUEING_TIME);
            Behavior::Throttle { max_queueing_time }
        } else {
            fields.unused("maxQueueingTimeMs", "the behavior throttle");
            Behavior::Reject
        }
    }

    pub(super) fn write(params: &FlowParams, out: &mut Writer) {
        match &params.strategy {
            Strategy::Direct => out.number("threshold", params.threshold),
            Strategy::WarmUp { period, cold_factor } => {
                out.number("threshold", params.threshold);
                out.field("strategy", "warmUp");
                out.seconds("warmUpPeriodSec", *period);
                out.number("coldFactor", *cold_factor);
            }
            Strategy::MemoryAdaptive(bounds) => {
                out.field("strategy", "memoryAdaptive");
                out.number("lowMemoryThreshold", bounds.low_memory_threshold);
                out.number("highMemoryThreshold", bounds.high_memory_threshold);
                out.field("lowMemoryWaterMarkBytes", bounds.low_water_mark);
                out.field("highMemoryWaterMarkBytes", bounds.high_water_mark);
            }
        }
        if params.interval != DEFAULT_INTERVAL {
            out.millis("intervalMs", params.interval);
        }
        if let Window::Aligned { buckets } = params.window {
            out.field("window", "aligned");
            out.field("buckets", buckets);
        }
        params.origin.write(out);
        if let Some(related) = &params.related_resource {
            out.field("relatedResource", related.as_str());
        }
        if let Behavior::Throttle { max_queueing_time } = params.behavior {
            out.field("behavior", "throttle");
            out.millis("maxQueueingTimeMs", max_queueing_time);
        }
    }
}
