//! System rules: how much of all inbound traffic together the machine can bear.

#[cfg(feature = "json")]
mod go;
#[cfg(feature = "json")]
mod java;
mod law;
mod measured;
mod rule;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use self::measured::{Bbr, Mean};
pub use self::rule::{Metric, SystemParams, SystemRule, SystemStrategy};
use crate::{
    call::Call,
    families::{Cause, Check, Checks, Context, Exit, Family, Shares, Step, sealed::Sealed},
    resource::Direction,
    rules::Compiled,
    signals::Signals,
    statistics::Node,
    sync::{
        sliding_limiter::{SlidingLimiter, Stamp},
        spread_gauge::SpreadGauge,
    },
};

const SECOND: u64 = 1_000_000_000;

/// How long a refused caller should wait at least, where it is not known when a call will end: a step of what is
/// measured.
const AGAIN: u64 = SECOND / law::STEPS;

/// System rules: how much of all inbound traffic together the machine can bear.
///
/// # What it protects from
///
/// An overload that no rule on a single resource sees: many routes that are each within their limits, a neighbour that
/// takes the processor, a deployment on half of the machines. Calls that come in are refused while the machine is
/// busy, so that those which are let in are answered in time. Calls that go out never are.
///
/// # Fields
///
/// A system rule has no resource: it is about all [inbound](crate::Target::inbound) resources of the instance.
///
/// | document | in code | meaning | range | default |
/// |---|---|---|---|---|
/// | `metric` | [`Metric`] | what is limited | `cpuUsage`, `load1`, `memoryUsage`, `inboundQps`, `inFlight`, `avgResponseTimeMs` | |
/// | `threshold` | in the [`Metric`] | the share of the processor time or memory; the load average of one minute; permits per second; permits; milliseconds | shares above 0, to 1; loads above 0, to a million; permits whole, from 0 to 4,294,967,295; milliseconds above 0, to an hour | |
/// | `strategy` | [`SystemStrategy`] | for the first three: whether a signal above its threshold limits the calls in flight to what was measured, or refuses all | `bbr`, `gate` | `bbr` |
/// | `defaultShare`, `sheddableShare` | [`Shares`](crate::Shares) | where calls in flight are limited: the shares of the limit that default and sheddable calls may use | above 0, to 1 | 1 |
/// | `initialInFlight` | [`initial`](SystemStrategy::Bbr::initial) | for `bbr`: the limit before anything is known, and the least one while the machine is not busy | 1 to 4,294,967,295 | 64 |
///
/// The signals have to come from somewhere: see [`Signals`].
///
/// # How it decides
///
/// Permits per second are held by the same exact limiter as flow rules, permits in flight by the same exact gauge as
/// isolation rules. The average response time is that of calls that ended within the last second, in whole buckets of
/// the statistics, looked at every 10 ms; as long as it is above its threshold all are refused, which lasts until
/// nothing slow is left in that second.
///
/// With `bbr`, calls in flight are limited all the time. While the signal is below its threshold, the limit is twice
/// the most calls in flight of the last ten seconds. Above it, the limit is what the service completes per second,
/// times how long a call takes that waits for nobody, a quarter more, twice the square root of that, and one: what it
/// works on without a queue, and a short one. Ten times a second the limit is brought up to date; one call passes
/// whatever it asks for. While more than a few calls are refused, the limit is halved for a moment, to measure that
/// time without a queue: at first as often as the time comes out shorter than the one before, then every eight seconds
/// at most, and for a twentieth of the time. The idea is BBR's (Cardwell et al., *BBR: Congestion-Based Congestion
/// Control*, 2016), which kratos and Sentinel brought to services; where this differs, and why, is told in
/// `families/system/law.rs`. Signals that were not read for ten seconds, or three intervals of the instance's own
/// sampler if that is longer, limit nothing.
///
/// In a simulation of a service with sixteen servers and calls of 20 ms, constant, less and more variable, this is what
/// is answered within 200 ms, with a rule `cpuUsage` of 0.8 and without (`cargo overload` runs it and draws this):
///
#[doc = include_str!("../../docs/overload.svg")]
///
/// The same for other services, of 2 to 64 servers and calls of 5 ms to 2 s, where an answer is in time after ten times
/// the mean: above capacity, 0.89 of it at least is answered in time; at 0.8 of capacity, 0.93 of what is asked for
/// with four servers and more, and 0.89 with two. The least are those of calls as variable as can be. With a single
/// server it is 0.77 and 0.84: there, a queue that is short enough is often full, and without a rule it is 0.81. What
/// is slow is learned slowly: where calls take a second or longer, or a second sees few of them end, this holds from a
/// minute on. Where the machine works on few calls at a time, a smaller `initialInFlight` keeps the first queue short.
///
/// # Example
///
/// ```
/// use sentinel_core::{Rules, Sentinel, SystemRule, Target};
///
/// let sentinel = Sentinel::default();
/// sentinel.rules().replace("code", Rules::new().system([SystemRule::in_flight(1)]))?;
///
/// let first = sentinel.enter(Target::new("GET /").inbound()).immediately()?;
/// let second = sentinel.enter(Target::new("GET /orders").inbound()).immediately().unwrap_err();
/// assert_eq!(
///     second.to_string(),
///     "system rule `system:*#0` blocks `GET /orders`: 1 of 1 calls in flight, try again in 100ms",
/// );
/// assert!(sentinel.enter("db").immediately().is_ok(), "it goes out");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What a refusal looks like
///
/// [`Blocked`](crate::Blocked) with the family `system`; what it [observed](crate::Blocked::observed) and its
/// [threshold](crate::Blocked::threshold) are in the unit of the metric, with `bbr` the calls in flight and their
/// limit. The HTTP adapters answer 503.
///
/// # When not to use it
///
/// `bbr` is for services whose calls are work: where most of them are long and idle, such as streams and web sockets,
/// what is in flight says nothing about what the machine can bear. To protect one resource from its own callers: flow
/// and isolation rules. To protect a service that is called: a circuit breaker or a shedding rule.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct System;

