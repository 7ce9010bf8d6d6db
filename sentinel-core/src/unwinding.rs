//! Whether a panic cuts a call off.

use std::thread;

/// The begin of a call, on a thread that may be cleaning up after a panic: what is called there is not cut off by that.
///
/// # Cost
///
/// One load of a word that all threads share, and that changes only where one panics.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    unwinding: bool,
}

impl Begun {
    #[inline]
    pub(crate) fn now() -> Self {
        Self { unwinding: thread::panicking() }
    }

    /// Whether the thread unwinds, and did not when the call began.
    #[inline]
    pub(crate) fn is_cut_off(self) -> bool {
        thread::panicking() && !self.unwinding
    }
}
