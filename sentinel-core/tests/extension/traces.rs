//! Random rules and calls: what is told is what is counted, and who only looks on changes nothing.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};
use sentinel_core::{AuthorityRule, Entry, Reservation};

use super::*;

const RESOURCES: [&str; 2] = ["a", "b"];

#[derive(Clone, Debug)]
enum Act {
    Enter {
        resource: usize,
        permits: u32,
        prioritized: bool,
        waits: bool,
        origin: &'static str,
    },
    /// Resumes a call that waits, or gives up.
    Resume(usize),
    GiveUp(usize),
    /// Ends a call.
    End(usize, u8),
    Advance(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let origin = prop::sample::select(vec!["", "web", "bad"]);
    let enter = (0..RESOURCES.len(), 0..4_u32, any::<bool>(), any::<bool>(), origin);
    let act = prop_oneof![
        5 => enter.prop_map(|(resource, permits, prioritized, waits, origin)| {
            Act::Enter { resource, permits, prioritized, waits, origin }
        }),
        2 => any::<usize>().prop_map(Act::Resume),
        1 => any::<usize>().prop_map(Act::GiveUp),
        3 => (any::<usize>(), 0..3_u8).prop_map(|(call, how)| Act::End(call, how)),
        2 => (0..400_u64).prop_map(Act::Advance),
    ];
    vec(act, 1..80)
}

fn rules() -> impl Strategy<Value = Rules> {
    let flow = (0..6_u32, 0..4_u8, any::<bool>()).prop_map(|(threshold, kind, dry_run)| {
        let rule = FlowRule::new(if kind == 0 { "*" } else { "a" }, f64::from(threshold));
        let rule = if kind == 1 { rule.throttle(Duration::from_millis(700)) } else { rule };
        if dry_run { rule.dry_run() } else { rule }
    });
    let isolation = (0..6_u32, 0..3_u32, any::<bool>()).prop_map(|(threshold, waiting, dry_run)| {
        let rule = IsolationRule::new("a", threshold);
        let rule = if waiting > 0 { rule.queue(waiting, Duration::from_millis(300)) } else { rule };
        if dry_run { rule.dry_run() } else { rule }
    });
    let authority = prop::option::of(any::<bool>().prop_map(|dry_run| {
        let rule = AuthorityRule::deny("b", ["bad"]);
        if dry_run { rule.dry_run() } else { rule }
    }));
    (vec(flow, 0..3), vec(isolation, 0..2), authority)
        .prop_map(|(flow, isolation, authority)| Rules::new().flow(flow).isolation(isolation).authority(authority))
}

/// What is going on in an instance.
struct World {
    clock: ManualClock,
    sentinel: Sentinel,
    waiting: Vec<Reservation>,
    inside: Vec<Entry>,
}

impl World {
    fn new(builder: Builder, rules: Rules) -> Self {
        let (clock, sentinel) = build(builder.seed(1), rules);
        Self { clock, sentinel, waiting: Vec::new(), inside: Vec::new() }
    }

    /// Acts, and says what came of it.
    fn act(&mut self, act: &Act) -> String {
        match *act {
            Act::Enter { resource, permits, prioritized, waits, origin } => {
                let call = Call::new().count(permits).origin(origin);
                let call = if prioritized { call.prioritized() } else { call };
                let decision = self.sentinel.enter_with(RESOURCES[resource], &call);
                if waits {
                    return self.keep(decision);
                }
                match decision.immediately() {
                    Ok(entry) => self.keep(Decision::Admit(entry)),
                    Err(blocked) => self.keep(Decision::Block(blocked)),
                }
            }
            Act::Resume(index) if !self.waiting.is_empty() => {
                let reservation = self.waiting.remove(index % self.waiting.len());
                self.keep(reservation.resume())
            }
            Act::GiveUp(index) if !self.waiting.is_empty() => {
                drop(self.waiting.remove(index % self.waiting.len()));
                "gave up".to_owned()
            }
            Act::End(index, how) if !self.inside.is_empty() => {
                let mut entry = self.inside.remove(index % self.inside.len());
                match how {
                    0 => {}
                    1 => entry.fail(),
                    _ => entry.ignore(),
                }
                "ended".to_owned()
            }
            Act::Advance(millis) => {
                self.clock.advance(Duration::from_millis(millis));
                "later".to_owned()
            }
            _ => "nothing".to_owned(),
        }
    }

