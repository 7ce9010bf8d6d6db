//! Checks and observers of one's own: they stand where they were put, see everything once, and whatever they do, what a
//! call took comes back once.

#[path = "extension/panics.rs"]
mod panics;
#[path = "extension/traces.rs"]
mod traces;

use std::{
    fmt,
    future::{Future as _, pending},
    pin::pin,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    task::{Context, Waker},
    time::Duration,
};

use sentinel_core::{
    Attempt, Blocked, BuildError, Builder, Call, CheckAnswer, CustomCheck, Decision, Ended, FAMILIES, FlowRule, Held,
    IsolationRule, Kind, ManualClock, Observer, Outcome, Position, Refusal, Rules, Sentinel, Target,
};

/// A check made of a closure.
struct Ask<F>(&'static str, F);

impl<F: Fn(&Attempt<'_>) -> CheckAnswer + Send + Sync + 'static> CustomCheck for Ask<F> {
    fn name(&self) -> &'static str {
        self.0
    }

    fn check(&self, attempt: &Attempt<'_>) -> CheckAnswer {
        (self.1)(attempt)
    }
}

fn ask<F: Fn(&Attempt<'_>) -> CheckAnswer + Send + Sync + 'static>(name: &'static str, answer: F) -> Ask<F> {
    Ask(name, answer)
}

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, line: impl Into<String>) {
        self.0.lock().expect("no test panics under it").push(line.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no test panics under it"))
    }

    /// Something to hold, which says what became of it.
    fn held(&self, name: &'static str) -> CheckAnswer {
        CheckAnswer::hold(Logged { log: self.clone(), name })
    }

    /// A check that writes its name and lets calls hold something.
    fn check(&self, name: &'static str) -> impl CustomCheck + use<> {
        let log = self.clone();
        ask(name, move |_| {
            log.add(name);
            log.held(name)
        })
    }
}

struct Logged {
    log: Log,
    name: &'static str,
}

impl Held for Logged {
    fn end(self: Box<Self>, ended: &Ended<'_>) {
        self.log.add(format!("{} ends {:?} after {:?}", self.name, ended.outcome, ended.response_time));
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        self.log.add(format!("{} dropped", self.name));
    }
}

impl Observer for Log {
    fn passed(&self, attempt: &Attempt<'_>) {
        self.add(format!("passed {} x{}", attempt.resource.name, attempt.call.permits()));
    }

    fn blocked(&self, attempt: &Attempt<'_>, blocked: &Blocked) {
        self.add(format!("blocked {} by {}", attempt.resource.name, blocked.family()));
    }

    fn ended(&self, ended: &Ended<'_>) {
        self.add(format!("ended {} x{} {:?}", ended.resource.name, ended.permits, ended.outcome));
    }
}

fn build(builder: Builder, rules: Rules) -> (ManualClock, Sentinel) {
    let clock = ManualClock::new();
    clock.advance(Duration::from_secs(60));
    let sentinel = builder.clock(clock.clone()).build().expect("the settings are valid");
    sentinel.rules().replace("test", rules).expect("the rules are valid");
    (clock, sentinel)
}

/// (pass, block, complete, error, in flight) of `r`.
fn counts(sentinel: &Sentinel) -> (u64, u64, u64, u64, u64) {
    let statistics = sentinel.snapshot_of("r").expect("it was entered").statistics;
    let totals = statistics.totals;
    (totals.pass, totals.block, totals.complete, totals.error, statistics.in_flight)
}

#[test]
fn checks_are_asked_at_their_places_and_those_of_one_place_in_the_order_of_registration() {
    let log = Log::default();
    let all = ["first", "second", "before flow", "behind flow", "before isolation", "last"];
    for (rules, asked) in [
        (Rules::new(), 6),
        (Rules::new().flow([FlowRule::new("r", 0.0)]), 3),
        (Rules::new().isolation([IsolationRule::new("r", 0)]), 5),
    ] {
        let builder = [
            (Position::Last, "last"),
            (Position::After("flow"), "behind flow"),
            (Position::Before("isolation"), "before isolation"),
            (Position::Before("flow"), "before flow"),
            (Position::First, "first"),
            (Position::First, "second"),
        ]
        .into_iter()
        .fold(Sentinel::builder(), |builder, (position, name)| builder.check(position, log.check(name)));
        let (_clock, sentinel) = build(builder, rules);
        let admitted = sentinel.enter("r").immediately();
        assert_eq!(log.take()[..asked], all[..asked]);
        assert_eq!(admitted.is_ok(), asked == 6);
        drop(admitted);
        drop(log.take());
    }
}

#[test]
fn a_place_at_no_family_and_a_name_that_is_taken_are_refused() {
    let build = |position, name| {
        let first = Sentinel::builder().check(Position::First, ask("known", |_| CheckAnswer::Pass));
        first.check(position, ask(name, |_| CheckAnswer::Pass)).build().map(drop)
    };
    assert_eq!(build(Position::Before("flwo"), "own"), Err(BuildError::UnknownFamily { given: "flwo" }));
    assert_eq!(build(Position::After(""), "own"), Err(BuildError::UnknownFamily { given: "" }));
    for given in ["", "flow", "known"] {
        assert_eq!(build(Position::Last, given), Err(BuildError::CheckName { given }));
    }
    for family in FAMILIES {
        assert_eq!(build(Position::After(family), "own"), Ok(()));
    }
    let told = BuildError::UnknownFamily { given: "flwo" }.to_string();
    assert!(told.starts_with("there is no family `flwo` to place a check at; there are authority, "), "{told}");
}

#[test]
fn a_check_sees_the_resource_the_call_and_the_time() {
    let log = Log::default();
    let seen = log.clone();
    let check = ask("own", move |attempt| {
        let Attempt { resource, call, now, .. } = attempt;
        seen.add(format!("{} {:?} {:?} {:?}", resource.name, resource.direction, resource.kind, resource.id));
        seen.add(format!("{} {} {now:?}", call.caller(), call.permits()));
        CheckAnswer::Pass
    });
    let (_clock, sentinel) = build(Sentinel::builder().check(Position::First, check), Rules::new());
    let resource = sentinel.resource(Target::new("r").inbound().kind(Kind::Rpc));
    drop(resource.enter_with(&Call::new().count(3).origin("web")));
    assert_eq!(log.take(), [format!("r Inbound Rpc {:?}", resource.id()), "web 3 60s".to_owned()]);
}

#[test]
fn a_refusal_says_who_refused_and_why() {
    struct Budget;

    impl CustomCheck for Budget {
        fn name(&self) -> &'static str {
            "budget"
        }

        fn check(&self, attempt: &Attempt<'_>) -> CheckAnswer {
            match attempt.call.caller() {
                "poor" => Refusal::new().seen(5.0, 4.0).retry_after(Duration::from_secs(2)).into(),
                "banned" => Refusal::new().into(),
                _ => CheckAnswer::Pass,
            }
        }

        fn explain(&self, refusal: &Refusal, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{} of {} credits are spent", refusal.observed, refusal.threshold)
        }
    }

    let (_clock, sentinel) = build(Sentinel::builder().check(Position::Last, Arc::new(Budget)), Rules::new());
    let enter = |origin| sentinel.enter_with("r", &Call::new().origin(origin)).immediately();
    let poor = enter("poor").expect_err("it is over its budget");
    assert_eq!((poor.family(), poor.rule_id(), poor.resource()), ("budget", "budget", "r"));
    assert_eq!((poor.observed(), poor.threshold(), poor.interval()), (5.0, 4.0, None));
    assert_eq!(poor.retry_after(), Some(Duration::from_secs(2)));
    assert_eq!(poor.to_string(), "budget check blocks `r`: 5 of 4 credits are spent, try again in 2s");
    let banned = enter("banned").expect_err("it is banned");
    assert_eq!(banned.retry_after(), None);
    assert!(banned.to_string().ends_with("and trying again will not help"), "{banned}");
    assert!(enter("rich").is_ok());
    assert_eq!(counts(&sentinel), (1, 2, 1, 0, 0));
}

