//! What a hotspot rule says.

use std::{collections::HashSet, fmt, time::Duration};

use super::{Hotspot, limits::Keys};
use crate::{
    call::Arg,
    clock,
    families::Params,
    rules::{Report, Rule},
};

const MIN_INTERVAL: Duration = Duration::from_millis(1);
const MAX_INTERVAL: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const MAX_QUEUEING_TIME: Duration = Duration::from_secs(60 * 60);
const MAX_CAPACITY: u32 = 1_000_000;
const MAX_ITEMS: usize = 10_000;
const MAX_NAME: usize = 128;
const MAX_TEXT: usize = 1_024;

pub(super) const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);
pub(super) const DEFAULT_CAPACITY: u32 = 10_000;

/// A rule on how many calls each value of an argument admits.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use sentinel_core::HotspotRule;
///
/// let rules = [
///     HotspotRule::new("orders", 0, 100).burst(50).value("batch", 10),
///     HotspotRule::new("orders", "tenant", 1_000).per(Duration::from_secs(60)).capacity(50_000),
///     HotspotRule::new("export", -1, 2).concurrency(),
///     HotspotRule::new("mail", "recipient", 5).throttle(Duration::from_secs(2)),
/// ];
/// ```
pub type HotspotRule = Rule<Hotspot>;

/// What a hotspot rule asks for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HotspotParams {
    /// The argument whose values have limits; a call without it is not meant. Documents: `paramIndex` or `paramKey`.
    pub parameter: Parameter,
    /// The most permits of one value, per interval or inside; from 0, which blocks every value, to 4,294,967,295.
    /// Document: `threshold`.
    pub threshold: u32,
    /// The time that the threshold refers to; from 1 ms to 7 days, default 1 s. Ignored by
    /// [`HotspotMetric::Concurrency`]. Document: `intervalMs`.
    pub interval: Duration,
    /// What is counted, and what becomes of calls beyond the threshold. Documents: `metric` and `behavior`.
    pub metric: HotspotMetric,
    /// Values with a threshold of their own, at most 10,000. Document: `items`.
    pub items: Vec<HotspotItem>,
    /// How many values have a state of their own; from 1 to 1,000,000, default 10,000. Document: `capacity`.
    pub capacity: u32,
    /// Which values are forgotten for others. Document: `cache`.
    pub cache: ValueCache,
}

/// Which argument of a call a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// The argument at a position; negative ones count from the end, where -1 is the last. Document: `paramIndex`.
    Index(i32),
    /// The argument of a name of 1 to 128 bytes. Document: `paramKey`.
    Key(String),
}

impl From<i32> for Parameter {
    fn from(index: i32) -> Self {
        Self::Index(index)
    }
}

impl From<&str> for Parameter {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<String> for Parameter {
    fn from(key: String) -> Self {
        Self::Key(key)
    }
}

/// What is counted of each value, and what becomes of calls beyond its threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HotspotMetric {
    /// Permits in time: a bucket of threshold and burst, which fills by the threshold per interval. What finds too
    /// little in it is blocked. The default. Documents: `qps` with the behavior `reject`.
    Bucket {
        /// Permits that the bucket holds beyond the threshold; default 0. Document: `burst`.
        burst: u32,
        /// When the bucket fills. Document: `refill`.
        refill: Refill,
    },
    /// Permits in time: calls are spaced evenly, and those that come too early wait. Documents: `qps` with the behavior
    /// `throttle`.
    Throttle {
        /// The longest wait; at most an hour, default 500 ms. With 0, what comes too early is blocked. Document:
        /// `maxQueueingTimeMs`.
        max_queueing_time: Duration,
    },
    /// Permits inside. What finds too many is blocked. Document: `concurrency`.
    Concurrency,
}

impl Default for HotspotMetric {
    fn default() -> Self {
        Self::Bucket { burst: 0, refill: Refill::default() }
    }
}

/// When a bucket fills.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refill {
    /// All the time; the default. Document: `continuous`.
    #[default]
    Continuous,
    /// In whole permits, for the time since it last did, at the first call later than one interval after that: as in the
    /// Java edition of Sentinel. Document: `interval`.
    Interval,
}

