//! All stripes of a resource, and which of them a thread writes.

use std::sync::OnceLock;

use super::{Steps, Stripe, turn::Tag};
use crate::sync::{
    primitive::{AtomicU64, Ordering},
    threads,
};

/// A resource is hot when this many permits pass, or are refused, …
const HOT_PERMITS: u32 = 256;
/// … within this time, in nanoseconds. It stays hot.
const HOT_TIME: u64 = 25_000_000;

/// A stripe that comes into being when it is first used.
type Slot = OnceLock<Box<Stripe>>;

/// The stripes of one resource.
///
/// At first there is one, written by all. Once the resource is [hot](HOT_PERMITS), each thread has its own: the
/// threads with the lowest [numbers](threads), twice as many as the machine runs at once, from 4 to 64. The others
/// share as many common ones. Each comes into being when it is first used.
///
/// # Why this is correct
///
/// Stripes are added and never taken away, and what is counted in one stays there, so sums over all that are there only
/// grow. Loads come in the order that [`Stripe`] asks for: errors, completions, passes. A thread's own stripe is its own
/// because no two threads have one number at a time. `mark` only guesses whether the resource is hot: it says nothing
/// about other memory, so it needs no order.
///
/// # Memory
///
/// Nothing on the heap before the first call; 1,024 bytes from then on; when hot, 1,024 more for each thread that calls,
/// at most 128 times, and 16 for each that could: 130 KiB at most on 32 cores and more, 9 KiB on two.
#[derive(Debug)]
pub(crate) struct StripeSet {
    owned: OnceLock<Box<[Slot]>>,
    first: Slot,
    common: OnceLock<Box<[Slot]>>,
    /// When the count of passed or refused permits last went over a multiple of [`HOT_PERMITS`].
    mark: AtomicU64,
}

/// Where a thread writes that has no stripe yet, or gets none.
pub(crate) enum Place<'a> {
    /// The only stripe of a resource that is not hot.
    First(&'a Stripe),
    /// The thread's own.
    Own(&'a Stripe),
    /// One that it shares with some threads.
    Common(&'a Stripe),
}

impl StripeSet {
    pub(crate) fn new() -> Self {
        Self { owned: OnceLock::new(), first: OnceLock::new(), common: OnceLock::new(), mark: AtomicU64::new(0) }
    }

    /// The calling thread's own stripe, if it is there.
    #[inline]
    pub(crate) fn own(&self) -> Option<&Stripe> {
        let stripe = self.owned.get()?.get(threads::number())?.get()?;
        Some(stripe)
    }

    /// Where the calling thread writes: its own stripe if it may have one.
    ///
    /// # Cost
    ///
    /// Allocates the stripe on its first use.
    #[cold]
    pub(crate) fn place(&self) -> Place<'_> {
        let Some(owned) = self.owned.get() else { return Place::First(self.first.get_or_init(Box::default)) };
        let number = threads::register();
        if let Some(slot) = owned.get(number) {
            return Place::Own(slot.get_or_init(Box::default));
        }
        let common = self.common.get_or_init(|| empty_slots(owned.len()));
        Place::Common(common[number % common.len()].get_or_init(Box::default))
    }

    /// Notes that `count` permits more passed, or were refused, than `before`; gives threads their own stripes if that
    /// is a lot in a short time.
    pub(crate) fn warm(&self, before: u64, count: u32, now: u64) {
        let step = u64::from(HOT_PERMITS);
        if before / step == before.wrapping_add(u64::from(count)) / step {
            return;
        }
        let last = self.mark.swap(now, Ordering::Relaxed);
        if now.saturating_sub(last) < HOT_TIME {
            self.owned.get_or_init(|| empty_slots(threads::owners()));
        }
    }

    /// The sum of all stripes.
    pub(crate) fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for stripe in self.stripes() {
            sums.error = sums.error.wrapping_add(stripe.error.load(Ordering::Acquire));
            sums.ignored = sums.ignored.wrapping_add(stripe.ignored.load(Ordering::Acquire));
            sums.response_time = sums.response_time.wrapping_add(stripe.response_time.load(Ordering::Acquire));
            sums.block = sums.block.wrapping_add(stripe.block.load(Ordering::Acquire));
        }
        (sums.complete, sums.pass) = self.completed_and_passed();
        sums
    }

    /// Permits that passed and were not given back yet.
    pub(crate) fn in_flight(&self) -> u64 {
        let (complete, pass) = self.completed_and_passed();
        pass.saturating_sub(complete)
    }

    /// In this order: whoever counts a completion has counted the pass before.
    fn completed_and_passed(&self) -> (u64, u64) {
        let complete = self.stripes().map(Stripe::completed).fold(0, u64::wrapping_add);
        let pass = self.stripes().map(|stripe| stripe.pass.load(Ordering::Acquire)).fold(0, u64::wrapping_add);
        (complete, pass)
    }

    /// Least and greatest response time, in nanoseconds, of the turn with this tag, if it has any.
    pub(crate) fn extremes(&self, tag: Tag) -> Option<(u64, u64)> {
        let place = tag.parity();
        let words = |stripe: &Stripe| {
            let extremes = &stripe.extremes[place];
            let least = tag.nanos(extremes.least.load(Ordering::Relaxed))?;
            Some((least, tag.nanos(extremes.greatest.load(Ordering::Relaxed))?))
        };
        self.stripes().filter_map(words).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// Adds the histograms of all stripes to `steps`.
    pub(crate) fn add_steps(&self, steps: &mut Steps) {
        for stripe in self.stripes() {
            stripe.add_steps(steps);
        }
    }

    /// The stripes that are there.
    fn stripes(&self) -> impl Iterator<Item = &Stripe> {
        let spread = [&self.owned, &self.common].into_iter().filter_map(OnceLock::get).flatten();
        std::iter::once(&self.first).chain(spread).filter_map(OnceLock::get).map(Box::as_ref)
    }

    /// Brings the first stripe into being, and those of `owners` threads with a common one for all others.
    #[cfg(all(test, loom))]
    pub(crate) fn prepare(&self, owners: usize) {
        self.first.get_or_init(Box::default);
        if owners > 0 {
            let owned = self.owned.get_or_init(|| empty_slots(owners));
            let common = self.common.get_or_init(|| empty_slots(1));
            for slot in owned.iter().chain(common) {
                slot.get_or_init(Box::default);
            }
        }
    }
}

/// Totals since the resource came into being: permits, and nanoseconds of response time. They wrap around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) pass: u64,
    pub(crate) block: u64,
    pub(crate) complete: u64,
    pub(crate) error: u64,
    pub(crate) ignored: u64,
    pub(crate) response_time: u64,
}

impl Sums {
    /// What was added since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            pass: self.pass.wrapping_sub(earlier.pass),
            block: self.block.wrapping_sub(earlier.block),
            complete: self.complete.wrapping_sub(earlier.complete),
            error: self.error.wrapping_sub(earlier.error),
            ignored: self.ignored.wrapping_sub(earlier.ignored),
            response_time: self.response_time.wrapping_sub(earlier.response_time),
        }
    }

    /// Permits that passed and were not given back yet.
    pub(crate) fn in_flight(&self) -> u64 {
        self.pass.saturating_sub(self.complete)
    }
}

fn empty_slots(count: usize) -> Box<[Slot]> {
    (0..count).map(|_| Slot::new()).collect()
}
