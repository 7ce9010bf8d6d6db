use std::{mem, time::Duration};

use parking_lot::{Condvar, Mutex};

/// Wakes a thread. However often it rings while nobody waits, it is heard once.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    state: Mutex<State>,
    rung: Condvar,
}

/// What the thread hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Nothing,
    Change,
    End,
}

#[derive(Debug, Default)]
struct State {
    changed: bool,
    ended: bool,
}

impl Bell {
    /// Something has changed.
    pub(crate) fn ring(&self) {
        self.state.lock().changed = true;
        self.rung.notify_one();
    }

    /// It is over, for good.
    pub(crate) fn end(&self) {
        self.state.lock().ended = true;
        self.rung.notify_one();
    }

    /// Waits for it, at most so long.
    pub(crate) fn wait(&self, timeout: Duration) -> Heard {
        let mut state = self.state.lock();
        self.rung.wait_while_for(&mut state, |state| !state.changed && !state.ended, timeout);
        match mem::take(&mut state.changed) {
            _ if state.ended => Heard::End,
            true => Heard::Change,
            false => Heard::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rings_while_nobody_waits_is_heard_once_and_the_end_for_ever() {
        let bell = Bell::default();
        assert_eq!(bell.wait(Duration::ZERO), Heard::Nothing);
        bell.ring();
        bell.ring();
        assert_eq!(bell.wait(Duration::MAX), Heard::Change);
        assert_eq!(bell.wait(Duration::ZERO), Heard::Nothing);
        bell.ring();
        bell.end();
        assert_eq!(bell.wait(Duration::MAX), Heard::End);
        assert_eq!(bell.wait(Duration::MAX), Heard::End);
    }
}
