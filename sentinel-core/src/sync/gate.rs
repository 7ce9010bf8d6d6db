//! A state behind a lock, of which callers see without the lock whether they need it.

use super::primitive::{AtomicU64, Mutex, Ordering};

// A word is a tag in the lowest two bits, and above it what the tag says.
const TAG: u64 = 3;
/// A period, and above it what was counted.
const CALM: u64 = 0;
/// A period.
const OPEN: u64 = 1;
/// A moment.
const SHUT: u64 = 2;
const ASK: u64 = 3;

/// Periods are counted modulo this.
pub(crate) const PERIODS: u64 = 1 << 40;
/// One that was counted.
const ONE: u64 = PERIODS << 2;
/// The last moment that there is, in nanoseconds: after 146 years.
const LAST: u64 = u64::MAX >> 2;

/// What callers see of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Go on, in this period. Where it is calm, what can be [counted](Gate::count) is counted before this moment without
    /// the state.
    Open { period: u64, calm_until: u64 },
    /// Nobody goes on before this moment; the last one there is, and any after it, is never: `u64::MAX`.
    Shut { until: u64 },
    /// Only the state can tell.
    Ask,
}

/// A state that can be seen.
pub(crate) trait Visible {
    fn sight(&self) -> Sight;

    /// Takes over what was counted without it.
    fn take(&mut self, counted: u64);
}

/// A state, and what callers see of it.
///
/// # Why this is correct
///
/// The word is what the state looks like, and it is written by who holds the lock, before the lock is given up. The one
/// exception is a word that is calm, to which anyone adds one, by a compare-exchange that finds it calm and of the period
/// in question. Who has the lock first takes the calm away, with a swap that says how much was added; from then on nobody
/// else writes until the next calm word is there. So everything counted is taken over once, before the state changes, and
/// nothing is counted in a period in which it was not found.
///
/// All that goes into one decision is in one word: that the gate is shut, and until when. Who looks sees what the state
/// looked like at some time, never older than what happened before the look. Who goes on carries the period along, and
/// the state compares it under the lock; so a call that went on although the gate was just being shut is one that went on
/// before.
///
/// `calm_until` is written before a calm word that needs it, with release and acquire in between, so it is never older
/// than the word. If it is younger, the word is too, and the compare-exchange fails, or finds a word that looks the
/// same: then what comes late is counted with what is in progress.
///
/// Models: those of the circuit breaker, in `families/circuit_breaker/models.rs`.
#[derive(Debug)]
pub(crate) struct Gate<S> {
    word: AtomicU64,
    calm_until: AtomicU64,
    state: Mutex<S>,
}

impl<S: Visible> Gate<S> {
    pub(crate) fn new(state: S) -> Self {
        let (word, calm_until) = pack(state.sight());
        Self { word: AtomicU64::new(word), calm_until: AtomicU64::new(calm_until), state: Mutex::new(state) }
    }

    /// What the state looks like.
    #[inline]
    pub(crate) fn look(&self) -> Sight {
        let word = self.word.load(Ordering::Acquire);
        match word & TAG {
            CALM | OPEN => Sight::Open { period: (word >> 2) % PERIODS, calm_until: 0 },
            SHUT if word >> 2 == LAST => Sight::Shut { until: u64::MAX },
            SHUT => Sight::Shut { until: word >> 2 },
            _ => Sight::Ask,
        }
    }

