//! Plain numbers out.

use std::time::Duration;

/// What happened on a resource, as of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct Statistics {
    /// The last second: the bucket in progress and the whole ones before it, as many as there are buckets in a second.
    ///
    /// With ten buckets these are the last 0.9 to 1 s.
    pub second: Traffic,
    /// The last minute: the second in progress and the 59 whole ones before it.
    pub minute: Traffic,
    /// All time.
    pub totals: Totals,
    /// Permits of calls that were admitted and have not ended.
    pub in_flight: u64,
    /// The response times of the last 50 to 60 seconds: the ten-second period in progress and the five before it.
    pub percentiles: Percentiles,
}

/// What happened in a window of time. All counts are of permits: a call of a batch of five counts as five.
///
/// What comes in while a bucket ends counts in this bucket or in the next; over all windows nothing is lost or counted
/// twice.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct Traffic {
    /// How long the window is when it is full: one second, or one minute.
    #[cfg_attr(feature = "json", serde(rename = "spanMs", serialize_with = "as_millis"))]
    pub span: Duration,
    /// Admitted.
    pub pass: u64,
    /// Refused.
    pub block: u64,
    /// Ended, however it went. A call counts when it ends, so this may be more than passed in the same window.
    pub complete: u64,
    /// Ended as [`Outcome::Error`](crate::Outcome::Error); part of `complete`.
    pub error: u64,
    /// Ended as [`Outcome::Ignored`](crate::Outcome::Ignored); part of `complete`.
    pub ignored: u64,
    /// How long they took, the ignored ones left out.
    pub response_times: ResponseTimes,
    /// The most permits that were in flight at a time.
    ///
    /// Exact as long as the resource has not been hot (256 permits within 25 ms). From then on every thread looks at
    /// most once in a millisecond, and at the begin and end of each bucket; shorter peaks may be missed.
    pub in_flight_max: u64,
}

impl Traffic {
    /// Permits admitted per second.
    pub fn pass_rate(&self) -> f64 {
        self.per_second(self.pass)
    }

    /// Permits refused per second.
    pub fn block_rate(&self) -> f64 {
        self.per_second(self.block)
    }

    /// The share of what ended that failed, from 0 to 1; ignored calls are left out. 0 when nothing ended.
    pub fn error_ratio(&self) -> f64 {
        match self.complete.saturating_sub(self.ignored) {
            0 => 0.0,
            // An error may fall into the bucket after its completion.
            recorded => (self.error as f64 / recorded as f64).min(1.0),
        }
    }

    /// The mean response time; zero when nothing ended.
    pub fn mean_response_time(&self) -> Duration {
        match self.complete.saturating_sub(self.ignored) {
            0 => Duration::ZERO,
            recorded => Duration::from_nanos(nanos(self.response_times.sum) / recorded),
        }
    }

    fn per_second(&self, count: u64) -> f64 {
        if self.span.is_zero() { 0.0 } else { count as f64 / self.span.as_secs_f64() }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How long calls took, from admission to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct ResponseTimes {
    /// The sum; a batch of five counts five times.
    #[cfg_attr(feature = "json", serde(rename = "sumMs", serialize_with = "as_millis"))]
    pub sum: Duration,
    /// The shortest; zero when nothing ended. Above 34 s rounded down by up to 1.05 ms.
    #[cfg_attr(feature = "json", serde(rename = "minMs", serialize_with = "as_millis"))]
    pub min: Duration,
    /// The longest; zero when nothing ended. Above 34 s rounded down by up to 1.05 ms.
    #[cfg_attr(feature = "json", serde(rename = "maxMs", serialize_with = "as_millis"))]
    pub max: Duration,
}

/// Response times that a share of the calls did not exceed; zero when nothing ended.
///
/// Within 6.25 % above 1 µs and within 64 ns below, and never outside the minute's shortest and longest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct Percentiles {
    /// Half of the calls were at least this fast.
    #[cfg_attr(feature = "json", serde(rename = "p50Ms", serialize_with = "as_millis"))]
    pub p50: Duration,
    /// Nine of ten calls were.
    #[cfg_attr(feature = "json", serde(rename = "p90Ms", serialize_with = "as_millis"))]
    pub p90: Duration,
    /// 99 of 100 calls were.
    #[cfg_attr(feature = "json", serde(rename = "p99Ms", serialize_with = "as_millis"))]
    pub p99: Duration,
}

/// What happened since the resource came into being, in permits.
///
/// `error + ignored <= complete <= pass` holds in every snapshot. Totals never go back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct Totals {
    /// Admitted.
    pub pass: u64,
    /// Refused.
    pub block: u64,
    /// Ended, however it went.
    pub complete: u64,
    /// Ended as [`Outcome::Error`](crate::Outcome::Error); part of `complete`.
    pub error: u64,
    /// Ended as [`Outcome::Ignored`](crate::Outcome::Ignored); part of `complete`.
    pub ignored: u64,
    /// The sum of the response times, the ignored ones left out; a batch of five counts five times.
    #[cfg_attr(feature = "json", serde(rename = "responseTimeMs", serialize_with = "as_millis"))]
    pub response_time: Duration,
}

#[cfg(feature = "json")]
pub(crate) fn as_millis<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(crate::clock::millis(*duration))
}
