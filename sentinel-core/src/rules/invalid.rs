//! What may be wrong with rules: errors that name rule, field, value, and what would be right.

use std::{collections::HashSet, fmt};

use super::{Format, Rule, Selector};
use crate::families::{Family, Params as _};

/// The longest name of a rule, in characters.
const MAX_ID: usize = 128;
/// The longest name of a resource, in bytes.
const MAX_RESOURCE: usize = 512;
/// The longest name of an origin, in bytes.
const MAX_ORIGIN: usize = 512;
/// Characters of a value that a message shows.
const MAX_SHOWN: usize = 100;
/// Errors that the message of a whole document shows.
const MAX_LISTED: usize = 20;

/// One thing that is wrong with one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidRule {
    /// The family, as in documents.
    pub family: &'static str,
    /// The position of the rule in its family's list, from 0.
    pub index: usize,
    /// The name of the rule, if it has one.
    pub id: Option<String>,
    /// The resource that the rule is about, as far as it could be read.
    pub resource: String,
    /// The field, as in documents; one in a list as `items[3].threshold`, counted from 0.
    pub field: String,
    /// What it holds, cut to a hundred characters.
    pub value: String,
    /// What would be right.
    pub expected: String,
}

impl fmt::Display for InvalidRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rule {}", self.family, self.index + 1)?;
        if let Some(id) = &self.id {
            write!(f, " `{}`", Short(id))?;
        }
        if !self.resource.is_empty() {
            write!(f, " for `{}`", Short(&self.resource))?;
        }
        write!(f, ": {} is {}, but {}", self.field, self.value, self.expected)
    }
}

impl std::error::Error for InvalidRule {}

/// Everything that is wrong with the rules of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRules {
    errors: Vec<InvalidRule>,
}

impl InvalidRules {
    pub(crate) fn new(errors: Vec<InvalidRule>) -> Self {
        Self { errors }
    }

    /// All errors, in the order of the rules.
    pub fn errors(&self) -> &[InvalidRule] {
        &self.errors
    }
}

