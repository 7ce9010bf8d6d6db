//! What tests in real time share.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long it took to come.
pub(crate) fn within_five_seconds(come: impl Fn() -> bool, instead: impl Fn() -> String) -> Duration {
    let start = Instant::now();
    while !come() {
        assert!(start.elapsed() < Duration::from_secs(5), "it has not come: {}", instead());
        thread::sleep(Duration::from_millis(1));
    }
    start.elapsed()
}
