use std::fmt;

use crate::families::Family;

/// How documents name the resources of a default rule.
pub(super) const DEFAULT: &str = "*";

/// One rule: which resource it is about, how it is known, and what its family asks for.
///
/// A rule is data. It is checked when it is put in force ([`RuleSet::replace`](crate::RuleSet::replace)), and it never
/// holds state.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Rule<F: Family> {
    /// The name of the rule, unique in its document and family.
    ///
    /// Block reasons and statistics carry it, and state is kept across a reload for the rule of the same name. Left
    /// out, a name is made of family, resource and a number, and kept while a reload finds the rule again, among those
    /// without a name on its resource: one that is equal, else the first that is left and whose state would mean the
    /// same, else the first that is left. Where several of them change at once, only names of their own tell which is
    /// which.
    pub id: Option<String>,
    /// The resources that the rule is about.
    pub resource: Selector,
    /// Whether the rule is in force; default `true`. If not, it is as if it were not there: where it was the only one
    /// by a resource's name, patterns and [default rules](Selector::Default) hold there.
    pub enabled: bool,
    /// Whether the rule only watches: it counts what it would have blocked, and lets everything pass; default `false`.
    ///
    /// Such a rule changes nothing for the others: it keeps no pattern and no default rule from a resource, and no
    /// origin from a rule for the [other ones](crate::OriginSelector::Other). It watches where it would be in force in
    /// earnest. A call that would have had to stand in a queue counts as one that it would have blocked.
    pub dry_run: bool,
    /// What the family asks for.
    pub params: F::Params,
}

impl<F: Family> Rule<F> {
    /// A rule that is in force on the resource of this name; on `*`, a [default rule](Selector::Default).
    pub fn on(resource: impl Into<String>, params: F::Params) -> Self {
        Self { id: None, resource: Selector::from(resource.into()), enabled: true, dry_run: false, params }
    }

    /// Names the rule.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Reads the name of the resource as a regular expression that has to match the whole name.
    ///
    /// Each matching resource gets state of its own. Where a resource has rules of the family by its exact name, the
    /// patterns of that family do not apply to it, unless those are dry runs or out of force.
    #[must_use]
    pub fn pattern(mut self) -> Self {
        self.resource = Selector::Pattern(self.resource.into_text());
        self
    }

    /// Lets the rule watch only: it counts what it would have blocked, and blocks nothing.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// Keeps the rule, but out of force, as if it were not there.
    #[must_use]
    pub fn disabled(mut self) -> Self {
        self.enabled = false;
        self
    }
}

/// The resources that a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Selector {
    /// The resource of exactly this name.
    Exact(String),
    /// Every resource whose whole name matches this regular expression (feature `regex`).
    Pattern(String),
    /// Every resource that no other rule of the family that is in force and no dry run is about, by name or by pattern;
    /// each gets state of its own. Documents: `*`.
    Default,
}

impl From<String> for Selector {
    /// The resource of this name; `*` stands for [`Default`](Selector::Default).
    fn from(name: String) -> Self {
        if name == DEFAULT { Self::Default } else { Self::Exact(name) }
    }
}

impl Selector {
    /// The name or the expression.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Exact(text) | Self::Pattern(text) => text,
            Self::Default => DEFAULT,
        }
    }

    fn into_text(self) -> String {
        match self {
            Self::Exact(text) | Self::Pattern(text) => text,
            Self::Default => DEFAULT.to_owned(),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => write!(f, "`{name}`"),
            Self::Pattern(pattern) => write!(f, "pattern `{pattern}`"),
            Self::Default => f.write_str("every other resource"),
        }
    }
}
