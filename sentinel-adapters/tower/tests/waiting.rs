//! Requests that wait, on tokio's paused time.

use std::{
    convert::Infallible,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use sentinel_core::{Clock, FlowRule, Outcome, Rules, Sentinel};
use sentinel_tower::{CallError, Calls, SentinelLayer};
use tokio::time::{Instant, sleep};
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

const NAME: &str = "reports";

/// Time as tokio tells it, so that it can be paused.
#[derive(Debug)]
struct Paused(Instant);

impl Clock for Paused {
    fn nanos(&self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }
}

/// An instance with one rule: ten a second, evenly spaced, that may wait for half a second.
fn instance() -> Sentinel {
    let sentinel = Sentinel::builder().clock(Paused(Instant::now())).build().unwrap();
    let rule = FlowRule::new(NAME, 10.0).throttle(Duration::from_millis(500));
    sentinel.rules().replace("test", Rules::new().flow([rule])).unwrap();
    sentinel
}

fn calls() -> Calls<u32, u32, Infallible> {
    Calls::named(NAME)
}

async fn double(number: u32) -> Result<u32, Infallible> {
    Ok(2 * number)
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_their_turn() {
    let sentinel = instance();
    let service = SentinelLayer::new(&sentinel, calls()).layer(service_fn(double));
    let start = Instant::now();
    let all: Vec<_> = (0..5).map(|number| tokio::spawn(service.clone().oneshot(number))).collect();
    for (number, answer) in (0..).zip(all) {
        assert_eq!(answer.await.unwrap().unwrap(), 2 * number);
    }
    let waited = start.elapsed();
    assert!((400..=410).contains(&waited.as_millis()), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_would_wait_too_long_is_refused_at_once() {
    let sentinel = instance();
    let service = SentinelLayer::new(&sentinel, calls()).layer(service_fn(double));
    let start = Instant::now();
    let all: Vec<_> = (0..10).map(|number| tokio::spawn(service.clone().oneshot(number))).collect();
    let mut refused = 0;
    for answer in all {
        if let Err(CallError::Blocked(blocked)) = answer.await.unwrap() {
            assert_eq!(blocked.resource(), NAME);
            refused += 1;
        }
    }
    assert_eq!(refused, 4, "one passes at once and five find a place in half a second");
    assert!(start.elapsed() <= Duration::from_millis(510));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_while_it_waits_gives_its_place_back() {
    let sentinel = instance();
    let service = SentinelLayer::new(&sentinel, calls()).layer(service_fn(double));
    assert_eq!(service.clone().oneshot(1).await.unwrap(), 2);
    let mut waiting = Box::pin(service.clone().oneshot(2));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(waiting);
    let start = Instant::now();
    assert_eq!(service.oneshot(3).await.unwrap(), 6);
    assert!(start.elapsed() <= Duration::from_millis(110), "the next one gets the place that was given back");
    let statistics = sentinel.snapshot_of(NAME).unwrap().statistics;
    assert_eq!((statistics.totals.pass, statistics.totals.block, statistics.in_flight), (2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_never_waits_refuses_with_the_wait() {
    let sentinel = instance();
    let service = SentinelLayer::never_waiting(&sentinel, calls()).layer(service_fn(double));
    assert_eq!(service.clone().oneshot(1).await.unwrap(), 2);
    let Err(CallError::Blocked(blocked)) = service.oneshot(2).await else { panic!("it waited") };
    assert_eq!(blocked.retry_after(), Some(Duration::from_millis(100)));
}

#[tokio::test(start_paused = true)]
async fn another_timer_is_the_one_that_is_used() {
    let sentinel = instance();
    let used = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&used);
    let layer = SentinelLayer::sleeping_by(&sentinel, calls(), move |delay| {
        seen.store(true, Ordering::Relaxed);
        sleep(delay)
    });
    let service = layer.layer(service_fn(double));
    assert_eq!(service.clone().oneshot(1).await.unwrap(), 2);
    assert!(!used.load(Ordering::Relaxed), "the first call does not wait");
    assert_eq!(service.oneshot(2).await.unwrap(), 4);
    assert!(used.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn it_is_the_service_that_became_ready_that_is_called() {
    /// Panics, as services may, when it is called without having become ready.
    struct Strict {
        ready: bool,
    }

    impl Clone for Strict {
        fn clone(&self) -> Self {
            Self { ready: false }
        }
    }

    impl Service<u32> for Strict {
        type Response = u32;
        type Error = Infallible;
        type Future = std::future::Ready<Result<u32, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            self.ready = true;
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, number: u32) -> Self::Future {
            assert!(std::mem::take(&mut self.ready), "called without having become ready");
            std::future::ready(Ok(number))
        }
    }

    let mut service = SentinelLayer::new(&instance(), calls()).layer(Strict { ready: false });
    for number in 0..3 {
        assert_eq!(service.ready().await.unwrap().call(number).await.unwrap(), number);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_service_counts_unless_it_is_classified() {
    let sentinel = Sentinel::default();
    let fails = || service_fn(async |_: u32| Err::<u32, _>(io::Error::other("down")));
    let errors = || sentinel.snapshot_of(NAME).unwrap().statistics.totals.error;

    let service = SentinelLayer::new(&sentinel, Calls::named(NAME)).layer(fails());
    let Err(CallError::Service(error)) = service.oneshot(1).await else { panic!("it did not fail") };
    assert_eq!((error.to_string(), errors()), ("down".to_owned(), 1));

    let lenient = Calls::named(NAME).classify(|_| Outcome::Ok);
    SentinelLayer::new(&sentinel, lenient).layer(fails()).oneshot(1).await.unwrap_err();
    assert_eq!(errors(), 1);
}
