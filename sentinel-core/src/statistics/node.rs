//! The counters of one resource.

use std::{fmt, time::Duration};

use super::{
    Outcome,
    histogram::{percentiles, step},
    snapshot::{Percentiles, ResponseTimes, Statistics, Totals, Traffic},
    windows::{Extremes, Present, View, Windows},
};
use crate::sync::{
    primitive::Mutex,
    stripe::{
        STEPS, Stripe,
        set::{Place, StripeSet, Sums},
        turn::Turn,
    },
};

const SECOND: u64 = 1_000_000_000;

/// How long a thread does without looking at the calls in flight when the resource is hot.
const SAMPLE: u64 = 1_000_000;

/// The counters of one resource, over all time, the last second, and the last minute.
///
/// Times are nanoseconds of the instance's clock. One that lies before the bucket in progress counts in this bucket.
///
/// # Cost
///
/// Entering and leaving need no read-modify-write and no lock when the resource is hot, a `fetch_add` for each counter
/// before that. The first call in each bucket adds up all stripes under a lock, for which nobody waits, unless the bucket
/// before is a whole bucket or more ago.
///
/// # Memory
///
/// 128 bytes; from the first call on 1.9 KB with ten buckets a second; from the second second with traffic on 4.3 KB
/// for the minute, and 928 bytes for each of up to six ten-second periods. What a hot resource adds is bounded by the
/// number of threads that the machine runs at once: see [`StripeSet`]. After a minute of steady traffic nothing is
/// allocated, but for a thread's first call to a hot resource.
#[repr(align(64))] // so that it shares no cache line with what its neighbours write
pub(crate) struct Node {
    turn: Turn,
    stripes: StripeSet,
    buckets_per_second: u32,
    /// `None` before the first call.
    windows: Mutex<Option<Box<Windows>>>,
}

impl Node {
    /// Counters whose last second has so many buckets: a divisor of 1,000, from 1 to 100.
    pub(crate) fn new(buckets_per_second: u32) -> Self {
        debug_assert!((1..=100).contains(&buckets_per_second) && 1_000 % buckets_per_second == 0);
        Self {
            turn: Turn::new(),
            stripes: StripeSet::new(),
            buckets_per_second: buckets_per_second.max(1),
            windows: Mutex::new(None),
        }
    }

    /// A node whose stripes are all there, hot if it has `owners`: in a model, allocating is a race that is none.
    #[cfg(all(test, loom))]
    pub(super) fn prepared(buckets_per_second: u32, owners: usize) -> Self {
        let node = Self::new(buckets_per_second);
        node.stripes.prepare(owners);
        node
    }

    /// Counts permits that passed and are now in flight.
    #[inline]
    pub(crate) fn enter(&self, now: u64, count: u32) {
        match self.ready_stripe(now) {
            Some(stripe) => {
                stripe.pass::<true>(count.into());
                if stripe.is_sample_due(now) {
                    self.sample(stripe, now);
                }
            }
            None => self.enter_slowly(now, count),
        }
    }

    /// Counts permits that were refused.
    #[inline]
    pub(crate) fn block(&self, now: u64, count: u32) {
        match self.ready_stripe(now) {
            Some(stripe) => _ = stripe.block::<true>(count.into()),
            None => self.block_slowly(now, count),
        }
    }

    /// Counts permits that are given back, `response_time` nanoseconds after they passed.
    #[inline(always)]
    pub(crate) fn exit(&self, now: u64, count: u32, response_time: u64, outcome: Outcome) {
        match self.ready_stripe(now) {
            Some(stripe) => self.complete::<true>(stripe, count, response_time, outcome),
            None => self.exit_slowly(now, count, response_time, outcome),
        }
    }

    /// Permits that passed and were not given back.
    pub(crate) fn in_flight(&self) -> u64 {
        self.stripes.in_flight()
    }

    /// When the latest bucket began in which anything was counted, in nanoseconds; 0 when nothing ever was.
    ///
    /// # Cost
    ///
    /// One load.
    pub(crate) fn last_active(&self) -> u64 {
        self.turn.end().saturating_sub(self.bucket_length())
    }

