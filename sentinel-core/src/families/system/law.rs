//! How many calls at a time a busy machine can bear, learned from how they go.
//!
//! The idea is that of BBR (Cardwell et al., ACM Queue 14(5), 2016), which kratos and Sentinel brought to services: what
//! the service completes per second, times how long a call takes that waits for nobody, is how many calls it works on.
//! More only wait. Both factors are treacherous, since both are measured under the very limit that follows from them:
//!
//! - *A queue that is there inflates response times, also the least ones.* So the response time without a queue is not the
//!   least one seen, but one that was measured without a queue: while the machine is not busy, or in a *probe*, for which
//!   the limit is halved until the queue has drained and as many calls as were left have ended. A probe that finds a much
//!   shorter time than was known, or that the service completes as many calls as before, has not seen the end of the queue:
//!   another follows. They come again after eight seconds, or twenty times their length, while more than a few calls are
//!   refused. They also find out that the service has become slower.
//! - *The rate that is reached is the rate that was allowed.* So the limit is above the product, by a quarter, by twice its
//!   square root, which is how far calls that come at random stray from it, and by one. Where the signal is the share of
//!   the machine that is used, the rate is taken for that share of what is possible.
//! - *The limit may relieve the machine, and what a relieved machine lets in is a queue.* So the limit is not lifted when the
//!   signal falls below its threshold: it grows by a quarter with each reading, until it has not mattered for a while. Readings that
//!   overlap a probe do not count.
//! - *Before the first reading the machine may be busy already.* So there is a limit from the first call on; while the
//!   machine is busy and no call has ended, it lets no more in than there are; and while it is not busy, it is twice the
//!   most calls in flight of the last ten seconds.
//! - *Few calls say little.* So the rate is averaged over as long as some thirty calls take to end, and twice the time that
//!   one takes; and a probe has as long as it needs to see ten end.

use std::collections::VecDeque;

/// Steps per second.
pub(super) const STEPS: u64 = 10;

/// How far above the product of rate and time the limit is: in parts of it, and of its square root.
const GAIN: f64 = 1.25;
const ROOTS: f64 = 2.0;
/// How much a limit grows with each reading once the machine is not busy any more.
const GROWTH: f64 = 1.25;
/// The share of a new reading in the smoothed signal.
const SMOOTHING: f64 = 0.5;
/// A signal counts as at most this many times its threshold, so that one odd reading is soon forgotten.
const MOST_PRESSURE: f64 = 10.0;
/// Less usage than this does not raise the limit further.
const LEAST_USAGE: f64 = 0.5;

/// A probe is followed by another if it finds a response time below this share of what was known,
const SHORTER: f64 = 0.8;
/// or a rate above this share of what was possible: without a queue, half of the calls make half of the rate.
const SAME_RATE: f64 = 0.75;
/// Calls from which on a mean says something: at once, and after a while.
const ENOUGH: f64 = 30.0;
const FEW: f64 = 10.0;
/// Steps after which few calls have to do for a measurement.
const WHILE: u64 = 5 * STEPS;
/// How many times as long as expected a probe may take.
const PATIENCE: f64 = 3.0;
/// Steps between probes, at least, and as a multiple of their length.
const PROBE_PAUSE: u64 = 8 * STEPS;
const PROBE_SHARE: u64 = 20;
/// The share of refusals among calls that ended up to which a limit that was measured is not measured anew.
const TOLERATED: f64 = 0.15;

/// Steps over which the rate is averaged, at least and at most; and in how many times as many the greatest is looked for.
const RATE_LEAST: usize = STEPS as usize / 2;
const RATE_MOST: usize = 30 * STEPS as usize;
const RATE_SPAN: usize = 6;
/// Steps in which the most calls in flight are remembered.
const PEAK_SPAN: usize = 10 * STEPS as usize;

/// What happened in the last step, or in several steps without a call.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Step {
    /// How many steps it is.
    pub(super) steps: u64,
    /// Permits of calls that ended.
    pub(super) completed: u64,
    /// Their response times together, in seconds.
    pub(super) response_time: f64,
    /// Permits in flight, now and at most.
    pub(super) in_flight: u32,
    pub(super) peak: u32,
    /// Calls that the limit refused.
    pub(super) refused: u64,
    /// The signal, if there was a new reading.
    pub(super) reading: Option<Reading>,
}

/// What a signal says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// Its value in parts of its threshold.
    pub(super) pressure: f64,
    /// The share of the machine that is used, if that is what it says.
    pub(super) usage: Option<f64>,
}

