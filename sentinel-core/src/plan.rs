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
    families::{Cause, Halt, Stages},
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
    pub(crate) fn next(self) -> Self {
        Self { rule: self.rule + 1, ..self }
    }
}

/// What the walk says.
#[derive(Debug)]
pub(crate) enum Verdict {
    Pass,
    Wait { family: u16, halt: Halt },
    Block { at: Stage, cause: Cause },
}

/// A plan in use: goes back to the thread's magazine when dropped.
pub(crate) struct PlanRef(Option<Arc<Plan>>);

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
