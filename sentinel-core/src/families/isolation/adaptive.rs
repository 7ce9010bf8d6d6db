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
    /// Nanoseconds.
    response_time: u64,
    in_flight: u32,
}

impl Finder {
    pub(super) fn new(params: &Adaptive, initial: u32, seed: u64) -> Self {
        let finding = match params.algorithm {
            Algorithm::Aimd { backoff, .. } => Finding::Aimd(Aimd { backoff }),
            Algorithm::Vegas => Finding::Vegas(Vegas::new()),
            Algorithm::Gradient2 { tolerance, headroom, smoothing } => {
                Finding::Gradient2(Gradient2::new(tolerance, headroom.into(), smoothing))
            }
        };
        let state = State { finding, limit: initial.into(), window: Window::default() };
        Self { params: *params, dice: Dice::new(seed), state: Mutex::new(state) }
    }

    /// Whether it finds limits in the same way.
    pub(super) fn is_for(&self, params: &Adaptive) -> bool {
        self.params == *params
    }

    /// Learns from a call that ends, and says the next limit when a window ends with it.
    ///
    /// # Cost
    ///
    /// A short lock, for which nobody waits: a call that ends while another is learned from is left out.
    #[inline]
    pub(super) fn learn(&self, exit: &Exit, gauge: &Gauge) -> Option<u32> {
        if exit.outcome == Outcome::Ignored || exit.response_time < SHORTEST {
            return None;
        }
        let mut state = self.state.try_lock()?;
        let window = &mut state.window;
        if window.end == 0 {
            window.end = exit.now.saturating_add(saturating_nanos(self.params.window));
        }
        window.calls += 1;
        window.failed += u64::from(exit.outcome == Outcome::Error);
        window.response_time = window.response_time.saturating_add(exit.response_time);
        window.in_flight = window.in_flight.max(gauge.in_flight());
        if exit.now < window.end || window.calls < ENOUGH {
            return None;
        }
        Some(self.next(&mut state))
    }

    #[cold]
    fn next(&self, state: &mut State) -> u32 {
        let State { finding, limit, window } = state;
        let Window { calls, failed, response_time, in_flight, .. } = std::mem::take(window);
        let mut sample = Sample {
            response_time: response_time as f64 / 1e9 / calls as f64,
            in_flight: in_flight.into(),
            dropped: failed * FAILED >= calls,
        };
        if let Algorithm::Aimd { max_response_time, .. } = self.params.algorithm {
            sample.dropped |= sample.response_time > max_response_time.as_secs_f64();
        }
        let next = match finding {
            Finding::Aimd(aimd) => aimd.next(*limit, &sample),
            Finding::Vegas(vegas) => vegas.next(*limit, &sample, self.dice.roll()),
            Finding::Gradient2(gradient2) => gradient2.next(*limit, &sample),
        };
        *limit = next.clamp(self.params.min.into(), self.params.max.into());
        // It is within bounds that fit.
        *limit as u32
    }
}
