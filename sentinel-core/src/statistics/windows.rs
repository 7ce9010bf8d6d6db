//! Windows as differences of totals.
//!
//! When a bucket begins, somebody notes what the totals were then. A window is the totals now less the totals when its
//! first bucket began. Nothing is ever reset, so nothing can be lost or counted twice: what comes late merely counts in
//! a later bucket.

use std::borrow::Cow;

use super::histogram::History;
use crate::sync::stripe::{Steps, set::Sums, turn::Tag};

/// How many rows of a second the minute has.
const SECONDS: usize = 60;
/// How many seconds a period of the percentiles has.
const PERIOD: u64 = 10;

/// What no total can say about a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extremes {
    /// Least response time in nanoseconds; `u64::MAX` when there was none.
    pub(super) least: u64,
    /// Greatest response time in nanoseconds; 0 when there was none.
    pub(super) greatest: u64,
    /// Most permits in flight.
    pub(super) in_flight: u64,
}

impl Extremes {
    /// No response, and this many permits in flight throughout.
    pub(super) fn idle(in_flight: u64) -> Self {
        Self { least: u64::MAX, greatest: 0, in_flight }
    }

    pub(super) fn join(&mut self, other: &Self) {
        self.least = self.least.min(other.least);
        self.greatest = self.greatest.max(other.greatest);
        self.in_flight = self.in_flight.max(other.in_flight);
    }
}

/// What happened in a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub(super) sums: Sums,
    pub(super) extremes: Extremes,
}

impl View {
    /// Nothing happened.
    pub(super) fn empty(present: &Present) -> Self {
        Self { sums: Sums::default(), extremes: Extremes::idle(present.in_flight) }
    }
}

/// The totals now, and who is in flight now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Present {
    pub(super) sums: Sums,
    pub(super) in_flight: u64,
}

impl Present {
    pub(super) fn new(sums: Sums) -> Self {
        Self { sums, in_flight: sums.in_flight() }
    }
}

#[derive(Clone, Copy, Debug)]
struct Row {
    /// The totals when the row's time began.
    begin: Sums,
    extremes: Extremes,
}

/// The rows of the last so many buckets, or seconds, by their number since the clock's start.
#[derive(Clone, Debug)]
struct Ring {
    rows: Box<[Row]>,
    /// The number of the newest row.
    last: u64,
}

impl Ring {
    /// Nothing has happened before row `last`.
    fn new(length: usize, last: u64) -> Self {
        let row = Row { begin: Sums::default(), extremes: Extremes::idle(0) };
        Self { rows: vec![row; length].into_boxed_slice(), last }
    }

    fn length(&self) -> u64 {
        self.rows.len() as u64
    }

    fn place(&self, number: u64) -> usize {
        // A remainder of a length fits where the length does.
        (number % self.length()) as usize
    }

    /// The number of the first row of the window that ends with row `number`.
    fn first(&self, number: u64) -> u64 {
        (number + 1).saturating_sub(self.length())
    }

    /// Begins row `number`, and the rows between, in which nothing happened.
    fn advance(&mut self, number: u64, present: &Present) {
        for skipped in self.first(number).max(self.last + 1)..=number {
            let place = self.place(skipped);
            self.rows[place] = Row { begin: present.sums, extremes: Extremes::idle(present.in_flight) };
        }
        self.last = number;
    }

    /// Adds to what is known about row `number`, if it is still there.
    fn note(&mut self, number: u64, extremes: &Extremes) {
        if (self.first(self.last)..=self.last).contains(&number) {
            let place = self.place(number);
            self.rows[place].extremes.join(extremes);
        }
    }

    /// The window that ends with row `number`, which may not have begun yet.
    fn window(&self, number: u64, present: &Present) -> View {
        let number = number.max(self.last);
        let mut extremes = Extremes::idle(present.in_flight);
        for row in self.first(number)..=self.last {
            extremes.join(&self.rows[self.place(row)].extremes);
        }
        View { sums: present.sums.since(self.begin(self.first(number), present)), extremes }
    }

    /// The rows of that window, oldest first.
    fn each(&self, number: u64, present: &Present) -> impl Iterator<Item = View> {
        let number = number.max(self.last);
        (self.first(number)..=number).map(|row| View {
            sums: self.begin(row + 1, present).since(self.begin(row, present)),
            extremes: if row > self.last {
                Extremes::idle(present.in_flight)
            } else {
                self.rows[self.place(row)].extremes
            },
        })
    }

