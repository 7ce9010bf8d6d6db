//! Calls that wait.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Barrier,
        atomic::{AtomicU32, AtomicU64, Ordering::SeqCst},
    },
    task::{Poll, Wake, Waker},
    thread,
};

use super::*;

fn queueing(threshold: u32) -> IsolationRule {
    IsolationRule::new("r", threshold).queue(2, SECOND)
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(Waker::noop()))
}

#[test]
fn who_waits_goes_on_in_the_order_of_coming_when_calls_end() {
    let (clock, sentinel) = under([queueing(1)]);
    let inside = enter(&sentinel).expect("there is room");
    let (first, second) = (queue_up(&sentinel, 1), queue_up(&sentinel, 1));
    assert_eq!(first.delay(), SECOND);
    assert!(enter(&sentinel).is_err(), "the queue is full");
    clock.advance(MILLI);
    drop(inside);
    let second = still_waiting(second.resume());
    assert!(enter(&sentinel).is_err(), "nobody overtakes");
    let first = admitted(first.resume());
    drop(first);
    let second = admitted(second.resume());
    assert_eq!(counts(&sentinel), (3, 2, 1));
    drop(second);
    assert!(enter(&sentinel).is_ok());
}

#[test]
fn a_batch_waits_until_it_fits() {
    let (_clock, sentinel) = under([queueing(3)]);
    let [a, b] = [1, 2].map(|count| enter_as(&sentinel, &Call::new().count(count)).expect("there is room"));
    let (batch, single) = (queue_up(&sentinel, 2), queue_up(&sentinel, 1));
    drop(a);
    let (batch, single) = (still_waiting(batch.resume()), still_waiting(single.resume()));
    drop(b);
    assert_eq!(admitted(batch.resume()).permits(), 2);
    drop(admitted(single.resume()));
    let Decision::Block(never) = sentinel.enter_with("r", &Call::new().count(4)) else { panic!("too many") };
    assert_eq!(never.retry_after(), None, "it does not wait in vain");
}

#[test]
fn who_has_waited_for_too_long_is_blocked() {
    let (clock, sentinel) = under([queueing(1)]);
    let inside = enter(&sentinel).expect("there is room");
    let waiting = queue_up(&sentinel, 1);
    clock.advance(SECOND - MILLI);
    let waiting = still_waiting(waiting.resume());
    assert_eq!(waiting.delay(), MILLI);
    clock.advance(MILLI);
    let Decision::Block(refused) = waiting.resume() else { panic!("the longest wait is over") };
    assert_eq!((refused.observed(), refused.threshold(), refused.retry_after()), (1.0, 1.0, Some(MILLI)));
    assert_eq!(counts(&sentinel), (0, 1, 1), "the last second");
    drop(inside);
    assert!(enter(&sentinel).is_ok());
}

#[test]
fn what_comes_back_too_late_for_one_goes_to_the_next() {
    let (clock, sentinel) = under([queueing(1)]);
    let inside = enter(&sentinel).expect("there is room");
    let late = queue_up(&sentinel, 1);
    clock.advance(MILLI);
    let next = queue_up(&sentinel, 1);
    clock.advance(SECOND);
    drop(inside);
    assert!(matches!(late.resume(), Decision::Block(_)));
    drop(admitted(next.resume()));
}

#[test]
fn who_was_granted_goes_on_however_late_he_comes() {
    let (clock, sentinel) = under([queueing(1)]);
    let inside = enter(&sentinel).expect("there is room");
    let waiting = queue_up(&sentinel, 1);
    drop(inside);
    clock.advance(60 * SECOND);
    assert!(enter(&sentinel).is_err(), "the permit is his");
    drop(admitted(waiting.resume()));
}

#[test]
fn who_gives_up_leaves_his_place_and_what_he_was_granted() {
    for granted in [false, true] {
        let (_clock, sentinel) = under([queueing(1)]);
        let inside = enter(&sentinel).expect("there is room");
        let (first, second) = (queue_up(&sentinel, 1), queue_up(&sentinel, 1));
        if granted {
            drop(inside);
            drop(first);
        } else {
            drop(first);
            drop(inside);
        }
        drop(admitted(second.resume()));
        assert_eq!(sentinel.resource("r").in_flight(), 0);
        assert!(enter(&sentinel).is_ok());
    }
}

