//! A circuit breaker, a limit on calls at a time and a rate, all in force on the same calls.

use std::{
    cell::RefCell,
    future::Future as _,
    hint::spin_loop,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use sentinel_core::{BreakerRule, Clock, FlowRule, IsolationRule, Rules, Sentinel};
use sentinel_tower::{Calls, SentinelLayer};
use tower_layer::Layer as _;
use tower_resilience::{bulkhead::BulkheadLayer, circuitbreaker::CircuitBreakerLayer, ratelimiter::RateLimiterLayer};
use tower_service::Service;

use crate::{
    Error,
    breakers::CALLS,
    ours::{OTHER, RESOURCE},
    peers::Ready,
};

/// More calls at a time, and per second, than any bench makes.
const MANY: u32 = 1_000_000;
const PLENTY: u32 = 1_000_000_000;

/// The three rules on each of the two resources.
pub fn sentinel(clock: impl Clock) -> Result<Sentinel, Error> {
    let names = [RESOURCE, OTHER];
    let rules = Rules::new()
        .flow(names.map(|name| FlowRule::new(name, PLENTY.into())))
        .isolation(names.map(|name| IsolationRule::new(name, MANY)))
        .circuit_breaker(
            names.map(|name| BreakerRule::error_ratio(name, 0.5).window_calls(CALLS).min_request_amount(CALLS)),
        );
    let sentinel = Sentinel::builder().clock(clock).build()?;
    sentinel.rules().replace("bench", rules)?;
    Ok(sentinel)
}

/// Ours as a layer around a service that is ready at once.
pub fn layer(clock: impl Clock) -> Result<impl Service<()> + Clone + Send + Sync + 'static, Error> {
    Ok(SentinelLayer::never_waiting(&sentinel(clock)?, Calls::named(RESOURCE)).layer(Ready))
}

/// The layers of tower-resilience around a service that is ready at once.
///
/// All is as it is by default, which costs least: the rate is held in fixed windows, and the bulkhead has no timer.
pub fn tower_resilience() -> Result<impl Service<()> + Clone + Send + 'static, Error> {
    let rate = RateLimiterLayer::builder()
        .limit_for_period(PLENTY as usize)
        .refresh_period(Duration::from_secs(1))
        .timeout_duration(Duration::ZERO)
        .build()?;
    let bulkhead = BulkheadLayer::builder().max_concurrent_calls(MANY as usize).build()?;
    let breaker =
        CircuitBreakerLayer::builder().failure_rate_threshold(0.5).sliding_window_size(CALLS as usize).build()?;
    Ok(breaker.layer(bulkhead.layer(rate.layer(Ready))))
}

/// Calls through a service of one's own. What is not ready at once, such as a lock that another thread holds, is asked
/// again without a pause: waking up would cost more.
pub fn caller(service: impl Service<()> + Send) -> impl Fn() -> bool + Send {
    let service = RefCell::new(service);
    move || {
        let mut context = Context::from_waker(Waker::noop());
        let mut service = service.borrow_mut();
        while service.poll_ready(&mut context).is_pending() {
            spin_loop();
        }
        let mut response = pin!(service.call(()));
        loop {
            match response.as_mut().poll(&mut context) {
                Poll::Ready(response) => break response.is_ok(),
                Poll::Pending => spin_loop(),
            }
        }
    }
}
