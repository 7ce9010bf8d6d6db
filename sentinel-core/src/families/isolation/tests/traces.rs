//! Random traces through the public API against a reference that is a list.

use super::*;

#[derive(Clone, Debug)]
enum Act {
    Enter { permits: u32, origin: usize },
    End(prop::sample::Index),
    Resume(prop::sample::Index),
    GiveUp(prop::sample::Index),
    Advance(u64),
    Reload { threshold: u32, room: u32 },
}

const ORIGINS: [&str; 3] = ["", "web", "mobile"];

fn act() -> impl Strategy<Value = Act> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => (0..4_u32, 0..3_usize).prop_map(|(permits, origin)| Act::Enter { permits, origin }),
        3 => index().prop_map(Act::End),
        3 => index().prop_map(Act::Resume),
        1 => index().prop_map(Act::GiveUp),
        3 => (0..60_u64).prop_map(Act::Advance),
        1 => (0..5_u32, 0..4_u32).prop_map(|(threshold, room)| Act::Reload { threshold, room }),
    ]
}

/// The reference: all calls that are about a rule, in the order of coming. Times are in milliseconds.
#[derive(Debug)]
struct Model {
    threshold: u32,
    room: u32,
    newest_first: bool,
    busy_since: u64,
    calls: Vec<Known>,
    /// The call that came last when the queue was full, until it asks again; and how much room there was.
    guest: Option<(usize, usize)>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    number: usize,
    permits: u32,
    until: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Waiting,
    Holding,
    Refused,
}

/// Longest wait.
const WAIT: u64 = 150;

impl Model {
    fn in_flight(&self) -> u32 {
        self.calls.iter().filter(|call| call.state == State::Holding).map(|call| call.permits).sum()
    }

    fn waiting(&self) -> Vec<usize> {
        (0..self.calls.len()).filter(|index| self.calls[*index].state == State::Waiting).collect()
    }

    fn is_overloaded(&self, now: u64) -> bool {
        self.newest_first && now - self.busy_since > 100
    }

    fn serve(&mut self, now: u64) {
        while let (Some(&oldest), Some(&newest)) = (self.waiting().first(), self.waiting().last()) {
            let next = if self.is_overloaded(now) { newest } else { oldest };
            if self.calls[oldest].until < now {
                self.calls[oldest].state = State::Refused;
            } else if self.calls[next].permits > self.threshold {
                self.calls[next].state = State::Refused;
            } else if self.in_flight() + self.calls[next].permits <= self.threshold {
                self.calls[next].state = State::Holding;
            } else {
                return;
            }
        }
    }

    /// What becomes of a call at once.
    fn enter(&mut self, number: usize, permits: u32, now: u64) -> State {
        let fits = self.in_flight() + permits <= self.threshold;
        let mut state = State::Waiting;
        if permits == 0 || (fits && self.waiting().is_empty()) {
            state = State::Holding;
        } else if self.room == 0
            || permits > self.threshold
            || (!self.newest_first && self.waiting().len() >= self.room as usize)
        {
            state = State::Refused;
        } else {
            self.serve(now);
            let (waiting, room) = (self.waiting(), self.room as usize);
            if waiting.len() >= room {
                if self.is_overloaded(now) {
                    let before = self.guest.replace((number, room)).map(|(number, _)| number);
                    let before = waiting.iter().find(|index| Some(self.calls[**index].number) == before);
                    if let Some(index) = before.filter(|_| waiting.len() > room) {
                        self.calls[*index].state = State::Refused;
                    }
                } else {
                    state = State::Refused;
                }
            }
        }
        if state == State::Waiting && self.waiting().is_empty() {
            self.busy_since = now;
        }
        self.calls.push(Known { number, permits, until: now + WAIT, state });
        if state == State::Waiting {
            self.serve(now);
        }
        self.calls[self.calls.len() - 1].state
    }

    /// A call that waits asks again.
    fn stay(&mut self, number: usize, now: u64) {
        let Some((_, room)) = self.guest.take_if(|(guest, _)| *guest == number) else { return };
        let waiting = self.waiting();
        if waiting.len() > room {
            self.calls[waiting[0]].state = State::Refused;
            self.serve(now);
        }
    }

    /// Ends a call, whatever it does; says what that was.
    fn remove(&mut self, number: usize, now: u64) -> Option<State> {
        let index = self.calls.iter().position(|call| call.number == number)?;
        let call = self.calls.remove(index);
        if call.state != State::Refused {
            self.serve(now);
        }
        Some(call.state)
    }

