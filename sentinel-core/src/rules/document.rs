//! Documents: the rules of a source as text.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{
    Dialect, Format, InvalidDocument, InvalidRule, InvalidRules, Report, Rule, Selector, Warning,
    fields::{Fields, Writer, suggest},
    invalid::{Problem, Short},
    rule::DEFAULT,
    wire::own,
};
use crate::families::{FAMILIES, Family, InRules, Params as _, Rules};

/// A document that was read.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Parsed {
    /// Its rules, all of them valid.
    pub rules: Rules,
    /// What is odd about it, such as fields that nobody knows.
    pub warnings: Vec<Warning>,
}

impl Rules {
    /// Reads a document.
    ///
    /// # Errors
    ///
    /// When it is not of its format, or any rule is invalid: then with all errors of all rules.
    ///
    /// # Example
    ///
    /// ```
    /// use sentinel_core::{Format, Rules};
    ///
    /// let document = br#"{"flow": [{"resource": "orders", "threshold": 100, "treshold": 1}]}"#;
    /// let parsed = Rules::parse(document, Format::Json)?;
    /// assert_eq!(parsed.rules.flow.len(), 1);
    /// assert_eq!(
    ///     parsed.warnings[0].to_string(),
    ///     "flow rule 1 for `orders`: unknown field `treshold`, did you mean `threshold`?",
    /// );
    /// # Ok::<(), sentinel_core::InvalidDocument>(())
    /// ```
    pub fn parse(document: &[u8], format: Format) -> Result<Parsed, InvalidDocument> {
        read_all(&format.parse(document)?)
    }

    /// Writes the rules as a document, in a form that [`parse`](Rules::parse) reads as the same rules.
    ///
    /// # Errors
    ///
    /// When the format needs a feature that is off.
    pub fn to_text(&self, format: Format) -> Result<String, InvalidDocument> {
        format.write(&Value::Object(self.write()))
    }
}

impl serde::Serialize for Rules {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.write().serialize(serializer)
    }
}

/// Reads the rules of all families.
pub(super) fn read_all(tree: &Value) -> Result<Parsed, InvalidDocument> {
    let tree = match tree {
        Value::Object(tree) => tree,
        Value::Null => return Err(InvalidDocument::Empty),
        other => return Err(InvalidDocument::Shape { found: kind(other).to_owned() }),
    };
    let is_unknown = |name: &&String| !FAMILIES.contains(&name.as_str());
    // Something else than rules, such as the message of a server, would clear all rules.
    if let Some(first) = tree.keys().next().filter(|_| tree.keys().all(|name| is_unknown(&name))) {
        return Err(InvalidDocument::Shape { found: format!("an object of `{}` and no family", Short(first)) });
    }
    let mut read = Read::default();
    Rules::read(tree, &mut read);
    for name in tree.keys().filter(is_unknown) {
        let problem = Problem::Unknown { suggestion: suggest(name, FAMILIES) };
        let warning = Warning { family: "", index: 0, resource: String::new(), field: name.clone(), problem };
        read.warnings.push(warning);
    }
    read.finish()
}

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(super) rules: Rules,
    pub(super) errors: Vec<InvalidRule>,
    pub(super) warnings: Vec<Warning>,
}

impl Read {
    pub(super) fn finish(self) -> Result<Parsed, InvalidDocument> {
        let Self { rules, errors, warnings } = self;
        if errors.is_empty() { Ok(Parsed { rules, warnings }) } else { Err(InvalidRules::new(errors).into()) }
    }
}

/// Reads the rules of one family.
pub(crate) fn read_family<F: InRules>(tree: &Map<String, Value>, into: &mut Read) {
    match tree.get(F::NAME) {
        None => {}
        Some(Value::Array(rules)) => own::<F>(Dialect::Native).read(rules, into),
        // Nothing as well: a document that was cut off there would clear all rules.
        Some(other) => {
            let mut report = Report::new(&mut into.errors, F::NAME, 0, None, String::new());
            report.invalid(F::NAME, kind(other), "the rules of a family are a list");
        }
    }
}

/// Reads a rule; `ids` are the names of the rules before it.
pub(super) fn read_rule<F: Family>(fields: &mut Fields<'_>, ids: &mut HashSet<String>) -> Rule<F> {
    let resource = match fields.string("resource") {
        None if F::IS_GLOBAL => DEFAULT.to_owned(),
        resource => fields.required("resource", resource).unwrap_or_default(),
    };
    let is_pattern = fields.boolean("regex").unwrap_or(false);
    let rule = Rule {
        id: fields.string("id"),
        resource: if is_pattern { Selector::Pattern(resource) } else { Selector::from(resource) },
        enabled: fields.boolean("enabled").unwrap_or(true),
        dry_run: fields.boolean("dryRun").unwrap_or(false),
        params: F::Params::read(fields),
    };
    fields.report.check(&rule, ids);
    rule
}

/// Writes the rules of one family, if there are any.
pub(crate) fn write_family<F: Family>(rules: &[Rule<F>], out: &mut Map<String, Value>) {
    if !rules.is_empty() {
        out.insert(F::NAME.to_owned(), rules.iter().map(write_rule).collect());
    }
}

/// Writes a rule.
pub(super) fn write_rule<F: Family>(rule: &Rule<F>) -> Value {
    let mut fields = Writer::new(Dialect::Native);
    if let Some(id) = &rule.id {
        fields.field("id", id.as_str());
    }
    if !F::IS_GLOBAL {
        fields.field("resource", rule.resource.as_str());
    }
    if matches!(rule.resource, Selector::Pattern(_)) {
        fields.field("regex", true);
    }
    fields.flags(rule.enabled, rule.dry_run);
    rule.params.write(&mut fields);
    fields.finish()
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