#[test]
fn who_does_not_wait_leaves_the_queue_at_once() {
    let (_clock, sentinel) = under([queueing(1)]);
    let _inside = enter(&sentinel).expect("there is room");
    for _ in 0..5 {
        let refused = enter(&sentinel).expect_err("one is inside");
        assert_eq!((refused.family(), refused.retry_after()), ("isolation", Some(MILLI)));
    }
    let _waiting = [queue_up(&sentinel, 1), queue_up(&sentinel, 1)];
}

#[test]
fn under_overload_the_newest_goes_first_and_the_oldest_makes_room() {
    let (clock, sentinel) = under([queueing(1).newest_first()]);
    let inside = enter(&sentinel).expect("there is room");
    let (first, second) = (queue_up(&sentinel, 1), queue_up(&sentinel, 1));
    clock.advance(100 * MILLI);
    assert!(enter(&sentinel).is_err(), "not overloaded yet");
    clock.advance(MILLI);
    let third = still_waiting(queue_up(&sentinel, 1).resume());
    let Decision::Block(refused) = first.resume() else { panic!("it made room") };
    assert_eq!(refused.retry_after(), Some(MILLI));
    drop(inside);
    let second = still_waiting(second.resume());
    drop(admitted(third.resume()));
    drop(admitted(second.resume()));
}

#[test]
fn under_overload_only_who_waits_throws_the_oldest_out() {
    let (clock, sentinel) = under([queueing(1).newest_first()]);
    let inside = enter(&sentinel).expect("there is room");
    let (first, second) = (queue_up(&sentinel, 1), queue_up(&sentinel, 1));
    clock.advance(101 * MILLI);
    for _ in 0..5 {
        assert!(enter(&sentinel).is_err(), "it does not wait");
    }
    let (first, second) = (still_waiting(first.resume()), still_waiting(second.resume()));
    let mut third = pin!(sentinel.enter("r").admitted(|_| std::future::pending::<()>()));
    assert!(poll_once(third.as_mut()).is_pending());
    let Decision::Block(refused) = first.resume() else { panic!("the third waits") };
    assert_eq!(refused.family(), "isolation");
    drop(inside);
    assert!(matches!(poll_once(third.as_mut()), Poll::Ready(Ok(_))));
    drop(admitted(second.resume()));
}

#[test]
fn a_call_that_ends_is_counted_even_if_the_waker_of_the_next_panics() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics");
        }
    }
    let (_clock, sentinel) = under([queueing(1)]);
    let inside = enter(&sentinel).expect("there is room");
    let waiting = queue_up(&sentinel, 1);
    let waker = Waker::from(Arc::new(Panics));
    let never = pin!(std::future::pending::<()>());
    assert!(waiting.poll_wait(never, &mut std::task::Context::from_waker(&waker)).is_pending());
    drop(inside);
    assert_eq!(counts(&sentinel), (1, 0, 0));
    drop(admitted(waiting.resume()));
}

#[test]
fn a_rule_behind_the_queue_is_asked_when_the_turn_has_come() {
    let (_clock, sentinel) = under([queueing(1), IsolationRule::new("r", 1).for_origin("web").id("web")]);
    let inside = enter(&sentinel).expect("there is room");
    let as_web = || Call::new().origin("web");
    let Decision::Wait(waiting) = sentinel.enter_with("r", &as_web()) else { panic!("one is inside") };
    drop(inside);
    let entry = admitted(waiting.resume());
    put(&sentinel, [IsolationRule::new("r", 1).for_origin("web").id("web"), queueing(2).id("isolation:r#0")]);
    assert_eq!(enter_as(&sentinel, &as_web()).expect_err("it holds one of the web").rule_id(), "web");
    drop(entry);
    assert!(enter_as(&sentinel, &as_web()).is_ok());
}

