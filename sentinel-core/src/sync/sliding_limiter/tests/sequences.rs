//! Any sequence of steps, against what was really taken.

use proptest::{collection::vec, prelude::*};

use super::{DAY, HOUR, Loan, MILLI, SECOND, SlidingLimiter, Stamp, admits, worst};

#[derive(Clone, Copy, Debug)]
enum Step {
    Advance(u64),
    /// A call by a clock reading that is older by this much.
    Acquire(u64, u64),
    Borrow(u64, u64),
    /// Gives back one of what is held.
    Undo(usize),
    SetThreshold(u64),
}

fn steps(interval: u64) -> impl Strategy<Value = Vec<Step>> {
    let late = prop_oneof![3 => Just(0), 1 => 0..interval];
    vec(
        prop_oneof![
            3 => (0..interval / 2).prop_map(Step::Advance),
            2 => Just(Step::Advance(interval / 128)),
            1 => (0..20 * interval).prop_map(Step::Advance),
            8 => (late, 0..5_u64).prop_map(|(late, count)| Step::Acquire(late, count)),
            3 => (0..4_u64, 0..2 * interval).prop_map(|(count, max_wait)| Step::Borrow(count, max_wait)),
            3 => any::<usize>().prop_map(Step::Undo),
            1 => (0..12_u64).prop_map(Step::SetThreshold),
        ],
        1..120,
    )
}

enum Held {
    Taken(Stamp, u64),
    Lent(Loan),
}

impl Held {
    fn use_of(&self) -> (u64, u64) {
        match self {
            Held::Taken(stamp, count) => (stamp.0, *count),
            Held::Lent(loan) => (loan.stamp.0, loan.count),
        }
    }
}

proptest! {
    /// Calls by clocks that are behind, batches, loans, undoing and changes of the threshold, in any order.
    #[test]
    fn whatever_happens_no_interval_holds_more_than_the_highest_threshold_and_no_permit_is_lost(
        steps in steps(10_000),
        cells in 1..8_u64,
        start in prop_oneof![Just(0), 0..1_u64 << 44],
    ) {
        const INTERVAL: u64 = 10_000;
        let limiter = SlidingLimiter::with_cells(8, INTERVAL, cells);
        let (mut now, mut held) = (start, Vec::new());
        // Thresholds with the time until which they counted.
        let mut thresholds = vec![(u64::MAX, 8)];
        for step in steps {
            match step {
                Step::Advance(by) => now += by,
                Step::Acquire(late, count) => {
                    let result = limiter.acquire(now.saturating_sub(late), count);
                    prop_assert!(result.is_ok() || count > 0);
                    prop_assert!(result.is_err() || count <= limiter.threshold());
                    held.extend(result.ok().map(|stamp| Held::Taken(stamp, count)));
                }
                Step::Borrow(count, max_wait) => {
                    let result = limiter.borrow(now, count, max_wait);
                    if let Ok(loan) = &result {
                        prop_assert!(loan.due() >= now && loan.due() - now <= max_wait);
                    }
                    held.extend(result.ok().map(Held::Lent));
                }
                Step::Undo(which) if !held.is_empty() => {
                    let held = held.swap_remove(which % held.len());
                    let (at, count) = held.use_of();
                    let (used, left) = (limiter.used(now), limiter.left());
                    match held {
                        Held::Taken(stamp, count) => limiter.undo(stamp, count),
                        Held::Lent(loan) => limiter.give_back(loan),
                    }
                    prop_assert!(limiter.left() <= left + count);
                    if at <= now && at + INTERVAL > now {
                        prop_assert_eq!(limiter.used(now), used - count);
                    }
                }
                Step::Undo(_) => {}
                Step::SetThreshold(threshold) => {
                    if let Some(last) = thresholds.last_mut() {
                        last.0 = now;
                    }
                    thresholds.push((u64::MAX, threshold));
                    limiter.set_threshold(threshold);
                }
            }
        }
        let mut uses: Vec<_> = held.iter().map(Held::use_of).filter(|held| held.1 > 0).collect();
        uses.sort_unstable();
        for &(from, _) in &uses {
            let sum: u64 = uses.iter().filter(|held| (from..from + INTERVAL).contains(&held.0)).map(|held| held.1).sum();
            // A clock that is behind, or a loan, may refer to a threshold up to two intervals ago.
            let highest = thresholds.iter().filter(|(until, _)| *until >= from.saturating_sub(2 * INTERVAL)).map(|t| t.1).max();
            prop_assert!(Some(sum) <= highest, "{sum} in the interval from {from}, {highest:?}: {uses:?}");
        }
        let out: u64 = uses.iter().filter(|held| held.0 <= now && held.0 + INTERVAL > now).map(|held| held.1).sum();
        prop_assert!(limiter.used(now) >= out);
        now += 6 * INTERVAL;
        prop_assert!(limiter.is_idle(now));
        prop_assert_eq!(admits(&limiter, now, 30), limiter.threshold());
    }

    /// One clock, single permits: at worst a cell later than the exact log, for any interval.
    #[test]
    fn a_permit_passes_at_the_latest_a_group_after_an_exact_log_would_let_it(
        threshold in 1..20_u64,
        interval in prop_oneof![MILLI..SECOND, SECOND..HOUR, HOUR..30 * DAY],
        gaps in vec(0..1_000_u64, 1..200),
    ) {
        let limiter = SlidingLimiter::new(threshold, interval);
        let late = interval / 128 + interval / (1 << 33) + 4;
        let (mut now, mut admitted) = (0, Vec::new());
        for gap in gaps {
            now += interval / 1_000 * gap / threshold;
            let out = |at: u64| admitted.iter().filter(|(used, _)| used + interval > at).count() as u64;
            let (exact, lenient) = (out(now), out(now.saturating_sub(late)));
            match limiter.acquire(now, 1) {
                Ok(_) => {
                    prop_assert!(exact < threshold);
                    admitted.push((now, 1));
                }
                Err(not_before) => {
                    prop_assert!(lenient >= threshold);
                    prop_assert!(not_before > now && not_before <= now + interval + late);
                }
            }
        }
        prop_assert!(worst(&admitted, interval) <= threshold);
    }
}
