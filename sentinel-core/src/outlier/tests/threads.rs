//! Many threads at once.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    thread,
};

use super::*;

const THREADS: usize = 8;

#[test]
fn never_too_many_are_out_however_many_threads_report() {
    const CALLS: u32 = 3_000;
    let config = OutlierConfig::default().consecutive_errors(3).max_ejected_share(0.5).seed(1);
    let (clock, detector) = detector(config.error_ratio(0.3, 10).ejection_time(SECOND, SECOND * 20).probes(2));
    let all = backends(&detector, 9);
    let over = AtomicBool::new(false);
    let barrier = Barrier::new(THREADS + 1);
    let call = |number: u32| {
        let ticket = detector.pick(&all).unwrap();
        let address = ticket.backend().name().as_bytes()[7] - b'0';
        match address {
            0..6 if number % 5 < 4 => ticket.fail(),
            _ if number.is_multiple_of(11) => ticket.ignore(),
            _ => ticket.success(),
        }
        if number.is_multiple_of(7) {
            clock.advance(Duration::from_millis(20));
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    (0..CALLS).for_each(call);
                })
            })
            .collect();
        scope.spawn(|| {
            barrier.wait();
            while !over.load(SeqCst) {
                let out = detector.snapshot().iter().filter(|one| one.state != BackendState::InService).count();
                assert!(out <= 4, "{out}");
            }
        });
        for thread in threads {
            thread.join().unwrap();
        }
        over.store(true, SeqCst);
    });
    assert!(detector.snapshot().iter().map(|backend| backend.ejections).sum::<u64>() > 10);
    for backend in &all {
        clock.advance(SECOND * 20);
        (0..2).for_each(|_| backend.admit().expect("its time has come").success());
        assert_eq!(state(&detector, backend), BackendState::InService);
    }
}

#[test]
fn on_probation_no_two_threads_have_a_probe_at_the_same_time() {
    let (clock, detector) = detector(OutlierConfig::default().probes(1_000));
    let all = backends(&detector, 2);
    break_down(&all[0]);
    clock.advance(SECOND * 30);
    let (inside, passed) = (AtomicU32::new(0), AtomicU32::new(0));
    let barrier = Barrier::new(THREADS);
    let work = || {
        barrier.wait();
        while passed.load(SeqCst) < 900 {
            let Some(probe) = all[0].admit() else { continue };
            assert_eq!(inside.fetch_add(1, SeqCst), 0);
            passed.fetch_add(1, SeqCst);
            inside.fetch_sub(1, SeqCst);
            probe.success();
        }
    };
    thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(work))));
    let expected = BackendState::OnProbation { passed: passed.into_inner() };
    assert_eq!(state(&detector, &all[0]), expected);
}

#[test]
fn no_call_is_lost_and_each_interval_has_its_own() {
    let config = OutlierConfig::default().no_success_rate().consecutive_errors(1_000_000);
    let (_, detector) = detector(config);
    let all = backends(&detector, 2);
    let work = || {
        for call in 0..10_000 {
            all[0].record(if call % 2 == 0 { Outcome::Error } else { Outcome::Ok });
        }
    };
    thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(work))));
    let snapshot = &detector.snapshot()[0];
    assert_eq!((snapshot.calls, snapshot.errors), (80_000, 40_000));
}

#[test]
fn backends_come_and_go_while_others_are_called() {
    let (_, detector) = detector(OutlierConfig::default().max_backends(20).max_ejected_share(0.5));
    let work = |thread: usize| {
        for call in 0..2_000 {
            let name = format!("{}", (call * 7 + thread) % 40);
            let backend = detector.backend(&name);
            report(&backend, 5, 5);
            if call % 5 == 0 {
                detector.forget(&name);
            }
        }
    };
    let work = &work;
    thread::scope(|scope| (0..THREADS).for_each(|thread| drop(scope.spawn(move || work(thread)))));
    let snapshot = detector.snapshot();
    let out = snapshot.iter().filter(|backend| backend.state != BackendState::InService).count();
    assert!(snapshot.len() <= 20 && out <= snapshot.len() / 2, "{out} of {}", snapshot.len());
}
