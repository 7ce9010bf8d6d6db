//! Some of the values of a rule.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::FixedState;

use super::{
    known::Known,
    limits::Limits,
    meter::{Law, Limit, Meter, Refusal, Taken},
    rule::ValueCache,
    traffic::Traffic,
};
use crate::call::Arg;

/// Characters of a value that are kept.
const MAX_SHOWN: usize = 64;
/// The number of the state that values share which find no room.
const SHARED: u32 = 0;

/// Some of the values of a rule; changed under a lock, so that no call takes from a value that is being forgotten.
#[derive(Debug)]
pub(super) struct Shard {
    known: Known,
    /// What values share that find no room.
    others: Value,
    /// The permits inside of each value that shares, so that it gets no state of its own while some of its calls are
    /// counted there.
    sharing: HashMap<u64, u64, FixedState>,
    /// The number of the last value that came.
    last: u32,
}

/// What is known of a value: as much as a cache line holds.
#[derive(Debug)]
pub(super) struct Value {
    pub(super) meter: Meter,
    pub(super) traffic: Traffic,
    pub(super) key: u64,
    /// How often it was called.
    calls: u32,
}

/// What a call asks of a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'a> {
    pub(super) key: u64,
    pub(super) arg: Arg<'a>,
    /// The limit of the value.
    pub(super) limit: Limit,
    /// At least one.
    pub(super) permits: u32,
    pub(super) now: u64,
}

/// What a call took of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(super) key: u64,
    number: u32,
    permits: u32,
    taken: Taken,
}

impl Shard {
    pub(super) fn new(cache: ValueCache, capacity: usize, law: Law) -> Self {
        let sharing = HashMap::with_hasher(FixedState::default());
        Self { known: Known::new(cache, capacity, law), others: Value::new(0, SHARED), sharing, last: SHARED }
    }

    /// Takes permits of a value. Returns the nanoseconds until the call may go on as well.
    #[inline]
    pub(super) fn take(&mut self, ask: &Ask<'_>, limits: &Limits) -> Result<(Token, u64), Refusal> {
        match self.known.with(ask.key, ask.limit, |value| value.take(ask, &limits.law, ask.limit)) {
            Some(answer) => answer,
            None => self.admit(*ask, limits),
        }
    }

    /// Makes a value known that is not, if it finds room.
    // By value, so that the others need not have it in memory.
    #[cold]
    fn admit(&mut self, ask: Ask<'_>, limits: &Limits) -> Result<(Token, u64), Refusal> {
        let ask = &ask;
        if !self.sharing.contains_key(&ask.key) {
            self.last = self.last.wrapping_add(1).max(SHARED + 1);
            let mut value = Value::new(ask.key, self.last);
            let answer = value.take(ask, &limits.law, ask.limit);
            if self.known.insert(value, || shown(&ask.arg), limits, ask.now) {
                return answer;
            }
        }
        let taken = self.others.take(ask, &limits.law, limits.rule)?;
        if limits.law == Law::Inside {
            *self.sharing.entry(ask.key).or_default() += u64::from(ask.permits);
        }
        Ok(taken)
    }

    /// Takes back what a call took, unless its value was forgotten meanwhile.
    pub(super) fn give_back(&mut self, token: &Token, limits: &Limits, now: u64) {
        if token.number == SHARED {
            self.others.give_back(token, &limits.law, limits.rule, now);
            if let Some(inside) = self.sharing.get_mut(&token.key) {
                *inside = inside.saturating_sub(token.permits.into());
                if *inside == 0 {
                    self.sharing.remove(&token.key);
                }
            }
            return;
        }
        self.known.peek(token.key, |value| {
            if value.meter.number == token.number {
                value.give_back(token, &limits.law, limits.of(token.key), now);
            }
        });
    }

    /// Whether forgetting all values at `now` would lose nothing.
    pub(super) fn is_idle(&self, law: &Law, now: u64) -> bool {
        self.others.meter.is_new(law, now) && self.values().all(|(value, _)| value.meter.is_new(law, now))
    }

    /// The values that have a state of their own, and what is shown of them.
    pub(super) fn values(&self) -> impl Iterator<Item = (&Value, &Arc<str>)> {
        self.known.iter()
    }

    /// What values share that find no room.
    pub(super) fn others(&self) -> &Value {
        &self.others
    }
}

impl Value {
    fn new(key: u64, number: u32) -> Self {
        Self { meter: Meter::new(number), traffic: Traffic::default(), key, calls: 0 }
    }

    #[inline(always)]
    fn take(&mut self, ask: &Ask<'_>, law: &Law, limit: Limit) -> Result<(Token, u64), Refusal> {
        let Ask { key, permits, now, .. } = *ask;
        let taken = if u64::from(permits) <= limit.capacity {
            self.meter.take(law, limit, now, permits.into())
        } else {
            Err(limit.never())
        };
        self.traffic.count(now, permits, taken.is_ok());
        self.calls = self.calls.saturating_add(1);
        taken.map(|(taken, wait)| (Token { taken, key, number: self.meter.number, permits }, wait))
    }

    /// For one to forget: the sooner, the less that gives back in the long run. That is nothing where it is as good as
    /// new; else the more, the more often it is called, as it will come again and use anew; then, the more it has used.
    /// Of several, the one that was admitted longest ago. Nothing where it must not be forgotten.
    pub(super) fn rank(&self, limits: &Limits, now: u64) -> Option<(u32, u128, u64)> {
        let lost = self.meter.given_back_if_forgotten(&limits.law, limits.of(self.key), now)?;
        Some((if lost == 0 { 0 } else { self.calls }, lost, self.meter.at()))
    }

    fn give_back(&mut self, token: &Token, law: &Law, limit: Limit, now: u64) {
        self.meter.give_back(law, limit, now, token.permits.into(), token.taken);
    }
}

/// A value as text, cut to what is kept.
fn shown(arg: &Arg<'_>) -> Arc<str> {
    match arg {
        Arg::Text(text) => cut(text),
        Arg::Bytes(bytes) => {
            let escaped = bytes.iter().take(MAX_SHOWN + 1).flat_map(|byte| byte.escape_ascii());
            cut(&escaped.map(char::from).collect::<String>())
        }
        Arg::Integer(value) => value.to_string().into(),
        Arg::Bool(value) => value.to_string().into(),
        Arg::Float(value) => cut(&value.to_string()),
    }
}

fn cut(text: &str) -> Arc<str> {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()).into(),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shown_as_text_that_is_cut() {
        assert_eq!(&*shown(&Arg::Integer(-7)), "-7");
        assert_eq!(&*shown(&Arg::Float(0.5)), "0.5");
        assert_eq!(&*shown(&Arg::Bool(true)), "true");
        assert_eq!(&*shown(&Arg::Bytes(b"a\0\xff")), "a\\x00\\xff");
        assert_eq!(&*shown(&Arg::Text("é")), "é");
        for long in [Arg::Text(&"é".repeat(65)), Arg::Bytes(&[7; 1_000]), Arg::Float(f64::MAX)] {
            assert_eq!(shown(&long).chars().count(), MAX_SHOWN + 1, "{long:?}");
        }
    }
}
