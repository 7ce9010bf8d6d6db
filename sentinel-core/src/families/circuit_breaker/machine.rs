//! The breaker as a machine: numbers in, numbers out, one call at a time.

use smallvec::SmallVec;

use super::{
    policy::{ALL, FIRST_SHARE, is_bad},
    rule::{BreakerControl, BreakerParams},
    window::{Tally, Window},
};
use crate::{
    statistics::Outcome,
    sync::{
        dice::Dice,
        gate::{PERIODS, Sight, Visible},
    },
};

/// When to ask again where that is not a matter of time: a probe may end, or a share be due, at any moment. 10 ms.
pub(super) const SOON: u64 = 10_000_000;
/// Nothing but the operator helps.
const NEVER: u64 = u64::MAX;

/// What a breaker is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub enum BreakerState {
    /// Calls go through, and their results count.
    Closed,
    /// Calls are refused until the retry timeout is over.
    Open,
    /// The retry timeout is over: a few calls are let through as probes, and what becomes of them decides.
    HalfOpen,
    /// The probes were good: a rising share of the calls goes through, and their results count.
    Recovering,
}

/// A change of a breaker's state.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct BreakerChange {
    /// The state before.
    pub from: BreakerState,
    /// The state from now on.
    pub to: BreakerState,
    /// The ratio or the number of errors that opened it last, in the unit of the threshold; for a probe that was bad, 1. 0 if
    /// results have not opened it.
    pub observed: f64,
    /// The threshold of the rule.
    pub threshold: f64,
}

/// What a call was admitted as. It tells only once how that ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// The period in which that was; results count in no other one.
    period: u64,
    part: Part,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Any,
    /// The number of the probe in its period.
    Probe(u32),
    /// The share of calls that was let through, in millionths.
    Share(u32),
}

impl Ticket {
    /// One of many.
    #[inline]
    pub(super) fn of(period: u64) -> Self {
        Self { period, part: Part::Any }
    }

    #[inline]
    pub(super) fn period(&self) -> u64 {
        self.period
    }
}

/// How an admitted call ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) now: u64,
    /// Nanoseconds.
    pub(super) response_time: u64,
    pub(super) outcome: Outcome,
}

/// A state machine that decides by the results of calls, after Nygard's circuit breaker ("Release It!", 2007).
///
/// Each change of state but the end of a recovery, which changes nothing for those inside, begins a *period* with an
/// empty window. What was admitted in one period tells nothing in another one. While half-open, only probes are
/// admitted; so only they decide.
///
/// There is no state that only a call that is inside could end: open ends by time, the place of a probe too, and a
/// recovery lets at least one in ten through.
#[derive(Debug)]
pub(super) struct Machine {
    params: BreakerParams,
    dice: Dice,
    state: State,
    period: u64,
    window: Window,
    /// How often it has opened in a row.
    opens: u32,
    /// What opened it.
    observed: f64,
    /// Probes that have a place.
    probes: Vec<Probe>,
    /// The latest time that it was told.
    now: u64,
    /// What nobody has been told yet.
    changes: SmallVec<[BreakerChange; 2]>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Closed,
    Open {
        since: u64,
        /// Decides on the jitter; from 0 to 1.
        luck: f64,
        until: u64,
    },
    HalfOpen {
        /// Probes so far.
        asked: u32,
        /// Of these, those that ended well.
        good: u32,
    },
    Recovering {
        since: u64,
        /// What calls have saved up in shares; each that is let through takes a whole.
        credit: u32,
    },
    ForcedOpen,
    ForcedClosed,
}

#[derive(Debug)]
struct Probe {
    number: u32,
    since: u64,
}

impl Machine {
    pub(super) fn new(params: BreakerParams, seed: u64) -> Self {
        Self {
            params,
            dice: Dice::new(seed),
            state: State::at_first(params.state),
            period: 0,
            window: Window::new(params.window),
            opens: 0,
            observed: 0.0,
            probes: Vec::new(),
            now: 0,
            changes: SmallVec::new(),
        }
    }

