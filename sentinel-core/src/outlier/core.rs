//! What all backends of a detector share.

use std::{sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};

use super::{
    OutlierConfig,
    member::{Member, Stamp},
    snapshot::BackendSnapshot,
    standing::{Backends, Change, Terms},
};
use crate::{
    clock::{Time, saturating_nanos},
    event::{Event, Listeners},
    statistics::Outcome,
    sync::{dice::Dice, moment::Moment},
};

/// Settings, clock, and all backends behind one lock, which is taken for what is rare.
pub(super) struct Core {
    pub(super) config: OutlierConfig,
    pub(super) time: Time,
    pub(super) dice: Dice,
    pub(super) listeners: Listeners,
    /// When the interval in progress ends; written under the lock.
    due: Moment,
    backends: Mutex<Backends>,
}

impl Core {
    pub(super) fn new(config: OutlierConfig, time: Time, seed: u64) -> Self {
        let due = Moment::default();
        due.set(time.now().saturating_add(saturating_nanos(config.interval)));
        Self { config, time, dice: Dice::new(seed), listeners: Listeners::default(), due, backends: Mutex::default() }
    }

    /// The time; if an interval is over by now, it is ended.
    pub(super) fn now(&self) -> u64 {
        let now = self.time.now();
        self.sweep_if_due(now);
        now
    }

    /// The backend of a name, which is new if it is not watched.
    pub(super) fn backend(self: &Arc<Self>, name: &str) -> Arc<Member> {
        let now = self.time.now();
        let mut backends = self.backends.lock();
        backends.get(name, now).unwrap_or_else(|| {
            let member = Arc::new(Member::new(name.into(), Arc::clone(self)));
            backends.add(&member, self.config.max_backends, now);
            member
        })
    }

    pub(super) fn forget(&self, name: &str) {
        self.change(self.backends.lock(), |backends| backends.forget(name, &self.config));
    }

    pub(super) fn clear(&self) {
        self.change(self.backends.lock(), Backends::clear);
    }

    pub(super) fn probe(&self, member: &Member, now: u64) -> Option<Stamp> {
        if member.is_out_at(now) {
            return None;
        }
        self.backends.lock().probe(member, &self.config, now)
    }

    #[cold]
    pub(super) fn probed(&self, member: &Member, period: u64, number: u64, outcome: Outcome, now: u64) {
        let terms = self.terms(now);
        self.change(self.backends.lock(), |backends| backends.probed(member, (period, number), outcome, &terms));
    }

    #[cold]
    pub(super) fn eject(&self, member: &Member, period: u64, now: u64) {
        let terms = self.terms(now);
        self.change(self.backends.lock(), |backends| backends.eject(member, period, &terms));
    }

    /// Ends the interval in progress, if it is over and nobody else is at it.
    #[inline]
    pub(super) fn sweep_if_due(&self, now: u64) {
        if !self.due.is_ahead(now) {
            self.sweep(now);
        }
    }

    pub(super) fn snapshot(&self, now: u64) -> Vec<BackendSnapshot> {
        self.backends.lock().snapshot(now)
    }

    #[cold]
    #[inline(never)]
    fn sweep(&self, now: u64) {
        let Some(backends) = self.backends.try_lock() else { return };
        let Some(late) = now.checked_sub(self.due.get()) else { return };
        let interval = saturating_nanos(self.config.interval).max(1);
        let intervals = late / interval + 1;
        self.due.advance(intervals.saturating_mul(interval));
        let terms = self.terms(now);
        self.change(backends, |backends| backends.sweep(intervals, &terms));
    }

    /// Changes something under the lock, and tells of it when that is free again.
    fn change(&self, mut backends: MutexGuard<'_, Backends>, change: impl FnOnce(&mut Backends)) {
        change(&mut backends);
        let changes = backends.take_changes();
        drop(backends);
        for change in &changes {
            self.listeners.tell(&match change {
                Change::Ejected { name, cause, duration } => {
                    Event::BackendEjected { backend: name, cause: *cause, duration: Duration::from_nanos(*duration) }
                }
                Change::Returned { name } => Event::BackendReturned { backend: name },
            });
        }
    }

    fn terms(&self, now: u64) -> Terms<'_> {
        Terms { config: &self.config, dice: &self.dice, now }
    }
}
