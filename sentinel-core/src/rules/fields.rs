//! The fields of one rule in a document: read one by one, so that every error is found and every field is known.

use std::{collections::HashSet, time::Duration};

use serde_json::{Map, Value};

use super::{
    Dialect, Report, Rule, Warning,
    invalid::{Problem, Quoted, Theirs},
};
use crate::{clock, families::Family};

/// The names that the fields of a rule have in the documents of others, beside those that they have in ours. Fields of
/// objects in a list are written as `items[].threshold`.
pub(crate) type Names = &'static [(&'static str, &'static str)];

/// What a resource of Kubernetes has in place of 1, where it has whole numbers for fractions.
const HUNDREDTHS: f64 = 100.0;

/// What the value of a field is called that is not there.
pub(crate) const MISSING: &str = "missing";

/// The fields of one rule.
#[derive(Debug)]
pub struct Fields<'a> {
    pub(crate) report: Report<'a>,
    warnings: &'a mut Vec<Warning>,
    map: &'a Map<String, Value>,
    /// The fields that were asked for.
    known: Vec<&'static str>,
    place: Place,
}

/// Which rule it is, for warnings, and in which kind of document.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) family: &'static str,
    pub(crate) index: usize,
    pub(crate) resource: String,
    pub(crate) dialect: Dialect,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(
        map: &'a Map<String, Value>,
        report: Report<'a>,
        warnings: &'a mut Vec<Warning>,
        place: Place,
    ) -> Self {
        Self { report, warnings, map, known: Vec::new(), place }
    }

    /// A field that has to be there.
    pub(crate) fn required<T>(&mut self, name: &'static str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            match self.map.get(name) {
                None | Some(Value::Null) => {
                    let misspelt = self.map.keys().find(|key| *key != name && suggest(key, &[name]).is_some());
                    let expected = misspelt.map_or_else(
                        || "it has to be there".to_owned(),
                        |key| format!("it has to be there; is {} meant to be it?", Quoted(key)),
                    );
                    self.report.invalid(name, MISSING, expected);
                }
                // Without this, a text with nothing in it would be taken for the default.
                Some(Value::String(text)) if text.is_empty() => {
                    self.report.invalid(name, Quoted(text), "it has to be there");
                }
                // What else is wrong with it has been told.
                Some(_) => {}
            }
        }
        value
    }

    /// Whether there is no field at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Whether there is such a field.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// Notes that there may be such fields, which say nothing here.
    pub(crate) fn skip(&mut self, names: &[&'static str]) {
        self.known.extend(names);
    }

    /// Notes that a rule cannot be what a field says.
    pub(crate) fn refuse(&mut self, name: &'static str, expected: &'static str) {
        match self.get(name) {
            Some(value) => self.wrong(name, value, expected),
            None => self.report.invalid(name, MISSING, expected),
        }
    }

    /// Notes that a field means something else here.
    pub(crate) fn differs(&mut self, name: &'static str, meaning: &'static str) {
        self.warn(name, Problem::Differs { meaning });
    }

    /// Checks a rule that was made of the fields, and tells what is wrong with it by the names that they have here.
    pub(crate) fn check<F: Family>(&mut self, rule: &Rule<F>, names: Names) {
        self.report.theirs = Some(Theirs { names, document: self.map });
        self.report.check(rule, &mut HashSet::new());
        self.report.theirs = None;
    }

    /// A number.
    pub(crate) fn number(&mut self, name: &'static str) -> Option<f64> {
        let value = self.get(name)?;
        let number = value.as_f64();
        self.typed(name, value, number, "it is a number")
    }

    /// A whole number from 0.
    pub(crate) fn unsigned(&mut self, name: &'static str) -> Option<u64> {
        let value = self.get(name)?;
        let whole = |number: &f64| *number >= 0.0 && number.fract() == 0.0 && *number < 1e19;
        let number = value.as_u64().or_else(|| value.as_f64().filter(whole).map(|number| number as u64));
        self.typed(name, value, number, "it is a whole number from 0 to 1e19")
    }

    /// A whole number from 0 to 4,294,967,295.
    pub(crate) fn small(&mut self, name: &'static str) -> Option<u32> {
        let value = self.get(name)?;
        let number =
            value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(number));
        self.typed(name, value, number.map(|number| number as u32), "it is a whole number from 0 to 4294967295")
    }

    /// A whole number from -2,147,483,647 to 2,147,483,647.
    pub(crate) fn integer(&mut self, name: &'static str) -> Option<i32> {
        let value = self.get(name)?;
        let whole = f64::from(i32::MIN)..=f64::from(i32::MAX);
        let number = value.as_f64().filter(|number| number.fract() == 0.0 && whole.contains(number));
        self.typed(
            name,
            value,
            number.map(|number| number as i32),
            "it is a whole number from -2147483648 to 2147483647",
        )
    }

    /// A value of one of several types.
    pub(crate) fn one_of<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.get(name)?;
        self.typed(name, value, read(value), expected)
    }

    /// A list of objects with fields of their own, which errors and warnings name as `name[index].field`. Nothing if
    /// one of them cannot be read.
    pub(crate) fn objects<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&mut Fields<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let value = self.get(name)?;
        let list = self.typed(name, value, value.as_array(), "it is a list of objects")?;
        let read = |(index, value): (usize, &Value)| {
            let Value::Object(map) = value else {
                self.report.inside(format!("{name}[{index}]")).invalid("", value, "it is an object");
                return None;
            };
            let report = self.report.inside(format!("{name}[{index}]."));
            let mut fields = Fields::new(map, report, self.warnings, self.place.clone());
            let read = read(&mut fields);
            fields.finish();
            read
        };
        // All of them, so that all errors are found.
        let read: Vec<Option<T>> = list.iter().enumerate().map(read).collect();
        read.into_iter().collect()
    }

    /// A truth value.
    pub(crate) fn boolean(&mut self, name: &'static str) -> Option<bool> {
        let value = self.get(name)?;
        self.typed(name, value, value.as_bool(), "it is true or false")
    }

    /// A text.
    pub(crate) fn string(&mut self, name: &'static str) -> Option<String> {
        let value = self.get(name)?;
        self.typed(name, value, value.as_str().map(str::to_owned), "it is a text")
    }

    /// A text with something in it: nothing at all is as good as no text.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        self.string(name).filter(|text| !text.is_empty())
    }

    /// A number from 0 that stands for as many whole ones as are in it, at most 4,294,967,295.
    pub(crate) fn whole_part(&mut self, name: &'static str) -> Option<u32> {
        self.rounded(name, f64::floor)
    }

    /// A number from 0 that stands for the next whole one, at most 4,294,967,295.
    pub(crate) fn rounded_up(&mut self, name: &'static str) -> Option<u32> {
        self.rounded(name, f64::ceil)
    }

    fn rounded(&mut self, name: &'static str, round: fn(f64) -> f64) -> Option<u32> {
        let value = self.get(name)?;
        let number = value.as_f64().filter(|number| (0.0..=f64::from(u32::MAX)).contains(number));
        self.typed(name, value, number.map(|number| round(number) as u32), "it is a number from 0 to 4294967295")
    }

    /// A number, which in resources of Kubernetes is a whole one.
    pub(crate) fn amount(&mut self, name: &'static str) -> Option<f64> {
        match self.dialect() {
            Dialect::Kubernetes => self.unsigned(name).map(|number| number as f64),
            _ => self.number(name),
        }
    }

    /// A number, which in resources of Kubernetes is written in hundredths.
    pub(crate) fn scaled(&mut self, name: &'static str) -> Option<f64> {
        let amount = self.amount(name)?;
        Some(if self.dialect() == Dialect::Kubernetes { amount / HUNDREDTHS } else { amount })
    }

    /// A duration in whole milliseconds, at most 49 days.
    pub(crate) fn whole_millis(&mut self, name: &'static str) -> Option<Duration> {
        self.small(name).map(|millis| Duration::from_millis(millis.into()))
    }

    /// A duration in whole seconds.
    pub(crate) fn whole_seconds(&mut self, name: &'static str) -> Option<Duration> {
        self.small(name).map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// A list of texts; one text stands for the parts between its commas.
    pub(crate) fn texts(&mut self, name: &'static str) -> Option<Vec<String>> {
        let value = self.get(name)?;
        let texts = match value {
            Value::String(text) => Some(text.split(',').map(|part| part.trim().to_owned()).collect()),
            Value::Array(all) => all.iter().map(|text| text.as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        self.typed(name, value, texts, "it is a list of texts, or one text with commas")
    }

    /// A duration in milliseconds, with fractions.
    pub(crate) fn millis(&mut self, name: &'static str) -> Option<Duration> {
        self.duration(name, 1e3, "it is a number of milliseconds from 0 to 1.8e13")
    }

    /// A duration in seconds, with fractions.
    pub(crate) fn seconds(&mut self, name: &'static str) -> Option<Duration> {
        self.duration(name, 1.0, "it is a number of seconds from 0 to 1.8e10")
    }

    fn duration(&mut self, name: &'static str, per_second: f64, expected: &'static str) -> Option<Duration> {
        let value = self.get(name)?;
        let duration = value.as_f64().and_then(|number| {
            // To the nanosecond, so that what was written as a fraction is read as what it was.
            let nanos = (number / per_second * 1e9).round();
            (0.0..=1.8e19).contains(&nanos).then(|| Duration::from_nanos(nanos as u64))
        });
        self.typed(name, value, duration, expected)
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&'static str, T)]) -> Option<T> {
        let value = self.get(name)?;
        let chosen = value.as_str().and_then(|text| choices.iter().find(|(word, _)| *word == text));
        if chosen.is_none() {
            let words: Vec<&'static str> = choices.iter().map(|(word, _)| *word).collect();
            self.wrong(name, value, one_of(value, &words));
        }
        chosen.map(|(_, chosen)| *chosen)
    }

    /// One of a few things that documents of others number, and some of them name.
    pub(crate) fn code<T: Copy>(&mut self, name: &'static str, codes: &[(i32, &'static str, T)]) -> Option<T> {
        let dialect = self.place.dialect;
        let value = self.get(name).filter(|value| !dialect.has_words() || value.as_str() != Some(""))?;
        let chosen = codes.iter().find(|(number, word, _)| match value {
            Value::Number(given) => dialect.has_numbers() && given.as_f64() == Some(f64::from(*number)),
            Value::String(given) => dialect.has_words() && given == word,
            _ => false,
        });
        if chosen.is_none() {
            let numbers = codes.iter().map(|(number, word, _)| format!("{number} ({word})"));
            let mut words: Vec<&'static str> = codes.iter().map(|(_, word, _)| *word).collect();
            words.dedup();
            let expected = match dialect.has_numbers() {
                true => format!("it is one of {}", numbers.collect::<Vec<_>>().join(", ")),
                false => one_of(value, &words),
            };
            self.wrong(name, value, expected);
        }
        chosen.map(|(_, _, chosen)| *chosen)
    }

    /// The dialect of the document.
    pub(crate) fn dialect(&self) -> Dialect {
        self.place.dialect
    }

    /// Notes that a field is there that means nothing beside the others.
    pub(crate) fn unused(&mut self, name: &'static str, needs: &'static str) {
        if self.get(name).is_some() {
            self.warn(name, Problem::Unused { needs });
        }
    }

    /// Notes the fields that nobody asked for.
    pub(crate) fn finish(mut self) {
        let unknown = self.map.keys().filter(|name| !self.known.contains(&name.as_str()));
        let odd: Vec<(String, Problem)> =
            unknown.map(|name| (name.clone(), Problem::Unknown { suggestion: suggest(name, &self.known) })).collect();
        for (name, problem) in odd {
            self.warn(&name, problem);
        }
    }

    fn warn(&mut self, field: &str, problem: Problem) {
        let Place { family, index, resource, .. } = self.place.clone();
        let field = self.report.field(field);
        self.warnings.push(Warning { family, index, resource, field, problem });
    }

    fn get(&mut self, name: &'static str) -> Option<&'a Value> {
        if !self.known.contains(&name) {
            self.known.push(name);
        }
        self.map.get(name).filter(|value| !value.is_null())
    }

    fn typed<T>(
        &mut self,
        name: &'static str,
        value: &Value,
        read: Option<T>,
        expected: impl Into<String>,
    ) -> Option<T> {
        if read.is_none() {
            self.wrong(name, value, expected);
        }
        read
    }

    fn wrong(&mut self, name: &'static str, value: &Value, expected: impl Into<String>) {
        match value {
            Value::String(text) => self.report.invalid(name, Quoted(text), expected),
            other => self.report.invalid(name, other, expected),
        }
    }
}

/// What a value should be that is none of these words.
fn one_of(value: &Value, words: &[&'static str]) -> String {
    let meant = value.as_str().and_then(|text| suggest(text, words));
    let meant = meant.map_or_else(String::new, |word| format!("; did you mean `{word}`?"));
    format!("it is one of {}{meant}", words.join(", "))
}

/// The known word that a misspelt one may be meant to be.
pub(crate) fn suggest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    let plain = |text: &str| text.chars().filter(|c| !matches!(c, '_' | '-')).collect::<String>().to_lowercase();
    // Comparing takes time by the product of the lengths.
    if word.len() > 64 {
        return None;
    }
    let word = plain(word);
    let near = known.iter().map(|name| (strsim::jaro_winkler(&word, &plain(name)), *name));
    near.filter(|(similarity, _)| *similarity > 0.85).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

/// Writes the fields of one rule.
#[derive(Debug)]
pub struct Writer {
    dialect: Dialect,
    map: Map<String, Value>,
}

impl Writer {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self { dialect, map: Map::new() }
    }

    /// The dialect of the document.
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Writes one of a few things, by its number or by its name.
    pub(crate) fn code<T: Copy + PartialEq>(
        &mut self,
        name: &'static str,
        codes: &[(i32, &'static str, T)],
        chosen: T,
    ) {
        let Some((number, word, _)) = codes.iter().find(|(_, _, code)| *code == chosen) else { return };
        if self.dialect.has_numbers() {
            self.field(name, *number);
        } else {
            self.field(name, *word);
        }
    }

    /// Writes a number, in resources of Kubernetes in hundredths.
    pub(crate) fn scaled(&mut self, name: &'static str, value: f64) {
        let hundredths = (value * HUNDREDTHS).round();
        match self.dialect {
            // What is no number of hundredths stays what it is, which such a resource cannot have.
            Dialect::Kubernetes if hundredths / HUNDREDTHS == value => self.number(name, hundredths),
            Dialect::Kubernetes => self.number(name, value * HUNDREDTHS),
            _ => self.number(name, value),
        }
    }

    /// Writes a field.
    pub(crate) fn field(&mut self, name: &'static str, value: impl Into<Value>) {
        self.map.insert(name.to_owned(), value.into());
    }

    /// Writes whether a rule is in force, and whether it only watches, where it is not as always.
    pub(crate) fn flags(&mut self, enabled: bool, dry_run: bool) {
        if !enabled {
            self.field("enabled", false);
        }
        if dry_run {
            self.field("dryRun", true);
        }
    }

    /// Writes a number, as a whole one where it is.
    pub(crate) fn number(&mut self, name: &'static str, value: f64) {
        if value.fract() == 0.0 && value.abs() < 9e15 {
            self.field(name, value as i64);
        } else {
            self.field(name, value);
        }
    }

    /// Writes a duration in milliseconds.
    pub(crate) fn millis(&mut self, name: &'static str, value: Duration) {
        self.number(name, clock::millis(value));
    }

    /// Writes a duration in seconds.
    pub(crate) fn seconds(&mut self, name: &'static str, value: Duration) {
        self.number(name, value.as_nanos() as f64 / 1e9);
    }

    /// Writes a list of objects.
    pub(crate) fn objects<T>(&mut self, name: &'static str, objects: &[T], write: impl Fn(&T, &mut Self)) {
        let write = |object| {
            let mut fields = Self::new(self.dialect);
            write(object, &mut fields);
            fields.finish()
        };
        self.field(name, objects.iter().map(write).collect::<Value>());
    }

    pub(crate) fn finish(self) -> Value {
        Value::Object(self.map)
    }
}
