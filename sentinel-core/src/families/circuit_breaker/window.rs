//! The results that a breaker decides by: those of the last while, or the last so many.

use super::rule::BreakerWindow;
use crate::clock::saturating_nanos;

/// Results, and how many of them are bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) total: u64,
    pub(super) bad: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.total = self.total.saturating_add(other.total);
        self.bad = self.bad.saturating_add(other.bad);
    }

    fn remove(&mut self, other: Self) {
        self.total = self.total.saturating_sub(other.total);
        self.bad = self.bad.saturating_sub(other.bad);
    }
}

/// The results that count.
#[derive(Debug)]
pub(super) enum Window {
    Time(Buckets),
    Calls(Ring),
}

impl Window {
    pub(super) fn new(window: BreakerWindow) -> Self {
        match window {
            BreakerWindow::Time { interval, buckets } => Self::Time(Buckets::new(saturating_nanos(interval), buckets)),
            BreakerWindow::Calls(calls) => Self::Calls(Ring::new(calls)),
        }
    }

    /// Counts a result.
    #[inline]
    pub(super) fn record(&mut self, now: u64, bad: bool) {
        match self {
            Self::Time(buckets) => buckets.record(now, bad),
            Self::Calls(ring) => ring.record(bad),
        }
    }

    /// Counts good results, in the bucket in progress or one after the other.
    pub(super) fn record_good(&mut self, results: u64) {
        match self {
            Self::Time(buckets) => buckets.record_good(results),
            Self::Calls(ring) => ring.record_good(results),
        }
    }

    /// The end of the bucket in progress, until when only results change what is in the window.
    pub(super) fn end(&self) -> u64 {
        match self {
            Self::Time(buckets) => buckets.end,
            Self::Calls(_) => u64::MAX,
        }
    }

    /// What is in the window, as of the last [`record`](Window::record) or [`advance`](Window::advance).
    #[inline]
    pub(super) fn tally(&self) -> Tally {
        match self {
            Self::Time(buckets) => buckets.sum,
            Self::Calls(ring) => ring.tally(),
        }
    }

    /// Drops what has left the window.
    pub(super) fn advance(&mut self, now: u64) {
        if let Self::Time(buckets) = self {
            buckets.advance(now);
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        match self {
            Self::Time(buckets) => buckets.clear(),
            Self::Calls(ring) => ring.clear(),
        }
    }
}

/// A window in time: the bucket in progress and those before it, as many as make up the interval. Buckets begin at
/// multiples of their length, and leave as a whole.
#[derive(Debug)]
pub(super) struct Buckets {
    /// Nanoseconds.
    length: u64,
    row: Box<[Tally]>,
    /// Where in the row the bucket in progress is.
    place: usize,
    /// When it ends.
    end: u64,
    /// All buckets together.
    sum: Tally,
}

impl Buckets {
    /// An interval that cannot be divided is rounded up.
    fn new(interval: u64, buckets: u32) -> Self {
        let buckets = buckets.max(1);
        let row = (0..buckets).map(|_| Tally::default()).collect();
        Self { length: interval.div_ceil(u64::from(buckets)).max(1), row, place: 0, end: 0, sum: Tally::default() }
    }

    #[inline]
    fn record(&mut self, now: u64, bad: bool) {
        // A reading from before the bucket in progress counts in it.
        self.advance(now);
        self.add(Tally { total: 1, bad: bad.into() });
    }

    fn record_good(&mut self, results: u64) {
        self.add(Tally { total: results, bad: 0 });
    }

    fn add(&mut self, results: Tally) {
        if let Some(bucket) = self.row.get_mut(self.place) {
            bucket.add(results);
        }
        self.sum.add(results);
    }

    #[inline]
    fn advance(&mut self, now: u64) {
        if now >= self.end {
            self.roll(now);
        }
    }

    #[cold]
    fn roll(&mut self, now: u64) {
        let begin = now - now % self.length;
        let steps = begin.saturating_sub(self.end) / self.length;
        for _ in (0..=steps).zip(0..self.row.len()) {
            self.place = (self.place + 1) % self.row.len();
            if let Some(bucket) = self.row.get_mut(self.place) {
                self.sum.remove(std::mem::take(bucket));
            }
        }
        self.end = begin.saturating_add(self.length);
    }

    fn clear(&mut self) {
        self.row.fill(Tally::default());
        self.sum = Tally::default();
    }
}

/// A window in calls: the last so many results, a bit each.
#[derive(Debug)]
pub(super) struct Ring {
    /// A bit is set for each bad result, and for nothing else.
    bits: Box<[u64]>,
    size: u32,
    /// Where the next result goes; where the ring is full, that is where the oldest is.
    next: u32,
    len: u32,
    bad: u32,
}

impl Ring {
    fn new(size: u32) -> Self {
        let size = size.max(1);
        let bits = (0..size.div_ceil(u64::BITS)).map(|_| 0).collect();
        Self { bits, size, next: 0, len: 0, bad: 0 }
    }

    #[inline]
    fn record(&mut self, bad: bool) {
        let (place, mask) = self.next_up_to(1);
        if let Some(word) = self.bits.get_mut(place) {
            let was_bad = *word & mask != 0;
            *word = if bad { *word | mask } else { *word & !mask };
            self.bad = self.bad + u32::from(bad) - u32::from(was_bad);
        }
        self.pass(1);
    }

    fn record_good(&mut self, results: u64) {
        // Of more than there is room for, the first ones do not matter.
        let mut left = u32::try_from(results).unwrap_or(u32::MAX).min(self.size);
        while left > 0 {
            let (place, mask) = self.next_up_to(left);
            if let Some(word) = self.bits.get_mut(place) {
                self.bad -= (*word & mask).count_ones();
                *word &= !mask;
            }
            let step = mask.count_ones();
            self.pass(step);
            left -= step;
        }
    }

    /// The word of the next result, and the bits in it of so many of the next ones as are in one word.
    fn next_up_to(&self, results: u32) -> (usize, u64) {
        let shift = self.next % u64::BITS;
        let results = results.min(u64::BITS - shift).min(self.size - self.next);
        ((self.next / u64::BITS) as usize, u64::MAX >> (u64::BITS - results) << shift)
    }

    /// Moves on over results that are in one word.
    fn pass(&mut self, results: u32) {
        self.next = if self.next + results < self.size { self.next + results } else { 0 };
        self.len = (self.len + results).min(self.size);
    }

    #[inline]
    fn tally(&self) -> Tally {
        Tally { total: self.len.into(), bad: self.bad.into() }
    }

    fn clear(&mut self) {
        self.bits.fill(0);
        (self.next, self.len, self.bad) = (0, 0, 0);
    }
}
