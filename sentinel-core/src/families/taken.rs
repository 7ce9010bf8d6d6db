use std::fmt;

use super::Checks;

/// What a call took so far from the rules of one family, each with the index of its rule.
///
/// Where one rule of the family is in force, as mostly, that is in place. Room for more stays when it is emptied, for
/// the next call that uses it.
pub(crate) struct Taken<F: Checks> {
    first: Option<(u16, F::Token)>,
    more: Vec<(u16, F::Token)>,
}

impl<F: Checks> Taken<F> {
    #[inline]
    pub(super) fn push(&mut self, rule: u16, token: F::Token) {
        if self.first.is_none() {
            self.first = Some((rule, token));
        } else {
            self.push_more(rule, token);
        }
    }

    #[inline(never)]
    fn push_more(&mut self, rule: u16, token: F::Token) {
        self.more.push((rule, token));
    }

    /// Hands everything over, what was taken last first.
    #[inline(always)]
    pub(super) fn take_all(&mut self, mut take: impl FnMut(u16, F::Token)) {
        if !self.more.is_empty() {
            self.take_more(&mut take);
        }
        if let Some((rule, token)) = self.first.take() {
            take(rule, token);
        }
    }

    #[inline(never)]
    fn take_more(&mut self, take: &mut impl FnMut(u16, F::Token)) {
        while let Some((rule, token)) = self.more.pop() {
            take(rule, token);
        }
    }

    /// What was taken last, left there.
    pub(super) fn last_mut(&mut self) -> Option<&mut (u16, F::Token)> {
        self.more.last_mut().or(self.first.as_mut())
    }

    #[inline]
    pub(super) fn clear(&mut self) {
        self.first = None;
        self.more.clear();
    }
}

impl<F: Checks> Default for Taken<F> {
    fn default() -> Self {
        Self { first: None, more: Vec::new() }
    }
}

impl<F: Checks> fmt::Debug for Taken<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.first).entries(&self.more).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Taken;
    use crate::families::shedding::Shedding;

    #[test]
    fn what_was_taken_last_is_handed_over_first_and_its_room_stays() {
        let mut taken = Taken::<Shedding>::default();
        for rules in [3, 1, 0] {
            (0..rules).for_each(|rule| taken.push(rule, ()));
            let mut handed_over = Vec::new();
            taken.take_all(|rule, ()| handed_over.push(rule));
            assert_eq!(handed_over, (0..rules).rev().collect::<Vec<_>>());
            assert!(taken.first.is_none() && taken.more.is_empty());
        }
        assert!(taken.more.capacity() >= 2);
    }
}
