//! Rule families: what one has to bring, and the one line that lists them.
//!
//! A family is a folder: the document of its rules, how it decides, and its tests. Everything else (documents, the rule
//! set, reloads that keep state, plans, undo, dry runs, statistics) is written once, over [`Family`] and [`Checks`].

pub(crate) mod authority;
pub(crate) mod circuit_breaker;
mod family;
pub(crate) mod flow;
pub(crate) mod hotspot;
pub(crate) mod isolation;
#[cfg(test)]
mod laws;
pub(crate) mod origin;
mod pool;
mod shares;
pub(crate) mod shedding;
mod shortcut;
pub(crate) mod system;
mod taken;
mod walk;

pub use self::{family::Family, shares::Shares};
pub(crate) use self::{
    family::{Check, Checks, Context, Describe, Later, Params, Surroundings},
    pool::Pooled,
    shortcut::{AtOnce, Shortcut, alone},
    taken::Taken,
    walk::{Cause, Exit, Halt, Resume, SOON, Step, Turn, Walk, after, release, resume, seen, undo, walk},
};

/// Lists the families in the order in which a call meets them, and writes what has a field for each of them.
///
/// For `families! { flow: Flow }` that is
/// - `Rules`, the document: `pub struct Rules { pub flow: Vec<Rule<Flow>> }`,
/// - `Table`, the rules in force: `struct Table { flow: FamilyTable<Flow> }`,
/// - `Plan`'s parts: `Stages { flow: Box<[Check<Flow>]> }`, `Tokens { flow: Taken<Flow>, own: Holding }`,
/// - and the loops over these fields. `walk`, `undo` and `release` are for all families, in one go; `walk_family`,
///   `undo_family` and `release_family` for one, for where a check that is no rule stands between two.
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

            /// Adds all rules of another document.
            pub fn append(&mut self, other: Self) {
                $(self.$name.extend(other.$name);)+
            }

            /// The names that rules were given, each with its family.
            pub fn ids(&self) -> impl Iterator<Item = (&'static str, &str)> {
                std::iter::empty()
                    $(.chain(self.$name.iter().filter_map(|rule| {
                        Some((<$family as $crate::families::Family>::NAME, rule.id.as_deref()?))
                    })))+
            }

            pub(crate) fn validate(&self) -> Vec<$crate::rules::InvalidRule> {
                let mut errors = Vec::new();
                $(errors.extend($crate::rules::validate_family::<$family>(&self.$name));)+
                errors
            }

            #[cfg(feature = "json")]
            pub(crate) fn read(tree: &serde_json::Map<String, serde_json::Value>, into: &mut $crate::rules::Read) {
                $($crate::rules::read_family::<$family>(tree, into);)+
            }

            /// The families of which there are rules.
            #[cfg(feature = "json")]
            pub(crate) fn families(&self) -> Vec<&'static str> {
                let mut names = Vec::new();
                $(if !self.$name.is_empty() {
                    names.push(<$family as $crate::families::Family>::NAME);
                })+
                names
            }

            #[cfg(feature = "json")]
            pub(crate) fn write(&self) -> serde_json::Map<String, serde_json::Value> {
                let mut out = serde_json::Map::new();
                $($crate::rules::write_family::<$family>(&self.$name, &mut out);)+
                out
            }
        }

        $(
            #[cfg(feature = "json")]
            impl $crate::families::InRules for $family {
                fn of(rules: &Rules) -> &[$crate::rules::Rule<Self>] {
                    &rules.$name
                }

                fn of_mut(rules: &mut Rules) -> &mut Vec<$crate::rules::Rule<Self>> {
                    &mut rules.$name
                }
            }
        )+

        /// The forms of all rules in all dialects.
        #[cfg(feature = "json")]
        pub(crate) fn forms() -> impl Iterator<Item = &'static $crate::rules::Form> + Clone {
            const ALL: &[&[$crate::rules::Form]] = &[
                &[$($crate::rules::own::<$family>($crate::Dialect::Native)),+],
                $(<$family as $crate::families::Family>::FORMS,)+
                &[$crate::rules::GATEWAY],
            ];
            ALL.iter().copied().flatten()
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
            pub(crate) fn agrees_on(&self, other: &Self, choice: $crate::rules::Choice<'_>) -> bool {
                true $(&& self.$name.agrees_on(&other.$name, choice))+
            }

            /// Whether a rule names this resource.
            pub(crate) fn names(&self, resource: &str) -> bool {
                false $(|| self.$name.names(resource))+
            }

            /// Whether a rule follows what the machine tells.
            #[cfg(feature = "sampler")]
            pub(crate) fn reads_signals(&self) -> bool {
                false $(|| self.$name.reads_signals())+
            }

            /// Which rules are chosen by pattern or by default: where the answer is the same, so are these rules.
            pub(crate) fn matching(&self, choice: $crate::rules::Choice<'_>) -> Vec<(usize, usize)> {
                let mut all = Vec::new();
                let mut family = 0;
                $(
                    all.extend(self.$name.matching(choice).into_iter().map(|index| (family, index)));
                    family += 1;
                )+
                let _ = family;
                all
            }

            /// The name of the first rule that is chosen for a resource, those for all inbound traffic left out.
            pub(crate) fn first_rule(&self, choice: $crate::rules::Choice<'_>) -> Option<std::sync::Arc<str>> {
                $(
                    if !<$family as $crate::families::Family>::IS_GLOBAL
                        && let Some(rule) = self.$name.rules(choice).first()
                    {
                        return Some(std::sync::Arc::clone(&rule.id));
                    }
                )+
                None
            }

            pub(crate) fn stages(
                &self,
                choice: $crate::rules::Choice<'_>,
                previous: Option<&Stages>,
                around: &$crate::families::Surroundings<'_>,
            ) -> Stages {
                let mut stages = Stages {
                    shortcut: $crate::families::Shortcut::Walk,
                    holds: around.extended,
                    $($name: self.$name.checks(choice, previous.map(|p| &*p.$name), around),)+
                };
                if !around.extended {
                    stages.shortcut = stages.shortcut();
                }
                stages.holds |=
                    false $(|| stages.$name.iter().any(<$family as $crate::families::Checks>::holds))+;
                stages
            }
        }

        /// The checks of one resource, family by family.
        #[derive(Debug, Default)]
        pub(crate) struct Stages {
            shortcut: $crate::families::Shortcut,
            /// Whether an admitted call has something to give back when it ends.
            pub(crate) holds: bool,
            $($name: Box<[$crate::families::Check<$family>]>,)+
        }

        /// What a call has taken from the rules.
        #[derive(Debug, Default)]
        pub(crate) struct Tokens {
            $($name: $crate::families::Taken<$family>,)+
            /// What it holds of checks that are no rules.
            pub(crate) own: $crate::extension::Holding,
        }

        impl Tokens {
            pub(crate) fn is_empty(&self) -> bool {
                true $(&& self.$name.is_empty())+ && self.own.is_empty()
            }

            /// Forgets everything.
            pub(crate) fn clear(&mut self) {
                $(self.$name.clear();)+
                self.own.clear();
            }
        }

        impl Stages {
            fn shortcut(&self) -> $crate::families::Shortcut {
                match 0 $(+ self.$name.len())+ {
                    0 => return $crate::families::Shortcut::Free,
                    1 => {}
                    _ => return $crate::families::Shortcut::Walk,
                }
                $(
                    if let Some(check) = self.$name.first().filter(|check| !check.rule.rule.dry_run) {
                        return <$family as $crate::families::Checks>::shortcut(check);
                    }
                )+
                $crate::families::Shortcut::Walk
            }

            /// The short way of a call.
            #[inline(always)]
            pub(crate) fn at_once(&self, call: &$crate::call::Call<'_>, now: u64) -> $crate::families::AtOnce {
                match self.shortcut {
                    $crate::families::Shortcut::Alone => self.alone(call, now),
                    _ => self.shortcut.decide(call, now),
                }
            }

            /// Asks the only check.
            #[inline(never)]
            fn alone(&self, call: &$crate::call::Call<'_>, now: u64) -> $crate::families::AtOnce {
                $(
                    if let Some(check) = self.$name.first() {
                        return $crate::families::alone::<$family>(check, call, now);
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

            /// Walks all checks.
            #[inline(never)]
            pub(crate) fn walk(
                &self,
                call: &$crate::call::Call<'_>,
                now: u64,
                taken: &mut Tokens,
            ) -> $crate::plan::Verdict {
                self.walk_from($crate::plan::Stage::default(), call, now, taken)
            }

            /// Walks the checks that are left from `from` on.
            #[inline(never)]
            pub(crate) fn walk_on(
                &self,
                from: $crate::plan::Stage,
                call: &$crate::call::Call<'_>,
                now: u64,
                taken: &mut Tokens,
            ) -> $crate::plan::Verdict {
                self.walk_from(from, call, now, taken)
            }

            // Inlined, so that a walk from the beginning asks only whether there are checks.
            #[inline(always)]
            fn walk_from(
                &self,
                from: $crate::plan::Stage,
                call: &$crate::call::Call<'_>,
                now: u64,
                taken: &mut Tokens,
            ) -> $crate::plan::Verdict {
                let mut family = 0;
                $(
                    if from.family <= family && !self.$name.is_empty() {
                        let first = if from.family == family { from.rule } else { 0 };
                        match $crate::families::walk::<$family>(&self.$name, first, call, now, &mut taken.$name) {
                            $crate::families::Walk::Pass => {}
                            $crate::families::Walk::Wait(halt) => {
                                return $crate::plan::Verdict::Wait { family, halt };
                            }
                            $crate::families::Walk::Block { rule, cause } => {
                                let at = $crate::plan::Stage { family, rule };
                                return $crate::plan::Verdict::Block($crate::plan::Reason { at, cause });
                            }
                        }
                    }
                    family += 1;
                )+
                let _ = family;
                $crate::plan::Verdict::Pass
            }

            /// Walks the checks of one family from `from` on.
            pub(crate) fn walk_family(
                &self,
                from: $crate::plan::Stage,
                call: &$crate::call::Call<'_>,
                now: u64,
                taken: &mut Tokens,
            ) -> $crate::families::Walk {
                $crate::families::nth!(from.family, $( { $crate::families::walk::<$family>(&self.$name, from.rule, call, now, &mut taken.$name) } )+ else $crate::families::Walk::Pass)
            }

            /// Asks the rule that made a call wait again.
            pub(crate) fn resume(
                &self,
                at: $crate::plan::Stage,
                taken: &mut Tokens,
                now: u64,
            ) -> $crate::families::Resume {
                $crate::families::nth!(at.family, $( { $crate::families::resume::<$family>(&self.$name, at.rule, &mut taken.$name, now) } )+ else $crate::families::Resume::Pass)
            }

            /// What the rule that makes a call wait has seen, of what it admits.
            pub(crate) fn seen(
                &self,
                at: $crate::plan::Stage,
                taken: &mut Tokens,
                call: &$crate::call::Call<'_>,
            ) -> (f64, f64) {
                $crate::families::nth!(at.family, $( { $crate::families::seen::<$family>(&self.$name, at.rule, &mut taken.$name, call) } )+ else (0.0, 0.0))
            }

            /// Gives back what was taken, the last family first.
            pub(crate) fn undo(&self, taken: &mut Tokens, call: &$crate::call::Call<'_>, now: u64) {
                $crate::families::last_first!($( { $crate::families::undo::<$family>(&self.$name, &mut taken.$name, call, now); } )+);
            }

            /// Gives back what was taken from one family.
            pub(crate) fn undo_family(&self, at: u16, taken: &mut Tokens, call: &$crate::call::Call<'_>, now: u64) {
                $crate::families::nth!(at, $( { $crate::families::undo::<$family>(&self.$name, &mut taken.$name, call, now) } )+ else ())
            }

            /// Gives back what an admitted call held, the last family first.
            #[inline(never)]
            pub(crate) fn release(&self, held: &mut Tokens, exit: &$crate::families::Exit) {
                $crate::families::last_first!($( { $crate::families::release::<$family>(&self.$name, &mut held.$name, exit); } )+);
            }

            /// Gives back what an admitted call held of one family.
            pub(crate) fn release_family(&self, at: u16, held: &mut Tokens, exit: &$crate::families::Exit) {
                $crate::families::nth!(at, $( { $crate::families::release::<$family>(&self.$name, &mut held.$name, exit) } )+ else ())
            }

            /// Whether a rule by pattern or by default keeps state here. The resource may be given up then, and that
            /// state with it; one that a rule names never is, and one without rules has no state to lose.
            #[inline]
            pub(crate) fn may_be_evicted(&self) -> bool {
                false $(|| matches!(self.$name.first(), Some(check) if check.goes_with_the_resource()))+
            }

            /// Whether forgetting all state at `now` would lose nothing.
            pub(crate) fn is_idle(&self, now: u64) -> bool {
                true $(&& self.$name.iter().all(|check| <$family as $crate::families::Checks>::is_idle(check, now)))+
            }

            /// The rule at a place of the walk.
            pub(crate) fn rule(&self, at: $crate::plan::Stage) -> Option<&dyn $crate::families::Describe> {
                $crate::families::nth!(at.family, $( { self.$name.get(usize::from(at.rule)).map(|check| check as _) } )+ else None)
            }

            /// All rules of this resource, as they are reported.
            pub(crate) fn snapshot(&self, now: u64) -> Vec<$crate::snapshot::RuleSnapshot> {
                let mut all = Vec::new();
                $(
                    let checks = self.$name.iter().filter(|check| !check.watches);
                    all.extend(checks.map(|check| $crate::families::Describe::snapshot(check, now)));
                )+
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

/// The value of the block that stands at a place, from 0 on; another one past the last.
macro_rules! nth {
    ($at:expr, $($block:block)+ else $other:expr) => {{
        let mut place = 0;
        $(
            if $at == place {
                return $block;
            }
            place += 1;
        )+
        let _ = place;
        $other
    }};
}

pub(crate) use {last_first, nth};

families! {
    /// Authority rules: who may call.
    authority: authority::Authority,
    /// System rules: how much of all inbound traffic the machine can bear.
    system: system::System,
    /// Shedding rules: how many calls a service that fails gets to see.
    shedding: shedding::Shedding,
    /// Flow rules: how many calls per interval.
    flow: flow::Flow,
    /// Isolation rules: how many calls at a time.
    isolation: isolation::Isolation,
    /// Hotspot rules: how many calls for each value of an argument.
    hotspot: hotspot::Hotspot,
    /// Circuit breaker rules: when a resource is left alone for a while.
    circuit_breaker: circuit_breaker::CircuitBreaker,
}

/// A family with a place in documents.
#[cfg(feature = "json")]
pub(crate) trait InRules: Family {
    /// Its rules.
    fn of(rules: &Rules) -> &[crate::rules::Rule<Self>];

    /// Its rules, to add some.
    fn of_mut(rules: &mut Rules) -> &mut Vec<crate::rules::Rule<Self>>;
}

pub(crate) mod sealed {
    /// Keeps [`Family`](super::Family) to the families of this crate.
    pub trait Sealed {}
}
