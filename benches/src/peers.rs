//! Calls through other libraries, each in the way that its documentation shows.

mod published;

use std::{
    collections::HashMap,
    future::Future as _,
    num::NonZeroU32,
    pin::pin,
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};

use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use limitador::limit::{Limit, Namespace};
use sentinel_core::{Clock as _, TscClock};
use tower_layer::Layer as _;
use tower_resilience::ratelimiter::{RateLimiterLayer, WindowType};
use tower_service::Service;

pub use self::published::{sentinel_published, sentinel_published_under};
use crate::{Error, ours::RESOURCE};

/// So many per second, the same as burst: what comes nearest to a threshold per interval.
pub(crate) fn per_second(threshold: u32) -> Quota {
    Quota::per_second(NonZeroU32::new(threshold).unwrap_or(NonZeroU32::MIN))
}

/// governor's bare check. It reads one clock, keeps no statistics and knows no end of a call.
pub fn governor(threshold: u32) -> impl Fn() -> bool + Send + Sync {
    let limiter: DefaultDirectRateLimiter = RateLimiter::direct(per_second(threshold));
    move || limiter.check().is_ok()
}

/// governor's bare check, of one permit in an hour.
pub fn governor_hourly() -> impl Fn() -> bool + Send + Sync {
    let limiter: DefaultDirectRateLimiter = RateLimiter::direct(Quota::per_hour(NonZeroU32::MIN));
    move || limiter.check().is_ok()
}

/// governor's check by key, which finds the limiter by name.
pub fn governor_keyed(threshold: u32) -> impl Fn() -> bool + Send + Sync {
    let limiter: DefaultKeyedRateLimiter<&str> = RateLimiter::keyed(per_second(threshold));
    move || limiter.check_key(&RESOURCE).is_ok()
}

/// What a user would put together to know about the calls what our statistics know of one bucket: governor's check, five
/// counters, a gauge of calls in flight, and two readings of the clock (ours, the fastest there is).
pub fn assembled(threshold: u32) -> impl Fn() -> bool + Send + Sync {
    #[derive(Default)]
    struct Counters {
        pass: AtomicU64,
        block: AtomicU64,
        complete: AtomicU64,
        response_time: AtomicU64,
        slowest: AtomicU64,
        histogram: [AtomicU64; 32],
        in_flight: AtomicI64,
    }
    let (counters, clock, check) = (Counters::default(), TscClock::new(), governor(threshold));
    move || {
        let entered = clock.nanos();
        if !check() {
            counters.block.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        counters.pass.fetch_add(1, Ordering::Relaxed);
        counters.in_flight.fetch_add(1, Ordering::AcqRel);
        let response_time = clock.nanos().saturating_sub(entered);
        counters.complete.fetch_add(1, Ordering::Relaxed);
        counters.response_time.fetch_add(response_time, Ordering::Relaxed);
        counters.slowest.fetch_max(response_time, Ordering::Relaxed);
        counters.histogram[(response_time | 1).ilog2() as usize % 32].fetch_add(1, Ordering::Relaxed);
        counters.in_flight.fetch_sub(1, Ordering::AcqRel);
        true
    }
}

/// The sliding log of tower-resilience, around a service that is ready at once.
pub fn tower_resilience(threshold: usize, period: Duration) -> Result<impl Fn() -> bool + Send + Sync, Error> {
    let layer = RateLimiterLayer::builder()
        .limit_for_period(threshold)
        .refresh_period(period)
        .timeout_duration(Duration::ZERO)
        .window_type(WindowType::SlidingLog)
        .build()?;
    let limited = layer.layer(Ready);
    Ok(move || {
        let mut future = pin!(limited.clone().call(()));
        matches!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(())))
    })
}

/// limitador with its counters in memory and one limit of so many per period, of whole seconds.
pub fn limitador(threshold: u64, period: Duration) -> impl Fn() -> bool + Send + Sync {
    let namespace = Namespace::from("bench");
    let limiter = limitador::RateLimiter::new(1_000);
    limiter.add_limit(Limit::new("bench", threshold, period.as_secs(), vec![], vec![]));
    let context = HashMap::<String, String>::new().into();
    move || limiter.check_rate_limited_and_update(&namespace, &context, 1).is_ok_and(|result| !result.limited)
}

/// A service that answers at once.
#[derive(Clone, Copy)]
pub(crate) struct Ready;

impl Service<()> for Ready {
    type Response = ();
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<(), Self::Error>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: ()) -> Self::Future {
        std::future::ready(Ok(()))
    }
}
