use std::{fmt, sync::Arc};

use super::InvalidRules;
use crate::{
    families::{Part, Rules},
    registry::Registry,
};

/// The rules of an instance, each source's part on its own.
///
/// # Example
///
/// ```
/// use sentinel_core::{FlowRule, Rules, Sentinel};
///
/// let sentinel = Sentinel::default();
/// let changes = sentinel.rules().replace("code", Rules::new().flow([
///     FlowRule::new("orders", 100.0),
///     FlowRule::new("search", 20.0).id("search-limit"),
/// ]))?;
/// assert_eq!(changes.added, 2);
///
/// let refused = sentinel.rules().replace("code", Rules::new().flow([FlowRule::new("orders", -1.0)]));
/// assert!(refused.is_err());
/// assert_eq!(sentinel.rules().get("code").map(|rules| rules.len()), Some(2));
/// # Ok::<(), sentinel_core::ReplaceError>(())
/// ```
#[derive(Clone, Copy)]
pub struct RuleSet<'a> {
    registry: &'a Registry,
}

impl<'a> RuleSet<'a> {
    pub(crate) fn new(registry: &'a Registry) -> Self {
        Self { registry }
    }

    /// Puts the rules of one source in force, in place of all that it had.
    ///
    /// Rules that did not change, and rules of which only thresholds changed, keep their state. Calls that are inside
    /// or waiting go on under the rules that they met.
    ///
    /// # Errors
    ///
    /// When a rule is invalid: all errors of all rules; or when all rules together are too many. Nothing changes then.
    pub fn replace(&self, source: &str, rules: Rules) -> Result<Changes, ReplaceError> {
        self.registry.replace(source, rules)
    }

    /// Takes the rules of one source out of force.
    pub fn clear(&self, source: &str) -> Changes {
        self.registry.clear(source)
    }

    /// The rules of one source as they were given.
    pub fn get(&self, source: &str) -> Option<Rules> {
        self.registry.parts().iter().find(|(name, _)| &**name == source).map(|(_, part)| part.rules())
    }

    /// All sources with their rules, in the order in which they first came.
    pub fn list(&self) -> Vec<(Arc<str>, Rules)> {
        self.registry.parts().iter().map(|(source, part)| (Arc::clone(source), part.rules())).collect()
    }
}

impl fmt::Debug for RuleSet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.list()).finish()
    }
}

/// The sources in the order in which they first came.
pub(crate) type Parts = Vec<(Arc<str>, Part)>;

/// What became of the rules of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// Rules that are new.
    pub added: usize,
    /// Rules that were there under the same name, and differ.
    pub changed: usize,
    /// Rules that are gone.
    pub removed: usize,
    /// Rules that stayed as they were.
    pub unchanged: usize,
}

/// Rules that cannot be put in force.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplaceError {
    /// Some rules are invalid.
    #[error(transparent)]
    Invalid(#[from] InvalidRules),
    /// The patterns are valid one by one, but too large together.
    #[error("the {count} patterns of the {family} rules are too large together: {message}")]
    Patterns {
        /// The family.
        family: &'static str,
        /// How many patterns it has, over all sources.
        count: usize,
        /// What the expression compiler says.
        message: String,
    },
    /// More rules of one family are about a resource than a call can be led through: 65,534.
    #[error("{count} {family} rules are about `{resource}`, patterns and default rules included: 65534 at most may be")]
    TooMany {
        /// The family.
        family: &'static str,
        /// The resource that the rules name, or `*`.
        resource: String,
        /// How many rules there are, over all sources.
        count: usize,
    },
}
