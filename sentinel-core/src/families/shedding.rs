//! Shedding rules: a client that spares a service which refuses or fails most of its calls.

mod rule;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

pub use self::rule::{SheddingParams, SheddingRule};
use crate::{
    call::Call,
    clock::saturating_nanos,
    families::{Cause, Check, Checks, Context, Exit, Family, Step, sealed::Sealed},
    resource::Direction,
    rules::Compiled,
    statistics::Outcome,
    sync::{dice::Dice, success_window::SuccessWindow},
};

/// Buckets of the window.
const BUCKETS: u32 = 40;

/// Shedding rules: a client that spares a service which refuses or fails most of its calls.
///
/// # What it protects from
///
/// A service that is overloaded spends its last resources on refusing calls, and a client that goes on sending keeps it
/// down. Each client sees the share of its own calls that go well, and refuses by itself what would most likely fail
/// anyway: at once, without a connection, and without a configured limit.
///
/// It is about calls that go out. Resources of calls that [come in](crate::Target::inbound) have no shedding rules,
/// also if one names them or all.
///
/// # Fields
///
/// | document | in code | meaning | range | default |
/// |---|---|---|---|---|
/// | `k` | [`k`](SheddingParams::k) | how many calls the client asks for per call that goes well, before it sheds: the higher, the later | 1.1 to 100 | 2 |
/// | `intervalMs` | [`interval`](SheddingParams::interval) | the time that is looked back on | 1 s to 1 h | 2 min |
/// | `minRequestAmount` | [`min_request_amount`](SheddingParams::min_request_amount) | calls within the interval from which on the share says anything | 0 to 4,294,967,295 | 10 |
/// | `maxShare` | [`max_share`](SheddingParams::max_share) | the greatest share of calls that are shed; the others find out when the service is back | above 0, to 1 | 0.95 |
///
/// # How it decides
///
/// Within the interval, it counts the calls that ended, those that it shed itself, and those that went well. A call is
/// shed with the probability `(asked - k * good) / (asked + 1)`, where `asked` is the first two, as far as that is
/// above 0. With `k` of 2 the service thus gets at most about twice as many calls as it answers well, however many are
/// asked for; once it answers all, it gets all within about three intervals; with `k` of 1.1, which spares the service
/// more, within about twenty. Calls that are [ignored](crate::Entry::ignore), and calls that a later rule refuses, do
/// not count; neither do those that last. The formula is that of adaptive throttling in *Site Reliability Engineering*
/// (Beyer et al., 2016, chapter 21), the greatest share that of Envoy's admission control.
///
/// # Example
///
/// ```
/// use sentinel_core::{Rules, Sentinel, SheddingRule};
///
/// let sentinel = Sentinel::default();
/// sentinel.rules().replace("code", Rules::new().shedding([SheddingRule::new("inventory")]))?;
///
/// let outcomes = (0..1_000).map(|_| match sentinel.enter("inventory").immediately() {
///     Ok(entry) => entry.call(|| Err::<(), _>("the service is down")),
///     Err(_shed) => Ok(()),
/// });
/// let sent = outcomes.filter(Result::is_err).count();
/// assert!((20..150).contains(&sent), "a service that is down gets little more than one call in twenty: {sent}");
/// # Ok::<(), sentinel_core::ReplaceError>(())
/// ```
///
/// # What a refusal looks like
///
/// [`Blocked`](crate::Blocked) with the family `shedding`; what it [observed](crate::Blocked::observed) is the share of
/// calls that went well, its [threshold](crate::Blocked::threshold) the share below which it sheds, 1 in `k`.
/// [`retry_after`](crate::Blocked::retry_after) is a fortieth of the interval, after which the shares are others.
///
/// # When not to use it
///
/// For calls that come in: there, system and isolation rules know what the service can bear. Where calls fail for
/// reasons of their own, such as bad arguments: mark these as [ignored](crate::Entry::ignore), or they count against
/// the service. To stop all calls to a service that is down: that is a circuit breaker, which this does not replace.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shedding;

impl Sealed for Shedding {}

impl Family for Shedding {
    const NAME: &'static str = "shedding";
    #[cfg(feature = "json")]
    const FORMS: &'static [crate::rules::Form] = &[crate::rules::own::<Self>(crate::Dialect::Kubernetes)];
    const DIRECTION: Option<Direction> = Some(Direction::Outbound);
    type Params = SheddingParams;
}

/// One rule on one resource.
#[derive(Clone, Debug)]
pub(crate) struct State {
    window: Arc<SuccessWindow>,
    dice: Arc<Dice>,
}

impl Checks for Shedding {
    const HOLDS: bool = true;
    type Shared = ();
    type State = State;
    type Token = ();

    fn share(_rule: &SheddingParams, _previous: Option<&Compiled<Self>>) {}

    fn build(rule: &Compiled<Self>, previous: Option<&Check<Self>>, context: &Context<'_, Self>) -> State {
        let interval = rule.rule.params.interval;
        match previous.filter(|before| before.rule.rule.params.interval == interval) {
            Some(before) => before.state.clone(),
            None => State {
                window: Arc::new(SuccessWindow::new(saturating_nanos(interval), BUCKETS)),
                dice: Arc::new(Dice::new(context.seed(rule))),
            },
        }
    }

    fn keeps_state(before: &SheddingParams, after: &SheddingParams) -> bool {
        before.interval == after.interval
    }

    #[inline(always)]
    fn acquire(check: &Check<Self>, call: &Call<'_>, now: u64, place: &mut Option<()>) -> Step {
        let Check { rule, state: State { window, dice }, .. } = check;
        let params = &rule.rule.params;
        // As mostly, there is nothing to shed: `k` is above 1, so where all goes well the share is none.
        if window.failures(now) > 0 {
            let (asked, good) = window.read(now);
            let share = params.share(asked, good);
            if share > 0.0 && dice.roll() < share {
                window.fail(now, call.permits().into());
                let observed = good as f64 / asked as f64;
                return Step::Block(Cause { observed, threshold: 1.0 / params.k, retry_after: window.bucket() });
            }
        }
        *place = Some(());
        Step::Pass
    }

    fn undo(_check: &Check<Self>, _token: (), _call: &Call<'_>, _now: u64) {}

    #[inline(always)]
    fn release(check: &Check<Self>, _token: &(), exit: &Exit) {
        let (window, count) = (&check.state.window, exit.count.into());
        match exit.outcome {
            Outcome::Ok => window.succeed(exit.now, count),
            Outcome::Error => window.fail(exit.now, count),
            Outcome::Ignored => {}
        }
    }

    fn explain(_check: &Check<Self>, cause: &Cause, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} of the calls go well, less than {:.3}", cause.observed, cause.threshold)
    }

    fn threshold(check: &Check<Self>) -> f64 {
        1.0 / check.rule.rule.params.k
    }

    fn interval(rule: &SheddingParams) -> Option<Duration> {
        Some(rule.interval)
    }

    fn is_idle(check: &Check<Self>, now: u64) -> bool {
        check.state.window.read(now) == (0, 0)
    }
}