impl fmt::Display for InvalidRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.errors {
            [only] => return only.fmt(f),
            errors => write!(f, "{} errors", errors.len())?,
        }
        for error in self.errors.iter().take(MAX_LISTED) {
            write!(f, "\n{error}")?;
        }
        match self.errors.len().checked_sub(MAX_LISTED) {
            Some(more @ 1..) => write!(f, "\nand {more} more"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for InvalidRules {}

/// A document that cannot be read as rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDocument {
    /// There is nothing in it.
    #[error("the document is empty; no rules are written as {{}}, in TOML as flow = []")]
    Empty,
    /// It is not of its format.
    #[error("the document is not {format}: {message}")]
    Syntax {
        /// The format that it was read as.
        format: Format,
        /// What the parser says, with the place.
        message: String,
    },
    /// Its top level is something else than families with their rules.
    #[error("the document is {found}, but rules are an object of families, such as {{\"flow\": [..]}}")]
    Shape {
        /// What it is.
        found: String,
    },
    /// It is something else than a list of the rules of one family.
    #[error("the document is {found}, but the rules of one family are a list")]
    List {
        /// What it is.
        found: String,
    },
    /// A format that has no lists on their own was asked for.
    #[error("the rules of one family are a list, which a document in {format} cannot be")]
    NoList {
        /// The format.
        format: Format,
    },
    /// The dialect has no rules of this family.
    #[cfg(feature = "json")]
    #[error("documents of {} have no {family} rules; they have {}", dialect.name(), known.join(", "))]
    UnknownFamily {
        /// The dialect.
        dialect: super::Dialect,
        /// What was asked for.
        family: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// A document of this dialect cannot have rules of all these families together.
    #[cfg(feature = "json")]
    #[error("a document of {} has the rules of one family, but these are of {}", dialect.name(), families.join(", "))]
    Families {
        /// The dialect.
        dialect: super::Dialect,
        /// The families of the rules.
        families: Vec<&'static str>,
    },
    /// Several kinds of rules have the fields that are there, and would not mean the same.
    #[cfg(feature = "json")]
    #[error("the document may have {}: say which dialect and family it is of", either(between))]
    Ambiguous {
        /// What it may be.
        between: Vec<(super::Dialect, &'static str)>,
    },
    /// Some rules are invalid, or say what another form cannot say.
    #[error(transparent)]
    Rules(#[from] InvalidRules),
    /// The format needs a feature that is off.
    #[error("reading and writing {format} needs the feature `{feature}`")]
    FeatureOff {
        /// The format.
        format: Format,
        /// The feature of this crate.
        feature: &'static str,
    },
}

/// Kinds of rules, one or the other.
#[cfg(feature = "json")]
fn either(between: &[(super::Dialect, &'static str)]) -> String {
    let names: Vec<String> =
        between.iter().map(|(dialect, family)| format!("{family} rules of {}", dialect.name())).collect();
    names.join(" or ")
}

/// Something odd in a document that is no error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// The family; empty for the top level of the document.
    pub family: &'static str,
    /// The position of the rule in its family's list, from 0.
    pub index: usize,
    /// The resource that the rule is about.
    pub resource: String,
    /// The field, as the document has it.
    pub field: String,
    /// What is odd about it.
    pub problem: Problem,
}

/// What is odd about a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// Nothing of this name is known.
    Unknown {
        /// What it may be meant to be.
        suggestion: Option<&'static str>,
    },
    /// It is known, but means nothing beside what else the rule says.
    Unused {
        /// What it would need.
        needs: &'static str,
    },
    /// It means something else here than where the document comes from.
    Differs {
        /// What it means here.
        meaning: &'static str,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.family.is_empty() {
            write!(f, "unknown family `{}`", Short(&self.field))?;
        } else {
            write!(f, "{} rule {}", self.family, self.index + 1)?;
            if !self.resource.is_empty() {
                write!(f, " for `{}`", Short(&self.resource))?;
            }
            f.write_str(": ")?;
            match self.problem {
                Problem::Unknown { .. } => write!(f, "unknown field `{}`", Short(&self.field))?,
                Problem::Unused { needs } => write!(f, "`{}` means nothing without {needs}", self.field)?,
                Problem::Differs { meaning } => write!(f, "`{}` {meaning}", self.field)?,
            }
        }
        match self.problem {
            Problem::Unknown { suggestion: Some(known) } => write!(f, ", did you mean `{known}`?"),
            _ => Ok(()),
        }
    }
}

/// Collects what is wrong with one rule.
#[derive(Debug)]
pub struct Report<'a> {
    errors: &'a mut Vec<InvalidRule>,
    first: usize,
    family: &'static str,
    index: usize,
    id: Option<String>,
    resource: String,
    /// What comes before the names of fields.
    within: String,
    /// How the document has the fields, where it is not one of ours.
    #[cfg(feature = "json")]
    pub(crate) theirs: Option<Theirs<'a>>,
}

/// A rule in the words of the document that it is from.
#[cfg(feature = "json")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Theirs<'a> {
    pub(crate) names: super::Names,
    pub(crate) document: &'a serde_json::Map<String, serde_json::Value>,
}

#[cfg(feature = "json")]
impl Theirs<'_> {
    /// The name that a field has there, and its value, if it has one.
    fn field(&self, ours: &str) -> (String, Option<String>) {
        use serde_json::Value;

        let index = ours.find('[').zip(ours.find(']')).and_then(|(start, end)| ours.get(start + 1..end));
        let plain = index.map_or_else(|| ours.to_owned(), |index| ours.replacen(index, "", 1));
        let name = self.names.iter().find(|(name, _)| *name == plain).map_or(&*plain, |(_, name)| *name);
        let value = self.document.get(name).and_then(|value| match value {
            Value::Null => None,
            Value::String(text) => Some(Quoted(text).to_string()),
            value => Some(value.to_string()),
        });
        (index.map_or_else(|| name.to_owned(), |index| name.replacen("[]", &format!("[{index}]"), 1)), value)
    }
}

impl<'a> Report<'a> {
    pub(crate) fn new(
        errors: &'a mut Vec<InvalidRule>,
        family: &'static str,
        index: usize,
        id: Option<String>,
        resource: String,
    ) -> Self {
        Self {
            first: errors.len(),
            errors,
            family,
            index,
            id,
            resource,
            within: String::new(),
            #[cfg(feature = "json")]
            theirs: None,
        }
    }

