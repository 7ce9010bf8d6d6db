//! What the demo, the examples, the integration tests and the benches share: clients for real HTTP load, a record of what
//! a service was offered and admitted, and the audit of that record.

pub mod audit;
pub mod client;
pub mod load;
pub mod overload;
pub mod record;

/// The snippets of the project's README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