/// A value with a threshold of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct HotspotItem {
    /// The value. Document: `value`.
    pub value: ItemValue,
    /// Its threshold; 0 blocks it. Document: `threshold`.
    pub threshold: u32,
}

/// The value of an argument, as a rule names it. Values of different types are different ones: 1 is not "1". Arguments
/// that are [bytes](Arg::Bytes) have the rule's threshold and cannot be named: documents have no form for them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ItemValue {
    /// An integer.
    Integer(i64),
    /// A text, at most 1,024 bytes.
    Text(String),
    /// A truth value.
    Bool(bool),
    /// A finite floating point number of 64 bits. One of 32 bits is widened, here and as an [argument](Arg::Float): 0.1
    /// of 32 bits is not 0.1. Documents: with a point or an exponent.
    Float(f64),
}

macro_rules! item_value_from {
    ($($from:ty => $variant:ident),+) => {
        $(impl From<$from> for ItemValue {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        })+
    };
}

item_value_from!(i32 => Integer, u32 => Integer, i64 => Integer, &str => Text, String => Text, bool => Bool, f32 => Float, f64 => Float);

impl fmt::Display for ItemValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => value.fmt(f),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Bool(value) => value.fmt(f),
            Self::Float(value) => write!(f, "{value:?}"),
        }
    }
}

impl ItemValue {
    /// The argument that it stands for.
    pub(super) fn as_arg(&self) -> Arg<'_> {
        match self {
            Self::Integer(value) => Arg::Integer(*value),
            Self::Text(text) => Arg::Text(text),
            Self::Bool(value) => Arg::Bool(*value),
            Self::Float(value) => Arg::Float(*value),
        }
    }
}

/// Which values are forgotten when there are more than the capacity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueCache {
    /// Those that were called longest ago; where none has a full bucket again, those that were called least often. The
    /// default. Document: `lru`.
    #[default]
    Lru,
    /// Those that are called seldom, so that many values which are called once push out none that is called often
    /// (feature `frequency-cache`). Document: `frequency`.
    Frequency,
}

impl HotspotParams {
    /// Rejects beyond a threshold per value and second.
    pub fn new(parameter: impl Into<Parameter>, threshold: u32) -> Self {
        Self {
            parameter: parameter.into(),
            threshold,
            interval: DEFAULT_INTERVAL,
            metric: HotspotMetric::default(),
            items: Vec::new(),
            capacity: DEFAULT_CAPACITY,
            cache: ValueCache::default(),
        }
    }

    /// Whether state under one is state under the other.
    pub(super) fn keeps_state_of(&self, other: &Self) -> bool {
        let same_limit = match (self.metric, other.metric) {
            (HotspotMetric::Bucket { refill, .. }, HotspotMetric::Bucket { refill: before, .. }) => {
                refill == before && self.interval == other.interval
            }
            (HotspotMetric::Throttle { .. }, HotspotMetric::Throttle { .. }) => self.interval == other.interval,
            (metric, before) => metric == before,
        };
        same_limit && self.parameter == other.parameter && self.capacity == other.capacity && self.cache == other.cache
    }
}

impl Rule<Hotspot> {
    /// Rejects what exceeds a threshold per value and second; the parameter is a position or a name.
    pub fn new(resource: impl Into<String>, parameter: impl Into<Parameter>, threshold: u32) -> Self {
        Self::on(resource, HotspotParams::new(parameter, threshold))
    }

    /// Sets the interval that the threshold refers to.
    #[must_use]
    pub fn per(mut self, interval: Duration) -> Self {
        self.params.interval = interval;
        self
    }

    /// Rejects, but lets a value that has rested have so many permits more at once.
    #[must_use]
    pub fn burst(mut self, burst: u32) -> Self {
        let refill = match self.params.metric {
            HotspotMetric::Bucket { refill, .. } => refill,
            _ => Refill::default(),
        };
        self.params.metric = HotspotMetric::Bucket { burst, refill };
        self
    }

