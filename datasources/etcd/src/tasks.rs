use std::{fmt, future::Future, sync::Arc};

use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio::task::JoinSet;

/// Where the client runs its tasks, so that all of them can be ended.
///
/// Left alone, the task of a connection whose other side says nothing would outlive everything that uses it.
#[derive(Clone, Default)]
pub(crate) struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl<F> Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        let mut tasks = self.0.lock();
        // Those that have ended are forgotten: requests start some.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

/// Ends the tasks when it is dropped.
pub(crate) struct Ending(pub(crate) Tasks);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.0.lock().abort_all();
    }
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ending(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn tasks_end_with_their_guard_and_those_that_ended_before_are_forgotten() {
        let tasks = Tasks::default();
        let ending = Ending(tasks.clone());
        for _ in 0..100 {
            tasks.execute(async {});
            yield_now().await;
        }
        let alive = Arc::new(());
        let held = Arc::clone(&alive);
        tasks.execute(async move {
            let _held = held;
            pending::<()>().await;
        });
        yield_now().await;
        assert!(tasks.0.lock().len() < 3, "{}", tasks.0.lock().len());
        assert_eq!(Arc::strong_count(&alive), 2);
        drop(ending);
        yield_now().await;
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}