#[test]
fn what_is_held_ends_once_with_the_call_and_the_last_first() {
    let log = Log::default();
    let builder = Sentinel::builder()
        .check(Position::First, log.check("a"))
        .check(Position::After("flow"), log.check("b"))
        .check(Position::Last, log.check("c"))
        .observer(log.clone());
    let (clock, sentinel) = build(builder, Rules::new().flow([FlowRule::new("r", 10.0)]));
    let mut entry = sentinel.enter("r").immediately().expect("the limit is far");
    assert_eq!(log.take(), ["a", "b", "c", "passed r x1"]);
    clock.advance(Duration::from_millis(20));
    entry.fail();
    drop(entry);
    let end = |name: &str| [format!("{name} ends Error after 20ms"), format!("{name} dropped")];
    let ends = ["c", "b", "a"].into_iter().flat_map(end).chain(["ended r x1 Error".to_owned()]);
    assert_eq!(log.take(), ends.collect::<Vec<_>>());
}

#[test]
fn what_is_held_is_dropped_once_when_somebody_behind_refuses() {
    let log = Log::default();
    let builder = Sentinel::builder()
        .check(Position::First, log.check("a"))
        .check(Position::Before("flow"), log.check("b"))
        .observer(log.clone());
    let (_clock, sentinel) = build(builder, Rules::new().flow([FlowRule::new("r", 0.0)]));
    assert!(sentinel.enter("r").immediately().is_err());
    assert_eq!(log.take(), ["a", "b", "b dropped", "a dropped", "blocked r by flow"]);
}

