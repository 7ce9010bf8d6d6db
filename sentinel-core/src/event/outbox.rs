//! News that are told one after the other, whoever makes them.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
};

use parking_lot::Mutex;

/// News that wait at most; of more, the oldest are dropped.
const MAX_WAITING: usize = 1_024;

/// News in the order in which they were put in.
///
/// They are told by one thread at a time, without a lock: who puts something in while another thread tells, or while it
/// tells itself, leaves it to that one. So whoever listens hears everything once and in order, and may do what makes
/// further news.
#[derive(Debug)]
pub(crate) struct Outbox<T>(Mutex<Waiting<T>>);

#[derive(Debug)]
struct Waiting<T> {
    news: VecDeque<T>,
    is_told: bool,
}

impl<T> Outbox<T> {
    /// Puts something in.
    pub(crate) fn put(&self, news: T) {
        let mut waiting = self.0.lock();
        if waiting.news.len() >= MAX_WAITING {
            waiting.news.pop_front();
        }
        waiting.news.push_back(news);
    }

    /// Tells everything that waits, unless that is being done. A listener that panics has been told.
    pub(crate) fn tell(&self, listener: impl Fn(&T)) {
        let mut is_mine = false;
        while let Some(news) = self.next(&mut is_mine) {
            shielded(|| listener(&news));
        }
    }

    /// What to tell next, if nobody else tells.
    fn next(&self, is_mine: &mut bool) -> Option<T> {
        let mut waiting = self.0.lock();
        if waiting.is_told != *is_mine {
            return None;
        }
        let next = waiting.news.pop_front();
        // That nothing waits, and that nobody tells any more, is one step: who puts in more begins anew.
        *is_mine = next.is_some();
        waiting.is_told = *is_mine;
        next
    }
}

impl<T> Default for Outbox<T> {
    fn default() -> Self {
        Self(Mutex::new(Waiting { news: VecDeque::new(), is_told: false }))
    }
}

/// Calls a listener. If it panics, the panic hook tells so, and that is all: what happened does not depend on it.
pub(crate) fn shielded(listener: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(listener));
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, thread};

    use super::*;

    #[test]
    fn what_a_listener_makes_is_told_after_what_was_there() {
        let outbox = Outbox::default();
        let heard = RefCell::new(Vec::new());
        outbox.put(1);
        outbox.put(2);
        outbox.tell(|news| {
            heard.borrow_mut().push(*news);
            if *news < 10 {
                outbox.put(news + 10);
                outbox.tell(|_| panic!("somebody tells already"));
            }
        });
        assert_eq!(heard.into_inner(), [1, 2, 11, 12]);
    }

    #[test]
    fn a_listener_that_panics_hears_the_rest() {
        let outbox = Outbox::default();
        (1..=3).for_each(|news| outbox.put(news));
        let heard = RefCell::new(Vec::new());
        outbox.tell(|news| {
            heard.borrow_mut().push(*news);
            assert_ne!(*news, 2, "cannot listen");
        });
        assert_eq!(heard.into_inner(), [1, 2, 3]);
    }

    #[test]
    fn of_too_many_the_oldest_are_dropped() {
        let outbox = Outbox::default();
        (0..MAX_WAITING + 5).for_each(|news| outbox.put(news));
        let heard = RefCell::new(Vec::new());
        outbox.tell(|news| heard.borrow_mut().push(*news));
        assert_eq!(heard.into_inner(), (5..MAX_WAITING + 5).collect::<Vec<_>>());
    }

    #[test]
    fn many_threads_tell_everything_once_and_each_threads_news_in_order() {
        let outbox = Outbox::default();
        let heard = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for thread in 0..4 {
                let (outbox, heard) = (&outbox, &heard);
                scope.spawn(move || {
                    for number in 0..200 {
                        outbox.put((thread, number));
                        outbox.tell(|news| heard.lock().push(*news));
                    }
                });
            }
        });
        let heard = heard.into_inner();
        assert_eq!(heard.len(), 800);
        for thread in 0..4 {
            let own: Vec<_> = heard.iter().filter(|(by, _)| *by == thread).map(|(_, number)| *number).collect();
            assert_eq!(own, (0..200).collect::<Vec<_>>());
        }
    }
}
