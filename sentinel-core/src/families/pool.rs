//! What calls take, kept where the next call on the thread can use it again.

use std::{cell::Cell, fmt};

use super::{Stages, Tokens};

/// Places for tokens that a thread keeps for its next calls.
const KEPT: usize = 64;

/// What one call has taken, in a place that goes back to the thread on which it is dropped.
///
/// Dropping it forgets what was taken, and gives nothing back to the rules.
///
/// # Memory
///
/// A thread keeps at most 64 places until it ends: as many calls as it has had open at a time. Each takes some hundred
/// bytes, and a few dozen for each rule that is not the first of its family on a resource.
#[derive(Default)]
pub(crate) struct Pooled(Option<Box<Tokens>>);

impl Pooled {
    /// An empty place.
    ///
    /// # Cost
    ///
    /// No allocation, unless the thread has more calls open than ever before.
    #[inline]
    pub(crate) fn take() -> Self {
        Self(Some(POOL.try_with(Pool::pop).ok().flatten().unwrap_or_default()))
    }

    /// What an admitted call keeps under these checks.
    #[inline]
    pub(crate) fn held_under(self, stages: &Stages) -> Option<Self> {
        stages.holds.then_some(self)
    }

    /// Gives the place back, from which everything was taken.
    #[inline]
    pub(crate) fn put_back(mut self) {
        if let Some(tokens) = self.0.take() {
            debug_assert!(tokens.is_empty(), "{tokens:?}");
            keep(tokens);
        }
    }

    /// What was taken, to add to or to take from.
    #[inline]
    pub(crate) fn tokens(&mut self) -> &mut Tokens {
        self.0.get_or_insert_default()
    }
}

impl Drop for Pooled {
    #[inline]
    fn drop(&mut self) {
        if let Some(mut tokens) = self.0.take() {
            tokens.clear();
            keep(tokens);
        }
    }
}

#[inline]
fn keep(tokens: Box<Tokens>) {
    // Where the thread is ending, it is freed.
    let _ = POOL.try_with(|pool| pool.push(tokens));
}

impl fmt::Debug for Pooled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

thread_local! {
    static POOL: Pool = const { Pool { len: Cell::new(0), places: [const { Cell::new(None) }; KEPT] } };
}

struct Pool {
    len: Cell<usize>,
    places: [Cell<Option<Box<Tokens>>>; KEPT],
}

impl Pool {
    #[inline]
    fn pop(&self) -> Option<Box<Tokens>> {
        let last = self.len.get().checked_sub(1)?;
        self.len.set(last);
        self.places.get(last)?.take()
    }

    #[inline]
    fn push(&self, tokens: Box<Tokens>) {
        if let Some(place) = self.places.get(self.len.get()) {
            place.set(Some(tokens));
            self.len.set(self.len.get() + 1);
        }
    }
}
