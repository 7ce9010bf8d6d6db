//! Limits that find themselves: each algorithm is a function of the limit and a sample, and of what it remembers.

/// What happened in one window of samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// The mean response time, in seconds. It says nothing where calls were dropped: failing may be quick.
    pub(super) response_time: f64,
    /// The most permits in flight.
    pub(super) in_flight: f64,
    /// Whether too many calls failed.
    pub(super) dropped: bool,
}

/// The limit is raised by one while it is used, and lowered by a share when calls are dropped or take too long.
///
/// Additive increase, multiplicative decrease: Chiu and Jain, 1989; in this form, `AIMDLimit` of Netflix's
/// concurrency-limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Aimd {
    /// What a drop leaves of the limit.
    pub(super) backoff: f64,
    /// The longest response time that is not too long, in seconds.
    pub(super) longest: f64,
}

impl Aimd {
    pub(super) fn next(&self, limit: f64, sample: &Sample) -> f64 {
        if sample.dropped || sample.response_time > self.longest {
            (limit * self.backoff).floor()
        } else if 2.0 * sample.in_flight >= limit {
            limit + 1.0
        } else {
            limit
        }
    }
}

/// The limit follows an estimate of the queue: what is in flight beyond what would be, were nobody waiting.
///
/// TCP Vegas: Brakmo and Peterson, 1995; in this form, `VegasLimit` of Netflix's concurrency-limits. The shortest
/// response time that was seen is forgotten after some multiples of the limit, in samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Vegas {
    /// The shortest response time, in seconds.
    shortest: Option<f64>,
    /// Samples since it was forgotten.
    samples: f64,
    /// From 0 to 1: decides when it is forgotten next.
    jitter: f64,
}

/// Samples in parts of the limit after which the shortest response time is forgotten, before jitter.
const VEGAS_PROBE: f64 = 30.0;

impl Vegas {
    pub(super) const fn new(jitter: f64) -> Self {
        Self { shortest: None, samples: 0.0, jitter }
    }

    /// The next limit; `roll` is the jitter, from 0 to 1, of the next time that the shortest response time is forgotten.
    pub(super) fn next(&mut self, limit: f64, sample: &Sample, roll: impl FnOnce() -> f64) -> f64 {
        let Sample { response_time, in_flight, dropped } = *sample;
        let step = limit.log10().floor().max(1.0);
        self.samples += 1.0;
        if dropped {
            return limit - step;
        }
        let forget = self.samples >= (0.5 + self.jitter / 2.0) * VEGAS_PROBE * limit;
        let shortest = match self.shortest {
            Some(shortest) if !forget && shortest <= response_time => shortest,
            _ => {
                if forget {
                    self.samples = 0.0;
                    self.jitter = roll();
                }
                self.shortest = Some(response_time);
                return limit;
            }
        };
        let queue = (limit * (1.0 - shortest / response_time)).ceil();
        if 2.0 * in_flight < limit {
            limit
        } else if queue <= step {
            limit + 6.0 * step
        } else if queue < 3.0 * step {
            limit + step
        } else if queue > 6.0 * step {
            limit - step
        } else {
            limit
        }
    }
}

/// The limit follows the ratio of the response time of late to that of long ago.
///
/// `Gradient2Limit` of Netflix's concurrency-limits, which does not look at whether calls are dropped; here that counts
/// as the smallest ratio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Gradient2 {
    /// How much longer than long ago calls may take before the limit is lowered.
    pub(super) tolerance: f64,
    /// What is let in beyond what the ratio allows.
    pub(super) queue: f64,
    /// The share of a new limit in the next one.
    pub(super) smoothing: f64,
    long: Average,
}

impl Gradient2 {
    pub(super) const fn new(tolerance: f64, queue: f64, smoothing: f64) -> Self {
        Self { tolerance, queue, smoothing, long: Average { samples: 0, value: 0.0 } }
    }

    pub(super) fn next(&mut self, limit: f64, sample: &Sample) -> f64 {
        let gradient = if sample.dropped {
            SMALLEST_GRADIENT
        } else {
            let long = self.long.add(sample.response_time);
            if long / sample.response_time > 2.0 {
                self.long.value *= 0.95;
            }
            if sample.in_flight < limit / 2.0 {
                return limit;
            }
            (self.tolerance * long / sample.response_time).clamp(SMALLEST_GRADIENT, 1.0)
        };
        let next = limit * gradient + self.queue;
        limit + (next - limit) * self.smoothing
    }
}

/// The least share of the limit that one sample leaves, before smoothing.
const SMALLEST_GRADIENT: f64 = 0.5;

/// A mean of the first samples, then one that forgets exponentially.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Average {
    samples: u32,
    value: f64,
}

