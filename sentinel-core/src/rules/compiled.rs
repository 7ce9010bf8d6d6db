//! Rules that passed validation, by resource.

use std::{
    collections::{self, VecDeque},
    fmt,
    sync::Arc,
};

use foldhash::fast::RandomState;

use super::{Changes, ReplaceError, Rule, Selector, pattern::PatternSet};
use crate::families::{Check, Checks, Context, Surroundings};

/// Looked into for every resource at every reload.
type HashMap<K, V> = collections::HashMap<K, V, RandomState>;
type HashSet<T> = collections::HashSet<T, RandomState>;

/// A valid rule under its name, with what all its resources share.
pub(crate) struct Compiled<F: Checks> {
    /// The source that the rule came from.
    pub(crate) source: Arc<str>,
    /// Its name: given, or made of resource and position.
    pub(crate) id: Arc<str>,
    pub(crate) rule: Rule<F>,
    pub(crate) shared: F::Shared,
}

impl<F: Checks> Compiled<F> {
    /// Whether both are versions of one rule.
    fn is_same_rule(&self, other: &Self) -> bool {
        self.id == other.id && self.source == other.source
    }
}

impl<F: Checks> fmt::Debug for Compiled<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiled")
            .field("source", &self.source)
            .field("id", &self.id)
            .field("rule", &self.rule)
            .finish()
    }
}

/// Compiles the valid rules of one family and source; an unchanged rule stays the very same object.
pub(crate) fn compile_family<F: Checks>(
    source: &Arc<str>,
    rules: Vec<Rule<F>>,
    previous: Option<&[Arc<Compiled<F>>]>,
    changes: &mut Changes,
) -> Vec<Arc<Compiled<F>>> {
    let previous = previous.unwrap_or_default();
    let pairs = pairs(&rules, previous);
    changes.removed += previous.len() - pairs.iter().flatten().count();
    let names = names(&rules, &pairs);
    let mut compiled = Vec::with_capacity(rules.len());
    for ((rule, before), id) in rules.into_iter().zip(pairs).zip(names) {
        if let Some(same) = before.filter(|before| before.rule == rule) {
            changes.unchanged += 1;
            compiled.push(Arc::clone(same));
            continue;
        }
        if before.is_some() {
            changes.changed += 1;
        } else {
            changes.added += 1;
        }
        let shared = F::share(&rule.params, before.map(|before| &**before));
        compiled.push(Arc::new(Compiled { source: Arc::clone(source), id, rule, shared }));
    }
    compiled
}

/// The name of each rule: that which it has or had, else one that is made, and is no other rule's.
fn names<F: Checks>(rules: &[Rule<F>], pairs: &[Option<&Arc<Compiled<F>>>]) -> Vec<Arc<str>> {
    let mut taken = HashSet::<&str>::default();
    if rules.iter().zip(pairs).any(|(rule, before)| rule.id.is_none() && before.is_none()) {
        taken.extend(rules.iter().filter_map(|rule| rule.id.as_deref()));
        taken.extend(pairs.iter().flatten().map(|before| &*before.id));
    }
    let mut numbers = HashMap::<&str, usize>::default();
    let mut make = |resource| loop {
        let number = numbers.entry(resource).or_default();
        let made = format!("{}:{resource}#{number}", F::NAME);
        *number += 1;
        if !taken.contains(&*made) {
            return made.into();
        }
    };
    let mut names = Vec::with_capacity(rules.len());
    for (rule, before) in rules.iter().zip(pairs) {
        names.push(match (before, &rule.id) {
            (Some(before), _) => Arc::clone(&before.id),
            (None, Some(id)) => id.as_str().into(),
            (None, None) => make(rule.resource.as_str()),
        });
    }
    names
}

