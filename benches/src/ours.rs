//! Calls through the engine, and the rules for them.

use std::{hint::black_box, time::Duration};

use sentinel_core::{Clock, Decision, FlowRule, Resource, Rules, Sentinel, Target};

use crate::Error;

/// The resource of the benches; outbound, unless said otherwise.
pub const RESOURCE: &str = "GET /orders/{id}";
/// A second resource of the same rule.
pub const OTHER: &str = "GET /orders";

/// A threshold per second that no bench reaches.
pub const PLENTY: f64 = 1e9;

/// Which limit is on the resource.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// No rule at all.
    None,
    /// So many per interval, in every sliding interval.
    Exact(f64, Duration),
}

impl Limit {
    /// Admits every call of a bench.
    pub const PLENTY: Self = Self::Exact(PLENTY, Duration::from_secs(1));
    /// Admits one call, then refuses all of a bench.
    pub const ONE: Self = Self::Exact(1.0, Duration::from_secs(3_600));
}

/// An instance with one rule, or none, on each of the two resources.
pub fn sentinel(clock: impl Clock, limit: Limit) -> Result<Sentinel, Error> {
    let sentinel = Sentinel::builder().clock(clock).build()?;
    if let Limit::Exact(threshold, interval) = limit {
        let rule = |resource| FlowRule::new(resource, threshold).per(interval);
        sentinel.rules().replace("bench", Rules::new().flow([rule(RESOURCE), rule(OTHER)]))?;
    }
    Ok(sentinel)
}

/// Calls by handle.
pub fn by_handle(resource: Resource) -> impl Fn() -> bool + Send + Sync {
    move || ended(resource.enter())
}

/// Calls by name.
pub fn by_name(sentinel: Sentinel) -> impl Fn() -> bool + Send + Sync {
    move || ended(sentinel.enter(black_box(RESOURCE)))
}

/// Calls by the handle of a resource whose traffic comes in, and counts towards all inbound traffic together.
pub fn inbound(sentinel: &Sentinel) -> impl Fn() -> bool + Send + Sync + use<> {
    by_handle(sentinel.resource(Target::new(RESOURCE).inbound()))
}

/// Ends the call, and says whether it was admitted. What it holds passes through memory, as in a program that works
/// between entry and exit.
#[inline]
pub(crate) fn ended(decision: Decision) -> bool {
    match decision.immediately() {
        Ok(entry) => {
            black_box(&entry);
            true
        }
        Err(_) => false,
    }
}
