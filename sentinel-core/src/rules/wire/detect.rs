//! Finding out what a document leaves open.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Dialect, Encoding, Form, forms_called, unknown_family};
use crate::{
    families::forms,
    rules::{
        InvalidDocument, Parsed, Problem,
        document::{Read, kind},
        fields::MISSING,
    },
};

/// Rules that are looked at to find out of which kind they are.
const LOOKED_AT: usize = 20;

/// What a document is.
pub(super) enum Detected {
    /// A document of ours, with the rules of all families.
    Document(Value),
    /// Rules of one kind, which is one of these.
    List { list: Vec<Value>, candidates: Vec<&'static Form> },
}

impl Detected {
    /// Tells by its shape.
    pub(super) fn of(tree: Value, encoding: &Encoding) -> Result<Self, InvalidDocument> {
        let family = encoding.family.as_deref();
        let dialect = encoding.dialect.or_else(|| is_resource(&tree).then_some(Dialect::Kubernetes));
        match (dialect, tree) {
            (_, Value::Null) => Err(InvalidDocument::Empty),
            (Some(Dialect::Native), tree) if family.is_none() => Ok(Self::Document(tree)),
            (None, tree) if !tree.is_array() => Ok(Self::Document(tree)),
            (Some(Dialect::Kubernetes), Value::Object(object)) => Self::resource(object, family),
            (dialect, tree) => Self::list(dialect, tree, family),
        }
    }

    fn resource(mut object: Map<String, Value>, family: Option<&str>) -> Result<Self, InvalidDocument> {
        let of_kind = object.get("kind").and_then(Value::as_str).map(family_of).transpose()?;
        let rules = match object.remove("spec") {
            Some(Value::Object(mut spec)) => spec.remove("rules"),
            Some(other) => Some(other),
            None => object.remove("rules"),
        };
        // Nothing is no list: a document that was cut off there would clear all rules.
        let rules = rules.ok_or_else(|| InvalidDocument::List { found: "an object without rules".to_owned() })?;
        Self::list(Some(Dialect::Kubernetes), rules, family.or(of_kind))
    }

    fn list(dialect: Option<Dialect>, tree: Value, family: Option<&str>) -> Result<Self, InvalidDocument> {
        let Value::Array(list) = tree else {
            return Err(InvalidDocument::List { found: kind(&tree).to_owned() });
        };
        Ok(Self::List { list, candidates: candidates(dialect, family)? })
    }
}

/// Whether it is a custom resource, or the inside of one.
fn is_resource(tree: &Value) -> bool {
    ["apiVersion", "spec", "rules"].iter().any(|name| tree.get(name).is_some())
}

/// The family of the rules in a custom resource of this kind.
fn family_of(kind: &str) -> Result<&'static str, InvalidDocument> {
    let name = kind.strip_suffix("Rules").unwrap_or_default();
    let mut of_dialect = forms().filter(|form| form.dialect == Dialect::Kubernetes);
    let form = of_dialect.find(|form| form.name().eq_ignore_ascii_case(name));
    form.map(Form::name).ok_or_else(|| unknown_family(Dialect::Kubernetes, kind))
}

/// What a list of rules may be.
fn candidates(dialect: Option<Dialect>, family: Option<&str>) -> Result<Vec<&'static Form>, InvalidDocument> {
    match (dialect, family) {
        (Some(dialect), Some(family)) => forms_called(dialect, family),
        (Some(dialect), None) => Ok(forms().filter(|form| form.dialect == dialect).collect()),
        (None, None) => Ok(forms().filter(|form| matches!(form.dialect, Dialect::Go | Dialect::Java)).collect()),
        (None, Some(family)) => {
            let all: Vec<_> = [Dialect::Native, Dialect::Go, Dialect::Java]
                .into_iter()
                .filter_map(|dialect| forms_called(dialect, family).ok())
                .flatten()
                .collect();
            // The error of our own names is as good as any.
            if all.is_empty() { forms_called(Dialect::Native, family) } else { Ok(all) }
        }
    }
}

/// Reads a list as the candidate that knows most of its fields and misses fewest; where several do, as what all of them
/// make of it.
pub(super) fn read(list: &[Value], candidates: &[&'static Form]) -> Result<Parsed, InvalidDocument> {
    if let [only] = candidates {
        return only.read_all(list).finish();
    }
    let looked_at = list.get(..LOOKED_AT).unwrap_or(list);
    let distances: Vec<usize> = candidates.iter().map(|form| distance(&form.read_all(looked_at))).collect();
    let least = distances.iter().min().copied().unwrap_or_default();
    let nearest: Vec<_> =
        candidates.iter().zip(distances).filter(|(_, distance)| *distance == least).map(|(form, _)| *form).collect();
    if let [only] = &*nearest {
        return only.read_all(list).finish();
    }
    let mut all = nearest.iter().map(|form| form.read_all(list).finish().ok());
    match all.next().flatten() {
        Some(first) if all.all(|other| other.is_some_and(|other| other.rules == first.rules)) => Ok(first),
        _ => Err(InvalidDocument::Ambiguous {
            between: nearest.iter().map(|form| (form.dialect, form.name())).collect(),
        }),
    }
}

/// How many fields are unknown or missing; of what is in a list, none.
fn distance(read: &Read) -> usize {
    let unknown = read.warnings.iter().filter(|warning| matches!(warning.problem, Problem::Unknown { .. }));
    let missing = read.errors.iter().filter(|error| error.value == MISSING);
    let fields = unknown.map(|warning| &*warning.field).chain(missing.map(|error| &*error.field));
    fields.filter(|field| !field.contains('[')).collect::<BTreeSet<&str>>().len()
}
