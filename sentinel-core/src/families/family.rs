//! What a family has to bring.

use std::{cell::RefCell, fmt, hash::BuildHasher as _, sync::Arc, time::Duration};

use foldhash::quality::FixedState;

use super::{Cause, Exit, Resume, Shortcut, Step, circuit_breaker::BreakerSnapshot};
use crate::{
    call::Call,
    event::Listeners,
    resource::Direction,
    rules::{Compiled, Report, Selector},
    signals::Signals,
    snapshot::{HotValue, RuleSnapshot},
    statistics::Node,
    sync::counter::Counter,
};

/// A kind of rule, such as [`Flow`](crate::Flow).
///
/// Sealed: the families are those of this crate.
pub trait Family: super::sealed::Sealed + Copy + fmt::Debug + Default + PartialEq + Send + Sync + 'static {
    /// The name of the family in documents, block reasons and metrics.
    const NAME: &'static str;

    /// Whether its rules are about all inbound traffic together, and not about resources.
    const IS_GLOBAL: bool = false;

    /// The direction of the calls that its rules are about, where it is only one.
    const DIRECTION: Option<Direction> = None;

    /// How others write its rules.
    #[cfg(feature = "json")]
    const FORMS: &'static [crate::rules::Form] = &[];

    /// What a rule of the family says beyond the resource that it is about.
    type Params: Params;
}

