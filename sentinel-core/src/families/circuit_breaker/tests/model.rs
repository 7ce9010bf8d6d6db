//! A breaker that remembers everything and works out from that what it is asked: slow, and obviously right.

use crate::{
    BreakerControl, BreakerParams, BreakerState, BreakerStrategy, BreakerWindow, Outcome, clock::saturating_nanos,
};

/// Millionths.
const ALL: i64 = 1_000_000;

#[derive(Debug)]
pub(super) struct Model {
    params: BreakerParams,
    period: u32,
    state: BreakerState,
    /// When the state began.
    since: u64,
    /// The results that counted: their period, their time, and whether they were bad.
    results: Vec<(u32, u64, bool)>,
    /// The probes of the period.
    probes: Vec<Probe>,
    /// The calls that asked in this recovery: with what share each, and whether it went through.
    asked: Vec<(i64, bool)>,
    /// How often it has opened since it was closed.
    opens: i32,
    now: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct ModelTicket {
    period: u32,
    /// Its place among the probes, or those that asked.
    place: usize,
    is_probe: bool,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    since: u64,
    /// Whether it was good, once it has ended or was given up.
    ended: Option<bool>,
    /// Whether it had not ended in time when somebody asked.
    is_late: bool,
}

impl Model {
    pub(super) fn new(params: BreakerParams) -> Self {
        let mut model = Self {
            params,
            period: 0,
            state: BreakerState::Closed,
            since: 0,
            results: Vec::new(),
            probes: Vec::new(),
            asked: Vec::new(),
            opens: 0,
            now: 0,
        };
        model.start();
        model
    }

    /// Asks, and says when to ask again where it is refused for a known time.
    pub(super) fn ask(&mut self, now: u64) -> Result<ModelTicket, Option<u64>> {
        self.wait(now);
        let forced = self.params.state;
        match self.state {
            _ if forced == BreakerControl::ForcedClosed => Ok(self.ticket(0, false)),
            _ if forced == BreakerControl::ForcedOpen => Err(Some(u64::MAX)),
            BreakerState::Open if self.now < self.since + self.open_time() => {
                Err(Some(self.since + self.open_time() - self.now))
            }
            BreakerState::Open => {
                self.turn(BreakerState::HalfOpen);
                self.ask(now)
            }
            BreakerState::HalfOpen => {
                let timeout = self.params.probe_timeout.map_or(self.open_time(), saturating_nanos);
                self.probes.iter_mut().for_each(|probe| probe.is_late |= self.now - probe.since >= timeout);
                let under_way = self.probes.iter().filter(|probe| probe.ended.is_none() && !probe.is_late);
                if self.good() + under_way.count() >= self.params.probes as usize {
                    return Err(None);
                }
                self.probes.push(Probe { since: self.now, ended: None, is_late: false });
                Ok(self.ticket(self.probes.len() - 1, true))
            }
            BreakerState::Recovering => {
                let recovery = u128::from(saturating_nanos(self.params.recovery));
                let passed = u128::from(self.now - self.since);
                let share = ALL / 10 + (900_000 * passed / recovery) as i64;
                let credit: i64 = self.asked.iter().map(|(share, passed)| share - if *passed { ALL } else { 0 }).sum();
                let passes = 900_000 + credit + share >= ALL;
                self.asked.push((share, passes));
                if passes { Ok(self.ticket(self.asked.len() - 1, false)) } else { Err(None) }
            }
            _ => Ok(self.ticket(usize::MAX, false)),
        }
    }

    pub(super) fn undo(&mut self, ticket: ModelTicket) {
        if ticket.period != self.period {
            return;
        }
        if ticket.is_probe {
            self.probes[ticket.place].ended = Some(false);
        } else if self.state == BreakerState::Recovering
            && let Some(asked) = self.asked.get_mut(ticket.place)
        {
            *asked = (0, false);
        }
    }

