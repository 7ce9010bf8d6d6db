use std::time::Duration;

use crate::{
    call::Call,
    families::Exit,
    resource::{Core, Direction, Kind, ResourceId},
    statistics::Outcome,
};

/// A resource, as checks and observers see it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ResourceInfo<'a> {
    /// Its name; past the bound on resources, the one of the resource that is shared.
    pub name: &'a str,
    /// What tells it from every other one.
    pub id: ResourceId,
    /// Whether its calls come in or go out.
    pub direction: Direction,
    /// What kind of thing it is.
    pub kind: Kind,
}

/// A call that asks to enter.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Attempt<'a> {
    /// What it wants to enter.
    pub resource: ResourceInfo<'a>,
    /// What it says of itself.
    pub call: &'a Call<'a>,
    /// The time of the instance's clock: after a wait, that of its end.
    pub now: Duration,
}

/// An admitted call that is over.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Ended<'a> {
    /// What it had entered.
    pub resource: ResourceInfo<'a>,
    /// How many permits it was admitted with.
    pub permits: u32,
    /// How it went; failed, if the thread unwinds.
    pub outcome: Outcome,
    /// The time since it was admitted, also of one that is [ignored](Outcome::Ignored).
    pub response_time: Duration,
    /// The time of the instance's clock.
    pub now: Duration,
}

impl<'a> ResourceInfo<'a> {
    fn new(core: &'a Core) -> Self {
        Self { name: &core.name, id: core.id(), direction: core.direction, kind: core.kind }
    }
}

impl<'a> Attempt<'a> {
    pub(crate) fn new(core: &'a Core, call: &'a Call<'a>, now: u64) -> Self {
        Self { resource: ResourceInfo::new(core), call, now: Duration::from_nanos(now) }
    }
}

impl<'a> Ended<'a> {
    pub(crate) fn new(core: &'a Core, exit: &Exit) -> Self {
        Self {
            resource: ResourceInfo::new(core),
            permits: exit.count,
            outcome: exit.outcome,
            response_time: Duration::from_nanos(exit.response_time),
            now: Duration::from_nanos(exit.now),
        }
    }
}