#[test]
fn a_check_that_refuses_gives_back_what_the_rules_before_it_took() {
    let is_open = Arc::new(AtomicU32::new(0));
    let door = Arc::clone(&is_open);
    let check = ask("door", move |_| if door.load(SeqCst) == 1 { CheckAnswer::Pass } else { Refusal::new().into() });
    let rules = Rules::new().flow([FlowRule::new("r", 1.0)]).isolation([IsolationRule::new("r", 1)]);
    let (_clock, sentinel) = build(Sentinel::builder().check(Position::Last, check), rules);
    for _ in 0..3 {
        assert_eq!(sentinel.enter("r").immediately().expect_err("the door is shut").family(), "door");
    }
    is_open.store(1, SeqCst);
    let _entry = sentinel.enter("r").immediately().expect("nothing was used up");
    assert_eq!(sentinel.enter("r").immediately().expect_err("the limit is one").family(), "flow");
}

/// Says whether another call would come in, or at least wait, at the moment when this is dropped.
struct Probe(Arc<OnceLock<Sentinel>>, Log, &'static str);

impl Held for Probe {}

impl Drop for Probe {
    fn drop(&mut self) {
        let Some(sentinel) = self.0.get() else { return };
        let call = Call::new().origin("probe");
        let comes_in = !matches!(sentinel.enter_with("r", &call), Decision::Block(_));
        self.1.add(format!("{} {comes_in}", self.2));
    }
}

#[test]
fn rules_and_checks_get_back_what_is_theirs_in_reverse_order() {
    for refused in [false, true] {
        let (log, shared) = (Log::default(), Arc::new(OnceLock::new()));
        let probe = |name| {
            let (log, shared) = (log.clone(), Arc::clone(&shared));
            ask(name, move |attempt| match attempt.call.caller() {
                "probe" => CheckAnswer::Pass,
                _ => CheckAnswer::hold(Probe(Arc::clone(&shared), log.clone(), name)),
            })
        };
        let end = ask("end", move |attempt| match attempt.call.caller() {
            "refused" => Refusal::new().into(),
            _ => CheckAnswer::Pass,
        });
        let builder = Sentinel::builder()
            .check(Position::Before("isolation"), probe("before"))
            .check(Position::After("isolation"), probe("behind"))
            .check(Position::Last, end);
        let (_clock, sentinel) = build(builder, Rules::new().isolation([IsolationRule::new("r", 1)]));
        let _ = shared.set(sentinel.clone());
        let call = Call::new().origin(if refused { "refused" } else { "admitted" });
        assert_eq!(sentinel.enter_with("r", &call).immediately().is_err(), refused);
        assert_eq!(log.take(), ["behind false", "before true"], "the permit comes back between the two");
    }
}

#[test]
fn a_call_that_gives_up_waiting_gives_back_in_reverse_order() {
    let (log, shared) = (Log::default(), Arc::new(OnceLock::new()));
    let (probes, instance) = (log.clone(), Arc::clone(&shared));
    let check = ask("between", move |attempt| match attempt.call.caller() {
        "waits" => CheckAnswer::hold(Probe(Arc::clone(&instance), probes.clone(), "between")),
        _ => CheckAnswer::Pass,
    });
    let queue = IsolationRule::new("r", 1).queue(1, Duration::from_secs(1));
    let rules = Rules::new().flow([FlowRule::new("r", 2.0)]).isolation([queue]);
    let (_clock, sentinel) = build(Sentinel::builder().check(Position::After("flow"), check), rules);
    let _ = shared.set(sentinel.clone());
    let _first = sentinel.enter("r").immediately().expect("nobody is inside");
    drop(sentinel.enter_with("r", &Call::new().origin("waits")));
    assert_eq!(log.take(), ["between false"], "flow has not got its permit back");
    assert!(matches!(sentinel.enter("r"), Decision::Wait(_)), "now it has");
}

#[test]
fn after_a_wait_the_checks_behind_it_are_asked_at_the_new_time() {
    let log = Log::default();
    let late = log.clone();
    let builder = Sentinel::builder()
        .check(Position::Before("flow"), log.check("before"))
        .check(
            Position::After("flow"),
            ask("behind", move |attempt| {
                late.add(format!("behind at {:?}", attempt.now));
                late.held("behind")
            }),
        )
        .observer(log.clone());
    let rules = Rules::new().flow([FlowRule::new("r", 10.0).throttle(Duration::from_secs(1))]);
    let (clock, sentinel) = build(builder, rules);
    let first = sentinel.enter("r").immediately().expect("nobody is before it");
    drop(log.take());
    let Decision::Wait(waiting) = sentinel.enter("r") else { panic!("it comes too early") };
    assert_eq!(log.take(), ["before"]);
    clock.advance(waiting.delay());
    let Decision::Admit(second) = waiting.resume() else { panic!("its time has come") };
    assert_eq!(log.take(), ["behind at 60.1s", "passed r x1"]);
    drop((first, second));
    assert_eq!(counts(&sentinel), (2, 0, 2, 0, 0));
}

#[test]
fn a_call_that_does_not_wait_is_told_as_refused_and_one_that_gives_up_is_not_told() {
    let log = Log::default();
    let builder = Sentinel::builder().check(Position::First, log.check("a")).observer(log.clone());
    let rules = Rules::new().flow([FlowRule::new("r", 10.0).throttle(Duration::from_secs(1))]);
    let (_clock, sentinel) = build(builder, rules);
    let _first = sentinel.enter("r").immediately().expect("nobody is before it");
    drop(log.take());
    assert!(sentinel.enter("r").immediately().is_err());
    assert_eq!(log.take(), ["a", "a dropped", "blocked r by flow"]);
    drop(sentinel.enter("r"));
    assert_eq!(log.take(), ["a", "a dropped"]);
    {
        let mut waiting = pin!(sentinel.enter("r").admitted(|_| pending::<()>()));
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(log.take(), ["a"]);
    }
    assert_eq!(log.take(), ["a dropped"]);
    assert_eq!(counts(&sentinel), (1, 1, 0, 0, 1));
}

#[test]
fn a_closure_can_be_held() {
    let log = Log::default();
    let told = log.clone();
    let check = ask("own", move |_| {
        let (told, kept) = (told.clone(), Logged { log: told.clone(), name: "kept" });
        CheckAnswer::hold(move |ended: &Ended<'_>| {
            told.add(format!("{:?}", ended.outcome));
            drop(kept);
        })
    });
    let (_clock, sentinel) = build(Sentinel::builder().check(Position::First, check), Rules::new());
    sentinel.enter("r").immediately().expect("no rule").ignore();
    assert_eq!(log.take(), [format!("{:?}", Outcome::Ignored), "kept dropped".to_owned()]);
}

