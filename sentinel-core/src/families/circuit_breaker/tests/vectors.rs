//! The numbers of the Sentinel family: as there where it is strict and has one bucket, and as here otherwise.

use std::time::Duration;

use crate::{
    BreakerParams, BreakerState,
    BreakerState::{Closed, HalfOpen, Open},
    Outcome,
    families::circuit_breaker::machine::{End, Machine, SOON, Ticket},
};

const MS: u64 = 1_000_000;

/// A machine whose times are milliseconds since an hour after the clock's zero.
struct Timeline(Machine);

impl Timeline {
    fn new(params: BreakerParams) -> Self {
        Self(Machine::new(params, 0))
    }

    fn ask(&mut self, at: u64) -> Result<Ticket, u64> {
        self.0.ask((3_600_000 + at) * MS)
    }

    fn end(&mut self, ticket: &Ticket, at: u64, response_time: u64, outcome: Outcome) -> BreakerState {
        self.0.end(ticket, End { now: (3_600_000 + at) * MS, response_time: response_time * MS, outcome });
        self.0.shown()
    }

    /// A whole call that ends at a time, and what it is at then.
    fn call(&mut self, at: u64, response_time: u64, outcome: Outcome) -> BreakerState {
        let ticket = self.ask(at - response_time).expect("it is let through");
        self.end(&ticket, at, response_time, outcome)
    }

    fn slow_calls(&mut self, at: u64, response_times: &[u64]) -> Vec<BreakerState> {
        response_times.iter().map(|time| self.call(at, *time, Outcome::Ok)).collect()
    }

    fn errors(&mut self, at: u64, outcomes: &str) -> Vec<BreakerState> {
        let outcome = |letter| if letter == 'e' { Outcome::Error } else { Outcome::Ok };
        outcomes.chars().map(|letter| self.call(at, 0, outcome(letter))).collect()
    }
}

fn slow(ratio: f64) -> BreakerParams {
    BreakerParams::slow_ratio(Duration::from_millis(50), ratio)
}

fn as_in_java(params: BreakerParams) -> BreakerParams {
    params.strict().buckets(1)
}

#[test]
fn slow_calls_open_it_from_the_ratio_on_or_strictly_beyond_it() {
    let mut strict = Timeline::new(as_in_java(slow(0.6)));
    assert_eq!(strict.slow_calls(600, &[60, 60, 60, 10, 10]), [Closed; 5]);
    assert_eq!(strict.call(610, 60, Outcome::Ok), Open);
    assert_eq!(strict.ask(700), Err(9_910 * MS));
    assert_eq!(strict.ask(10_609), Err(MS));
    let probe = strict.ask(10_610).expect("the retry timeout is over");
    assert_eq!(strict.0.shown(), HalfOpen);
    assert_eq!(strict.end(&probe, 10_611, 1, Outcome::Ok), Closed);
    assert_eq!(strict.slow_calls(10_611, &[60, 60, 60, 60]), [Closed; 4], "the window was empty");
    assert_eq!(strict.call(10_611, 60, Outcome::Ok), Open);

    let mut inclusive = Timeline::new(slow(0.6));
    assert_eq!(inclusive.slow_calls(600, &[60, 60, 60, 10, 10]), [Closed, Closed, Closed, Closed, Open]);
}

#[test]
fn a_call_of_exactly_the_longest_response_time_is_not_slow() {
    let mut timeline = Timeline::new(slow(0.1).min_request_amount(1));
    assert_eq!(timeline.slow_calls(100, &[50, 50, 51]), [Closed, Closed, Open]);
}

#[test]
fn a_ratio_of_one_is_reached_when_all_are_bad() {
    for params in [slow(1.0), as_in_java(slow(1.0))] {
        let mut all = Timeline::new(params.min_request_amount(2));
        assert_eq!(all.slow_calls(100, &[60, 60]), [Closed, Open]);
        let mut some = Timeline::new(params.min_request_amount(3));
        assert_eq!(some.slow_calls(100, &[60, 10, 10]), [Closed; 3]);
    }
    for params in [BreakerParams::error_ratio(1.0), as_in_java(BreakerParams::error_ratio(1.0))] {
        let mut all = Timeline::new(params.min_request_amount(3));
        assert_eq!(all.errors(100, "eee"), [Closed, Closed, Open]);
    }
}

