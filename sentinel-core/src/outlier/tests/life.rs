//! Choosing among backends, knowing and forgetting them.

use super::*;

#[test]
fn who_chooses_gets_those_in_service_and_all_if_there_are_none() {
    let (_, detector) = detector(OutlierConfig::default().max_ejected_share(1.0));
    let all = backends(&detector, 4);
    break_down(&all[0]);
    break_down(&all[2]);
    assert_eq!(names(detector.eligible(&all)), ["10.0.0.1", "10.0.0.3"]);
    let bad = [all[0].clone(), all[2].clone()];
    assert_eq!(names(detector.eligible(&bad)), ["10.0.0.0", "10.0.0.2"]);
    assert_eq!(names(detector.eligible(&[])), [""; 0]);
}

#[test]
fn there_is_somebody_to_choose_even_if_he_is_ejected_meanwhile() {
    let (_, detector) = detector(OutlierConfig::default());
    let all = backends(&detector, 2);
    let only = [all[1].clone()];
    let chosen = detector.eligible(&only);
    break_down(&all[1]);
    assert_eq!(names(chosen), ["10.0.0.1"]);
}

#[test]
fn picks_are_spread_evenly_over_those_in_service() {
    let (_, detector) = detector(OutlierConfig::default().seed(1));
    let all = backends(&detector, 5);
    break_down(&all[1]);
    let mut picked = [0_u32; 5];
    for _ in 0..8_000 {
        let ticket = detector.pick(&all).unwrap();
        let at = all.iter().position(|backend| backend.name() == ticket.backend().name()).unwrap();
        picked[at] += 1;
        ticket.success();
    }
    assert_eq!(picked[1], 0);
    assert!([0, 2, 3, 4].iter().all(|at| (1_800..2_200).contains(&picked[*at])), "{picked:?}");
}

#[test]
fn a_pick_takes_the_probe_and_falls_back_to_all() {
    let (clock, detector) = detector(OutlierConfig::default());
    let all = backends(&detector, 2);
    let bad = [all[0].clone()];
    assert!(detector.pick(&[]).is_none());
    break_down(&all[0]);
    detector.pick(&bad).expect("there is one").success();
    assert_eq!(state(&detector, &all[0]), BackendState::Ejected { remaining: SECOND * 30 });
    clock.advance(SECOND * 30);
    let probe = detector.pick(&bad).unwrap();
    detector.pick(&bad).expect("there is one").fail();
    assert_eq!(state(&detector, &all[0]), BackendState::OnProbation { passed: 0 });
    probe.success();
    assert_eq!(state(&detector, &all[0]), BackendState::OnProbation { passed: 1 });
}

#[test]
fn a_backend_is_the_same_under_the_same_name() {
    let (_, detector) = detector(OutlierConfig::default());
    let _other = detector.backend("b");
    (0..5).for_each(|_| detector.backend("a").record(Outcome::Error));
    assert!(detector.backend("a").is_ejected());
}

#[test]
fn a_backend_that_stays_dead_and_has_no_handle_is_forgotten() {
    let (clock, detector) = detector(OutlierConfig::default());
    let all = backends(&detector, 4);
    break_down(&all[3]);
    let kept = &all[..3].to_vec();
    drop(all);
    let known = || detector.snapshot().len();
    clock.advance(SECOND * 590);
    kept[0].record(Outcome::Ok);
    assert_eq!(known(), 4);
    clock.advance(SECOND * 10);
    kept[0].record(Outcome::Ok);
    assert_eq!(known(), 3, "those that somebody has a handle on stay");
}

#[test]
fn how_long_a_backend_is_not_used_counts_from_the_last_handle_on() {
    let (clock, detector) = detector(OutlierConfig::default());
    let backend = detector.backend("a");
    clock.advance(SECOND * 595);
    assert_eq!(detector.snapshot().len(), 1);
    drop(backend);
    clock.advance(SECOND * 590);
    assert_eq!(detector.snapshot().len(), 1);
    clock.advance(SECOND * 10);
    assert_eq!(detector.snapshot().len(), 0);
}

#[test]
fn backends_that_go_with_time_leave_the_share_of_those_that_stay() {
    let (clock, detector) = detector(OutlierConfig::default().max_ejected_share(0.3).forget_after(SECOND));
    let mut all = backends(&detector, 10);
    all[..3].iter().for_each(break_down);
    all.truncate(4);
    clock.advance(SECOND * 10);
    assert_eq!((detector.snapshot().len(), ejected(&all).len()), (4, 1));
}

#[test]
fn at_the_bound_an_idle_backend_makes_room_and_without_one_the_new_one_is_not_watched() {
    let (clock, detector) = detector(OutlierConfig::default().max_backends(3));
    let kept = detector.backend("kept");
    for name in ["older", "newer"] {
        clock.advance(SECOND);
        drop(detector.backend(name));
    }
    let names = || detector.snapshot().iter().map(|backend| backend.name.to_string()).collect::<Vec<_>>();
    let third = detector.backend("third");
    assert_eq!(names(), ["kept", "newer", "third"]);
    let fourth = detector.backend("fourth");
    assert_eq!(names(), ["fourth", "kept", "third"]);
    let beyond = detector.backend("beyond");
    report(&beyond, 100, 100);
    assert!(!beyond.is_ejected());
    assert_eq!(names(), ["fourth", "kept", "third"]);
    drop((kept, third, fourth));
}

