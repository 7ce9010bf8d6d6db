use std::{fmt, mem, sync::Arc};

use crate::{
    call::Call,
    clock::{Clock, Time},
    decision::Decision,
    event::{Event, Subscription},
    extension::{CustomCheck, Observer, Position, Registrations},
    families::FAMILIES,
    registry::Registry,
    resource::{Resource, ResourceId, Target},
    rules::RuleSet,
    signals::Signals,
    snapshot::{ResourceSnapshot, Snapshot},
};

/// How often an instance can read its signals.
#[cfg(feature = "sampler")]
const SAMPLER_INTERVALS: std::ops::RangeInclusive<std::time::Duration> =
    std::time::Duration::from_millis(200)..=std::time::Duration::from_secs(60);

/// An instance: resources with their statistics, the rules in force on them, and a clock.
///
/// Clones are handles on the same instance; two instances share nothing. An instance starts no thread and no task, and
/// dropping its last handle frees it (calls that are inside keep what they need until they end).
///
/// # Example
///
/// ```
/// use sentinel_core::{FlowRule, Rules, Sentinel};
///
/// let sentinel = Sentinel::default();
/// sentinel.rules().replace("code", Rules::new().flow([FlowRule::new("orders", 100.0)]))?;
///
/// match sentinel.enter("orders").immediately() {
///     Ok(_entry) => { /* serve */ }
///     Err(blocked) => println!("{blocked}"),
/// }
/// # Ok::<(), sentinel_core::ReplaceError>(())
/// ```
#[derive(Clone)]
pub struct Sentinel(Arc<Registry>);

impl Sentinel {
    /// Sets up an instance.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The resource of this name: a handle to keep, for entering without a look-up.
    ///
    /// # Cost
    ///
    /// A look-up in a map; a new resource takes about 2 KiB, and 10 KiB more once it has traffic.
    pub fn resource<'a>(&self, target: impl Into<Target<'a>>) -> Resource {
        Resource(self.0.resource(target.into()))
    }

    /// Asks to enter a resource by name, for one permit.
    ///
    /// # Panics
    ///
    /// Possibly, in the destructor of a thread-local value: there, enter through a [handle](Sentinel::resource).
    #[inline]
    pub fn enter<'a>(&self, target: impl Into<Target<'a>>) -> Decision {
        self.0.enter(target.into(), Call::PLAIN)
    }

    /// Asks to enter a resource by name, saying more about the call.
    ///
    /// # Panics
    ///
    /// As [`enter`](Sentinel::enter).
    #[inline]
    pub fn enter_with<'a>(&self, target: impl Into<Target<'a>>, call: &Call<'_>) -> Decision {
        self.0.enter(target.into(), call)
    }

    /// What tells the resource of this name from every other one, if it exists; past the
    /// [bound](Builder::max_resources), what tells the one that the name shares.
    pub fn resource_id<'a>(&self, target: impl Into<Target<'a>>) -> Option<ResourceId> {
        self.0.id_of(target.into())
    }

    /// The rules: to put in force, to read, to clear.
    pub fn rules(&self) -> RuleSet<'_> {
        RuleSet::new(&self.0)
    }

    /// What the machine tells, for rules that adapt to it.
    pub fn signals(&self) -> &Signals {
        self.0.signals()
    }

    /// The numbers of everything.
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }

    /// The numbers of one resource, if it exists.
    pub fn snapshot_of(&self, resource: &str) -> Option<ResourceSnapshot> {
        self.0.snapshot_of(resource)
    }

    /// Calls `listener` on every [`Event`], on the thread on which it happens and outside of any lock.
    ///
    /// It may use the instance. If it panics, the panic hook says so, and that is all: what happened does not depend on
    /// it.
    pub fn subscribe(&self, listener: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Subscription {
        self.0.listeners().subscribe(listener)
    }
}

impl Default for Sentinel {
    /// An instance with the defaults of [`Builder`].
    fn default() -> Self {
        Self(Arc::new(Registry::new(Builder::default(), None)))
    }
}

impl fmt::Debug for Sentinel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Sets up an instance.
#[derive(Debug)]
pub struct Builder {
    pub(crate) time: Option<Time>,
    pub(crate) max_resources: usize,
    pub(crate) buckets_per_second: u32,
    pub(crate) seed: Option<u64>,
    registrations: Registrations,
    #[cfg(feature = "sampler")]
    pub(crate) sampler: Option<std::time::Duration>,
}

