mod config;
mod ejection;
mod life;
mod recovery;
mod schedules;
mod threads;
mod traces;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::*;
use crate::{clock::ManualClock, event::Subscription, statistics::Outcome};

const SECOND: Duration = Duration::from_secs(1);

fn detector(config: OutlierConfig) -> (ManualClock, OutlierDetector) {
    let clock = ManualClock::new();
    let detector = OutlierDetector::with_clock(config, clock.clone()).unwrap();
    (clock, detector)
}

fn backends(detector: &OutlierDetector, count: usize) -> Vec<Backend> {
    (0..count).map(|number| detector.backend(&format!("10.0.0.{number}"))).collect()
}

/// Reports so many calls, of which so many fail, the failures first.
fn report(backend: &Backend, calls: u32, errors: u32) {
    for call in 0..calls {
        backend.record(if call < errors { Outcome::Error } else { Outcome::Ok });
    }
}

fn names<'a>(backends: impl IntoIterator<Item = &'a Backend>) -> Vec<&'a str> {
    backends.into_iter().map(Backend::name).collect()
}

fn ejected(backends: &[Backend]) -> Vec<&str> {
    names(backends.iter().filter(|backend| backend.is_ejected()))
}

fn state(detector: &OutlierDetector, backend: &Backend) -> BackendState {
    let all = detector.snapshot();
    all.iter().find(|known| *known.name == *backend.name()).unwrap().state
}

/// Notes what is told, in words.
fn listen(detector: &OutlierDetector) -> (Subscription, Arc<Mutex<Vec<String>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let subscription = detector.subscribe({
        let told = Arc::clone(&told);
        move |event| {
            told.lock().push(match event {
                Event::BackendEjected { backend, cause, duration } => format!("{backend} {cause:?} {duration:?}"),
                Event::BackendReturned { backend } => format!("{backend} returned"),
                other => panic!("{other:?}"),
            });
        }
    });
    (subscription, told)
}

/// Ejects a backend for errors in a row.
fn break_down(backend: &Backend) {
    report(backend, 5, 5);
    assert!(backend.is_ejected());
}