/// For each rule the one that it was before, if there was one: that of its name, or, among those without a name on its
/// resource, one that is equal, else the first whose state goes on meaning the same, else the first.
fn pairs<'a, F: Checks>(rules: &[Rule<F>], previous: &'a [Arc<Compiled<F>>]) -> Vec<Option<&'a Arc<Compiled<F>>>> {
    let mut by_id: HashMap<&str, &Arc<Compiled<F>>> = previous.iter().map(|rule| (&*rule.id, rule)).collect();
    let mut pairs: Vec<_> = rules.iter().map(|rule| by_id.remove(rule.id.as_deref()?)).collect();
    let mut unnamed = HashMap::<&str, VecDeque<&Arc<Compiled<F>>>>::default();
    for before in previous.iter().filter(|before| before.rule.id.is_none() && by_id.contains_key(&*before.id)) {
        unnamed.entry(before.rule.resource.as_str()).or_default().push_back(before);
    }
    let alike: [Alike<F>; 3] =
        [|before, rule| before == rule, |before, rule| F::keeps_state(&before.params, &rule.params), |_, _| true];
    for is_alike in alike {
        for (rule, pair) in rules.iter().zip(&mut pairs).filter(|(rule, pair)| rule.id.is_none() && pair.is_none()) {
            if let Some(left) = unnamed.get_mut(rule.resource.as_str()) {
                let place = left.iter().position(|before| is_alike(&before.rule, rule));
                *pair = place.and_then(|place| left.remove(place));
            }
        }
    }
    pairs
}

/// Whether a rule may be what another one has become.
type Alike<F> = fn(&Rule<F>, &Rule<F>) -> bool;

