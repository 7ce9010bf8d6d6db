//! Counters of a resource, spread over stripes.
//!
//! A total only grows and is never reset. One thread alone writes a stripe that it owns, with a load and a store; a
//! stripe with several writers takes read-modify-writes. [`set`] says which thread writes where, [`turn`] which bucket
//! is in progress.

pub(crate) mod set;
pub(crate) mod turn;

use self::turn::Tag;
use super::primitive::{AtomicU32, AtomicU64, Ordering};

/// How many steps the histogram of response times has. Models need no more than two.
pub(crate) const STEPS: usize = if cfg!(loom) { 2 } else { 232 };

/// How often each step of the histogram was met; wraps around.
pub(crate) type Steps = [u32; STEPS];

/// One writer's, or one group of writers', part of a resource's counters: 1,024 bytes.
///
/// Methods take `OWNED`: whether the calling thread is the only one that writes here.
///
/// # Why this is correct
///
/// *Nothing is lost.* An owned stripe has one writer at a time, so between its load and its store nobody else writes;
/// a new owner has seen all that the last one stored (see [`threads`](super::threads)). Other stripes are written by
/// `fetch_add` only. No reader writes.
///
/// *A reader never sees more completions than passes, nor more errors and ignored calls than completions.* Each total
/// is stored with release order, a call's pass before its completion, and that before its error. A reader loads with
/// acquire order the other way round: errors of all stripes, then completions of all, then passes. To see an error is
/// to see the completion before it, in whichever stripe, because the entry itself went from the one thread to the other.
///
/// Model: `statistics/models.rs`.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Stripe {
    pass: AtomicU64,
    block: AtomicU64,
    complete: AtomicU64,
    error: AtomicU64,
    ignored: AtomicU64,
    response_time: AtomicU64,
    next_sample: AtomicU64,
    /// On an owned stripe, the response that is not in the histogram yet.
    latest: AtomicU64,
    /// Of the buckets in progress and before it: one for even turns, one for odd ones.
    extremes: [Extremes; 2],
    steps: [AtomicU32; STEPS],
}

impl Default for Stripe {
    fn default() -> Self {
        Self {
            pass: AtomicU64::new(0),
            block: AtomicU64::new(0),
            complete: AtomicU64::new(0),
            error: AtomicU64::new(0),
            ignored: AtomicU64::new(0),
            response_time: AtomicU64::new(0),
            next_sample: AtomicU64::new(0),
            latest: AtomicU64::new(0),
            extremes: [Extremes::default(), Extremes::default()],
            steps: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }
}

impl Stripe {
    /// Counts permits that passed; returns how many there were before.
    #[inline]
    pub(crate) fn pass<const OWNED: bool>(&self, count: u64) -> u64 {
        add::<OWNED>(&self.pass, count)
    }

    /// Counts permits that were refused; returns how many there were before.
    #[inline]
    pub(crate) fn block<const OWNED: bool>(&self, count: u64) -> u64 {
        add::<OWNED>(&self.block, count)
    }

    /// Counts permits that were given back.
    #[inline]
    pub(crate) fn complete<const OWNED: bool>(&self, count: u64) {
        add::<OWNED>(&self.complete, count);
    }

    /// Counts completed permits as failed; after [`complete`](Stripe::complete).
    #[inline]
    pub(crate) fn fail<const OWNED: bool>(&self, count: u64) {
        add::<OWNED>(&self.error, count);
    }

    /// Counts completed permits as ignored; after [`complete`](Stripe::complete).
    #[inline]
    pub(crate) fn ignore<const OWNED: bool>(&self, count: u64) {
        add::<OWNED>(&self.ignored, count);
    }