    fn keep(&mut self, decision: Decision) -> String {
        match decision {
            Decision::Admit(entry) => {
                self.inside.push(entry);
                "admitted".to_owned()
            }
            Decision::Wait(reservation) => {
                let told = format!("waits for {:?}", reservation.delay());
                self.waiting.push(reservation);
                told
            }
            Decision::Block(blocked) => blocked.to_string(),
        }
    }

    /// What is counted, by resource.
    fn counted(&self) -> BTreeMap<String, Counts> {
        let counted = self.sentinel.snapshot().resources.into_iter().map(|resource| {
            let totals = resource.statistics.totals;
            let counts = [totals.pass, totals.block, totals.complete, totals.error, totals.ignored];
            (resource.name.to_string(), counts)
        });
        counted.filter(|(_, counts)| *counts != [0; 5]).collect()
    }
}

/// Pass, block, complete, error, ignored.
type Counts = [u64; 5];

/// Counts what it is told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<BTreeMap<String, Counts>>>);

impl Told {
    fn add(&self, resource: &str, permits: u32, which: &[usize]) {
        if permits > 0 {
            let mut told = self.0.lock().expect("no test panics under it");
            let counts = told.entry(resource.to_owned()).or_default();
            which.iter().for_each(|index| counts[*index] += u64::from(permits));
        }
    }
}

impl Observer for Told {
    fn passed(&self, attempt: &Attempt<'_>) {
        self.add(attempt.resource.name, attempt.call.permits(), &[0]);
    }

    fn blocked(&self, attempt: &Attempt<'_>, _blocked: &Blocked) {
        self.add(attempt.resource.name, attempt.call.permits(), &[1]);
    }

    fn ended(&self, ended: &Ended<'_>) {
        let also: &[usize] = match ended.outcome {
            Outcome::Error => &[2, 3],
            Outcome::Ignored => &[2, 4],
            _ => &[2],
        };
        self.add(ended.resource.name, ended.permits, also);
    }
}

/// Checks at every place, each of which counts what is held of it; one in `refuses` of their answers refuses.
fn everywhere(mut builder: Builder, held: &Arc<AtomicU32>, refuses: Option<u32>) -> Builder {
    const NAMES: [&str; 4] = ["first", "before flow", "behind flow", "last"];
    const PLACES: [Position; 4] = [Position::First, Position::Before("flow"), Position::After("flow"), Position::Last];
    let asked = Arc::new(AtomicU32::new(0));
    for (name, position) in NAMES.into_iter().zip(PLACES) {
        let (held, asked) = (Arc::clone(held), Arc::clone(&asked));
        let check = ask(name, move |_| {
            let number = asked.fetch_add(1, SeqCst);
            if refuses.is_some_and(|refuses| number % refuses == 0) {
                return Refusal::new().into();
            }
            held.fetch_add(1, SeqCst);
            CheckAnswer::hold(GiveBack(Arc::clone(&held)))
        });
        builder = builder.check(position, check);
    }
    builder
}

proptest! {
    #[test]
    fn checks_that_let_pass_and_observers_change_no_decision(rules in rules(), acts in acts()) {
        let held = Arc::new(AtomicU32::new(0));
        let builder = everywhere(Sentinel::builder(), &held, None).observer(Told::default());
        let (mut with, mut without) = (World::new(builder, rules.clone()), World::new(Sentinel::builder(), rules));
        for act in &acts {
            prop_assert_eq!(with.act(act), without.act(act));
        }
        prop_assert_eq!(with.counted(), without.counted());
        let would_block = |world: &World| {
            let resources = world.sentinel.snapshot().resources;
            resources.into_iter().flat_map(|resource| resource.rules).map(|rule| rule.would_block).collect::<Vec<_>>()
        };
        prop_assert_eq!(would_block(&with), would_block(&without));
    }

    #[test]
    fn what_is_told_is_what_is_counted_and_what_is_held_comes_back(
        rules in rules(),
        acts in acts(),
        refuses in prop::option::of(1..20_u32),
    ) {
        let (held, told) = (Arc::new(AtomicU32::new(0)), Told::default());
        let mut world = World::new(everywhere(Sentinel::builder().observer(told.clone()), &held, refuses), rules);
        for act in &acts {
            world.act(act);
            prop_assert_eq!(&world.counted(), &*told.0.lock().expect("no test panics under it"));
        }
        world.waiting.clear();
        let inside = u32::try_from(world.inside.len()).expect("they are few");
        prop_assert_eq!(held.load(SeqCst), 4 * inside);
        world.inside.clear();
        prop_assert_eq!(held.load(SeqCst), 0);
        prop_assert_eq!(&world.counted(), &*told.0.lock().expect("no test panics under it"));
    }
}