/// What was learned so far.
#[derive(Debug)]
pub(super) struct Law {
    initial: f64,
    limit: f64,
    step: u64,
    /// The signal in parts of its threshold, smoothed.
    pressure: Option<f64>,
    /// The share of the machine that is used, smoothed, where the signal tells; or else 1.
    usage: f64,
    /// Whether a probe overlaps what the next reading tells.
    probed: bool,
    /// Permits that ended in each step, without those of probes.
    rates: VecDeque<f64>,
    peaks: VecDeque<f64>,
    /// The response time without a queue, in seconds.
    unqueued: Option<f64>,
    /// What that was before it was last learned.
    earlier: Option<f64>,
    /// Whether that was measured without a queue.
    is_sure: bool,
    phase: Phase,
    probe: Probe,
    next_probe: u64,
    sample: Sample,
    /// Whether the limit follows from what was measured.
    limits: bool,
    /// Calls that were refused since the last probe, and permits that ended.
    refused: f64,
    ended: f64,
}

/// What is being done about the response time without a queue.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Watch,
    /// A probe begins: the queue drains.
    Drain,
    /// So many that may have waited in it are still there.
    Settle(f64),
    Measure,
}

/// The probe in progress.
#[derive(Clone, Copy, Debug, Default)]
struct Probe {
    /// The step in which the queue had drained, or else in which the probe began.
    began: u64,
    /// The step in which it has failed.
    fails: u64,
    /// What the service could complete per second when it began.
    possible: f64,
}

/// Response times of calls that ended.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    steps: u64,
    count: f64,
    sum: f64,
}

impl Law {
    /// Begins with a limit.
    pub(super) fn new(initial: u32) -> Self {
        Self {
            initial: initial.into(),
            limit: initial.into(),
            step: 0,
            pressure: None,
            usage: 1.0,
            probed: false,
            rates: VecDeque::with_capacity(RATE_SPAN * RATE_MOST),
            peaks: VecDeque::with_capacity(PEAK_SPAN),
            unqueued: None,
            earlier: None,
            is_sure: false,
            phase: Phase::Watch,
            probe: Probe::default(),
            next_probe: 0,
            sample: Sample::default(),
            limits: false,
            refused: 0.0,
            ended: 0.0,
        }
    }

    /// The limit from now on.
    pub(super) fn advance(&mut self, step: &Step) -> u32 {
        self.step = self.step.saturating_add(step.steps);
        self.remember(step);
        let has_read = self.read(step.reading);
        if !self.probe(step) {
            if self.is_busy() {
                self.follow(step);
            } else if has_read {
                self.relax();
            }
        }
        // A float saturates.
        self.limit as u32
    }

    fn remember(&mut self, step: &Step) {
        let times = usize::try_from(step.steps).unwrap_or(usize::MAX);
        let push = |row: &mut VecDeque<f64>, span: usize, value: f64| {
            for _ in 0..times.min(span) {
                if row.len() == span {
                    row.pop_front();
                }
                row.push_back(value);
            }
        };
        let completed = step.completed as f64;
        push(&mut self.peaks, PEAK_SPAN, step.peak.into());
        if self.phase == Phase::Watch {
            push(&mut self.rates, RATE_SPAN * RATE_MOST, completed / step.steps.max(1) as f64);
        }
        self.sample.steps = self.sample.steps.saturating_add(step.steps);
        self.sample.count += completed;
        self.sample.sum += step.response_time;
        self.refused += step.refused as f64;
        self.ended += completed;
    }

    /// Takes a reading in, and says whether there was one.
    fn read(&mut self, reading: Option<Reading>) -> bool {
        let probes = self.phase != Phase::Watch;
        self.probed |= probes;
        let Some(Reading { pressure, usage }) = reading else { return false };
        if std::mem::replace(&mut self.probed, probes) {
            return false;
        }
        let (was_busy, pressure) = (self.is_busy(), pressure.min(MOST_PRESSURE));
        self.pressure = Some(self.pressure.map_or(pressure, |before| before + (pressure - before) * SMOOTHING));
        self.usage += (usage.unwrap_or(1.0).clamp(LEAST_USAGE, 1.0) - self.usage) * SMOOTHING;
        if self.is_busy() {
            if !was_busy {
                // What was learned last may have been learned in a queue already.
                self.unqueued = self.earlier.take().or(self.unqueued);
            }
            if self.is_sure {
                // Only calls of while it is not busy are learned from.
                self.sample = Sample::default();
            }
        } else if pressure < 1.0 && !(self.limits && self.refused > 0.0) {
            self.learn();
        }
        true
    }

