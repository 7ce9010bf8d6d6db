//! All resources of an instance, and the rules in force on them.
//!
//! Names are looked up in a concurrent map without a lock. Everything that changes the map or the rules (a new
//! resource, a reload) holds one lock, so that a resource is always built from the rules in force.

use std::{
    collections::HashMap,
    fmt,
    hash::{self, BuildHasher as _},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use parking_lot::{Mutex, MutexGuard};

#[cfg(feature = "sampler")]
use crate::sampler::SamplerThread;
use crate::{
    call::Call,
    clock::{Time, saturating_nanos},
    decision::Decision,
    event::{Event, Listeners},
    extension::Extension,
    families::{Later, Part, Rules, Surroundings, Table},
    plan,
    resource::{Core, Direction, ResourceId, Slot, Target, enter_under},
    rules::{Changes, Choice, InvalidRules, Parts, ReplaceError},
    sentinel::Builder,
    signals::Signals,
    snapshot::{Capacity, ResourceSnapshot, Snapshot},
    statistics::Node,
    sync::{counter::Counter, flag::Flag, moment::Moment},
};

/// How long a resource must have been without a call before it may be given up: as long as its statistics reach back.
const IDLE: Duration = Duration::from_secs(60);
/// Resources looked at for one that is idle, for each new one at the bound.
const CANDIDATES: usize = 16;
/// How long a search for an idle resource that found none is believed.
const FULL: Duration = Duration::from_millis(10);
/// Shared resources that may exist for different combinations of patterns, one of which in each direction is for all
/// further ones.
const MAX_SHARED: usize = 256;

/// What names have in common that share a resource: the direction of their calls, and which patterns they match.
type Common = (Direction, Vec<(usize, usize)>);
type Slots = papaya::HashMap<Arc<str>, Arc<Slot>, RandomState>;
type SharedSlots = HashMap<Common, Arc<Slot>, RandomState>;

pub(crate) struct Registry {
    time: Time,
    max_resources: usize,
    buckets_per_second: u32,
    signals: Arc<Signals>,
    seed: u64,
    #[cfg(feature = "sampler")]
    sampler: Option<SamplerThread>,
    listeners: Listeners,
    extension: Option<Arc<Extension>>,
    inbound: Arc<Node>,
    slots: Slots,
    /// Shared resources by what their names have in common: few, and mostly none. Written under the lock of `state`.
    shared: ArcSwap<SharedSlots>,
    /// The rules in force; written under the lock of `state`.
    table: ArcSwap<Table>,
    /// Until when the search for an idle resource is not worth while.
    full: Moment,
    evicted: Counter,
    overflowed: Counter,
    state: Mutex<State>,
}

/// What changes under the lock.
#[derive(Default)]
struct State {
    parts: Parts,
    /// Resources that no rule names, in the order in which they are looked at for eviction.
    evictable: Vec<Arc<Slot>>,
    hand: usize,
    /// The number of the next resource.
    created: u64,
}

/// A number that no other instance is likely to come near to, and that leaves room to count on.
fn random() -> u64 {
    hash::RandomState::new().hash_one(()) >> 1
}

impl Registry {
    pub(crate) fn new(builder: Builder, extension: Option<Arc<Extension>>) -> Self {
        // Memory of a resource that is given up is freed at once: the map must not collect it in batches.
        let collector = seize::Collector::new().batch_size(1);
        let time = builder.time.unwrap_or_else(Time::fastest);
        #[cfg(feature = "sampler")]
        let interval = builder.sampler;
        #[cfg(not(feature = "sampler"))]
        let interval = None;
        Self {
            max_resources: builder.max_resources,
            buckets_per_second: builder.buckets_per_second,
            signals: Arc::new(Signals::new(time.clone(), interval)),
            time,
            seed: builder.seed.unwrap_or_else(random),
            #[cfg(feature = "sampler")]
            sampler: builder.sampler.map(SamplerThread::new),
            listeners: Listeners::default(),
            extension,
            inbound: Arc::new(Node::new(builder.buckets_per_second)),
            slots: papaya::HashMap::builder().hasher(RandomState::default()).collector(collector).build(),
            shared: ArcSwap::default(),
            table: ArcSwap::default(),
            full: Moment::default(),
            evicted: Counter::default(),
            overflowed: Counter::default(),
            state: Mutex::new(State { created: random(), ..State::default() }),
        }
    }

    pub(crate) fn signals(&self) -> &Signals {
        &self.signals
    }

    fn around<'a>(&'a self, resource: &'a Arc<str>, direction: Direction, later: &'a Later) -> Surroundings<'a> {
        let Self { inbound, signals, listeners, seed, .. } = self;
        let (now, extended) = (self.time.now(), self.extension.is_some());
        Surroundings { resource, direction, inbound, signals, listeners, seed: *seed, now, later, extended }
    }

    pub(crate) fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    #[inline(always)]
    pub(crate) fn enter(&self, target: Target<'_>, call: &Call<'_>) -> Decision {
        let slots = self.slots.pin();
        if let Some(slot) = slots.get(target.name) {
            if let Some(plan) = slot.lasting_plan() {
                drop(slots);
                return enter_under(plan, call);
            }
            if let Some(decision) = slot.enter_unless_evicted(call) {
                return decision;
            }
        }
        drop(slots);
        self.resource_anew(target).enter(call)
    }

    /// The resource of this name, made if it is new.
    pub(crate) fn resource(&self, target: Target<'_>) -> Arc<Slot> {
        if let Some(slot) = self.slots.pin().get(target.name) {
            let slot = Arc::clone(slot);
            Flag::settle();
            if !slot.is_evicted() {
                return slot;
            }
        }
        self.resource_anew(target)
    }

    #[cold]
    fn resource_anew(&self, target: Target<'_>) -> Arc<Slot> {
        let now = self.time.now();
        if self.full.is_ahead(now) {
            let table = self.table.load();
            if !table.names(target.name)
                && let Some(slot) = self.shared_by(&table, target)
            {
                self.overflowed.add(1);
                return slot;
            }
        }
        let mut state = self.state.lock();
        if let Some(slot) = self.slots.pin().get(target.name) {
            return Arc::clone(slot);
        }
        let table = self.table.load_full();
        let named = table.names(target.name);
        let mut evicted = None;
        if !named && state.evictable.len() >= self.max_resources {
            evicted = self.evict(&mut state, now);
            if evicted.is_none() {
                let first = !self.full.is_ahead(now);
                self.full.set(now.saturating_add(saturating_nanos(FULL)));
                self.overflowed.add(1);
                let slot = self.shared_slot(&mut state, &table, target);
                drop(state);
                if first {
                    let max_resources = self.max_resources;
                    self.listeners.tell(&Event::ResourcesFull { resource: target.name, max_resources });
                }
                return slot;
            }
        }
        let slot = self.create(&mut state, &table, target, Choice::Name(target.name), target.name.into());
        self.slots.pin().insert(Arc::clone(&slot.core.name), Arc::clone(&slot));
        if !named {
            state.evictable.push(Arc::clone(&slot));
        }
        drop(state);
        if let Some(evicted) = evicted {
            self.listeners.tell(&Event::ResourceEvicted { resource: &evicted.core.name });
        }
        slot
    }

    fn create(
        &self,
        state: &mut State,
        table: &Table,
        target: Target<'_>,
        choice: Choice<'_>,
        name: Arc<str>,
    ) -> Arc<Slot> {
        let stages = table.stages(choice, None, &self.around(&name, target.direction, &Later::default()));
        let core = Core {
            number: state.created,
            name,
            direction: target.direction,
            kind: target.kind,
            time: self.time.clone(),
            node: Node::new(self.buckets_per_second),
            inbound: (target.direction == Direction::Inbound).then(|| Arc::clone(&self.inbound)),
            reservations: Arc::default(),
            extension: self.extension.clone(),
        };
        state.created += 1;
        Arc::new(Slot::new(core, choice, stages))
    }

    /// Gives up the resource that was used longest ago, of a few that are idle.
    fn evict(&self, state: &mut State, now: u64) -> Option<Arc<Slot>> {
        let len = state.evictable.len();
        let mut oldest: Option<(u64, usize)> = None;
        for step in 0..CANDIDATES.min(len) {
            let index = (state.hand + step) % len;
            let slot = state.evictable.get(index)?;
            let last = slot.core.node.last_active();
            if is_idle(slot, KEPT, now) && oldest.is_none_or(|(before, _)| last < before) {
                oldest = Some((last, index));
            }
        }
        state.hand = (state.hand + CANDIDATES) % len.max(1);
        let (_, index) = oldest?;
        let slot = Arc::clone(state.evictable.get(index)?);
        // A call that found the resource in the map may be entering now, or somebody may be taking a handle. Either they
        // see the mark and look again, or we see what they took.
        slot.set_evicted(true);
        Flag::settle();
        if is_idle(&slot, KEPT + 1, now) {
            state.evictable.swap_remove(index);
            self.slots.pin().remove(&*slot.core.name);
            self.evicted.add(1);
            Some(slot)
        } else {
            slot.set_evicted(false);
            None
        }
    }

    /// The resource that a name past the bound shares with all names of its direction that match the same patterns, or,
    /// where there are too many such resources already, with all others under all patterns.
    fn shared_slot(&self, state: &mut State, table: &Table, target: Target<'_>) -> Arc<Slot> {
        if let Some(slot) = self.shared_by(table, target) {
            return slot;
        }
        let mut shared = SharedSlots::clone(&self.shared.load());
        let prefix = match target.direction {
            Direction::Outbound => "__other__",
            Direction::Inbound => "__other_inbound__",
        };
        let (choice, name) = if has_room(shared.len()) {
            let choice = Choice::Like(target.name);
            let rule = table.first_rule(choice);
            (choice, rule.map_or_else(|| prefix.into(), |rule| format!("{prefix}:{rule}").into()))
        } else {
            (Choice::All, format!("{prefix}:*").into())
        };
        let slot = self.create(state, table, target, choice, name);
        shared.insert((target.direction, table.matching(choice)), Arc::clone(&slot));
        self.shared.store(Arc::new(shared));
        slot
    }

    /// The shared resource that is there for a name.
    fn shared_by(&self, table: &Table, target: Target<'_>) -> Option<Arc<Slot>> {
        let shared = self.shared.load();
        let of = |choice| shared.get(&(target.direction, table.matching(choice)));
        let slot = match of(Choice::Like(target.name)) {
            None if !has_room(shared.len()) => of(Choice::All),
            own => own,
        };
        slot.map(Arc::clone)
    }

    pub(crate) fn replace(&self, source: &str, rules: Rules) -> Result<Changes, ReplaceError> {
        let result = self.put_in_force(source, rules);
        #[cfg(feature = "sampler")]
        self.start_or_stop_sampler();
        match &result {
            Ok(changes) => self.listeners.tell(&Event::RulesReplaced { source, changes: *changes }),
            Err(error) => self.listeners.tell(&Event::RulesRefused { source, error }),
        }
        result
    }

    pub(crate) fn clear(&self, source: &str) -> Changes {
        // No rules are always valid, and fewer patterns never too large.
        self.replace(source, Rules::new()).unwrap_or_default()
    }

    #[cfg(feature = "sampler")]
    fn start_or_stop_sampler(&self) {
        if let Some(sampler) = &self.sampler
            && let Err(error) = sampler.run_if(|| self.table.load().reads_signals(), &self.signals)
        {
            self.listeners.tell(&Event::SamplerFailed { error: &error });
        }
    }

    fn put_in_force(&self, source: &str, rules: Rules) -> Result<Changes, ReplaceError> {
        let errors = rules.validate();
        if !errors.is_empty() {
            return Err(InvalidRules::new(errors).into());
        }
        let mut state = self.state.lock();
        let place = state.parts.iter().position(|(name, _)| &**name == source);
        let (name, before) = match place.and_then(|place| state.parts.get(place)) {
            Some((name, part)) => (Arc::clone(name), Some(part)),
            None => (Arc::from(source), None),
        };
        let mut changes = Changes::default();
        let part = Part::compile(&name, rules, before, &mut changes);
        let mut parts: Vec<&Part> = state.parts.iter().map(|(_, part)| part).collect();
        match place.and_then(|place| parts.get_mut(place)) {
            Some(slot) => *slot = &part,
            None => parts.push(&part),
        }
        let new = Arc::new(Table::of(&parts)?);
        match place.and_then(|place| state.parts.get_mut(place)) {
            Some((_, slot)) => *slot = part,
            None => state.parts.push((name, part)),
        }
        let old = self.table.swap(Arc::clone(&new));
        let later = Later::default();
        self.apply(&mut state, &old, &new, &later);
        drop(state);
        later.run();
        Ok(changes)
    }

    /// Brings every resource under the new rules.
    fn apply(&self, state: &mut State, old: &Table, new: &Table, later: &Later) {
        let replan = |slot: &Slot| {
            if !new.agrees_on(old, slot.choice()) {
                let around = self.around(&slot.core.name, slot.core.direction, later);
                slot.replan(|before| new.stages(slot.choice(), Some(before), &around));
            }
        };
        let slots = self.slots.pin();
        state.evictable.clear();
        for slot in slots.values() {
            replan(slot);
            if !new.names(&slot.core.name) {
                state.evictable.push(Arc::clone(slot));
            }
        }
        // The positions of patterns have changed, so the keys have.
        let shared = self.shared.load();
        let common = |slot: &Slot| (slot.core.direction, new.matching(slot.choice()));
        let kept: SharedSlots = shared.values().map(|slot| (common(slot), Arc::clone(slot))).collect();
        kept.values().for_each(|slot| replan(slot));
        self.shared.store(Arc::new(kept));
        self.full.set(0);
        plan::sweep();
    }

    pub(crate) fn parts(&self) -> PartsGuard<'_> {
        MutexGuard::map(self.state.lock(), |state| &mut state.parts)
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let slots = self.slots.pin();
        let shared = self.shared.load();
        let mut resources: Vec<ResourceSnapshot> =
            slots.values().chain(shared.values()).map(|slot| slot.snapshot()).collect();
        resources.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Snapshot { resources, inbound: self.inbound.snapshot(self.time.now()), capacity: self.capacity() }
    }

    pub(crate) fn snapshot_of(&self, resource: &str) -> Option<ResourceSnapshot> {
        self.slots.pin().get(resource).map(|slot| slot.snapshot())
    }

    pub(crate) fn id_of(&self, target: Target<'_>) -> Option<ResourceId> {
        if let Some(slot) = self.slots.pin().get(target.name) {
            return Some(slot.core.id());
        }
        let table = self.table.load();
        let shared = if table.names(target.name) { None } else { self.shared_by(&table, target) };
        shared.map(|slot| slot.core.id())
    }

    fn capacity(&self) -> Capacity {
        Capacity {
            resources: self.state.lock().evictable.len(),
            max_resources: self.max_resources,
            evicted: self.evicted.get(),
            overflowed: self.overflowed.get(),
        }
    }
}

pub(crate) type PartsGuard<'a> = parking_lot::MappedMutexGuard<'a, Parts>;

impl Drop for Registry {
    fn drop(&mut self) {
        for slot in self.slots.pin().values().chain(self.shared.load().values()) {
            slot.retire();
        }
        plan::sweep();
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sentinel").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}

/// Whether one more shared resource may exist beside those for all further names.
fn has_room(shared: usize) -> bool {
    shared + 2 < MAX_SHARED
}

/// References to a slot that are not handles: the map's and the list's.
const KEPT: usize = 2;

/// Whether giving the resource up loses nothing, and nobody holds a handle on it.
fn is_idle(slot: &Arc<Slot>, kept: usize, now: u64) -> bool {
    let node = &slot.core.node;
    Arc::strong_count(slot) <= kept
        && node.in_flight() == 0
        && !slot.core.has_reservations()
        && now.saturating_sub(node.last_active()) >= saturating_nanos(IDLE)
        && slot.plan().stages.is_idle(now)
}
