use std::{future::Future, time::Duration};

use crate::{
    blocked::Blocked,
    call::{Call, OwnedCall},
    entry::Entry,
    families::{Cause, Describe, Stages, Tokens},
    plan::{PlanRef, Stage, Verdict},
    resource::ResourceId,
};

/// The answer to a call that asks to enter.
#[derive(Debug)]
#[must_use = "an admitted call ends when the decision is dropped"]
pub enum Decision {
    /// Go on; the entry is the call.
    Admit(Entry),
    /// Go on later: wait, then [resume](Reservation::resume).
    Wait(Reservation),
    /// Do not go on.
    Block(Blocked),
}

impl Decision {
    /// Never waits: a call that would have to is blocked, and what it had reserved is given back.
    ///
    /// # Errors
    ///
    /// The refusal; its [`retry_after`](Blocked::retry_after) is the wait that was called for.
    #[inline]
    pub fn immediately(self) -> Result<Entry, Blocked> {
        match self {
            Self::Admit(entry) => Ok(entry),
            Self::Wait(reservation) => Err(reservation.refuse()),
            Self::Block(blocked) => Err(blocked),
        }
    }

    /// The resource that was asked for.
    pub fn resource_id(&self) -> ResourceId {
        match self {
            Self::Admit(entry) => entry.resource_id(),
            Self::Wait(reservation) => reservation.0.plan.core.id(),
            Self::Block(blocked) => blocked.resource_id(),
        }
    }

    /// Waits where it has to, on any runtime: `sleep` is that runtime's, such as `tokio::time::sleep`.
    ///
    /// Dropping the future gives back what was reserved.
    ///
    /// # Errors
    ///
    /// The refusal, by a rule at once or by a later rule after the wait.
    pub async fn admitted<F>(self, mut sleep: impl FnMut(Duration) -> F) -> Result<Entry, Blocked>
    where
        F: Future,
    {
        let mut decision = self;
        loop {
            match decision {
                Self::Admit(entry) => return Ok(entry),
                Self::Block(blocked) => return Err(blocked),
                Self::Wait(reservation) => {
                    sleep(reservation.delay()).await;
                    decision = reservation.resume();
                }
            }
        }
    }

    /// Waits where it has to, blocking the thread. Not for async code.
    ///
    /// # Errors
    ///
    /// The refusal, by a rule at once or by a later rule after the wait.
    #[expect(clippy::disallowed_methods, reason = "blocking is what the caller asks for by name")]
    pub fn admitted_blocking(self) -> Result<Entry, Blocked> {
        let mut decision = self;
        loop {
            match decision {
                Self::Admit(entry) => return Ok(entry),
                Self::Block(blocked) => return Err(blocked),
                Self::Wait(reservation) => {
                    std::thread::sleep(reservation.delay());
                    decision = reservation.resume();
                }
            }
        }
    }
}

/// A place in the future that is kept for a call.
///
/// Dropping it gives everything back; the call then counts neither as passed nor as blocked.
#[derive(Debug)]
#[must_use = "dropping the reservation gives it back"]
pub struct Reservation(
    /// Boxed, so that the decision of a call that does not wait stays small.
    Box<Waiting>,
);

#[derive(Debug)]
struct Waiting {
    plan: PlanRef,
    taken: Tokens,
    due: u64,
    at: Stage,
    call: OwnedCall,
}

impl Reservation {
    pub(crate) fn new(plan: PlanRef, taken: Tokens, now: u64, at: Stage, delay: u64, call: &Call<'_>) -> Self {
        Self(Box::new(Waiting { plan, taken, due: now.saturating_add(delay), at, call: call.into() }))
    }

    /// How long to wait from now on.
    pub fn delay(&self) -> Duration {
        Duration::from_nanos(self.0.due.saturating_sub(self.0.plan.core.time.now()))
    }

    /// Goes on after the wait, through the rules that come after the one that asked for it.
    ///
    /// Before the time has come, this is the same reservation again.
    pub fn resume(mut self) -> Decision {
        let waiting = &mut *self.0;
        let now = waiting.plan.core.time.now();
        if now < waiting.due {
            return Decision::Wait(self);
        }
        let permits = waiting.call.permits();
        let from = waiting.at.next();
        match waiting.call.with(|call| waiting.plan.stages.walk(from, call, now, &mut waiting.taken)) {
            Verdict::Pass => {
                let held = Stages::admit(std::mem::take(&mut waiting.taken));
                Decision::Admit(Entry::admit(waiting.plan.clone(), held, now, permits))
            }
            Verdict::Wait { at, delay } => {
                waiting.at = at;
                waiting.due = now.saturating_add(delay);
                Decision::Wait(self)
            }
            Verdict::Block { at, cause } => {
                Decision::Block(Blocked::count(waiting.plan.clone(), now, permits, at, cause))
            }
        }
    }

    /// The reservation as a refusal, for callers that do not wait.
    #[cold]
    fn refuse(self) -> Blocked {
        let Waiting { plan, due, at, call, .. } = &*self.0;
        let now = plan.core.time.now();
        let threshold = plan.stages.rule(*at).map_or(0.0, Describe::threshold);
        let cause = Cause { observed: threshold, threshold, retry_after: due.saturating_sub(now) };
        Blocked::count(plan.clone(), now, call.permits(), *at, cause)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Self { plan, taken, call, .. } = self;
        call.with(|call| plan.stages.undo(taken, call));
    }
}
