//! The plan in force, without a shared read-modify-write per call.
//!
//! A reference count that every call of a resource raises and lowers is a cache line that all cores fight for, and even
//! uncontended it costs two read-modify-writes. So each thread keeps a few counted references of the resources that it
//! used last; a call moves one out and its end moves it back in, on whichever thread that is.
//!
//! # What stays behind
//!
//! A plan that is no longer in force is dropped by a thread when it enters the resource again, at every 256th miss of
//! any resource, when it gives up an instance, and when it ends. Until then an idle thread keeps at most one plan in
//! each of its 32 places.

use std::{cell::Cell, sync::Arc};

use super::{Plan, PlanRef};
use crate::{resource::Core, sync::swap::Swap};

/// Resources per thread.
const PLACES: usize = 32;
/// Calls of one resource that a thread may have open before the next one pays for a counted reference.
const DEPTH: usize = 8;
/// Misses between two looks for retired plans.
const SWEEP: u32 = 256;

#[cfg(not(loom))]
thread_local! {
    static MAGAZINE: Magazine = const { Magazine::empty() };
}

#[cfg(loom)]
loom::thread_local! {
    static MAGAZINE: Magazine = Magazine::empty();
}

struct Magazine {
    places: [Place; PLACES],
    misses: Cell<u32>,
}

/// References to the plan of one resource.
struct Place {
    /// The address of the resource's core. It can be reused by another resource only when no plan is left here, since
    /// each keeps its core alive.
    owner: Cell<usize>,
    /// The one that comes and goes when calls do not overlap.
    top: Cell<Option<Arc<Plan>>>,
    len: Cell<usize>,
    more: [Cell<Option<Arc<Plan>>>; DEPTH - 1],
}

impl Place {
    const fn empty() -> Self {
        Self {
            owner: Cell::new(0),
            top: Cell::new(None),
            len: Cell::new(0),
            more: [const { Cell::new(None) }; DEPTH - 1],
        }
    }

    #[inline(always)]
    fn pop(&self) -> Option<Arc<Plan>> {
        match self.top.take() {
            None => self.pop_more(),
            plan => plan,
        }
    }

    #[cold]
    #[inline(never)]
    fn pop_more(&self) -> Option<Arc<Plan>> {
        let last = self.len.get().checked_sub(1)?;
        self.len.set(last);
        self.more.get(last)?.take()
    }

    #[inline(always)]
    fn push(&self, plan: Arc<Plan>) {
        if let Some(other) = self.top.replace(Some(plan)) {
            self.push_more(other);
        }
    }

    #[inline(never)]
    fn push_more(&self, plan: Arc<Plan>) {
        let len = self.len.get();
        if let Some(place) = self.more.get(len) {
            place.set(Some(plan));
            self.len.set(len + 1);
        }
    }

    fn clear(&self) {
        self.len.set(0);
        drop(self.top.take());
        self.more.iter().for_each(|plan| drop(plan.take()));
    }

    /// Clears the place if its plan is no longer in force.
    fn sweep(&self) {
        let Some(plan) = self.pop() else { return };
        if plan.is_retired() { self.clear() } else { self.push(plan) }
    }
}

/// Where a resource keeps its plan.
pub(crate) struct PlanSlot {
    current: Swap<Plan>,
}

impl PlanSlot {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { current: Swap::from_pointee(plan) }
    }

    /// Takes the plan in force.
    #[inline(always)]
    pub(crate) fn take(&self, core: &Arc<Core>) -> PlanRef {
        let kept = MAGAZINE.try_with(|magazine| {
            let place = magazine.place(core);
            if place.owner.get() == address(core) { place.pop() } else { None }
        });
        match kept {
            Ok(Some(plan)) if !plan.is_retired() => PlanRef(Some(plan)),
            _ => self.load(core),
        }
    }

    /// Pays for a counted reference, and makes room for it to stay.
    #[cold]
    #[inline(never)]
    fn load(&self, core: &Arc<Core>) -> PlanRef {
        // Without a magazine, when the thread is ending, the reference is dropped after the call.
        let _ = MAGAZINE.try_with(|magazine| {
            let place = magazine.place(core);
            if place.owner.replace(address(core)) != address(core) {
                place.clear();
            }
            place.sweep();
            let misses = magazine.misses.get().wrapping_add(1);
            magazine.misses.set(misses);
            if misses.is_multiple_of(SWEEP) {
                magazine.sweep();
            }
        });
        PlanRef(Some(self.current.load_full()))
    }

    /// Looks at the plan in force without keeping it.
    pub(crate) fn peek(&self) -> Arc<Plan> {
        self.current.load_full()
    }

    /// Puts another plan in force. Calls that are inside go on under theirs.
    pub(crate) fn replace(&self, plan: Plan) {
        self.current.swap(Arc::new(plan)).retire();
    }
}

impl Drop for PlanSlot {
    fn drop(&mut self) {
        self.current.load_full().retire();
    }
}

impl Magazine {
    const fn empty() -> Self {
        Self { places: [const { Place::empty() }; PLACES], misses: Cell::new(0) }
    }

    #[inline]
    fn place(&self, core: &Core) -> &Place {
        // The remainder keeps it in bounds, visibly for the compiler.
        &self.places[core.number as usize % PLACES]
    }

    fn sweep(&self) {
        self.places.iter().for_each(Place::sweep);
    }
}

/// Gives a plan back.
#[inline(always)]
pub(super) fn put(plan: Arc<Plan>) {
    let _ = MAGAZINE.try_with(|magazine| {
        let place = magazine.place(&plan.core);
        if place.owner.get() == address(&plan.core) && !plan.is_retired() {
            place.push(plan);
        }
    });
}

/// Drops what this thread keeps of plans that are no longer in force.
pub(crate) fn sweep() {
    let _ = MAGAZINE.try_with(Magazine::sweep);
}

#[inline]
fn address(core: &Arc<Core>) -> usize {
    Arc::as_ptr(core).addr()
}
