//! The floor: what any call of this kind has to do.
//!
//! Two readings of the clock, one compare-exchange on a shared word, and five counters that only their thread writes.

use std::{
    cell::Cell,
    hint::black_box,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

use sentinel_core::Clock;

/// Threads that have counters of their own; further ones share.
const LINES: usize = 64;

#[derive(Debug, Default)]
#[repr(align(128))]
struct Line([AtomicU64; 8]);

/// A call that does nothing but the floor.
pub fn call(clock: impl Clock) -> impl Fn() -> bool + Send + Sync {
    let word = Line::default();
    let lines: Box<[Line]> = (0..LINES).map(|_| Line::default()).collect();
    move || {
        let entered = clock.nanos();
        let [word, ..] = &word.0;
        let seen = word.load(Ordering::Acquire);
        let admitted = word.compare_exchange(seen, seen.wrapping_add(1), Ordering::AcqRel, Ordering::Relaxed).is_ok();
        let Line([pass, complete, error, response_time, histogram, ..]) = &lines[thread_number() % LINES];
        let add = |counter: &AtomicU64, by: u64| {
            counter.store(counter.load(Ordering::Relaxed).wrapping_add(by), Ordering::Release);
        };
        add(pass, 1);
        black_box(());
        let ended = clock.nanos();
        add(complete, 1);
        add(error, 0);
        add(response_time, ended.wrapping_sub(entered));
        add(histogram, 1);
        admitted
    }
}

fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static NUMBER: Cell<Option<usize>> = const { Cell::new(None) });
    NUMBER.with(|number| {
        number.get().unwrap_or_else(|| {
            let new = NEXT.fetch_add(1, Ordering::Relaxed);
            number.set(Some(new));
            new
        })
    })
}
