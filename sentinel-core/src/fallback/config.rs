//! What a fallback is asked for.

use std::{ops::RangeInclusive, time::Duration};

use crate::setting::{InvalidSetting, Settings};

const KEYS: RangeInclusive<usize> = 1..=10_000_000;
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What a [`Fallback`](crate::Fallback) is asked for.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use sentinel_core::FallbackConfig;
///
/// let config = FallbackConfig::default()
///     .max_keys(10_000)
///     .time_to_live(Duration::from_secs(60 * 60))
///     .stale_while(Duration::from_secs(5 * 60));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FallbackConfig {
    /// How many keys have a value; from 1 to 10,000,000, default 1,000.
    ///
    /// Beyond 127, each has its place in one of up to 16 parts, and makes room for others there: so it may be one of
    /// somewhat fewer.
    pub max_keys: usize,
    /// How old a value gets before it is not given any more; from 1 ms to 30 days, default 5 min.
    pub time_to_live: Duration,
    /// How long in a row a key is answered from the past, from the first such answer until another value is stored;
    /// from 1 ms to the time to live, default `None`: for as long as the value lives.
    ///
    /// It lets trouble show sooner than after the time to live where values may be old.
    pub stale_while: Option<Duration>,
}

impl Default for FallbackConfig {
    fn default() -> Self {
        Self { max_keys: 1_000, time_to_live: Duration::from_secs(5 * 60), stale_while: None }
    }
}

impl FallbackConfig {
    /// Sets how many keys have a value.
    #[must_use]
    pub fn max_keys(mut self, max: usize) -> Self {
        self.max_keys = max;
        self
    }

    /// Sets how old a value gets before it is not given any more.
    #[must_use]
    pub fn time_to_live(mut self, time: Duration) -> Self {
        self.time_to_live = time;
        self
    }

    /// Sets how long in a row a key is answered from the past.
    #[must_use]
    pub fn stale_while(mut self, time: Duration) -> Self {
        self.stale_while = Some(time);
        self
    }

    /// The only judge of the settings.
    pub(super) fn validate(&self) -> Result<(), InvalidSetting> {
        let settings = Settings("fallback");
        let (keys, time) = (self.max_keys, self.time_to_live);
        settings.check(KEYS.contains(&keys), "max_keys", keys, "it is from 1 to 10,000,000")?;
        settings.check((SHORTEST..=LONGEST).contains(&time), "time_to_live", time, "it is from 1 ms to 30 days")?;
        self.stale_while.map_or(Ok(()), |bound| {
            let expected = "it is from 1 ms to the time to live";
            settings.check((SHORTEST..=time).contains(&bound), "stale_while", bound, expected)
        })
    }
}