    /// Learns from the calls that ended while the machine was not busy.
    fn learn(&mut self) {
        if self.sample.count < ENOUGH {
            return;
        }
        if let Some(mean) = std::mem::take(&mut self.sample).mean() {
            self.is_sure = true;
            self.next_probe = self.step.saturating_add(PROBE_PAUSE);
            self.earlier = self.unqueued;
            self.unqueued = Some(self.unqueued.map_or(mean, |known| known + (mean - known) * SMOOTHING));
        }
    }

    fn is_busy(&self) -> bool {
        self.pressure.is_some_and(|pressure| pressure >= 1.0)
    }

    /// Goes on with a probe, and says whether it lasts.
    fn probe(&mut self, step: &Step) -> bool {
        match self.phase {
            Phase::Watch => return false,
            Phase::Drain if f64::from(step.in_flight) <= self.limit => {
                self.phase = Phase::Settle(self.limit);
                self.probe.began = self.step;
            }
            Phase::Settle(left) if left <= step.completed as f64 => {
                self.phase = Phase::Measure;
                self.sample = Sample::default();
            }
            Phase::Settle(left) => self.phase = Phase::Settle(left - step.completed as f64),
            Phase::Drain | Phase::Measure => {}
        }
        let lasts = self.step < self.probe.fails && !self.has_measured();
        if !lasts {
            self.conclude();
        }
        lasts
    }

    fn has_measured(&self) -> bool {
        let Sample { steps, count, .. } = self.sample;
        self.phase == Phase::Measure
            && (count >= ENOUGH.max(2.0 * self.limit) || steps >= WHILE && count >= FEW.max(self.limit))
    }

    /// Ends a probe.
    fn conclude(&mut self) {
        let sample = std::mem::take(&mut self.sample);
        let known = self.unqueued.unwrap_or_default();
        let (mut is_sure, mut pause) =
            (false, PROBE_PAUSE.max(PROBE_SHARE.saturating_mul(self.step - self.probe.began)));
        match sample.mean().filter(|_| self.phase == Phase::Measure) {
            Some(mean) => {
                // One call at a time waits for nobody.
                let is_same_rate = self.limit > 1.0 && sample.rate() > SAME_RATE * self.probe.possible;
                is_sure = mean > SHORTER * known && !is_same_rate;
                if !is_sure {
                    pause = 0;
                }
                self.unqueued = Some(mean);
            }
            // What did not drain is a queue: less of it is left for the next probe.
            None => self.unqueued = Some(known / 2.0),
        }
        self.is_sure = is_sure;
        self.next_probe = self.step.saturating_add(pause);
        self.phase = Phase::Watch;
        (self.refused, self.ended) = (0.0, 0.0);
    }

    /// The machine is busy: the limit follows from what was measured.
    fn follow(&mut self, step: &Step) {
        let in_flight = f64::from(step.in_flight);
        if self.unqueued.is_none() {
            self.guess(step);
        }
        let Some(unqueued) = self.unqueued else {
            self.limit = self.limit.min(in_flight.max(2.0));
            return;
        };
        let rate = self.rate();
        let inside = unqueued * rate / self.usage;
        self.limits = true;
        let tolerated = if self.is_sure { TOLERATED * self.ended } else { 0.0 };
        if self.refused > tolerated && self.step >= self.next_probe && rate > 0.0 {
            self.limit = (inside / 2.0).floor().max(1.0);
            self.phase = Phase::Drain;
            let calls = in_flight + self.limit + ENOUGH.max(2.0 * self.limit);
            let patience = PATIENCE * STEPS as f64 * calls / rate;
            let fails = self.step.saturating_add(WHILE).saturating_add(patience as u64);
            self.probe = Probe { began: self.step, fails, possible: rate / self.usage };
        } else {
            self.limit = (GAIN * inside + ROOTS * inside.sqrt() + 1.0).ceil().max(2.0);
        }
    }

    /// Guesses from the first calls, as long as nothing is known.
    fn guess(&mut self, step: &Step) {
        let Sample { steps, count, .. } = self.sample;
        if count >= ENOUGH.max(step.peak.into()) || steps >= STEPS {
            self.unqueued = self.sample.mean();
        }
    }

    /// The machine is not busy.
    fn relax(&mut self) {
        let bound = 2.0 * self.peaks.iter().copied().fold(0.0, f64::max);
        if self.limits {
            self.limit = (self.limit * GROWTH).ceil();
            self.limits = self.limit <= bound;
        } else {
            self.limit = bound.max(self.initial).min(self.limit * 2.0);
        }
    }

