//! Checks and observers of one's own.
//!
//! What no rule can say, a program says itself: a [`CustomCheck`] stands among the families, at a [`Position`] of its
//! own, and an [`Observer`] sees what becomes of every call. Both are given to the [`Builder`](crate::Builder) and stay
//! for as long as the instance lives.

mod check;
mod observer;
mod seen;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
};

pub use self::{
    check::{CheckAnswer, CustomCheck, Held, Position, Refusal},
    observer::Observer,
    seen::{Attempt, Ended, ResourceInfo},
};
use crate::{
    blocked::Blocked,
    call::Call,
    event::shielded,
    families::{Cause, Exit, FAMILIES, Tokens, Walk},
    plan::{Plan, PlanRef, Reason, Stage, Verdict},
    sentinel::BuildError,
};

/// What is registered while an instance is set up.
#[derive(Default)]
pub(crate) struct Registrations {
    pub(crate) checks: Vec<(Position, Box<dyn CustomCheck>)>,
    pub(crate) observers: Vec<Box<dyn Observer>>,
}

impl Registrations {
    /// Puts the checks in order; nothing where nothing is registered.
    pub(crate) fn finish(self) -> Result<Option<Arc<Extension>>, BuildError> {
        let Self { checks, observers } = self;
        if checks.is_empty() && observers.is_empty() {
            return Ok(None);
        }
        let mut registered: Vec<Registered> = Vec::with_capacity(checks.len());
        for (position, check) in checks {
            let (name, before) = (check.name(), position.before()?);
            if name.is_empty() || FAMILIES.contains(&name) || registered.iter().any(|other| other.name == name) {
                return Err(BuildError::CheckName { given: name });
            }
            registered.push(Registered { before, name, check });
        }
        // Stable: those of one place stay in the order in which they came.
        registered.sort_by_key(|check| check.before);
        Ok(Some(Arc::new(Extension { checks: registered.into(), observers: observers.into() })))
    }
}

impl fmt::Debug for Registrations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checks = self.checks.iter().map(|(position, check)| (check.name(), position));
        f.debug_map().entries(checks).entry(&"observers", &self.observers.len()).finish()
    }
}

/// The checks and observers of an instance.
///
/// # Panics of foreign code
///
/// A check that panics leaves no answer to go on with, so its panic goes on, when everything has been given back. All
/// others only hear what has happened, which does not depend on them: their panics go no further, as those of
/// listeners. A guard would not do, since what is left to do is foreign code too, and its panic while the thread
/// unwinds would end the process.
pub(crate) struct Extension {
    checks: Box<[Registered]>,
    observers: Box<[Box<dyn Observer>]>,
}

/// A check and its place.
pub(crate) struct Registered {
    /// The family that comes next.
    before: u16,
    pub(crate) name: &'static str,
    check: Box<dyn CustomCheck>,
}

impl Registered {
    pub(crate) fn explain(&self, cause: &Cause, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.check.explain(&Refusal::from(cause), f)
    }
}

/// What a call holds of the checks, each with the index of its check, in the order in which they were asked.
///
/// Without any it takes no memory, and what it takes once it keeps for the next call.
#[derive(Default)]
pub(crate) struct Holding(Vec<(u16, Box<dyn Held>)>);

