//! Rule families: what one has to bring, and the one line that lists them.
//!
//! A family is a folder: the document of its rules, how it decides, and its tests. Everything else (documents, the rule
//! set, reloads that keep state, plans, undo, dry runs, statistics) is written once, over [`Family`] and [`Checks`].

use std::{fmt, sync::Arc, time::Duration};

use smallvec::SmallVec;

use crate::{
    call::Call,
    rules::{Compiled, Report},
    signals::Signals,
    snapshot::RuleSnapshot,
    statistics::Outcome,
    sync::counter::Counter,
};

pub(crate) mod flow;
#[cfg(test)]
mod laws;

/// A kind of rule, such as [`Flow`](crate::Flow).
///
/// Sealed: the families are those of this crate.
pub trait Family: sealed::Sealed + Copy + fmt::Debug + Default + PartialEq + Send + Sync + 'static {
    /// The name of the family in documents, block reasons and metrics.
    const NAME: &'static str;

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
    /// What all resources under one rule share.
    type Shared: fmt::Debug + Send + Sync;

    /// What one rule keeps for one resource; what has to survive a reload is shared inside.
    type State: fmt::Debug + Send + Sync;

    /// What one call took from one rule.
    type Token: fmt::Debug + Send;

    /// What an entry keeps of its tokens until it ends.
    type Held: Default + fmt::Debug + Send;

    /// Prepares a valid rule; `previous` is the rule of the same name that was in force so far.
    fn share(rule: &Self::Params, previous: Option<&Compiled<Self>>) -> Self::Shared;

    /// The state of a rule on one resource, taken over from `previous` where it still means the same.
    fn build(rule: &Compiled<Self>, previous: Option<&Check<Self>>, context: &Context<'_, Self>) -> Self::State;

    /// Another resource whose admitted calls the rule has to see.
    fn watched(_rule: &Self::Params) -> Option<&str> {
        None
    }

    /// The state that sees the calls of the resource that `rule` watches.
    fn watch(rule: &Compiled<Self>) -> Option<Self::State>;

    /// The short way, for families that hold nothing: decides as [`acquire`](Checks::acquire) does, or does nothing and
    /// wants to be asked again there. What it takes cannot be undone, so it is only asked for the single check of a plan.
    fn acquire_at_once(_check: &Check<Self>, _call: &Call<'_>, _now: u64) -> AtOnce {
        AtOnce::Ask
    }

    /// Decides and takes in one step.
    fn acquire(check: &Check<Self>, call: &Call<'_>, now: u64) -> Step<Self::Token>;

    /// Undoes [`acquire`](Checks::acquire) for a call that was blocked later or gave up waiting.
    fn undo(check: &Check<Self>, token: Self::Token, call: &Call<'_>);

    /// The call is admitted: what it goes on holding.
    fn admit(taken: Taken<Self>) -> Self::Held;

    /// The call is over.
    fn release(_checks: &[Check<Self>], _held: Self::Held, _exit: &Exit) {}

    /// The limit in force now.
    fn threshold(check: &Check<Self>) -> f64;

    /// The time that the limit refers to, for limits on calls in time.
    fn interval(_rule: &Self::Params) -> Option<Duration> {
        None
    }

    /// Whether forgetting the state at `now` would lose nothing.
    fn is_idle(check: &Check<Self>, now: u64) -> bool;
}

/// What surrounds a resource when its checks are built.
pub(crate) struct Context<'a, F: Checks> {
    /// All rules of the family on this resource.
    pub(crate) rules: &'a [Arc<Compiled<F>>],
    pub(crate) signals: &'a Arc<Signals>,
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
    fn by_pattern(&self) -> bool {
        matches!(self.rule.rule.resource, crate::rules::Selector::Pattern(_))
    }
}

/// A rule in force, as it is shown. Not on the way of an admitted call.
pub(crate) trait Describe {
    fn id(&self) -> &str;
    fn threshold(&self) -> f64;
    fn interval(&self) -> Option<Duration>;
    fn snapshot(&self) -> RuleSnapshot;
}

impl<F: Checks> Describe for Check<F> {
    fn id(&self) -> &str {
        &self.rule.id
    }

    fn threshold(&self) -> f64 {
        F::threshold(self)
    }

    fn interval(&self) -> Option<Duration> {
        F::interval(&self.rule.rule.params)
    }

    fn snapshot(&self) -> RuleSnapshot {
        RuleSnapshot {
            family: F::NAME,
            id: Arc::clone(&self.rule.id),
            source: Arc::clone(&self.rule.source),
            threshold: F::threshold(self),
            dry_run: self.rule.rule.dry_run,
            would_block: self.would_block.get(),
        }
    }
}

/// What one rule says to one call.
#[derive(Debug)]
pub(crate) enum Step<T> {
    /// The rule is not about this call.
    Skip,
    /// Admitted.
    Pass(T),
    /// Admitted, after this many nanoseconds.
    Wait(T, u64),
    /// Refused.
    Block(Cause),
}

/// What one rule says to one call, where it knows at once.
pub(crate) enum AtOnce {
    /// Admitted, and nothing is held.
    Pass,
    /// Refused.
    Block(Cause),
    /// Nothing was decided.
    Ask,
}

/// Why a rule refused, in numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cause {
    pub(crate) observed: f64,
    pub(crate) threshold: f64,
    /// Nanoseconds until trying again may help; `u64::MAX` when it never will.
    pub(crate) retry_after: u64,
}