    /// The greatest rate of late, in permits per second.
    fn rate(&self) -> f64 {
        let mut count = 0.0;
        let enough = self.rates.iter().rev().take_while(|ended| {
            count += **ended;
            count < ENOUGH
        });
        let time = 2.0 * self.unqueued.unwrap_or_default() * STEPS as f64;
        let mean = enough.count().max(time as usize).clamp(RATE_LEAST, RATE_MOST).min(self.rates.len()).max(1);
        let recent = self.rates.range(self.rates.len().saturating_sub(RATE_SPAN * mean)..);
        let mut sum: f64 = recent.clone().take(mean).sum();
        let mut most = sum;
        for (new, old) in recent.clone().skip(mean).zip(recent) {
            sum += new - old;
            most = most.max(sum);
        }
        most * STEPS as f64 / mean as f64
    }
}

impl Sample {
    fn mean(self) -> Option<f64> {
        (self.count >= 5.0).then(|| self.sum / self.count)
    }

    /// Permits per second.
    fn rate(self) -> f64 {
        self.count * STEPS as f64 / self.steps.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A service that answers 800 calls a second, each in 20 ms if it does not wait, offered as many as are let in.
    struct Service {
        law: Law,
        limit: u32,
        unqueued: f64,
    }

    const CAPACITY: f64 = 800.0;

    impl Service {
        fn new(initial: u32) -> Self {
            Self { law: Law::new(initial), limit: initial, unqueued: 0.02 }
        }

        /// So many steps with so many calls offered at a time; the machine is read in each.
        fn steps(&mut self, steps: u64, offered: u32) -> Vec<u32> {
            let step = |_| {
                let inside = offered.min(self.limit);
                // By Little's law: what is inside, over what is completed.
                let response_time = (f64::from(inside) / CAPACITY).max(self.unqueued);
                let completed = (f64::from(inside) / response_time / STEPS as f64).round();
                let usage = (completed * STEPS as f64 * self.unqueued / 16.0).min(1.0);
                let limit = self.law.advance(&Step {
                    steps: 1,
                    completed: completed as u64,
                    response_time: completed * response_time,
                    in_flight: inside,
                    peak: inside,
                    refused: offered.saturating_sub(self.limit).into(),
                    reading: Some(Reading { pressure: usage / 0.8, usage: Some(usage) }),
                });
                self.limit = limit;
                limit
            };
            (0..steps).map(step).collect()
        }
    }

    /// Sixteen calls are worked on at a time: a quarter more, twice the root, and one.
    const RIGHT: u32 = 29;

    #[test]
    fn a_queue_that_was_there_from_the_start_is_found_out() {
        let mut service = Service::new(1_000);
        let limits = service.steps(140, 5_000);
        assert!(limits.iter().skip(70).all(|limit| *limit == RIGHT), "{limits:?}");
    }

    #[test]
    fn in_a_long_overload_the_limit_neither_starves_nor_drifts_away() {
        let mut service = Service::new(64);
        service.steps(100, 5_000);
        let limits = service.steps(36_000, 5_000);
        let probes = limits.iter().filter(|limit| **limit < 16).count();
        assert!(limits.iter().all(|limit| *limit <= RIGHT + 1), "{:?}", limits.iter().max());
        assert!(probes < 36_000 / 20, "{probes} steps were spent with probes");
    }

    #[test]
    fn a_relieved_machine_is_not_flooded_at_once() {
        let mut service = Service::new(64);
        service.steps(200, 5_000);
        let before = service.limit;
        let limits = service.steps(10, 1);
        for (limit, next) in std::iter::once(&before).chain(&limits).zip(&limits) {
            assert!(*next <= limit + limit / 4 + 1 || *next <= 64, "{before}, then {limits:?}");
        }
    }

    #[test]
    fn a_service_that_becomes_slower_is_measured_anew() {
        let mut service = Service::new(64);
        service.steps(200, 5_000);
        service.unqueued = 0.04;
        let limits = service.steps(200, 5_000);
        let last = limits.iter().rev().take(50).max().copied().unwrap_or_default();
        // Twice as many calls are worked on at a time: 32.
        assert!((49..=57).contains(&last), "{last}");
    }

    #[test]
    fn without_refusals_nothing_is_probed() {
        let mut service = Service::new(64);
        let limits = service.steps(1_000, 15);
        assert!(limits.iter().all(|limit| *limit >= 16), "{limits:?}");
    }
}
