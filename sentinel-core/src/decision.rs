use std::{
    future::{Future, poll_fn},
    mem,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use crate::{
    blocked::Blocked,
    call::{Call, OwnedCall},
    entry::Entry,
    families::{Cause, Halt, Pooled, Resume, SOON, Turn},
    plan::{PlanRef, Reason, Stage, Verdict},
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
                    let mut sleep = pin!(sleep(reservation.delay()));
                    poll_fn(|context| reservation.poll_wait(sleep.as_mut(), context)).await;
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
    pub fn admitted_blocking(self) -> Result<Entry, Blocked> {
        let mut decision = self;
        loop {
            match decision {
                Self::Admit(entry) => return Ok(entry),
                Self::Block(blocked) => return Err(blocked),
                Self::Wait(reservation) => {
                    reservation.block();
                    decision = reservation.resume();
                }
            }
        }
    }
}

/// A place in the future, or in a queue, that is kept for a call.
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
    taken: Pooled,
    due: u64,
    at: Stage,
    /// The place in a queue, if it waits in one.
    turn: Option<Arc<dyn Turn>>,
    call: OwnedCall,
    /// Keeps the resource from being given up.
    _open: Arc<()>,
}

impl Reservation {
    pub(crate) fn new(plan: PlanRef, taken: Pooled, now: u64, family: u16, halt: Halt, call: &Call<'_>) -> Self {
        let Halt { rule, delay, turn } = halt;
        let (due, at) = (now.saturating_add(delay), Stage { family, rule });
        let open = Arc::clone(&plan.core.reservations);
        Self(Box::new(Waiting { plan, taken, due, at, turn, call: call.into(), _open: open }))
    }

    /// How long to wait from now on; in a queue, at most.
    pub fn delay(&self) -> Duration {
        Duration::from_nanos(self.0.due.saturating_sub(self.0.plan.core.time.now()))
    }

    /// Waits inside of a future of one's own: ready when it is time to [resume](Reservation::resume), which is when
    /// `sleep` has slept for the [delay](Reservation::delay), or earlier when the call's turn in a queue has come.
    pub fn poll_wait(&self, sleep: Pin<&mut (impl Future + ?Sized)>, context: &mut Context<'_>) -> Poll<()> {
        match &self.0.turn {
            Some(turn) if turn.poll(context).is_ready() => Poll::Ready(()),
            _ => sleep.poll(context).map(drop),
        }
    }

    /// Goes on after the wait, through the rules that come after the one that asked for it.
    ///
    /// Before the time, or the call's turn, has come, this is the same reservation again.
    pub fn resume(mut self) -> Decision {
        let waiting = &mut *self.0;
        let now = waiting.plan.core.time.now();
        if waiting.turn.is_none() {
            if now < waiting.due {
                return Decision::Wait(self);
            }
        } else {
            match waiting.plan.stages.resume(waiting.at, waiting.taken.tokens(), now) {
                Resume::Pass => {}
                Resume::Wait => return Decision::Wait(self),
                Resume::Block(cause) => {
                    return Decision::Block(waiting.block(now, Reason { at: waiting.at, cause }));
                }
            }
        }
        let from = waiting.at.next();
        match waiting.call.with(|call| waiting.plan.walk_on(from, call, now, waiting.taken.tokens())) {
            Verdict::Pass => {
                let Waiting { plan, taken, call, .. } = waiting;
                let held = call.with(|call| plan.pass(mem::take(taken), call, now));
                Decision::Admit(Entry::new(plan.clone(), held, now, call.permits()))
            }
            Verdict::Wait { family, halt: Halt { rule, delay, turn } } => {
                waiting.at = Stage { family, rule };
                waiting.due = now.saturating_add(delay);
                waiting.turn = turn;
                Decision::Wait(self)
            }
            Verdict::Block(reason) => Decision::Block(waiting.block(now, reason)),
        }
    }

    /// Blocks the thread until it is time to resume.
    #[expect(clippy::disallowed_methods, reason = "blocking is what the caller asks for by name")]
    fn block(&self) {
        let Some(turn) = &self.0.turn else { return thread::sleep(self.delay()) };
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        while turn.poll(&mut context).is_pending() {
            let delay = self.delay();
            if delay.is_zero() {
                return;
            }
            thread::park_timeout(delay);
        }
    }

    /// The reservation as a refusal, for callers that do not wait.
    #[cold]
    fn refuse(mut self) -> Blocked {
        let Waiting { plan, taken, due, at, turn, call, .. } = &mut *self.0;
        let now = plan.core.time.now();
        let (observed, threshold) = call.with(|call| plan.stages.seen(*at, taken.tokens(), call));
        let retry_after = if turn.is_some() { SOON } else { due.saturating_sub(now) };
        let reason = Reason { at: *at, cause: Cause { observed, threshold, retry_after } };
        self.0.block(now, reason)
    }
}

impl Waiting {
    fn block(&mut self, now: u64, reason: Reason) -> Blocked {
        let Self { plan, taken, call, .. } = self;
        call.with(|call| plan.block(taken, call, now, reason));
        Blocked::new(plan.clone(), reason)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Self { plan, taken, call, .. } = self;
        let now = plan.core.time.now();
        call.with(|call| plan.undo(taken.tokens(), call, now));
    }
}

/// Wakes a thread that blocks.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