impl Sealed for System {}

impl Family for System {
    const NAME: &'static str = "system";
    #[cfg(feature = "json")]
    const FORMS: &'static [crate::rules::Form] = &[java::FORM, go::GO, go::KUBERNETES];
    const IS_GLOBAL: bool = true;
    const DIRECTION: Option<Direction> = Some(Direction::Inbound);
    type Params = SystemParams;
}

/// What decides for all inbound resources together.
#[derive(Debug)]
pub(crate) enum Shared {
    Qps(SlidingLimiter),
    InFlight(SpreadGauge),
    AvgResponseTime(Mean),
    Gate,
    Bbr(Bbr),
}

/// What it decides by.
#[derive(Debug)]
pub(crate) struct State {
    inbound: Arc<Node>,
    signals: Arc<Signals>,
}

/// What one call took.
#[derive(Debug)]
pub(crate) enum Token {
    Counted(Stamp),
    InFlight,
}

impl Checks for System {
    const HOLDS: bool = true;
    type Shared = Arc<Shared>;
    type State = State;
    type Token = Token;

    fn share(rule: &SystemParams, previous: Option<&Compiled<Self>>) -> Arc<Shared> {
        let kept = previous.filter(|before| before.rule.params.differs_only_in_thresholds(rule));
        kept.map_or_else(|| Arc::new(Shared::new(rule)), |before| Arc::clone(&before.shared))
    }

    fn build(rule: &Compiled<Self>, _previous: Option<&Check<Self>>, context: &Context<'_, Self>) -> State {
        match (&*rule.shared, rule.rule.params.metric) {
            (Shared::Qps(limiter), Metric::InboundQps(threshold)) => limiter.set_threshold(threshold as u64),
            (Shared::InFlight(gauge), Metric::InFlight(permits)) => gauge.set_limit(permits),
            _ => {}
        }
        State { inbound: Arc::clone(context.around.inbound), signals: Arc::clone(context.around.signals) }
    }

    fn keeps_state(before: &SystemParams, after: &SystemParams) -> bool {
        before.differs_only_in_thresholds(after)
    }

    #[cfg(feature = "sampler")]
    fn reads_signals(rule: &SystemParams) -> bool {
        rule.metric.signal().is_some()
    }

    #[inline(always)]
    fn acquire(check: &Check<Self>, call: &Call<'_>, now: u64, place: &mut Option<Token>) -> Step {
        let Check { rule, state: State { inbound, signals }, .. } = check;
        let metric = rule.rule.params.metric;
        match &*rule.shared {
            Shared::Qps(limiter) => match limiter.acquire(now, call.permits().into()) {
                Ok(stamp) => {
                    *place = Some(Token::Counted(stamp));
                    Step::Pass
                }
                Err(not_before) => Step::Block(Cause::used_up(limiter, metric.threshold(), not_before, now)),
            },
            Shared::InFlight(gauge) => take(gauge, call, &rule.rule.params.shares, false, place),
            Shared::AvgResponseTime(mean) => {
                let observed = mean.of_last_second(now, inbound);
                pass_below(observed * 1e3, metric.threshold())
            }
            Shared::Gate => match metric.signal().map(|(name, threshold)| (signals.current(name, now), threshold)) {
                Some((Some(value), threshold)) => pass_below(value, threshold),
                _ => Step::Pass,
            },
            Shared::Bbr(bbr) => {
                if bbr.is_due(now)
                    && let Some(signal) = metric.signal()
                {
                    bbr.follow(now, inbound, signals, signal);
                }
                let step = take(bbr.gauge(), call, &rule.rule.params.shares, true, place);
                bbr.note(matches!(step, Step::Block(_)));
                step
            }
        }
    }

