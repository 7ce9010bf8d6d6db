//! What every call to a backend looks at.

use std::sync::Arc;

use super::core::Core;
use crate::{
    statistics::Outcome,
    sync::{counter::Counter, moment::Moment, tally::Tally},
};

/// One backend, as its calls see it; all else about it lies behind the lock of the [`Core`], which writes this too.
pub(super) struct Member {
    pub(super) name: Arc<str>,
    core: Arc<Core>,
    /// Until when it gets no calls; 0 in service, where it need not be compared with anything.
    out_until: Moment,
    /// Changes when it is ejected and when it is back in service.
    period: Counter,
    tally: Tally,
}

/// What the end of a call counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    /// For the service in which it began.
    Service { period: u64 },
    /// For the probation in which it began.
    Probe { period: u64, number: u64 },
    /// For nothing: it went to a backend that was out.
    Nothing,
}

impl Member {
    pub(super) fn new(name: Arc<str>, core: Arc<Core>) -> Self {
        Self { name, core, out_until: Moment::default(), period: Counter::default(), tally: Tally::default() }
    }

    /// Whether it gets no calls now.
    #[inline]
    pub(super) fn is_out(&self) -> bool {
        !self.is_serving() && self.is_out_at(self.core.time.now())
    }

    #[inline]
    pub(super) fn is_out_at(&self, now: u64) -> bool {
        self.out_until.is_ahead(now)
    }

    /// Begins a call, unless it is out. On probation, this takes the probe.
    #[inline]
    pub(super) fn admit(&self) -> Option<Stamp> {
        if self.is_serving() {
            return Some(Stamp::Service { period: self.period() });
        }
        self.core.probe(self, self.core.time.now())
    }

    /// Ends a call.
    #[inline]
    pub(super) fn end(&self, stamp: Stamp, outcome: Outcome) {
        let now = self.core.now();
        match (stamp, outcome) {
            (Stamp::Service { period }, Outcome::Ok) if period == self.period() => self.tally.succeed(),
            (Stamp::Service { period }, Outcome::Error) if period == self.period() => {
                if self.tally.fail(self.core.config.consecutive_errors.unwrap_or(u32::MAX)) {
                    self.core.eject(self, period, now);
                }
            }
            (Stamp::Probe { period, number }, outcome) => self.core.probed(self, period, number, outcome, now),
            (Stamp::Service { .. } | Stamp::Nothing, _) => {}
        }
    }

    #[inline]
    pub(super) fn is_serving(&self) -> bool {
        self.out_until() == 0
    }

    #[inline]
    pub(super) fn out_until(&self) -> u64 {
        self.out_until.get()
    }

    #[inline]
    pub(super) fn period(&self) -> u64 {
        self.period.get()
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Starts a period out of service. Calls that began before count for nothing from here on.
    pub(super) fn leave(&self, until: u64) {
        self.period.add(1);
        self.hold_until(until);
    }

    /// Moves the time until which it gets no calls.
    pub(super) fn hold_until(&self, until: u64) {
        self.out_until.set(until.max(1));
    }

    /// Starts a period of service, with nothing counted.
    pub(super) fn come_back(&self) {
        self.tally.reset();
        self.period.add(1);
        self.out_until.set(0);
    }
}