    /// The totals when this row began: those of now if it has not yet.
    fn begin<'a>(&'a self, row: u64, present: &'a Present) -> &'a Sums {
        if row > self.last { &present.sums } else { &self.rows[self.place(row)].begin }
    }
}

/// The last second in buckets, the last minute in seconds, and the histogram at each of the last ten seconds.
///
/// Only calls move the windows on. Looking at them at a later time counts the time between as empty.
///
/// # Memory
///
/// About 100 bytes, 72 for each bucket, and from the second second with traffic on 4,320 for the minute; for the
/// percentiles see [`History`].
#[derive(Debug)]
pub(super) struct Windows {
    buckets: Ring,
    /// `None` as long as all traffic was in one second.
    seconds: Option<Ring>,
    history: History,
    /// How often the bucket was turned.
    turn: u64,
    /// The bucket before the one in progress in which there was traffic.
    previous: u64,
}

impl Windows {
    /// Nothing has happened before `bucket`.
    pub(super) fn new(buckets_per_second: u32, bucket: u64) -> Self {
        Self {
            buckets: Ring::new(buckets_per_second as usize, bucket),
            seconds: None,
            history: History::default(),
            turn: 1,
            previous: bucket,
        }
    }

    /// The bucket in progress.
    pub(super) fn bucket(&self) -> u64 {
        self.buckets.last
    }

    /// The mark on what belongs to the bucket in progress.
    pub(super) fn tag(&self) -> Tag {
        Tag::of(self.turn)
    }

    /// The mark on what belongs to the bucket that comes next.
    pub(super) fn next_tag(&self) -> Tag {
        Tag::of(self.turn + 1)
    }

    /// The bucket in progress and the one before it, in which somebody may still be counting, with their marks.
    pub(super) fn open(&self) -> [(u64, Tag); 2] {
        [(self.previous, Tag::of(self.turn - 1)), (self.bucket(), self.tag())]
    }

    /// Adds to what is known about a bucket.
    pub(super) fn note(&mut self, bucket: u64, extremes: &Extremes) {
        let second = self.second_of(bucket);
        self.buckets.note(bucket, extremes);
        if let Some(seconds) = &mut self.seconds {
            seconds.note(second, extremes);
        }
    }

    /// Goes on to a later bucket, which begins with what is present; `fill` adds up the histogram.
    pub(super) fn advance(&mut self, bucket: u64, present: &Present, fill: impl FnOnce(&mut Steps)) {
        let (old, new) = (self.second_of(self.bucket()), self.second_of(bucket));
        if new > old {
            let mut seconds = self.seconds.take().unwrap_or_else(|| self.first_second());
            seconds.advance(new, present);
            self.seconds = Some(seconds);
            if new / PERIOD > old / PERIOD {
                self.history.push(old / PERIOD + 1, new / PERIOD, fill);
            }
        }
        self.previous = self.bucket();
        self.buckets.advance(bucket, present);
        self.turn += 1;
    }

    /// The buckets of the last second, as of `bucket`.
    pub(super) fn last_second(&self, bucket: u64, present: &Present) -> View {
        self.buckets.window(bucket, present)
    }

    /// The seconds of the last minute, as of `bucket`.
    pub(super) fn last_minute(&self, bucket: u64, present: &Present) -> View {
        self.minute().window(self.second_of(bucket), present)
    }

    /// The seconds of the last minute one by one, oldest first, as of `bucket`.
    pub(super) fn each_second(&self, bucket: u64, present: &Present) -> Vec<View> {
        self.minute().each(self.second_of(bucket), present).collect()
    }

    /// The histogram of the last minute, as of `bucket`; `steps` is the one of all time.
    pub(super) fn last_steps(&self, bucket: u64, steps: Steps) -> Steps {
        let active = self.second_of(self.bucket()) / PERIOD;
        self.history.since_minute_ago(steps, active, active.max(self.second_of(bucket) / PERIOD))
    }

    fn minute(&self) -> Cow<'_, Ring> {
        self.seconds.as_ref().map_or_else(|| Cow::Owned(self.first_second()), Cow::Borrowed)
    }

    /// The minute while all traffic is in one second, and so in the buckets.
    fn first_second(&self) -> Ring {
        let second = self.second_of(self.bucket());
        let mut seconds = Ring::new(SECONDS, second);
        for row in &self.buckets.rows {
            seconds.note(second, &row.extremes);
        }
        seconds
    }

    fn second_of(&self, bucket: u64) -> u64 {
        bucket / self.buckets.length()
    }
}
