//! Rules that passed validation, by resource.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use super::{Changes, ReplaceError, Rule, Selector, pattern::PatternSet};
use crate::{
    families::{Check, Checks, Context, Surroundings},
    resource::Direction,
};

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
    let mut unseen: HashMap<&str, &Arc<Compiled<F>>> = previous.iter().map(|rule| (&*rule.id, rule)).collect();
    // None that is made may be one that is given.
    let given: HashSet<String> = rules.iter().filter_map(|rule| rule.id.clone()).collect();
    let mut positions = HashMap::<String, usize>::new();
    let mut compiled = Vec::with_capacity(rules.len());
    for rule in rules {
        let resource = rule.resource.as_str();
        let position = positions.entry(resource.to_owned()).or_default();
        let id: Arc<str> = loop {
            let made = format!("{}:{resource}#{position}", F::NAME);
            *position += 1;
            match &rule.id {
                Some(id) => break id.as_str().into(),
                None if given.contains(made.as_str()) => {}
                None => break made.into(),
            }
        };
        match unseen.remove(&*id) {
            Some(same) if same.rule == rule => {
                changes.unchanged += 1;
                compiled.push(Arc::clone(same));
            }
            before => {
                if before.is_some() {
                    changes.changed += 1;
                } else {
                    changes.added += 1;
                }
                let shared = F::share(&rule.params, before.map(|before| &**before));
                compiled.push(Arc::new(Compiled { source: Arc::clone(source), id, rule, shared }));
            }
        }
    }
    changes.removed += unseen.len();
    compiled
}

/// The rules of one family in force.
#[derive(Debug)]
pub(crate) struct FamilyTable<F: Checks> {
    exact: HashMap<Box<str>, Vec<Arc<Compiled<F>>>>,
    watched: HashMap<Box<str>, Vec<Arc<Compiled<F>>>>,
    /// Rules by pattern, then default rules.
    others: Vec<Arc<Compiled<F>>>,
    /// How many of these are by pattern.
    patterns: usize,
    set: PatternSet,
}

impl<F: Checks> Default for FamilyTable<F> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            watched: HashMap::new(),
            others: Vec::new(),
            patterns: 0,
            set: PatternSet::default(),
        }
    }
}

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
        Ok(table)
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

    /// The patterns that are in force on a resource, or where none is, the default rules: none where it has rules by its
    /// exact name, all for no name.
    pub(crate) fn matching(&self, resource: Option<&str>) -> Vec<usize> {
        match resource {
            Some(name) if self.exact.contains_key(name) => Vec::new(),
            Some(name) => match self.set.matches(name) {
                none if none.is_empty() => (self.patterns..self.others.len()).collect(),
                matches => matches,
            },
            None => (0..self.others.len()).collect(),
        }
    }

    /// Whether the rules on this resource are the same objects in both.
    pub(crate) fn agrees_on(&self, other: &Self, resource: Option<&str>) -> bool {
        let same = |a: &[Arc<Compiled<F>>], b: &[Arc<Compiled<F>>]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
        };
        same(&self.rules(resource), &other.rules(resource)) && same(self.watchers(resource), other.watchers(resource))
    }

    /// Builds the checks of one resource, handing on the state of rules that were there before.
    pub(crate) fn checks(
        &self,
        resource: Option<&str>,
        previous: Option<&[Check<F>]>,
        around: &Surroundings<'_>,
    ) -> Box<[Check<F>]> {
        if F::IS_GLOBAL && around.direction == Direction::Outbound {
            return Box::default();
        }
        let rules = self.rules(resource);
        let context = Context { rules: &rules, around };
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
        let watching = self.watchers(resource).iter().filter_map(|rule| {
            Some(Check { state: F::watch(rule)?, rule: Arc::clone(rule), watches: true, would_block: Arc::default() })
        });
        own.chain(watching).collect()
    }

    /// The rules that are in force on a resource; for no name, those of all patterns.
    pub(crate) fn rules(&self, resource: Option<&str>) -> Vec<Arc<Compiled<F>>> {
        match resource.and_then(|name| self.exact.get(name)) {
            Some(exact) => exact.clone(),
            None => self.matching(resource).into_iter().filter_map(|index| self.others.get(index).cloned()).collect(),
        }
    }

    fn watchers(&self, resource: Option<&str>) -> &[Arc<Compiled<F>>] {
        resource.and_then(|name| self.watched.get(name)).map_or(&[], Vec::as_slice)
    }
}
