//! What one value has used of its limit.

use super::rule::{HotspotMetric, HotspotParams, Refill};
use crate::{clock::saturating_nanos, families::SOON};

/// No time is late enough.
const NEVER: u64 = u64::MAX;

/// What a limit is on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Law {
    /// Permits in time, from a bucket that fills again.
    Bucket { interval: u64, refill: Refill },
    /// Permits in time, one after the other.
    Queue { interval: u64, max_wait: u64 },
    /// Permits inside.
    Inside,
}

impl Law {
    pub(super) fn of(params: &HotspotParams) -> Self {
        let interval = saturating_nanos(params.interval);
        match params.metric {
            HotspotMetric::Bucket { refill, .. } => Self::Bucket { interval, refill },
            HotspotMetric::Throttle { max_queueing_time } => {
                Self::Queue { interval, max_wait: saturating_nanos(max_queueing_time) }
            }
            HotspotMetric::Concurrency => Self::Inside,
        }
    }

    /// Units of a permit.
    #[inline]
    fn unit(&self) -> u128 {
        match *self {
            Self::Bucket { interval, .. } | Self::Queue { interval, .. } => interval.into(),
            Self::Inside => 1,
        }
    }
}

/// The limit of one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Limit {
    /// Permits per interval, or inside.
    pub(super) threshold: u32,
    /// The most permits at once.
    pub(super) capacity: u64,
}

impl Limit {
    pub(super) fn new(threshold: u32, burst: u32) -> Self {
        let capacity = if threshold == 0 { 0 } else { u64::from(threshold) + u64::from(burst) };
        Self { threshold, capacity }
    }

    /// The refusal of a call that asks for more than there ever is.
    pub(super) fn never(self) -> Refusal {
        Refusal { observed: 0, threshold: self.threshold, retry_after: NEVER }
    }
}

/// What a value has used of its limit: the generic cell rate algorithm (ITU-T I.371) in its form as a leaky bucket.
///
/// What is used is counted in units of which a permit has as many as the interval has nanoseconds. So what comes back in
/// one nanosecond is the threshold, a whole number, and nothing is rounded however long it runs. A threshold that changes
/// leaves what is used as it is.
///
/// A plain value: it is changed under the lock of the cache that holds it, so that no call takes from one that is just
/// being forgotten.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meter {
    /// In units, at `at`. Permits are at most 2^33, of 2^50 units.
    used: u128,
    at: u64,
    /// The threshold that it last was under.
    threshold: u32,
    /// Tells it from that of the same value before it was forgotten and came again.
    pub(super) number: u32,
}

/// What a call took from a meter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// For a queue the end of the place, as far as it takes to tell it from others; otherwise since when time gives it
    /// back.
    mark: u64,
}

/// Why nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Refusal {
    /// Permits in use, begun ones among them.
    pub(super) observed: u64,
    pub(super) threshold: u32,
    /// Nanoseconds until trying again may help.
    pub(super) retry_after: u64,
}

impl Meter {
    pub(super) fn new(number: u32) -> Self {
        Self { number, ..Self::default() }
    }

    /// Takes permits, at most as many as the limit's capacity. Returns the nanoseconds until the call may go on as well.
    #[inline(always)]
    pub(super) fn take(&mut self, law: &Law, limit: Limit, now: u64, permits: u64) -> Result<(Taken, u64), Refusal> {
        let Limit { threshold, capacity } = limit;
        let Self { used: before, at, .. } = self.drained(law, threshold, now);
        let after = before + u128::from(permits) * law.unit();
        // One that starts anew does so now.
        let at = if before == 0 { at.max(now) } else { at };
        let wait = match *law {
            Law::Queue { max_wait, .. } => {
                let wait = at.saturating_sub(now).saturating_add(nanos(before, threshold));
                if wait > max_wait {
                    return Err(Refusal { observed: threshold.into(), threshold, retry_after: wait - max_wait });
                }
                wait
            }
            Law::Bucket { .. } | Law::Inside => {
                if after > u128::from(capacity) * law.unit() {
                    return Err(self.refuse(law, limit, now, permits));
                }
                0
            }
        };
        *self = Self { used: after, at, threshold, ..*self };
        let mark = if let Law::Queue { .. } = law { self.end(threshold) as u64 } else { at };
        Ok((Taken { mark }, wait))
    }

