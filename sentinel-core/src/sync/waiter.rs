//! Waiting for somebody else's decision.

use std::task::{Context, Poll, Waker};

use super::primitive::Mutex;

/// One call in a queue: whoever serves the queue decides, and the call hears of it.
///
/// # Why this is correct
///
/// The state and the waker lie behind one lock. So a decision either comes before a poll, which then is ready, or finds
/// the waker that the poll has left: none is missed. Wakers are foreign code; they are cloned, dropped and woken outside
/// of the lock.
///
/// Model: `a_decision_is_seen_or_wakes`.
#[derive(Debug)]
pub(crate) struct Waiter {
    /// What tells it from all others in its queue; later ones have higher numbers.
    pub(super) place: u64,
    permits: u32,
    until: u64,
    beyond: Option<u32>,
    state: Mutex<State>,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The permits are the call's.
    Granted,
    /// The call is not in the queue any more, and has nothing.
    Refused,
}

#[derive(Debug)]
enum State {
    Waiting(Option<Waker>),
    Settled(Fate),
}

impl Waiter {
    pub(super) fn new(place: u64, permits: u32, until: u64, beyond: Option<u32>) -> Self {
        Self { place, permits, until, beyond, state: Mutex::new(State::Waiting(None)) }
    }

    /// Ready once it is decided; until then the newest waker is kept.
    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let waker = context.waker().clone();
        let mut state = self.state.lock();
        let State::Waiting(kept) = &mut *state else { return Poll::Ready(()) };
        let before = kept.replace(waker);
        drop(state);
        drop(before);
        Poll::Pending
    }

    /// What was decided, if it is.
    pub(crate) fn fate(&self) -> Option<Fate> {
        match *self.state.lock() {
            State::Waiting(_) => None,
            State::Settled(fate) => Some(fate),
        }
    }

    /// What it waits for.
    pub(crate) fn permits(&self) -> u32 {
        self.permits
    }

    /// The last moment at which it may still be granted.
    pub(crate) fn until(&self) -> u64 {
        self.until
    }

    /// The room of the queue, if it joined beyond that.
    pub(crate) fn beyond(&self) -> Option<u32> {
        self.beyond
    }

    /// Decides, once. Who is waiting has to be woken outside of any lock.
    pub(super) fn settle(&self, fate: Fate) -> Option<Waker> {
        match std::mem::replace(&mut *self.state.lock(), State::Settled(fate)) {
            State::Waiting(waker) => waker,
            State::Settled(_) => None,
        }
    }
}
