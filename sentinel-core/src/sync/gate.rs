//! A state behind a lock, of which callers see without the lock whether they need it.

use super::primitive::{AtomicU64, Mutex, Ordering};

/// Numbers have 62 bits, beside two that say what they are.
const BITS: u32 = 62;
const MAX: u64 = (1 << BITS) - 1;
const OPEN: u64 = 0;
const SHUT: u64 = 1;
const ASK: u64 = 2;

/// What callers see of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Go on, in this period; at most 2^62 - 1.
    Open { period: u64 },
    /// Nobody goes on before this moment; from 2^62 - 1 on, which is 146 years, it is never: `u64::MAX`.
    Shut { until: u64 },
    /// Only the state can tell.
    Ask,
}

/// A state that can be seen.
pub(crate) trait Visible {
    fn sight(&self) -> Sight;
}

/// A state, and what callers see of it.
///
/// # Why this is correct
///
/// The word is what the state looks like: it is written only by who holds the lock, before the lock is given up, after
/// each change. So who looks sees what the state looked like at some time, and never older than what happened before the
/// look: by coherence, a thread that has seen one state, or has been handed something by a thread that has, never sees
/// one before it.
///
/// All that goes into one decision is in one word: that the gate is shut, and until when. And whoever goes on carries
/// the period along in which that was: when it comes back, the state compares the two under the lock. So a call that went
/// on although the gate was shut at that very moment is one that had gone on just before, and the state knows it as that.
///
/// Writing is a release and looking an acquire: who sees a state sees what was written beside it before.
///
/// Models: those of the circuit breaker, in `families/circuit_breaker/models.rs`.
#[derive(Debug)]
pub(crate) struct Gate<S> {
    word: AtomicU64,
    state: Mutex<S>,
}

impl<S: Visible> Gate<S> {
    pub(crate) fn new(state: S) -> Self {
        Self { word: AtomicU64::new(pack(state.sight())), state: Mutex::new(state) }
    }

    /// What the state looks like.
    #[inline]
    pub(crate) fn look(&self) -> Sight {
        unpack(self.word.load(Ordering::Acquire))
    }

    /// Reads or changes the state. `act` runs under the lock: a few steps, and nothing foreign.
    #[inline]
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut S) -> T) -> T {
        let mut state = self.state.lock();
        let result = act(&mut state);
        let word = pack(state.sight());
        // Mostly nothing has changed, and what is only read stays in the caches of those who look.
        if self.word.load(Ordering::Relaxed) != word {
            self.word.store(word, Ordering::Release);
        }
        result
    }
}

#[inline]
fn pack(sight: Sight) -> u64 {
    match sight {
        Sight::Open { period } => (period.min(MAX) << 2) | OPEN,
        Sight::Shut { until } => (until.min(MAX) << 2) | SHUT,
        Sight::Ask => ASK,
    }
}

#[inline]
fn unpack(word: u64) -> Sight {
    match (word & 3, word >> 2) {
        (OPEN, period) => Sight::Open { period },
        (SHUT, MAX) => Sight::Shut { until: u64::MAX },
        (SHUT, until) => Sight::Shut { until },
        _ => Sight::Ask,
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_word_tells_what_was_put_in() {
        for number in [0, 1, 3, 4, 1 << 40, MAX - 1] {
            for sight in [Sight::Open { period: number }, Sight::Shut { until: number }, Sight::Ask] {
                assert_eq!(unpack(pack(sight)), sight);
            }
        }
        assert_eq!(unpack(pack(Sight::Shut { until: u64::MAX - 1 })), Sight::Shut { until: u64::MAX });
        assert_eq!(unpack(pack(Sight::Open { period: MAX })), Sight::Open { period: MAX });
    }
}
