//! Plain numbers of backends.

use std::{sync::Arc, time::Duration};

/// The state of one backend.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct BackendSnapshot {
    /// Its name.
    #[cfg_attr(feature = "json", serde(serialize_with = "crate::snapshot::as_str"))]
    pub name: Arc<str>,
    /// Whether it gets calls.
    pub state: BackendState,
    /// Calls that ended in the interval in progress, or in the one in which it was ejected; the ignored ones left out.
    pub calls: u32,
    /// Calls that failed; part of `calls`.
    pub errors: u32,
    /// Errors since the last success, or since the last row of them that was long enough for an ejection.
    pub errors_in_a_row: u32,
    /// How many base ejection times the last ejection lasted, less one for each interval in service since then.
    pub multiplier: u32,
    /// How often it was ejected since it is known.
    pub ejections: u64,
}

/// Whether a backend gets calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub enum BackendState {
    /// As many as come.
    InService,
    /// None.
    Ejected {
        /// For so long from now on; zero when it waits for its first probe.
        #[cfg_attr(feature = "json", serde(rename = "remainingMs", serialize_with = "crate::statistics::as_millis"))]
        remaining: Duration,
    },
    /// One at a time.
    OnProbation {
        /// How many went well.
        passed: u32,
    },
}

/// Why a backend was ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EjectionCause {
    /// Too many errors in a row.
    ConsecutiveErrors,
    /// Too great a share of its calls failed.
    ErrorRatio,
    /// Fewer of its calls went well than of those of the others.
    SuccessRate,
    /// A call failed while it was on probation.
    FailedProbe,
}