    /// Permits that passed in the last second.
    ///
    /// # Cost
    ///
    /// A short lock and three loads for each stripe.
    #[cfg(test)]
    pub(crate) fn passed_last_second(&self, now: u64) -> u64 {
        let windows = self.windows.lock();
        let present = Present::new(self.stripes.sums());
        windows.as_ref().map_or(0, |windows| windows.last_second(self.bucket_of(now), &present).sums.pass)
    }

    /// Permits that were given back in the last second, without those of ignored calls, and their response times
    /// together.
    ///
    /// # Cost
    ///
    /// A short lock and six loads for each stripe.
    pub(crate) fn ended_last_second(&self, now: u64) -> (u64, Duration) {
        let windows = self.windows.lock();
        let present = Present::new(self.stripes.sums());
        let Some(windows) = windows.as_ref() else { return (0, Duration::ZERO) };
        let sums = windows.last_second(self.bucket_of(now), &present).sums;
        (sums.complete.saturating_sub(sums.ignored), Duration::from_nanos(sums.response_time))
    }

    /// What was counted since the beginning.
    pub(crate) fn totals(&self) -> Totals {
        totals(&self.stripes.sums())
    }

    /// All numbers as of `now`.
    pub(crate) fn snapshot(&self, now: u64) -> Statistics {
        let mut windows = self.windows.lock();
        let present = Present::new(self.stripes.sums());
        let mut statistics = Statistics {
            second: traffic(Duration::from_secs(1), &View::empty(&present)),
            minute: traffic(Duration::from_secs(60), &View::empty(&present)),
            totals: totals(&present.sums),
            in_flight: present.in_flight,
            percentiles: Percentiles::default(),
        };
        if let Some(windows) = windows.as_deref_mut() {
            let bucket = self.bucket_of(now);
            self.note_extremes(windows, self.turn.peak());
            let mut steps = [0; STEPS];
            self.stripes.add_steps(&mut steps);
            let minute = windows.last_minute(bucket, &present);
            statistics.second = traffic(statistics.second.span, &windows.last_second(bucket, &present));
            statistics.minute = traffic(statistics.minute.span, &minute);
            statistics.percentiles = percentiles(&windows.last_steps(bucket, steps), [50, 90, 99])
                .map_or_else(Percentiles::default, |nanos| within(nanos, &minute.extremes));
        }
        statistics
    }

    /// The last minute, second by second, oldest first: 60 seconds, or as many as have passed since the clock's start.
    pub(crate) fn seconds(&self, now: u64) -> Vec<Traffic> {
        let mut windows = self.windows.lock();
        let Some(windows) = windows.as_deref_mut() else { return Vec::new() };
        let present = Present::new(self.stripes.sums());
        self.note_extremes(windows, self.turn.peak());
        let seconds = windows.each_second(self.bucket_of(now), &present);
        seconds.iter().map(|second| traffic(Duration::from_secs(1), second)).collect()
    }

    /// The calling thread's own stripe, if it has one and the bucket goes on.
    #[inline]
    fn ready_stripe(&self, now: u64) -> Option<&Stripe> {
        if self.turn.is_over(now) { None } else { self.stripes.own() }
    }

