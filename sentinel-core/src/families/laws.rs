//! What holds for every family: `laws!(Flow)` in a family's tests makes these tests of it.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};

use super::{Checks, Rules};
use crate::{Arg, BreakerControl, BreakerRule, Call, Decision, ManualClock, Outcome, Rule, Sentinel};

/// A family that can be tested for the laws.
pub(crate) trait Lawful: Checks {
    /// Any rule on the resource `r`, valid or not.
    fn any_rule() -> BoxedStrategy<Rule<Self>>;

    /// The document with this rule.
    fn document(rule: Rule<Self>) -> Rules;
}

/// What a caller does.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    advance: Duration,
    count: u32,
    origin: &'static str,
    prioritized: bool,
    /// The only argument, which has the name `key`.
    arg: Option<&'static str>,
    /// How many of the calls that follow come before this one ends.
    kept: usize,
    /// How it ends.
    outcome: Outcome,
}

pub(crate) fn acts() -> impl proptest::strategy::Strategy<Value = Vec<Act>> {
    let advance = prop_oneof![4 => Just(0_u64), 3 => 0..20_u64, 2 => 0..1_500_u64, 1 => 0..100_000_u64];
    let kept = prop_oneof![1 => Just(0), 1 => 0..8_usize];
    let outcome = prop_oneof![4 => Just(Outcome::Ok), 4 => Just(Outcome::Error), 1 => Just(Outcome::Ignored)];
    let origin = prop::sample::select(vec!["", "web", "mobile"]);
    let arg = prop::sample::select(vec![None, Some("a"), Some("a"), Some("b")]);
    let act = (advance, 0..4_u32, origin, any::<bool>(), arg, kept, outcome);
    vec(act, 1..60).prop_map(|acts| {
        let act = |(advance, count, origin, prioritized, arg, kept, outcome)| Act {
            advance: Duration::from_millis(advance),
            count,
            origin,
            prioritized,
            arg,
            kept,
            outcome,
        };
        acts.into_iter().map(act).collect()
    })
}

/// A sentinel on a clock that stands, a minute after its start, and these rules.
pub(crate) fn instance(rules: Rules) -> Option<(ManualClock, Sentinel)> {
    let clock = ManualClock::new();
    clock.advance(Duration::from_secs(60));
    let sentinel = Sentinel::builder().clock(clock.clone()).seed(7).build().ok()?;
    sentinel.rules().replace("law", rules).ok()?;
    Some((clock, sentinel))
}

/// What was decided.
#[derive(Debug, PartialEq)]
enum Answer {
    Admit,
    Wait(Duration),
    Block(Option<Duration>),
}

impl Answer {
    /// Without when to come again, which is a lower bound.
    fn kind(self) -> Self {
        if let Self::Block(_) = self { Self::Block(None) } else { self }
    }
}

