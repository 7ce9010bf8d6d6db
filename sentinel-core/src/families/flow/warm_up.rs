//! Warm-up: a threshold that rises while a resource gets busy, and falls again while it rests.
//!
//! The curve is that of a token store that fills while the resource rests (the model of Guava's warming rate limiter):
//! the fuller the store, the colder the resource, and the lower its rate. Each admitted call drains the store by one
//! permit; it fills at the full rate while the resource is used less than a cold one could be.
//!
//! The store is brought up to date once per *step*, on steps aligned to the clock's zero. A step is a second, or as many
//! seconds as a cold resource needs for one call: otherwise a threshold below the cold factor would look like rest, and
//! the resource would never get warm.

use parking_lot::Mutex;

use crate::sync::{counter::Counter, moment::Moment};

const SECOND: u64 = 1_000_000_000;

/// How the rate follows from the store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Curve {
    /// The rate of a warm resource, per second.
    rate: f64,
    cold_factor: f64,
    /// From this many permits in store on, the resource is cold.
    warning: f64,
    /// The most permits in store.
    max: f64,
    /// Seconds per permit that a permit in store above `warning` adds.
    slope: f64,
}

impl Curve {
    /// For a rate in permits per second (above 0), a period in seconds (above 0) and a cold factor (above 1).
    pub(super) fn new(rate: f64, period: f64, cold_factor: f64) -> Self {
        let warning = period * rate / (cold_factor - 1.0);
        let above = 2.0 * period * rate / (1.0 + cold_factor);
        Self { rate, cold_factor, warning, max: warning + above, slope: (cold_factor - 1.0) / rate / above }
    }

    /// The rate with this many permits in store, per second.
    fn rate_at(&self, stored: f64) -> f64 {
        1.0 / ((stored - self.warning).max(0.0) * self.slope + 1.0 / self.rate)
    }

    /// The length of a step, in seconds: long enough for one call of a cold resource.
    fn step(&self) -> u64 {
        // At most a few days for the ranges that rules allow, and a float saturates.
        (self.cold_factor / self.rate).ceil().max(1.0) as u64
    }

    /// The store after `steps` steps in the last of which `passed` permits were taken.
    fn advance(&self, stored: f64, steps: u64, passed: u64) -> f64 {
        let seconds = self.step();
        let cold_share = (seconds as f64 * self.rate / self.cold_factor).floor();
        let rests = stored <= self.warning || (passed as f64) < cold_share;
        let filled = if rests { stored + (steps.saturating_mul(seconds)) as f64 * self.rate } else { stored };
        (filled.min(self.max) - passed as f64).max(0.0)
    }
}

/// The store of one rule on one resource.
#[derive(Debug)]
pub(super) struct WarmUp {
    /// The end of the current step.
    until: Moment,
    /// Permits taken in the current step.
    passed: Counter,
    store: Mutex<Store>,
}

#[derive(Debug)]
struct Store {
    curve: Curve,
    permits: f64,
    /// The step up to which `permits` is right; before the first call there is none.
    step: Option<u64>,
}

impl WarmUp {
    /// A cold resource.
    pub(super) fn new(curve: Curve) -> Self {
        Self {
            until: Moment::default(),
            passed: Counter::default(),
            store: Mutex::new(Store { curve, permits: curve.max, step: None }),
        }
    }

    /// The rate of a cold resource, per second.
    pub(super) fn cold_rate(&self) -> f64 {
        let store = self.store.lock();
        store.curve.rate_at(store.curve.max)
    }

    /// Whether a new step has begun.
    #[inline]
    pub(super) fn is_due(&self, now: u64) -> bool {
        !self.until.is_ahead(now)
    }

    /// Brings the store up to date, and says the rate from now on, per second; `None` when another thread did it.
    #[cold]
    pub(super) fn advance(&self, now: u64) -> Option<f64> {
        let mut store = self.store.lock();
        let length = store.curve.step().saturating_mul(SECOND);
        let step = now / length;
        match store.step {
            Some(last) if step <= last => return None,
            Some(last) => {
                let steps = step - last;
                let passed = self.passed.take();
                store.permits = store.curve.advance(store.permits, steps, if steps == 1 { passed } else { 0 });
            }
            None => {}
        }
        store.step = Some(step);
        self.until.set((step + 1).saturating_mul(length));
        Some(store.curve.rate_at(store.permits))
    }

    /// Follows another curve from the same store, and says the rate from now on, per second.
    pub(super) fn set_curve(&self, curve: Curve) -> f64 {
        let mut store = self.store.lock();
        if curve.step() != store.curve.step() {
            store.step = None;
            self.until.set(0);
        }
        store.permits = store.permits.min(curve.max);
        store.curve = curve;
        curve.rate_at(store.permits)
    }

    #[inline]
    pub(super) fn admitted(&self, permits: u64) {
        self.passed.add(permits);
    }

    pub(super) fn undone(&self, permits: u64) {
        self.passed.remove(permits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_has_the_parameters_of_the_model() {
        // (rate, period, cold factor) -> (warning, max, cold rate)
        let vectors = [
            ((10.0, 10.0, 3.0), (50.0, 100.0, 3.33)),
            ((100.0, 10.0, 3.0), (500.0, 1000.0, 33.3)),
            ((1000.0, 10.0, 3.0), (5000.0, 10_000.0, 333.3)),
            // Whole permits would make these (2, 4) and (125, 291).
            ((5.0, 1.0, 3.0), (2.5, 5.0, 1.67)),
            ((100.0, 5.0, 5.0), (125.0, 291.67, 20.0)),
        ];
        for ((rate, period, cold_factor), (warning, max, cold)) in vectors {
            let curve = Curve::new(rate, period, cold_factor);
            assert!((curve.warning - warning).abs() < 0.01, "{curve:?}");
            assert!((curve.max - max).abs() < 0.01, "{curve:?}");
            assert!((curve.rate_at(curve.max) - cold).abs() < 0.05, "{curve:?}");
        }
    }

    #[test]
    fn a_warm_resource_has_the_full_rate() {
        let curve = Curve::new(100.0, 10.0, 3.0);
        assert_eq!(curve.rate_at(0.0), 100.0);
        assert_eq!(curve.rate_at(curve.warning), 100.0);
    }

    #[test]
    fn a_load_below_the_cold_rate_stays_cold_and_one_above_it_gets_warm() {
        let curve = Curve::new(100.0, 10.0, 3.0);
        let after = |passed| (0..60).fold(curve.max, |stored, _| curve.advance(stored, 1, passed));
        assert!(curve.rate_at(after(30)) < 36.0);
        assert!(curve.rate_at(after(40)) > 90.0);
    }

    #[test]
    fn rest_makes_cold_again() {
        let curve = Curve::new(100.0, 10.0, 3.0);
        assert_eq!(curve.advance(0.0, 20, 0), curve.max);
    }

    #[test]
    fn a_step_is_long_enough_for_one_call_of_a_cold_resource() {
        assert_eq!(Curve::new(100.0, 10.0, 3.0).step(), 1);
        assert_eq!(Curve::new(2.0, 10.0, 3.0).step(), 2);
        assert_eq!(Curve::new(0.01, 10.0, 3.0).step(), 300);
    }
}
