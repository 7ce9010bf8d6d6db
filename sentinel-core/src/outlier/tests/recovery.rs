//! How an ejected backend comes back.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

/// Fails the probe that is due.
fn fail_probe(backend: &Backend) {
    backend.admit().expect("it is time for a probe").fail();
}

#[test]
fn each_further_ejection_lasts_longer_up_to_the_maximum() {
    let (clock, detector) = detector(OutlierConfig::default());
    let all = backends(&detector, 2);
    let (_subscription, told) = listen(&detector);
    break_down(&all[0]);
    for times in 1..=12 {
        let duration = SECOND * (30 * times).min(300);
        clock.advance(duration - Duration::from_nanos(1));
        assert!(all[0].is_ejected());
        clock.advance(Duration::from_nanos(1));
        assert!(!all[0].is_ejected());
        fail_probe(&all[0]);
        let cause = if times == 1 { "ConsecutiveErrors" } else { "FailedProbe" };
        assert_eq!(told.lock()[times as usize - 1], format!("10.0.0.0 {cause} {duration:?}"));
    }
}

#[test]
fn an_interval_in_service_makes_the_next_ejection_shorter() {
    let (clock, detector) = detector(OutlierConfig::default().probes(1));
    let all = backends(&detector, 2);
    let multiplier = || detector.snapshot()[0].multiplier;
    break_down(&all[0]);
    for seconds in [30, 60, 90] {
        clock.advance(SECOND * seconds);
        fail_probe(&all[0]);
    }
    clock.advance(SECOND * 120);
    assert_eq!(multiplier(), 4);
    all[0].begin().success();
    clock.advance(SECOND * 10);
    assert_eq!(multiplier(), 3);
    clock.advance(SECOND * 20);
    assert_eq!(multiplier(), 1);
    clock.advance(SECOND * 3_600);
    assert_eq!(multiplier(), 0);
}

#[test]
fn on_probation_one_call_goes_at_a_time_until_enough_went_well() {
    let (clock, detector) = detector(OutlierConfig::default());
    let all = backends(&detector, 2);
    let (_subscription, told) = listen(&detector);
    break_down(&all[0]);
    assert!(all[0].admit().is_none());
    clock.advance(SECOND * 30);
    for passed in 0..3 {
        let probe = all[0].admit().unwrap();
        assert!(all[0].admit().is_none() && all[0].is_ejected());
        assert_eq!(state(&detector, &all[0]), BackendState::OnProbation { passed });
        probe.success();
    }
    assert_eq!(told.lock().last().unwrap(), "10.0.0.0 returned");
    let snapshot = &detector.snapshot()[0];
    assert_eq!((snapshot.state, snapshot.calls, snapshot.errors_in_a_row), (BackendState::InService, 0, 0));
    assert_eq!([all[0].admit(), all[0].admit()].iter().flatten().count(), 2);
}