    /// Takes back what a call took, as far as time has not given it back already.
    ///
    /// Of a queue only the last place is taken back: the others have been told when to go.
    ///
    /// # Why this gives back no more than was taken
    ///
    /// What is used leaves in the order in which it came. So of what the call took there is at least what time cannot
    /// have given back since, and without that, who asked besides would have used no less than what then remains.
    /// `limit` is the one that the call took under. Another one may be in force by now, or have been since; the meter
    /// does not know from when on, so time counts as much as it may have given back under any that it was under.
    pub(super) fn give_back(&mut self, law: &Law, limit: Limit, now: u64, permits: u64, taken: Taken) {
        let took = u128::from(permits) * law.unit();
        let left = if let Law::Queue { .. } = law {
            let end = self.end(self.threshold);
            if end as u64 != taken.mark {
                return;
            }
            took.min(end.saturating_sub(u128::from(now) * u128::from(self.threshold)))
        } else {
            let threshold = limit.threshold.max(self.threshold);
            Self { used: took, at: taken.mark, ..*self }.drained(law, threshold, now).used
        };
        // Whoever asks next finds what time gives back, at the threshold that is in force then.
        self.used = self.used.saturating_sub(left);
    }

    /// What forgetting it would give back, in units that are the same for all values under a law; 0 where it is as good
    /// as new. Nothing where it must not be forgotten: it has nothing left, has calls inside, or lets calls wait.
    #[inline]
    pub(super) fn given_back_if_forgotten(&self, law: &Law, limit: Limit, now: u64) -> Option<u128> {
        let used = self.drained(law, limit.threshold, now).used;
        let left = match law {
            Law::Bucket { .. } => u128::from(limit.capacity.saturating_sub(1)) * law.unit(),
            Law::Queue { .. } | Law::Inside => 0,
        };
        (used <= left).then_some(used)
    }

    /// Whether forgetting it loses nothing, under the threshold that it last was under.
    pub(super) fn is_new(&self, law: &Law, now: u64) -> bool {
        self.drained(law, self.threshold, now).used == 0
    }

    /// Since when it is as it is.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The meter at `now`, or at its own time if that is later.
    #[inline]
    fn drained(&self, law: &Law, threshold: u32, now: u64) -> Self {
        let Some(passed) = now.checked_sub(self.at) else { return *self };
        let back = u128::from(passed) * u128::from(threshold);
        let used = match *law {
            Law::Bucket { interval, refill: Refill::Interval } => {
                if passed <= interval {
                    return *self;
                }
                self.used.saturating_sub(back - back % u128::from(interval))
            }
            Law::Bucket { .. } | Law::Queue { .. } => self.used.saturating_sub(back),
            Law::Inside => self.used,
        };
        Self { used, at: now, ..*self }
    }

    #[cold]
    fn refuse(&self, law: &Law, limit: Limit, now: u64, permits: u64) -> Refusal {
        let free = u128::from(limit.capacity.saturating_sub(permits)) * law.unit();
        // From then on so much has come back that they fit in.
        let fits = |meter: &Self| meter.at.saturating_add(nanos(meter.used.saturating_sub(free), limit.threshold));
        let drained = self.drained(law, limit.threshold, now);
        let retry_at = match *law {
            // Nothing has come back yet, or it will be counted anew from the same moment.
            Law::Bucket { interval, refill: Refill::Interval } => {
                fits(self).max(self.at.saturating_add(interval).saturating_add(1))
            }
            Law::Bucket { .. } | Law::Queue { .. } => fits(&drained),
            Law::Inside => now.saturating_add(SOON),
        };
        let observed = u64::try_from(drained.used.div_ceil(law.unit())).unwrap_or(NEVER);
        Refusal { observed, threshold: limit.threshold, retry_after: retry_at.saturating_sub(now) }
    }

    /// When nothing would be used any more, in units of which a nanosecond has as many as the threshold.
    fn end(&self, threshold: u32) -> u128 {
        u128::from(self.at) * u128::from(threshold) + self.used
    }
}

/// The time in which units come back, rounded up.
#[inline]
fn nanos(units: u128, threshold: u32) -> u64 {
    let threshold = threshold.max(1);
    match u64::try_from(units) {
        Ok(units) => units.div_ceil(threshold.into()),
        // A division of the wider numbers takes several times as long.
        Err(_) => u64::try_from(units.div_ceil(threshold.into())).unwrap_or(NEVER),
    }
}

#[cfg(test)]
mod tests;
