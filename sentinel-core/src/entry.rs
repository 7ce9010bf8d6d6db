use std::{fmt, future::Future};

use crate::{
    families::{Exit, Pooled},
    plan::PlanRef,
    resource::ResourceId,
    statistics::Outcome,
    unwinding::Begun,
};

/// An admitted call, while it runs.
///
/// Dropping the entry ends the call: what it holds is given back, and its outcome and response time are recorded. That
/// is also what happens when a future that owns it is dropped, when the thread unwinds, and on another thread than the
/// one that entered. A call that ends while its thread unwinds counts as failed, unless that did so already when it was
/// admitted.
#[must_use = "dropping the entry ends the call"]
pub struct Entry {
    plan: PlanRef,
    /// What it took, where something of that has to be given back.
    held: Option<Pooled>,
    admitted: u64,
    count: u32,
    outcome: Outcome,
    begun: Begun,
}

impl Entry {
    /// The entry of a call that is counted already.
    #[inline(always)]
    pub(crate) fn new(plan: PlanRef, held: Option<Pooled>, now: u64, count: u32) -> Self {
        Self { plan, held, admitted: now, count, outcome: Outcome::Ok, begun: Begun::now() }
    }

    /// Marks the call as failed.
    #[inline]
    pub fn fail(&mut self) {
        self.outcome = Outcome::Error;
    }

    /// Marks the call as one to learn nothing from, such as one whose caller went away: it counts as complete, but
    /// neither as an error nor with its response time.
    #[inline]
    pub fn ignore(&mut self) {
        self.outcome = Outcome::Ignored;
    }

    /// Runs a closure as the call, and marks it as failed where that returns an error.
    ///
    /// # Errors
    ///
    /// What the closure returns.
    pub fn call<T, E>(mut self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let result = work();
        if result.is_err() {
            self.fail();
        }
        result
    }

    /// Runs a future as the call, and marks it as failed where that returns an error.
    ///
    /// Dropping the returned future before its end is a cancelled call: it is [ignored](Entry::ignore).
    ///
    /// # Errors
    ///
    /// What the future returns.
    pub fn run<T, E>(mut self, work: impl Future<Output = Result<T, E>>) -> impl Future<Output = Result<T, E>> {
        // Before the first poll, which may never come.
        self.ignore();
        async move {
            // All of it, or only the field would go along.
            let mut entry = self;
            let result = work.await;
            entry.outcome = if result.is_ok() { Outcome::Ok } else { Outcome::Error };
            result
        }
    }

    /// The name of the resource.
    pub fn resource(&self) -> &str {
        &self.plan.core.name
    }

    /// What tells the resource from every other one.
    pub fn resource_id(&self) -> ResourceId {
        self.plan.core.id()
    }

    /// How many permits the call was admitted with.
    pub fn permits(&self) -> u32 {
        self.count
    }
}

impl Drop for Entry {
    #[inline(always)]
    fn drop(&mut self) {
        let Self { plan, held, admitted, count, outcome, begun } = self;
        let plan = &**plan;
        let now = plan.core.time.now();
        let outcome = if begun.is_cut_off() { Outcome::Error } else { *outcome };
        let exit = Exit { now, count: *count, response_time: now.saturating_sub(*admitted), outcome };
        if let Some(mut held) = held.take() {
            if let Some(extension) = &plan.core.extension {
                return extension.end(plan, held.tokens(), &exit);
            }
            plan.stages.release(held.tokens(), &exit);
            held.put_back();
        }
        plan.core.count_exit(&exit);
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("resource", &self.resource())
            .field("permits", &self.count)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}
