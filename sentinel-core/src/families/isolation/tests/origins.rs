//! Limits by origin.

use super::*;

fn from(origin: &str) -> Call<'_> {
    Call::new().origin(origin)
}

#[test]
fn a_rule_for_one_origin_leaves_the_others_alone() {
    let (_clock, sentinel) = under([IsolationRule::new("r", 1).for_origin("batch")]);
    let _batch = enter_as(&sentinel, &from("batch")).expect("there is room");
    assert!(enter_as(&sentinel, &from("batch")).is_err());
    let _others: Vec<_> =
        ["web", "web", ""].map(|origin| enter_as(&sentinel, &from(origin)).expect("no rule for it")).into();
}

#[test]
fn every_other_origin_has_a_limit_of_its_own() {
    let rules = [IsolationRule::new("r", 2).for_other_origins(), IsolationRule::new("r", 5).for_origin("batch")];
    let (_clock, sentinel) = under(rules);
    for (origin, most) in [("a", 2), ("b", 2), ("batch", 5)] {
        let inside: Vec<_> = (0..9).map_while(|_| enter_as(&sentinel, &from(origin)).ok()).collect();
        assert_eq!(inside.len(), most, "{origin}");
        let again: Vec<_> = (0..9).map_while(|_| enter_as(&sentinel, &from(origin)).ok()).collect();
        assert_eq!(again.len(), 0, "{origin}");
        drop(inside);
        assert!(enter_as(&sentinel, &from(origin)).is_ok());
    }
    assert_eq!((0..9).map(|_| enter(&sentinel)).filter(Result::is_ok).count(), 9, "nobody in particular is not meant");
}

#[test]
fn every_other_origin_has_a_queue_of_its_own() {
    let (_clock, sentinel) = under([IsolationRule::new("r", 1).for_other_origins().queue(1, SECOND)]);
    let queued = |origin| still_waiting(sentinel.enter_with("r", &from(origin)));
    let [a, b] = ["a", "b"].map(|origin| enter_as(&sentinel, &from(origin)).expect("there is room"));
    let (next_a, next_b) = (queued("a"), queued("b"));
    drop(a);
    drop(admitted(next_a.resume()));
    let next_b = still_waiting(next_b.resume());
    put(&sentinel, [IsolationRule::new("r", 2).for_other_origins().queue(1, SECOND)]);
    drop((admitted(next_b.resume()), b));
    assert_eq!(sentinel.resource("r").in_flight(), 0);
}

#[test]
fn long_calls_of_the_oldest_origins_keep_no_room_from_new_ones() {
    let (_clock, sentinel) = under([IsolationRule::new("r", 1).for_other_origins()]);
    let one = |name: &str| enter_as(&sentinel, &from(name));
    let long: Vec<_> = (0..20).map(|number| one(&format!("long {number}")).expect("there is room")).collect();
    for number in 0..2_000 {
        drop(one(&number.to_string()).expect("there is room"));
    }
    // Of the three times that eight are looked at, two may find long calls only.
    let new: Vec<_> = (0..100).map(|number| one(&format!("new {number}"))).collect();
    assert!(new.iter().filter(|entered| entered.is_err()).count() <= 1, "they share a permit");
    assert!(one("long 7").is_err());
    drop(long);
}

#[test]
fn a_flood_of_origins_takes_no_permit_from_a_known_one_and_gives_it_none() {
    let (clock, sentinel) = under([IsolationRule::new("r", 2).for_other_origins()]);
    let known: Vec<_> = (0..2).map(|_| enter_as(&sentinel, &from("known")).expect("there is room")).collect();
    let invented: Vec<String> = (0..3_000).map(|number| format!("invented {number}")).collect();
    let inside: Vec<_> = invented.iter().filter_map(|origin| enter_as(&sentinel, &from(origin)).ok()).collect();
    assert_eq!(inside.len(), 999 + 2, "those beyond the bound share one limit");
    assert!(enter_as(&sentinel, &from("known")).is_err());
    drop(inside);
    clock.advance(SECOND);
    // Those that are idle make room now, but never one that is not.
    for origin in &invented {
        assert!(enter_as(&sentinel, &from(origin)).is_ok(), "{origin}");
    }
    assert!(enter_as(&sentinel, &from("known")).is_err());
    drop(known);
    assert_eq!((0..3).map(|_| enter_as(&sentinel, &from("known"))).filter(Result::is_ok).count(), 3);
    assert_eq!(sentinel.resource("r").in_flight(), 0);
}
