//! Plain numbers out: what an exporter, a dashboard or a test reads.

use std::sync::Arc;

use crate::{
    families::circuit_breaker::BreakerSnapshot,
    resource::{Direction, Kind},
    statistics::Statistics,
};

/// The state of a whole instance.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct Snapshot {
    /// Every resource, by name.
    pub resources: Vec<ResourceSnapshot>,
    /// All inbound traffic together. A request that enters two inbound resources is two calls of it.
    pub inbound: Statistics,
    /// How full the instance is.
    pub capacity: Capacity,
}

impl Snapshot {
    /// The resource of this name.
    pub fn resource(&self, name: &str) -> Option<&ResourceSnapshot> {
        self.resources.iter().find(|resource| &*resource.name == name)
    }
}

/// The state of one resource.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct ResourceSnapshot {
    /// Its name.
    #[cfg_attr(feature = "json", serde(serialize_with = "crate::snapshot::as_str"))]
    pub name: Arc<str>,
    /// What kind of thing it is.
    pub kind: Kind,
    /// Whether its calls come in or go out.
    pub direction: Direction,
    /// Its numbers.
    pub statistics: Statistics,
    /// The rules in force on it, in the order in which a call meets them.
    pub rules: Vec<RuleSnapshot>,
}

/// One rule in force on one resource.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct RuleSnapshot {
    /// The family, as in documents.
    pub family: &'static str,
    /// The name of the rule.
    #[cfg_attr(feature = "json", serde(serialize_with = "crate::snapshot::as_str"))]
    pub id: Arc<str>,
    /// The source that the rule came from.
    #[cfg_attr(feature = "json", serde(serialize_with = "crate::snapshot::as_str"))]
    pub source: Arc<str>,
    /// The limit in force now: for rules that adapt it, not the one in the document.
    pub threshold: f64,
    /// Whether the rule only watches.
    pub dry_run: bool,
    /// In a dry run: the permits that the rule would have refused, or kept waiting in its queue, since it was loaded.
    pub would_block: u64,
    /// For circuit breakers: the numbers of the breaker.
    #[cfg_attr(feature = "json", serde(skip_serializing_if = "Option::is_none"))]
    pub breaker: Option<BreakerSnapshot>,
    /// For rules on the values of an argument: the values that were called most in the last second, at most ten, the
    /// hottest first.
    #[cfg_attr(feature = "json", serde(skip_serializing_if = "Vec::is_empty"))]
    pub hot_values: Vec<HotValue>,
}

/// A value of an argument, and how often it was called in the last second.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct HotValue {
    /// The value as text, cut to 64 characters; `__other__` stands for all values that found no room.
    #[cfg_attr(feature = "json", serde(serialize_with = "crate::snapshot::as_str"))]
    pub value: Arc<str>,
    /// Permits that the rule admitted, also for calls that a later rule refused.
    pub pass_per_second: f64,
    /// Permits that the rule refused.
    pub block_per_second: f64,
}

/// How full an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct Capacity {
    /// The resources of names that no rule names: these are bounded.
    pub resources: usize,
    /// The bound on them.
    pub max_resources: usize,
    /// Idle resources that were given up to make room.
    pub evicted: u64,
    /// Requests for a new resource past the bound, answered with a shared one.
    pub overflowed: u64,
}

#[cfg(feature = "json")]
pub(crate) fn as_str<S: serde::Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}
