use std::{fmt, future::Future, sync::Arc};

use super::member::{Member, Stamp};
use crate::{statistics::Outcome, unwinding::Begun};

/// One of several backends of a client: a handle on what an [`OutlierDetector`](crate::OutlierDetector) knows of it.
///
/// Handles are cheap to clone and meant to be kept, one for each backend that the client has: a backend that somebody
/// holds a handle on is not forgotten.
#[derive(Clone)]
pub struct Backend(pub(super) Arc<Member>);

impl Backend {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether it should get no calls now: it is ejected, or on probation and its probe is under way.
    ///
    /// # Cost
    ///
    /// One load; for one that is not in service also a reading of the clock.
    #[inline]
    pub fn is_ejected(&self) -> bool {
        self.0.is_out()
    }

    /// Begins a call, unless the backend is [ejected](Backend::is_ejected). Where its ejection is over, the call is a
    /// probe, and until that has ended there is no other, unless it takes longer than the base ejection time.
    ///
    /// # Cost
    ///
    /// Two loads and a count of references; a short lock where the call is a probe.
    #[inline]
    pub fn admit(&self) -> Option<BackendTicket> {
        self.0.admit().map(|stamp| self.ticket(stamp))
    }

    /// Begins a call in any case. One to a backend that is [ejected](Backend::is_ejected) counts for nothing.
    ///
    /// # Cost
    ///
    /// That of [`admit`](Backend::admit).
    #[inline]
    pub fn begin(&self) -> BackendTicket {
        self.ticket(self.0.admit().unwrap_or(Stamp::Nothing))
    }

    /// Reports a call that began just now, or so shortly ago that the backend was not ejected meanwhile. For longer
    /// ones take a [ticket](Backend::begin): what was sent before an ejection and fails after it would count against
    /// the backend again.
    ///
    /// # Cost
    ///
    /// One read-modify-write and a reading of the clock; another read-modify-write for an error. Once an interval, one
    /// call judges all backends, for which nobody waits.
    #[inline]
    pub fn record(&self, outcome: Outcome) {
        self.0.end(self.0.admit().unwrap_or(Stamp::Nothing), outcome);
    }

    #[inline]
    fn ticket(&self, stamp: Stamp) -> BackendTicket {
        BackendTicket { backend: self.clone(), stamp, outcome: None, begun: Begun::now() }
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("name", &self.name()).field("is_ejected", &self.is_ejected()).finish()
    }
}

/// A call to a backend, while it runs.
///
/// It ends when it is told how, or when it is dropped: as failed while the thread unwinds, if it did not do so already
/// when the call began, and otherwise as cancelled, which says nothing about the backend. A call counts only for the
/// period in which it began: one that was sent before the backend was ejected decides nothing after it is back.
///
/// # Cost
///
/// That of [`record`](Backend::record), and a count of references.
#[must_use = "dropping the ticket ends the call as cancelled"]
pub struct BackendTicket {
    backend: Backend,
    stamp: Stamp,
    outcome: Option<Outcome>,
    begun: Begun,
}

impl BackendTicket {
    /// The backend that is called.
    #[inline]
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// The call ended well.
    #[inline]
    pub fn success(mut self) {
        self.outcome = Some(Outcome::Ok);
    }

    /// The call failed.
    #[inline]
    pub fn fail(mut self) {
        self.outcome = Some(Outcome::Error);
    }

    /// The call says nothing about the backend, such as one whose caller went away.
    #[inline]
    pub fn ignore(mut self) {
        self.outcome = Some(Outcome::Ignored);
    }

    /// Runs a closure as the call; an error is a failure.
    ///
    /// # Errors
    ///
    /// What the closure returns.
    pub fn call<T, E>(mut self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let result = work();
        self.outcome = Some(outcome(&result));
        result
    }

    /// Runs a future as the call; an error is a failure.
    ///
    /// Dropping the returned future before its end is a cancelled call.
    ///
    /// # Errors
    ///
    /// What the future returns.
    pub async fn run<T, E>(mut self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let result = work.await;
        self.outcome = Some(outcome(&result));
        result
    }
}

impl Drop for BackendTicket {
    #[inline]
    fn drop(&mut self) {
        let dropped = || if self.begun.is_cut_off() { Outcome::Error } else { Outcome::Ignored };
        self.backend.0.end(self.stamp, self.outcome.unwrap_or_else(dropped));
    }
}

impl fmt::Debug for BackendTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackendTicket").field("backend", &self.backend.name()).finish_non_exhaustive()
    }
}

fn outcome<T, E>(result: &Result<T, E>) -> Outcome {
    if result.is_ok() { Outcome::Ok } else { Outcome::Error }
}