impl Extension {
    /// Walks rules and checks from `from` on.
    #[inline(never)]
    pub(crate) fn walk(&self, plan: &Plan, from: Stage, call: &Call<'_>, now: u64, taken: &mut Tokens) -> Verdict {
        if self.checks.is_empty() {
            return plan.stages.walk_on(from, call, now, taken);
        }
        let attempt = Attempt::new(&plan.core, call, now);
        let mut next = from;
        // Behind a wait, those before the family that asked for it have been asked.
        let asked = self.checks.iter().filter(|check| from.rule > 0 && check.before <= from.family).count();
        let mut checks = (0..).zip(&self.checks).skip(asked).peekable();
        loop {
            while let Some((index, check)) = checks.next_if(|(_, check)| check.before == next.family) {
                // The check sees the attempt only, so its panic leaves nothing of ours half done.
                match catch_unwind(AssertUnwindSafe(|| check.check.check(&attempt))) {
                    Ok(CheckAnswer::Pass) => {}
                    Ok(CheckAnswer::Hold(held)) => taken.own.0.push((index, held)),
                    Ok(CheckAnswer::Block(refusal)) => {
                        let at = Stage { family: Stage::END, rule: index };
                        return Verdict::Block(Reason { at, cause: refusal.cause() });
                    }
                    Err(panic) => {
                        self.undo(plan, taken, call, now);
                        resume_unwind(panic);
                    }
                }
            }
            if next.family == Stage::END {
                return Verdict::Pass;
            }
            match plan.stages.walk_family(next, call, now, taken) {
                Walk::Pass => next = Stage { family: next.family + 1, rule: 0 },
                Walk::Wait(halt) => return Verdict::Wait { family: next.family, halt },
                Walk::Block { rule, cause } => return Verdict::Block(Reason { at: Stage { rule, ..next }, cause }),
            }
        }
    }

    /// Gives back what was taken, last first.
    #[inline(never)]
    pub(crate) fn undo(&self, plan: &Plan, taken: &mut Tokens, call: &Call<'_>, now: u64) {
        if taken.own.0.is_empty() {
            return plan.stages.undo(taken, call, now);
        }
        for family in (0..=Stage::END).rev() {
            plan.stages.undo_family(family, taken, call, now);
            while let Some(held) = taken.own.pop(|check| self.is_before(check, family)) {
                shielded(|| drop(held));
            }
        }
    }

    /// Ends an admitted call: gives back what it held, last first, counts it, and tells so.
    #[inline(never)]
    pub(crate) fn end(&self, plan: &Plan, held: &mut Tokens, exit: &Exit) {
        let ended = Ended::new(&plan.core, exit);
        if held.own.0.is_empty() {
            plan.stages.release(held, exit);
        } else {
            for family in (0..=Stage::END).rev() {
                plan.stages.release_family(family, held, exit);
                while let Some(own) = held.own.pop(|check| self.is_before(check, family)) {
                    shielded(|| own.end(&ended));
                }
            }
        }
        plan.core.count_exit(exit);
        self.tell(|observer| observer.ended(&ended));
    }

    /// Tells that a call passed.
    pub(crate) fn passed(&self, plan: &Plan, call: &Call<'_>, now: u64) {
        let attempt = Attempt::new(&plan.core, call, now);
        self.tell(|observer| observer.passed(&attempt));
    }

    /// Tells that a call was refused.
    pub(crate) fn blocked(&self, plan: &PlanRef, call: &Call<'_>, now: u64, reason: Reason) {
        let (attempt, blocked) = (Attempt::new(&plan.core, call, now), Blocked::new(plan.clone(), reason));
        self.tell(|observer| observer.blocked(&attempt, &blocked));
    }

    fn tell(&self, what: impl Fn(&dyn Observer)) {
        for observer in &self.observers {
            shielded(|| what(&**observer));
        }
    }

    /// The check at a place behind all families.
    pub(crate) fn check(&self, at: Stage) -> Option<&Registered> {
        self.checks.get(usize::from(at.rule)).filter(|_| at.family == Stage::END)
    }

    /// Whether a family is the one that comes after a check.
    fn is_before(&self, check: u16, family: u16) -> bool {
        self.checks.get(usize::from(check)).is_none_or(|check| check.before == family)
    }
}

impl fmt::Debug for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checks: Vec<_> = self.checks.iter().map(|registered| registered.name).collect();
        f.debug_struct("Extension").field("checks", &checks).field("observers", &self.observers.len()).finish()
    }
}

impl Holding {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes the last one out, if its check is such a one.
    fn pop(&mut self, is_due: impl Fn(u16) -> bool) -> Option<Box<dyn Held>> {
        self.0.pop_if(|(check, _)| is_due(*check)).map(|(_, held)| held)
    }
}

impl fmt::Debug for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(check, _)| check)).finish()
    }
}
