//! One limit: a threshold that may move, and how calls are spread under it.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{
    rule::{Behavior, FlowParams, MemoryAdaptive, Strategy, Window},
    warm_up::{Curve, WarmUp},
};
use crate::{
    call::Call,
    clock::saturating_nanos,
    families::{Cause, Shortcut, Step, after, origin::OriginLimit},
    signals::Signals,
    sync::{
        bucket_window::{self, BucketWindow},
        leaky_bucket::{Booking, LeakyBucket},
        number::Number,
        sliding_limiter::{Loan, SlidingLimiter, Stamp},
    },
};

const SECOND: f64 = 1e9;
/// Not even a wait helps.
const NEVER: u64 = u64::MAX;

#[derive(Debug)]
pub(crate) struct Limit {
    /// Nanoseconds that the threshold refers to.
    interval: u64,
    /// The threshold in force.
    threshold: Number,
    source: Source,
    spread: Spread,
}

/// Where the threshold comes from.
#[derive(Debug)]
enum Source {
    Given,
    WarmUp(WarmUp),
    Memory { signals: Arc<Signals>, seen: Number, bounds: Mutex<MemoryAdaptive> },
}

/// How calls are spread.
#[derive(Debug)]
enum Spread {
    /// Exact in every sliding interval. Below one permit per interval, permits are also spaced.
    Sliding {
        limiter: Arc<SlidingLimiter>,
        spacing: LeakyBucket,
    },
    Aligned(BucketWindow),
    Throttle {
        bucket: LeakyBucket,
        max_wait: u64,
    },
}

/// What a call took from a limit.
#[derive(Debug)]
pub(crate) enum Token {
    Sliding(Stamp),
    Borrowed(Loan),
    Spaced(Stamp, Booking),
    Counted(bucket_window::Stamp),
    Booked(Booking),
}

impl Limit {
    pub(super) fn new(params: &FlowParams, signals: &Arc<Signals>) -> Self {
        let interval = saturating_nanos(params.interval);
        let source = match &params.strategy {
            Strategy::Direct => Source::Given,
            Strategy::WarmUp { .. } => Source::WarmUp(WarmUp::new(curve(params))),
            Strategy::MemoryAdaptive(bounds) => Source::Memory {
                signals: Arc::clone(signals),
                seen: Number::new(f64::NAN),
                bounds: Mutex::new(*bounds),
            },
        };
        let threshold = match &source {
            Source::Given => params.threshold,
            Source::WarmUp(warm_up) => per_interval(warm_up.cold_rate(), interval),
            Source::Memory { signals, bounds, .. } => memory_threshold(&bounds.lock(), signals.memory_used()),
        };
        let spread = match (&params.behavior, &params.window) {
            (Behavior::Throttle { max_queueing_time }, _) => {
                Spread::Throttle { bucket: LeakyBucket::default(), max_wait: saturating_nanos(*max_queueing_time) }
            }
            (Behavior::Reject, Window::Aligned { buckets }) => Spread::Aligned(BucketWindow::new(interval, *buckets)),
            (Behavior::Reject, Window::Sliding) => Spread::Sliding {
                limiter: Arc::new(SlidingLimiter::new(permits(threshold), interval)),
                spacing: LeakyBucket::default(),
            },
        };
        Self { interval, threshold: Number::new(threshold), source, spread }
    }

    /// Follows a rule that differs from the one so far only in thresholds.
    pub(super) fn set_params(&self, params: &FlowParams) {
        match (&self.source, &params.strategy) {
            (Source::WarmUp(warm_up), _) => {
                self.set_threshold(per_interval(warm_up.set_curve(curve(params)), self.interval));
            }
            (Source::Memory { signals, bounds, .. }, Strategy::MemoryAdaptive(new)) => {
                let mut bounds = bounds.lock();
                *bounds = *new;
                self.set_threshold(memory_threshold(&bounds, signals.memory_used()));
            }
            _ => self.set_threshold(params.threshold),
        }
    }

    pub(super) fn threshold(&self) -> f64 {
        self.threshold.get()
    }

    /// A given threshold that is held by rejection alone needs no more than its limiter.
    pub(super) fn shortcut(&self) -> Shortcut {
        match (&self.source, &self.spread) {
            (Source::Given, Spread::Sliding { limiter, .. }) if self.threshold() >= 1.0 => {
                Shortcut::Exact { limiter: Arc::clone(limiter), threshold: self.threshold() }
            }
            _ => Shortcut::Walk,
        }
    }

