//! Whether a limit was kept, and how much of what it allows was admitted.
//!
//! A call has a time before it and one after it; when in between it was admitted, no clock can say. So a limit counts as
//! exceeded only where more calls than the threshold lie *wholly inside* one half-open interval: that needs no trust in
//! the limiter, and a thread that was descheduled inside a call cannot make it fail.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

/// One admitted call, in nanoseconds of one clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Read before the call asked to enter.
    pub before: u64,
    /// Read when it had been admitted.
    pub after: u64,
}

/// The most calls that lie wholly inside one interval `[x, x + interval)`, over all x.
///
/// # Cost
///
/// n log n; the calls are sorted.
pub fn most_inside(calls: &mut [Admitted], interval: u64) -> u64 {
    calls.sort_unstable_by_key(|call| call.after);
    let mut inside = BinaryHeap::new();
    let mut most = 0;
    for call in calls {
        inside.push(Reverse(call.before));
        while inside.peek().is_some_and(|Reverse(before)| before.saturating_add(interval) <= call.after) {
            inside.pop();
        }
        most = most.max(inside.len());
    }
    most as u64
}

/// By how many nanoseconds calls were let go earlier than an even spacing allows; 0 where it was kept.
///
/// When between its two times a call was let go, no clock can say. But n calls that lie wholly inside a stretch of time
/// and are a spacing apart from each other need n - 1 spacings of it: the result is the most that any stretch is short
/// of.
///
/// # Cost
///
/// n log n. Were each call a job that lasts a spacing, released `before` and due a spacing past `after`, then this is how
/// late the latest job is where the one that is due first always goes first, which is the best that can be done.
pub fn too_early(calls: &[Admitted], spacing: u64) -> u64 {
    // So that a few spacings fit the numbers.
    let spacing = spacing.min(u64::MAX / 4);
    let mut calls = calls.to_vec();
    calls.sort_unstable_by_key(|call| call.before);
    let mut released = calls.into_iter().peekable();
    let mut jobs = BinaryHeap::new();
    let (mut now, mut latest) = (0_u64, 0);
    loop {
        if jobs.is_empty() {
            let Some(next) = released.peek() else { return latest };
            now = now.max(next.before);
        }
        while let Some(call) = released.next_if(|call| call.before <= now) {
            jobs.push(Reverse((call.after.saturating_add(spacing), spacing)));
        }
        let Some(Reverse((due, left))) = jobs.pop() else { continue };
        let worked = released.peek().map_or(left, |next| left.min(next.before - now));
        now = now.saturating_add(worked);
        if worked < left {
            jobs.push(Reverse((due, left - worked)));
        } else {
            latest = latest.max(now.saturating_sub(due));
        }
    }
}

/// A log of all admissions: what a limit on every interval allows, no more and no less.
#[derive(Clone, Debug, Default)]
pub struct ExactLog {
    admitted: VecDeque<u64>,
}

impl ExactLog {
    /// Whether a call at this time is admitted; times do not go back.
    pub fn offer(&mut self, at: u64, threshold: usize, interval: u64) -> bool {
        while self.admitted.front().is_some_and(|first| first.saturating_add(interval) <= at) {
            self.admitted.pop_front();
        }
        let admitted = self.admitted.len() < threshold;
        if admitted {
            self.admitted.push_back(at);
        }
        admitted
    }
}

/// How many of the calls offered at these times, in order, a log of all admissions admits.
pub fn exact_log(offered: impl IntoIterator<Item = u64>, threshold: usize, interval: u64) -> u64 {
    let mut log = ExactLog::default();
    offered.into_iter().filter(|at| log.offer(*at, threshold, interval)).count() as u64
}

/// Even spacing of calls that may wait for a while.
#[derive(Clone, Debug, Default)]
pub struct Pacer {
    next: u64,
}

impl Pacer {
    /// Whether a call at this time finds a place; times do not go back.
    pub fn offer(&mut self, at: u64, spacing: u64, max_wait: u64) -> bool {
        let due = at.max(self.next);
        let admitted = due - at <= max_wait;
        if admitted {
            self.next = due.saturating_add(spacing);
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(times: &[(u64, u64)]) -> Vec<Admitted> {
        times.iter().map(|&(before, after)| Admitted { before, after }).collect()
    }

    #[test]
    fn calls_one_interval_apart_are_not_in_one_interval() {
        assert_eq!(most_inside(&mut calls(&[(0, 0), (10, 10)]), 10), 1);
        assert_eq!(most_inside(&mut calls(&[(1, 1), (10, 10)]), 10), 2);
    }

    #[test]
    fn a_call_that_straddles_an_interval_does_not_count_into_it() {
        assert_eq!(most_inside(&mut calls(&[(0, 12), (4, 5), (6, 7)]), 10), 2);
        assert_eq!(most_inside(&mut calls(&[(3, 12), (4, 5), (6, 7)]), 10), 3);
    }

    /// Two hundred logs of thirty calls that take up to 15 and begin within 100.
    fn logs() -> impl Iterator<Item = Vec<Admitted>> {
        let mut seed = 7_u64;
        let mut random = move |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        let mut call = move || {
            let before = random(100);
            Admitted { before, after: before + random(15) }
        };
        (0..200).map(move |_| (0..30).map(|_| call()).collect())
    }

    #[test]
    fn the_audit_agrees_with_trying_every_interval() {
        for mut log in logs() {
            let naive = (0..100).map(|x| log.iter().filter(|c| x <= c.before && c.after < x + 20).count() as u64).max();
            assert_eq!(Some(most_inside(&mut log, 20)), naive);
        }
    }

    #[test]
    fn calls_a_spacing_apart_are_not_too_early() {
        assert_eq!(too_early(&calls(&[(0, 0), (10, 10), (20, 20)]), 10), 0);
        assert_eq!(too_early(&calls(&[(0, 0), (9, 9), (20, 20)]), 10), 1);
        assert_eq!(too_early(&calls(&[(0, 0), (9, 10), (9, 20)]), 10), 0, "the later ones may have waited");
        assert_eq!(too_early(&calls(&[(0, 100), (5, 5), (6, 15)]), 10), 0, "the first one may have been let go last");
        assert_eq!(too_early(&calls(&[(0, 0), (3, 3)]), u64::MAX), u64::MAX / 4 - 3);
    }

    #[test]
    fn the_audit_of_spacing_agrees_with_trying_every_stretch() {
        for log in logs() {
            for spacing in [1, 3, 4, 8] {
                let short = |from: &Admitted, until: &Admitted| {
                    let inside =
                        log.iter().filter(|c| from.before <= c.before && c.after <= until.after).count() as u64;
                    (inside * spacing + from.before).saturating_sub(until.after + spacing)
                };
                let naive = log.iter().flat_map(|from| log.iter().map(move |until| (from, until)));
                let naive = naive.filter(|(from, until)| from.before <= until.after);
                let naive = naive.map(|(from, until)| short(from, until)).max();
                assert_eq!(Some(too_early(&log, spacing)), naive);
            }
        }
    }

    #[test]
    fn an_exact_log_admits_the_threshold_again_after_an_interval() {
        assert_eq!(exact_log([0, 1, 2, 9, 10, 11], 2, 10), 4);
    }

    #[test]
    fn a_pacer_lets_calls_wait_for_a_while() {
        let mut pacer = Pacer::default();
        assert_eq!([0, 0, 0, 0, 45].map(|at| pacer.offer(at, 10, 20)), [true, true, true, false, true]);
    }
}
