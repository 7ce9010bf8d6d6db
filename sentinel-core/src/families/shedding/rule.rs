//! What a shedding rule says.

use std::time::Duration;

use super::Shedding;
use crate::{
    clock,
    families::Params,
    rules::{Report, Rule},
};

/// With 1, a client that has shed calls goes on to shed them.
const MIN_K: f64 = 1.1;
const MAX_K: f64 = 100.0;
const MIN_INTERVAL: Duration = Duration::from_secs(1);
const MAX_INTERVAL: Duration = Duration::from_secs(60 * 60);

const DEFAULT_K: f64 = 2.0;
const DEFAULT_INTERVAL: Duration = Duration::from_secs(120);
const DEFAULT_MIN_REQUEST_AMOUNT: u32 = 10;
const DEFAULT_MAX_SHARE: f64 = 0.95;

/// A rule on when a client refuses calls by itself.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use sentinel_core::SheddingRule;
///
/// let rule = SheddingRule::new("inventory").k(1.5).within(Duration::from_secs(30));
/// ```
pub type SheddingRule = Rule<Shedding>;

/// What a shedding rule asks for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SheddingParams {
    /// How many calls the client asks for per call that goes well before it sheds; from 1.1 to 100, default 2. Document:
    /// `k`.
    pub k: f64,
    /// The time that is looked back on; from 1 s to 1 h, default 2 min. Document: `intervalMs`.
    pub interval: Duration,
    /// Permits within the interval from which on the rule sheds; default 10. Document: `minRequestAmount`.
    pub min_request_amount: u32,
    /// The greatest share of calls that are shed; above 0, at most 1, default 0.95. Document: `maxShare`.
    ///
    /// The rest finds out when the service is back. With 1, a client that is asked for many calls and saw none go well
    /// sends next to none.
    pub max_share: f64,
}

impl SheddingParams {
    /// The share of calls to shed after so many were asked for and went well.
    pub(super) fn share(&self, asked: u64, good: u64) -> f64 {
        if asked < self.min_request_amount.into() {
            return 0.0;
        }
        let (asked, good) = (asked as f64, good as f64);
        ((asked - self.k * good) / (asked + 1.0)).min(self.max_share)
    }
}

impl Default for SheddingParams {
    fn default() -> Self {
        Self {
            k: DEFAULT_K,
            interval: DEFAULT_INTERVAL,
            min_request_amount: DEFAULT_MIN_REQUEST_AMOUNT,
            max_share: DEFAULT_MAX_SHARE,
        }
    }
}

impl Rule<Shedding> {
    /// Sheds when fewer than half of the calls of the last two minutes went well.
    pub fn new(resource: impl Into<String>) -> Self {
        Self::on(resource, SheddingParams::default())
    }

    /// Sets how many calls are asked for per call that goes well.
    #[must_use]
    pub fn k(mut self, k: f64) -> Self {
        self.params.k = k;
        self
    }

    /// Sets the time that is looked back on.
    #[must_use]
    pub fn within(mut self, interval: Duration) -> Self {
        self.params.interval = interval;
        self
    }

    /// Sets from how many permits within the interval on the rule sheds.
    #[must_use]
    pub fn min_request_amount(mut self, permits: u32) -> Self {
        self.params.min_request_amount = permits;
        self
    }

    /// Sets the greatest share of calls that are shed.
    #[must_use]
    pub fn max_share(mut self, share: f64) -> Self {
        self.params.max_share = share;
        self
    }
}

impl Params for SheddingParams {
    fn validate(&self, report: &mut Report<'_>) {
        if !(MIN_K..=MAX_K).contains(&self.k) {
            report.invalid("k", self.k, "it is a number from 1.1 to 100");
        }
        if !(MIN_INTERVAL..=MAX_INTERVAL).contains(&self.interval) {
            report.invalid("intervalMs", clock::millis(self.interval), "an interval lasts from 1 s to 1 h");
        }
        if !(self.max_share > 0.0 && self.max_share <= 1.0) {
            report.invalid("maxShare", self.max_share, "a share is above 0 and at most 1");
        }
    }

    #[cfg(feature = "json")]
    fn read(fields: &mut crate::rules::Fields<'_>) -> Self {
        let default = Self::default();
        Self {
            k: fields.number("k").unwrap_or(default.k),
            interval: fields.millis("intervalMs").unwrap_or(default.interval),
            min_request_amount: fields.small("minRequestAmount").unwrap_or(default.min_request_amount),
            max_share: fields.number("maxShare").unwrap_or(default.max_share),
        }
    }

    #[cfg(feature = "json")]
    fn write(&self, out: &mut crate::rules::Writer) {
        let default = Self::default();
        if self.k != default.k {
            out.number("k", self.k);
        }
        if self.interval != default.interval {
            out.millis("intervalMs", self.interval);
        }
        if self.min_request_amount != default.min_request_amount {
            out.field("minRequestAmount", self.min_request_amount);
        }
        if self.max_share != default.max_share {
            out.number("maxShare", self.max_share);
        }
    }
}