    #[inline(always)]
    pub(super) fn acquire(&self, call: &Call<'_>, now: u64, place: &mut Option<Token>) -> Step {
        // The most frequent case is in place; another function sees about all others.
        match (&self.source, &self.spread) {
            (Source::Given, Spread::Sliding { limiter, .. }) if self.threshold.get() >= 1.0 => {
                self.acquire_sliding(limiter, call, now, place)
            }
            _ => self.acquire_any(call, now, place),
        }
    }

    #[inline(never)]
    fn acquire_any(&self, call: &Call<'_>, now: u64, place: &mut Option<Token>) -> Step {
        match &self.source {
            Source::Given => {}
            Source::WarmUp(warm_up) if warm_up.is_due(now) => self.warm_up(warm_up, now),
            Source::WarmUp(_) => {}
            Source::Memory { .. } => self.follow_memory(),
        }
        let threshold = self.threshold.get();
        let step = match &self.spread {
            Spread::Sliding { limiter, .. } if threshold >= 1.0 => self.acquire_sliding(limiter, call, now, place),
            spread => self.acquire_otherwise(spread, threshold, call, now, place),
        };
        if let (Source::WarmUp(warm_up), Step::Pass | Step::Wait(_)) = (&self.source, &step) {
            warm_up.admitted(u64::from(call.permits()));
        }
        step
    }

    pub(super) fn undo(&self, token: Token, call: &Call<'_>) {
        let count = u64::from(call.permits());
        if let Source::WarmUp(warm_up) = &self.source {
            warm_up.undone(count);
        }
        match (token, &self.spread) {
            (Token::Sliding(stamp), Spread::Sliding { limiter, .. }) => limiter.undo(stamp, count),
            (Token::Borrowed(loan), Spread::Sliding { limiter, .. }) => limiter.give_back(loan),
            (Token::Spaced(stamp, booking), Spread::Sliding { limiter, spacing }) => {
                spacing.give_back(booking);
                limiter.undo(stamp, count);
            }
            (Token::Counted(stamp), Spread::Aligned(window)) => window.undo(stamp, count),
            (Token::Booked(booking), Spread::Throttle { bucket, .. }) => bucket.give_back(booking),
            _ => {}
        }
    }

    /// What a call has seen, of the threshold, that has to wait for what it took.
    pub(super) fn seen(&self, token: &Token) -> (f64, f64) {
        let threshold = self.threshold();
        let observed = match (token, &self.spread) {
            (Token::Borrowed(_), Spread::Sliding { limiter, .. }) => Cause::used_up(limiter, threshold, 0, 0).observed,
            _ => threshold,
        };
        (observed, threshold)
    }

    pub(super) fn is_idle(&self, now: u64) -> bool {
        match &self.spread {
            Spread::Sliding { limiter, spacing } => limiter.is_idle(now) && spacing.is_idle(now),
            Spread::Aligned(window) => window.sum(now) == 0,
            Spread::Throttle { bucket, .. } => bucket.is_idle(now),
        }
    }

    #[inline(always)]
    fn acquire_sliding(&self, limiter: &SlidingLimiter, call: &Call<'_>, now: u64, place: &mut Option<Token>) -> Step {
        match limiter.acquire(now, u64::from(call.permits())) {
            Ok(stamp) => taken(place, Token::Sliding(stamp), 0),
            Err(not_before) => self.borrow(limiter, not_before, call, now, place),
        }
    }

    /// No permits are left: a prioritised call may take some of those that come back soon.
    #[inline(never)]
    fn borrow(
        &self,
        limiter: &SlidingLimiter,
        not_before: u64,
        call: &Call<'_>,
        now: u64,
        place: &mut Option<Token>,
    ) -> Step {
        if call.is_prioritized()
            && let Ok(loan) = limiter.borrow(now, u64::from(call.permits()), self.max_borrow())
        {
            let delay = loan.due().saturating_sub(now);
            return taken(place, Token::Borrowed(loan), delay);
        }
        Step::Block(Cause::used_up(limiter, self.threshold(), not_before, now))
    }