    /// Collects what is wrong with fields inside of one of the rule's.
    #[cfg(feature = "json")]
    pub(crate) fn inside(&mut self, within: String) -> Report<'_> {
        let (id, resource) = (self.id.clone(), self.resource.clone());
        Report { within, ..Report::new(self.errors, self.family, self.index, id, resource) }
    }

    /// The name of a field of the rule.
    pub(crate) fn field(&self, name: &str) -> String {
        format!("{}{name}", self.within)
    }

    /// Notes that a field is wrong; only the first error of a field counts.
    pub(crate) fn invalid(&mut self, field: impl AsRef<str>, value: impl fmt::Display, expected: impl Into<String>) {
        let (field, value) = self.named(field.as_ref(), value);
        let known = self.errors.get(self.first..).unwrap_or_default();
        if known.iter().any(|error| error.field == field) {
            return;
        }
        self.errors.push(InvalidRule {
            family: self.family,
            index: self.index,
            id: self.id.clone(),
            resource: self.resource.clone(),
            field,
            value: Short(&value).to_string(),
            expected: expected.into(),
        });
    }

    /// A field and its value, in the words of the document.
    fn named(&self, field: &str, value: impl fmt::Display) -> (String, String) {
        #[cfg(feature = "json")]
        if let Some(theirs) = &self.theirs {
            let (field, known) = theirs.field(field);
            return (field, known.unwrap_or_else(|| value.to_string()));
        }
        (self.field(field), value.to_string())
    }

    /// Checks the name of an origin.
    pub(crate) fn origin(&mut self, field: &'static str, name: &str) {
        if name.trim().is_empty() || name.len() > MAX_ORIGIN {
            let expected = format!("an origin has 1 to {MAX_ORIGIN} bytes, not only blanks");
            self.invalid(field, Quoted(name), expected);
        }
    }

    /// The resource that the rule is about.
    pub(crate) fn resource(&self) -> &str {
        &self.resource
    }

    /// Checks everything that a rule says; `ids` are the names of the rules before it.
    pub(crate) fn check<F: Family>(&mut self, rule: &Rule<F>, ids: &mut HashSet<String>) {
        if let Some(id) = &rule.id {
            if id.trim().is_empty() || id.chars().count() > MAX_ID || id.chars().any(char::is_control) {
                let expected = format!("a name has 1 to {MAX_ID} characters, and no control characters");
                self.invalid("id", Quoted(id), expected);
            } else if !ids.insert(id.clone()) {
                self.invalid("id", Quoted(id), "another rule of the family has this name");
            }
        }
        let resource = rule.resource.as_str();
        if F::IS_GLOBAL && rule.resource != Selector::Default {
            let expected = "rules of this family are about all inbound traffic: it is left out, or `*`";
            self.invalid("resource", Quoted(resource), expected);
        } else if resource.trim().is_empty() || resource.len() > MAX_RESOURCE {
            let expected = format!("the name of a resource has 1 to {MAX_RESOURCE} bytes, not only blanks");
            self.invalid("resource", Quoted(resource), expected);
        } else if let Selector::Pattern(pattern) = &rule.resource
            && let Err(message) = super::pattern::check(pattern)
        {
            self.invalid("resource", Quoted(pattern), message);
        }
        rule.params.validate(self);
    }
}

/// Checks the rules of one family.
pub(crate) fn validate_family<F: Family>(rules: &[Rule<F>]) -> Vec<InvalidRule> {
    let mut errors = Vec::new();
    let mut ids = HashSet::new();
    for (index, rule) in rules.iter().enumerate() {
        let resource = rule.resource.as_str().to_owned();
        Report::new(&mut errors, F::NAME, index, rule.id.clone(), resource).check(rule, &mut ids);
    }
    errors
}

/// Text cut to what a message can hold.
pub(crate) struct Short<'a>(pub(crate) &'a str);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(MAX_SHOWN) {
            Some((end, _)) => write!(f, "{}…", self.0.get(..end).unwrap_or_default()),
            None => f.write_str(self.0),
        }
    }
}

/// Text as a document would have it.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}