#[test]
fn observers_see_every_way_in() {
    for rules in [
        Rules::new(),
        Rules::new().flow([FlowRule::new("r", 1.0)]),
        Rules::new().flow([FlowRule::new("*", 1.0)]),
        Rules::new().isolation([IsolationRule::new("r", 1)]),
    ] {
        let is_limited = !rules.is_empty();
        for by_handle in [false, true] {
            let log = Log::default();
            let (_clock, sentinel) = build(Sentinel::builder().observer(log.clone()), rules.clone());
            let handle = by_handle.then(|| sentinel.resource("r"));
            let enter = || handle.as_ref().map_or_else(|| sentinel.enter("r"), sentinel_core::Resource::enter);
            let first = enter().immediately().expect("the limit is one");
            assert_eq!(log.take(), ["passed r x1"]);
            let second = enter().immediately();
            assert_eq!(second.is_err(), is_limited);
            assert_eq!(log.take().len(), 1);
            drop(first);
            assert_eq!(log.take(), ["ended r x1 Ok"]);
            drop(second);
        }
    }
}

#[test]
fn a_permit_of_a_check_is_never_held_by_one_too_many() {
    const PERMITS: u32 = 3;
    let (held, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (taken, peak) = (Arc::clone(&held), Arc::clone(&most));
    let check = ask("permits", move |_| {
        let took = taken.fetch_update(SeqCst, SeqCst, |held| (held < PERMITS).then_some(held + 1));
        let Ok(before) = took else { return Refusal::new().into() };
        peak.fetch_max(before + 1, SeqCst);
        CheckAnswer::hold(GiveBack(Arc::clone(&taken)))
    });
    let rules = Rules::new().isolation([IsolationRule::new("r", 2)]);
    let (_clock, sentinel) = build(Sentinel::builder().check(Position::First, check), rules);
    let admitted: u64 = std::thread::scope(|scope| {
        let call = || (0..500).map(|_| u64::from(sentinel.enter("r").immediately().is_ok())).sum::<u64>();
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(call)).collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).sum()
    });
    let (pass, block, complete, _, in_flight) = counts(&sentinel);
    assert_eq!((held.load(SeqCst), in_flight), (0, 0));
    assert_eq!((pass, complete, pass + block), (admitted, admitted, 16 * 500));
    assert!((1..=PERMITS).contains(&most.load(SeqCst)));
}

struct GiveBack(Arc<AtomicU32>);

impl Held for GiveBack {}

impl Drop for GiveBack {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}
