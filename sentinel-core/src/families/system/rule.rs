//! What a system rule says.

use std::time::Duration;

use super::System;
use crate::{
    clock,
    families::{Params, Shares},
    rules::{Report, Rule},
    signals::SignalName,
};

const MAX_COUNT: f64 = u32::MAX as f64;
const MAX_LOAD: f64 = 1e6;
pub(super) const MAX_RESPONSE_TIME: Duration = Duration::from_secs(60 * 60);
const DEFAULT_INITIAL: u32 = 64;

/// A rule on all inbound traffic of an instance together.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use sentinel_core::SystemRule;
///
/// let rules = [
///     SystemRule::cpu_usage(0.8),
///     SystemRule::inbound_qps(5_000.0),
///     SystemRule::in_flight(400),
///     SystemRule::avg_response_time(Duration::from_millis(200)),
///     SystemRule::memory_usage(0.95).gate(),
/// ];
/// ```
pub type SystemRule = Rule<System>;

/// What a system rule asks for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SystemParams {
    /// What is limited. Documents: `metric`, `threshold`.
    pub metric: Metric,
    /// What a signal above its threshold does; nothing for the other metrics. Document: `strategy`.
    pub strategy: SystemStrategy,
    /// What is kept for more important calls; only where calls in flight are limited.
    pub shares: Shares,
}

/// What a system rule limits.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Metric {
    /// The share of the processor time that is used, above 0 and at most 1. Document: `cpuUsage`.
    CpuUsage(f64),
    /// The load average of one minute, above 0 and at most a million. Document: `load1`.
    Load1(f64),
    /// The share of the memory that is used, above 0 and at most 1. Document: `memoryUsage`.
    MemoryUsage(f64),
    /// Inbound permits per second, exact in every sliding second; whole ones, from 0 to 4,294,967,295. Document:
    /// `inboundQps`.
    InboundQps(f64),
    /// Inbound permits in flight, from 0 to 4,294,967,295. Document: `inFlight`.
    InFlight(u32),
    /// The average response time of inbound calls that ended within the last second; above 0, at most an hour. Document:
    /// `avgResponseTimeMs`.
    AvgResponseTime(Duration),
}

/// What a signal above its threshold does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SystemStrategy {
    /// Calls in flight are limited to what the machine can work on, as measured; the default. Document: `bbr`.
    Bbr {
        /// The limit before anything is known, and the least one while the machine is not busy; from 1 to 4,294,967,295,
        /// default 64. Document: `initialInFlight`.
        initial: u32,
    },
    /// Every inbound call is refused. Document: `gate`.
    Gate,
}

impl Default for SystemStrategy {
    fn default() -> Self {
        Self::Bbr { initial: DEFAULT_INITIAL }
    }
}

impl Metric {
    /// The signal that it is about, and its threshold.
    pub(super) fn signal(self) -> Option<(SignalName, f64)> {
        match self {
            Self::CpuUsage(threshold) => Some((SignalName::CpuUsage, threshold)),
            Self::Load1(threshold) => Some((SignalName::Load1, threshold)),
            Self::MemoryUsage(threshold) => Some((SignalName::MemoryUsage, threshold)),
            Self::InboundQps(_) | Self::InFlight(_) | Self::AvgResponseTime(_) => None,
        }
    }

    /// The threshold, in the unit of documents.
    pub(super) fn threshold(self) -> f64 {
        match self {
            Self::CpuUsage(threshold)
            | Self::Load1(threshold)
            | Self::MemoryUsage(threshold)
            | Self::InboundQps(threshold) => threshold,
            Self::InFlight(permits) => permits.into(),
            Self::AvgResponseTime(time) => clock::millis(time),
        }
    }
}

impl SystemParams {
    /// Whether calls in flight are limited.
    fn limits_in_flight(&self) -> bool {
        match self.metric.signal() {
            Some(_) => self.strategy != SystemStrategy::Gate,
            None => matches!(self.metric, Metric::InFlight(_)),
        }
    }

    /// Whether state under one is state under the other.
    pub(super) fn differs_only_in_thresholds(&self, other: &Self) -> bool {
        std::mem::discriminant(&self.metric) == std::mem::discriminant(&other.metric) && self.strategy == other.strategy
    }
}

impl Rule<System> {
    /// Limits calls in flight while more than this share of the processor time is used.
    pub fn cpu_usage(share: f64) -> Self {
        Self::with(Metric::CpuUsage(share))
    }

    /// Limits calls in flight while the load average of one minute is above this.
    pub fn load1(load: f64) -> Self {
        Self::with(Metric::Load1(load))
    }

    /// Limits calls in flight while more than this share of the memory is used.
    pub fn memory_usage(share: f64) -> Self {
        Self::with(Metric::MemoryUsage(share))
    }

    /// Limits inbound permits per second.
    pub fn inbound_qps(threshold: f64) -> Self {
        Self::with(Metric::InboundQps(threshold))
    }

    /// Limits inbound permits in flight.
    pub fn in_flight(permits: u32) -> Self {
        Self::with(Metric::InFlight(permits))
    }

    /// Refuses while inbound calls take longer on average.
    pub fn avg_response_time(time: Duration) -> Self {
        Self::with(Metric::AvgResponseTime(time))
    }

    /// Refuses every inbound call while the signal is above its threshold, instead of limiting those in flight.
    #[must_use]
    pub fn gate(mut self) -> Self {
        self.params.strategy = SystemStrategy::Gate;
        self
    }

    /// Sets the limit on calls in flight before anything is known.
    #[must_use]
    pub fn initial_in_flight(mut self, permits: u32) -> Self {
        self.params.strategy = SystemStrategy::Bbr { initial: permits };
        self
    }

