//! Response times in steps that grow with them, and the percentiles of the last minute.
//!
//! A step is an eighth of an octave wide, as in the "HDR" histograms, so its middle is at most 6.25 % from any time in
//! it. Below 1,024 ns steps are 128 ns wide; the last step holds everything from 257 s up.

use crate::sync::stripe::{STEPS, Steps};

/// Bits of a response time that are too fine to tell apart.
const FINEST: u32 = 7;
/// 2^3 steps in each octave.
const OCTAVE_BITS: u32 = 3;

/// How many ten-second periods before the one in progress the percentiles cover.
const PERIODS: u64 = 5;

/// The step of a response time in nanoseconds.
#[inline]
pub(super) fn step(nanos: u64) -> usize {
    let units = nanos >> FINEST;
    let octave = (units | 1 << OCTAVE_BITS).ilog2() - OCTAVE_BITS;
    // The two terms are small: at most 8 * 57, and less than 16.
    let step = (octave << OCTAVE_BITS) as usize + (units >> octave) as usize;
    step.min(STEPS - 1)
}

/// The middle of a step, in nanoseconds.
fn middle(step: usize) -> u64 {
    let octave = (step >> OCTAVE_BITS).saturating_sub(1);
    let units = (step - (octave << OCTAVE_BITS)) as u64;
    (2 * units + 1) << (octave as u32 + FINEST - 1)
}

/// What the histogram was when the last ten-second periods with traffic began.
///
/// # Memory
///
/// One histogram (928 bytes) for each of the last six periods that came after traffic, kept for the next time once
/// there.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Oldest first. One of them may be older than the minute: what came before it is to be left out.
    begins: Vec<Begin>,
}

#[derive(Debug)]
struct Begin {
    /// The first period that began like this. Later ones up to the next entry began the same.
    period: u64,
    steps: Box<Steps>,
}

impl History {
    /// Period `first`, and all after it up to `last`, began with these steps; `fill` adds them up.
    pub(super) fn push(&mut self, first: u64, last: u64, fill: impl FnOnce(&mut Steps)) {
        let oldest = last.saturating_sub(PERIODS);
        let old = self.begins.partition_point(|begin| begin.period <= oldest);
        // Of those that are old, the last is still needed, unless the new one is old as well.
        let gone = if first <= oldest { old } else { old.saturating_sub(1) };
        let mut steps = match self.begins.drain(..gone).next_back() {
            Some(mut begin) => {
                begin.steps.fill(0);
                begin.steps
            }
            None => Box::new([0; STEPS]),
        };
        fill(&mut steps);
        self.begins.reserve_exact(1);
        self.begins.push(Begin { period: first, steps });
    }

    /// What was added to the histogram, which is now `steps`, from five periods before `period` on; the last traffic
    /// was in period `active`.
    pub(super) fn since_minute_ago(&self, mut steps: Steps, active: u64, period: u64) -> Steps {
        let oldest = period.saturating_sub(PERIODS);
        if active < oldest {
            return [0; STEPS];
        }
        if let Some(begin) = self.begins.iter().rev().find(|begin| begin.period <= oldest) {
            for (step, before) in steps.iter_mut().zip(&*begin.steps) {
                // Below nothing when a response was there twice before: see `Stripe::add_steps`.
                *step = step.wrapping_sub(*before).cast_signed().max(0).cast_unsigned();
            }
        }
        steps
    }
}

