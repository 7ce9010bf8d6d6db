//! Authority rules: who may call a resource at all.

#[cfg(feature = "json")]
mod java;
mod rule;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, fmt};

use foldhash::fast::RandomState;

pub use self::rule::{AuthorityParams, AuthorityRule, List};
use crate::{
    call::Call,
    families::{Cause, Check, Checks, Context, Exit, Family, Shortcut, Step, sealed::Sealed},
    rules::Compiled,
};

/// Authority rules: who may call a resource at all.
///
/// # What it protects from
///
/// Callers that should not be there: a batch job on an interactive route, a tenant that was cut off, a service that calls
/// another one behind the back of its owners. It tells who says to be who; it does not prove it, which is the work of
/// authentication.
///
/// # Fields
///
/// | document | in code | meaning | range | default |
/// |---|---|---|---|---|
/// | `strategy` | [`List`] | whether the listed origins are the only ones admitted, or the only ones refused | `allow`, `deny` | `allow` |
/// | `origins` | [`origins`](AuthorityParams::origins) | the origins, compared as a whole after blanks around them are cut off | 1 to 10,000 of 1 to 512 bytes; in documents also one text with commas | |
/// | `strict` | [`strict`](AuthorityParams::strict) | whether an allow list refuses calls without an origin as well | | `false` |
///
/// # How it decides
///
/// The origins of a rule are kept in a list, or in a hash set where they are more than eight. The call's
/// [origin](crate::Call::origin), without the blanks around it, is looked up there once. An allow list admits what it
/// finds, a deny list what it does not find. A call without an origin passes, but for an allow list that is strict.
/// Several rules on one resource all have to agree. (The lists are those of the Sentinel family, in which blanks count,
/// an unknown caller always passes, and only one rule is looked at.)
///
/// # Example
///
/// ```
/// use sentinel_core::{AuthorityRule, Call, Rules, Sentinel};
///
/// let sentinel = Sentinel::default();
/// let rules = Rules::new().authority([AuthorityRule::allow("orders", ["web", "mobile"]).strict()]);
/// sentinel.rules().replace("code", rules)?;
///
/// let from = |origin| sentinel.enter_with("orders", &Call::new().origin(origin)).immediately();
/// assert!(from("web").is_ok());
/// let refused = from("batch").unwrap_err();
/// assert_eq!(
///     refused.to_string(),
///     "authority rule `authority:orders#0` blocks `orders`: the origin is not allowed, and trying again will not help",
/// );
/// # Ok::<(), sentinel_core::ReplaceError>(())
/// ```
///
/// # What a refusal looks like
///
/// [`Blocked`](crate::Blocked) with the family `authority`, no [`retry_after`](crate::Blocked::retry_after), and no
/// numbers: both are 0. The HTTP adapters answer 403.
///
/// # When not to use it
///
/// As a check of identity: whoever can set the origin can set any. For limits by caller: flow and isolation rules have
/// [origins](crate::OriginSelector) of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Authority;

impl Sealed for Authority {}

impl Family for Authority {
    const NAME: &'static str = "authority";
    #[cfg(feature = "json")]
    const FORMS: &'static [crate::rules::Form] = &[java::FORM, crate::rules::own::<Self>(crate::Dialect::Kubernetes)];
    type Params = AuthorityParams;
}

impl Checks for Authority {
    const HOLDS: bool = false;
    /// The origins of the rule.
    type Shared = Origins;
    type State = ();
    type Token = ();

    fn share(rule: &AuthorityParams, _previous: Option<&Compiled<Self>>) -> Self::Shared {
        Origins::new(rule.origins.iter().map(|origin| origin.trim()))
    }

    fn build(_rule: &Compiled<Self>, _previous: Option<&Check<Self>>, _context: &Context<'_, Self>) {}

    fn shortcut(_check: &Check<Self>) -> Shortcut {
        Shortcut::Alone
    }

    #[inline(always)]
    fn acquire(check: &Check<Self>, call: &Call<'_>, _now: u64, _place: &mut Option<()>) -> Step {
        let AuthorityParams { list, strict, .. } = &check.rule.rule.params;
        let origin = trimmed(call.caller());
        let listed = || check.rule.shared.contains(origin);
        let admitted = match list {
            List::Allow if origin.is_empty() => !strict,
            List::Allow => listed(),
            List::Deny => origin.is_empty() || !listed(),
        };
        if admitted { Step::Pass } else { Step::Block(Cause { observed: 0.0, threshold: 0.0, retry_after: u64::MAX }) }
    }

    fn undo(_check: &Check<Self>, _token: (), _call: &Call<'_>, _now: u64) {}

    fn release(_check: &Check<Self>, _token: &(), _exit: &Exit) {}

    fn explain(_check: &Check<Self>, _cause: &Cause, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the origin is not allowed")
    }

    fn threshold(_check: &Check<Self>) -> f64 {
        0.0
    }

    fn is_idle(_check: &Check<Self>, _now: u64) -> bool {
        true
    }
}

/// Origins to be compared with one by one at most.
const FEW: usize = 8;

/// The origins of a rule.
#[derive(Debug)]
pub(crate) enum Origins {
    Few(Box<[Box<str>]>),
    Many(HashSet<Box<str>, RandomState>),
}

impl Origins {
    fn new<'a>(origins: impl ExactSizeIterator<Item = &'a str>) -> Self {
        if origins.len() <= FEW {
            Self::Few(origins.map(Into::into).collect())
        } else {
            Self::Many(origins.map(Into::into).collect())
        }
    }

    #[inline]
    fn contains(&self, origin: &str) -> bool {
        match self {
            Self::Few(origins) => origins.iter().any(|known| **known == *origin),
            Self::Many(origins) => origins.contains(origin),
        }
    }
}

/// The origin without blanks around it.
#[inline]
fn trimmed(origin: &str) -> &str {
    // Mostly there are none, which shows in two bytes.
    match origin.as_bytes() {
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => origin,
        _ => origin.trim(),
    }
}