    fn undo(check: &Check<Self>, token: Token, call: &Call<'_>, _now: u64) {
        match (token, &*check.rule.shared) {
            (Token::Counted(stamp), Shared::Qps(limiter)) => limiter.undo(stamp, call.permits().into()),
            (Token::InFlight, shared) => shared.give_back(call.permits()),
            _ => {}
        }
    }

    #[inline(always)]
    fn release(check: &Check<Self>, token: &Token, exit: &Exit) {
        if let Token::InFlight = token {
            check.rule.shared.give_back(exit.count);
        }
    }

    fn explain(check: &Check<Self>, cause: &Cause, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cause { observed, threshold, .. } = cause;
        match (&*check.rule.shared, check.rule.rule.params.metric) {
            (Shared::InFlight(_) | Shared::Bbr(_), _) => write!(f, "{observed} of {threshold} calls in flight"),
            (_, Metric::CpuUsage(_)) => write!(f, "cpu usage {observed:.3}, more than {threshold}"),
            (_, Metric::Load1(_)) => write!(f, "load {observed:.2}, more than {threshold}"),
            (_, Metric::MemoryUsage(_)) => write!(f, "memory usage {observed:.3}, more than {threshold}"),
            (_, Metric::AvgResponseTime(_)) => {
                write!(f, "average response time {observed:.1} ms, more than {threshold} ms")
            }
            (_, Metric::InboundQps(_) | Metric::InFlight(_)) => write!(f, "{observed} of {threshold} calls per second"),
        }
    }

    fn threshold(check: &Check<Self>) -> f64 {
        match &*check.rule.shared {
            Shared::Bbr(bbr) => bbr.gauge().limit().into(),
            _ => check.rule.rule.params.metric.threshold(),
        }
    }

    fn interval(rule: &SystemParams) -> Option<Duration> {
        matches!(rule.metric, Metric::InboundQps(_)).then_some(Duration::from_secs(1))
    }

    /// The state is that of all inbound resources, and no resource takes it along.
    fn is_idle(_check: &Check<Self>, _now: u64) -> bool {
        true
    }
}

impl Shared {
    fn new(params: &SystemParams) -> Self {
        match (params.metric, params.strategy) {
            (Metric::InboundQps(threshold), _) => Self::Qps(SlidingLimiter::new(threshold as u64, SECOND)),
            (Metric::InFlight(permits), _) => Self::InFlight(SpreadGauge::new(permits)),
            (Metric::AvgResponseTime(_), _) => Self::AvgResponseTime(Mean::default()),
            (_, SystemStrategy::Gate) => Self::Gate,
            (_, SystemStrategy::Bbr { initial }) => Self::Bbr(Bbr::new(initial)),
        }
    }

    fn give_back(&self, permits: u32) {
        match self {
            Self::InFlight(gauge) => gauge.release(permits),
            Self::Bbr(bbr) => bbr.gauge().release(permits),
            Self::Qps(_) | Self::AvgResponseTime(_) | Self::Gate => {}
        }
    }
}

/// Takes permits of a gauge. Where a limit is only measured, one call passes at any rate, or nothing more would be
/// learned.
#[inline(always)]
fn take(gauge: &SpreadGauge, call: &Call<'_>, shares: &Shares, one_passes: bool, place: &mut Option<Token>) -> Step {
    let permits = call.permits();
    let left = shares.left(gauge.limit(), call.importance());
    if gauge.acquire(permits, left) || one_passes && gauge.acquire_alone(permits) {
        *place = Some(Token::InFlight);
        return Step::Pass;
    }
    let limit = gauge.limit().saturating_sub(left);
    let retry_after = if one_passes || permits <= limit { AGAIN } else { u64::MAX };
    Step::Block(Cause { observed: gauge.in_flight().into(), threshold: limit.into(), retry_after })
}

fn pass_below(observed: f64, threshold: f64) -> Step {
    if observed > threshold { Step::Block(Cause { observed, threshold, retry_after: AGAIN }) } else { Step::Pass }
}