/// The response times, in nanoseconds, that these percentages of the calls do not exceed; `None` without calls.
///
/// The last step has no upper end: `u64::MAX` stands for it.
pub(super) fn percentiles<const N: usize>(steps: &Steps, percents: [u64; N]) -> Option<[u64; N]> {
    let calls: u64 = steps.iter().map(|&calls| u64::from(calls)).sum();
    let time = |percent: u64| {
        let rank = (calls * percent).div_ceil(100);
        let mut seen = 0;
        let step = steps.iter().position(|&calls| {
            seen += u64::from(calls);
            seen >= rank
        });
        step.filter(|&step| step < STEPS - 1).map_or(u64::MAX, middle)
    };
    (calls > 0).then(|| percents.map(time))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use super::{History, STEPS, middle, percentiles, step};

    proptest! {
        #[test]
        fn the_middle_of_a_step_is_within_six_and_a_quarter_percent(nanos in 1_024_u64..257_698_037_760) {
            let middle = middle(step(nanos));
            prop_assert!(middle.abs_diff(nanos) * 16 <= nanos, "{nanos} in a step around {middle}");
        }

        #[test]
        fn short_times_are_told_apart_to_64_ns(nanos in 0_u64..1_024) {
            prop_assert!(middle(step(nanos)).abs_diff(nanos) <= 64);
        }

        #[test]
        fn longer_times_never_have_a_lower_step(a in any::<u64>(), b in any::<u64>()) {
            prop_assert!(step(a.min(b)) <= step(a.max(b)));
        }
    }

    #[test]
    fn a_response_that_was_there_twice_before_does_not_count_as_thousands_of_millions_after() {
        let mut history = History::default();
        history.push(1, 1, |steps| *steps = calls(1));
        assert_eq!(history.since_minute_ago(calls(0), 6, 6), [0; STEPS]);
        assert_eq!(history.since_minute_ago(calls(2), 6, 6)[0], 1);
    }

    #[test]
    fn every_step_is_the_step_of_its_middle() {
        for index in 0..STEPS {
            assert_eq!(step(middle(index)), index);
        }
        assert_eq!(step(u64::MAX), STEPS - 1);
        assert_eq!(step(257_698_037_760), STEPS - 1);
    }

    #[test]
    fn a_percentile_is_the_least_time_that_so_many_calls_do_not_exceed() {
        let mut steps = [0; STEPS];
        (steps[40], steps[80], steps[120]) = (50, 40, 10);
        assert_eq!(percentiles(&steps, [50, 51, 90, 91, 99]), Some([40, 80, 80, 120, 120].map(middle)));
        assert_eq!(percentiles(&[0; STEPS], [50, 99]), None);
    }

    #[test]
    fn one_call_is_every_percentile() {
        let mut steps = [0; STEPS];
        steps[9] = 1;
        assert_eq!(percentiles(&steps, [1, 50, 99]), Some([middle(9); 3]));
    }

    /// The histogram holds one call for each period up to and including the given one.
    fn calls(period: u64) -> [u32; STEPS] {
        let mut steps = [0; STEPS];
        steps[0] = u32::try_from(period).expect("tests stay small") + 1;
        steps
    }

    #[test]
    fn the_last_five_periods_and_the_one_in_progress_count() {
        let mut history = History::default();
        for period in 1..100 {
            history.push(period, period, |steps| *steps = calls(period - 1));
            let counted = history.since_minute_ago(calls(period), period, period)[0];
            assert_eq!(u64::from(counted), (period + 1).min(6));
            assert!(history.begins.len() <= 6);
        }
    }

    #[test]
    fn periods_without_calls_are_remembered_as_one() {
        let mut history = History::default();
        history.push(1, 1, |steps| *steps = calls(0));
        history.push(2, 4, |steps| *steps = calls(1));
        assert_eq!(history.since_minute_ago(calls(2), 4, 4)[0], 3);
        assert_eq!(history.since_minute_ago(calls(2), 4, 6)[0], 2);
        assert_eq!(history.since_minute_ago(calls(2), 4, 7)[0], 1);
        assert_eq!(history.since_minute_ago(calls(2), 4, 9)[0], 1);
        assert_eq!(history.since_minute_ago(calls(2), 4, 10)[0], 0);
    }

    #[test]
    fn after_a_long_pause_nothing_old_counts() {
        let mut history = History::default();
        history.push(1, 1, |steps| *steps = calls(0));
        history.push(2, 500, |steps| *steps = calls(1));
        assert_eq!(history.begins.len(), 1);
        assert_eq!(history.since_minute_ago(calls(2), 500, 500)[0], 1);
    }
}