#[test]
fn one_bucket_begins_anew_and_ten_slide() {
    let mut tumbling = Timeline::new(as_in_java(slow(0.6)));
    assert_eq!(tumbling.slow_calls(900, &[60, 60]), [Closed; 2]);
    assert_eq!(tumbling.slow_calls(1_000, &[60, 60, 60]), [Closed; 3]);

    let mut sliding = Timeline::new(slow(0.6));
    assert_eq!(sliding.slow_calls(900, &[60, 60]), [Closed; 2]);
    assert_eq!(sliding.slow_calls(1_899, &[60, 60, 60]), [Closed, Closed, Open]);

    let mut too_late = Timeline::new(slow(0.6));
    assert_eq!(too_late.slow_calls(900, &[60, 60]), [Closed; 2]);
    assert_eq!(too_late.slow_calls(1_900, &[60, 60, 60]), [Closed; 3], "the bucket has left as a whole");
}

#[test]
fn an_error_ratio_opens_it_and_probes_decide() {
    let params = BreakerParams::error_ratio(0.5).min_request_amount(4).retry_timeout(Duration::from_secs(2));
    let mut strict = Timeline::new(as_in_java(params));
    assert_eq!(strict.errors(40, "eeoo"), [Closed; 4]);
    assert_eq!(strict.call(41, 0, Outcome::Error), Open);
    assert_eq!(strict.ask(2_040), Err(MS));
    assert_eq!(strict.call(2_042, 1, Outcome::Error), Open);
    assert_eq!(strict.ask(4_041), Err(MS));
    assert_eq!(strict.call(4_100, 0, Outcome::Ok), Closed);
    assert_eq!(strict.errors(4_101, "eee"), [Closed; 3]);

    let mut inclusive = Timeline::new(params);
    assert_eq!(inclusive.errors(40, "eeoo"), [Closed, Closed, Closed, Open]);
}

#[test]
fn a_number_of_errors_opens_it_at_that_one_or_strictly_at_the_next() {
    let params = BreakerParams::error_count(3).min_request_amount(1);
    assert_eq!(Timeline::new(params).errors(0, "oeoee"), [Closed, Closed, Closed, Closed, Open]);
    assert_eq!(Timeline::new(params).errors(0, "eee"), [Closed, Closed, Open]);
    assert_eq!(Timeline::new(as_in_java(params)).errors(0, "eeee"), [Closed, Closed, Closed, Open]);
}

#[test]
fn what_was_on_its_way_before_decides_nothing() {
    let mut timeline = Timeline::new(slow(0.6));
    let old: Vec<Ticket> = (0..2).map(|_| timeline.ask(0).expect("closed")).collect();
    timeline.slow_calls(100, &[60; 5]);
    let probe = timeline.ask(10_100).expect("the retry timeout is over");
    assert_eq!(timeline.end(&old[0], 10_200, 10, Outcome::Ok), HalfOpen);
    assert_eq!(timeline.end(&old[1], 10_200, 10_200, Outcome::Error), HalfOpen);
    assert_eq!(timeline.end(&probe, 10_300, 10, Outcome::Ok), Closed);
}

#[test]
fn a_probe_that_never_ends_makes_room_after_the_probe_timeout() {
    let mut timeline = Timeline::new(slow(0.6).probe_timeout(Duration::from_millis(500)));
    timeline.slow_calls(100, &[60; 5]);
    let _hangs = timeline.ask(10_100).expect("the retry timeout is over");
    assert_eq!(timeline.ask(10_101), Err(SOON));
    assert_eq!(timeline.ask(10_599), Err(MS));
    assert_eq!(timeline.call(10_600, 0, Outcome::Ok), Closed);
}

#[test]
fn a_probe_that_was_cancelled_or_undone_gives_its_place_back_at_once() {
    let mut timeline = Timeline::new(slow(0.6));
    timeline.slow_calls(100, &[60; 5]);
    let probe = timeline.ask(10_100).expect("the retry timeout is over");
    assert_eq!(timeline.end(&probe, 10_110, 10, Outcome::Ignored), HalfOpen);
    let probe = timeline.ask(10_110).expect("its place is free");
    timeline.0.undo(&probe);
    let probe = timeline.ask(10_110).expect("its place is free");
    assert_eq!(timeline.end(&probe, 10_200, 51, Outcome::Ignored), Open, "whoever gave up had waited too long");
}

