//! How the rules of one kind are read from objects, and written as objects.

use std::{borrow::Cow, collections::HashSet, slice};

use serde_json::{Map, Value};

use super::Dialect;
use crate::{
    families::{Family, InRules, Rules},
    rules::{
        Fields, InvalidDocument, InvalidRule, InvalidRules, Report, Rule, Selector, Writer,
        document::{Read, kind, read_rule, write_rule},
        fields::{Names, Place},
        invalid::Quoted,
        pattern,
    },
};

/// The form of the rules of one kind in a dialect.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// The dialect.
    pub(crate) dialect: Dialect,
    /// How such documents are called: first by messages, then in any other way.
    pub(crate) names: &'static [&'static str],
    /// The families that the rules become rules of.
    pub(crate) families: &'static [&'static str],
    /// Whether rules may be about all resources whose name matches a pattern.
    pub(crate) patterns: bool,
    /// Whether `*` stands there as well for every resource that no other rule is about.
    pub(crate) defaults: bool,
    /// Reads one rule. It asks for every field that there is, so that what it did not ask for is unknown.
    pub(crate) read: fn(&mut Fields<'_>, &mut Found<'_>),
    /// Writes all rules of these families.
    pub(crate) write: fn(&Rules, &mut Outgoing<'_>),
}

/// The form of the rules of a family in our own documents.
pub(crate) const fn own<F: InRules>(dialect: Dialect) -> Form {
    Form {
        dialect,
        names: &[F::NAME],
        families: &[F::NAME],
        patterns: true,
        defaults: true,
        read: |fields, found| {
            let rule = read_rule::<F>(fields, found.ids);
            F::of_mut(found.rules).push(rule);
        },
        write: |rules, out| {
            for (index, rule) in F::of(rules).iter().enumerate() {
                out.object(rule, index, write_rule(rule));
            }
        },
    }
}

impl Form {
    /// Whether documents of such rules are called so.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.names.contains(&name) || self.holds(name)
    }

    /// Whether it has rules of a family.
    pub(super) fn holds(&self, family: &str) -> bool {
        self.families.contains(&family)
    }

    /// What its rules are called.
    pub(super) fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }

    pub(super) fn write(&self, rules: &Rules, out: &mut Outgoing<'_>) {
        (self.write)(rules, out);
    }

    /// Reads rules.
    pub(super) fn read_all(&self, list: &[Value]) -> Read {
        let mut read = Read::default();
        self.read(list, &mut read);
        read
    }

    /// Reads rules beside others.
    pub(crate) fn read(&self, list: &[Value], into: &mut Read) {
        let mut ids = HashSet::new();
        for (index, rule) in list.iter().enumerate() {
            self.read_one(index, rule, into, &mut ids);
        }
    }

    fn read_one(&self, index: usize, rule: &Value, into: &mut Read, ids: &mut HashSet<String>) {
        let Read { rules, errors, warnings } = into;
        let Value::Object(map) = rule else {
            let mut report = Report::new(errors, self.name(), index, None, String::new());
            return report.invalid("rule", kind(rule), "a rule is an object");
        };
        let map = if self.dialect == Dialect::Java { within_entity(map) } else { Cow::Borrowed(map) };
        let text = |name| match map.get(name) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let resource = text("resource").unwrap_or_default();
        let report = Report::new(errors, self.name(), index, text("id"), resource.clone());
        let place = Place { family: self.name(), index, resource, dialect: self.dialect };
        let mut fields = Fields::new(&map, report, warnings, place);
        if self.dialect == Dialect::Java {
            fields.skip(OF_ENTITIES);
        }
        (self.read)(&mut fields, &mut Found { form: self, rules, ids });
        fields.finish();
    }
}

/// What the dashboard keeps about a rule beside what it says.
const OF_ENTITIES: &[&str] = &["app", "gmtCreate", "gmtModified", "ip", "port"];

/// The rule itself, where the dashboard has published what it keeps about it, with the rule inside.
fn within_entity(entity: &Map<String, Value>) -> Cow<'_, Map<String, Value>> {
    let Some(Value::Object(rule)) = entity.get("rule") else { return Cow::Borrowed(entity) };
    let mut rule = rule.clone();
    if let (None | Some(Value::Null), Some(id)) = (rule.get("id"), entity.get("id")) {
        rule.insert("id".to_owned(), id.clone());
    }
    Cow::Owned(rule)
}

/// The rules of a document as they are found.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    form: &'a Form,
    rules: &'a mut Rules,
    ids: &'a mut HashSet<String>,
}

