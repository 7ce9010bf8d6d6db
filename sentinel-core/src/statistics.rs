//! What happened on a resource: how many calls passed, were blocked, completed and failed, and how long they took.
//!
//! A [`Node`] counts in totals that only grow, spread over [stripes](crate::sync::stripe) so that threads do not wait for
//! each other. [Windows](windows) are differences between the totals now and those at the begin of a bucket, which the
//! first call in a new bucket notes. [Percentiles](histogram) come from a histogram that is windowed in the same way.

mod histogram;
#[cfg(all(test, loom))]
mod models;
mod node;
mod snapshot;
#[cfg(all(test, not(loom)))]
mod tests;
mod windows;

pub(crate) use self::node::Node;
#[cfg(feature = "json")]
pub(crate) use self::snapshot::as_millis;
pub use self::snapshot::{Percentiles, ResponseTimes, Statistics, Totals, Traffic};

/// How a call ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It did what it should.
    #[default]
    Ok,
    /// It failed. Counts as complete and as an error; its response time is recorded.
    Error,
    /// It says nothing about the resource: a call that was cancelled, say. Counts as complete, but neither as an error
    /// nor with its response time.
    Ignored,
}
