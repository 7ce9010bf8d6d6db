use std::{
    sync::atomic::{AtomicU32 as Count, Ordering::SeqCst},
    thread,
};

use proptest::{collection::vec, prelude::*};

use super::*;

proptest! {
    #[test]
    fn it_is_a_number_below_a_limit(
        limit in 0..300_u32,
        acts in vec((0..4_u8, 0..12_u32, prop_oneof![3 => Just(0_u32), 1 => 0..40_u32]), 1..200),
    ) {
        let gauge = SpreadGauge::new(limit);
        let (mut limit, mut held) = (limit, Vec::<u32>::new());
        for (act, count, left) in acts {
            let inside: u32 = held.iter().sum();
            match act {
                0 | 1 => {
                    let fits = count == 0 || inside + count + left <= limit;
                    prop_assert_eq!(gauge.acquire(count, left), fits, "{} of {}", inside, limit);
                    if fits {
                        held.push(count);
                    }
                }
                2 => {
                    if let Some(count) = held.pop() {
                        gauge.release(count);
                    }
                }
                _ => {
                    limit = count * 25;
                    gauge.set_limit(limit);
                }
            }
            let inside: u32 = held.iter().sum();
            prop_assert_eq!((gauge.in_flight(), gauge.in_flight_at_most(), gauge.limit()), (inside, inside, limit));
        }
    }
}

#[test]
fn threads_together_never_hold_more_than_the_limit() {
    for limit in [1, 3, 40, 200] {
        let gauge = SpreadGauge::new(limit);
        let (inside, admitted) = (Count::new(0), Count::new(0));
        let call = |seed: u32| {
            let mut held = Vec::new();
            for turn in 0..20_000_u32 {
                let count = 1 + (turn.wrapping_mul(seed) >> 7) % 3;
                if turn % 3 < 2 && gauge.acquire(count, 0) {
                    assert!(inside.fetch_add(count, SeqCst) + count <= limit);
                    admitted.fetch_add(1, SeqCst);
                    held.push(count);
                } else if let Some(count) = held.pop() {
                    inside.fetch_sub(count, SeqCst);
                    gauge.release(count);
                }
            }
            for count in held {
                inside.fetch_sub(count, SeqCst);
                gauge.release(count);
            }
        };
        thread::scope(|scope| (0..8).for_each(|number| _ = scope.spawn(move || call(2 * number + 1))));
        assert_eq!(gauge.in_flight(), 0);
        assert!(gauge.acquire(limit, 0) && !gauge.acquire(1, 0), "all of it came back");
        assert!(admitted.into_inner() > 0);
    }
}

#[test]
fn one_that_is_alone_may_take_more() {
    let gauge = SpreadGauge::new(200);
    assert!(gauge.acquire(2, 0) && !gauge.acquire_alone(300));
    gauge.release(2);
    assert!(gauge.acquire_alone(300) && !gauge.acquire(1, 0));
    gauge.release(300);
    assert!(gauge.acquire(200, 0));
}
