use std::time::{Duration, Instant};

/// However short the pause, a file may be written for so long.
const LEAST: Duration = Duration::from_millis(500);

/// Tells when a file that changes has come to rest.
///
/// The system may tell nothing of a change, or of many that do not concern the file. So what the file looks like counts
/// as well as what is told.
pub(crate) struct Settling<S> {
    pause: Duration,
    start: Instant,
    look: S,
    changed: Instant,
    /// When it was last seen or told to be changed.
    told: Instant,
}

/// How a file that changed stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    Yes,
    NotYet,
    /// For ten pauses, and half a second, it has not been left alone for one.
    Never,
}

impl<S: PartialEq> Settling<S> {
    /// A file that looks so now, and has to be left alone for this long.
    pub(crate) fn new(pause: Duration, look: S, now: Instant) -> Self {
        Self { pause, start: now, look, changed: now, told: now }
    }

    /// How long nothing may be told from now on for it to be at rest.
    pub(crate) fn rest(&self, now: Instant) -> Duration {
        self.pause.saturating_sub(now.duration_since(self.told))
    }

    /// The file looks so now, after a pause, or sooner when one was told of a change.
    pub(crate) fn observe(&mut self, look: S, told: bool, now: Instant) -> Settled {
        let is_late = now.duration_since(self.start) >= self.pause.saturating_mul(10).max(LEAST);
        if told || look != self.look {
            self.told = now;
        }
        if look != self.look {
            self.look = look;
            self.changed = now;
            return if is_late { Settled::Never } else { Settled::NotYet };
        }
        let is_at_rest = now.duration_since(self.changed) >= self.pause;
        if is_at_rest && (!told || is_late) { Settled::Yes } else { Settled::NotYet }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(50);

    /// How it stands after each of these: the time in ms, what the file looks like, and whether a change was told.
    fn settled(steps: &[(u64, u8, bool)]) -> Vec<Settled> {
        let start = Instant::now();
        let mut settling = Settling::new(PAUSE, 0, start);
        steps.iter().map(|&(ms, look, told)| settling.observe(look, told, start + Duration::from_millis(ms))).collect()
    }

    #[test]
    fn a_file_that_is_left_alone_for_a_pause_is_at_rest() {
        assert_eq!(settled(&[(50, 0, false)]), [Settled::Yes]);
        let written_on = [(20, 1, true), (70, 2, false), (120, 2, false)];
        assert_eq!(settled(&written_on), [Settled::NotYet, Settled::NotYet, Settled::Yes]);
    }

    #[test]
    fn a_pause_begins_with_what_was_seen_or_told_last() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut settling = Settling::new(PAUSE, 0, start);
        assert_eq!(settling.rest(at(20)), Duration::from_millis(30));
        assert_eq!(settling.observe(0, true, at(30)), Settled::NotYet);
        assert_eq!(settling.rest(at(40)), Duration::from_millis(40));
        assert_eq!(settling.observe(1, false, at(80)), Settled::NotYet);
        assert_eq!(settling.rest(at(80)), PAUSE);
        assert_eq!(settling.rest(at(200)), Duration::ZERO);
    }

    #[test]
    fn what_is_told_counts_though_the_file_looks_the_same() {
        assert_eq!(settled(&[(50, 0, true), (100, 0, false)]), [Settled::NotYet, Settled::Yes]);
    }

    #[test]
    fn changes_elsewhere_cannot_hold_up_a_file_at_rest_for_ever() {
        let told = |ms| (ms, 0, true);
        assert_eq!(settled(&[told(499), told(500)]), [Settled::NotYet, Settled::Yes]);
    }

    #[test]
    fn a_file_that_never_rests_is_given_up() {
        let steps: Vec<_> = (1..=13).map(|step| (step * 40, u8::try_from(step).unwrap(), true)).collect();
        let settled = settled(&steps);
        assert!(settled[..12].iter().all(|&settled| settled == Settled::NotYet));
        assert_eq!(settled[12], Settled::Never);
    }

    #[test]
    fn without_a_pause_a_file_is_at_rest_as_soon_as_it_looks_the_same_twice() {
        let now = Instant::now();
        let mut settling = Settling::new(Duration::ZERO, 0, now);
        assert_eq!(settling.observe(1, true, now), Settled::NotYet);
        assert_eq!(settling.observe(1, false, now), Settled::Yes);
    }
}