    /// Asks to be admitted.
    ///
    /// # Errors
    ///
    /// When to ask again, in nanoseconds; `u64::MAX` for never.
    pub(super) fn ask(&mut self, now: u64) -> Result<Ticket, u64> {
        let now = self.pass_time(now);
        if matches!(self.state, State::Open { until, .. } if now >= until) {
            self.turn(State::HalfOpen { asked: 0, good: 0 });
        }
        match &mut self.state {
            State::Closed | State::ForcedClosed => Ok(Ticket::of(self.period)),
            State::ForcedOpen => Err(NEVER),
            State::Open { until, .. } => Err(*until - now),
            State::HalfOpen { asked, good } => {
                let timeout = self.params.probe_time(self.opens);
                self.probes.retain(|probe| now - probe.since < timeout);
                if (*good as usize).saturating_add(self.probes.len()) < self.params.probes as usize {
                    *asked = asked.wrapping_add(1);
                    self.probes.push(Probe { number: *asked, since: now });
                    return Ok(Ticket { period: self.period, part: Part::Probe(*asked) });
                }
                let first_end = self.probes.iter().map(|probe| probe.since.saturating_add(timeout)).min();
                Err(first_end.map_or(SOON, |end| SOON.min(end - now)))
            }
            State::Recovering { since, credit } => {
                let share = self.params.share(now - *since).unwrap_or(ALL);
                *credit = credit.saturating_add(share);
                match credit.checked_sub(ALL) {
                    Some(rest) => {
                        *credit = rest;
                        Ok(Ticket { period: self.period, part: Part::Share(share) })
                    }
                    None => Err(SOON),
                }
            }
        }
    }

    /// Takes an admission back, as if nobody had asked.
    pub(super) fn undo(&mut self, ticket: &Ticket) {
        if ticket.period != self.period {
            return;
        }
        match (&ticket.part, &mut self.state) {
            (Part::Probe(number), _) => self.probes.retain(|probe| probe.number != *number),
            (Part::Share(share), State::Recovering { credit, .. }) => *credit = credit.saturating_add(ALL - share),
            _ => {}
        }
    }

    /// An admitted call has ended.
    pub(super) fn end(&mut self, ticket: &Ticket, end: End) {
        let now = self.pass_time(end.now);
        if ticket.period != self.period {
            return;
        }
        let is_bad = is_bad(self.params.slow_beyond(), end.outcome, end.response_time);
        match (&mut self.state, is_bad) {
            (State::Closed | State::Recovering { .. }, Some(is_bad)) => {
                self.window.record(now, is_bad);
                if let Some(measured) = self.params.too_much(self.window.tally()) {
                    self.open(measured);
                }
            }
            (State::HalfOpen { .. }, Some(true)) => self.open(1.0),
            (State::HalfOpen { good, .. }, Some(false)) => {
                *good += 1;
                self.undo(ticket);
                self.close_if_probed();
            }
            (State::HalfOpen { .. }, None) => self.undo(ticket),
            _ => {}
        }
    }

    /// Follows other parameters. State stays where results count as they did, and nothing is forced.
    pub(super) fn set(&mut self, params: BreakerParams, now: u64) {
        self.pass_time(now);
        let before = std::mem::replace(&mut self.params, params);
        let counts_as_before = params.counts_like(&before);
        if !counts_as_before {
            self.window = Window::new(params.window);
        }
        if !counts_as_before || params.state != before.state {
            self.control(params.state);
        }
        match self.state {
            State::Open { since, luck, .. } => self.state = self.open_since(since, luck),
            // Fewer probes may be needed than have ended well.
            State::HalfOpen { .. } => self.close_if_probed(),
            _ => {}
        }
    }

    /// Forces it open or closed, or lets it start anew.
    pub(super) fn control(&mut self, control: BreakerControl) {
        self.params.state = control;
        (self.opens, self.observed) = (0, 0.0);
        self.turn(State::at_first(control));
    }

    /// What it is at; that a retry timeout or a recovery is over shows with the next call.
    pub(super) fn shown(&self) -> BreakerState {
        self.state.shown()
    }

    /// The results in the window.
    pub(super) fn tally(&mut self, now: u64) -> Tally {
        self.window.advance(now.max(self.now));
        self.window.tally()
    }

    /// What opened it last, in the unit of the threshold.
    pub(super) fn observed(&self) -> f64 {
        self.observed
    }

