//! What of a source is in force, key by key.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use sentinel_core::{ReplaceError, Rules, Sentinel, Warning};

use crate::{Document, DocumentStatus, Outcome, Payload, SourceError, WhenMissing};

/// The documents of a source, and what of them is in force.
///
/// Each key keeps its last good rules on its own, and all of them are put in force together. Where all documents are good,
/// what is in force does not depend on the order in which they came, so that all instances agree.
#[derive(Debug)]
pub(crate) struct Parts {
    source: String,
    max_size: usize,
    when_missing: WhenMissing,
    parts: BTreeMap<String, Part>,
    /// Whether anything was ever put in force: a source that has said nothing yet takes nothing away.
    is_in_force: bool,
    /// Whether the source has said which keys it has.
    was_read: bool,
}

#[derive(Clone, Debug, Default)]
struct Part {
    /// Tells one payload from another; nothing when it has to be looked at again anyway.
    seen: Option<u64>,
    /// What was last read as rules; nothing when the key has none.
    latest: Option<Arc<Good>>,
    in_force: Option<Arc<Good>>,
    /// What is wrong with the document itself.
    invalid: Option<Arc<SourceError>>,
    /// What keeps the latest rules from being in force.
    refused: Option<Arc<SourceError>>,
}

/// Rules that are valid.
#[derive(Debug)]
struct Good {
    rules: Rules,
    warnings: Arc<[Warning]>,
}

impl Part {
    fn error(&self) -> Option<&Arc<SourceError>> {
        self.invalid.as_ref().or(self.refused.as_ref())
    }

    fn status(&self, key: &str) -> DocumentStatus {
        DocumentStatus {
            key: key.to_owned(),
            rules: self.in_force.as_ref().map_or(0, |good| good.rules.len()),
            error: self.error().cloned(),
            warnings: self.in_force.as_ref().map(|good| Arc::clone(&good.warnings)).unwrap_or_default(),
        }
    }
}

/// What came of documents.
#[derive(Debug)]
pub(crate) struct Applied {
    /// Whether what is in force is another than before.
    pub(crate) changed: bool,
    /// What became of the documents that were given.
    pub(crate) outcomes: Vec<Outcome>,
    /// How many rules are in force.
    pub(crate) rules: usize,
    /// All documents that the source has, or that are in force.
    pub(crate) documents: Arc<[DocumentStatus]>,
    /// The first thing that is wrong.
    pub(crate) error: Option<Arc<SourceError>>,
    /// Whether valid rules could not be put in force beside others.
    pub(crate) is_refused: bool,
    /// Why what is in force is not on disk, where it should be.
    pub(crate) save_error: Option<Arc<SourceError>>,
}

impl Parts {
    pub(crate) fn new(source: String, max_size: usize, when_missing: WhenMissing) -> Self {
        Self { source, max_size, when_missing, parts: BTreeMap::new(), is_in_force: false, was_read: false }
    }

    /// Puts in force what is good of these documents, which are all that the source has; of a `whole`, all or nothing.
    pub(crate) fn apply(&mut self, sentinel: &Sentinel, documents: Vec<Document>, whole: bool) -> Applied {
        let keys: Vec<String> = documents.iter().map(|document| document.key.clone()).collect();
        let there: HashSet<&str> = keys.iter().map(String::as_str).collect();
        let gone: Vec<String> = self.parts.keys().filter(|key| !there.contains(&***key)).cloned().collect();
        for document in documents {
            self.read(document);
        }
        for key in gone {
            self.read(Document::missing(key));
        }
        self.was_read = true;
        let changed = self.put_in_force(sentinel, whole);
        self.parts
            .retain(|key, part| there.contains(key.as_str()) || part.in_force.is_some() || part.error().is_some());
        let outcome = |key: String| {
            let part = self.parts.get(&key);
            let result = match part.and_then(Part::error) {
                Some(error) => Err(Arc::clone(error)),
                None => Ok(part.and_then(|part| part.in_force.as_ref()).map_or(0, |good| good.rules.len())),
            };
            Outcome { key, result }
        };
        let outcomes = keys.iter().cloned().map(outcome).collect();
        self.applied(changed, outcomes)
    }

