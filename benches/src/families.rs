//! Calls under rules of each family, and of all together.

use std::{hint::black_box, time::Duration};

use sentinel_core::{
    Algorithm, Arg, AuthorityRule, BreakerRule, Call, Clock, Direction, Entry, FlowRule, HotspotRule, IsolationRule,
    Resource, Rules, Sentinel, SheddingRule, SystemRule, Target,
};

use crate::{
    Error,
    ours::{OTHER, PLENTY, RESOURCE, ended},
};

/// Who calls.
pub const ORIGIN: &str = "web";
/// The argument of the calls.
pub const VALUE: &str = "customer-0000";

const ORIGINS: [&str; 3] = [ORIGIN, "mobile", "partner"];
/// More calls at a time than any bench makes.
const MANY: u32 = 1_000_000;
const HOUR: Duration = Duration::from_secs(3_600);

/// A kind of rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A list of three origins.
    Authority,
    /// All inbound traffic, by the usage of the processor.
    Cpu,
    /// All inbound traffic, by the calls in flight.
    InFlight,
    /// How much of a service that fails there is to see.
    Shedding,
    /// Permits per second.
    Flow,
    /// Calls at a time.
    Isolation,
    /// Calls at a time, as many as response times allow.
    Adaptive,
    /// Permits per second of each value of an argument.
    Hotspot,
    /// The share of the calls within a second that fail.
    Breaker,
}

impl Kind {
    /// All kinds, in the order in which a call meets their families.
    pub const ALL: [Self; 9] = [
        Self::Authority,
        Self::Cpu,
        Self::InFlight,
        Self::Shedding,
        Self::Flow,
        Self::Isolation,
        Self::Adaptive,
        Self::Hotspot,
        Self::Breaker,
    ];

    /// One of each family.
    pub const EACH: [Self; 7] =
        [Self::Authority, Self::Cpu, Self::Shedding, Self::Flow, Self::Isolation, Self::Hotspot, Self::Breaker];

    /// The calls that such a rule is about; those that come in, where it is about both.
    pub const fn direction(self) -> Direction {
        match self {
            Self::Shedding => Direction::Outbound,
            _ => Direction::Inbound,
        }
    }

    /// What it is called in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authority => "authority",
            Self::Cpu => "system, cpu usage",
            Self::InFlight => "system, in flight",
            Self::Shedding => "shedding",
            Self::Flow => "flow",
            Self::Isolation => "isolation",
            Self::Adaptive => "isolation, adaptive",
            Self::Hotspot => "hotspot",
            Self::Breaker => "circuit breaker",
        }
    }

    /// The kind that is called so.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether there is a rule of this kind that refuses for as long as a bench takes.
    pub fn can_refuse(self) -> bool {
        self.refusing().is_some()
    }

    /// A rule that refuses every call once it is used up; none where that does not last.
    fn refusing(self) -> Option<Rules> {
        let rules = Rules::new();
        Some(match self {
            Self::Authority => rules.authority([AuthorityRule::deny(RESOURCE, ORIGINS)]),
            Self::Cpu => return None,
            Self::InFlight => rules.system([SystemRule::in_flight(1)]),
            Self::Shedding => rules.shedding([SheddingRule::new(RESOURCE).within(HOUR).max_share(1.0)]),
            Self::Flow => rules.flow([FlowRule::new(RESOURCE, 1.0).per(HOUR)]),
            Self::Isolation => rules.isolation([IsolationRule::new(RESOURCE, 1)]),
            Self::Adaptive => rules.isolation([IsolationRule::adaptive(RESOURCE, Algorithm::Vegas).between(1, 1)]),
            Self::Hotspot => rules.hotspot([HotspotRule::new(RESOURCE, 0, 1).per(HOUR)]),
            Self::Breaker => {
                let rule = BreakerRule::error_count(RESOURCE, 1).min_request_amount(1).retry_timeout(HOUR);
                rules.circuit_breaker([rule])
            }
        })
    }

    /// Uses up what such a rule leaves. What is returned has to be kept.
    fn use_up(self, resource: &Resource) -> Result<Option<Entry>, Error> {
        match self {
            Self::Authority | Self::Cpu => Ok(None),
            Self::Shedding => {
                // When as good as all of so many have failed, one call in 10^12 is let through.
                let many = Call::new().count(u32::MAX);
                for mut entry in (0..1_000).filter_map(|_| resource.enter_with(&many).immediately().ok()) {
                    entry.fail();
                }
                Ok(None)
            }
            Self::Breaker => {
                resource.enter().immediately()?.fail();
                Ok(None)
            }
            Self::Flow | Self::Hotspot => {
                enter_with(resource, VALUE);
                Ok(None)
            }
            Self::InFlight | Self::Isolation | Self::Adaptive => Ok(Some(resource.enter().immediately()?)),
        }
    }
}

