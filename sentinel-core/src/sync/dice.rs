//! Decisions by chance.

use super::primitive::{AtomicU64, Ordering};

/// The odd number next to 2^64 divided by the golden ratio.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Numbers that look random, the same ones again for the same seed.
///
/// The generator is `SplitMix64` (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
///
/// # Why this is correct
///
/// The state only moves on, by one read-modify-write per number, so no two callers get the same; nothing is ordered by
/// it.
#[derive(Debug)]
pub(crate) struct Dice(AtomicU64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// A number from 0 to below 1, each as likely as any other.
    pub(crate) fn roll(&self) -> f64 {
        let mut mixed = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        // As many bits as a float holds exactly.
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::Dice;

    #[test]
    fn the_same_seed_rolls_the_same_numbers_and_another_one_others() {
        let rolls = |seed| {
            let dice = Dice::new(seed);
            [(); 8].map(|()| dice.roll())
        };
        assert_eq!(rolls(1), rolls(1));
        assert_ne!(rolls(1), rolls(2));
    }

    #[test]
    fn numbers_are_spread_evenly() {
        let dice = Dice::new(7);
        let mut tenths = [0_u32; 10];
        for _ in 0..100_000 {
            let roll = dice.roll();
            assert!((0.0..1.0).contains(&roll));
            tenths[(roll * 10.0) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (9_600..10_400).contains(count)), "{tenths:?}");
    }
}
