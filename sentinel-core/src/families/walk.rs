//! What rules say to calls, one by one and together.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use super::{Check, Checks, Taken};
use crate::{call::Call, statistics::Outcome, sync::sliding_limiter::SlidingLimiter};

/// What one rule says to one call.
#[derive(Debug)]
pub(crate) enum Step {
    /// Admitted, or the rule is not about this call.
    Pass,
    /// Admitted, after this many nanoseconds.
    Wait(u64),
    /// In a queue, for this many nanoseconds at most. A rule in a dry run refuses instead: nobody would stand there for
    /// real.
    Queue(Arc<dyn Turn>, u64),
    /// Refused, and nothing is taken.
    Block(Cause),
}

impl Step {
    /// Admitted, after so many nanoseconds, which may be none.
    #[inline(always)]
    pub(crate) fn after(delay: u64) -> Self {
        if delay == 0 { Self::Pass } else { Self::Wait(delay) }
    }
}

/// What a rule says to a call that stands in its queue and asks again.
#[derive(Debug)]
pub(crate) enum Resume {
    /// Admitted.
    Pass,
    /// Still in the queue.
    Wait,
    /// Refused: the longest wait is over, or others go first.
    Block(Cause),
}

/// A place in a queue.
pub(crate) trait Turn: fmt::Debug + Send + Sync {
    /// Ready once asking again gets another answer than to wait.
    fn poll(&self, context: &mut Context<'_>) -> Poll<()>;
}

/// When trying again may help where that depends on when calls end, in nanoseconds: a millisecond, so that nobody tries
/// without a pause.
pub(crate) const SOON: u64 = 1_000_000;

/// Why a rule refused, in numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cause {
    pub(crate) observed: f64,
    pub(crate) threshold: f64,
    /// Nanoseconds until trying again may help; `u64::MAX` when it never will.
    pub(crate) retry_after: u64,
}

impl Cause {
    /// How long until trying again may help, if it ever will.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        (self.retry_after != u64::MAX).then(|| Duration::from_nanos(self.retry_after))
    }

    /// No permits are left until `not_before`.
    #[inline]
    pub(crate) fn used_up(limiter: &SlidingLimiter, threshold: f64, not_before: u64, now: u64) -> Self {
        // Whole permits; `floor` would be a call.
        let observed = (threshold as u64).saturating_sub(limiter.left()) as f64;
        Self { observed, threshold, retry_after: after(not_before, now) }
    }

    /// Of the permits that calls in flight hold, too few are left for one that asks for `permits`.
    pub(crate) fn in_flight(in_flight: u32, limit: u32, permits: u32) -> Self {
        let retry_after = if permits > limit { u64::MAX } else { SOON };
        Self { observed: in_flight.into(), threshold: limit.into(), retry_after }
    }
}

/// The wait from `now` to a moment, which may be never: `u64::MAX`.
#[inline]
pub(crate) fn after(moment: u64, now: u64) -> u64 {
    if moment == u64::MAX { moment } else { moment.saturating_sub(now) }
}

/// How an entry ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exit {
    pub(crate) now: u64,
    pub(crate) count: u32,
    pub(crate) response_time: u64,
    pub(crate) outcome: Outcome,
}

/// Walks the rules of one family from `first` on.
#[inline(always)]
pub(crate) fn walk<F: Checks>(
    checks: &[Check<F>],
    first: u16,
    call: &Call<'_>,
    now: u64,
    taken: &mut Taken<F>,
) -> Walk {
    for (index, check) in (first..).zip(checks.get(usize::from(first)..).unwrap_or_default()) {
        let place = taken.place(index);
        match F::acquire(check, call, now, place) {
            Step::Pass => {}
            Step::Wait(delay) => {
                if !check.rule.rule.dry_run {
                    return Walk::Wait(Halt { rule: index, delay, turn: None });
                }
            }
            Step::Queue(turn, delay) => return Walk::Wait(Halt { rule: index, delay, turn: Some(turn) }),
            Step::Block(cause) => {
                if !check.rule.rule.dry_run {
                    return Walk::Block { rule: index, cause };
                }
                check.would_block.add(u64::from(call.permits()));
            }
        }
    }
    Walk::Pass
}

/// What the rules of one family say together.
#[derive(Debug)]
pub(crate) enum Walk {
    Pass,
    Wait(Halt),
    Block { rule: u16, cause: Cause },
}

/// Where a call has to wait.
#[derive(Debug)]
pub(crate) struct Halt {
    pub(crate) rule: u16,
    /// The wait in nanoseconds; in a queue, the longest.
    pub(crate) delay: u64,
    pub(crate) turn: Option<Arc<dyn Turn>>,
}

/// Asks the rule that made a call wait again.
pub(crate) fn resume<F: Checks>(checks: &[Check<F>], rule: u16, taken: &mut Taken<F>, now: u64) -> Resume {
    last(checks, rule, taken).map_or(Resume::Pass, |(check, token)| F::resume(check, token, now))
}

/// What a rule that makes a call wait has seen, of what it admits.
pub(crate) fn seen<F: Checks>(checks: &[Check<F>], rule: u16, taken: &mut Taken<F>, call: &Call<'_>) -> (f64, f64) {
    last(checks, rule, taken).map_or((0.0, 0.0), |(check, token)| F::seen(check, token, call))
}

/// The rule that was asked last, if it took something.
fn last<'a, F: Checks>(
    checks: &'a [Check<F>],
    rule: u16,
    taken: &'a mut Taken<F>,
) -> Option<(&'a Check<F>, &'a mut F::Token)> {
    let (index, token) = taken.last_mut()?;
    Some((checks.get(usize::from(rule))?, token)).filter(|_| index == rule)
}

/// Gives back what was taken, last first.
#[inline(always)]
pub(crate) fn undo<F: Checks>(checks: &[Check<F>], taken: &mut Taken<F>, call: &Call<'_>, now: u64) {
    taken.take_all(|index, token| {
        if let Some(check) = checks.get(usize::from(index)) {
            F::undo(check, token, call, now);
        }
    });
}

/// Gives back what an admitted call held, last first.
#[inline(always)]
pub(crate) fn release<F: Checks>(checks: &[Check<F>], held: &mut Taken<F>, exit: &Exit) {
    if !F::HOLDS {
        return held.clear();
    }
    held.give_all(|index, token| {
        if let Some(check) = checks.get(usize::from(index)) {
            F::release(check, token, exit);
        }
    });
}