impl Found<'_> {
    /// Adds a rule. What is wrong with it is told by the names that its fields have in the document.
    pub(crate) fn add<F: InRules>(&mut self, fields: &mut Fields<'_>, params: F::Params, names: Names) {
        let id = self.id(fields);
        self.add_called::<F>(id, fields, params, names);
    }

    /// Adds a rule of this name, unless another one has it already.
    pub(crate) fn add_called<F: InRules>(
        &mut self,
        id: Option<String>,
        fields: &mut Fields<'_>,
        params: F::Params,
        names: Names,
    ) {
        let resource = if F::IS_GLOBAL { Selector::Default } else { self.resource(fields) };
        let extended = self.form.dialect == Dialect::Kubernetes;
        let mut flag = |name| if extended { fields.boolean(name) } else { None };
        let (enabled, dry_run) = (flag("enabled").unwrap_or(true), flag("dryRun").unwrap_or(false));
        let is_taken = id.as_ref().is_some_and(|id| !self.ids.insert(id.clone()));
        if is_taken {
            fields.differs("id", "is the name of another rule already: this one has none");
        }
        let rule = Rule { id: id.filter(|_| !is_taken), resource, enabled, dry_run, params };
        fields.check(&rule, names);
        F::of_mut(self.rules).push(rule);
    }

    /// The name of a rule, if it has one.
    pub(crate) fn id(&self, fields: &mut Fields<'_>) -> Option<String> {
        if self.form.dialect != Dialect::Java {
            return fields.text("id");
        }
        let number = fields.one_of("id", "it is a whole number", |value| match value {
            Value::String(text) => text.parse::<i64>().ok(),
            value => value.as_i64(),
        });
        number.map(|number| number.to_string())
    }

    fn resource(&self, fields: &mut Fields<'_>) -> Selector {
        let name = fields.string("resource");
        let name = fields.required("resource", name).unwrap_or_default();
        if self.form.patterns && fields.boolean("regex").unwrap_or(false) {
            return Selector::Pattern(match self.form.dialect {
                Dialect::Go => whole(&name),
                _ => name,
            });
        }
        let resource = Selector::from(name);
        if resource == Selector::Default && !self.form.defaults {
            fields.differs("resource", "stands for every resource that no other rule is about");
        }
        resource
    }
}

/// A pattern for whole names that matches where one for any part of a name would.
fn whole(part: &str) -> String {
    match part.strip_prefix("^(?:").and_then(|rest| rest.strip_suffix(")$")) {
        Some(inner) if pattern::check(inner).is_ok() => inner.to_owned(),
        _ => format!("(?s:.*)(?:{part})(?s:.*)"),
    }
}

/// Rules as objects of a dialect.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    form: &'a Form,
    ids: HashSet<String>,
    list: Vec<Value>,
    errors: Vec<InvalidRule>,
}

impl<'a> Outgoing<'a> {
    pub(super) fn new(form: &'a Form) -> Self {
        Self { form, ids: HashSet::new(), list: Vec::new(), errors: Vec::new() }
    }

    pub(super) fn finish(self) -> Result<Vec<Value>, InvalidDocument> {
        if self.errors.is_empty() { Ok(self.list) } else { Err(InvalidRules::new(self.errors).into()) }
    }

    /// Writes the rules of a family one by one.
    pub(crate) fn rules<F: InRules>(&mut self, rules: &Rules, write: impl Fn(&F::Params, &mut Writer)) {
        for (index, rule) in F::of(rules).iter().enumerate() {
            let mut fields = Writer::new(self.form.dialect);
            self.write_id(rule.id.as_deref(), &mut fields);
            if !F::IS_GLOBAL {
                self.write_resource(&rule.resource, &mut fields);
            }
            if self.form.dialect == Dialect::Kubernetes {
                fields.flags(rule.enabled, rule.dry_run);
            }
            write(&rule.params, &mut fields);
            self.object(rule, index, fields.finish());
        }
    }

    fn write_id(&self, id: Option<&str>, out: &mut Writer) {
        let Some(id) = id else { return };
        // Those of the rules that one of Java has become have more behind the number.
        let number = id.split(':').next().unwrap_or_default().parse::<i64>();
        match (self.form.dialect, number) {
            (Dialect::Java, Ok(number)) => out.field("id", number),
            _ => out.field("id", id),
        }
    }

    fn write_resource(&self, resource: &Selector, out: &mut Writer) {
        let is_pattern = matches!(resource, Selector::Pattern(_));
        match (self.form.dialect, resource) {
            (Dialect::Go, Selector::Pattern(pattern)) => out.field("resource", format!("^(?:{pattern})$")),
            _ => out.field("resource", resource.as_str()),
        }
        if self.form.patterns && is_pattern {
            out.field("regex", true);
        }
    }

    /// Takes over a rule in the form of the dialect, if it says all that the rule does.
    fn object<F: InRules>(&mut self, rule: &Rule<F>, index: usize, object: Value) {
        let read = self.form.read_all(slice::from_ref(&object));
        let resource = rule.resource.as_str().to_owned();
        let mut report = Report::new(&mut self.errors, F::NAME, index, rule.id.clone(), resource);
        if let Some(id) = &rule.id
            && !self.ids.insert(id.clone())
        {
            report.invalid("id", Quoted(id), "another rule of the document has this name");
        }
        if let [error, ..] = &*read.errors {
            report.invalid(&error.field, &error.value, error.expected.as_str());
        } else if let [warning, ..] = &*read.warnings {
            let value = object.get(&warning.field).map_or_else(String::new, Value::to_string);
            report.invalid(
                &warning.field,
                value,
                format!("in documents of {} it means something else", self.form.dialect.name()),
            );
        } else if F::of(&read.rules) != slice::from_ref(rule) {
            differences(rule, F::of(&read.rules).first(), &mut report, self.form.dialect);
        }
        self.list.push(object);
    }
}

/// Reports in which fields a rule is another one than what its form says.
fn differences<F: Family>(rule: &Rule<F>, said: Option<&Rule<F>>, report: &mut Report<'_>, dialect: Dialect) {
    let (rule, said) = (write_rule(rule), said.map(write_rule).unwrap_or_default());
    let (Value::Object(rule), Value::Object(said)) = (rule, said) else { return };
    let no_form = format!("documents of {} have no form for it", dialect.name());
    let differing = rule.iter().filter(|(name, value)| said.get(*name) != Some(value));
    let mut found = false;
    for (name, value) in differing {
        report.invalid(name, value, no_form.as_str());
        found = true;
    }
    for (name, value) in said.iter().filter(|(name, _)| !found && !rule.contains_key(*name)) {
        report.invalid(name, "left out", format!("in documents of {} it is always {value}", dialect.name()));
    }
}