    fn state(&self, number: usize) -> Option<State> {
        self.calls.iter().find(|call| call.number == number).map(|call| call.state)
    }
}

fn rule(origin: usize, threshold: u32, room: u32, newest_first: bool) -> IsolationRule {
    let mut rule = IsolationRule::new("r", threshold).id("one");
    if origin > 0 {
        rule = rule.for_origin(ORIGINS[origin]);
    }
    if room > 0 {
        rule = rule.queue(room, Duration::from_millis(WAIT));
        rule = if newest_first { rule.newest_first() } else { rule };
    }
    rule
}

fn replay(only: usize, threshold: u32, room: u32, newest_first: bool, acts: &[Act]) {
    let (clock, sentinel) = under([rule(only, threshold, room, newest_first)]);
    let mut model = Model { threshold, room, newest_first, busy_since: 0, calls: Vec::new(), guest: None };
    let mut entries: Vec<(usize, Entry)> = Vec::new();
    let mut waiting: Vec<(usize, Reservation)> = Vec::new();
    let mut now = 0;
    for (number, act) in acts.iter().enumerate() {
        match act {
            Act::Enter { permits, origin } => {
                let call = Call::new().count(*permits).origin(ORIGINS[*origin]);
                let is_meant = only == 0 || only == *origin;
                let expected = if is_meant { model.enter(number, *permits, now) } else { State::Holding };
                match (sentinel.enter_with("r", &call), expected) {
                    (Decision::Admit(entry), State::Holding) => entries.push((number, entry)),
                    (Decision::Wait(reservation), State::Waiting) => waiting.push((number, reservation)),
                    (Decision::Block(blocked), State::Refused) => {
                        assert_eq!(blocked.observed(), f64::from(model.in_flight()));
                        assert_eq!(blocked.retry_after().is_none(), *permits > model.threshold);
                    }
                    other => panic!("{other:?}"),
                }
            }
            Act::End(which) if !entries.is_empty() => {
                let (number, entry) = entries.swap_remove(which.index(entries.len()));
                drop(entry);
                model.remove(number, now);
            }
            Act::GiveUp(which) if !waiting.is_empty() => {
                let (number, reservation) = waiting.swap_remove(which.index(waiting.len()));
                drop(reservation);
                model.remove(number, now);
            }
            Act::Resume(which) if !waiting.is_empty() => {
                let (number, reservation) = waiting.swap_remove(which.index(waiting.len()));
                let until = model.calls.iter().find(|call| call.number == number).map_or(0, |call| call.until);
                let mut expected = model.state(number);
                if expected == Some(State::Waiting) && until <= now {
                    expected = Some(State::Refused);
                }
                if expected == Some(State::Waiting) {
                    model.stay(number, now);
                }
                match (reservation.resume(), expected) {
                    (Decision::Admit(entry), Some(State::Holding)) => entries.push((number, entry)),
                    (Decision::Wait(reservation), Some(State::Waiting)) => waiting.push((number, reservation)),
                    (Decision::Block(_), Some(State::Refused)) => drop(model.remove(number, now)),
                    other => panic!("{other:?}"),
                }
            }
            Act::Advance(millis) => {
                clock.advance(Duration::from_millis(*millis));
                now += millis;
            }
            Act::Reload { threshold, room } => {
                // Without a queue, nobody asks in which order it is served: the order of before holds.
                put(&sentinel, [rule(only, *threshold, *room, newest_first)]);
                // A rule that is as it was is left alone.
                if (model.threshold, model.room) != (*threshold, *room) {
                    (model.threshold, model.room) = (*threshold, *room);
                    model.serve(now);
                }
            }
            Act::End(_) | Act::GiveUp(_) | Act::Resume(_) => {}
        }
        let held: u32 = entries.iter().map(|(_, entry)| entry.permits()).sum();
        assert_eq!(sentinel.resource("r").in_flight(), u64::from(held));
    }
    drop((entries, waiting));
    let threshold = model.threshold;
    let call = Call::new().count(threshold).origin(ORIGINS[only]);
    assert!(enter_as(&sentinel, &call).is_ok(), "in the end all permits are free");
    assert_eq!(sentinel.resource("r").in_flight(), 0);
}

proptest! {
    #[test]
    fn any_trace_goes_as_a_list_would(
        only in 0..2_usize,
        threshold in 0..5_u32,
        room in 0..4_u32,
        newest_first: bool,
        acts in vec(act(), 1..100),
    ) {
        replay(only, threshold, room, newest_first, &acts);
    }
}