    /// Keeps what is beyond these shares of the limit on calls in flight for more important calls.
    #[must_use]
    pub fn shares(mut self, default: f64, sheddable: f64) -> Self {
        self.params.shares = Shares { default, sheddable };
        self
    }

    fn with(metric: Metric) -> Self {
        Self::on("*", SystemParams { metric, strategy: SystemStrategy::default(), shares: Shares::default() })
    }
}

impl Params for SystemParams {
    fn validate(&self, report: &mut Report<'_>) {
        let threshold = self.metric.threshold();
        let (holds, expected) = match self.metric {
            Metric::CpuUsage(share) | Metric::MemoryUsage(share) => {
                (share > 0.0 && share <= 1.0, "a share is above 0 and at most 1")
            }
            Metric::Load1(load) => (load > 0.0 && load <= MAX_LOAD, "a load is above 0 and at most a million"),
            Metric::InboundQps(permits) => {
                let holds = (0.0..=MAX_COUNT).contains(&permits) && permits.fract() == 0.0;
                (holds, "permits per second are a whole number from 0 to 4294967295")
            }
            Metric::InFlight(_) => (true, ""),
            Metric::AvgResponseTime(time) => {
                (!time.is_zero() && time <= MAX_RESPONSE_TIME, "a response time is above 0 ms and at most an hour")
            }
        };
        if !holds {
            report.invalid("threshold", threshold, expected);
        }
        self.shares.validate(report);
        if !self.shares.is_all() && !self.limits_in_flight() {
            let expected = "shares go with the metric inFlight and the strategy bbr only";
            report.invalid("defaultShare", self.shares.default, expected);
        }
        match self.strategy {
            SystemStrategy::Bbr { initial: 0 } => {
                report.invalid("initialInFlight", 0, "at least one call has to be let in to learn from");
            }
            strategy if strategy != SystemStrategy::default() && self.metric.signal().is_none() => {
                let expected = "a strategy goes with the metrics cpuUsage, load1 and memoryUsage only";
                report.invalid("strategy", format!("{strategy:?}"), expected);
            }
            _ => {}
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

/// The form of system rules in documents.
#[cfg(feature = "json")]
mod wire {
    use super::*;
    use crate::rules::{Fields, Writer};

    #[derive(Clone, Copy)]
    enum Name {
        CpuUsage,
        Load1,
        MemoryUsage,
        InboundQps,
        InFlight,
        AvgResponseTime,
    }

    const NAMES: [(&str, Name); 6] = [
        ("cpuUsage", Name::CpuUsage),
        ("load1", Name::Load1),
        ("memoryUsage", Name::MemoryUsage),
        ("inboundQps", Name::InboundQps),
        ("inFlight", Name::InFlight),
        ("avgResponseTimeMs", Name::AvgResponseTime),
    ];

    pub(super) fn read(fields: &mut Fields<'_>) -> SystemParams {
        let name = fields.choice("metric", &NAMES);
        let name = fields.required("metric", name).unwrap_or(Name::InFlight);
        let metric = match name {
            Name::CpuUsage => Metric::CpuUsage(number(fields)),
            Name::Load1 => Metric::Load1(number(fields)),
            Name::MemoryUsage => Metric::MemoryUsage(number(fields)),
            Name::InboundQps => Metric::InboundQps(number(fields)),
            Name::InFlight => {
                let permits = fields.small("threshold");
                Metric::InFlight(fields.required("threshold", permits).unwrap_or(1))
            }
            Name::AvgResponseTime => {
                let time = fields.millis("threshold");
                Metric::AvgResponseTime(fields.required("threshold", time).unwrap_or(MAX_RESPONSE_TIME))
            }
        };
        SystemParams { metric, strategy: read_strategy(fields, metric), shares: Shares::read(fields) }
    }

    fn number(fields: &mut Fields<'_>) -> f64 {
        let threshold = fields.number("threshold");
        fields.required("threshold", threshold).unwrap_or(1.0)
    }

    fn read_strategy(fields: &mut Fields<'_>, metric: Metric) -> SystemStrategy {
        if metric.signal().is_none() {
            for name in ["strategy", "initialInFlight"] {
                fields.unused(name, "one of the metrics cpuUsage, load1 and memoryUsage");
            }
            return SystemStrategy::default();
        }
        if fields.choice("strategy", &[("bbr", false), ("gate", true)]).unwrap_or(false) {
            fields.unused("initialInFlight", "the strategy bbr");
            return SystemStrategy::Gate;
        }
        SystemStrategy::Bbr { initial: fields.small("initialInFlight").unwrap_or(DEFAULT_INITIAL) }
    }

    pub(super) fn write(params: &SystemParams, out: &mut Writer) {
        let name = match params.metric {
            Metric::CpuUsage(_) => "cpuUsage",
            Metric::Load1(_) => "load1",
            Metric::MemoryUsage(_) => "memoryUsage",
            Metric::InboundQps(_) => "inboundQps",
            Metric::InFlight(_) => "inFlight",
            Metric::AvgResponseTime(_) => "avgResponseTimeMs",
        };
        out.field("metric", name);
        match params.metric {
            Metric::AvgResponseTime(time) => out.millis("threshold", time),
            metric => out.number("threshold", metric.threshold()),
        }
        match params.strategy {
            SystemStrategy::Bbr { initial: DEFAULT_INITIAL } => {}
            SystemStrategy::Bbr { initial } => out.field("initialInFlight", initial),
            SystemStrategy::Gate => out.field("strategy", "gate"),
        }
        params.shares.write(out);
    }
}
