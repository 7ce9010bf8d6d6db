//! What is measured of all inbound calls, step by step, by the calls themselves.

use parking_lot::Mutex;

use super::{AGAIN, law};
use crate::{
    signals::{SignalName, Signals},
    statistics::Node,
    sync::{counter::Counter, moment::Moment, number::Number, peak::Peak, spread_gauge::SpreadGauge},
};

/// The length of a step, in nanoseconds.
const STEP: u64 = AGAIN;
/// How often the mean of the last second is looked at, in nanoseconds.
const LOOK: u64 = 10_000_000;

/// The calls that ended and their response times together, since the beginning.
#[derive(Clone, Copy, Debug, Default)]
struct Ended {
    count: u64,
    /// Seconds.
    response_time: f64,
}

impl Ended {
    fn of(node: &Node) -> Self {
        let totals = node.totals();
        let count = totals.complete.saturating_sub(totals.ignored);
        Self { count, response_time: totals.response_time.as_secs_f64() }
    }

    fn since(self, before: Self) -> Self {
        Self {
            count: self.count.saturating_sub(before.count),
            response_time: (self.response_time - before.response_time).max(0.0),
        }
    }
}

/// The mean response time of the last second, looked at now and then.
#[derive(Debug, Default)]
pub(crate) struct Mean {
    due: Moment,
    /// Seconds.
    mean: Number,
}

impl Mean {
    /// The mean response time of calls that ended within the last second, in seconds; 0 if there were none.
    #[inline]
    pub(super) fn of_last_second(&self, now: u64, node: &Node) -> f64 {
        if !self.due.is_ahead(now) {
            self.look(now, node);
        }
        self.mean.get()
    }

    #[cold]
    fn look(&self, now: u64, node: &Node) {
        // First, so that few others look, too.
        self.due.set((now / LOOK + 1).saturating_mul(LOOK));
        let (count, response_time) = node.ended_last_second(now);
        self.mean.set(if count == 0 { 0.0 } else { response_time.as_secs_f64() / count as f64 });
    }
}

/// A limit on calls in flight that follows what is measured.
#[derive(Debug)]
pub(crate) struct Bbr {
    due: Moment,
    gauge: SpreadGauge,
    peak: Peak,
    refused: Counter,
    learner: Mutex<Box<Learner>>,
}

#[derive(Debug)]
struct Learner {
    law: law::Law,
    /// When the first call came, in nanoseconds, and the step that was last; before that call there is none.
    began: u64,
    step: Option<u64>,
    ended: Ended,
    readings: u64,
}

impl Bbr {
    pub(super) fn new(initial: u32) -> Self {
        let learner =
            Learner { law: law::Law::new(initial), began: 0, step: None, ended: Ended::default(), readings: 0 };
        Self {
            due: Moment::default(),
            gauge: SpreadGauge::new(initial),
            peak: Peak::default(),
            refused: Counter::default(),
            learner: Mutex::new(Box::new(learner)),
        }
    }

    pub(super) fn gauge(&self) -> &SpreadGauge {
        &self.gauge
    }

    /// Notes what became of a call.
    #[inline]
    pub(super) fn note(&self, refused: bool) {
        if refused {
            self.refused.add(1);
        } else {
            self.peak.raise(self.gauge.in_flight_at_most().into());
        }
    }

    /// Whether the limit is to be brought up to date, as once in each step.
    #[inline]
    pub(super) fn is_due(&self, now: u64) -> bool {
        !self.due.is_ahead(now)
    }

    /// Brings the limit up to date.
    #[cold]
    pub(super) fn follow(&self, now: u64, node: &Node, signals: &Signals, (name, threshold): (SignalName, f64)) {
        let Some(mut learner) = self.learner.try_lock() else { return };
        let Learner { law, began, step, ended, readings } = &mut **learner;
        let (this, ended_now) = (now / STEP, Ended::of(node));
        if step.is_none() {
            *began = now;
        }
        let before = step.replace(this).unwrap_or(this);
        let new = ended_now.since(std::mem::replace(ended, ended_now));
        if this > before {
            let signal = signals.signal(name);
            let readings_now = signal.readings();
            let is_new = std::mem::replace(readings, readings_now) != readings_now;
            let value = signals.current(name, now).filter(|_| is_new);
            let in_flight = self.gauge.in_flight();
            let limit = law.advance(&law::Step {
                steps: this - before,
                completed: new.count,
                response_time: new.response_time,
                in_flight,
                // It is not above what fits a gauge.
                peak: self.peak.take(in_flight.into()) as u32,
                refused: self.refused.take(),
                reading: value.map(|value| law::Reading {
                    pressure: value / threshold,
                    usage: (name == SignalName::CpuUsage).then_some(value),
                }),
            });
            let is_known = signals.counts(signal.read_at().max(*began), now);
            let limit = if is_known { limit } else { u32::MAX };
            if limit != self.gauge.limit() {
                self.gauge.set_limit(limit);
            }
        }
        self.due.set((this + 1).saturating_mul(STEP));
    }
}
