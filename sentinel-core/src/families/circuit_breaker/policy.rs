//! What the parameters of a breaker mean in numbers.

use super::{
    rule::{BreakerParams, BreakerStrategy},
    window::Tally,
};
use crate::{clock::saturating_nanos, statistics::Outcome};

/// Whether a call that ended like this is bad; `None` where it tells nothing.
#[inline]
pub(super) fn is_bad(slow_beyond: u64, outcome: Outcome, response_time: u64) -> Option<bool> {
    let only_slow_is_bad = slow_beyond != u64::MAX;
    match outcome {
        // Whoever gave up has waited as long as that.
        _ if only_slow_is_bad && response_time > slow_beyond => Some(true),
        Outcome::Ignored => None,
        Outcome::Error => Some(!only_slow_is_bad),
        Outcome::Ok => Some(false),
    }
}

/// The share of calls that is let through when a recovery begins, and all of them, in millionths.
pub(super) const FIRST_SHARE: u32 = 100_000;
pub(super) const ALL: u32 = 1_000_000;

impl BreakerParams {
    /// The nanoseconds beyond which a call is slow; `u64::MAX` where that does not matter.
    pub(super) fn slow_beyond(&self) -> u64 {
        match self.strategy {
            // The longest that a rule may say is far below.
            BreakerStrategy::SlowRatio { max_response_time } => saturating_nanos(max_response_time),
            BreakerStrategy::ErrorRatio | BreakerStrategy::ErrorCount => u64::MAX,
        }
    }

    /// What these results come to, in the unit of the threshold.
    pub(super) fn measure(&self, tally: Tally) -> f64 {
        match self.strategy {
            BreakerStrategy::ErrorCount => tally.bad as f64,
            _ if tally.total == 0 => 0.0,
            // Rounded like the decimal fraction that the threshold was written as, so that equal ones are equal.
            _ => tally.bad as f64 / tally.total as f64,
        }
    }

    /// What these results come to, if that is too much.
    pub(super) fn too_much(&self, tally: Tally) -> Option<f64> {
        if tally.total < u64::from(self.min_request_amount) {
            return None;
        }
        let measured = self.measure(tally);
        let is_reached = measured >= self.threshold;
        let all_are_bad = self.strategy != BreakerStrategy::ErrorCount && measured >= 1.0;
        let is_exceeded = measured > self.threshold || (all_are_bad && is_reached);
        (if self.strict { is_exceeded } else { is_reached }).then_some(measured)
    }

    /// How many nanoseconds it stays open when it does so for the `opens`-th time in a row, with a `luck` from 0 to 1.
    pub(super) fn open_time(&self, opens: u32, luck: f64) -> u64 {
        let repeats = i32::try_from(opens.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = saturating_nanos(self.retry_timeout) as f64 * self.retry_growth.powi(repeats);
        let time = grown.min(saturating_nanos(self.longest_retry()) as f64);
        // A float that is too large becomes the largest number.
        (time * (1.0 + self.retry_jitter * luck)) as u64
    }

    /// After how many nanoseconds a probe makes room for another one.
    pub(super) fn probe_time(&self, opens: u32) -> u64 {
        self.probe_timeout.map_or_else(|| self.open_time(opens, 0.0), saturating_nanos)
    }

    /// The share of calls that is let through so many nanoseconds after the probes, in millionths; `None` when all are.
    pub(super) fn share(&self, since_probes: u64) -> Option<u32> {
        let duration = saturating_nanos(self.recovery);
        if since_probes >= duration {
            return None;
        }
        let risen = u128::from(ALL - FIRST_SHARE) * u128::from(since_probes) / u128::from(duration);
        Some(FIRST_SHARE + risen as u32)
    }

    /// Whether results under the other mean the same under these.
    pub(super) fn counts_like(&self, other: &Self) -> bool {
        std::mem::discriminant(&self.strategy) == std::mem::discriminant(&other.strategy) && self.window == other.window
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn seconds(params: &BreakerParams, opens: u32, luck: f64) -> f64 {
        params.open_time(opens, luck) as f64 / 1e9
    }

    #[test]
    fn it_stays_open_longer_each_time_up_to_the_longest() {
        let params = BreakerParams::error_ratio(0.5).retry_timeout(Duration::from_secs(2)).retry_growth(3.0);
        let times = [1, 2, 3, 4, 6, 7, u32::MAX].map(|opens| seconds(&params, opens, 0.0));
        assert_eq!(times, [2.0, 6.0, 18.0, 54.0, 486.0, 600.0, 600.0]);
        let params = params.max_retry_timeout(Duration::from_secs(20));
        assert_eq!([3, 4].map(|opens| seconds(&params, opens, 0.0)), [18.0, 20.0]);
    }

    #[test]
    fn a_retry_timeout_beyond_the_default_longest_stays_what_it_is() {
        let params = BreakerParams::error_ratio(0.5).retry_timeout(Duration::from_secs(3_600));
        assert_eq!([1, 9].map(|opens| seconds(&params, opens, 0.0)), [3_600.0, 3_600.0]);
    }

    #[test]
    fn jitter_only_makes_it_longer_and_by_no_more_than_its_share() {
        let params = BreakerParams::error_ratio(0.5).retry_jitter(0.5);
        let times = [0.0, 0.5, 1.0].map(|luck| seconds(&params, 1, luck));
        assert_eq!(times, [10.0, 12.5, 15.0]);
    }

    #[test]
    fn a_recovery_begins_with_a_tenth_and_rises_to_all() {
        let params = BreakerParams::error_ratio(0.5).recovery(Duration::from_nanos(90));
        let shares = [0, 10, 45, 89, 90].map(|since| params.share(since));
        assert_eq!(shares, [Some(100_000), Some(200_000), Some(550_000), Some(990_000), None]);
        assert_eq!(BreakerParams::error_ratio(0.5).share(0), None);
    }

    #[test]
    fn a_ratio_is_reached_by_exactly_that_share() {
        for thousandths in 1..=1_000_u64 {
            let written: f64 = format!("{thousandths}e-3").parse().expect("a number");
            let params = BreakerParams::error_ratio(written).min_request_amount(1);
            let strict = params.strict();
            for total in [5, 10, 20, 40, 50, 100, 125, 200, 250, 500, 1_000, 7_000] {
                if !(thousandths * total).is_multiple_of(1_000) {
                    continue;
                }
                let bad = thousandths * total / 1_000;
                let too_much = |params: &BreakerParams, bad| params.too_much(Tally { total, bad }).is_some();
                assert!(too_much(&params, bad) && !too_much(&params, bad - 1), "{bad} of {total}");
                assert_eq!(too_much(&strict, bad), thousandths == 1_000, "{bad} of {total}");
            }
        }
    }
}
