//! The rules in force on one resource, as one immutable object.
//!
//! A call takes the plan in force, walks it, and keeps it until it ends: whatever is reloaded meanwhile, one call lives
//! under one generation of rules, and gives back to the very checks that it took from.

mod magazine;
#[cfg(all(test, loom))]
mod models;

use std::{fmt, ops::Deref, sync::Arc};

pub(crate) use magazine::{PlanSlot, sweep};

use crate::{
    call::Call,
    families::{Cause, FAMILIES, Halt, Pooled, Stages, Tokens},
    resource::Core,
    sync::flag::Flag,
};

/// One generation of rules for one resource.
pub(crate) struct Plan {
    pub(crate) core: Arc<Core>,
    pub(crate) stages: Stages,
    retired: Flag,
}

impl Plan {
    pub(crate) fn new(core: Arc<Core>, stages: Stages) -> Self {
        Self { core, stages, retired: Flag::default() }
    }

    /// Marks the plan as no longer in force, so that no thread keeps it for its next call.
    pub(crate) fn retire(&self) {
        self.retired.set();
    }

    #[inline]
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.is_set()
    }

    /// Asks all rules and checks.
    #[inline(always)]
    pub(crate) fn walk(&self, call: &Call<'_>, now: u64, taken: &mut Tokens) -> Verdict {
        match &self.core.extension {
            None => self.stages.walk(call, now, taken),
            Some(extension) => extension.walk(self, Stage::default(), call, now, taken),
        }
    }

    /// Asks those that are left from `from` on.
    pub(crate) fn walk_on(&self, from: Stage, call: &Call<'_>, now: u64, taken: &mut Tokens) -> Verdict {
        match &self.core.extension {
            None => self.stages.walk_on(from, call, now, taken),
            Some(extension) => extension.walk(self, from, call, now, taken),
        }
    }

    /// Gives back what was taken.
    #[inline(always)]
    pub(crate) fn undo(&self, taken: &mut Tokens, call: &Call<'_>, now: u64) {
        match &self.core.extension {
            None => self.stages.undo(taken, call, now),
            Some(extension) => extension.undo(self, taken, call, now),
        }
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("resource", &self.core.name).field("stages", &self.stages).finish()
    }
}

/// A place in the walk: the family, and the rule in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stage {
    pub(crate) family: u16,
    pub(crate) rule: u16,
}

impl Stage {
    /// What comes behind all families: there, the index is that of a check that is no rule.
    pub(crate) const END: u16 = FAMILIES.len() as u16;

    pub(crate) fn next(self) -> Self {
        Self { rule: self.rule + 1, ..self }
    }
}

/// What the walk says.
#[derive(Debug)]
pub(crate) enum Verdict {
    Pass,
    Wait { family: u16, halt: Halt },
    Block(Reason),
}

/// What refused a call, and why.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reason {
    pub(crate) at: Stage,
    pub(crate) cause: Cause,
}

/// A plan in use: goes back to the thread's magazine when dropped.
pub(crate) struct PlanRef(Option<Arc<Plan>>);

impl PlanRef {
    /// Counts and tells that a call passed; what it holds from now on.
    #[inline(always)]
    pub(crate) fn pass(&self, taken: Pooled, call: &Call<'_>, now: u64) -> Option<Pooled> {
        self.core.count_pass(now, call.permits());
        if let Some(extension) = &self.core.extension {
            extension.passed(self, call, now);
        }
        taken.held_under(&self.stages)
    }

    /// Gives back what a refused call took, then counts and tells that.
    #[inline(never)]
    pub(crate) fn block(&self, taken: &mut Pooled, call: &Call<'_>, now: u64, reason: Reason) {
        self.undo(taken.tokens(), call, now);
        self.core.count_block(now, call.permits());
        if let Some(extension) = &self.core.extension {
            extension.blocked(self, call, now, reason);
        }
    }
}

impl Deref for PlanRef {
    type Target = Plan;

    #[inline]
    fn deref(&self) -> &Plan {
        match &self.0 {
            Some(plan) => plan,
            None => unreachable!("only `drop` takes the plan out"),
        }
    }
}

impl Clone for PlanRef {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Drop for PlanRef {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(plan) = self.0.take() {
            magazine::put(plan);
        }
    }
}

impl fmt::Debug for PlanRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
