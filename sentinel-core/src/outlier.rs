//! Outlier ejection: a client with several backends spares those that do worse than the others.

mod backend;
mod config;
mod core;
mod judge;
mod member;
mod snapshot;
mod standing;
#[cfg(all(test, not(loom)))]
mod tests;

use std::{fmt, hash::BuildHasher as _, sync::Arc};

use self::core::Core;
pub use self::{
    backend::{Backend, BackendTicket},
    config::{ErrorRatio, OutlierConfig, SuccessRate},
    snapshot::{BackendSnapshot, BackendState, EjectionCause},
};
use crate::{
    clock::{Clock, Time},
    event::{Event, Subscription},
    setting::InvalidSetting,
};

/// Finds the backends of a client that do worse than the others, and says which to leave out for a while.
///
/// # What it protects from
///
/// One of several backends is broken: it refuses connections, fails every call, or fails more of them than the others. A
/// balancer goes on sending it its share, and the more the sooner it fails. A circuit breaker around all of them would
/// see a moderate error ratio, and close off the good ones with the bad one.
///
/// # Settings
///
/// | setting | meaning | range | default |
/// |---|---|---|---|
/// | [`consecutive_errors`](OutlierConfig::consecutive_errors) | errors in a row | 1 to 1,000,000, or none | 5 |
/// | [`error_ratio`](OutlierConfig::error_ratio) | the share of calls within the interval that fail, and how many calls there have to be | above 0, to 1; from 1 | none |
/// | [`success_rate`](OutlierConfig::success_rate) | how many standard deviations below the mean of all, among how many backends with how many calls | above 0, to 100; from 2; from 1 | 1.9 among 5 with 100 |
/// | … [`min_gap`](SuccessRate::min_gap) | how far below the mean at least | 0 to 1 | 0.05 |
/// | [`interval`](OutlierConfig::interval) | how long calls are counted before shares are judged | 100 ms to 5 min | 10 s |
/// | [`base_ejection_time`](OutlierConfig::base_ejection_time) | the first ejection, and what each further one is longer by | 1 ms to a day | 30 s |
/// | [`max_ejection_time`](OutlierConfig::max_ejection_time) | the longest ejection | the base to a day | 5 min |
/// | [`jitter`](OutlierConfig::jitter) | what an ejection may last longer by chance | 0 to a day | 0 |
/// | [`max_ejected_share`](OutlierConfig::max_ejected_share) | the greatest share of the backends that is out of service | 0 to 1 | 0.1, but at least one of two or more |
/// | [`probes`](OutlierConfig::probes) | calls that have to go well on probation | 1 to 1,000 | 3 |
/// | [`max_backends`](OutlierConfig::max_backends) | how many backends are watched | 1 to 10,000 | 1,000 |
/// | [`forget_after`](OutlierConfig::forget_after) | how long a backend without a handle is remembered | 1 s to 7 days | 10 min |
/// | [`seed`](OutlierConfig::seed) | what chance is made of | any number | another for each detector |
///
/// # How it decides
///
/// A row of errors ejects a backend at once; at the end of an interval so does too high an error ratio, and a success
/// rate below `mean - factor * deviation`, the worst first. The n-th ejection lasts n times the base, up to the
/// maximum, and n goes down by one with every interval that ends in service. After it the backend is on probation: it
/// gets one call at a time, of which the first to fail ejects it again, and after enough that went well it is in
/// service with all counts forgotten. It also is when it was due for an interval and nobody called it, or when backends
/// were forgotten and the share of those that are out is too great. Never more than the share are out, so where all are
/// bad most stay in service. (Formulas and defaults are those of Envoy's outlier detection, with differences: there, a
/// tenth of fewer than ten backends is none, a single error is a deviation where all others are perfect, and there is
/// no probation.)
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use sentinel_core::{Backend, ManualClock, OutlierConfig, OutlierDetector};
///
/// let clock = ManualClock::new();
/// let detector = OutlierDetector::with_clock(OutlierConfig::default().consecutive_errors(3), clock.clone())?;
/// let backends = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"].map(|address| detector.backend(address));
///
/// let send = |backend: &Backend| if backend.name() == "10.0.0.2:80" { Err("refused") } else { Ok("served") };
/// let call = || {
///     let ticket = detector.pick(&backends).expect("there are backends");
///     let backend = ticket.backend().clone();
///     ticket.call(|| send(&backend))
/// };
/// let failed = (0..1_000).filter(|_| call().is_err()).count();
/// assert_eq!(failed, 3, "then it is left out");
/// assert!(backends[1].is_ejected());
///
/// clock.advance(Duration::from_secs(30));
/// assert_eq!((0..1_000).filter(|_| call().is_err()).count(), 1, "a probe finds that it is no better");
/// # Ok::<(), sentinel_core::InvalidSetting>(())
/// ```
///
/// A client with a balancer of its own lets that choose among the [eligible](OutlierDetector::eligible) backends.
///
/// # Cost
///
/// A call takes some loads, a reading of the clock, one read-modify-write of a word that the backend's calls share, and
/// two of a count of references where it has a ticket. The first call after an interval judges all backends, at some 13
/// ns each. Ejections, probes and look-ups take a lock, which is held for a few steps or as long as that lasts; no
/// other call waits. A backend takes some 220 bytes. Nothing is allocated but for new backends, ejections and at the
/// end of an interval.
///
/// # When not to use it
///
/// For a single backend, or a name behind which somebody else balances: there a [shedding rule](crate::SheddingRule) or a
/// circuit breaker fits. Where errors tell more of the request than of the backend: report these as
/// [ignored](BackendTicket::ignore). As a health check: it learns from calls only, and sends none of its own.
#[derive(Clone)]
pub struct OutlierDetector(Arc<Watch>);