/// A rule of each kind on each resource, that admits every call of a bench.
pub fn admitting<S: AsRef<str>>(kinds: &[Kind], resources: &[S]) -> Rules {
    let names = || resources.iter().map(AsRef::as_ref);
    kinds.iter().fold(Rules::new(), |rules, kind| match kind {
        Kind::Authority => rules.authority(names().map(|name| AuthorityRule::allow(name, ORIGINS))),
        Kind::Cpu => rules.system([SystemRule::cpu_usage(0.9).initial_in_flight(MANY)]),
        Kind::InFlight => rules.system([SystemRule::in_flight(MANY)]),
        Kind::Shedding => rules.shedding(names().map(SheddingRule::new)),
        Kind::Flow => rules.flow(names().map(|name| FlowRule::new(name, PLENTY))),
        Kind::Isolation => rules.isolation(names().map(|name| IsolationRule::new(name, MANY))),
        Kind::Adaptive => {
            rules.isolation(names().map(|name| IsolationRule::adaptive(name, Algorithm::Vegas).between(100, 1_000)))
        }
        Kind::Hotspot => rules.hotspot(names().map(|name| HotspotRule::new(name, 0, PLENTY as u32))),
        Kind::Breaker => rules.circuit_breaker(names().map(|name| BreakerRule::error_ratio(name, 0.5))),
    })
}

/// An instance with an admitting rule of each kind on each of the two resources.
pub fn sentinel(clock: impl Clock, kinds: &[Kind]) -> Result<Sentinel, Error> {
    under(clock, admitting(kinds, &[RESOURCE, OTHER]))
}

/// An instance under rules, on a machine whose processor is half used.
pub fn under(clock: impl Clock, rules: Rules) -> Result<Sentinel, Error> {
    let sentinel = Sentinel::builder().clock(clock).seed(1).build()?;
    sentinel.rules().replace("bench", rules)?;
    read_signals(&sentinel);
    Ok(sentinel)
}

/// Tells that the processor is half used, as has to be told every few seconds.
pub fn read_signals(sentinel: &Sentinel) {
    sentinel.signals().set_cpu_usage(0.5);
}

/// The handle of a resource.
pub fn resource(sentinel: &Sentinel, resource: &str, direction: Direction) -> Resource {
    sentinel.resource(target(resource, direction))
}

fn target(resource: &str, direction: Direction) -> Target<'_> {
    match direction {
        Direction::Inbound => Target::new(resource).inbound(),
        Direction::Outbound => Target::new(resource),
    }
}

/// Calls by the handle of a resource that say who calls, and with which argument.
pub fn by_handle(sentinel: Sentinel, resource: &str, direction: Direction) -> impl Fn() -> bool + Send + Sync + use<> {
    let resource = self::resource(&sentinel, resource, direction);
    move || {
        // Threads keep nothing of an instance that was given up.
        let _kept = &sentinel;
        enter_with(&resource, VALUE)
    }
}

/// Calls by name that say who calls, and with which argument.
pub fn by_name(sentinel: Sentinel, direction: Direction) -> impl Fn() -> bool + Send + Sync {
    move || with_call(VALUE, |call| ended(sentinel.enter_with(target(black_box(RESOURCE), direction), call)))
}

/// Calls that a rule of a kind refuses; none where that does not last.
pub fn refused(clock: impl Clock, kind: Kind) -> Result<Option<impl Fn() -> bool>, Error> {
    let Some(rules) = kind.refusing() else { return Ok(None) };
    let sentinel = under(clock, rules)?;
    let held = kind.use_up(&resource(&sentinel, RESOURCE, kind.direction()))?;
    let call = by_handle(sentinel, RESOURCE, kind.direction());
    Ok(Some(move || {
        let _held = &held;
        call()
    }))
}

/// Asks to enter with this argument.
#[inline]
pub(crate) fn enter_with(resource: &Resource, value: &str) -> bool {
    with_call(value, |call| ended(resource.enter_with(call)))
}

#[inline]
fn with_call<T>(value: &str, ask: impl FnOnce(&Call<'_>) -> T) -> T {
    let args = [Arg::from(value)];
    ask(black_box(&Call::new().origin(ORIGIN).args(&args)))
}
