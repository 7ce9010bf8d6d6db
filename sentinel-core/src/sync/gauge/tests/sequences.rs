//! Random schedules against a model that is a list.

use std::collections::VecDeque;

use proptest::{collection::vec, prelude::*};

use super::*;

#[derive(Clone, Debug)]
enum Act {
    Acquire { permits: u32, room: u32, max_wait: u64 },
    Release(prop::sample::Index),
    Leave(prop::sample::Index),
    Stay(prop::sample::Index),
    SetLimit(u32),
    Advance(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        5 => (0..4_u32, 0..6_u32, 0..80_u64).prop_map(|(permits, room, max_wait)| Act::Acquire { permits, room, max_wait }),
        4 => any::<prop::sample::Index>().prop_map(Act::Release),
        2 => any::<prop::sample::Index>().prop_map(Act::Leave),
        2 => any::<prop::sample::Index>().prop_map(Act::Stay),
        1 => (0..6_u32).prop_map(Act::SetLimit),
        3 => (0..60_u64).prop_map(Act::Advance),
    ]
}

/// The reference: a list, and rules that are looked up each time. Times are in milliseconds.
#[derive(Debug, Default)]
struct Model {
    limit: u32,
    in_flight: u32,
    newest_first: bool,
    busy_since: u64,
    queue: VecDeque<Waiting>,
    /// Who came last when the queue was full, and how much room there was.
    guest: Option<(usize, usize)>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    number: usize,
    permits: u32,
    until: u64,
}

impl Model {
    fn is_overloaded(&self, now: u64) -> bool {
        self.newest_first && now - self.busy_since > 100
    }

    /// Serves who is next; says what was decided about whom.
    fn serve(&mut self, now: u64, decided: &mut Vec<(usize, Fate)>) {
        while let Some(&oldest) = self.queue.front() {
            let next = if self.is_overloaded(now) { self.queue[self.queue.len() - 1] } else { oldest };
            let (leaves, fate) = if oldest.until < now {
                (oldest, Fate::Refused)
            } else if next.permits > self.limit {
                (next, Fate::Refused)
            } else if self.in_flight + next.permits <= self.limit {
                self.in_flight += next.permits;
                (next, Fate::Granted)
            } else {
                return;
            };
            self.queue.retain(|waiting| waiting.number != leaves.number);
            decided.push((leaves.number, fate));
        }
    }

    fn acquire(&mut self, call: Waiting, room: u32, now: u64) -> Vec<(usize, Fate)> {
        let mut decided = Vec::new();
        if call.permits == 0 || self.queue.is_empty() && self.in_flight + call.permits <= self.limit {
            self.in_flight += call.permits;
            return vec![(call.number, Fate::Granted)];
        }
        // Whoever finds the queue full does not look whether some in it are too late.
        let is_full = !self.newest_first && self.queue.len() >= room as usize;
        if room == 0 || call.permits > self.limit || is_full {
            return vec![(call.number, Fate::Refused)];
        }
        self.serve(now, &mut decided);
        let room = room as usize;
        if self.queue.len() >= room {
            if !self.is_overloaded(now) {
                decided.push((call.number, Fate::Refused));
                return decided;
            }
            let before = self.guest.replace((call.number, room)).map(|(number, _)| number);
            if self.queue.len() > room && self.queue.iter().any(|waiting| Some(waiting.number) == before) {
                self.queue.retain(|waiting| Some(waiting.number) != before);
                decided.extend(before.map(|number| (number, Fate::Refused)));
            }
        }
        if self.queue.is_empty() {
            self.busy_since = now;
        }
        self.queue.push_back(call);
        self.serve(now, &mut decided);
        decided
    }

    fn stay(&mut self, number: usize, now: u64) -> Vec<(usize, Fate)> {
        let mut decided = Vec::new();
        let Some((_, room)) = self.guest.take_if(|(guest, _)| *guest == number) else { return decided };
        if self.queue.len() > room {
            let oldest = self.queue.pop_front().expect("he stays himself");
            decided.push((oldest.number, Fate::Refused));
            self.serve(now, &mut decided);
        }
        decided
    }
}

