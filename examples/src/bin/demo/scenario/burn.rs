//! Work for the processor.

use std::{
    hint::black_box,
    sync::Arc,
    thread::available_parallelism,
    time::{Duration, Instant},
};

use tokio::{sync::Semaphore, task::spawn_blocking};

/// How much is done to find out how long it takes.
const TRIAL: u64 = 1_000_000;
const TRIALS: u32 = 7;

/// So many calls at a time as there are processors, each with the same amount of work; the others wait in a queue.
#[derive(Clone, Debug)]
pub(super) struct Burner {
    rounds: u64,
    processors: Arc<Semaphore>,
}

impl Burner {
    /// Calls that take about so long where nothing else runs.
    pub(super) fn new(takes: Duration) -> Self {
        // What disturbs makes it only longer.
        let shortest = (0..TRIALS).map(|_| timed(TRIAL)).min().unwrap_or_default().max(Duration::from_nanos(1));
        let rounds = TRIAL as f64 * takes.as_secs_f64() / shortest.as_secs_f64();
        Self { rounds: rounds as u64, processors: Arc::new(Semaphore::new(processors())) }
    }

    /// Does the work of one call.
    pub(super) async fn burn(self) {
        let processor = Arc::clone(&self.processors).acquire_owned().await;
        // An error means that the runtime ends.
        let _ended = spawn_blocking(move || {
            work(self.rounds);
            drop(processor);
        })
        .await;
    }
}

pub(super) fn processors() -> usize {
    available_parallelism().map_or(1, usize::from)
}

fn timed(rounds: u64) -> Duration {
    let begin = Instant::now();
    work(rounds);
    begin.elapsed()
}

fn work(rounds: u64) {
    let mut number = black_box(1_u64);
    for round in 0..rounds {
        number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round));
    }
}