/// Samples that are averaged plainly.
const PLAIN: u32 = 10;
/// The share of a new sample after that: that of a window of 600 samples.
const SHARE: f64 = 2.0 / 601.0;

impl Average {
    fn add(&mut self, sample: f64) -> f64 {
        let share = if self.samples < PLAIN {
            self.samples += 1;
            1.0 / f64::from(self.samples)
        } else {
            SHARE
        };
        self.value += (sample - self.value) * share;
        self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(millis: f64, in_flight: f64) -> Sample {
        Sample { response_time: millis / 1e3, in_flight, dropped: false }
    }

    #[test]
    fn aimd_grows_while_it_is_used_and_backs_off_when_calls_are_dropped() {
        let aimd = Aimd { backoff: 0.9, longest: 5.0 };
        let dropped = Sample { dropped: true, ..sample(10.0, 60.0) };
        let samples = [sample(10.0, 60.0), sample(10.0, 40.0), dropped, sample(6_000.0, 60.0), sample(5_000.0, 40.0)];
        let mut limit = 100.0;
        let limits = samples.map(|sample| {
            limit = aimd.next(limit, &sample);
            limit
        });
        assert_eq!(limits, [101.0, 101.0, 90.0, 81.0, 81.0]);
        assert_eq!(aimd.next(81.0, &sample(5_000.0, 41.0)), 82.0);
    }

    #[test]
    fn vegas_keeps_a_short_queue() {
        let next = |limit: f64, millis: f64, in_flight: f64| {
            let mut vegas = Vegas { shortest: Some(0.1), ..Vegas::new(1.0) };
            vegas.next(limit, &sample(millis, in_flight), || 1.0)
        };
        for (millis, expected) in [(100.0, 26.0), (110.0, 21.0), (125.0, 20.0), (150.0, 19.0)] {
            assert_eq!(next(20.0, millis, 20.0), expected, "{millis} ms");
        }
        assert_eq!(next(200.0, 101.0, 200.0), 212.0);
        assert_eq!(next(200.0, 120.0, 200.0), 198.0);
        assert_eq!(next(200.0, 120.0, 50.0), 200.0);
    }

    #[test]
    fn vegas_forgets_the_shortest_response_time() {
        let mut vegas = Vegas::new(1.0);
        let mut rolls = [0.0, 0.5].into_iter();
        let mut next = || vegas.next(20.0, &sample(100.0, 20.0), || rolls.next().expect("it forgets twice"));
        let limits: Vec<f64> = (0..1_300).map(|_| next()).collect();
        assert_eq!(limits[0], 20.0, "the first one is only learned from");
        let forgotten: Vec<usize> = (1..1_300).filter(|index| limits[*index] == 20.0).collect();
        assert_eq!(
            forgotten,
            [599, 899],
            "after 30 times the limit, then after 15 times, the next one after 22.5 times"
        );
    }

    #[test]
    fn vegas_forgets_after_a_mean_of_22_and_a_half_limits() {
        let dice = crate::sync::dice::Dice::new(7);
        let mut vegas = Vegas::new(dice.roll());
        let limits = (0..200_000).map(|_| vegas.next(20.0, &sample(100.0, 20.0), || dice.roll()));
        let forgotten = limits.filter(|limit| *limit == 20.0).count();
        let mean = 200_000.0 / forgotten as f64 / 20.0;
        assert!((mean - 22.5).abs() < 1.0, "{mean} limits");
    }

    #[test]
    fn what_is_dropped_lowers_the_limit_and_its_time_is_not_learned() {
        let dropped = Sample { response_time: 0.0, in_flight: 1.0, dropped: true };
        let mut vegas = Vegas { shortest: Some(0.1), ..Vegas::new(1.0) };
        assert_eq!(vegas.next(20.0, &dropped, || 1.0), 19.0);
        assert_eq!(vegas.shortest, Some(0.1));
        let mut gradient = Gradient2::new(1.5, 4.0, 0.2);
        assert_eq!(gradient.next(100.0, &dropped), 90.8);
        assert_eq!(gradient.long.samples, 0);
    }

    #[test]
    fn gradient2_follows_the_ratio_of_now_and_long_ago() {
        let next = |millis: f64, in_flight: f64| {
            let mut gradient = Gradient2::new(1.5, 4.0, 0.2);
            gradient.long = Average { samples: PLAIN, value: 0.01 };
            gradient.next(100.0, &sample(millis, in_flight))
        };
        for (millis, expected) in [(10.0, 100.8), (18.0, 97.47), (30.0, 90.8), (100.0, 90.8)] {
            let limit = next(millis, 100.0);
            // A sample moves the long average a little as well.
            assert!((limit - expected).abs() < 0.15, "{millis} ms: {limit}");
        }
        assert_eq!(next(10.0, 40.0), 100.0, "a limit that is not used stays");
    }
}