/// Ends the watch with the last handle on the detector. Backends refer to the core and the core to them.
struct Watch(Arc<Core>);

impl OutlierDetector {
    /// Watches backends by the fastest clock that is built in.
    ///
    /// # Errors
    ///
    /// When a setting is out of its range.
    pub fn new(config: OutlierConfig) -> Result<Self, InvalidSetting> {
        Self::on(config, Time::fastest)
    }

    /// Watches backends by a clock.
    ///
    /// # Errors
    ///
    /// When a setting is out of its range.
    pub fn with_clock(config: OutlierConfig, clock: impl Clock) -> Result<Self, InvalidSetting> {
        Self::on(config, || clock.into_time())
    }

    fn on(config: OutlierConfig, time: impl FnOnce() -> Time) -> Result<Self, InvalidSetting> {
        config.validate()?;
        let seed = config.seed.unwrap_or_else(|| std::hash::RandomState::new().hash_one(()));
        Ok(Self(Arc::new(Watch(Arc::new(Core::new(config, time(), seed))))))
    }

    /// The backend of this name, such as its address: a handle to keep.
    ///
    /// At the bound, the one in service that was looked up longest ago and has no handle makes room. Where there is
    /// none, the new one is not watched: it is never ejected.
    ///
    /// # Cost
    ///
    /// A look-up under a lock, which may have to wait for a sweep.
    pub fn backend(&self, name: &str) -> Backend {
        Backend(self.core().backend(name))
    }

    /// Stops watching a backend, such as one that is not listed any more; it then is not one of those of which a share
    /// may be ejected. Handles on it stay valid, and are never ejected.
    pub fn forget(&self, name: &str) {
        self.core().forget(name);
    }

    /// Those of the candidates that are not [ejected](Backend::is_ejected), for a balancer to choose from; all of them
    /// if all are.
    ///
    /// Let the chosen one [begin](Backend::begin) a call.
    ///
    /// # Cost
    ///
    /// A reading of the clock, and a load for each.
    pub fn eligible<'a>(&self, candidates: &'a [Backend]) -> impl Iterator<Item = &'a Backend> + use<'a> {
        let now = self.core().now();
        let (out, others) =
            candidates.split_at(candidates.iter().take_while(|backend| backend.0.is_out_at(now)).count());
        // That the first is eligible is settled here: by the time it is asked for, all may be out.
        let (settled, others) = match others.split_first() {
            Some((first, others)) => (std::slice::from_ref(first), others),
            None => (out, others),
        };
        settled.iter().chain(others.iter().filter(move |backend| !backend.0.is_out_at(now)))
    }

    /// Begins a call to one of the candidates that are not ejected, each as likely as any other; to any of them if all
    /// are. `None` if there are none.
    ///
    /// # Cost
    ///
    /// A reading of the clock, a read-modify-write of a word that all callers share, two loads for each candidate, and
    /// what [`admit`](Backend::admit) takes.
    pub fn pick(&self, candidates: &[Backend]) -> Option<BackendTicket> {
        let now = self.core().now();
        let chance = self.core().dice.roll();
        let one_of = |count: usize| (chance * count as f64) as usize;
        let eligible = || candidates.iter().filter(|backend| !backend.0.is_out_at(now));
        let first = one_of(eligible().count());
        // Another thread may have taken the probe of the chosen one.
        let mut in_turn = eligible().skip(first).chain(eligible().take(first));
        let admitted = in_turn.find_map(Backend::admit);
        let any = || candidates.get(one_of(candidates.len())).or(candidates.last());
        admitted.or_else(|| any().map(Backend::begin))
    }

    /// All backends that are watched, by name.
    pub fn snapshot(&self) -> Vec<BackendSnapshot> {
        let now = self.core().now();
        self.core().snapshot(now)
    }

    /// Calls `listener` on every ejection and return, as an [`Event`], on the thread on which it happens and outside of
    /// any lock. What happens on several threads at once may be told in another order.
    pub fn subscribe(&self, listener: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Subscription {
        self.core().listeners.subscribe(listener)
    }

    fn core(&self) -> &Arc<Core> {
        &self.0.0
    }
}

impl fmt::Debug for OutlierDetector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutlierDetector").field("config", &self.core().config).finish_non_exhaustive()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.clear();
    }
}
