//! Tests that count as skipped where a server is missing.

use std::{collections::BTreeSet, fmt, pin::Pin, process::ExitCode, sync::Arc, time::Duration};

use libtest_mimic::{Arguments, Completion, Failed};
use parking_lot::Mutex;
use tokio::{runtime, time};

use crate::{
    logs,
    servers::{Demand, Unavailable},
};

/// Trials of one program at the same time, where the command line says nothing else: each may have a server.
const THREADS: usize = 2;

/// Longer, no trial takes.
const LIMIT: Duration = Duration::from_secs(300);

/// A test that may need a server which this machine does not have.
pub struct Trial {
    name: &'static str,
    kind: &'static str,
    test: Test,
}

type Test = Box<dyn FnOnce() -> Outcome + Send>;
type Outcome = Pin<Box<dyn Future<Output = Result<(), Unavailable>>>>;

impl fmt::Debug for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trial").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Trial {
    /// Tells it from others of the same name, such as by the version of its server.
    #[must_use]
    pub fn kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }
}

/// Makes a trial of a test; its name is a sentence about behaviour.
pub fn trial<T, F>(name: &'static str, test: T) -> Trial
where
    T: FnOnce() -> F + Send + 'static,
    F: Future<Output = Result<(), Unavailable>> + 'static,
{
    Trial { name, kind: "", test: Box::new(|| Box::pin(test())) }
}

/// Makes trials of tests in modules, each of which is called as the test is.
///
/// # Example
///
/// ```
/// use sentinel_testing::{Trial, trials};
///
/// mod access {
///     use sentinel_testing::servers::Unavailable;
///
///     pub(super) async fn who_is_not_known_is_denied() -> Result<(), Unavailable> {
///         Ok(())
///     }
/// }
///
/// let all: Vec<Trial> = trials![access::who_is_not_known_is_denied];
/// assert_eq!(all.len(), 1);
/// ```
#[macro_export]
macro_rules! trials {
    ($($module:ident::$trial:ident $(::<$subject:ident>)?),+ $(,)?) => {
        vec![$($crate::trial(stringify!($trial), $module::$trial $(::<$subject>)?),)+]
    };
}

/// Runs trials as the command line wants, which is that of every test program: each in a runtime of its own, and two at
/// once. What is skipped is told at the end, with its reason.
///
/// With `SENTINEL_SERVERS=required`, a server that is missing is a failure; with `SENTINEL_SERVERS=none`, all are missing.
///
/// # Panics
///
/// When the variable has another value, or somebody else listens to what is logged.
///
/// # Example
///
/// ```no_run
/// use std::process::ExitCode;
///
/// use sentinel_testing::{
///     run,
///     servers::{Etcd, EtcdOptions, Server as _, Unavailable},
///     trial,
/// };
///
/// fn main() -> ExitCode {
///     run([trial("a value is what was put", a_value_is_what_was_put)])
/// }
///
/// async fn a_value_is_what_was_put() -> Result<(), Unavailable> {
///     let etcd = Etcd::start(EtcdOptions::default()).await?;
///     etcd.put("sentinel/flow", b"[]").await.unwrap();
///     assert_eq!(etcd.get("sentinel/flow").await.unwrap().as_deref(), Some(&b"[]"[..]));
///     Ok(())
/// }
/// ```
pub fn run(trials: impl IntoIterator<Item = Trial>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let demand = Demand::from_env();
    logs::listen();
    let skipped = Arc::<Mutex<BTreeSet<Unavailable>>>::default();
    let trials = trials.into_iter().map(|Trial { name, kind, test }| {
        let skipped = Arc::clone(&skipped);
        libtest_mimic::Trial::ignorable_test(name, move || {
            let outcome = complete(test);
            if let Err(missing) = &outcome {
                skipped.lock().insert(missing.clone());
            }
            conclude(outcome, demand)
        })
        .with_kind(kind)
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    if demand != Demand::Required {
        for missing in &*skipped.lock() {
            println!("skipped: {missing}");
        }
    }
    conclusion.exit_code()
}

fn complete(test: Test) -> Result<(), Unavailable> {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = runtime.expect("a runtime can be started").block_on(async { time::timeout(LIMIT, test()).await });
    outcome.unwrap_or_else(|_| panic!("it did not end within {LIMIT:?}"))
}

fn conclude(outcome: Result<(), Unavailable>, demand: Demand) -> Result<Completion, Failed> {
    match outcome {
        Ok(()) => Ok(Completion::Completed),
        Err(missing) if demand == Demand::Required => Err(missing.into()),
        Err(missing) => Ok(Completion::ignored_with(missing)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing() -> Unavailable {
        Unavailable { server: "etcd", reason: "there is no etcd".to_owned() }
    }

    #[test]
    fn a_missing_server_skips_the_test_unless_it_is_required() {
        let Ok(Completion::Ignored { reason }) = conclude(Err(missing()), Demand::Some) else {
            panic!("it is not ignored");
        };
        assert_eq!(reason.as_deref(), Some("etcd: there is no etcd"));
        let failed = conclude(Err(missing()), Demand::Required).err().unwrap();
        assert_eq!(failed.message(), Some("etcd: there is no etcd"));
        assert!(matches!(conclude(Ok(()), Demand::Required), Ok(Completion::Completed)));
    }

    #[test]
    fn a_test_runs_in_a_runtime_with_timers_and_what_it_lacks_comes_out() {
        let test = trial("", || async {
            time::sleep(Duration::from_millis(1)).await;
            Err(missing())
        });
        assert_eq!(complete(test.test), Err(missing()));
    }
}
