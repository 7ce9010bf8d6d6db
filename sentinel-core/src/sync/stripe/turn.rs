//! The bucket in progress.

use crate::sync::primitive::{AtomicU64, Ordering};

const TIME_BITS: u32 = 36;
const TIME: u64 = (1 << TIME_BITS) - 1;

/// Response times from here on (34 s) are kept in units of 2^20 ns.
const COARSE: u64 = 1 << (TIME_BITS - 1);
const COARSE_SHIFT: u32 = 20;

/// The word that was never written.
const NOTHING: u64 = 0;

/// A word counts as late by this many turns at most; what seems later is left over from before the turns went round.
const LATEST: u64 = 1_024;

/// When the bucket in progress ends, and what belongs to it.
///
/// # Why this is correct
///
/// Only the holder of the lock on the resource's windows turns the bucket. Everyone else takes `end` and `tag` as hints,
/// one independent of the other: who reads an old one counts into the bucket that has just ended, and who turns late asks
/// for the lock and finds nothing to do.
///
/// `peak` is raised by read-modify-writes and taken by one, so each sample falls into one bucket or the next.
#[derive(Debug)]
pub(crate) struct Turn {
    end: AtomicU64,
    tag: AtomicU64,
    peak: AtomicU64,
}

impl Turn {
    /// Over before it began: the first call turns it.
    pub(crate) fn new() -> Self {
        Self { end: AtomicU64::new(0), tag: AtomicU64::new(0), peak: AtomicU64::new(0) }
    }

    #[inline]
    pub(crate) fn is_over(&self, now: u64) -> bool {
        now >= self.end()
    }

    /// When the bucket ends, in nanoseconds; 0 before the first call.
    #[inline]
    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }

    /// The mark on what belongs to this bucket.
    #[inline]
    pub(crate) fn tag(&self) -> Tag {
        Tag(self.tag.load(Ordering::Relaxed))
    }

    /// Begins the next bucket.
    pub(crate) fn begin(&self, tag: Tag, end: u64) {
        self.tag.store(tag.0, Ordering::Relaxed);
        self.end.store(end, Ordering::Relaxed);
    }

    /// Notes that this many permits are in flight.
    pub(crate) fn raise_peak(&self, in_flight: u64) {
        if in_flight > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(in_flight, Ordering::Relaxed);
        }
    }

    /// The most permits in flight that were noted in this bucket.
    pub(crate) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// The same, and starts anew.
    pub(crate) fn take_peak(&self) -> u64 {
        self.peak.swap(0, Ordering::Relaxed)
    }
}

/// Marks what belongs to one turn: bits 36..64 hold the number of the turn, the rest is 1 and has room for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(u64);

impl Tag {
    /// The tag of a turn; turns are told apart modulo 2^28.
    pub(crate) fn of(turn: u64) -> Self {
        Self(turn << TIME_BITS | 1)
    }

    /// 0 and 1 in turns.
    #[inline]
    pub(crate) fn parity(self) -> usize {
        usize::from((self.0 >> TIME_BITS) & 1 == 1)
    }

    /// A word that says: this response time in this turn. It is never [`NOTHING`].
    ///
    /// Nanoseconds below 2^35 are kept as they are, greater ones rounded down to 2^20 ns and bounded by 2^55 ns, more
    /// than a year. Words of one turn are in the order of their times.
    #[inline]
    pub(super) fn with(self, nanos: u64) -> u64 {
        self.0 + if nanos < COARSE { nanos } else { coarse(nanos) }
    }

    /// The response time in a word, if it is one of this turn.
    pub(super) fn nanos(self, word: u64) -> Option<u64> {
        let time = word.wrapping_sub(self.0);
        (time < TIME).then_some(if time < COARSE { time } else { (time - COARSE) << COARSE_SHIFT })
    }
}

#[cold]
fn coarse(nanos: u64) -> u64 {
    COARSE + (nanos >> COARSE_SHIFT).min(COARSE - 2)
}

/// What two words say together: `choose` decides between words of one turn, otherwise the newer counts. A word that comes
/// late joins the newer turn.
pub(super) fn combine(old: u64, new: u64, choose: fn(u64, u64) -> u64) -> u64 {
    let (old_turn, new_turn) = (old & !TIME, new & !TIME);
    if old == NOTHING || old_turn.wrapping_sub(new_turn) > LATEST << TIME_BITS {
        new
    } else {
        choose(old, old_turn | new & TIME)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{NOTHING, Tag, combine};

    #[test]
    fn a_word_gives_back_its_time_in_its_own_turn_only() {
        for nanos in [0, 1, 999, (1 << 35) - 1] {
            let word = Tag::of(7).with(nanos);
            assert_eq!(Tag::of(7).nanos(word), Some(nanos));
            assert_eq!(Tag::of(8).nanos(word), None);
        }
    }

    #[test]
    fn long_times_are_rounded_down_by_at_most_a_millisecond_and_never_wrap() {
        for nanos in [1_u64 << 35, (1 << 35) + 1, 3_600_000_000_000, 86_400_000_000_000] {
            let read = Tag::of(1).nanos(Tag::of(1).with(nanos)).expect("it is of this turn");
            assert!(read <= nanos && nanos - read < 1 << 20, "{nanos} became {read}");
        }
        assert!(Tag::of(1).nanos(Tag::of(1).with(u64::MAX)) >= Some(365 * 86_400 * 1_000_000_000));
    }

    #[test]
    fn words_of_one_turn_are_in_the_order_of_their_times() {
        let times = [0, 1, (1 << 35) - 1, 1 << 35, 1 << 40, 1 << 55, u64::MAX];
        let words = times.map(|nanos| Tag::of(3).with(nanos));
        assert!(words.is_sorted());
    }

    #[test]
    fn the_newer_turn_replaces_and_the_older_joins_it() {
        let [old, new] = [Tag::of(4), Tag::of(6)];
        assert_eq!(combine(old.with(5), new.with(9), u64::min), new.with(9));
        assert_eq!(combine(new.with(9), old.with(5), u64::min), new.with(5));
        assert_eq!(combine(new.with(9), old.with(50), u64::min), new.with(9));
        assert_eq!(combine(new.with(9), old.with(50), u64::max), new.with(50));
    }

    #[test]
    fn turns_may_go_round() {
        let [last, first] = [Tag::of((1 << 28) - 2), Tag::of(1 << 28)];
        assert_eq!(combine(last.with(5), first.with(9), u64::min), first.with(9));
        assert_eq!(combine(first.with(9), last.with(5), u64::min), first.with(5));
        for turn in [0, 1, 1 << 10, 1 << 27, 1 << 28] {
            assert_eq!(combine(NOTHING, Tag::of(turn).with(9), u64::min), Tag::of(turn).with(9));
            assert_eq!(Tag::of(turn).nanos(NOTHING), None);
        }
    }

    #[test]
    fn a_word_left_from_long_ago_is_replaced() {
        let [ancient, new] = [Tag::of(2), Tag::of((1 << 28) - 40_000)];
        assert_eq!(combine(ancient.with(5), new.with(9), u64::min), new.with(9));
    }
}
