//! The values that were called last.

use std::sync::Arc;

use hashbrown::HashTable;

use super::{limits::Limits, shard::Value};

/// Values that are looked at for one to forget.
const LOOKED_AT: usize = 8;

/// The values that were called last, as far as looking at a few at a time can tell: that keeps no order, which every call
/// would have to change.
///
/// One that is as good as new was not called for as long as its bucket takes to fill: such ones go first. Where there is
/// none, the one goes that was called least often. Not the one that has used least: that would always be the one that was
/// forgotten last, however often it comes, where the others are called once with many permits.
#[derive(Debug)]
pub(super) struct Recent {
    capacity: usize,
    /// The index of each value, by its key, which is a hash.
    places: HashTable<u32>,
    values: Vec<Place>,
    /// What is shown of each.
    texts: Vec<Arc<str>>,
    /// The place that is looked at next.
    hand: usize,
}

/// A value in a cache line of its own.
#[derive(Debug)]
#[repr(align(64))]
struct Place(Value);

impl Recent {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, places: HashTable::new(), values: Vec::new(), texts: Vec::new(), hand: 0 }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: u64) -> Option<&mut Value> {
        let is_its = |index: &u32| self.values.get(*index as usize).is_some_and(|place| place.0.key == key);
        let index = *self.places.find(key, is_its)?;
        self.values.get_mut(index as usize).map(|place| &mut place.0)
    }

    /// Adds a value that is not there, if there is room, or one can be forgotten for it, or the rule names it.
    pub(super) fn insert(&mut self, value: Value, text: impl FnOnce() -> Arc<str>, limits: &Limits, now: u64) -> bool {
        let key = value.key;
        let full = self.values.len() >= self.capacity;
        if let Some(index) = full.then(|| self.find(limits, now)).flatten()
            && let (Some(Place(known)), Some(shown)) = (self.values.get_mut(index), self.texts.get_mut(index))
        {
            if let Ok(forgotten) = self.places.find_entry(known.key, |place| *place == index as u32) {
                forgotten.remove();
            }
            *known = value;
            *shown = text();
            self.note(index, key);
            return true;
        }
        if full && !limits.names(key) {
            return false;
        }
        self.values.push(Place(value));
        self.texts.push(text());
        self.note(self.values.len() - 1, key);
        true
    }

    /// Notes where a value is, so that it is found by its key.
    fn note(&mut self, index: usize, key: u64) {
        let key_of = |index: &u32| self.values.get(*index as usize).map_or(0, |place| place.0.key);
        self.places.insert_unique(key, index as u32, key_of);
    }

    /// The index of a value to forget, among the next few.
    fn find(&mut self, limits: &Limits, now: u64) -> Option<usize> {
        let len = self.values.len();
        let looked_at = (0..len.min(LOOKED_AT)).map(|step| (self.hand + step) % len);
        let rank = |index: usize| Some((self.values.get(index)?.0.rank(limits, now)?, index));
        let found = looked_at.filter_map(rank).min();
        self.hand = (self.hand + LOOKED_AT) % len;
        found.map(|(_, index)| index)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Value, &Arc<str>)> {
        self.values.iter().zip(&self.texts).map(|(place, text)| (&place.0, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_fits_in_a_cache_line() {
        assert_eq!(size_of::<Place>(), 64);
    }
}