#[test]
fn an_ejected_backend_does_not_make_room() {
    let (_, detector) = detector(OutlierConfig::default().max_backends(2));
    let good = detector.backend("good");
    break_down(&detector.backend("bad"));
    detector.backend("new").record(Outcome::Ok);
    assert!(detector.backend("bad").is_ejected() && !good.is_ejected());
}

#[test]
fn forgetting_backends_keeps_the_share_of_those_that_are_left() {
    let (clock, detector) = detector(OutlierConfig::default().max_ejected_share(0.5));
    let all = backends(&detector, 6);
    for backend in &all[..3] {
        break_down(backend);
        clock.advance(SECOND);
    }
    let (_subscription, told) = listen(&detector);
    detector.forget("10.0.0.5");
    assert_eq!(ejected(&all), ["10.0.0.1", "10.0.0.2"], "the one that would be back first is back");
    detector.forget("10.0.0.1");
    detector.forget("10.0.0.4");
    assert_eq!(ejected(&all), ["10.0.0.2"]);
    detector.forget("10.0.0.3");
    detector.forget("10.0.0.0");
    assert!(ejected(&all).is_empty(), "none of one");
    let returned = ["10.0.0.0 returned", "10.0.0.1 returned", "10.0.0.2 returned"];
    assert_eq!(*told.lock(), returned, "the forgotten one too: every ejection has an end");
}

#[test]
fn a_handle_on_a_forgotten_backend_tells_nothing_of_a_new_one_of_that_name() {
    let (clock, detector) = detector(OutlierConfig::default());
    let all = backends(&detector, 2);
    break_down(&all[0]);
    clock.advance(SECOND * 30);
    let probe = all[0].admit().unwrap();
    detector.forget("10.0.0.0");
    assert!(!all[0].is_ejected());
    let new = detector.backend("10.0.0.0");
    probe.fail();
    report(&all[0], 100, 100);
    assert_eq!(state(&detector, &new), BackendState::InService);
    assert_eq!(detector.snapshot()[0].calls, 0);
    assert!(!all[0].is_ejected());
}

#[test]
fn without_its_detector_a_backend_is_never_ejected_and_nothing_is_kept() {
    let (clock, detector) = detector(OutlierConfig::default());
    let all = backends(&detector, 2);
    break_down(&all[0]);
    let core = Arc::downgrade(detector.core());
    let (_subscription, told) = listen(&detector);
    drop(detector.clone());
    assert!(all[0].is_ejected());
    drop(detector);
    assert!(!all[0].is_ejected());
    assert_eq!(*told.lock(), ["10.0.0.0 returned"]);
    report(&all[0], 100, 100);
    clock.advance(SECOND * 100);
    report(&all[0], 100, 100);
    assert!(!all[0].is_ejected());
    drop(all);
    assert!(core.upgrade().is_none());
}

#[test]
fn a_probe_that_takes_longer_than_the_base_ejection_time_makes_room_for_another() {
    let (clock, detector) = detector(OutlierConfig::default());
    let all = backends(&detector, 2);
    break_down(&all[0]);
    clock.advance(SECOND * 30);
    let _slow = all[0].admit().unwrap();
    clock.advance(SECOND * 29);
    assert!(all[0].admit().is_none());
    clock.advance(SECOND);
    assert!(all[0].admit().is_some());
}

#[test]
fn a_ticket_that_is_dropped_within_a_destructor_while_the_thread_unwinds_says_nothing() {
    struct Cleanup(Backend);
    impl Drop for Cleanup {
        fn drop(&mut self) {
            (0..9).for_each(|_| drop(self.0.begin()));
        }
    }
    let (_clock, detector) = detector(OutlierConfig::default());
    let all = backends(&detector, 2);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _cleanup = Cleanup(all[0].clone());
        std::panic::resume_unwind(Box::new("the work panics"));
    }));
    assert!(panicked.is_err() && !all[0].is_ejected());
}

#[test]
fn who_is_told_may_use_the_detector() {
    let (_, detector) = detector(OutlierConfig::default());
    let all = backends(&detector, 2);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let subscription = detector.subscribe({
        let (detector, seen) = (detector.clone(), Arc::clone(&seen));
        move |_| {
            let ejected = detector.snapshot().iter().filter(|backend| backend.ejections > 0).count();
            seen.lock().push((ejected, detector.backend("10.0.0.0").is_ejected()));
        }
    });
    break_down(&all[0]);
    assert_eq!(*seen.lock(), [(1, true)]);
    drop(subscription);
}

#[cfg(feature = "json")]
#[test]
fn a_snapshot_can_be_written_as_json() {
    let (_, detector) = detector(OutlierConfig::default());
    let all = backends(&detector, 2);
    break_down(&all[0]);
    all[1].record(Outcome::Ok);
    let expected = serde_json::json!([
        {
            "name": "10.0.0.0", "state": { "ejected": { "remainingMs": 30_000.0 } }, "calls": 5, "errors": 5,
            "errorsInARow": 0, "multiplier": 1, "ejections": 1,
        },
        {
            "name": "10.0.0.1", "state": "inService", "calls": 1, "errors": 0, "errorsInARow": 0, "multiplier": 0,
            "ejections": 0,
        },
    ]);
    assert_eq!(serde_json::to_value(detector.snapshot()).unwrap(), expected);
}
