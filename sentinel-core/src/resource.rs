use std::{fmt, sync::Arc};

use crate::{
    blocked::Blocked,
    call::Call,
    clock::Time,
    decision::{Decision, Reservation},
    entry::Entry,
    extension::Extension,
    families::{AtOnce, Exit, Pooled, Stages},
    plan::{Plan, PlanRef, PlanSlot, Reason, Verdict},
    rules::Choice,
    snapshot::ResourceSnapshot,
    statistics::{Node, Outcome, Traffic},
    sync::flag::Flag,
};

/// A named thing that is protected: a handle on its statistics and its rules in force.
///
/// Handles are cheap to clone and to keep; entering through one saves the look-up of the name. A resource that somebody
/// holds a handle on is never given up.
#[derive(Clone)]
pub struct Resource(pub(crate) Arc<Slot>);

impl Resource {
    /// Asks to enter, for one permit.
    ///
    /// # Cost
    ///
    /// No allocation, no lock that another thread can hold for long: two clock readings and some 300 instructions with
    /// one flow rule, from here to the end of the entry.
    #[inline]
    pub fn enter(&self) -> Decision {
        self.0.enter(Call::PLAIN)
    }

    /// Asks to enter, saying more about the call.
    #[inline]
    pub fn enter_with(&self, call: &Call<'_>) -> Decision {
        self.0.enter(call)
    }

    /// The name of the resource.
    ///
    /// Past the bound on resources this is the name of the shared one: see
    /// [`Builder::max_resources`](crate::Builder::max_resources).
    pub fn name(&self) -> &str {
        &self.0.core.name
    }

    /// Whether its calls come in or go out.
    pub fn direction(&self) -> Direction {
        self.0.core.direction
    }

    /// What kind of thing it is.
    pub fn kind(&self) -> Kind {
        self.0.core.kind
    }

    /// Calls that are inside now, in permits.
    pub fn in_flight(&self) -> u64 {
        self.0.core.node.in_flight()
    }

    /// What tells it from every other resource.
    pub fn id(&self) -> ResourceId {
        self.0.core.id()
    }

    /// Its statistics and rules.
    pub fn snapshot(&self) -> ResourceSnapshot {
        self.0.snapshot()
    }

    /// The last minute, second by second, oldest first: 60 seconds, the one in progress last, or as many as have passed
    /// since the clock's start. Empty when there was no call yet.
    pub fn seconds(&self) -> Vec<Traffic> {
        self.0.core.node.seconds(self.0.core.time.now())
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resource").field("name", &self.name()).field("in_flight", &self.in_flight()).finish()
    }
}

/// Tells a resource from every other one, also of another instance.
///
/// A resource keeps it until it is given up; one that is made later under the same name has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResourceId(u64);

/// Whether the calls of a resource come into the service or go out of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub enum Direction {
    /// Requests to this service: they count towards all inbound traffic together.
    Inbound,
    /// Calls that this service makes, and everything else; the default.
    #[default]
    Outbound,
}

/// What kind of thing a resource is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub enum Kind {
    /// Anything; the default.
    #[default]
    Common,
    /// An HTTP route.
    Web,
    /// A remote procedure.
    Rpc,
    /// A database.
    Db,
    /// A cache.
    Cache,
    /// A message queue.
    Mq,
}

/// Which resource is meant, and what it is if it is new.
///
/// A resource is known by its name alone: direction and kind are those of its first use.
///
/// # Example
///
/// ```
/// use sentinel_core::{Kind, Sentinel, Target};
///
/// let sentinel = Sentinel::default();
/// let orders = sentinel.resource(Target::new("GET /orders/{id}").inbound().kind(Kind::Web));
/// assert_eq!(orders.kind(), Kind::Web);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target<'a> {
    pub(crate) name: &'a str,
    pub(crate) direction: Direction,
    pub(crate) kind: Kind,
}

impl<'a> Target<'a> {
    /// The resource of this name; outbound and common if it is new.
    pub const fn new(name: &'a str) -> Self {
        Self { name, direction: Direction::Outbound, kind: Kind::Common }
    }

    /// Its calls come in.
    #[must_use]
    pub const fn inbound(mut self) -> Self {
        self.direction = Direction::Inbound;
        self
    }

