//! What an outlier detector is asked for.

use std::{ops::RangeInclusive, time::Duration};

use crate::setting::{InvalidSetting, Settings};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const ROWS: RangeInclusive<u32> = 1..=1_000_000;
const INTERVALS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(5 * 60);
const EJECTION_TIMES: RangeInclusive<Duration> = Duration::from_millis(1)..=DAY;
const FORGET_AFTER: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(7 * 24 * 60 * 60);
const PROBES: RangeInclusive<u32> = 1..=1_000;
const BACKENDS: RangeInclusive<usize> = 1..=10_000;
const MAX_FACTOR: f64 = 100.0;

/// What an [`OutlierDetector`](crate::OutlierDetector) is asked for; the table there has the ranges and defaults.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use sentinel_core::OutlierConfig;
///
/// let config = OutlierConfig::default()
///     .consecutive_errors(3)
///     .error_ratio(0.5, 20)
///     .no_success_rate()
///     .max_ejected_share(0.3)
///     .ejection_time(Duration::from_secs(10), Duration::from_secs(120));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OutlierConfig {
    /// How many errors in a row eject a backend; from 1 to 1,000,000, default 5. `None`: any number is borne.
    pub consecutive_errors: Option<u32>,
    /// The share of calls that fail from which on a backend is ejected; default `None`.
    pub error_ratio: Option<ErrorRatio>,
    /// How far the share of calls that go well may lie below that of the others; `None`: it does not matter.
    pub success_rate: Option<SuccessRate>,
    /// How long calls are counted before shares are judged; from 100 ms to 5 min, default 10 s.
    pub interval: Duration,
    /// How long the first ejection lasts, and by how much each further one is longer; from 1 ms to a day, default 30 s.
    pub base_ejection_time: Duration,
    /// The longest ejection, without jitter; at least the base, at most a day, default 5 min.
    pub max_ejection_time: Duration,
    /// By how much an ejection may last longer by chance; up to a day, default none.
    pub jitter: Duration,
    /// The greatest share of the backends that is out of service; from 0 to 1, default 0.1.
    ///
    /// It is rounded down to whole backends, but to no less than one and never to all of them. With 0, and for a single
    /// backend, none is ejected.
    pub max_ejected_share: f64,
    /// How many calls, one at a time, have to go well before a backend is back in service; from 1 to 1,000, default 3.
    pub probes: u32,
    /// How many backends are watched; from 1 to 10,000, default 1,000.
    pub max_backends: usize,
    /// After what time without a handle and a look-up a backend is forgotten; from 1 s to 7 days, default 10 min.
    pub forget_after: Duration,
    /// What decisions by chance are made of: jitter and [`pick`](crate::OutlierDetector::pick); by default another
    /// number for each detector.
    pub seed: Option<u64>,
}

/// A share of calls that fail.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ErrorRatio {
    /// The share from which on a backend is ejected; above 0, to 1.
    pub threshold: f64,
    /// From how many calls within the interval on the share says anything; at least 1.
    pub min_request_amount: u32,
}

/// A distance from the success rate of the others.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SuccessRate {
    /// How many standard deviations below the mean; above 0, to 100, default 1.9.
    ///
    /// One backend among `n` is at most √(n - 1) of them away from the mean.
    pub factor: f64,
    /// How many backends have to have enough calls; at least 2, default 5.
    pub min_backends: usize,
    /// How many calls within the interval are enough; at least 1, default 100.
    pub min_request_amount: u32,
    /// How far below the mean at least; from 0 to 1, default 0.05.
    ///
    /// Where all others are perfect, a single error is any number of deviations away.
    pub min_gap: f64,
}

impl Default for SuccessRate {
    fn default() -> Self {
        Self { factor: 1.9, min_backends: 5, min_request_amount: 100, min_gap: 0.05 }
    }
}

impl Default for OutlierConfig {
    fn default() -> Self {
        Self {
            consecutive_errors: Some(5),
            error_ratio: None,
            success_rate: Some(SuccessRate::default()),
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: 5 * MINUTE,
            jitter: Duration::ZERO,
            max_ejected_share: 0.1,
            probes: 3,
            max_backends: 1_000,
            forget_after: 10 * MINUTE,
            seed: None,
        }
    }
}

impl OutlierConfig {
    /// Ejects after so many errors in a row.
    #[must_use]
    pub fn consecutive_errors(mut self, errors: u32) -> Self {
        self.consecutive_errors = Some(errors);
        self
    }

    /// Bears any number of errors in a row.
    #[must_use]
    pub fn no_consecutive_errors(mut self) -> Self {
        self.consecutive_errors = None;
        self
    }

