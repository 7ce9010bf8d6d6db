//! Rules that change while calls are inside or wait.

use super::*;

#[test]
fn another_threshold_goes_on_counting_calls_that_are_inside() {
    let (_clock, sentinel) = under([IsolationRule::new("r", 3)]);
    let mut inside: Vec<_> = (0..3).map(|_| enter(&sentinel).expect("there is room")).collect();
    put(&sentinel, [IsolationRule::new("r", 1)]);
    assert_eq!(sentinel.snapshot_of("r").expect("entered").rules[0].threshold, 1.0);
    let refused = enter(&sentinel).expect_err("three are inside");
    assert_eq!((refused.observed(), refused.threshold()), (3.0, 1.0));
    inside.truncate(1);
    assert!(enter(&sentinel).is_err());
    inside.clear();
    let _one = enter(&sentinel).expect("nobody is inside");
    assert!(enter(&sentinel).is_err());
    put(&sentinel, [IsolationRule::new("r", 2)]);
    let _two = enter(&sentinel).expect("one more may");
    assert!(enter(&sentinel).is_err());
}

#[test]
fn a_higher_threshold_serves_who_waits() {
    let (_clock, sentinel) = under([IsolationRule::new("r", 1).queue(3, SECOND)]);
    let _inside = enter(&sentinel).expect("there is room");
    let [first, second, third] = [1; 3].map(|permits| queue_up(&sentinel, permits));
    put(&sentinel, [IsolationRule::new("r", 3).queue(3, SECOND)]);
    let (_first, _second) = (admitted(first.resume()), admitted(second.resume()));
    drop(still_waiting(third.resume()));
}

#[test]
fn a_batch_that_a_lower_threshold_has_no_room_for_does_not_wait_on() {
    let (_clock, sentinel) = under([IsolationRule::new("r", 2).queue(3, SECOND)]);
    let inside = enter(&sentinel).expect("there is room");
    let (batch, single) = (queue_up(&sentinel, 2), queue_up(&sentinel, 1));
    put(&sentinel, [IsolationRule::new("r", 1).queue(3, SECOND)]);
    let Decision::Block(never) = batch.resume() else { panic!("it can never be admitted") };
    assert_eq!(never.retry_after(), None);
    drop(inside);
    drop(admitted(single.resume()));
}

#[test]
fn a_queue_that_is_gone_is_served_to_its_end() {
    let (_clock, sentinel) = under([IsolationRule::new("r", 1).queue(3, SECOND)]);
    let inside = enter(&sentinel).expect("there is room");
    let waiting = queue_up(&sentinel, 1);
    put(&sentinel, [IsolationRule::new("r", 1)]);
    assert!(matches!(sentinel.enter("r"), Decision::Block(_)), "there is no queue any more");
    drop(inside);
    assert!(enter(&sentinel).is_err(), "nobody overtakes");
    drop(admitted(waiting.resume()));
    assert!(enter(&sentinel).is_ok());
}

#[test]
fn a_rule_that_is_gone_serves_those_that_it_has_kept_waiting() {
    let (_clock, sentinel) = under([IsolationRule::new("r", 1).queue(3, SECOND)]);
    let inside = enter(&sentinel).expect("there is room");
    let waiting = queue_up(&sentinel, 1);
    put(&sentinel, []);
    let other = enter(&sentinel).expect("no rule");
    let waiting = still_waiting(waiting.resume());
    drop(inside);
    drop((admitted(waiting.resume()), other));
    assert_eq!(sentinel.resource("r").in_flight(), 0);
}

#[test]
fn another_origin_starts_anew() {
    let (_clock, sentinel) = under([IsolationRule::new("r", 1)]);
    let web = Call::new().origin("web");
    let _inside = enter_as(&sentinel, &web).expect("there is room");
    put(&sentinel, [IsolationRule::new("r", 1).for_origin("web")]);
    let _another = enter_as(&sentinel, &web).expect("counted anew");
    assert!(enter_as(&sentinel, &web).is_err());
}

#[test]
fn who_is_woken_by_a_reload_may_change_the_rules() {
    use std::task::{Context, Wake, Waker};
    struct Replace(Sentinel);
    impl Wake for Replace {
        fn wake(self: Arc<Self>) {
            self.0.rules().replace("waker", Rules::new()).expect("valid");
        }
    }
    let (_clock, sentinel) = under([IsolationRule::new("r", 1).queue(3, SECOND)]);
    let _inside = enter(&sentinel).expect("there is room");
    let waiting = queue_up(&sentinel, 1);
    let waker = Waker::from(Arc::new(Replace(sentinel.clone())));
    let never = std::pin::pin!(std::future::pending::<()>());
    assert!(waiting.poll_wait(never, &mut Context::from_waker(&waker)).is_pending());
    put(&sentinel, [IsolationRule::new("r", 2)]);
    assert!(sentinel.rules().get("waker").is_some());
    drop(admitted(waiting.resume()));
}