    /// What kind of thing it is.
    #[must_use]
    pub const fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }
}

impl<'a> From<&'a str> for Target<'a> {
    fn from(name: &'a str) -> Self {
        Self::new(name)
    }
}

impl<'a> From<&'a String> for Target<'a> {
    fn from(name: &'a String) -> Self {
        Self::new(name)
    }
}

/// What all plans of a resource have in common.
pub(crate) struct Core {
    /// The place of the resource in the order of creation, counted from a number that is the instance's own.
    pub(crate) number: u64,
    pub(crate) name: Arc<str>,
    pub(crate) direction: Direction,
    pub(crate) kind: Kind,
    pub(crate) time: Time,
    pub(crate) node: Node,
    /// The statistics of all inbound traffic, if this is part of it.
    pub(crate) inbound: Option<Arc<Node>>,
    /// Reservations hold a reference each; while there is one, the resource is not given up.
    pub(crate) reservations: Arc<()>,
    /// The checks and observers of the instance, if it has any.
    pub(crate) extension: Option<Arc<Extension>>,
}

impl Core {
    pub(crate) fn id(&self) -> ResourceId {
        ResourceId(self.number)
    }

    /// Whether a call waits that will go on under these rules.
    pub(crate) fn has_reservations(&self) -> bool {
        Arc::strong_count(&self.reservations) > 1
    }

    #[inline(always)]
    pub(crate) fn count_pass(&self, now: u64, permits: u32) {
        self.node.enter(now, permits);
        if let Some(inbound) = &self.inbound {
            inbound.enter(now, permits);
        }
    }

    #[inline(always)]
    pub(crate) fn count_exit(&self, exit: &Exit) {
        let Exit { now, count, response_time, outcome } = *exit;
        self.node.exit(now, count, response_time, outcome);
        if let Some(inbound) = &self.inbound {
            count_exit(inbound, now, count, response_time, outcome);
        }
    }

    #[inline]
    pub(crate) fn count_block(&self, now: u64, permits: u32) {
        self.node.block(now, permits);
        if let Some(inbound) = &self.inbound {
            inbound.block(now, permits);
        }
    }
}

/// A function of its own, so that the short way of calls that are not inbound stays short.
#[inline(never)]
fn count_exit(node: &Node, now: u64, permits: u32, response_time: u64, outcome: Outcome) {
    node.exit(now, permits, response_time, outcome);
}

/// By what the rules of a resource are chosen, to keep.
enum Chosen {
    ByName,
    /// For one that is shared past the bound: by the first name that it stands for.
    ByPatterns(Box<str>),
    All,
}

/// A resource in the registry.
pub(crate) struct Slot {
    pub(crate) core: Arc<Core>,
    plan: PlanSlot,
    chosen_by: Chosen,
    evicted: Flag,
}

impl Slot {
    pub(crate) fn new(core: Core, choice: Choice<'_>, stages: Stages) -> Self {
        let core = Arc::new(core);
        let chosen_by = match choice {
            Choice::Name(_) => Chosen::ByName,
            Choice::Like(name) => Chosen::ByPatterns(name.into()),
            Choice::All => Chosen::All,
        };
        Self { plan: PlanSlot::new(Plan::new(Arc::clone(&core), stages)), core, chosen_by, evicted: Flag::default() }
    }

