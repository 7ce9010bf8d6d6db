//! Patterns on resource names, all matched in one pass.

#[cfg(feature = "regex")]
use regex::{RegexSet, RegexSetBuilder};

/// The most memory that a compiled set of patterns may take, in bytes.
#[cfg(feature = "regex")]
const SIZE_LIMIT: usize = 16 << 20;

/// A set of regular expressions, each of which has to match a whole name.
///
/// # Cost
///
/// Matching takes time linear in the length of the name, whatever the patterns.
#[derive(Debug, Default)]
pub(crate) struct PatternSet {
    /// Nothing without patterns: it takes long to make something of none.
    #[cfg(feature = "regex")]
    set: Option<RegexSet>,
}

impl PatternSet {
    /// Compiles patterns that validation has accepted one by one; together they may still be too large.
    #[cfg(feature = "regex")]
    pub(crate) fn new<'a>(patterns: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let patterns: Vec<String> = patterns.map(whole).collect();
        if patterns.is_empty() {
            return Ok(Self::default());
        }
        let set = RegexSetBuilder::new(patterns).size_limit(SIZE_LIMIT).build();
        Ok(Self { set: Some(set.map_err(|error| error.to_string())?) })
    }

    /// Without the feature, validation has refused every pattern.
    #[cfg(not(feature = "regex"))]
    #[expect(clippy::unnecessary_wraps, reason = "the other half can fail")]
    pub(crate) fn new<'a>(_patterns: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        Ok(Self {})
    }

    /// The positions of the patterns that match, in order.
    #[cfg(feature = "regex")]
    pub(crate) fn matches(&self, name: &str) -> Vec<usize> {
        self.set.as_ref().map(|set| set.matches(name).into_iter().collect()).unwrap_or_default()
    }

    #[cfg(not(feature = "regex"))]
    #[expect(clippy::unused_self, reason = "the other half looks at its set")]
    pub(crate) fn matches(&self, _name: &str) -> Vec<usize> {
        Vec::new()
    }
}

/// The expression that matches only whole names.
#[cfg(feature = "regex")]
pub(crate) fn whole(pattern: &str) -> String {
    format!("^(?:{pattern})$")
}

/// Says what is wrong with a pattern.
#[cfg(feature = "regex")]
pub(crate) fn check(pattern: &str) -> Result<(), String> {
    // As it stands too: `a)(b` is valid only inside of the brackets that are put around it.
    for pattern in [pattern, &whole(pattern)] {
        regex::RegexBuilder::new(pattern)
            .size_limit(SIZE_LIMIT)
            .build()
            .map_err(|error| format!("a pattern is a regular expression: {error}"))?;
    }
    Ok(())
}

/// Says what is wrong with a pattern: that nobody can match it.
#[cfg(not(feature = "regex"))]
pub(crate) fn check(_pattern: &str) -> Result<(), String> {
    Err("patterns need the feature `regex`".to_owned())
}