    pub(super) fn end(&mut self, ticket: ModelTicket, now: u64, response_time: u64, outcome: Outcome) {
        self.wait(now);
        if ticket.period != self.period || self.params.state != BreakerControl::Auto {
            return;
        }
        let is_bad = match (self.params.strategy, outcome) {
            (BreakerStrategy::SlowRatio { max_response_time }, outcome) => {
                let is_slow = response_time > saturating_nanos(max_response_time);
                if !is_slow && outcome == Outcome::Ignored { None } else { Some(is_slow) }
            }
            (_, Outcome::Ignored) => None,
            (_, outcome) => Some(outcome == Outcome::Error),
        };
        match (ticket.is_probe, is_bad) {
            (true, Some(true)) => self.open(),
            (true, Some(false)) => {
                self.probes[ticket.place].ended = Some(true);
                self.close_if_probed();
            }
            (true, None) => self.probes[ticket.place].ended = Some(false),
            (false, Some(is_bad)) => {
                self.results.push((self.period, self.now, is_bad));
                let (total, bad) = self.window();
                if total >= self.params.min_request_amount as usize && self.is_too_much(total, bad) {
                    self.open();
                }
            }
            (false, None) => {}
        }
    }

    pub(super) fn set(&mut self, params: BreakerParams, now: u64) {
        self.wait(now);
        let kind = |params: &BreakerParams| std::mem::discriminant(&params.strategy);
        let starts_anew = kind(&params) != kind(&self.params)
            || params.window != self.params.window
            || params.state != self.params.state;
        self.params = params;
        if starts_anew {
            self.start();
        } else if self.state == BreakerState::HalfOpen {
            self.close_if_probed();
        }
    }

    pub(super) fn state(&self) -> BreakerState {
        self.state
    }

    /// The results in the window, and those of them that are bad.
    pub(super) fn window(&self) -> (usize, usize) {
        let of_period = || self.results.iter().rev().take_while(|result| result.0 == self.period);
        let inside: Vec<bool> = match self.params.window {
            BreakerWindow::Calls(calls) => of_period().take(calls as usize).map(|result| result.2).collect(),
            BreakerWindow::Time { interval, buckets } => {
                let length = saturating_nanos(interval).div_ceil(buckets.into());
                let first = (self.now / length + 1).saturating_sub(buckets.into());
                of_period().take_while(|result| result.1 / length >= first).map(|result| result.2).collect()
            }
        };
        (inside.len(), inside.iter().filter(|is_bad| **is_bad).count())
    }

    pub(super) fn wait(&mut self, now: u64) {
        self.now = self.now.max(now);
        let recovery = saturating_nanos(self.params.recovery);
        if self.state == BreakerState::Recovering && self.now - self.since >= recovery {
            self.state = BreakerState::Closed;
            self.opens = 0;
        }
    }

    fn is_too_much(&self, total: usize, bad: usize) -> bool {
        let (measured, all) = match self.params.strategy {
            BreakerStrategy::ErrorCount => (bad as f64, f64::INFINITY),
            _ => (bad as f64 / total as f64, 1.0),
        };
        let threshold = self.params.threshold;
        if self.params.strict { measured > threshold || measured == all } else { measured >= threshold }
    }

    fn start(&mut self) {
        self.opens = 0;
        let is_open = self.params.state == BreakerControl::ForcedOpen;
        self.turn(if is_open { BreakerState::Open } else { BreakerState::Closed });
    }

    fn open(&mut self) {
        self.opens += 1;
        self.turn(BreakerState::Open);
    }

    fn close_if_probed(&mut self) {
        if self.good() < self.params.probes as usize {
        } else if self.params.recovery.is_zero() {
            self.opens = 0;
            self.turn(BreakerState::Closed);
        } else {
            self.turn(BreakerState::Recovering);
        }
    }

    fn turn(&mut self, state: BreakerState) {
        self.state = state;
        self.period += 1;
        self.since = self.now;
        self.probes.clear();
        self.asked.clear();
    }

    /// Without jitter.
    fn open_time(&self) -> u64 {
        let default = std::time::Duration::from_secs(600);
        let longest = self.params.max_retry_timeout.unwrap_or(default).max(self.params.retry_timeout);
        let grown = self.params.retry_timeout.as_secs_f64() * self.params.retry_growth.powi(self.opens - 1);
        saturating_nanos(std::time::Duration::from_secs_f64(grown.min(longest.as_secs_f64())))
    }

    fn good(&self) -> usize {
        self.probes.iter().filter(|probe| probe.ended == Some(true)).count()
    }

    fn ticket(&self, place: usize, is_probe: bool) -> ModelTicket {
        ModelTicket { period: self.period, place, is_probe }
    }
}
