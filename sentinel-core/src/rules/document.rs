//! Documents: the rules of a source as text.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{
    Format, InvalidDocument, InvalidRule, InvalidRules, Report, Rule, Selector, Warning,
    fields::{Fields, Place, Writer, suggest},
    invalid::Problem,
    rule::DEFAULT,
};
use crate::families::{FAMILIES, Family, Params as _, Rules};

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
        let tree = match format.parse(document)? {
            Value::Object(tree) => tree,
            Value::Null => return Err(InvalidDocument::Empty),
            other => return Err(InvalidDocument::Shape { found: kind(&other).to_owned() }),
        };
        let mut reading = Reading { tree: &tree, errors: Vec::new(), warnings: Vec::new() };
        let rules = Self::read(&mut reading);
        for name in tree.keys().filter(|name| !FAMILIES.contains(&name.as_str())) {
            let problem = Problem::Unknown { suggestion: suggest(name, FAMILIES) };
            let warning = Warning { family: "", index: 0, resource: String::new(), field: name.clone(), problem };
            reading.warnings.push(warning);
        }
        if reading.errors.is_empty() {
            Ok(Parsed { rules, warnings: reading.warnings })
        } else {
            Err(InvalidRules::new(reading.errors).into())
        }
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

/// A document while it is read.
pub(crate) struct Reading<'a> {
    tree: &'a Map<String, Value>,
    errors: Vec<InvalidRule>,
    warnings: Vec<Warning>,
}

/// Reads the rules of one family; errors and warnings stay in `reading`.
pub(crate) fn read_family<F: Family>(reading: &mut Reading<'_>) -> Vec<Rule<F>> {
    let rules = match reading.tree.get(F::NAME) {
        None => return Vec::new(),
        Some(Value::Array(rules)) => rules,
        // Nothing as well: a document that was cut off there would clear all rules.
        Some(other) => {
            let mut report = Report::new(&mut reading.errors, F::NAME, 0, None, String::new());
            report.invalid(F::NAME, kind(other), "the rules of a family are a list");
            return Vec::new();
        }
    };
    let mut ids = HashSet::new();
    let read = rules.iter().enumerate().filter_map(|(index, rule)| {
        let Value::Object(map) = rule else {
            let mut report = Report::new(&mut reading.errors, F::NAME, index, None, String::new());
            report.invalid("rule", kind(rule), "a rule is an object");
            return None;
        };
        let text = |name| map.get(name).and_then(Value::as_str).map(str::to_owned);
        let resource = text("resource").unwrap_or_default();
        let report = Report::new(&mut reading.errors, F::NAME, index, text("id"), resource.clone());
        let place = Place { family: F::NAME, index, resource };
        Some(read_rule(Fields::new(map, report, &mut reading.warnings, place), &mut ids))
    });
    read.collect()
}

fn read_rule<F: Family>(mut fields: Fields<'_>, ids: &mut HashSet<String>) -> Rule<F> {
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
        params: F::Params::read(&mut fields),
    };
    fields.report.check(&rule, ids);
    fields.finish();
    rule
}

/// Writes the rules of one family, if there are any.
pub(crate) fn write_family<F: Family>(rules: &[Rule<F>], out: &mut Map<String, Value>) {
    let write = |rule: &Rule<F>| {
        let mut fields = Writer::default();
        if let Some(id) = &rule.id {
            fields.field("id", id.as_str());
        }
        if !F::IS_GLOBAL {
            fields.field("resource", rule.resource.as_str());
        }
        if matches!(rule.resource, Selector::Pattern(_)) {
            fields.field("regex", true);
        }
        if !rule.enabled {
            fields.field("enabled", false);
        }
        if rule.dry_run {
            fields.field("dryRun", true);
        }
        rule.params.write(&mut fields);
        fields.finish()
    };
    if !rules.is_empty() {
        out.insert(F::NAME.to_owned(), rules.iter().map(write).collect());
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
