//! What happens under the lock, and on many threads at once.

use std::{sync::Weak, thread};

use super::*;

/// Looks into the fallback that it is dropped from, which would wait forever for a lock.
struct Looks(Weak<Fallback<Looks, Looks>>, u32);

impl Drop for Looks {
    fn drop(&mut self) {
        if let Some(fallback) = self.0.upgrade() {
            fallback.len();
            fallback.get(&u32::MAX);
        }
    }
}

impl Borrow<u32> for Looks {
    fn borrow(&self) -> &u32 {
        &self.1
    }
}

impl Hash for Looks {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.1.hash(state);
    }
}

impl PartialEq for Looks {
    fn eq(&self, other: &Self) -> bool {
        self.1 == other.1
    }
}

impl Eq for Looks {}

#[test]
fn keys_and_values_are_dropped_outside_of_the_lock() {
    let clock = ManualClock::new();
    let config = FallbackConfig::default().max_keys(3).time_to_live(SECOND);
    let fallback = Arc::new(Fallback::with_clock(config, clock.clone()).unwrap());
    let store = |key| fallback.store(Looks(Arc::downgrade(&fallback), key), Looks(Arc::downgrade(&fallback), key));
    store(1);
    store(1);
    (2..6).for_each(store);
    fallback.forget(&5);
    clock.advance(SECOND);
    assert!(fallback.get(&4).is_none());
    store(6);
    assert_eq!(fallback.len(), 1);
}

#[test]
fn threads_see_whole_values_of_their_key_only() {
    for max in [20, 200] {
        let (clock, fallback) = fallback(FallbackConfig::default().max_keys(max).time_to_live(SECOND));
        let work = |thread: usize| {
            for step in 0..5_000 {
                let key = (step * 7 + thread * 13) % 300;
                fallback.store(key.to_string(), vec![key; 10]);
                let other = (step * 11) % 300;
                if let Some(stale) = fallback.get(&*other.to_string()) {
                    assert!(*stale.value == vec![other; 10] && stale.age < SECOND);
                }
                if step % 50 == 0 {
                    clock.advance(SECOND / 20);
                }
                if step % 100 == 0 {
                    assert!(fallback.len() <= max);
                }
            }
        };
        let work = &work;
        thread::scope(|scope| (0..8).for_each(|thread| drop(scope.spawn(move || work(thread)))));
        assert!(fallback.len() <= max);
    }
}
