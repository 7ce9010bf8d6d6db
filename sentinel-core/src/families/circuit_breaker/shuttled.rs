//! Breakers under many threads, in orders that are drawn at random.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test --release --lib shuttled`

use std::{sync::Arc, time::Duration};

use shuttle::{
    check_random,
    rand::{Rng as _, thread_rng},
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    thread,
};

use super::{
    circuit::{Circuit, Tell},
    machine::{BreakerChange, BreakerState, End, Ticket},
    rule::BreakerParams,
};
use crate::statistics::Outcome;

const ORDERS: usize = 20_000;
const THREADS: usize = 4;
const CALLS: usize = 8;
const RETRY: u64 = 1_000;

/// Nobody is told.
struct Silent;

impl Tell for Silent {
    fn note(&self, _change: BreakerChange) {}

    fn tell(&self) {}
}

/// A breaker that opens with the second error, and needs so many good probes.
fn params(probes: u32) -> BreakerParams {
    let params = BreakerParams::error_count(2).min_request_amount(2).window_calls(4).probes(probes);
    params.retry_timeout(Duration::from_nanos(RETRY)).probe_timeout(Duration::from_nanos(RETRY))
}

/// Calls that end well or not, are cancelled, refused later, or never end, while time passes and the rule changes.
fn disturb(circuit: &Circuit<Silent>, clock: &AtomicU64) {
    let mut kept: Vec<Ticket> = Vec::new();
    for _ in 0..CALLS {
        let now = clock.fetch_add(thread_rng().gen_range(0..RETRY / 2), SeqCst);
        let end = |ticket: &Ticket, outcome| circuit.end(ticket, End { now, response_time: 0, outcome });
        match (circuit.ask(|| now), thread_rng().gen_range(0..6)) {
            (Ok(ticket), 0) => circuit.undo(&ticket),
            (Ok(ticket), 1) => end(&ticket, Outcome::Ok),
            (Ok(ticket), 2) => end(&ticket, Outcome::Ignored),
            (Ok(ticket), 3) => kept.push(ticket),
            (Ok(ticket), _) => end(&ticket, Outcome::Error),
            (Err(_), 0) => circuit.set(params(thread_rng().gen_range(1..3)), now),
            (Err(_), _) => {}
        }
        if thread_rng().gen_bool(0.3)
            && let Some(ticket) = kept.pop()
        {
            end(&ticket, Outcome::Error);
        }
    }
}

#[test]
fn after_any_order_calls_are_let_through_within_a_recovery_time_and_soon_all_of_them() {
    check_random(
        || {
            let circuit = Arc::new(Circuit::new(params(2), 0, Silent));
            let clock = Arc::new(AtomicU64::new(0));
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    let (circuit, clock) = (Arc::clone(&circuit), Arc::clone(&clock));
                    thread::spawn(move || disturb(&circuit, &clock))
                })
                .collect();
            for thread in threads {
                thread.join().expect("it does not panic");
            }
            // The service is well again. Whatever was left behind, the retry timeout and the place of a lost probe end.
            let now = clock.load(SeqCst) + RETRY;
            for _ in 0..2 {
                let ticket = circuit.ask(|| now).expect("it is let through");
                circuit.end(&ticket, End { now, response_time: 0, outcome: Outcome::Ok });
            }
            assert_eq!(circuit.state(), BreakerState::Closed);
            assert!(circuit.ask(|| now).is_ok());
        },
        ORDERS,
    );
}

#[test]
fn no_more_probes_are_under_way_than_are_missing() {
    check_random(
        || {
            let circuit = Arc::new(Circuit::new(params(2), 0, Silent));
            for _ in 0..2 {
                let ticket = circuit.ask(|| 0).expect("it is closed");
                circuit.end(&ticket, End { now: 0, response_time: 0, outcome: Outcome::Error });
            }
            assert_eq!(circuit.state(), BreakerState::Open);
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    let circuit = Arc::clone(&circuit);
                    thread::spawn(move || circuit.ask(|| RETRY).is_ok())
                })
                .collect();
            let probes = threads.into_iter().map(|thread| thread.join().expect("it does not panic"));
            assert_eq!(probes.filter(|is_probe| *is_probe).count(), 2);
        },
        ORDERS,
    );
}
