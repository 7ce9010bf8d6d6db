//! Everything atomic, and nothing that knows what a rule is.
//!
//! Each file is one small value with a few methods, says why it is correct, and takes its atomics from [`primitive`], so
//! that the same code runs under loom.

pub(crate) mod bucket_window;
pub(crate) mod counter;
pub(crate) mod dice;
pub(crate) mod flag;
pub(crate) mod gate;
pub(crate) mod gauge;
pub(crate) mod leaky_bucket;
#[cfg(all(test, loom))]
mod models;
pub(crate) mod moment;
pub(crate) mod number;
pub(crate) mod peak;
pub(crate) mod primitive;
pub(crate) mod sliding_limiter;
pub(crate) mod spread_gauge;
pub(crate) mod stripe;
pub(crate) mod success_window;
pub(crate) mod swap;
pub(crate) mod tally;
pub(crate) mod threads;
pub(crate) mod waiter;
