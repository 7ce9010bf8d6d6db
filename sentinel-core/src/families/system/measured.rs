//! What is measured of all inbound calls, step by step, by the calls themselves.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::{AGAIN, law};
use crate::{
    signals::Signal,
    statistics::Node,
    sync::{counter::Counter, gauge::Gauge, moment::Moment, number::Number, peak::Peak},
};

/// The length of a step, in nanoseconds.
const STEP: u64 = AGAIN;

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

/// The mean response time of the last second, brought up to date once in each step.
#[derive(Debug, Default)]
pub(crate) struct Mean {
    due: Moment,
    /// Seconds.
    mean: Number,
    marks: Mutex<VecDeque<(u64, Ended)>>,
}

impl Mean {
    /// The mean response time of calls that ended within the last second, in seconds; 0 if there were none.
    pub(super) fn of_last_second(&self, now: u64, node: &Node) -> f64 {
        if !self.due.is_ahead(now)
            && let Some(mut marks) = self.marks.try_lock()
        {
            let (step, ended) = (now / STEP, Ended::of(node));
            marks.push_back((step, ended));
            // The last one that is a second ago is where the second begins.
            while marks.get(1).is_some_and(|(at, _)| at + law::STEPS <= step) {
                marks.pop_front();
            }
            let Ended { count, response_time } = ended.since(marks.front().map_or(ended, |(_, begin)| *begin));
            self.mean.set(if count == 0 { 0.0 } else { response_time / count as f64 });
            self.due.set((step + 1).saturating_mul(STEP));
        }
        self.mean.get()
    }
}

/// A limit on calls in flight that follows what is measured.
#[derive(Debug)]
pub(crate) struct Bbr {
    due: Moment,
    gauge: Gauge,
    peak: Peak,
    refused: Counter,
    learner: Mutex<Learner>,
}

#[derive(Debug)]
struct Learner {
    law: law::Law,
    /// The step that was last; before the first call there is none.
    step: Option<u64>,
    ended: Ended,
    readings: u64,
}

impl Bbr {
    pub(super) fn new(initial: u32) -> Self {
        let learner = Learner { law: law::Law::new(initial), step: None, ended: Ended::default(), readings: 0 };
        Self {
            due: Moment::default(),
            gauge: Gauge::new(initial),
            peak: Peak::default(),
            refused: Counter::default(),
            learner: Mutex::new(learner),
        }
    }

    pub(super) fn gauge(&self) -> &Gauge {
        &self.gauge
    }

    /// Notes what became of a call.
    #[inline]
    pub(super) fn note(&self, refused: bool) {
        if refused {
            self.refused.add(1);
        } else {
            self.peak.raise(self.gauge.in_flight().into());
        }
    }

    /// Whether the limit is to be brought up to date, as once in each step.
    #[inline]
    pub(super) fn is_due(&self, now: u64) -> bool {
        !self.due.is_ahead(now)
    }

    /// Brings the limit up to date.
    #[cold]
    pub(super) fn follow(&self, now: u64, node: &Node, (signal, threshold): (&Signal, f64), is_share: bool) {
        let Some(mut learner) = self.learner.try_lock() else { return };
        let Learner { law, step, ended, readings } = &mut *learner;
        let (this, ended_now, readings_now) = (now / STEP, Ended::of(node), signal.readings());
        let before = step.replace(this).unwrap_or(this);
        let new = ended_now.since(std::mem::replace(ended, ended_now));
        let is_new = std::mem::replace(readings, readings_now) != readings_now;
        let in_flight = self.gauge.in_flight();
        if this > before {
            let limit = law.advance(&law::Step {
                steps: this - before,
                completed: new.count,
                response_time: new.response_time,
                in_flight,
                // It is not above what fits a gauge.
                peak: self.peak.take(in_flight.into()) as u32,
                refused: self.refused.take() > 0,
                reading: signal
                    .get()
                    .filter(|_| is_new)
                    .map(|value| law::Reading { pressure: value / threshold, usage: is_share.then_some(value) }),
            });
            let limit = limit.unwrap_or(u32::MAX);
            if limit != self.gauge.limit() {
                self.gauge.set_limit(limit);
            }
        }
        self.due.set((this + 1).saturating_mul(STEP));
    }
}