    /// By what its rules are chosen.
    pub(crate) fn choice(&self) -> Choice<'_> {
        match &self.chosen_by {
            Chosen::ByName => Choice::Name(&self.core.name),
            Chosen::ByPatterns(name) => Choice::Like(name),
            Chosen::All => Choice::All,
        }
    }

    /// Asks to enter through a reference that keeps the resource from being given up.
    #[inline(always)]
    pub(crate) fn enter(&self, call: &Call<'_>) -> Decision {
        enter_under(self.plan.take(&self.core), call)
    }

    /// The plan to enter under, if the resource will certainly not be given up meanwhile.
    #[inline(always)]
    pub(crate) fn lasting_plan(&self) -> Option<PlanRef> {
        let plan = self.plan.take(&self.core);
        let lasts = !self.evicted.is_set() && !plan.stages.may_be_evicted();
        lasts.then_some(plan)
    }

    /// Asks to enter through the map, from where the resource may be given up meanwhile: then nothing is taken, and the
    /// name has to be looked up again.
    #[inline(never)]
    pub(crate) fn enter_unless_evicted(&self, call: &Call<'_>) -> Option<Decision> {
        let plan = self.plan.take(&self.core);
        let now = plan.core.time.now();
        let mut taken = Pooled::take();
        let verdict = plan.walk(call, now, taken.tokens());
        // What is not seen in the rules: that it will go on under them.
        let _open = matches!(verdict, Verdict::Wait { .. }).then(|| Arc::clone(&self.core.reservations));
        Flag::settle();
        if self.evicted.is_set() {
            plan.undo(taken.tokens(), call, now);
            return None;
        }
        Some(match conclude(&plan, verdict, taken, now, call) {
            Asked::Pass(held) => Decision::Admit(Entry::new(plan, held, now, call.permits())),
            Asked::Wait(reservation) => Decision::Wait(reservation),
            Asked::Block(reason) => Decision::Block(Blocked::new(plan, reason)),
        })
    }

    pub(crate) fn is_evicted(&self) -> bool {
        self.evicted.is_set()
    }

    /// Marks that the resource is being given up, or that it is not after all.
    pub(crate) fn set_evicted(&self, evicted: bool) {
        if evicted { self.evicted.set() } else { self.evicted.clear() }
    }

    /// Lets threads drop what they keep of the plan: nobody will look the resource up again.
    pub(crate) fn retire(&self) {
        self.plan.peek().retire();
    }

    /// Rebuilds the plan; rules that stay keep their state.
    pub(crate) fn replan(&self, stages: impl FnOnce(&Stages) -> Stages) {
        let stages = stages(&self.plan.peek().stages);
        self.plan.replace(Plan::new(Arc::clone(&self.core), stages));
    }

    pub(crate) fn plan(&self) -> Arc<Plan> {
        self.plan.peek()
    }

    pub(crate) fn snapshot(&self) -> ResourceSnapshot {
        let now = self.core.time.now();
        ResourceSnapshot {
            name: Arc::clone(&self.core.name),
            kind: self.core.kind,
            direction: self.core.direction,
            statistics: self.core.node.snapshot(now),
            rules: self.plan().stages.snapshot(now),
        }
    }
}

/// Asks to enter under a plan.
#[inline(always)]
pub(crate) fn enter_under(plan: PlanRef, call: &Call<'_>) -> Decision {
    let now = plan.core.time.now();
    match plan.stages.at_once(call, now) {
        AtOnce::Pass => {
            plan.core.count_pass(now, call.permits());
            Decision::Admit(Entry::new(plan, None, now, call.permits()))
        }
        AtOnce::Block(cause) => {
            plan.core.count_block(now, call.permits());
            let at = plan.stages.single();
            Decision::Block(Blocked::new(plan, Reason { at, cause }))
        }
        AtOnce::Ask => match ask(&plan, now, call) {
            Asked::Pass(held) => Decision::Admit(Entry::new(plan, held, now, call.permits())),
            Asked::Wait(reservation) => Decision::Wait(reservation),
            Asked::Block(reason) => Decision::Block(Blocked::new(plan, reason)),
        },
    }
}

/// What came of asking every check: a decision without its plan, so that the short way keeps that in a register.
enum Asked {
    Pass(Option<Pooled>),
    Wait(Reservation),
    Block(Reason),
}

/// Asks every check, and counts what comes of it.
#[inline(never)]
fn ask(plan: &PlanRef, now: u64, call: &Call<'_>) -> Asked {
    let mut taken = Pooled::take();
    let verdict = plan.walk(call, now, taken.tokens());
    conclude(plan, verdict, taken, now, call)
}

#[inline(always)]
fn conclude(plan: &PlanRef, verdict: Verdict, mut taken: Pooled, now: u64, call: &Call<'_>) -> Asked {
    match verdict {
        Verdict::Pass => Asked::Pass(plan.pass(taken, call, now)),
        Verdict::Block(reason) => {
            plan.block(&mut taken, call, now, reason);
            Asked::Block(reason)
        }
        Verdict::Wait { family, halt } => Asked::Wait(Reservation::new(plan.clone(), taken, now, family, halt, call)),
    }
}