    /// Rejects, and says when buckets fill.
    #[must_use]
    pub fn refill(mut self, refill: Refill) -> Self {
        let burst = match self.params.metric {
            HotspotMetric::Bucket { burst, .. } => burst,
            _ => 0,
        };
        self.params.metric = HotspotMetric::Bucket { burst, refill };
        self
    }

    /// Spaces the calls of a value evenly instead of rejecting, and lets them wait so long at most.
    #[must_use]
    pub fn throttle(mut self, max_queueing_time: Duration) -> Self {
        self.params.metric = HotspotMetric::Throttle { max_queueing_time };
        self
    }

    /// Limits how many permits of a value are inside, instead of how many come in time.
    #[must_use]
    pub fn concurrency(mut self) -> Self {
        self.params.metric = HotspotMetric::Concurrency;
        self
    }

    /// Gives a value a threshold of its own; 0 blocks it.
    #[must_use]
    pub fn value(mut self, value: impl Into<ItemValue>, threshold: u32) -> Self {
        self.params.items.push(HotspotItem { value: value.into(), threshold });
        self
    }

    /// Sets how many values have a state of their own.
    #[must_use]
    pub fn capacity(mut self, capacity: u32) -> Self {
        self.params.capacity = capacity;
        self
    }

    /// Says which values are forgotten for others.
    #[must_use]
    pub fn cache(mut self, cache: ValueCache) -> Self {
        self.params.cache = cache;
        self
    }
}

impl Params for HotspotParams {
    fn validate(&self, report: &mut Report<'_>) {
        if let Parameter::Key(name) = &self.parameter
            && (name.is_empty() || name.len() > MAX_NAME)
        {
            report.invalid(
                "paramKey",
                format!("{name:?}"),
                format!("the name of an argument has 1 to {MAX_NAME} bytes"),
            );
        }
        if !(MIN_INTERVAL..=MAX_INTERVAL).contains(&self.interval) {
            report.invalid("intervalMs", clock::millis(self.interval), "an interval lasts from 1 ms to 7 days");
        }
        if let HotspotMetric::Throttle { max_queueing_time } = self.metric
            && max_queueing_time > MAX_QUEUEING_TIME
        {
            let millis = clock::millis(max_queueing_time);
            report.invalid("maxQueueingTimeMs", millis, "a call waits for an hour at most");
        }
        if !(1..=MAX_CAPACITY).contains(&self.capacity) {
            report.invalid("capacity", self.capacity, "a rule keeps from 1 to 1,000,000 values");
        }
        if self.cache == ValueCache::Frequency && cfg!(not(feature = "frequency-cache")) {
            report.invalid("cache", "frequency", "this cache needs the feature `frequency-cache`");
        }
        self.validate_items(report);
    }

    #[cfg(feature = "json")]
    fn read(fields: &mut crate::rules::Fields<'_>) -> Self {
        super::wire::read(fields)
    }

    #[cfg(feature = "json")]
    fn write(&self, out: &mut crate::rules::Writer) {
        super::wire::write(self, out);
    }
}

impl HotspotParams {
    fn validate_items(&self, report: &mut Report<'_>) {
        if self.items.len() > MAX_ITEMS {
            return report.invalid(
                "items",
                format!("{} items", self.items.len()),
                "a rule names at most 10,000 values",
            );
        }
        // Keys are as good as values here: that two of ten thousand agree by chance is one in 10^11.
        let keys = Keys::new(0);
        let mut known = HashSet::new();
        for (index, item) in self.items.iter().enumerate() {
            let mut invalid = |value: String, expected: &str| {
                report.invalid(format!("items[{index}].value"), value, expected);
            };
            match &item.value {
                ItemValue::Text(text) if text.len() > MAX_TEXT => {
                    invalid(item.value.to_string(), "a text has at most 1,024 bytes");
                }
                ItemValue::Float(value) if !value.is_finite() => invalid(value.to_string(), "a number is finite"),
                value if !known.insert(keys.of(&value.as_arg())) => {
                    invalid(value.to_string(), "another item has this value");
                }
                _ => {}
            }
        }
    }
}
