//! Models of the gate and the machine behind it: loom runs each in every order of up to three preemptions.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --lib circuit_breaker::models`

use std::time::Duration;

use loom::{model::Builder, sync::Arc, thread};

use super::{
    circuit::{Circuit, Tell},
    machine::{BreakerChange, BreakerState, End, Ticket},
    rule::BreakerParams,
};
use crate::statistics::Outcome;

/// The retry timeout of all models, in nanoseconds.
const RETRY: u64 = 1_000_000;

/// Nobody is told.
struct Silent;

impl Tell for Silent {
    fn note(&self, _change: BreakerChange) {}

    fn tell(&self) {}
}

type Shared = Arc<Circuit<Silent>>;

fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

/// A breaker that one error opens.
fn closed() -> Shared {
    closed_by(1)
}

/// A breaker that one error opens, once there are so many results.
fn closed_by(results: u32) -> Shared {
    let params = BreakerParams::error_count(1).min_request_amount(results).window_calls(3);
    Arc::new(Circuit::new(params.retry_timeout(Duration::from_nanos(RETRY)), 0, Silent))
}

/// One that an error has opened at zero.
fn opened() -> Shared {
    let circuit = closed();
    end(&circuit, &circuit.ask(|| 0).unwrap(), 0, Outcome::Error);
    assert_eq!(circuit.state(), BreakerState::Open);
    circuit
}

fn end(circuit: &Circuit<Silent>, ticket: &Ticket, now: u64, outcome: Outcome) {
    circuit.end(ticket, End { now, response_time: 0, outcome });
}

#[test]
fn at_the_retry_time_one_thread_is_the_probe() {
    model(|| {
        let circuit = opened();
        let other = Arc::clone(&circuit);
        let thread = thread::spawn(move || other.ask(|| RETRY).is_ok());
        let probes = [circuit.ask(|| RETRY).is_ok(), thread.join().unwrap()];
        assert_eq!(probes.iter().filter(|is_probe| **is_probe).count(), 1);
    });
}

#[test]
fn a_call_that_went_through_while_it_opened_does_not_decide_on_the_probe() {
    model(|| {
        let circuit = closed();
        let first = circuit.ask(|| 0).unwrap();
        let other = Arc::clone(&circuit);
        let thread = thread::spawn(move || {
            // It goes through before it opens, and ends then, or while it is open, or while the probe is under way.
            if let Ok(ticket) = other.ask(|| 0) {
                end(&other, &ticket, 0, Outcome::Ok);
            }
        });
        end(&circuit, &first, 0, Outcome::Error);
        let probe = circuit.ask(|| RETRY).unwrap();
        thread.join().unwrap();
        assert_eq!(circuit.state(), BreakerState::HalfOpen);
        end(&circuit, &probe, RETRY, Outcome::Ok);
        assert_eq!(circuit.state(), BreakerState::Closed);
    });
}

#[test]
fn two_errors_at_once_open_it_once() {
    model(|| {
        let circuit = closed();
        let tickets = [0, 0].map(|now| circuit.ask(|| now).unwrap());
        let [one, two] = tickets;
        let other = Arc::clone(&circuit);
        let thread = thread::spawn(move || end(&other, &two, 5, Outcome::Error));
        end(&circuit, &one, 0, Outcome::Error);
        thread.join().unwrap();
        let wait = circuit.ask(|| 5).unwrap_err();
        assert!(wait == RETRY - 5 || wait == RETRY, "{wait}");
        assert_eq!(circuit.snapshot(5).results, 0, "the second one counts for nothing");
    });
}

#[test]
fn once_a_probe_has_closed_it_calls_go_through_and_count() {
    model(|| {
        let circuit = opened();
        let probe = circuit.ask(|| RETRY).unwrap();
        let other = Arc::clone(&circuit);
        let thread = thread::spawn(move || {
            let ticket = other.ask(|| RETRY);
            let went_through = ticket.is_ok();
            if let Ok(ticket) = ticket {
                end(&other, &ticket, RETRY, Outcome::Error);
            }
            went_through
        });
        end(&circuit, &probe, RETRY, Outcome::Ok);
        let went_through = thread.join().unwrap();
        let state = if went_through { BreakerState::Open } else { BreakerState::Closed };
        assert_eq!(circuit.state(), state, "it went through {went_through}");
        assert_eq!(circuit.ask(|| RETRY).is_ok(), !went_through);
    });
}

#[test]
fn the_place_of_a_probe_is_given_back_once() {
    model(|| {
        let circuit = opened();
        let probe = circuit.ask(|| RETRY).unwrap();
        let other = Arc::clone(&circuit);
        let thread = thread::spawn(move || other.undo(&probe));
        let first = circuit.ask(|| RETRY).is_ok();
        thread.join().unwrap();
        assert_eq!(circuit.ask(|| RETRY).is_ok(), !first);
    });
}

#[test]
fn who_sees_it_closed_again_asks_in_the_new_period() {
    model(|| {
        let circuit = opened();
        let probe = circuit.ask(|| RETRY).unwrap();
        let other = Arc::clone(&circuit);
        let thread = thread::spawn(move || end(&other, &probe, RETRY, Outcome::Ok));
        let early = circuit.ask(|| RETRY);
        let is_early = early.is_ok();
        thread.join().unwrap();
        let late = circuit.ask(|| RETRY).unwrap();
        for ticket in early.into_iter().chain([late]) {
            end(&circuit, &ticket, RETRY, Outcome::Ok);
        }
        assert_eq!(circuit.snapshot(RETRY).results, 1 + u64::from(is_early));
    });
}

#[test]
fn every_good_result_is_counted_once_in_its_period_and_in_no_other() {
    model(|| {
        let circuit = closed_by(3);
        let tickets = [(); 3].map(|()| circuit.ask(|| 0).unwrap());
        let [good, bad, late] = tickets;
        let other = Arc::clone(&circuit);
        let thread = thread::spawn(move || end(&other, &good, 0, Outcome::Ok));
        end(&circuit, &bad, 0, Outcome::Error);
        thread.join().unwrap();
        // Whichever came first: the third one makes enough of them, and opens it.
        assert_eq!(circuit.snapshot(0).results, 2);
        end(&circuit, &late, 0, Outcome::Ok);
        assert_eq!(circuit.state(), BreakerState::Open);
    });
}

#[test]
fn a_good_result_that_comes_while_it_opens_does_not_count_once_it_has_closed() {
    model(|| {
        let circuit = closed();
        let tickets = [(); 2].map(|()| circuit.ask(|| 0).unwrap());
        let [good, bad] = tickets;
        let other = Arc::clone(&circuit);
        let thread = thread::spawn(move || end(&other, &good, 0, Outcome::Ok));
        end(&circuit, &bad, 0, Outcome::Error);
        let probe = circuit.ask(|| RETRY).unwrap();
        end(&circuit, &probe, RETRY, Outcome::Ok);
        thread.join().unwrap();
        assert_eq!((circuit.state(), circuit.snapshot(RETRY).results), (BreakerState::Closed, 0));
    });
}