#[test]
fn a_probe_that_is_cancelled_gives_its_place_to_the_next() {
    let (clock, detector) = detector(OutlierConfig::default());
    let all = backends(&detector, 2);
    break_down(&all[0]);
    clock.advance(SECOND * 30);
    drop(all[0].admit().unwrap());
    let mut cancelled = Box::pin(all[0].admit().unwrap().run(std::future::pending::<Result<(), ()>>()));
    let waker = std::task::Waker::noop();
    assert!(cancelled.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
    assert!(all[0].admit().is_none());
    drop(cancelled);
    assert_eq!(state(&detector, &all[0]), BackendState::OnProbation { passed: 0 });
    assert!(all[0].admit().is_some());
}

#[test]
fn a_probe_that_panics_has_failed() {
    let (clock, detector) = detector(OutlierConfig::default());
    let all = backends(&detector, 2);
    break_down(&all[0]);
    clock.advance(SECOND * 30);
    let probe = all[0].admit().unwrap();
    let panics = AssertUnwindSafe(|| probe.call(|| -> Result<(), ()> { panic!("out of luck") }));
    assert!(catch_unwind(panics).is_err());
    assert_eq!(state(&detector, &all[0]), BackendState::Ejected { remaining: SECOND * 60 });
}

#[test]
fn a_probe_that_never_ends_is_not_waited_for_and_still_counts_when_it_does() {
    let (clock, detector) = detector(OutlierConfig::default().interval(SECOND * 100));
    let all = backends(&detector, 2);
    break_down(&all[0]);
    clock.advance(SECOND * 30);
    let lost = all[0].admit().unwrap();
    clock.advance(SECOND * 30 - Duration::from_nanos(1));
    assert!(all[0].admit().is_none());
    clock.advance(Duration::from_nanos(1));
    let second = all[0].admit().unwrap();
    lost.success();
    assert!(all[0].admit().is_none(), "the second probe is under way");
    second.success();
    assert_eq!(state(&detector, &all[0]), BackendState::OnProbation { passed: 2 });
}

#[test]
fn a_call_from_before_the_ejection_decides_nothing_afterwards() {
    let (clock, detector) = detector(OutlierConfig::default().probes(1));
    let all = backends(&detector, 2);
    let old: Vec<BackendTicket> = (0..20).map(|_| all[0].begin()).collect();
    let mut old = old.into_iter();
    break_down(&all[0]);
    clock.advance(SECOND * 30);
    let probe = all[0].admit().unwrap();
    old.by_ref().take(5).for_each(BackendTicket::fail);
    assert_eq!(state(&detector, &all[0]), BackendState::OnProbation { passed: 0 });
    probe.success();
    old.for_each(BackendTicket::fail);
    assert_eq!(state(&detector, &all[0]), BackendState::InService);
    assert_eq!(detector.snapshot()[0].calls, 0);
}

#[test]
fn a_call_to_an_ejected_backend_counts_for_nothing() {
    let (clock, detector) = detector(OutlierConfig::default());
    let all = backends(&detector, 2);
    break_down(&all[0]);
    let forced = all[0].begin();
    all[0].begin().success();
    all[0].record(Outcome::Ok);
    assert_eq!(state(&detector, &all[0]), BackendState::Ejected { remaining: SECOND * 30 });
    clock.advance(SECOND * 30);
    forced.fail();
    assert!(!all[0].is_ejected());
    all[0].record(Outcome::Ok);
    assert_eq!(state(&detector, &all[0]), BackendState::OnProbation { passed: 1 });
}

#[test]
fn a_backend_that_nobody_calls_gives_up_its_share() {
    let (clock, detector) = detector(OutlierConfig::default());
    let all = backends(&detector, 2);
    break_down(&all[0]);
    report(&all[1], 5, 5);
    assert_eq!(ejected(&all), ["10.0.0.0"]);
    clock.advance(SECOND * 40);
    report(&all[1], 5, 5);
    assert_eq!(ejected(&all), ["10.0.0.1"]);
    assert_eq!(state(&detector, &all[0]), BackendState::InService);
}

#[test]
fn jitter_makes_ejections_longer_by_chance_and_the_same_for_the_same_seed() {
    let durations = |seed| {
        let (_, detector) = detector(OutlierConfig::default().jitter(SECOND * 10).max_ejected_share(1.0).seed(seed));
        let all = backends(&detector, 9);
        all[..8].iter().for_each(break_down);
        let remaining = |state| match state {
            BackendState::Ejected { remaining } => Some(remaining),
            _ => None,
        };
        let all: Vec<Duration> = detector.snapshot().iter().filter_map(|backend| remaining(backend.state)).collect();
        assert!(all.len() == 8 && all.iter().all(|time| (SECOND * 30..SECOND * 40).contains(time)), "{all:?}");
        all
    };
    let first = durations(1);
    assert!(first.iter().any(|time| *time != first[0]));
    assert_eq!(first, durations(1));
    assert_ne!(first, durations(2));
}
