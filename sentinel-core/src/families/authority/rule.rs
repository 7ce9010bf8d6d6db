//! What an authority rule says.

use super::Authority;
use crate::{
    families::Params,
    rules::{Report, Rule},
};

const MAX_ORIGINS: usize = 10_000;

/// A rule on who may call a resource.
///
/// # Example
///
/// ```
/// use sentinel_core::AuthorityRule;
///
/// let rules = [
///     AuthorityRule::allow("orders", ["web", "mobile"]).strict(),
///     AuthorityRule::deny("search", ["crawler"]),
/// ];
/// ```
pub type AuthorityRule = Rule<Authority>;

/// What an authority rule asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuthorityParams {
    /// The origins: 1 to 10,000, each of 1 to 512 bytes; blanks around them do not count. Document: `origins`, a list
    /// or one text with commas.
    pub origins: Vec<String>,
    /// What the list is for. Document: `strategy`.
    pub list: List,
    /// Whether an allow list refuses calls without an origin as well; default `false`. Document: `strict`.
    pub strict: bool,
}

/// What a list of origins is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum List {
    /// Only these are admitted; the default. Document: `allow`.
    #[default]
    Allow,
    /// Only these are refused. Document: `deny`.
    Deny,
}

impl Rule<Authority> {
    /// Admits only these origins, and calls without one.
    pub fn allow<S: Into<String>>(resource: impl Into<String>, origins: impl IntoIterator<Item = S>) -> Self {
        Self::with(resource, List::Allow, origins)
    }

    /// Refuses these origins.
    pub fn deny<S: Into<String>>(resource: impl Into<String>, origins: impl IntoIterator<Item = S>) -> Self {
        Self::with(resource, List::Deny, origins)
    }

    /// Refuses calls without an origin as well, where the list is one of those allowed.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.params.strict = true;
        self
    }

    fn with<S: Into<String>>(resource: impl Into<String>, list: List, origins: impl IntoIterator<Item = S>) -> Self {
        let origins = origins.into_iter().map(Into::into).collect();
        Self::on(resource, AuthorityParams { origins, list, strict: false })
    }
}

impl Params for AuthorityParams {
    fn validate(&self, report: &mut Report<'_>) {
        if self.origins.is_empty() || self.origins.len() > MAX_ORIGINS {
            let expected = "a list has 1 to 10,000 origins; to refuse everybody, use a flow rule with the threshold 0";
            report.invalid("origins", format!("{} origins", self.origins.len()), expected);
        }
        for origin in &self.origins {
            report.origin("origins", origin);
        }
        if self.strict && self.list == List::Deny {
            report.invalid("strict", true, "only an allow list can be strict: a deny list names whom it refuses");
        }
    }

    #[cfg(feature = "json")]
    fn read(fields: &mut crate::rules::Fields<'_>) -> Self {
        let origins = fields.texts("origins");
        let list = fields.choice("strategy", &[("allow", List::Allow), ("deny", List::Deny)]).unwrap_or_default();
        Self {
            origins: fields.required("origins", origins).unwrap_or_default(),
            list,
            strict: fields.boolean("strict").unwrap_or(false),
        }
    }

    #[cfg(feature = "json")]
    fn write(&self, out: &mut crate::rules::Writer) {
        out.field("origins", self.origins.as_slice());
        if self.list == List::Deny {
            out.field("strategy", "deny");
        }
        if self.strict {
            out.field("strict", true);
        }
    }
}