#[test]
fn a_call_that_is_cancelled_when_it_is_slow_already_counts_as_slow() {
    let mut timeline = Timeline::new(slow(0.6).min_request_amount(2));
    assert_eq!(timeline.call(100, 50, Outcome::Ignored), Closed);
    assert_eq!(timeline.0.tally(3_600_100 * MS).total, 0, "it was not slow yet");
    assert_eq!(timeline.call(100, 60, Outcome::Ignored), Closed);
    assert_eq!(timeline.call(100, 60, Outcome::Ignored), Open);
}

#[test]
fn ten_good_probes_close_it_and_any_bad_one_opens_it() {
    let mut timeline = Timeline::new(BreakerParams::error_ratio(0.5).probes(10));
    timeline.errors(0, "eeeee");
    assert_eq!(timeline.errors(10_000, "ooooooooo"), [HalfOpen; 9]);
    assert_eq!(timeline.call(10_000, 0, Outcome::Error), Open);
    let probes: Vec<Ticket> = (0..20).flat_map(|_| timeline.ask(20_000)).collect();
    assert_eq!(probes.len(), 10, "no more than are needed are under way");
    for probe in &probes[..9] {
        assert_eq!(timeline.end(probe, 20_001, 1, Outcome::Ok), HalfOpen);
    }
    assert_eq!(timeline.ask(20_002), Err(SOON));
    assert_eq!(timeline.end(&probes[9], 20_003, 3, Outcome::Ok), Closed);
}

#[test]
fn an_error_that_comes_fast_is_no_slow_call() {
    let mut timeline = Timeline::new(slow(0.6));
    assert_eq!(timeline.errors(100, "eeeeeeee"), [Closed; 8]);
}

#[test]
fn it_stays_open_longer_each_time_until_it_has_closed() {
    let params = BreakerParams::error_ratio(0.5).min_request_amount(1).retry_growth(2.0);
    let mut timeline = Timeline::new(params.max_retry_timeout(Duration::from_secs(30)));
    timeline.errors(0, "e");
    assert_eq!(timeline.ask(0), Err(10_000 * MS));
    timeline.errors(10_000, "e");
    assert_eq!(timeline.ask(10_000), Err(20_000 * MS));
    timeline.errors(30_000, "e");
    assert_eq!(timeline.ask(30_000), Err(30_000 * MS));
    assert_eq!(timeline.errors(60_000, "oe"), [Closed, Open]);
    assert_eq!(timeline.ask(60_000), Err(10_000 * MS));
}

#[test]
fn a_recovery_lets_ever_more_through_and_one_bad_window_ends_it() {
    let params = BreakerParams::error_ratio(0.5).retry_growth(2.0).recovery(Duration::from_secs(1));
    let mut timeline = Timeline::new(params);
    timeline.errors(0, "eeeee");
    assert_eq!(timeline.call(10_000, 0, Outcome::Ok), BreakerState::Recovering);
    let mut passed = |at| (0..100).filter(|_| timeline.ask(at).is_ok()).count();
    assert_eq!([10_000, 10_250, 10_500, 10_900].map(&mut passed), [10, 33, 55, 91]);
    assert_eq!(timeline.0.shown(), BreakerState::Recovering);
    let inside: Vec<Ticket> = (0..20).flat_map(|_| timeline.ask(10_999)).take(5).collect();
    inside.iter().for_each(|ticket| {
        timeline.end(ticket, 11_000, 0, Outcome::Error);
    });
    assert_eq!(timeline.0.shown(), Open, "what was let through while it recovered counts when it has");
    assert_eq!(timeline.ask(11_000), Err(10_000 * MS), "it had recovered, so this is the first time again");

    timeline.call(21_000, 0, Outcome::Ok);
    let inside: Vec<Ticket> = (0..100).flat_map(|_| timeline.ask(21_100)).take(5).collect();
    inside.iter().for_each(|ticket| {
        timeline.end(ticket, 21_100, 0, Outcome::Error);
    });
    assert_eq!(timeline.ask(21_100), Err(20_000 * MS), "it had not, so this is the second time");
}

#[test]
fn a_call_that_is_undone_while_it_recovers_has_used_up_nothing() {
    let mut timeline = Timeline::new(BreakerParams::error_ratio(0.5).recovery(Duration::from_secs(1)));
    timeline.errors(0, "eeeee");
    timeline.call(10_000, 0, Outcome::Ok);
    for _ in 0..100 {
        let ticket = timeline.ask(10_000).expect("the first one is let through");
        timeline.0.undo(&ticket);
    }
}
