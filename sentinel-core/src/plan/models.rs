//! Models of a reload while calls come and go.

use std::sync::{Arc, Weak};

use loom::thread;

use super::{Plan, PlanSlot, sweep};
use crate::{
    clock::{Clock as _, ManualClock},
    families::Stages,
    resource::{Core, Direction, Kind},
    statistics::Node,
    sync::flag::Flag,
};

fn core() -> Core {
    Core {
        number: 0,
        name: "r".into(),
        direction: Direction::Outbound,
        kind: Kind::Common,
        time: ManualClock::new().into_time(),
        node: Node::new(1),
        inbound: None,
        reservations: Arc::default(),
        extension: None,
    }
}

fn plan(core: &Arc<Core>) -> Plan {
    Plan::new(Arc::clone(core), Stages::default())
}

/// A resource whose plan this thread has used, and a look at that plan.
fn used() -> (Arc<Core>, Arc<PlanSlot>, Weak<Plan>) {
    let core = Arc::new(core());
    let slot = Arc::new(PlanSlot::new(plan(&core)));
    drop(slot.take(&core));
    let first = Arc::downgrade(&slot.peek());
    (core, slot, first)
}

#[test]
fn who_enters_after_a_reload_has_the_new_plan_and_the_old_one_goes_with_its_last_call() {
    loom::model(|| {
        let (core, slot, first) = used();
        let inside = slot.take(&core);
        let reload = thread::spawn({
            let (core, slot) = (Arc::clone(&core), Arc::clone(&slot));
            move || slot.replace(plan(&core))
        });
        // Enters at any time of the reload: under the old plan or the new one, and never under none.
        drop(slot.take(&core));
        reload.join().expect("the reload does not panic");
        assert!(!slot.take(&core).is_retired(), "the reload is over");
        drop(inside);
        assert!(first.upgrade().is_none(), "nothing keeps the old plan");
    });
}

#[test]
fn a_call_that_ends_on_another_thread_leaves_no_old_plan_there_in_force() {
    loom::model(|| {
        let (core, slot, first) = used();
        let inside = slot.take(&core);
        let is_over = Arc::new(Flag::default());
        let other = thread::spawn({
            let (core, slot, is_over) = (Arc::clone(&core), Arc::clone(&slot), Arc::clone(&is_over));
            move || {
                drop(slot.take(&core));
                drop(inside);
                let is_over = is_over.is_set();
                let next = [slot.take(&core), slot.take(&core)];
                assert!(!is_over || !next.iter().any(|plan| plan.is_retired()), "the reload was over");
            }
        });
        slot.replace(plan(&core));
        is_over.set();
        assert!(!slot.take(&core).is_retired());
        other.join().expect("the call does not panic");
        sweep();
        assert!(first.upgrade().is_none(), "threads that ended keep nothing");
    });
}
