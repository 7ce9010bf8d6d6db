//! Finds a limit from how calls go, window by window.

mod algorithm;

use parking_lot::Mutex;

use self::algorithm::{Aimd, Gradient2, Sample, Vegas};
use super::rule::{Adaptive, Algorithm};
use crate::{
    clock::saturating_nanos,
    families::Exit,
    statistics::Outcome,
    sync::{dice::Dice, gauge::Gauge},
};

/// Calls without which a window does not end.
const ENOUGH: u64 = 10;
/// Of how many calls one has to fail for a window to count as an overload.
const FAILED: u64 = 10;
/// Shorter response times say nothing about a queue, in nanoseconds.
const SHORTEST: u64 = 100_000;

/// What finds the limit of one gauge.
///
/// Calls outlive the rule that admitted them, and learn on when they end. So what finds a limit sets it as well, both
/// in one step under its lock, and sets none any more once it has [retired](Finder::retire).
#[derive(Debug)]
pub(super) struct Finder {
    params: Adaptive,
    dice: Dice,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    finding: Finding,
    limit: f64,
    window: Window,
    is_retired: bool,
}

/// An algorithm, and what it remembers.
#[derive(Debug)]
enum Finding {
    Aimd(Aimd),
    Vegas(Vegas),
    Gradient2(Gradient2),
}

#[derive(Debug, Default)]
struct Window {
    /// When it ends at the earliest; 0 before its first call.
    end: u64,
    calls: u64,
    failed: u64,
    /// Those whose response time counts.
    timed: u64,
    /// Nanoseconds.
    response_time: u64,
    in_flight: u32,
}

impl Finder {
    pub(super) fn new(params: &Adaptive, initial: u32, seed: u64) -> Self {
        let dice = Dice::new(seed);
        let finding = match params.algorithm {
            Algorithm::Aimd { backoff, max_response_time } => {
                Finding::Aimd(Aimd { backoff, longest: max_response_time.as_secs_f64() })
            }
            Algorithm::Vegas => Finding::Vegas(Vegas::new(dice.roll())),
            Algorithm::Gradient2 { tolerance, headroom, smoothing } => {
                Finding::Gradient2(Gradient2::new(tolerance, headroom.into(), smoothing))
            }
        };
        let state = State { finding, limit: initial.into(), window: Window::default(), is_retired: false };
        Self { params: *params, dice, state: Mutex::new(state) }
    }

    /// Whether it finds limits in the same way, and still does.
    pub(super) fn is_for(&self, params: &Adaptive) -> bool {
        self.params == *params && !self.state.lock().is_retired
    }

    /// From now on it sets no limit.
    pub(super) fn retire(&self) {
        self.state.lock().is_retired = true;
    }

    /// Learns from a call that ends, and sets the next limit when a window ends with it. Says whether that is another
    /// one: then the gauge is to be served.
    ///
    /// # Cost
    ///
    /// A short lock, for which nobody waits: a call that ends while another is learned from is left out.
    #[inline]
    pub(super) fn learn(&self, exit: &Exit, gauge: &Gauge) -> bool {
        let failed = exit.outcome == Outcome::Error;
        let is_timed = exit.response_time >= SHORTEST;
        if exit.outcome == Outcome::Ignored || !(is_timed || failed) {
            return false;
        }
        let Some(mut state) = self.state.try_lock() else { return false };
        let window = &mut state.window;
        if window.end == 0 {
            window.end = exit.now.saturating_add(saturating_nanos(self.params.window));
        }
        window.calls += 1;
        window.failed += u64::from(failed);
        if is_timed {
            window.timed += 1;
            window.response_time = window.response_time.saturating_add(exit.response_time);
        }
        window.in_flight = window.in_flight.max(gauge.in_flight());
        exit.now >= window.end && window.calls >= ENOUGH && self.next(&mut state, gauge)
    }

    #[cold]
    fn next(&self, state: &mut State, gauge: &Gauge) -> bool {
        let State { finding, limit, window, is_retired } = state;
        let Window { calls, failed, timed, response_time, in_flight, .. } = std::mem::take(window);
        if *is_retired {
            return false;
        }
        let sample = Sample {
            // Where there is none, all have failed.
            response_time: response_time as f64 / 1e9 / timed.max(1) as f64,
            in_flight: in_flight.into(),
            dropped: failed * FAILED >= calls,
        };
        let next = match finding {
            Finding::Aimd(aimd) => aimd.next(*limit, &sample),
            Finding::Vegas(vegas) => vegas.next(*limit, &sample, || self.dice.roll()),
            Finding::Gradient2(gradient2) => gradient2.next(*limit, &sample),
        };
        *limit = next.clamp(self.params.min.into(), self.params.max.into());
        // It is within bounds that fit.
        let limit = *limit as u32;
        let is_another = limit != gauge.limit();
        if is_another {
            gauge.set_limit(limit);
        }
        is_another
    }
}