/// How an entry ended.
#[derive(Clone, Copy, Debug)]
#[expect(dead_code, reason = "read by the families that learn from the outcome; flow control does not")]
pub(crate) struct Exit {
    pub(crate) now: u64,
    pub(crate) count: u32,
    pub(crate) response_time: u64,
    pub(crate) outcome: Outcome,
}

/// What a call took so far, each with the index of its rule.
pub(crate) type Taken<F> = SmallVec<[(u16, <F as Checks>::Token); 2]>;

/// What a plan's single check says at once.
#[inline(always)]
pub(crate) fn at_once<F: Checks>(check: &Check<F>, call: &Call<'_>, now: u64) -> AtOnce {
    match F::acquire_at_once(check, call, now) {
        AtOnce::Block(_) if check.rule.rule.dry_run => AtOnce::Ask,
        answer => answer,
    }
}

/// Walks the rules of one family from `first` on.
pub(crate) fn walk<F: Checks>(
    checks: &[Check<F>],
    first: u16,
    call: &Call<'_>,
    now: u64,
    taken: &mut Taken<F>,
) -> Walk {
    for (index, check) in (0..).zip(checks).skip(first.into()) {
        match F::acquire(check, call, now) {
            Step::Skip => {}
            Step::Pass(token) => taken.push((index, token)),
            Step::Wait(token, delay) => {
                taken.push((index, token));
                if !check.rule.rule.dry_run {
                    return Walk::Wait { rule: index, delay };
                }
            }
            Step::Block(cause) => {
                if !check.rule.rule.dry_run {
                    return Walk::Block { rule: index, cause };
                }
                check.would_block.add(u64::from(call.permits()));
            }
        }
    }
    Walk::Pass
}

/// What the rules of one family say together.
#[derive(Debug)]
pub(crate) enum Walk {
    Pass,
    Wait { rule: u16, delay: u64 },
    Block { rule: u16, cause: Cause },
}

/// Gives back what was taken, last first.
pub(crate) fn undo<F: Checks>(checks: &[Check<F>], taken: &mut Taken<F>, call: &Call<'_>) {
    while let Some((index, token)) = taken.pop() {
        if let Some(check) = checks.get(usize::from(index)) {
            F::undo(check, token, call);
        }
    }
}

