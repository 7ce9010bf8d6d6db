//! Flow control and overload protection for services: the engine.
//!
//! A service wraps its calls in *entries* on named *resources*; *rules*, which may change at any time, say how many may
//! enter. The engine decides and counts. It does no I/O, starts no thread, knows no runtime, and has no global state:
//! everything hangs on a [`Sentinel`], and two of them share nothing.
//!
//! ```
//! use sentinel_core::{FlowRule, Rules, Sentinel};
//!
//! let sentinel = Sentinel::default();
//! sentinel.rules().replace("code", Rules::new().flow([FlowRule::new("orders", 2.0)]))?;
//!
//! let serve = || match sentinel.enter("orders").immediately() {
//!     Ok(entry) => entry.call(|| Ok::<_, std::io::Error>("served")).unwrap_or("failed"),
//!     Err(blocked) => { println!("{blocked}"); "refused" }
//! };
//! assert_eq!([serve(), serve(), serve()], ["served", "served", "refused"]);
//! assert_eq!(sentinel.snapshot_of("orders").map(|orders| orders.statistics.second.block), Some(1));
//! # Ok::<(), sentinel_core::ReplaceError>(())
//! ```
//!
//! # The way of a call
//!
//! [`Sentinel::enter`] or [`Resource::enter`] gives a [`Decision`]. [`Decision::immediately`] never waits,
//! [`Decision::admitted`] waits on any async runtime, [`Decision::admitted_blocking`] blocks the thread. What is
//! admitted is an [`Entry`]: dropping it ends the call, however that comes about. What is refused is a [`Blocked`],
//! which names the rule.
//!
//! What no rule can say, a program says itself: a [`CustomCheck`] of its own stands among the families, and an
//! [`Observer`] sees what becomes of every call.
//!
//! # Components without resources
//!
//! An [`OutlierDetector`] finds those of a client's backends that do worse than the others; a [`Fallback`] keeps the
//! last good value for when a call is refused or fails.
//!
//! # Testing one's own rules
//!
//! Give the instance a [`ManualClock`]: hours pass in no time, and every run is the same.
//!
//! # Features
//!
//! `json` (default), `yaml` and `toml` read and write rule documents; `quanta` (default) reads time from the processor's
//! counter; `regex` adds rules on name patterns; `frequency-cache` adds a cache to hotspot rules; `sampler` reads
//! processor, load and memory for rules that adapt to them; `tracing` reports events.

mod blocked;
mod call;
mod clock;
mod decision;
mod entry;
mod event;
mod extension;
mod fallback;
mod families;
mod outlier;
mod plan;
mod registry;
mod resource;
mod rules;
#[cfg(feature = "sampler")]
mod sampler;
mod sentinel;
mod setting;
mod signals;
mod snapshot;
mod statistics;
mod sync;
mod unwinding;

pub use self::{
    blocked::Blocked,
    call::{Arg, Call, Criticality},
    clock::{Clock, ManualClock, SystemClock},
    decision::{Decision, Reservation},
    entry::Entry,
    event::{Event, Subscription},
    extension::{Attempt, CheckAnswer, CustomCheck, Ended, Held, Observer, Position, Refusal, ResourceInfo},
    fallback::{Answer, Fallback, FallbackConfig, Stale, Trouble},
    families::{
        FAMILIES, Family, Rules, Shares,
        authority::{Authority, AuthorityParams, AuthorityRule, List},
        circuit_breaker::{
            Breaker, BreakerBuilder, BreakerCallError, BreakerChange, BreakerControl, BreakerParams, BreakerRefusal,
            BreakerRule, BreakerSnapshot, BreakerState, BreakerStrategy, BreakerTicket, BreakerWindow, CircuitBreaker,
        },
        flow::{Behavior, Flow, FlowParams, FlowRule, MemoryAdaptive, Strategy, Window},
        hotspot::{
            Hotspot, HotspotItem, HotspotMetric, HotspotParams, HotspotRule, ItemValue, Parameter, Refill, ValueCache,
        },
        isolation::{Adaptive, Algorithm, Isolation, IsolationParams, IsolationRule, Queue, QueueOrder},
        origin::OriginSelector,
        shedding::{Shedding, SheddingParams, SheddingRule},
        system::{Metric, System, SystemParams, SystemRule, SystemStrategy},
    },
    outlier::{
        Backend, BackendSnapshot, BackendState, BackendTicket, EjectionCause, ErrorRatio, OutlierConfig,
        OutlierDetector, SuccessRate,
    },
    resource::{Direction, Kind, Resource, ResourceId, Target},
    rules::{
        Changes, Format, InvalidDocument, InvalidRule, InvalidRules, Problem, ReplaceError, Rule, RuleSet, Selector,
        Warning,
    },
    sentinel::{BuildError, Builder, Sentinel},
    setting::InvalidSetting,
    signals::Signals,
    snapshot::{Capacity, HotValue, ResourceSnapshot, RuleSnapshot, Snapshot},
    statistics::{Outcome, Percentiles, ResponseTimes, Statistics, Totals, Traffic},
};
#[cfg(feature = "quanta")]
pub use clock::TscClock;
#[cfg(feature = "tracing")]
pub use event::trace;
#[cfg(feature = "json")]
pub use rules::{Dialect, Encoding, Parsed};
#[cfg(feature = "sampler")]
pub use sampler::Sampler;