    /// Puts in force what a snapshot has, and then what is good of what the source has said.
    pub(crate) fn restore(&mut self, sentinel: &Sentinel, mut rules: BTreeMap<String, Rules>) -> Applied {
        if self.was_read && self.when_missing == WhenMissing::Clear {
            rules.retain(|key, _| {
                self.parts.get(key).is_some_and(|part| part.latest.is_some() || part.invalid.is_some())
            });
        }
        // Valid rules may be refused again, and then those of the snapshot are the last good ones.
        let news: Vec<(String, Arc<Good>)> = self
            .parts
            .iter_mut()
            .filter(|(_, part)| part.in_force.is_none())
            .filter_map(|(key, part)| Some((key.clone(), part.latest.take()?)))
            .collect();
        for (key, rules) in rules {
            let good = Good { rules, warnings: Arc::default() };
            self.parts.entry(key).or_default().latest.get_or_insert_with(|| Arc::new(good));
        }
        let restored = self.put_in_force(sentinel, false);
        for (key, latest) in news {
            self.parts.entry(key).or_default().latest = Some(latest);
        }
        let renewed = self.put_in_force(sentinel, false);
        self.applied(restored || renewed, Vec::new())
    }

    /// Tries again to put in force what was refused.
    pub(crate) fn again(&mut self, sentinel: &Sentinel) -> Applied {
        let changed = self.is_refused() && self.put_in_force(sentinel, false);
        self.applied(changed, Vec::new())
    }

    fn is_refused(&self) -> bool {
        self.parts.values().any(|part| part.refused.is_some())
    }

    fn applied(&self, changed: bool, outcomes: Vec<Outcome>) -> Applied {
        let documents: Arc<[DocumentStatus]> = self.parts.iter().map(|(key, part)| part.status(key)).collect();
        Applied {
            changed,
            outcomes,
            rules: documents.iter().map(|document| document.rules).sum(),
            documents,
            error: self.error(),
            is_refused: self.is_refused(),
            save_error: None,
        }
    }

    /// What is in force.
    pub(crate) fn in_force(&self) -> impl Iterator<Item = (&str, &Rules)> {
        self.parts.iter().filter_map(|(key, part)| Some((&**key, &part.in_force.as_ref()?.rules)))
    }

    /// The first thing that is wrong.
    fn error(&self) -> Option<Arc<SourceError>> {
        self.parts.values().find_map(Part::error).cloned()
    }

    fn read(&mut self, document: Document) {
        let Document { key, payload } = document;
        let (max, when_missing) = (self.max_size, self.when_missing);
        let part = self.parts.entry(key.clone()).or_default();
        let (bytes, encoding) = match payload {
            Payload::Text { bytes, .. } if bytes.len() > max => {
                let error = SourceError::TooLarge { key, size: bytes.len() as u64, max: max as u64 };
                return part.fail(error);
            }
            Payload::Text { bytes, encoding } => (bytes, encoding),
            Payload::Unusable(error) => return part.fail(error),
            Payload::Missing if when_missing == WhenMissing::Keep => return part.fail(SourceError::Missing { key }),
            Payload::Missing => {
                *part = Part { in_force: part.in_force.take(), ..Part::default() };
                return;
            }
        };
        let hash = {
            let mut hasher = DefaultHasher::new();
            bytes.hash(&mut hasher);
            hasher.finish()
        };
        if part.seen == Some(hash) {
            return;
        }
        match Rules::decode(&bytes, &encoding) {
            Ok(parsed) => {
                part.latest = Some(Arc::new(Good { rules: parsed.rules, warnings: parsed.warnings.into() }));
                part.invalid = None;
            }
            Err(error) => part.fail(SourceError::Document { key, error }),
        }
        part.seen = Some(hash);
    }

    /// Puts the latest rules of all keys in force, as far as they can be.
    fn put_in_force(&mut self, sentinel: &Sentinel, whole: bool) -> bool {
        let chosen = self.without_conflicts();
        if whole && self.error().is_some() {
            return false;
        }
        if self.is_in_force && self.parts.iter().all(|(key, part)| is_same(part.in_force.as_ref(), chosen.get(key))) {
            return false;
        }
        // A source none of whose documents was ever good has nothing to say yet.
        if !self.is_in_force && chosen.is_empty() && self.parts.values().any(|part| part.error().is_some()) {
            return false;
        }
        match self.replace(sentinel, &chosen) {
            Ok(()) => {
                self.keep(chosen);
                true
            }
            Err(error) if whole => {
                if let Some((key, part)) = self.parts.iter_mut().next() {
                    part.refused = Some(Arc::new(SourceError::Rules { key: key.clone(), error }));
                }
                false
            }
            Err(error) => self.put_in_force_in_part(sentinel, chosen, error),
        }
    }