/// What became of one call.
#[derive(Debug)]
enum Call {
    Waiting(Arc<Waiter>),
    Inside(u32),
    Gone,
}

fn play(limit: u32, newest_first: bool, acts: &[Act]) {
    let gauge = Gauge::new(limit);
    let mut model = Model { limit, newest_first, ..Model::default() };
    let mut calls: Vec<Call> = Vec::new();
    let mut now = 0;
    for act in acts {
        let mut decided = Vec::new();
        match act {
            Act::Acquire { permits, room, max_wait } => {
                let limits = QueueLimits { room: *room, max_wait: max_wait * MILLI, newest_first };
                let call = Waiting { number: calls.len(), permits: *permits, until: now + max_wait };
                decided = model.acquire(call, *room, now);
                let own = decided.iter().find(|(number, _)| *number == calls.len()).map(|(_, fate)| *fate);
                let call = match gauge.acquire(*permits, now * MILLI, &limits) {
                    Asked::Queued(waiter) => Call::Waiting(waiter),
                    Asked::Granted => Call::Inside(*permits),
                    Asked::Refused => Call::Gone,
                };
                let fate = match &call {
                    Call::Waiting(_) => None,
                    Call::Inside(_) => GRANTED,
                    Call::Gone => REFUSED,
                };
                assert_eq!(fate, own);
                calls.push(call);
            }
            Act::Release(which) => {
                let inside: Vec<_> = (0..calls.len()).filter(|n| matches!(calls[*n], Call::Inside(_))).collect();
                if inside.is_empty() {
                    continue;
                }
                let Call::Inside(permits) = std::mem::replace(&mut calls[*which.get(&inside)], Call::Gone) else {
                    unreachable!("only those inside were listed");
                };
                gauge.release(permits, now * MILLI);
                model.in_flight -= permits;
                model.serve(now, &mut decided);
            }
            Act::Leave(which) => {
                let waiting: Vec<_> = (0..calls.len()).filter(|n| matches!(calls[*n], Call::Waiting(_))).collect();
                if waiting.is_empty() {
                    continue;
                }
                let number = *which.get(&waiting);
                let Call::Waiting(waiter) = std::mem::replace(&mut calls[number], Call::Gone) else {
                    unreachable!("only those waiting were listed");
                };
                gauge.leave(&waiter, now * MILLI);
                model.queue.retain(|waiting| waiting.number != number);
                model.serve(now, &mut decided);
            }
            Act::Stay(which) => {
                let waiting = calls.iter().enumerate().filter_map(|(number, call)| match call {
                    Call::Waiting(waiter) => Some((number, waiter)),
                    Call::Inside(_) | Call::Gone => None,
                });
                let waiting: Vec<_> = waiting.collect();
                if waiting.is_empty() {
                    continue;
                }
                let (number, waiter) = *which.get(&waiting);
                gauge.stay(waiter, now * MILLI);
                decided = model.stay(number, now);
            }
            Act::SetLimit(limit) => {
                set_limit(&gauge, *limit, now * MILLI);
                model.limit = *limit;
                model.serve(now, &mut decided);
            }
            Act::Advance(by) => now += by,
        }
        for (number, call) in calls.iter_mut().enumerate() {
            let Call::Waiting(waiter) = call else { continue };
            let fate = decided.iter().find(|(decided, _)| *decided == number).map(|(_, fate)| *fate);
            assert_eq!(waiter.fate(), fate, "call {number} after {act:?}");
            match fate {
                Some(Fate::Granted) => *call = Call::Inside(waiter.permits()),
                Some(Fate::Refused) => *call = Call::Gone,
                None => {}
            }
        }
        let inside = calls.iter().map(|call| if let Call::Inside(permits) = call { *permits } else { 0 }).sum::<u32>();
        assert_eq!((gauge.in_flight(), gauge.waiting() as usize), (inside, model.queue.len()));
        assert_eq!((inside, gauge.limit()), (model.in_flight, model.limit));
    }
}

proptest! {
    #[test]
    fn any_schedule_serves_as_a_list_would(limit in 0..6_u32, newest_first: bool, acts in vec(act(), 1..200)) {
        play(limit, newest_first, &acts);
    }
}