impl Builder {
    /// The clock; by default the fastest that is built in.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.time = Some(clock.into_time());
        self
    }

    /// How many resources there may be whose names no rule names; default 6,000.
    ///
    /// At the bound, the idle resource that was used longest ago makes room for a new one. Idle means: no handle on it,
    /// no call inside, none for a minute, and no rule (also by pattern) that would forget something. Where none is
    /// idle, the new name shares the statistics and the rules of one resource with all names of its direction that
    /// match the same patterns: `__other__`, or `__other__:` and the name of the first rule that is in force there;
    /// with inbound calls `__other_inbound__`. There are at most 256 of these; further combinations of patterns share
    /// `__other__:*`, under all patterns. Resources that a rule names always find room.
    #[must_use]
    pub fn max_resources(mut self, max: usize) -> Self {
        self.max_resources = max;
        self
    }

    /// How many buckets the last second has in the statistics; default 10. A divisor of 1,000 of at most 100.
    #[must_use]
    pub fn buckets_per_second(mut self, buckets: u32) -> Self {
        self.buckets_per_second = buckets;
        self
    }

    /// What decisions by chance are made of, such as jitter; by default another number for each instance. With the same
    /// seed and the same calls at the same times, two instances decide alike.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Lets the instance read its [signals](Sentinel::signals) by itself so often: from 200 ms to a minute; by default it
    /// does not. Where three such intervals are longer than ten seconds, a reading counts for as long.
    ///
    /// This starts a thread, `sentinel-sampler`, when a rule is put in force that needs a signal, and ends it when none
    /// does or the instance is gone. Where the system has no room for another thread, there is an
    /// [event](crate::Event::SamplerFailed).
    #[cfg(feature = "sampler")]
    #[must_use]
    pub fn sampler(mut self, interval: std::time::Duration) -> Self {
        self.sampler = Some(interval);
        self
    }

    /// Adds a check of one's own, at its place among the families.
    ///
    /// # Cost
    ///
    /// With a check or an observer no call takes the short way any more: see [`CustomCheck`].
    #[must_use]
    pub fn check(mut self, position: Position, check: impl CustomCheck) -> Self {
        self.registrations.checks.push((position, Box::new(check)));
        self
    }

    /// Adds somebody who sees what becomes of every call.
    ///
    /// # Cost
    ///
    /// With a check or an observer no call takes the short way any more: see [`Observer`].
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.registrations.observers.push(Box::new(observer));
        self
    }

    /// Makes the instance.
    ///
    /// # Errors
    ///
    /// When a setting is out of its range, or a check has no name or place that it can have.
    pub fn build(mut self) -> Result<Sentinel, BuildError> {
        if !(1..=100).contains(&self.buckets_per_second) || 1_000 % self.buckets_per_second != 0 {
            return Err(BuildError::Buckets { given: self.buckets_per_second });
        }
        #[cfg(feature = "sampler")]
        if let Some(given) = self.sampler.filter(|given| !SAMPLER_INTERVALS.contains(given)) {
            return Err(BuildError::Sampler { given });
        }
        let extension = mem::take(&mut self.registrations).finish()?;
        Ok(Sentinel(Arc::new(Registry::new(self, extension))))
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            time: None,
            max_resources: 6_000,
            buckets_per_second: 10,
            seed: None,
            registrations: Registrations::default(),
            #[cfg(feature = "sampler")]
            sampler: None,
        }
    }
}

/// A setting that no instance can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The buckets do not divide a second.
    #[error("buckets_per_second is {given}, but it is a divisor of 1,000 from 1 to 100")]
    Buckets {
        /// What was asked for.
        given: u32,
    },
    /// A check is to stand before or after a family that does not exist.
    #[error("there is no family `{given}` to place a check at; there are {}", FAMILIES.join(", "))]
    UnknownFamily {
        /// The name that was given.
        given: &'static str,
    },
    /// A check has no name, or the one of a family or of another check.
    #[error("a check is named `{given}`, but a name is not empty, and not that of a family or another check")]
    CheckName {
        /// The name that was given.
        given: &'static str,
    },
    /// The signals would be read too often or too rarely.
    #[cfg(feature = "sampler")]
    #[error("the signals are read every {given:?}, but it is from 200 ms to a minute")]
    Sampler {
        /// What was asked for.
        given: std::time::Duration,
    },
}