    /// Where the rules of all keys together are refused, puts in force what is good beside what is in force already.
    fn put_in_force_in_part(
        &mut self,
        sentinel: &Sentinel,
        chosen: BTreeMap<String, Arc<Good>>,
        error: ReplaceError,
    ) -> bool {
        let (mut in_force, mut news) = (BTreeMap::new(), Vec::new());
        for (key, good) in chosen {
            let before = self.parts.get(&key).and_then(|part| part.in_force.clone());
            if !is_same(before.as_ref(), Some(&good)) {
                news.push((key.clone(), good));
            }
            in_force.extend(before.map(|before| (key, before)));
        }
        self.add_parts_of(sentinel, &news, error, &mut in_force);
        let changed = self.parts.iter().any(|(key, part)| !is_same(part.in_force.as_ref(), in_force.get(key)));
        // Also when nothing is left of what changed: the last attempt may have been one that was refused.
        if changed && self.replace(sentinel, &in_force).is_ok() {
            self.keep(in_force);
        }
        changed
    }

    /// Of these, which are refused beside others, puts in force what is taken: half by half, so that few attempts find the
    /// few of many that are to blame.
    fn add_parts_of(
        &mut self,
        sentinel: &Sentinel,
        refused: &[(String, Arc<Good>)],
        error: ReplaceError,
        others: &mut BTreeMap<String, Arc<Good>>,
    ) {
        if let [(key, _)] = refused {
            if let Some(part) = self.parts.get_mut(key) {
                part.refused = Some(Arc::new(SourceError::Rules { key: key.clone(), error }));
            }
            return;
        }
        let (first, second) = refused.split_at(refused.len() / 2);
        for half in [first, second].into_iter().filter(|half| !half.is_empty()) {
            let mut together = others.clone();
            together.extend(half.iter().cloned());
            match self.replace(sentinel, &together) {
                Ok(()) => *others = together,
                Err(error) => self.add_parts_of(sentinel, half, error, others),
            }
        }
    }

    fn replace(&self, sentinel: &Sentinel, chosen: &BTreeMap<String, Arc<Good>>) -> Result<(), ReplaceError> {
        let mut all = Rules::new();
        for good in chosen.values() {
            all.append(good.rules.clone());
        }
        sentinel.rules().replace(&self.source, all).map(drop)
    }

    fn keep(&mut self, chosen: BTreeMap<String, Arc<Good>>) {
        for part in self.parts.values_mut() {
            part.in_force = None;
        }
        for (key, good) in chosen {
            self.parts.entry(key).or_default().in_force = Some(good);
        }
        self.is_in_force = true;
    }

    /// The latest rules of each key; where they have a name that a key before has, those in force, else none.
    fn without_conflicts(&mut self) -> BTreeMap<String, Arc<Good>> {
        let mut names: HashMap<(&'static str, String), String> = HashMap::new();
        let mut chosen = BTreeMap::new();
        for (key, part) in &mut self.parts {
            part.refused = None;
            let candidates = match &part.latest {
                Some(latest) => [Some(Arc::clone(latest)), part.in_force.clone()],
                None => [None, None],
            };
            for good in candidates.into_iter().flatten() {
                let taken = good.rules.ids().find_map(|(family, id)| {
                    let other = names.get(&(family, id.to_owned()))?;
                    Some(SourceError::Conflict { key: key.clone(), other: other.clone(), family, id: id.to_owned() })
                });
                if let Some(conflict) = taken {
                    part.refused.get_or_insert_with(|| Arc::new(conflict));
                    continue;
                }
                names.extend(good.rules.ids().map(|(family, id)| ((family, id.to_owned()), key.clone())));
                chosen.insert(key.clone(), good);
                break;
            }
        }
        chosen
    }
}

impl Part {
    /// Keeps what is in force.
    fn fail(&mut self, error: SourceError) {
        self.seen = None;
        self.latest = self.in_force.clone();
        self.invalid = Some(Arc::new(error));
    }
}

fn is_same(one: Option<&Arc<Good>>, other: Option<&Arc<Good>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}