    /// Records a response time in nanoseconds, `count` times, in this step of the histogram.
    #[inline]
    pub(crate) fn respond<const OWNED: bool>(&self, tag: Tag, nanos: u64, step: usize, count: u32) {
        add::<OWNED>(&self.response_time, nanos.wrapping_mul(u64::from(count)));
        if OWNED {
            // Counted with the next one. Where a store goes that depends on a clock's reading is known late, and until
            // then all loads after it have to wait.
            let before = self.latest.load(Ordering::Relaxed);
            self.latest.store((step as u64) << u32::BITS | u64::from(count), Ordering::Relaxed);
            let (step, count) = latest(before);
            if let Some(step) = self.steps.get(step) {
                step.store(step.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
            }
        } else if let Some(step) = self.steps.get(step) {
            step.fetch_add(count, Ordering::Relaxed);
        }
        self.extremes[tag.parity()].record::<OWNED>(tag, nanos);
    }

    /// Adds the histogram to `sums`. While its thread counts, one response may be missing or there twice.
    pub(crate) fn add_steps(&self, sums: &mut Steps) {
        for (sum, step) in sums.iter_mut().zip(&self.steps) {
            *sum = sum.wrapping_add(step.load(Ordering::Relaxed));
        }
        let (step, count) = latest(self.latest.load(Ordering::Relaxed));
        if let Some(sum) = sums.get_mut(step) {
            *sum = sum.wrapping_add(count);
        }
    }

    /// Whether this stripe's thread should look at the number of calls in flight.
    #[inline]
    pub(crate) fn is_sample_due(&self, now: u64) -> bool {
        now >= self.next_sample.load(Ordering::Relaxed)
    }

    /// Puts the next look off.
    pub(crate) fn sample_again_at(&self, at: u64) {
        self.next_sample.store(at, Ordering::Relaxed);
    }

    /// Permits given back on this stripe.
    pub(crate) fn completed(&self) -> u64 {
        self.complete.load(Ordering::Acquire)
    }
}

/// The step of the histogram, and how often.
#[inline]
fn latest(word: u64) -> (usize, u32) {
    ((word >> u32::BITS) as usize, word as u32)
}

#[inline]
fn add<const OWNED: bool>(total: &AtomicU64, count: u64) -> u64 {
    if OWNED {
        let before = own_value(total);
        total.store(before.wrapping_add(count), Ordering::Release);
        before
    } else {
        total.fetch_add(count, Ordering::Release)
    }
}

/// What only this thread writes.
#[cfg(not(loom))]
#[inline]
fn own_value(total: &AtomicU64) -> u64 {
    total.load(Ordering::Relaxed)
}

/// The same. Loom sets an access against the one before it alone: a load here would hide the store that follows from
/// those who read earlier, and with it the interleavings that matter.
#[cfg(loom)]
fn own_value(total: &AtomicU64) -> u64 {
    total.fetch_add(0, Ordering::Relaxed)
}

/// Least and greatest response time of a bucket: each in a word with the tag of its turn, so that a word of an older
/// turn counts for nothing.
///
/// # Why this is correct
///
/// A word holds the extreme of exactly the turn that it names. Buckets take turns in two places, so a writer that comes
/// late, with the tag of the turn that has just ended, still writes where the reader of that turn looks. One that is
/// held up for a whole further bucket finds a newer tag and counts there, or, alone on its stripe, leaves a word that
/// nobody looks at any more: the one case in which an extreme is missed.
///
/// Tags are compared modulo 2^28 turns: a year at ten buckets a second.
#[derive(Debug, Default)]
struct Extremes {
    least: AtomicU64,
    greatest: AtomicU64,
}

impl Extremes {
    #[inline]
    fn record<const OWNED: bool>(&self, tag: Tag, nanos: u64) {
        let word = tag.with(nanos);
        let least = self.least.load(Ordering::Relaxed);
        let greatest = self.greatest.load(Ordering::Relaxed);
        // One comparison for `least <= word <= greatest`. It relies on both words being of one turn, so on one writer.
        if !OWNED || word.wrapping_sub(least) > greatest.wrapping_sub(least) {
            self.widen::<OWNED>(word);
        }
    }

    #[cold]
    #[inline(never)]
    fn widen<const OWNED: bool>(&self, word: u64) {
        update::<OWNED>(&self.least, |old| turn::combine(old, word, u64::min));
        update::<OWNED>(&self.greatest, |old| turn::combine(old, word, u64::max));
    }
}

fn update<const OWNED: bool>(word: &AtomicU64, change: impl Fn(u64) -> u64) {
    if OWNED {
        word.store(change(word.load(Ordering::Relaxed)), Ordering::Relaxed);
    } else {
        // Declines when there is nothing to change, which is no error.
        let _ =
            word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| Some(change(old)).filter(|&new| new != old));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_latest_response_is_in_the_histogram_like_all_others() {
        let stripe = Stripe::default();
        let steps = || {
            let mut sums = [0; STEPS];
            stripe.add_steps(&mut sums);
            [sums[3], sums[7]]
        };
        assert_eq!(steps(), [0, 0]);
        stripe.respond::<true>(Tag::of(1), 1, 3, 2);
        assert_eq!(steps(), [2, 0]);
        stripe.respond::<true>(Tag::of(1), 1, 7, 5);
        assert_eq!(steps(), [2, 5]);
        stripe.respond::<true>(Tag::of(1), 1, 3, 1);
        assert_eq!(steps(), [3, 5]);
    }
}