    fn acquire_otherwise(
        &self,
        spread: &Spread,
        threshold: f64,
        call: &Call<'_>,
        now: u64,
        place: &mut Option<Token>,
    ) -> Step {
        let count = u64::from(call.permits());
        let refuse = |observed, retry_after| Step::Block(Cause { observed, threshold, retry_after });
        if count == 0 {
            return Step::Pass;
        }
        if threshold <= 0.0 {
            return refuse(0.0, NEVER);
        }
        match spread {
            Spread::Sliding { limiter, spacing } => {
                if count > 1 {
                    return refuse(0.0, NEVER);
                }
                let booking = match spacing.book(now, self.cost(1, threshold), 0) {
                    Ok(booking) => booking,
                    Err(wait) => return refuse(1.0, wait),
                };
                match limiter.acquire(now, 1) {
                    Ok(stamp) => taken(place, Token::Spaced(stamp, booking), 0),
                    Err(not_before) => {
                        spacing.give_back(booking);
                        refuse(1.0, after(not_before, now))
                    }
                }
            }
            Spread::Aligned(window) => match window.acquire(now, count, threshold as u64) {
                Ok(stamp) => taken(place, Token::Counted(stamp), 0),
                Err(not_before) => {
                    if call.is_prioritized()
                        && let Some((stamp, wait)) = window.borrow(now, count, threshold as u64, self.max_borrow())
                    {
                        return taken(place, Token::Counted(stamp), wait);
                    }
                    refuse(window.sum(now) as f64, after(not_before, now))
                }
            },
            Spread::Throttle { bucket, max_wait } => {
                if count as f64 > threshold.max(1.0) {
                    return refuse(0.0, NEVER);
                }
                match bucket.book(now, self.cost(count, threshold), *max_wait) {
                    Ok(booking) => {
                        let wait = booking.wait;
                        taken(place, Token::Booked(booking), wait)
                    }
                    Err(wait) => refuse(threshold, wait.saturating_sub(*max_wait)),
                }
            }
        }
    }

    /// How long a prioritised call waits for permits at most: half an interval, which is a bucket of a window of two.
    fn max_borrow(&self) -> u64 {
        self.interval / 2
    }

    /// The share of the interval that permits take up, rounded so that no interval holds too many.
    fn cost(&self, count: u64, threshold: f64) -> u64 {
        ((self.interval as f64 * count as f64 / threshold).ceil() as u64).max(1)
    }

    fn set_threshold(&self, threshold: f64) {
        self.threshold.set(threshold);
        if let Spread::Sliding { limiter, .. } = &self.spread {
            limiter.set_threshold(permits(threshold));
        }
    }

    #[cold]
    fn warm_up(&self, warm_up: &WarmUp, now: u64) {
        if let Some(rate) = warm_up.advance(now) {
            self.set_threshold(per_interval(rate, self.interval));
        }
    }

    #[inline]
    fn follow_memory(&self) {
        if let Source::Memory { signals, seen, .. } = &self.source
            && seen.get().to_bits() != memory_mark(signals.memory_used()).to_bits()
        {
            self.adapt_to_memory();
        }
    }

    #[cold]
    fn adapt_to_memory(&self) {
        if let Source::Memory { signals, seen, bounds } = &self.source {
            // Under the lock, so that of two readings the later one stays.
            let bounds = bounds.lock();
            let used = signals.memory_used();
            self.set_threshold(memory_threshold(&bounds, used));
            seen.set(memory_mark(used));
        }
    }
}

impl OriginLimit for Limit {
    type Terms = (FlowParams, Arc<Signals>);

    fn new((params, signals): &Self::Terms) -> Self {
        Self::new(params, signals)
    }

    fn set_terms(&self, (params, _): &Self::Terms) {
        self.set_params(params);
    }

    fn is_idle(&self, now: u64) -> bool {
        self.is_idle(now)
    }
}

/// The call goes on after a wait, and has taken this.
fn taken(place: &mut Option<Token>, token: Token, wait: u64) -> Step {
    *place = Some(token);
    Step::after(wait)
}

/// Whole permits for a threshold, at least one unless it is nothing: below one, permits are spaced as well.
fn permits(threshold: f64) -> u64 {
    // A rate that was computed may miss a whole number by a rounding error.
    if threshold > 0.0 { ((threshold * (1.0 + 1e-12)) as u64).max(1) } else { 0 }
}

/// The curve of a rule that is valid.
fn curve(params: &FlowParams) -> Curve {
    let interval = params.interval.as_secs_f64();
    match &params.strategy {
        Strategy::WarmUp { period, cold_factor } => {
            Curve::new(params.threshold / interval, period.as_secs_f64(), *cold_factor)
        }
        _ => Curve::new(params.threshold / interval, 1.0, 2.0),
    }
}

fn per_interval(rate: f64, interval: u64) -> f64 {
    rate * (interval as f64 / SECOND)
}

/// Linear between the marks; the threshold for little memory where the use is unknown.
fn memory_threshold(bounds: &MemoryAdaptive, used: Option<u64>) -> f64 {
    let (low, high) = (bounds.low_water_mark as f64, bounds.high_water_mark as f64);
    match used {
        None => bounds.low_memory_threshold,
        Some(used) => {
            let share = ((used as f64 - low) / (high - low)).clamp(0.0, 1.0);
            bounds.low_memory_threshold + (bounds.high_memory_threshold - bounds.low_memory_threshold) * share
        }
    }
}

/// A value by which a change of the signal is seen.
fn memory_mark(used: Option<u64>) -> f64 {
    used.map_or(-1.0, |used| used as f64)
}
