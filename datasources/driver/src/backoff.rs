use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

/// Pauses between attempts to connect: each twice as long as the one before, up to a limit, and each longer by chance, by
/// up to itself, so that many instances do not come back at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backoff {
    /// The first pause; default 100 ms.
    pub first: Duration,
    /// The longest pause, before chance makes it up to twice as long; default 1 s.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(100), longest: Duration::from_secs(1) }
    }
}

impl Backoff {
    /// Pauses from the first to the longest; at least 1 ms, and the longest no shorter than the first.
    pub fn new(first: Duration, longest: Duration) -> Self {
        let first = first.max(Duration::from_millis(1));
        Self { first, longest: longest.max(first) }
    }

    pub(crate) fn pauses(self) -> ExponentialBackoff {
        // Fields may have been set since.
        let Self { first, longest } = Self::new(self.first, self.longest);
        ExponentialBuilder::default()
            .with_min_delay(first)
            .with_max_delay(longest)
            .with_factor(2.0)
            .with_jitter()
            .without_max_times()
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_never_end_and_differ() {
        let backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(80));
        let lengths: Vec<u128> = backoff.pauses().take(1_000).map(|pause| pause.as_millis()).collect();
        assert_eq!(lengths.len(), 1_000);
        assert!((10..=20).contains(&lengths[0]) && (20..=40).contains(&lengths[1]), "{:?}", &lengths[..2]);
        assert!(lengths[4..].iter().all(|length| (80..=160).contains(length)));
        assert!(lengths[4..].windows(2).any(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn there_is_always_a_pause() {
        let none = Backoff { first: Duration::ZERO, longest: Duration::ZERO };
        assert!(none.pauses().take(100).all(|pause| pause >= Duration::from_millis(1)));
    }
}