/// The data of a rule, checked and, with feature `json`, read and written field by field.
pub trait Params: Clone + fmt::Debug + PartialEq + Send + Sync + 'static {
    /// Reports everything that is wrong.
    fn validate(&self, report: &mut Report<'_>);

    /// Reads the fields that the family knows. What is wrong goes to `fields`, and reading goes on with a stand-in.
    #[cfg(feature = "json")]
    fn read(fields: &mut crate::rules::Fields<'_>) -> Self;

    /// Writes the fields that differ from their default.
    #[cfg(feature = "json")]
    fn write(&self, out: &mut crate::rules::Writer);
}

/// How the rules of a family decide.
pub(crate) trait Checks: Family {
    /// Whether an admitted call keeps what it took until it ends.
    const HOLDS: bool;

    /// Whether it does so under one rule, for families that hold.
    fn holds(_check: &Check<Self>) -> bool {
        Self::HOLDS
    }

    /// What all resources under one rule share.
    type Shared: fmt::Debug + Send + Sync;

    /// What one rule keeps for one resource; what has to survive a reload is shared inside.
    type State: fmt::Debug + Send + Sync;

    /// What one call took from one rule.
    type Token: fmt::Debug + Send;

    /// Prepares a valid rule; `previous` is the rule of the same name that was in force so far.
    fn share(rule: &Self::Params, previous: Option<&Compiled<Self>>) -> Self::Shared;

    /// The state of a rule on one resource, taken over from `previous` where it still means the same.
    fn build(rule: &Compiled<Self>, previous: Option<&Check<Self>>, context: &Context<'_, Self>) -> Self::State;

    /// Whether the state of a rule goes on meaning the same when the rule is changed to the other.
    fn keeps_state(_before: &Self::Params, _after: &Self::Params) -> bool {
        true
    }

    /// Another resource whose admitted calls the rule has to see.
    fn watched(_rule: &Self::Params) -> Option<&str> {
        None
    }

    /// The state that sees the calls of the resource that `rule` watches.
    fn watch(_rule: &Compiled<Self>) -> Option<Self::State> {
        None
    }

    /// Whether a rule follows [`Signals`].
    #[cfg(feature = "sampler")]
    fn reads_signals(_rule: &Self::Params) -> bool {
        false
    }

    /// What alone decides where this is the only check of a plan, for families that hold nothing.
    fn shortcut(_check: &Check<Self>) -> Shortcut {
        Shortcut::Walk
    }

    /// Decides and takes in one step. What is taken, if anything, is put in its place, which is empty: there it stays,
    /// and is not moved from hand to hand.
    ///
    /// This and [`release`](Checks::release) are `#[inline(always)]` where they are short: they are called from the
    /// walk of all families, which is every call's, and from that of one.
    fn acquire(check: &Check<Self>, call: &Call<'_>, now: u64, place: &mut Option<Self::Token>) -> Step;

    /// Undoes [`acquire`](Checks::acquire) for a call that was blocked later or gave up waiting.
    fn undo(check: &Check<Self>, token: Self::Token, call: &Call<'_>, now: u64);

    /// A call that waits in the queue of the rule asks again.
    fn resume(_check: &Check<Self>, _token: &mut Self::Token, _now: u64) -> Resume {
        Resume::Pass
    }

    /// What a call that has to wait is told if it does not: what was seen, of what is admitted.
    fn seen(check: &Check<Self>, _token: &Self::Token, _call: &Call<'_>) -> (f64, f64) {
        let threshold = Self::threshold(check);
        (threshold, threshold)
    }

    /// The admitted call is over; asked only where the family [holds](Checks::HOLDS).
    fn release(check: &Check<Self>, token: &Self::Token, exit: &Exit);

    /// Says why a call was refused, in the middle of a sentence.
    fn explain(_check: &Check<Self>, cause: &Cause, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", cause.observed, cause.threshold)
    }

    /// The limit in force now.
    fn threshold(check: &Check<Self>) -> f64;

    /// The time that the limit refers to, for limits on calls in time.
    fn interval(_rule: &Self::Params) -> Option<Duration> {
        None
    }

    /// The numbers of the breaker behind the rule, if there is one.
    fn breaker(_check: &Check<Self>, _now: u64) -> Option<BreakerSnapshot> {
        None
    }

    /// The values that were called most, for limits by value.
    fn hot_values(_check: &Check<Self>, _now: u64) -> Vec<HotValue> {
        Vec::new()
    }

    /// Whether forgetting the state at `now` would lose nothing.
    fn is_idle(check: &Check<Self>, now: u64) -> bool;
}

/// What surrounds a resource when its checks are built.
pub(crate) struct Surroundings<'a> {
    /// The name of the resource.
    pub(crate) resource: &'a Arc<str>,
    pub(crate) signals: &'a Arc<Signals>,
    pub(crate) direction: Direction,
    /// The statistics of all inbound traffic.
    pub(crate) inbound: &'a Arc<Node>,
    pub(crate) listeners: &'a Listeners,
    /// What the instance's decisions by chance are made of.
    pub(crate) seed: u64,
    pub(crate) now: u64,
    pub(crate) later: &'a Later,
    /// Whether there are checks that are no rules, or observers: then no call takes the short way.
    pub(crate) extended: bool,
}

/// What a reload leaves to be done when it holds no lock any more, such as waking those who wait.
#[derive(Default)]
pub(crate) struct Later(RefCell<Vec<Box<dyn FnOnce()>>>);

impl Later {
    pub(crate) fn add(&self, work: impl FnOnce() + 'static) {
        self.0.borrow_mut().push(Box::new(work));
    }

    /// Does it, in the order in which it came.
    pub(crate) fn run(self) {
        self.0.into_inner().into_iter().for_each(|work| work());
    }
}

/// What surrounds the checks of one family.
pub(crate) struct Context<'a, F: Checks> {
    /// All rules of the family on this resource that are no dry runs.
    pub(crate) rules: &'a [Arc<Compiled<F>>],
    pub(crate) around: &'a Surroundings<'a>,
}

impl<F: Checks> Context<'_, F> {
    /// A number that is another one for each instance, resource and rule.
    pub(crate) fn seed(&self, rule: &Compiled<F>) -> u64 {
        let Surroundings { resource, seed, .. } = self.around;
        FixedState::with_seed(*seed).hash_one((F::NAME, &**resource, &*rule.id))
    }
}

/// One rule on one resource.
#[derive(Debug)]
pub(crate) struct Check<F: Checks> {
    pub(crate) rule: Arc<Compiled<F>>,
    pub(crate) state: F::State,
    /// Whether the rule belongs to another resource and only sees the calls of this one.
    pub(crate) watches: bool,
    /// Calls that the rule would have blocked, had it not been in a dry run.
    pub(crate) would_block: Arc<Counter>,
}

impl<F: Checks> Check<F> {
    #[inline]
    /// Whether giving the resource up loses the state of the rule.
    pub(super) fn goes_with_the_resource(&self) -> bool {
        !F::IS_GLOBAL && !matches!(self.rule.rule.resource, Selector::Exact(_))
    }
}

/// A rule in force, as it is shown. Not on the way of an admitted call.
pub(crate) trait Describe {
    fn id(&self) -> &str;
    fn explain(&self, cause: &Cause, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    fn interval(&self) -> Option<Duration>;
    fn snapshot(&self, now: u64) -> RuleSnapshot;
}

impl<F: Checks> Describe for Check<F> {
    fn id(&self) -> &str {
        &self.rule.id
    }

    fn explain(&self, cause: &Cause, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        F::explain(self, cause, f)
    }

    fn interval(&self) -> Option<Duration> {
        F::interval(&self.rule.rule.params)
    }

    fn snapshot(&self, now: u64) -> RuleSnapshot {
        RuleSnapshot {
            family: F::NAME,
            id: Arc::clone(&self.rule.id),
            source: Arc::clone(&self.rule.source),
            threshold: F::threshold(self),
            dry_run: self.rule.rule.dry_run,
            would_block: self.would_block.get(),
            breaker: F::breaker(self, now),
            hot_values: F::hot_values(self, now),
        }
    }
}
