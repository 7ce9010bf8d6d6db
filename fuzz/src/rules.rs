//! Rules of all families, of whatever an input says. Most are valid, since one that is not keeps all others out of force.

use std::time::Duration;

use arbitrary::Arbitrary;
use sentinel_core::{
    Algorithm, AuthorityRule, BreakerControl, BreakerRule, Family, FlowRule, HotspotRule, IsolationRule, Refill, Rule,
    Rules, SheddingRule, SystemRule, ValueCache,
};

use crate::{NAMES, ORIGINS, pick};

/// A rule: a family, and numbers that choose among all that its rules can say.
#[derive(Arbitrary, Debug)]
pub struct AnyRule {
    family: Name,
    name: u8,
    /// Also a ratio, where one is asked for.
    threshold: u8,
    shape: u8,
    origin: u8,
    interval_ms: u16,
    millis: u16,
    count: u8,
    dry_run: bool,
}

#[derive(Arbitrary, Debug)]
enum Name {
    Authority,
    System,
    Shedding,
    Flow,
    Isolation,
    Hotspot,
    Breaker,
}

/// These rules as a document.
pub fn rules_of(rules: &[AnyRule]) -> Rules {
    rules.iter().fold(Rules::new(), |document, rule| match rule.family {
        Name::Authority => document.authority([rule.authority()]),
        Name::System => document.system([rule.system()]),
        Name::Shedding => document.shedding([rule.shedding()]),
        Name::Flow => document.flow([rule.flow()]),
        Name::Isolation => document.isolation([rule.isolation()]),
        Name::Hotspot => document.hotspot([rule.hotspot()]),
        Name::Breaker => document.circuit_breaker([rule.breaker()]),
    })
}

/// Whose calls a rule is about.
macro_rules! origin {
    ($any:ident, $rule:expr) => {
        match $any.origin % 4 {
            0 => $rule.for_other_origins(),
            1 => $rule.for_origin(ORIGINS[1]),
            _ => $rule,
        }
    };
}

impl AnyRule {
    /// What rules of all families can say.
    fn finish<F: Family>(&self, rule: Rule<F>) -> Rule<F> {
        if self.dry_run { rule.dry_run() } else { rule }
    }

    fn name(&self) -> &'static str {
        pick(&NAMES, self.name)
    }

    /// Above 0, up to 1.
    fn ratio(&self) -> f64 {
        (f64::from(self.threshold) + 1.0) / 256.0
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(u64::from(self.interval_ms) + 1)
    }

    fn wait(&self) -> Duration {
        Duration::from_millis(u64::from(self.millis) + 1)
    }

    fn count(&self) -> u32 {
        u32::from(self.count) + 1
    }

    fn authority(&self) -> AuthorityRule {
        let origins = ORIGINS.iter().skip(usize::from(self.origin) % 2 + 1).copied();
        let rule = match self.shape % 3 {
            0 => AuthorityRule::deny(self.name(), origins),
            1 => AuthorityRule::allow(self.name(), origins),
            _ => AuthorityRule::allow(self.name(), origins).strict(),
        };
        self.finish(rule)
    }

    fn system(&self) -> SystemRule {
        let rule = match self.shape % 8 {
            0 => SystemRule::cpu_usage(self.ratio()),
            1 => SystemRule::cpu_usage(self.ratio()).initial_in_flight(self.count()),
            2 => SystemRule::cpu_usage(self.ratio()).gate(),
            3 => SystemRule::memory_usage(self.ratio()).shares(0.8, 0.3),
            4 => SystemRule::load1(self.count().into()),
            5 => SystemRule::inbound_qps(self.threshold.into()),
            6 => SystemRule::in_flight(self.count()).shares(0.5, 0.5),
            _ => SystemRule::avg_response_time(self.wait()),
        };
        self.finish(rule)
    }

    fn shedding(&self) -> SheddingRule {
        let rule = SheddingRule::new(self.name()).k(1.1 + f64::from(self.threshold) / 50.0);
        let rule = rule.within(self.interval() * 10).min_request_amount(self.count());
        self.finish(rule)
    }

    fn flow(&self) -> FlowRule {
        let rule = FlowRule::new(self.name(), f64::from(self.threshold) / 5.0).per(self.interval());
        let rule = match self.shape % 6 {
            0 => rule.throttle(self.wait()),
            1 => rule.warm_up(self.wait()),
            2 => rule.warm_up(self.wait()).throttle(self.wait()),
            3 => rule.aligned(),
            4 => rule.related_to("e"),
            _ => rule,
        };
        self.finish(origin!(self, rule))
    }

    fn isolation(&self) -> IsolationRule {
        let permits = u32::from(self.threshold) / 16;
        let adaptive =
            |algorithm| self.finish(IsolationRule::adaptive(self.name(), algorithm).between(1, permits.max(1)));
        let rule = match self.shape % 8 {
            0 => return adaptive(Algorithm::aimd(self.wait())),
            1 => return adaptive(Algorithm::Vegas),
            2 => return adaptive(Algorithm::gradient2()).shares(0.9, 0.9),
            3 => IsolationRule::new(self.name(), permits).queue(self.count(), self.wait()),
            4 => IsolationRule::new(self.name(), permits).queue(self.count(), self.wait()).newest_first(),
            5 => IsolationRule::new(self.name(), permits).shares(0.7, 0.2),
            _ => IsolationRule::new(self.name(), permits),
        };
        self.finish(origin!(self, rule))
    }

    fn hotspot(&self) -> HotspotRule {
        let threshold = u32::from(self.threshold) / 8;
        let rule = match self.origin % 3 {
            0 => HotspotRule::new(self.name(), 0, threshold),
            1 => HotspotRule::new(self.name(), -1, threshold),
            _ => HotspotRule::new(self.name(), "key", threshold),
        };
        let rule = rule.per(self.interval()).capacity(self.count().div_ceil(4)).value(2, 1).value("two", 0);
        let rule = match self.shape % 6 {
            0 => rule.burst(self.count()),
            1 => rule.refill(Refill::Interval),
            2 => rule.throttle(self.wait()),
            3 => rule.concurrency(),
            4 => rule.cache(ValueCache::Frequency),
            _ => rule,
        };
        self.finish(rule)
    }

    fn breaker(&self) -> BreakerRule {
        let rule = match self.shape % 3 {
            0 => BreakerRule::error_ratio(self.name(), self.ratio()),
            1 => BreakerRule::error_count(self.name(), self.count() % 8 + 1),
            _ => BreakerRule::slow_ratio(self.name(), self.wait(), self.ratio()),
        };
        let rule = match self.shape / 3 % 3 {
            0 => rule.window_calls(u32::from(self.millis) % 100 + 8),
            1 => rule.interval(self.interval()).buckets(self.count() % 100 + 1),
            _ => rule.interval(self.interval()).strict(),
        };
        let rule =
            rule.min_request_amount(self.count() % 8 + 1).retry_timeout(self.interval()).probes(self.count() % 4 + 1);
        let rule = match self.origin % 8 {
            0 => rule.retry_growth(2.0).retry_jitter(0.5),
            1 => rule.recovery(self.wait()),
            2 => rule.probe_timeout(self.wait()),
            3 => rule.state(BreakerControl::ForcedOpen),
            4 => rule.state(BreakerControl::ForcedClosed),
            _ => rule,
        };
        self.finish(rule)
    }
}