/// By what the rules of a resource are chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Choice<'a> {
    /// By its name.
    Name(&'a str),
    /// By the patterns that this name matches: for a resource that stands for all names that match the same.
    Like(&'a str),
    /// All patterns and default rules: for one that stands for any name.
    All,
}

/// Rules by the name of a resource.
type ByName<F> = HashMap<Box<str>, Vec<Arc<Compiled<F>>>>;

/// The rules of one family in force.
#[derive(Debug)]
pub(crate) struct FamilyTable<F: Checks> {
    exact: ByName<F>,
    watched: ByName<F>,
    /// Rules by pattern, then default rules.
    others: Vec<Arc<Compiled<F>>>,
    /// How many of these are by pattern.
    patterns: usize,
    set: PatternSet,
}

impl<F: Checks> Default for FamilyTable<F> {
    fn default() -> Self {
        Self {
            exact: HashMap::default(),
            watched: HashMap::default(),
            others: Vec::new(),
            patterns: 0,
            set: PatternSet::default(),
        }
    }
}

/// Rules of a family on one resource, at most: their places in a walk, and the one behind them, are numbers of 16 bits.
const MAX_RULES: usize = u16::MAX as usize - 1;

impl<F: Checks> FamilyTable<F> {
    pub(crate) fn of<'a>(rules: impl Iterator<Item = &'a Arc<Compiled<F>>>) -> Result<Self, ReplaceError> {
        let mut table = Self::default();
        let mut defaults = Vec::new();
        for rule in rules.filter(|rule| rule.rule.enabled) {
            match &rule.rule.resource {
                Selector::Exact(name) => table.exact.entry(name.as_str().into()).or_default().push(Arc::clone(rule)),
                Selector::Pattern(_) => table.others.push(Arc::clone(rule)),
                Selector::Default => defaults.push(Arc::clone(rule)),
            }
            if let Some(name) = F::watched(&rule.rule.params) {
                table.watched.entry(name.into()).or_default().push(Arc::clone(rule));
            }
        }
        table.patterns = table.others.len();
        let patterns = table.others.iter().map(|rule| rule.rule.resource.as_str());
        table.set = PatternSet::new(patterns).map_err(|message| ReplaceError::Patterns {
            family: F::NAME,
            count: table.patterns,
            message,
        })?;
        table.others.append(&mut defaults);
        table.check_size()?;
        Ok(table)
    }

    /// No resource may have more rules than a walk can count; patterns count as if they all matched.
    fn check_size(&self) -> Result<(), ReplaceError> {
        let any = Selector::Default.as_str();
        for resource in self.exact.keys().chain(self.watched.keys()).map(|name| &**name).chain([any]) {
            let named = [&self.exact, &self.watched].map(|rules| rules.get(resource).map_or(0, Vec::len));
            let count = named.iter().sum::<usize>() + self.others.len();
            if count > MAX_RULES {
                return Err(ReplaceError::TooMany { family: F::NAME, resource: resource.to_owned(), count });
            }
        }
        Ok(())
    }

    /// Whether a rule names this resource.
    pub(crate) fn names(&self, resource: &str) -> bool {
        self.exact.contains_key(resource) || self.watched.contains_key(resource)
    }

    /// Whether a rule follows what the machine tells.
    #[cfg(feature = "sampler")]
    pub(crate) fn reads_signals(&self) -> bool {
        self.exact.values().flatten().chain(&self.others).any(|rule| F::reads_signals(&rule.rule.params))
    }

    /// The rules by pattern and by default that are in force on a resource: none where it has rules by its exact name,
    /// and default rules only where no pattern matches. A dry run keeps none of the others out.
    pub(crate) fn matching(&self, choice: Choice<'_>) -> Vec<usize> {
        let acts = |rule: &Arc<Compiled<F>>| !rule.rule.dry_run;
        if self.by_name(choice).iter().any(acts) {
            return Vec::new();
        }
        let name = match choice {
            Choice::Name(name) | Choice::Like(name) => name,
            Choice::All => return (0..self.others.len()).collect(),
        };
        let mut matching = self.set.matches(name);
        if !matching.iter().filter_map(|index| self.others.get(*index)).any(acts) {
            matching.extend(self.patterns..self.others.len());
        }
        matching
    }

    /// Whether the rules on this resource are the same objects in both.
    pub(crate) fn agrees_on(&self, other: &Self, choice: Choice<'_>) -> bool {
        let same = |a: &[Arc<Compiled<F>>], b: &[Arc<Compiled<F>>]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
        };
        // From the same rules the same ones match, which takes no matching to know.
        let same_rules = same(self.by_name(choice), other.by_name(choice)) && same(&self.others, &other.others);
        (same_rules || same(&self.rules(choice), &other.rules(choice)))
            && same(self.watchers(choice), other.watchers(choice))
    }

    /// Builds the checks of one resource, handing on the state of rules that were there before.
    pub(crate) fn checks(
        &self,
        choice: Choice<'_>,
        previous: Option<&[Check<F>]>,
        around: &Surroundings<'_>,
    ) -> Box<[Check<F>]> {
        if F::DIRECTION.is_some_and(|direction| direction != around.direction) {
            return Box::default();
        }
        let rules = self.rules(choice);
        let acting: Vec<_> = rules.iter().filter(|rule| !rule.rule.dry_run).cloned().collect();
        let context = Context { rules: &acting, around };
        let own = rules.iter().map(|rule| {
            let before =
                previous.unwrap_or_default().iter().find(|check| !check.watches && check.rule.is_same_rule(rule));
            Check {
                state: F::build(rule, before, &context),
                rule: Arc::clone(rule),
                watches: false,
                would_block: before.map_or_else(Arc::default, |before| Arc::clone(&before.would_block)),
            }
        });
        let watching = self.watchers(choice).iter().filter_map(|rule| {
            Some(Check { state: F::watch(rule)?, rule: Arc::clone(rule), watches: true, would_block: Arc::default() })
        });
        own.chain(watching).collect()
    }

    /// The rules that are in force on a resource.
    pub(crate) fn rules(&self, choice: Choice<'_>) -> Vec<Arc<Compiled<F>>> {
        let others = self.matching(choice).into_iter().filter_map(|index| self.others.get(index));
        self.by_name(choice).iter().chain(others).cloned().collect()
    }

    fn by_name(&self, choice: Choice<'_>) -> &[Arc<Compiled<F>>] {
        Self::of_name(&self.exact, choice)
    }

    fn watchers(&self, choice: Choice<'_>) -> &[Arc<Compiled<F>>] {
        Self::of_name(&self.watched, choice)
    }

    fn of_name<'a>(rules: &'a ByName<F>, choice: Choice<'_>) -> &'a [Arc<Compiled<F>>] {
        match choice {
            Choice::Name(name) => rules.get(name).map_or(&[], Vec::as_slice),
            Choice::Like(_) | Choice::All => &[],
        }
    }
}