fn decide(sentinel: &Sentinel, act: &Act) -> (Answer, Decision) {
    let args: Vec<Arg<'_>> = act.arg.map(Arg::from).into_iter().collect();
    let named_args: Vec<(&str, Arg<'_>)> = args.iter().map(|arg| ("key", *arg)).collect();
    let mut call = Call::new().count(act.count).origin(act.origin).args(&args).named_args(&named_args);
    if act.prioritized {
        call = call.prioritized();
    }
    let mut decision = sentinel.enter_with("r", &call);
    let answer = match &mut decision {
        Decision::Admit(entry) => {
            match act.outcome {
                Outcome::Ok => {}
                Outcome::Error => entry.fail(),
                Outcome::Ignored => entry.ignore(),
            }
            Answer::Admit
        }
        Decision::Wait(reservation) => Answer::Wait(reservation.delay()),
        Decision::Block(blocked) => Answer::Block(blocked.retry_after()),
    };
    (answer, decision)
}

/// Calls that go on, each with the number of further calls before it ends.
type Kept = Vec<(usize, Decision)>;

fn play(clock: &ManualClock, sentinel: &Sentinel, acts: &[Act], kept: &mut Kept) -> Vec<Answer> {
    let decide = |act: &Act| {
        clock.advance(act.advance);
        let (answer, decision) = decide(sentinel, act);
        kept.push((act.kept + 1, decision));
        kept.iter_mut().for_each(|(more, _)| *more -= 1);
        kept.retain(|(more, _)| *more > 0);
        answer
    };
    acts.iter().map(decide).collect()
}

pub(crate) fn the_same_calls_get_the_same_answers(rules: Rules, acts: &[Act]) {
    let (Some((clock, one)), Some((other_clock, other))) = (instance(rules.clone()), instance(rules)) else { return };
    assert_eq!(play(&clock, &one, acts, &mut Vec::new()), play(&other_clock, &other, acts, &mut Vec::new()));
}

pub(crate) fn a_reload_of_equal_rules_changes_nothing(rules: Rules, acts: &[Act]) {
    let (Some((clock, one)), Some((other_clock, other))) = (instance(rules.clone()), instance(rules.clone())) else {
        return;
    };
    let (before, after) = acts.split_at(acts.len() / 2);
    let (mut kept, mut other_kept) = (Vec::new(), Vec::new());
    assert_eq!(play(&clock, &one, before, &mut kept), play(&other_clock, &other, before, &mut other_kept));
    let changes = other.rules().replace("law", rules).expect("valid before, valid again");
    assert_eq!((changes.added, changes.changed, changes.removed), (0, 0, 0));
    assert_eq!(play(&clock, &one, after, &mut kept), play(&other_clock, &other, after, &mut other_kept));
}

pub(crate) fn a_later_block_gives_everything_back(rules: Rules, acts: &[Act]) {
    // The last rule that a call meets.
    let last = BreakerRule::error_ratio("r", 1.0).state(BreakerControl::ForcedOpen).id("last");
    let closed = rules.clone().circuit_breaker([last]);
    let (Some((clock, one)), Some((other_clock, other))) = (instance(closed), instance(rules.clone())) else { return };
    let (before, after) = acts.split_at(acts.len() / 2);
    for act in before {
        clock.advance(act.advance);
        other_clock.advance(act.advance);
        let _ = decide(&one, act);
    }
    one.rules().replace("law", rules).expect("valid with one more, valid without");
    // All at this moment: later, a limiter may tell permits that came back together from others that came back apart.
    let after: Vec<Act> =
        after.iter().map(|act| Act { advance: Duration::ZERO, prioritized: false, ..act.clone() }).collect();
    let after = &after;
    let kinds = |answers: Vec<Answer>| answers.into_iter().map(Answer::kind).collect::<Vec<_>>();
    let (answers, others) =
        (play(&clock, &one, after, &mut Vec::new()), play(&other_clock, &other, after, &mut Vec::new()));
    assert_eq!(kinds(answers), kinds(others));
}

pub(crate) fn a_rule_is_taken_or_refused_with_fields_that_exist<F: Lawful>(rule: Rule<F>) {
    let sentinel = Sentinel::default();
    if let Err(crate::ReplaceError::Invalid(invalid)) = sentinel.rules().replace("law", F::document(rule)) {
        assert!(!invalid.errors().is_empty());
        for error in invalid.errors() {
            assert_eq!(error.family, F::NAME);
            assert!(!error.field.is_empty() && !error.expected.is_empty(), "{error}");
        }
        assert!(sentinel.rules().get("law").is_none(), "nothing changes on an error");
    }
}

macro_rules! laws {
    ($family:ty) => {
        mod laws {
            use proptest::prelude::*;

            use super::*;
            use crate::families::laws::{self, Lawful};

            proptest! {
                #[test]
                fn a_rule_is_taken_or_refused_with_fields_that_exist(rule in <$family>::any_rule()) {
                    laws::a_rule_is_taken_or_refused_with_fields_that_exist::<$family>(rule);
                }

                #[test]
                fn the_same_calls_get_the_same_answers(rule in <$family>::any_rule(), acts in laws::acts()) {
                    laws::the_same_calls_get_the_same_answers(<$family>::document(rule), &acts);
                }

                #[test]
                fn a_reload_of_equal_rules_changes_nothing(rule in <$family>::any_rule(), acts in laws::acts()) {
                    laws::a_reload_of_equal_rules_changes_nothing(<$family>::document(rule), &acts);
                }

                #[test]
                fn a_later_block_gives_everything_back(rule in <$family>::any_rule(), acts in laws::acts()) {
                    laws::a_later_block_gives_everything_back(<$family>::document(rule), &acts);
                }

                #[cfg(feature = "json")]
                #[test]
                fn a_document_survives_being_written_and_read(rule in <$family>::any_rule()) {
                    let rules = <$family>::document(rule);
                    if crate::Sentinel::default().rules().replace("law", rules.clone()).is_ok() {
                        let text = rules.to_text(crate::Format::Json).expect("valid rules can be written");
                        let parsed = crate::Rules::parse(text.as_bytes(), crate::Format::Json).expect("and read");
                        prop_assert_eq!(parsed.rules, rules);
                        prop_assert_eq!(parsed.warnings, vec![]);
                    }
                }
            }
        }
    };
}

pub(crate) use laws;