/// Lists the families in the order in which a call meets them, and writes what has a field for each of them.
///
/// For `families! { flow: Flow }` that is
/// - `Rules`, the document: `pub struct Rules { pub flow: Vec<Rule<Flow>> }`,
/// - `Table`, the rules in force: `struct Table { flow: FamilyTable<Flow> }`,
/// - `Plan`'s parts: `Stages { flow: Box<[Check<Flow>]> }`, `Tokens { flow: Taken<Flow> }`, `Held { flow: … }`,
/// - and the loops over these fields.
macro_rules! families {
    ($($(#[$doc:meta])* $name:ident: $family:ty),+ $(,)?) => {
        /// A rule document: everything that one source has to say.
        #[derive(Clone, Debug, Default, PartialEq)]
        #[non_exhaustive]
        pub struct Rules {
            $($(#[$doc])* pub $name: Vec<$crate::rules::Rule<$family>>,)+
        }

        impl Rules {
            /// No rules.
            pub fn new() -> Self {
                Self::default()
            }

            $(
                #[doc = concat!("Adds ", stringify!($name), " rules.")]
                #[must_use]
                pub fn $name(mut self, rules: impl IntoIterator<Item = $crate::rules::Rule<$family>>) -> Self {
                    self.$name.extend(rules);
                    self
                }
            )+

            /// How many rules there are.
            pub fn len(&self) -> usize {
                0 $(+ self.$name.len())+
            }

            /// Whether there are none.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            pub(crate) fn validate(&self) -> Vec<$crate::rules::InvalidRule> {
                let mut errors = Vec::new();
                $(errors.extend($crate::rules::validate_family::<$family>(&self.$name));)+
                errors
            }

            #[cfg(feature = "json")]
            pub(crate) fn read(reading: &mut $crate::rules::Reading<'_>) -> Self {
                Self { $($name: $crate::rules::read_family::<$family>(reading),)+ }
            }

            #[cfg(feature = "json")]
            pub(crate) fn write(&self) -> serde_json::Map<String, serde_json::Value> {
                let mut out = serde_json::Map::new();
                $($crate::rules::write_family::<$family>(&self.$name, &mut out);)+
                out
            }
        }

        /// The names of all families, in the order in which a call meets them.
        pub const FAMILIES: &[&str] = &[$(<$family as $crate::families::Family>::NAME),+];

        /// One source's rules, ready to be put in force.
        #[derive(Debug, Default)]
        pub(crate) struct Part {
            $(pub(crate) $name: Vec<std::sync::Arc<$crate::rules::Compiled<$family>>>,)+
        }

        impl Part {
            pub(crate) fn compile(
                source: &std::sync::Arc<str>,
                rules: Rules,
                previous: Option<&Self>,
                changes: &mut $crate::rules::Changes,
            ) -> Self {
                Self {
                    $($name: $crate::rules::compile_family(source, rules.$name, previous.map(|p| &*p.$name), changes),)+
                }
            }

            pub(crate) fn rules(&self) -> Rules {
                Rules { $($name: self.$name.iter().map(|compiled| compiled.rule.clone()).collect(),)+ }
            }
        }

        /// All rules in force, by resource.
        #[derive(Debug, Default)]
        pub(crate) struct Table {
            $($name: $crate::rules::FamilyTable<$family>,)+
        }

        impl Table {
            pub(crate) fn of(parts: &[&Part]) -> Result<Self, $crate::rules::ReplaceError> {
                Ok(Self { $($name: $crate::rules::FamilyTable::of(parts.iter().flat_map(|part| &part.$name))?,)+ })
            }

            /// Whether the rules on this resource are the same in both.
            pub(crate) fn agrees_on(&self, other: &Self, resource: &str) -> bool {
                true $(&& self.$name.agrees_on(&other.$name, resource))+
            }

            /// Whether a rule names this resource.
            pub(crate) fn names(&self, resource: &str) -> bool {
                false $(|| self.$name.names(resource))+
            }

            /// Which patterns a name matches: names with the same answer have the same rules.
            pub(crate) fn matching(&self, resource: &str) -> Vec<(usize, usize)> {
                let mut all = Vec::new();
                let mut family = 0;
                $(
                    all.extend(self.$name.matching(resource).into_iter().map(|index| (family, index)));
                    family += 1;
                )+
                let _ = family;
                all
            }

            pub(crate) fn stages(
                &self,
                resource: &str,
                previous: Option<&Stages>,
                signals: &std::sync::Arc<$crate::signals::Signals>,
            ) -> Stages {
                let mut stages = Stages {
                    count: 0,
                    $($name: self.$name.checks(resource, previous.map(|p| &*p.$name), signals),)+
                };
                stages.count = 0 $(+ stages.$name.len())+;
                stages
            }
        }

        /// The checks of one resource, family by family.
        #[derive(Debug, Default)]
        pub(crate) struct Stages {
            /// How many checks there are.
            count: usize,
            $($name: Box<[$crate::families::Check<$family>]>,)+
        }

        /// What a call has taken before it is admitted.
        #[derive(Debug, Default)]
        pub(crate) struct Tokens {
            $($name: $crate::families::Taken<$family>,)+
        }

        /// What an admitted call holds.
        #[derive(Debug, Default)]
        pub(crate) struct Held {
            $($name: <$family as $crate::families::Checks>::Held,)+
        }

        impl Stages {
            /// The short way of a call: no check at all, or a single one that knows the answer at once.
            #[inline(always)]
            pub(crate) fn at_once(&self, call: &$crate::call::Call<'_>, now: u64) -> $crate::families::AtOnce {
                match self.count {
                    0 => return $crate::families::AtOnce::Pass,
                    1 => {}
                    _ => return $crate::families::AtOnce::Ask,
                }
                $(
                    if let Some(check) = self.$name.first() {
                        return $crate::families::at_once::<$family>(check, call, now);
                    }
                )+
                $crate::families::AtOnce::Ask
            }

            /// The place of the single check.
            pub(crate) fn single(&self) -> $crate::plan::Stage {
                let mut family = 0;
                $(
                    if !self.$name.is_empty() {
                        return $crate::plan::Stage { family, rule: 0 };
                    }
                    family += 1;
                )+
                $crate::plan::Stage { family, rule: 0 }
            }

            /// Walks the checks from `from` on.
            pub(crate) fn walk(
                &self,
                from: $crate::plan::Stage,
                call: &$crate::call::Call<'_>,
                now: u64,
                taken: &mut Tokens,
            ) -> $crate::plan::Verdict {
                let mut family = 0;
                $(
                    if from.family <= family {
                        let first = if from.family == family { from.rule } else { 0 };
                        match $crate::families::walk::<$family>(&self.$name, first, call, now, &mut taken.$name) {
                            $crate::families::Walk::Pass => {}
                            $crate::families::Walk::Wait { rule, delay } => {
                                return $crate::plan::Verdict::Wait { at: $crate::plan::Stage { family, rule }, delay };
                            }
                            $crate::families::Walk::Block { rule, cause } => {
                                return $crate::plan::Verdict::Block { at: $crate::plan::Stage { family, rule }, cause };
                            }
                        }
                    }
                    family += 1;
                )+
                let _ = family;
                $crate::plan::Verdict::Pass
            }

            /// Gives back what was taken, the last family first.
            pub(crate) fn undo(&self, taken: &mut Tokens, call: &$crate::call::Call<'_>) {
                $crate::families::last_first!($( { $crate::families::undo::<$family>(&self.$name, &mut taken.$name, call); } )+);
            }

            /// Turns what was taken into what is held.
            #[inline]
            pub(crate) fn admit(taken: Tokens) -> Held {
                Held { $($name: <$family as $crate::families::Checks>::admit(taken.$name),)+ }
            }

            /// Gives back what was held, the last family first.
            #[inline]
            pub(crate) fn release(&self, held: Held, exit: &$crate::families::Exit) {
                $crate::families::last_first!($( { <$family as $crate::families::Checks>::release(&self.$name, held.$name, exit); } )+);
            }

            /// Whether a rule by pattern keeps state here. The resource may be given up then, and that state with it; one that
            /// a rule names never is, and one without rules has no state to lose.
            #[inline]
            pub(crate) fn may_be_evicted(&self) -> bool {
                false $(|| matches!(self.$name.first(), Some(check) if check.by_pattern()))+
            }

            /// Whether forgetting all state at `now` would lose nothing.
            pub(crate) fn is_idle(&self, now: u64) -> bool {
                true $(&& self.$name.iter().all(|check| <$family as $crate::families::Checks>::is_idle(check, now)))+
            }

            /// The rule at a place of the walk.
            pub(crate) fn rule(&self, at: $crate::plan::Stage) -> Option<&dyn $crate::families::Describe> {
                let mut family = 0;
                $(
                    if at.family == family {
                        return self.$name.get(usize::from(at.rule)).map(|check| check as _);
                    }
                    family += 1;
                )+
                let _ = family;
                None
            }

            /// All rules of this resource, as they are reported.
            pub(crate) fn snapshot(&self) -> Vec<$crate::snapshot::RuleSnapshot> {
                let mut all = Vec::new();
                $(all.extend(self.$name.iter().filter(|check| !check.watches).map($crate::families::Describe::snapshot));)+
                all
            }
        }
    };
}

/// Runs blocks in reverse order.
macro_rules! last_first {
    () => {};
    ($first:block $($rest:block)*) => {
        $crate::families::last_first!($($rest)*);
        $first
    };
}

pub(crate) use last_first;

families! {
    /// Flow rules: how many calls per interval.
    flow: flow::Flow,
}

pub(crate) mod sealed {
    /// Keeps [`Family`](super::Family) to the families of this crate.
    pub trait Sealed {}
}
