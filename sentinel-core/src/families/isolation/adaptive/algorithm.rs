//! Limits that find themselves: each algorithm is a function of the limit and a sample, and of what it remembers.

/// What happened in one window of samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// The mean response time, in seconds.
    pub(super) response_time: f64,
    /// The most permits in flight.
    pub(super) in_flight: f64,
    /// Whether a call took longer than it may, or was refused further on.
    pub(super) dropped: bool,
}

/// The limit is raised by one while it is used, and lowered by a share when a call is dropped.
///
/// Additive increase, multiplicative decrease: Chiu and Jain, 1989; in this form, `AIMDLimit` of Netflix's
/// concurrency-limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Aimd {
    /// What a drop leaves of the limit.
    pub(super) backoff: f64,
}

impl Aimd {
    pub(super) fn next(&self, limit: f64, sample: &Sample) -> f64 {
        if sample.dropped {
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
/// TCP Vegas: Brakmo and Peterson, 1995; in this form, `VegasLimit` of Netflix's concurrency-limits. The shortest response
/// time that was seen is forgotten after some multiples of the limit, in samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Vegas {
    /// The shortest response time, in seconds.
    shortest: Option<f64>,
    /// Samples since it was forgotten.
    samples: f64,
}

/// Samples in parts of the limit after which the shortest response time is forgotten, before jitter.
const VEGAS_PROBE: f64 = 30.0;

impl Vegas {
    pub(super) const fn new() -> Self {
        Self { shortest: None, samples: 0.0 }
    }

    /// The next limit; `jitter`, from 0 to 1, decides when the shortest response time is forgotten.
    pub(super) fn next(&mut self, limit: f64, sample: &Sample, jitter: f64) -> f64 {
        let Sample { response_time, in_flight, dropped } = *sample;
        self.samples += 1.0;
        let forget = self.samples >= (0.5 + jitter / 2.0) * VEGAS_PROBE * limit;
        let shortest = match self.shortest {
            Some(shortest) if !forget && shortest <= response_time => shortest,
            _ => {
                if forget {
                    self.samples = 0.0;
                }
                self.shortest = Some(response_time);
                return limit;
            }
        };
        let step = limit.log10().floor().max(1.0);
        let queue = (limit * (1.0 - shortest / response_time)).ceil();
        if dropped {
            limit - step
        } else if 2.0 * in_flight < limit {
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
/// `Gradient2Limit` of Netflix's concurrency-limits.
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
        let long = self.long.add(sample.response_time);
        if long / sample.response_time > 2.0 {
            self.long.value *= 0.95;
        }
        if sample.in_flight < limit / 2.0 {
            return limit;
        }
        let gradient = (self.tolerance * long / sample.response_time).clamp(0.5, 1.0);
        let next = limit * gradient + self.queue;
        limit + (next - limit) * self.smoothing
    }
}

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
        let aimd = Aimd { backoff: 0.9 };
        assert_eq!(aimd.next(100.0, &sample(10.0, 60.0)), 101.0);
        assert_eq!(aimd.next(100.0, &sample(10.0, 40.0)), 100.0);
        assert_eq!(aimd.next(100.0, &Sample { dropped: true, ..sample(10.0, 60.0) }), 90.0);
    }

    #[test]
    fn vegas_keeps_a_short_queue() {
        let next = |limit: f64, millis: f64, in_flight: f64| {
            let mut vegas = Vegas { shortest: Some(0.1), samples: 0.0 };
            vegas.next(limit, &sample(millis, in_flight), 1.0)
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
        let mut vegas = Vegas::new();
        let limits: Vec<f64> = (0..700).map(|_| vegas.next(20.0, &sample(100.0, 20.0), 1.0)).collect();
        assert_eq!(limits[0], 20.0, "the first one is only learned from");
        let forgotten: Vec<usize> = (1..700).filter(|index| limits[*index] == 20.0).collect();
        assert_eq!(forgotten, [599], "after thirty times the limit");
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
