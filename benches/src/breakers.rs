//! Calls through circuit breakers that are used alone: ours, and those of other libraries.
//!
//! Each opens when half of the calls fail, and a call says whether it was let through.

use std::{hint::black_box, time::Duration};

use failsafe::{CircuitBreaker as _, Config, backoff, failure_policy};
use recloser::Recloser;
use sentinel_core::{Breaker, BreakerCallError, BreakerParams, Clock};

use crate::Error;

/// How many of the last calls are looked at, where it is not those of the last second.
pub const CALLS: u32 = 100;
const RETRY: Duration = Duration::from_secs(10);

/// Ours, over the last calls.
pub fn of_calls(clock: impl Clock) -> Result<impl Fn(bool) -> bool + Send + Sync, Error> {
    through(clock, BreakerParams::error_ratio(0.5).window_calls(CALLS).min_request_amount(CALLS))
}

/// Ours, over the last second.
pub fn of_a_second(clock: impl Clock) -> Result<impl Fn(bool) -> bool + Send + Sync, Error> {
    through(clock, BreakerParams::error_ratio(0.5))
}

fn through(clock: impl Clock, params: BreakerParams) -> Result<impl Fn(bool) -> bool + Send + Sync, Error> {
    let breaker = Breaker::builder(params.retry_timeout(RETRY)).clock(clock).build()?;
    Ok(move |works| !matches!(breaker.call(|| work(works)), Err(BreakerCallError::Refused(_))))
}

/// recloser, over the last calls.
pub fn recloser() -> impl Fn(bool) -> bool + Send + Sync {
    let breaker = Recloser::custom().error_rate(0.5).closed_len(CALLS as usize).open_wait(RETRY).build();
    move |works| !matches!(breaker.call(|| work(works)), Err(recloser::Error::Rejected))
}

/// failsafe, by the rate of success over a second.
pub fn failsafe() -> impl Fn(bool) -> bool + Send + Sync {
    let policy =
        failure_policy::success_rate_over_time_window(0.5, 5, Duration::from_secs(1), backoff::constant(RETRY));
    let breaker = Config::new().failure_policy(policy).build();
    move |works| !matches!(breaker.call(|| work(works)), Err(failsafe::Error::Rejected))
}

#[inline]
fn work(works: bool) -> Result<(), ()> {
    if black_box(works) { Ok(()) } else { Err(()) }
}

#[cfg(test)]
mod tests {
    use sentinel_core::ManualClock;

    use super::*;

    /// It opens once as many calls have failed as went well, and lets nothing through then.
    fn opens(call: impl Fn(bool) -> bool) {
        assert!((0..CALLS).all(|_| call(true)));
        assert!((0..=CALLS).any(|_| !call(false)));
        assert!(!call(true));
    }

    #[test]
    fn breakers_open_when_half_of_the_calls_fail() {
        opens(of_calls(ManualClock::new()).expect("the parameters are valid"));
        opens(of_a_second(ManualClock::new()).expect("the parameters are valid"));
        opens(recloser());
    }
}
