use std::sync::Arc;

use super::{Cause, Check, Checks, Step};
use crate::{call::Call, sync::sliding_limiter::SlidingLimiter};

/// The short way of a call: what all checks of a plan say together, where it takes no walk to know that.
#[derive(Debug, Default)]
pub(crate) enum Shortcut {
    /// There are no checks.
    #[default]
    Free,
    /// A limit on all calls, held by rejection alone.
    Exact { limiter: Arc<SlidingLimiter>, threshold: f64 },
    /// There is one check, under which no call waits or holds anything.
    Alone,
    /// There is no short way.
    Walk,
}

/// What the short way says to one call.
pub(crate) enum AtOnce {
    /// Admitted, and nothing is held.
    Pass,
    /// Refused.
    Block(Cause),
    /// Nothing was decided.
    Ask,
}

impl Shortcut {
    /// Decides as a walk would, or does nothing. What it takes cannot be undone.
    #[inline(always)]
    pub(crate) fn decide(&self, call: &Call<'_>, now: u64) -> AtOnce {
        match self {
            Self::Free => AtOnce::Pass,
            Self::Exact { limiter, threshold } => match limiter.acquire(now, u64::from(call.permits())) {
                Ok(_) => AtOnce::Pass,
                // It may borrow.
                Err(_) if call.is_prioritized() => AtOnce::Ask,
                Err(not_before) => AtOnce::Block(Cause::used_up(limiter, *threshold, not_before, now)),
            },
            Self::Alone | Self::Walk => AtOnce::Ask,
        }
    }
}

/// Asks the only check of a plan. What it takes cannot be undone.
#[inline]
pub(crate) fn alone<F: Checks>(check: &Check<F>, call: &Call<'_>, now: u64) -> AtOnce {
    let mut place = None;
    match F::acquire(check, call, now, &mut place) {
        Step::Pass => AtOnce::Pass,
        Step::Block(cause) => AtOnce::Block(cause),
        Step::Wait(_) | Step::Queue(..) => {
            if let Some(token) = place {
                F::undo(check, token, call, now);
            }
            AtOnce::Ask
        }
    }
}
