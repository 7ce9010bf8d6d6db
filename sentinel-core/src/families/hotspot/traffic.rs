//! How often a value is called.

const SECOND: u64 = 1_000_000_000;

/// Permits of a value in the second in progress and in the one before, in seconds aligned to the clock's zero.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traffic {
    /// The number of the second in progress.
    second: u32,
    now: Counts,
    before: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    pass: u32,
    block: u32,
}

/// Permits per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) pass: f64,
    pub(super) block: f64,
}

impl Rates {
    pub(super) fn add(&mut self, other: Self) {
        self.pass += other.pass;
        self.block += other.block;
    }
}

impl Traffic {
    #[inline]
    pub(super) fn count(&mut self, now: u64, permits: u32, passed: bool) {
        self.advance(now);
        let count = if passed { &mut self.now.pass } else { &mut self.now.block };
        *count = count.saturating_add(permits);
    }

    /// The last second: what is counted of the second in progress, and of the one before the share that lies within a
    /// second from `now`, as if its calls had come evenly.
    pub(super) fn rates(mut self, now: u64) -> Rates {
        self.advance(now);
        let share = 1.0 - (now % SECOND) as f64 / SECOND as f64;
        let rate = |now: u32, before: u32| f64::from(now) + f64::from(before) * share;
        Rates { pass: rate(self.now.pass, self.before.pass), block: rate(self.now.block, self.before.block) }
    }

    #[inline]
    fn advance(&mut self, now: u64) {
        // 2^32 seconds are 136 years.
        let second = (now / SECOND) as u32;
        if second > self.second {
            self.before = if second == self.second + 1 { self.now } else { Counts::default() };
            self.now = Counts::default();
            self.second = second;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rates_are_those_of_the_last_second() {
        let mut traffic = Traffic::default();
        traffic.count(SECOND / 2, 100, true);
        traffic.count(SECOND / 2, 10, false);
        assert_eq!(traffic.rates(SECOND / 2), Rates { pass: 100.0, block: 10.0 });
        assert_eq!(traffic.rates(SECOND), Rates { pass: 100.0, block: 10.0 });
        traffic.count(SECOND + SECOND / 4, 8, true);
        assert_eq!(traffic.rates(SECOND + SECOND / 4), Rates { pass: 83.0, block: 7.5 });
        assert_eq!(traffic.rates(3 * SECOND), Rates { pass: 0.0, block: 0.0 });
    }

    #[test]
    fn an_earlier_reading_of_the_clock_counts_in_the_second_in_progress() {
        let mut traffic = Traffic::default();
        traffic.count(5 * SECOND, 1, true);
        traffic.count(4 * SECOND, 1, true);
        assert_eq!(traffic.rates(5 * SECOND).pass, 2.0);
    }
}