    #[cold]
    #[inline(never)]
    fn enter_slowly(&self, now: u64, count: u32) {
        self.turn_to(now);
        let permits = u64::from(count);
        match self.stripes.place() {
            Place::First(stripe) => {
                let before = stripe.pass::<false>(permits);
                self.turn.raise_peak(before.wrapping_add(permits).saturating_sub(stripe.completed()));
                self.stripes.warm(before, count, now);
            }
            Place::Own(stripe) => {
                stripe.pass::<true>(permits);
                self.sample(stripe, now);
            }
            Place::Common(stripe) => {
                stripe.pass::<false>(permits);
                if stripe.is_sample_due(now) {
                    self.sample(stripe, now);
                }
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn block_slowly(&self, now: u64, count: u32) {
        self.turn_to(now);
        match self.stripes.place() {
            Place::First(stripe) => self.stripes.warm(stripe.block::<false>(count.into()), count, now),
            Place::Own(stripe) => _ = stripe.block::<true>(count.into()),
            Place::Common(stripe) => _ = stripe.block::<false>(count.into()),
        }
    }

    #[cold]
    #[inline(never)]
    fn exit_slowly(&self, now: u64, count: u32, response_time: u64, outcome: Outcome) {
        self.turn_to(now);
        match self.stripes.place() {
            Place::Own(stripe) => self.complete::<true>(stripe, count, response_time, outcome),
            Place::First(stripe) | Place::Common(stripe) => {
                self.complete::<false>(stripe, count, response_time, outcome);
            }
        }
    }

    #[inline(always)]
    fn complete<const OWNED: bool>(&self, stripe: &Stripe, count: u32, response_time: u64, outcome: Outcome) {
        let permits = u64::from(count);
        stripe.complete::<OWNED>(permits);
        match outcome {
            Outcome::Ok => {}
            Outcome::Error => stripe.fail::<OWNED>(permits),
            Outcome::Ignored => return stripe.ignore::<OWNED>(permits),
        }
        stripe.respond::<OWNED>(self.turn.tag(), response_time, step(response_time), count);
    }

    /// Looks at the calls in flight.
    #[cold]
    #[inline(never)]
    fn sample(&self, stripe: &Stripe, now: u64) {
        stripe.sample_again_at(now.saturating_add(SAMPLE));
        self.turn.raise_peak(self.stripes.in_flight());
    }

    /// Begins the bucket of `now`, if it has not begun.
    ///
    /// Who finds someone else at it goes on and counts, possibly in the old bucket. After a pause that would be a
    /// bucket of long ago; so then everyone waits.
    fn turn_to(&self, now: u64) {
        let end = self.turn.end();
        if now < end {
            return;
        }
        let locked = if now - end < self.bucket_length() { self.windows.try_lock() } else { Some(self.windows.lock()) };
        let Some(mut windows) = locked else { return };
        let bucket = self.bucket_of(now);
        let end = (bucket + 1).saturating_mul(self.bucket_length());
        match windows.as_deref_mut() {
            None => {
                let new = windows.insert(Box::new(Windows::new(self.buckets_per_second, bucket)));
                self.turn.begin(new.tag(), end);
            }
            Some(windows) if windows.bucket() < bucket => {
                let present = Present::new(self.stripes.sums());
                // Before the extremes are read: from here on they go to the other place, and those of this bucket stay.
                self.turn.begin(windows.next_tag(), end);
                self.note_extremes(windows, self.turn.take_peak().max(present.in_flight));
                windows.advance(bucket, &present, |steps| self.stripes.add_steps(steps));
            }
            Some(_) => {}
        }
    }

    /// Brings what is known about the bucket in progress, and the one before, up to date.
    fn note_extremes(&self, windows: &mut Windows, peak: u64) {
        for (bucket, tag) in windows.open() {
            if let Some((least, greatest)) = self.stripes.extremes(tag) {
                windows.note(bucket, &Extremes { least, greatest, in_flight: 0 });
            }
        }
        windows.note(windows.bucket(), &Extremes::idle(peak));
    }

    fn bucket_length(&self) -> u64 {
        SECOND / u64::from(self.buckets_per_second)
    }

    fn bucket_of(&self, now: u64) -> u64 {
        now / self.bucket_length()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("totals", &self.totals()).field("in_flight", &self.in_flight()).finish()
    }
}

fn totals(sums: &Sums) -> Totals {
    Totals {
        pass: sums.pass,
        block: sums.block,
        complete: sums.complete,
        error: sums.error,
        ignored: sums.ignored,
        response_time: Duration::from_nanos(sums.response_time),
    }
}

fn traffic(span: Duration, view: &View) -> Traffic {
    let View { sums, extremes } = view;
    Traffic {
        span,
        pass: sums.pass,
        block: sums.block,
        complete: sums.complete,
        error: sums.error,
        ignored: sums.ignored,
        response_times: ResponseTimes {
            sum: Duration::from_nanos(sums.response_time),
            min: Duration::from_nanos(extremes.least.min(extremes.greatest)),
            max: Duration::from_nanos(extremes.greatest),
        },
        in_flight_max: extremes.in_flight,
    }
}

/// The middle of a step may lie outside what was measured.
fn within(nanos: [u64; 3], measured: &Extremes) -> Percentiles {
    let [p50, p90, p99] = nanos.map(|nanos| Duration::from_nanos(nanos.max(measured.least).min(measured.greatest)));
    Percentiles { p50, p90, p99 }
}
