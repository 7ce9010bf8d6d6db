//! Exactness under threads.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use super::*;

const THREADS: usize = 8;

#[test]
fn threads_together_get_no_more_and_no_less_than_the_bucket() {
    for &cache in CACHES {
        let (clock, sentinel) = under([HotspotRule::new("r", 0, 1_000).cache(cache)]);
        for expected in [1_000, 500] {
            let admitted = AtomicU32::new(0);
            thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| admitted.fetch_add(passed(&sentinel, "hot", 400), Ordering::Relaxed));
                }
            });
            assert_eq!(admitted.into_inner(), expected);
            clock.advance(ms(500));
        }
    }
}

#[test]
fn threads_are_never_inside_beyond_the_threshold_and_lose_none() {
    for &cache in CACHES {
        // Room for fewer values than there are, so that some share a state.
        let (_, sentinel) = under([HotspotRule::new("r", 0, 2).concurrency().capacity(3).cache(cache)]);
        let inside = [const { AtomicU32::new(0) }; 8];
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (inside, sentinel) = (&inside, &sentinel);
                scope.spawn(move || {
                    for call in 0..3_000 {
                        let value = (call * (thread + 1)) % inside.len();
                        let Ok(entry) = enter(sentinel, value as i64) else { continue };
                        assert!(inside[value].fetch_add(1, Ordering::SeqCst) < 2);
                        thread::yield_now();
                        inside[value].fetch_sub(1, Ordering::SeqCst);
                        drop(entry);
                    }
                });
            }
        });
        let entries: Vec<_> = (0..3).flat_map(|value| [value, value]).map(|value| enter(&sentinel, value)).collect();
        assert!(entries.iter().all(Result::is_ok), "none is inside any more: {entries:?}");
    }
}