    /// Whether there are changes that nobody has been told.
    #[inline]
    pub(super) fn has_changed(&self) -> bool {
        !self.changes.is_empty()
    }

    pub(super) fn take_changes(&mut self) -> SmallVec<[BreakerChange; 2]> {
        std::mem::take(&mut self.changes)
    }

    /// Whether a new one would decide alike.
    pub(super) fn is_like_new(&mut self, now: u64) -> bool {
        let is_new = self.state == State::at_first(self.params.state) && self.opens == 0;
        is_new && self.tally(now).total == 0
    }

    /// The nanoseconds since anything but a refusal happened.
    pub(super) fn unused_for(&self, now: u64) -> u64 {
        let end = match self.state {
            State::Open { until, .. } => until,
            _ => 0,
        };
        now.saturating_sub(self.now.max(end))
    }

    fn open(&mut self, observed: f64) {
        self.opens = self.opens.saturating_add(1);
        self.observed = observed;
        let luck = self.dice.roll();
        self.turn(self.open_since(self.now, luck));
    }

    fn open_since(&self, since: u64, luck: f64) -> State {
        State::Open { since, luck, until: since.saturating_add(self.params.open_time(self.opens, luck)) }
    }

    /// Closes, or begins to, if enough probes have ended well.
    fn close_if_probed(&mut self) {
        let State::HalfOpen { good, .. } = self.state else { return };
        if good < self.params.probes {
            return;
        }
        if self.params.recovery.is_zero() {
            self.opens = 0;
            self.turn(State::Closed);
        } else {
            self.turn(State::Recovering { since: self.now, credit: ALL - FIRST_SHARE });
        }
    }

    /// Until when good results do not open it. They only make what is measured less, unless a bucket leaves the window,
    /// or there have not been enough results so far.
    fn calm_until(&self) -> u64 {
        let tally = self.window.tally();
        let waits_for_more = tally.bad > 0 && tally.total < self.params.min_request_amount.into();
        if waits_for_more || self.params.too_much(tally).is_some() { 0 } else { self.window.end() }
    }

    /// Begins a new period.
    fn turn(&mut self, state: State) {
        self.period = (self.period + 1) % PERIODS;
        self.window.clear();
        self.probes.clear();
        self.show(state);
    }

    fn show(&mut self, state: State) {
        let (from, to) = (self.shown(), state.shown());
        self.state = state;
        if from != to {
            let (observed, threshold) = (self.observed, self.params.threshold);
            self.changes.push(BreakerChange { from, to, observed, threshold });
        }
    }

    /// Notes the time, and that a recovery is over by then. A clock that is behind another thread's does not turn time
    /// back.
    fn pass_time(&mut self, now: u64) -> u64 {
        self.now = self.now.max(now);
        if let State::Recovering { since, .. } = self.state
            && self.params.share(self.now - since).is_none()
        {
            self.opens = 0;
            self.show(State::Closed);
        }
        self.now
    }
}

impl State {
    fn at_first(control: BreakerControl) -> Self {
        match control {
            BreakerControl::Auto => Self::Closed,
            BreakerControl::ForcedOpen => Self::ForcedOpen,
            BreakerControl::ForcedClosed => Self::ForcedClosed,
        }
    }

    fn shown(self) -> BreakerState {
        match self {
            Self::Closed | Self::ForcedClosed => BreakerState::Closed,
            Self::Open { .. } | Self::ForcedOpen => BreakerState::Open,
            Self::HalfOpen { .. } => BreakerState::HalfOpen,
            Self::Recovering { .. } => BreakerState::Recovering,
        }
    }
}

impl Visible for Machine {
    #[inline]
    fn sight(&self) -> Sight {
        match self.state {
            State::Closed => Sight::Open { period: self.period, calm_until: self.calm_until() },
            State::ForcedClosed => Sight::Open { period: self.period, calm_until: u64::MAX },
            State::Open { until, .. } => Sight::Shut { until },
            State::ForcedOpen => Sight::Shut { until: u64::MAX },
            State::HalfOpen { .. } | State::Recovering { .. } => Sight::Ask,
        }
    }

    /// Takes over good results.
    fn take(&mut self, counted: u64) {
        if counted > 0 && self.state == State::Closed {
            self.window.record_good(counted);
        }
    }
}
