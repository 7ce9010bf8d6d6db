//! The breaker for many threads: the machine behind its gate, and who is told of its changes.

use super::{
    machine::{BreakerChange, BreakerState, End, Machine, Ticket},
    policy::is_bad,
    rule::{BreakerControl, BreakerParams},
    window::Tally,
};
use crate::sync::{
    gate::{Gate, Sight},
    moment::Moment,
    number::Number,
};

/// The numbers of a breaker.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct BreakerSnapshot {
    /// What it is at; that a retry timeout or a recovery is over shows with the next call.
    pub state: BreakerState,
    /// The results in the window.
    pub results: u64,
    /// Of these, those that are bad.
    pub bad: u64,
    /// The ratio or the number of errors that opened it last, in the unit of the threshold; for a probe that was bad, 1. 0 if
    /// results have not opened it.
    pub observed: f64,
}

/// Who is told of changes.
pub(crate) trait Tell {
    /// Takes note of a change, in order. Called under the lock of the machine.
    fn note(&self, change: BreakerChange);

    /// Tells what was noted. Called without a lock.
    fn tell(&self);
}

/// A breaker that any number of threads may ask at once.
#[derive(Debug)]
pub(crate) struct Circuit<T> {
    gate: Gate<Machine>,
    /// The nanoseconds beyond which a call is slow; `u64::MAX` where that does not matter.
    slow_beyond: Moment,
    /// What opened it last, for refusals.
    observed: Number,
    told: T,
}

impl<T: Tell> Circuit<T> {
    pub(super) fn new(params: BreakerParams, seed: u64, told: T) -> Self {
        let slow_beyond = Moment::default();
        slow_beyond.set(params.slow_beyond());
        Self { gate: Gate::new(Machine::new(params, seed)), slow_beyond, observed: Number::new(0.0), told }
    }

    /// Asks to be admitted; `now` is read only where it matters.
    ///
    /// # Errors
    ///
    /// When to ask again, in nanoseconds; `u64::MAX` for never.
    ///
    /// # Cost
    ///
    /// One load while it is closed, or open; a short lock otherwise.
    #[inline(always)]
    pub(super) fn ask(&self, now: impl FnOnce() -> u64) -> Result<Ticket, u64> {
        let now = match self.gate.look() {
            Sight::Open { period, .. } => return Ok(Ticket::of(period)),
            Sight::Shut { until: u64::MAX } => return Err(u64::MAX),
            Sight::Shut { until } => {
                let now = now();
                if now < until {
                    return Err(until - now);
                }
                now
            }
            Sight::Ask => now(),
        };
        self.ask_machine(now)
    }

    #[inline(never)]
    fn ask_machine(&self, now: u64) -> Result<Ticket, u64> {
        self.with(|machine| machine.ask(now))
    }

    /// Takes an admission back, as if nobody had asked.
    pub(super) fn undo(&self, ticket: &Ticket) {
        self.with(|machine| machine.undo(ticket));
    }

    /// An admitted call has ended.
    ///
    /// # Cost
    ///
    /// One compare-exchange for a good result while it is closed, where good results decide nothing; a short lock
    /// otherwise.
    #[inline(always)]
    pub(super) fn end(&self, ticket: &Ticket, end: End) {
        if !self.end_well(ticket, end) {
            self.end_otherwise(ticket, end);
        }
    }

    #[inline(never)]
    fn end_otherwise(&self, ticket: &Ticket, end: End) {
        self.with(|machine| machine.end(ticket, end));
    }

    /// An admitted call has ended; returns whether that was all, and nothing is to be decided. Where the window is one of
    /// calls, the time does not matter for that.
    #[inline(always)]
    pub(super) fn end_well(&self, ticket: &Ticket, end: End) -> bool {
        let is_bad = is_bad(self.slow_beyond.get(), end.outcome, end.response_time);
        is_bad == Some(false) && self.gate.count(ticket.period(), end.now)
    }

    /// Forces it open or closed, or lets it start anew.
    pub(super) fn control(&self, state: BreakerControl) {
        self.with(|machine| machine.control(state));
    }

    /// Follows other parameters. Changes are noted, to be [told](Circuit::tell) when no lock is held.
    pub(super) fn set(&self, params: BreakerParams, now: u64) {
        self.slow_beyond.set(params.slow_beyond());
        let ((), _) = self.noting(|machine| machine.set(params, now));
    }

    /// Tells what was noted.
    pub(super) fn tell(&self) {
        self.told.tell();
    }

    /// What opened it last, in the unit of the threshold.
    pub(super) fn observed(&self) -> f64 {
        self.observed.get()
    }

    pub(super) fn state(&self) -> BreakerState {
        self.gate.with(|machine| machine.shown())
    }

    pub(super) fn snapshot(&self, now: u64) -> BreakerSnapshot {
        self.gate.with(|machine| {
            let Tally { total, bad } = machine.tally(now);
            BreakerSnapshot { state: machine.shown(), results: total, bad, observed: machine.observed() }
        })
    }

    /// Whether it is as if it were new, or `long` nanoseconds have passed in which nobody could tell the difference.
    pub(super) fn is_idle(&self, now: u64, long: u64) -> bool {
        self.gate.with(|machine| machine.is_like_new(now) || machine.unused_for(now) >= long)
    }

    #[inline]
    fn with<R>(&self, act: impl FnOnce(&mut Machine) -> R) -> R {
        let (result, has_changed) = self.noting(act);
        if has_changed {
            self.told.tell();
        }
        result
    }

    #[inline]
    fn noting<R>(&self, act: impl FnOnce(&mut Machine) -> R) -> (R, bool) {
        self.gate.with(|machine| {
            let result = act(machine);
            let has_changed = machine.has_changed();
            if has_changed {
                self.note(machine);
            }
            (result, has_changed)
        })
    }

    #[cold]
    fn note(&self, machine: &mut Machine) {
        self.observed.set(machine.observed());
        machine.take_changes().into_iter().for_each(|change| self.told.note(change));
    }
}
