use std::fmt;

use super::Checks;

/// What a call took so far from the rules of one family, each with the index of its rule.
///
/// Where one rule of the family is in force, as mostly, that is in place. Room for more stays when it is emptied, for
/// the next call that uses it.
pub(crate) struct Taken<F: Checks> {
    first: Option<F::Token>,
    /// The rule of the first one.
    rule: u16,
    more: Vec<(u16, Option<F::Token>)>,
}

impl<F: Checks> Taken<F> {
    /// Where to put what a call takes from this rule; where nothing is put, the place is that of the next rule.
    #[inline]
    pub(super) fn place(&mut self, rule: u16) -> &mut Option<F::Token> {
        if self.first.is_some() {
            return self.another_place(rule);
        }
        self.rule = rule;
        &mut self.first
    }

    #[inline(never)]
    fn another_place(&mut self, rule: u16) -> &mut Option<F::Token> {
        if !matches!(self.more.last(), Some((_, None))) {
            self.more.push((rule, None));
        }
        match self.more.last_mut() {
            Some(place) => {
                place.0 = rule;
                &mut place.1
            }
            None => &mut self.first,
        }
    }

    /// Hands everything over, what was taken last first.
    #[inline(always)]
    pub(super) fn take_all(&mut self, mut take: impl FnMut(u16, F::Token)) {
        if !self.more.is_empty() {
            self.take_more(&mut take);
        }
        if let Some(token) = self.first.take() {
            take(self.rule, token);
        }
    }

    /// Shows everything, what was taken last first, and forgets it. What is only shown stays where it is.
    #[inline(always)]
    pub(super) fn give_all(&mut self, mut give: impl FnMut(u16, &F::Token)) {
        if !self.more.is_empty() {
            self.take_more(&mut |rule, token| give(rule, &token));
        }
        if let Some(token) = &self.first {
            give(self.rule, token);
            self.first = None;
        }
    }

    #[inline(never)]
    fn take_more(&mut self, take: &mut impl FnMut(u16, F::Token)) {
        while let Some((rule, token)) = self.more.pop() {
            if let Some(token) = token {
                take(rule, token);
            }
        }
    }

    /// What was taken last, left there.
    pub(super) fn last_mut(&mut self) -> Option<(u16, &mut F::Token)> {
        match self.more.last_mut() {
            Some((rule, Some(token))) => Some((*rule, token)),
            _ => self.first.as_mut().map(|token| (self.rule, token)),
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none() && self.more.is_empty()
    }

    #[inline]
    pub(super) fn clear(&mut self) {
        self.first = None;
        self.more.clear();
    }
}

impl<F: Checks> Default for Taken<F> {
    fn default() -> Self {
        Self { first: None, rule: 0, more: Vec::new() }
    }
}

impl<F: Checks> fmt::Debug for Taken<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.first.as_ref().map(|token| (self.rule, token))).entries(&self.more).finish()
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
            (0..rules).for_each(|rule| *taken.place(rule) = Some(()));
            let mut handed_over = Vec::new();
            taken.take_all(|rule, ()| handed_over.push(rule));
            assert_eq!(handed_over, (0..rules).rev().collect::<Vec<_>>());
            assert!(taken.is_empty());
        }
        assert!(taken.more.capacity() >= 2);
    }

    #[test]
    fn a_place_where_nothing_was_put_is_that_of_the_next_rule() {
        let mut taken = Taken::<Shedding>::default();
        for rule in 0..8 {
            let place = taken.place(rule);
            if rule % 2 == 1 {
                *place = Some(());
                assert_eq!(taken.last_mut(), Some((rule, &mut ())));
            }
        }
        let mut handed_over = Vec::new();
        taken.take_all(|rule, ()| handed_over.push(rule));
        assert_eq!(handed_over, [7, 5, 3, 1]);
    }
}
