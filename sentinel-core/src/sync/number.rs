//! A number that is set rarely and read by every call.

use super::primitive::{AtomicU64, Ordering};

/// A floating point number in one word.
///
/// # Why this is correct
///
/// The number is one word, so a reader sees one that was set; nothing is ordered by it.
#[derive(Debug, Default)]
pub(crate) struct Number(AtomicU64);

impl Number {
    pub(crate) fn new(value: f64) -> Self {
        Self(AtomicU64::new(value.to_bits()))
    }

    #[inline]
    pub(crate) fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    pub(crate) fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}