#[test]
fn a_refusal_behind_the_queue_gives_the_permit_to_the_next() {
    let (_clock, sentinel) = under([queueing(2).id("queue"), IsolationRule::new("r", 1).for_origin("web").id("web")]);
    let as_web = || Call::new().origin("web");
    let web = enter_as(&sentinel, &as_web()).expect("there is room");
    let other = enter(&sentinel).expect("there is room");
    let Decision::Wait(waiting) = sentinel.enter_with("r", &as_web()) else { panic!("two are inside") };
    let next = queue_up(&sentinel, 1);
    drop(other);
    let Decision::Block(refused) = waiting.resume() else { panic!("one of the web is inside") };
    assert_eq!(refused.rule_id(), "web");
    drop(admitted(next.resume()));
    drop(web);
}

#[test]
fn a_future_is_woken_when_its_turn_has_come() {
    #[derive(Default)]
    struct Bell(AtomicU32);
    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let (_clock, sentinel) = under([queueing(1)]);
    let inside = enter(&sentinel).expect("there is room");
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut context = std::task::Context::from_waker(&waker);
    let mut waiting = pin!(sentinel.enter("r").admitted(|_| std::future::pending::<()>()));
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    assert_eq!(bell.0.load(SeqCst), 0);
    drop(inside);
    assert_eq!(bell.0.load(SeqCst), 1);
    assert!(matches!(waiting.as_mut().poll(&mut context), Poll::Ready(Ok(_))));
}

#[test]
fn a_future_that_is_dropped_leaves_the_queue() {
    let (_clock, sentinel) = under([queueing(1)]);
    let inside = enter(&sentinel).expect("there is room");
    let next = {
        let mut waiting = pin!(sentinel.enter("r").admitted(|_| std::future::pending::<()>()));
        assert!(poll_once(waiting.as_mut()).is_pending());
        let next = queue_up(&sentinel, 1);
        drop(inside);
        next
    };
    drop(admitted(next.resume()));
    assert_eq!(sentinel.resource("r").in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn tokio_tasks_go_on_one_after_the_other_or_when_their_wait_is_over() {
    #[derive(Debug)]
    struct TokioClock(tokio::time::Instant);
    impl crate::Clock for TokioClock {
        fn nanos(&self) -> u64 {
            u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
        }
    }
    let begin = tokio::time::Instant::now();
    let sentinel = Sentinel::builder().clock(TokioClock(begin)).build().expect("valid");
    put(&sentinel, [IsolationRule::new("r", 1).queue(10, 250 * MILLI)]);
    let calls: Vec<_> = (0..5)
        .map(|_| {
            let sentinel = sentinel.clone();
            tokio::spawn(async move {
                let entry = sentinel.enter("r").admitted(tokio::time::sleep).await;
                let at = begin.elapsed().as_millis();
                if let Ok(entry) = entry {
                    tokio::time::sleep(100 * MILLI).await;
                    drop(entry);
                    return (true, at);
                }
                (false, at)
            })
        })
        .collect();
    let mut ends = Vec::new();
    for call in calls {
        ends.push(call.await.expect("no call panics"));
    }
    assert_eq!(ends, [(true, 0), (true, 100), (true, 200), (false, 250), (false, 250)]);
    assert_eq!(sentinel.resource("r").in_flight(), 0);
}

#[test]
fn threads_that_block_are_all_served_and_never_one_too_many_is_inside() {
    const THREADS: u32 = 16;
    for limit in [1, 3, 10] {
        let sentinel = Sentinel::default();
        put(&sentinel, [IsolationRule::new("r", limit).queue(THREADS, 3_600 * SECOND)]);
        let (inside, most, served) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU64::new(0));
        let barrier = Barrier::new(THREADS as usize);
        let work = || {
            barrier.wait();
            for _ in 0..100 {
                let entry = sentinel.enter("r").admitted_blocking().expect("there is room to wait, and time");
                most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                thread::yield_now();
                inside.fetch_sub(1, SeqCst);
                served.fetch_add(1, SeqCst);
                drop(entry);
            }
        };
        let work = &work;
        thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(work))));
        assert!((1..=limit).contains(&most.into_inner()));
        assert_eq!((served.into_inner(), sentinel.resource("r").in_flight()), (u64::from(THREADS) * 100, 0));
    }
}