    /// Counts one in a period, where the state is not needed for that: returns whether it was.
    ///
    /// # Cost
    ///
    /// One compare-exchange when uncontended.
    #[inline]
    pub(crate) fn count(&self, period: u64, now: u64) -> bool {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let is_calm = word % ONE == (period << 2) | CALM && now < self.calm_until.load(Ordering::Relaxed);
            let Some(counted) = word.checked_add(ONE).filter(|_| is_calm) else { return false };
            match self.word.compare_exchange_weak(word, counted, Ordering::Relaxed, Ordering::Acquire) {
                Ok(_) => return true,
                Err(seen) => word = seen,
            }
        }
    }

    /// Reads or changes the state. `act` runs under the lock: a few steps, and nothing foreign.
    ///
    /// # Cost
    ///
    /// A lock; a swap where it was calm, a store where that changes what is seen.
    #[inline]
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut S) -> T) -> T {
        let mut state = self.state.lock();
        let mut seen = self.word.load(Ordering::Relaxed);
        if seen & TAG == CALM {
            let busy = (seen % ONE) | OPEN;
            state.take(self.word.swap(busy, Ordering::Relaxed) / ONE);
            seen = busy;
        }
        let result = act(&mut state);
        let (word, calm_until) = pack(state.sight());
        if word != seen {
            self.calm_until.store(calm_until, Ordering::Relaxed);
            self.word.store(word, Ordering::Release);
        }
        result
    }
}

/// The word for a sight, and until when it is calm.
#[inline]
fn pack(sight: Sight) -> (u64, u64) {
    match sight {
        Sight::Open { period, calm_until: 0 } => (((period % PERIODS) << 2) | OPEN, 0),
        Sight::Open { period, calm_until } => (((period % PERIODS) << 2) | CALM, calm_until),
        Sight::Shut { until } => ((until.min(LAST) << 2) | SHUT, 0),
        Sight::Ask => (ASK, 0),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A state that looks as it is told to, and knows what it took.
    struct Told {
        sight: Sight,
        taken: u64,
    }

    impl Visible for Told {
        fn sight(&self) -> Sight {
            self.sight
        }

        fn take(&mut self, counted: u64) {
            self.taken += counted;
        }
    }

    fn gate(sight: Sight) -> Gate<Told> {
        Gate::new(Told { sight, taken: 0 })
    }

    fn calm(period: u64) -> Sight {
        Sight::Open { period, calm_until: 10 }
    }

    #[test]
    fn a_word_tells_what_was_put_in() {
        for number in [0, 1, 3, 4, PERIODS - 1] {
            let open = Sight::Open { period: number, calm_until: 0 };
            assert_eq!(gate(open).look(), open);
            assert_eq!(gate(calm(number)).look(), open);
            assert_eq!(gate(Sight::Shut { until: number }).look(), Sight::Shut { until: number });
        }
        assert_eq!(gate(Sight::Shut { until: LAST - 1 }).look(), Sight::Shut { until: LAST - 1 });
        assert_eq!(gate(Sight::Shut { until: LAST }).look(), Sight::Shut { until: u64::MAX });
        assert_eq!(gate(Sight::Ask).look(), Sight::Ask);
    }

    #[test]
    fn only_a_calm_gate_counts_and_only_in_its_period_and_time() {
        let gate = gate(calm(7));
        assert!(gate.count(7, 9) && gate.count(7, 0));
        assert!(!gate.count(6, 9) && !gate.count(7, 10) && !gate.count(7 + PERIODS / 2, 9));
        assert_eq!(gate.with(|state| state.taken), 2);
        assert!(gate.count(7, 9), "it is calm again");
        for sight in [Sight::Open { period: 7, calm_until: 0 }, Sight::Shut { until: 7 }, Sight::Ask] {
            gate.with(|state| state.sight = sight);
            assert!(!gate.count(7, 9));
        }
        assert_eq!(gate.with(|state| state.taken), 3);
    }

    #[test]
    fn a_gate_that_has_counted_its_fill_asks_for_the_state() {
        let gate = gate(calm(PERIODS - 1));
        let room = u64::MAX / ONE;
        assert!((0..room).all(|_| gate.count(PERIODS - 1, 0)));
        assert!(!gate.count(PERIODS - 1, 0));
        assert_eq!(gate.with(|state| state.taken), room);
        assert!(gate.count(PERIODS - 1, 0));
    }
}
