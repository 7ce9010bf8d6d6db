//! What passes of the calls that an exact log would let pass.

use std::collections::VecDeque;

use super::{DAY, HOUR, MILLI, SECOND, SlidingLimiter, worst};

/// The reference: every admission, with its time.
struct Log {
    threshold: u64,
    interval: u64,
    used: u64,
    admitted: VecDeque<(u64, u64)>,
}

impl Log {
    fn new(threshold: u64, interval: u64) -> Self {
        Self { threshold, interval, used: 0, admitted: VecDeque::new() }
    }

    fn acquire(&mut self, now: u64, count: u64) -> bool {
        while let Some(&(_, count)) = self.admitted.front().filter(|(at, _)| at + self.interval <= now) {
            self.used -= count;
            self.admitted.pop_front();
        }
        let passes = self.used + count <= self.threshold;
        if passes {
            self.used += count;
            self.admitted.push_back((now, count));
        }
        passes
    }
}

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[derive(Clone, Copy, Debug)]
enum Load {
    Saturated,
    /// Evenly, at this percentage of the threshold.
    Even(u64),
    Poisson,
    /// Saturated for 45 % of each interval.
    Pulse,
    /// The threshold at once, exactly one interval apart.
    Bursts,
    RandomBursts,
}

fn calls(load: Load, threshold: u64, interval: u64) -> Vec<u64> {
    let mut state = 0x9E37_79B9_7F4A_7C15;
    let start = 7 * interval + interval / 3;
    let saturated = interval / (threshold * 4).max(400);
    let mut calls = Vec::new();
    let mut now = start;
    while now < start + 8 * interval {
        let phase = (now - start) % interval;
        let (burst, step) = match load {
            Load::Saturated => (1, saturated),
            Load::Even(percent) => (1, interval / threshold * 100 / percent),
            Load::Poisson => {
                let share = ((random(&mut state) >> 11) + 1) as f64 / (1_u64 << 53) as f64;
                (1, (-share.ln() * interval as f64 / (threshold as f64 * 1.2)) as u64)
            }
            Load::Pulse if phase < interval / 100 * 45 => (1, saturated),
            Load::Pulse => (0, interval - phase),
            Load::Bursts => (threshold, interval),
            Load::RandomBursts => (random(&mut state) % threshold + 1, random(&mut state) % interval),
        };
        calls.extend((0..burst).map(|_| now));
        now += step.max(1);
    }
    calls
}

#[test]
fn no_sliding_interval_holds_more_than_the_threshold_and_almost_all_that_may_pass_does() {
    let limits = [(1, SECOND), (10, SECOND), (1_000, SECOND), (1_000, MILLI), (100, HOUR), (100, 7 * DAY)];
    let loads = [
        Load::Saturated,
        Load::Even(99),
        Load::Even(102),
        Load::Even(150),
        Load::Poisson,
        Load::Pulse,
        Load::Bursts,
        Load::RandomBursts,
    ];
    for (threshold, interval) in limits {
        for load in loads {
            let limiter = SlidingLimiter::new(threshold, interval);
            let mut log = Log::new(threshold, interval);
            let (mut admitted, mut exact) = (Vec::new(), 0);
            for now in calls(load, threshold, interval) {
                exact += u64::from(log.acquire(now, 1));
                if limiter.acquire(now, 1).is_ok() {
                    admitted.push((now, 1));
                }
            }
            let most = worst(&admitted, interval);
            assert!(most <= threshold, "{threshold} per {interval} ns, {load:?}: {most}");
            let share = admitted.len() as f64 / exact as f64;
            assert!(share >= 0.99, "{threshold} per {interval} ns, {load:?}: {share}");
        }
    }
}