    /// Ejects when this share of at least so many calls within the interval fails.
    #[must_use]
    pub fn error_ratio(mut self, threshold: f64, min_request_amount: u32) -> Self {
        self.error_ratio = Some(ErrorRatio { threshold, min_request_amount });
        self
    }

    /// Ejects so many standard deviations below the mean, where so many backends have so many calls within the interval.
    #[must_use]
    pub fn success_rate(mut self, factor: f64, min_backends: usize, min_request_amount: u32) -> Self {
        let default = SuccessRate::default();
        self.success_rate = Some(SuccessRate { factor, min_backends, min_request_amount, ..default });
        self
    }

    /// Does not compare the backends.
    #[must_use]
    pub fn no_success_rate(mut self) -> Self {
        self.success_rate = None;
        self
    }

    /// Sets how long calls are counted before shares are judged.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets how long the first ejection lasts, and how long any may.
    #[must_use]
    pub fn ejection_time(mut self, base: Duration, max: Duration) -> Self {
        self.base_ejection_time = base;
        self.max_ejection_time = max;
        self
    }

    /// Sets by how much an ejection may last longer by chance.
    #[must_use]
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// Sets the greatest share of the backends that is out of service.
    #[must_use]
    pub fn max_ejected_share(mut self, share: f64) -> Self {
        self.max_ejected_share = share;
        self
    }

    /// Sets how many calls have to go well before a backend is back in service.
    #[must_use]
    pub fn probes(mut self, probes: u32) -> Self {
        self.probes = probes;
        self
    }

    /// Sets how many backends are watched.
    #[must_use]
    pub fn max_backends(mut self, max: usize) -> Self {
        self.max_backends = max;
        self
    }

    /// Sets after what time without a handle and a look-up a backend is forgotten.
    #[must_use]
    pub fn forget_after(mut self, time: Duration) -> Self {
        self.forget_after = time;
        self
    }

    /// Sets what decisions by chance are made of.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The only judge of the settings.
    pub(super) fn validate(&self) -> Result<(), InvalidSetting> {
        let settings = Settings("outlier detector");
        if let Some(row) = self.consecutive_errors {
            settings.check(ROWS.contains(&row), "consecutive_errors", row, "a row has 1 to 1,000,000 errors")?;
        }
        if let Some(ErrorRatio { threshold, min_request_amount: amount }) = self.error_ratio {
            let valid = threshold > 0.0 && threshold <= 1.0;
            settings.check(valid, "error_ratio.threshold", threshold, "a ratio is above 0 and at most 1")?;
            settings.check(amount > 0, "error_ratio.min_request_amount", amount, "it is at least 1")?;
        }
        if let Some(SuccessRate { factor, min_backends, min_request_amount: amount, min_gap }) = self.success_rate {
            let valid = factor > 0.0 && factor <= MAX_FACTOR;
            settings.check(valid, "success_rate.factor", factor, "it is a number above 0, at most 100")?;
            let expected = "at least 2 are compared";
            settings.check(min_backends >= 2, "success_rate.min_backends", min_backends, expected)?;
            settings.check(amount > 0, "success_rate.min_request_amount", amount, "it is at least 1")?;
            let expected = "it is a difference of shares, from 0 to 1";
            settings.check((0.0..=1.0).contains(&min_gap), "success_rate.min_gap", min_gap, expected)?;
        }
        let (interval, base, max) = (self.interval, self.base_ejection_time, self.max_ejection_time);
        settings.check(
            INTERVALS.contains(&interval),
            "interval",
            interval,
            "an interval lasts from 100 ms to 5 min",
        )?;
        settings.check(EJECTION_TIMES.contains(&base), "base_ejection_time", base, "it lasts from 1 ms to a day")?;
        let expected = "it is at least the base ejection time and at most a day";
        settings.check((base..=DAY).contains(&max), "max_ejection_time", max, expected)?;
        settings.check(self.jitter <= DAY, "jitter", self.jitter, "it is at most a day")?;
        let share = self.max_ejected_share;
        settings.check((0.0..=1.0).contains(&share), "max_ejected_share", share, "a share is from 0 to 1")?;
        settings.check(PROBES.contains(&self.probes), "probes", self.probes, "it is from 1 to 1,000")?;
        let max = self.max_backends;
        settings.check(BACKENDS.contains(&max), "max_backends", max, "it is from 1 to 10,000")?;
        let time = self.forget_after;
        settings.check(FORGET_AFTER.contains(&time), "forget_after", time, "it is from 1 s to 7 days")
    }
}
