use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    Entry, ManualClock, Rule, Rules, Sentinel, Target,
    families::laws::{Lawful, laws},
};

impl Lawful for Shedding {
    fn any_rule() -> BoxedStrategy<Rule<Self>> {
        let k = prop_oneof![4 => 1.1..4.0, 1 => prop::sample::select(vec![0.5, f64::NAN, 1e9])];
        let interval = prop::sample::select(vec![500_u64, 1_000, 10_000, 120_000]);
        let share = prop_oneof![4 => 0.1..=1.0, 1 => prop::sample::select(vec![0.0, 1.5, f64::NAN])];
        (k, interval, 0..20_u32, share)
            .prop_map(|(k, interval, min, share)| {
                let interval = Duration::from_millis(interval);
                SheddingRule::new("r").k(k).within(interval).min_request_amount(min).max_share(share)
            })
            .boxed()
    }

    fn document(rule: Rule<Self>) -> Rules {
        Rules::new().shedding([rule])
    }
}

laws!(Shedding);

#[test]
fn the_share_is_that_of_the_formula() {
    let share = |k, asked, good| SheddingRule::new("r").k(k).max_share(1.0).params.share(asked, good);
    let vectors = [
        ((2.0, 100, 50), 0.0),
        ((2.0, 100, 40), 0.198),
        ((2.0, 100, 0), 0.990),
        ((2.0, 1_000, 100), 0.799),
        ((1.1, 100, 60), 0.337),
    ];
    for ((k, asked, good), expected) in vectors {
        let share: f64 = share(k, asked, good);
        assert!((share - expected).abs() < 5e-4, "{share} is not {expected}");
    }
    assert!(share(2.0, 100, 99) <= 0.0);
    assert_eq!(share(2.0, 9, 0), 0.0, "too few to say anything");
    assert_eq!(SheddingRule::new("r").params.share(1_000_000, 0), 0.95);
}

struct Client {
    clock: ManualClock,
    sentinel: Sentinel,
}

impl Client {
    fn new(rule: SheddingRule) -> Self {
        let clock = ManualClock::new();
        clock.advance(Duration::from_secs(600));
        let sentinel = Sentinel::builder().clock(clock.clone()).seed(1).build().expect("valid");
        sentinel.rules().replace("test", Rules::new().shedding([rule])).expect("valid");
        Self { clock, sentinel }
    }

    /// Asks for 1,000 calls a second of a service that answers as many as it can; says how many it got, and how many of
    /// these went well.
    fn load(&self, seconds: u32, capacity: u32) -> (u32, u32) {
        let (mut sent, mut good) = (0, 0);
        for _ in 0..seconds {
            let mut answered = 0;
            for _ in 0..1_000 {
                self.clock.advance(Duration::from_millis(1));
                if let Ok(mut entry) = self.sentinel.enter("r").immediately() {
                    sent += 1;
                    if answered < capacity { answered += 1 } else { entry.fail() }
                }
            }
            good += answered;
        }
        (sent / seconds, good / seconds)
    }

    fn enter(&self) -> Option<Entry> {
        self.sentinel.enter("r").immediately().ok()
    }
}

#[test]
fn an_overloaded_service_gets_k_times_what_it_can_answer_and_loses_nothing() {
    let client = Client::new(SheddingRule::new("r").within(Duration::from_secs(10)));
    client.load(30, 100);
    let (sent, good) = client.load(30, 100);
    assert!((180..=220).contains(&sent), "{sent}");
    assert_eq!(good, 100);
}

#[test]
fn a_service_that_is_well_gets_everything() {
    let client = Client::new(SheddingRule::new("r"));
    assert_eq!(client.load(10, 1_000), (1_000, 1_000));
}

#[test]
fn a_service_that_is_back_gets_everything_within_three_intervals() {
    let client = Client::new(SheddingRule::new("r").within(Duration::from_secs(10)));
    client.load(60, 0);
    let (sent, _) = client.load(10, 0);
    assert!((40..=60).contains(&sent), "the rest finds out: {sent}");
    client.load(30, 1_000);
    assert_eq!(client.load(10, 1_000), (1_000, 1_000));
}

#[test]
fn calls_that_come_in_are_not_shed() {
    let client = Client::new(SheddingRule::new("*"));
    let fails = |target: Target<'_>| client.sentinel.enter(target).immediately().map(|mut entry| entry.fail());
    assert!((0..1_000).all(|_| fails(Target::new("GET /").inbound()).is_ok()));
    assert!((0..1_000).any(|_| fails(Target::new("inventory")).is_err()));
}

#[test]
fn the_nearer_k_is_to_one_the_longer_it_takes_until_everything_is_sent() {
    for (k, intervals) in [(2.0, 3), (1.5, 5), (1.1, 20)] {
        let client = Client::new(SheddingRule::new("r").k(k).within(Duration::from_secs(1)));
        client.load(5, 0);
        client.load(intervals, 1_000);
        let (sent, _) = client.load(1, 1_000);
        assert!(sent > 900, "k {k}: {sent} after {intervals} intervals");
    }
    let rules = Rules::new().shedding([SheddingRule::new("r").k(1.0)]);
    let error = Sentinel::default().rules().replace("test", rules).expect_err("it would hardly recover").to_string();
    assert_eq!(error, "shedding rule 1 for `r`: k is 1, but it is a number from 1.1 to 100");
}

#[test]
fn calls_that_last_are_no_failures() {
    let client = Client::new(SheddingRule::new("r").min_request_amount(1));
    let inside: Vec<Entry> = std::iter::from_fn(|| client.enter()).take(100).collect();
    assert_eq!(inside.len(), 100);
}

#[test]
fn ignored_calls_and_calls_refused_by_a_later_rule_count_for_nothing() {
    let client = Client::new(SheddingRule::new("r").min_request_amount(1));
    for _ in 0..100 {
        client.enter().expect("nothing has failed").ignore();
    }
    let closed = Rules::new().flow([crate::FlowRule::new("r", 0.0)]).shedding([SheddingRule::new("r")]);
    client.sentinel.rules().replace("closed", closed).expect("valid");
    for _ in 0..100 {
        assert_eq!(client.sentinel.enter("r").immediately().expect_err("closed").family(), "flow");
    }
    client.sentinel.rules().clear("closed");
    assert!(client.enter().is_some());
}

#[test]
fn what_a_dry_run_would_shed_is_counted_and_admitted() {
    let client = Client::new(SheddingRule::new("r").dry_run());
    assert_eq!(client.load(10, 0), (1_000, 0));
    let would_block = client.sentinel.snapshot_of("r").expect("entered").rules[0].would_block;
    assert!((9_300..=9_700).contains(&would_block), "{would_block}");
}

#[test]
fn a_refusal_says_how_the_service_does() {
    let client = Client::new(SheddingRule::new("r").id("spare"));
    let refused = (0..1_000).find_map(|_| match client.sentinel.enter("r").immediately() {
        Ok(mut entry) => {
            entry.fail();
            None
        }
        Err(refused) => Some(refused.to_string()),
    });
    let expected = "shedding rule `spare` blocks `r`: 0.000 of the calls go well, less than 0.500, try again in 3s";
    assert_eq!(refused.as_deref(), Some(expected));
}

#[test]
fn a_reload_that_changes_k_keeps_what_was_seen() {
    let client = Client::new(SheddingRule::new("r").id("spare"));
    client.load(5, 0);
    let rules = Rules::new().shedding([SheddingRule::new("r").id("spare").k(1.5)]);
    client.sentinel.rules().replace("test", rules).expect("valid");
    assert!(client.load(1, 0).0 < 100);
}
