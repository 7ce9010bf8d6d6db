//! Rules that are about the calls of some origins only.

mod limits;

pub(crate) use self::limits::{OriginLimit, Origins};
use crate::rules::Report;

/// How documents name everybody's calls.
const ANY: &str = "default";
/// How documents name the calls of every other origin.
const OTHER: &str = "other";

/// Whose calls a rule is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OriginSelector {
    /// Everybody's together; the default. Document: `default`.
    #[default]
    Any,
    /// Those of one origin. Document: its name, which is neither `default` nor `other`.
    Named(String),
    /// Those of every origin that no rule of the family names on the resource, each with a limit of its own. Calls
    /// without an origin are not meant. Document: `other`.
    ///
    /// A thousand origins have limits of their own at a time. One that has used nothing of its limit makes room for a new
    /// one; where several that were used longest ago have all used some, those that find no room share one limit.
    Other,
}

impl OriginSelector {
    pub(crate) fn validate(&self, report: &mut Report<'_>) {
        let Self::Named(name) = self else { return };
        report.origin("origin", name);
        if name == ANY || name == OTHER {
            report.invalid("origin", format!("{name:?}"), "this word stands for every origin or every other one");
        }
    }

    #[cfg(feature = "json")]
    pub(crate) fn read(fields: &mut crate::rules::Fields<'_>) -> Self {
        Self::called(fields.string("origin"))
    }

    /// What documents call so; nothing stands for everybody.
    #[cfg(feature = "json")]
    pub(crate) fn called(name: Option<String>) -> Self {
        match name {
            None => Self::Any,
            Some(name) if name == ANY => Self::Any,
            Some(name) if name == OTHER => Self::Other,
            Some(name) => Self::Named(name),
        }
    }

    /// What documents call it.
    #[cfg(feature = "json")]
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Any => ANY,
            Self::Named(name) => name,
            Self::Other => OTHER,
        }
    }

    #[cfg(feature = "json")]
    pub(crate) fn write(&self, out: &mut crate::rules::Writer) {
        if *self != Self::Any {
            out.field("origin", self.name());
        }
    }
}

/// The calls that a rule is about, ready to be told apart.
#[derive(Debug)]
pub(crate) enum Applies {
    All,
    Origin(Box<str>),
    /// Calls of a known origin that no rule of the resource names.
    OtherThan(Box<[Box<str>]>),
}

impl Applies {
    /// For a rule among the rules of its family on the resource that are no dry runs.
    pub(crate) fn new<'a>(selector: &OriginSelector, all: impl Iterator<Item = &'a OriginSelector>) -> Self {
        match selector {
            OriginSelector::Any => Self::All,
            OriginSelector::Named(name) => Self::Origin(name.as_str().into()),
            OriginSelector::Other => {
                let named = all.filter_map(|selector| match selector {
                    OriginSelector::Named(name) => Some(name.as_str().into()),
                    OriginSelector::Any | OriginSelector::Other => None,
                });
                Self::OtherThan(named.collect())
            }
        }
    }

    /// Whether the rule is about calls of this origin; it is empty for nobody in particular.
    #[inline(always)]
    pub(crate) fn is_about(&self, origin: &str) -> bool {
        match self {
            Self::All => true,
            Self::Origin(name) => **name == *origin,
            Self::OtherThan(named) => !origin.is_empty() && !named.iter().any(|name| **name == *origin),
        }
    }
}
