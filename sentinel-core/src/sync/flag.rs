//! A mark that two sides agree on.

use super::primitive::{AtomicBool, Ordering, fence};

/// A mark.
///
/// # Why this is correct
///
/// Setting is a release and looking an acquire, so who sees the mark sees what was done before it.
///
/// Two sides that each write something of their own and then look at what the other wrote need more than that. One
/// calls [`settle`](Flag::settle) between its write and [`is_set`](Flag::is_set), the other between [`set`](Flag::set)
/// and its look: the fences are sequentially consistent, so one of the two comes first, and the other side sees
/// what was written before it. Not both can see nothing.
#[derive(Debug, Default)]
pub(crate) struct Flag(AtomicBool);

impl Flag {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn clear(&self) {
        self.0.store(false, Ordering::Release);
    }

    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Orders this thread's writes before the reads that follow.
    pub(crate) fn settle() {
        fence(Ordering::SeqCst);
    }
}
