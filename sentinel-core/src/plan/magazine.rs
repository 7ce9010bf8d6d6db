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

/// Resources per thread. Models have small stacks.
const PLACES: usize = if cfg!(loom) { 4 } else { 32 };
/// Calls of one resource that a thread may have open before the next one pays for a counted reference.
const DEPTH: usize = 14;
/// Misses between two looks for retired plans.
const SWEEP: u32 = 256;

struct Magazine {
    places: [Place; PLACES],
    misses: Cell<u32>,
}

/// References to the plan of one resource.
#[repr(align(128))] // so that what a call touches is in one cache line, and found by a shift
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

    #[cfg(not(loom))]
    fn disown(&self) {
        self.owner.set(0);
        self.clear();
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
        let kept = own::with(|magazine| {
            let place = magazine.place(core);
            if place.owner.get() == address(core) { place.pop() } else { None }
        });
        match kept.flatten() {
            Some(plan) if !plan.is_retired() => PlanRef(Some(plan)),
            _ => self.load(core),
        }
    }

    /// Pays for a counted reference, and makes room for it to stay.
    #[cold]
    #[inline(never)]
    fn load(&self, core: &Arc<Core>) -> PlanRef {
        // When the thread is ending, the reference is dropped after the call.
        if own::lasts() {
            own::with(|magazine| magazine.make_room(core));
        }
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

    /// Gives the place of a resource to it, after a miss.
    fn make_room(&self, core: &Arc<Core>) {
        let place = self.place(core);
        if place.owner.replace(address(core)) != address(core) {
            place.clear();
        }
        place.sweep();
        let misses = self.misses.get().wrapping_add(1);
        self.misses.set(misses);
        if misses.is_multiple_of(SWEEP) {
            self.sweep();
        }
    }

    fn sweep(&self) {
        self.places.iter().for_each(Place::sweep);
    }
}

/// Gives a plan back.
// Inlined, it would make every holder of a plan keep it on the stack.
#[inline(never)]
pub(super) fn put(plan: Arc<Plan>) {
    own::with(|magazine| {
        let place = magazine.place(&plan.core);
        if place.owner.get() == address(&plan.core) && !plan.is_retired() {
            place.push(plan);
        }
    });
}

/// Drops what this thread keeps of plans that are no longer in force.
pub(crate) fn sweep() {
    own::with(Magazine::sweep);
}

#[inline]
fn address(core: &Arc<Core>) -> usize {
    Arc::as_ptr(core).addr()
}

/// The magazine of the calling thread.
#[cfg(not(loom))]
mod own {
    use std::mem::ManuallyDrop;

    use super::{Magazine, Place};

    thread_local! {
        // Without a destructor, so that reaching it takes no look at whether it has run.
        static MAGAZINE: ManuallyDrop<Magazine> = const { ManuallyDrop::new(Magazine::empty()) };
        static CLEAR: Clear = const { Clear };
    }

    /// Empties the magazine when the thread ends. From then on no place gets an owner, so it stays empty.
    struct Clear;

    impl Drop for Clear {
        fn drop(&mut self) {
            MAGAZINE.with(|magazine| magazine.places.iter().for_each(Place::disown));
        }
    }

    #[inline(always)]
    pub(super) fn with<T>(go_on: impl FnOnce(&Magazine) -> T) -> Option<T> {
        Some(MAGAZINE.with(|magazine| go_on(magazine)))
    }

    /// Whether the thread is not ending; what its magazine keeps will be dropped when it does.
    pub(super) fn lasts() -> bool {
        CLEAR.try_with(|_| ()).is_ok()
    }
}

/// The same for models, whose threads drop all that is theirs in no certain order.
#[cfg(loom)]
mod own {
    use super::Magazine;

    loom::thread_local! {
        static MAGAZINE: Magazine = Magazine::empty();
    }

    pub(super) fn with<T>(go_on: impl FnOnce(&Magazine) -> T) -> Option<T> {
        MAGAZINE.try_with(go_on).ok()
    }

    pub(super) fn lasts() -> bool {
        true
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
