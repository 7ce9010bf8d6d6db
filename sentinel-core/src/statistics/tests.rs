//! Behaviour on times that the tests make up.

mod properties;
mod threads;

use std::time::Duration;

use super::{Node, Outcome::*, Totals};

pub(super) const MS: u64 = 1_000_000;
pub(super) const SECOND: u64 = 1_000 * MS;

/// A node that is hot: this thread has its own stripe. All that happened, happened at `now`.
fn hot(buckets_per_second: u32, now: u64) -> Node {
    let node = Node::new(buckets_per_second);
    for _ in 0..3 {
        node.enter(now, 256);
        node.exit(now, 256, 0, Ok);
    }
    node
}

/// Adds at these milliseconds, then reads: what the last second holds.
struct Case {
    name: &'static str,
    buckets: u32,
    /// Milliseconds and permits.
    adds: &'static [(u64, u32)],
    /// Milliseconds and permits.
    reads: &'static [(u64, u64)],
}

const CASES: &[Case] = &[
    Case {
        name: "buckets of this second all count",
        buckets: 2,
        adds: &[(0, 1), (499, 1), (500, 1)],
        reads: &[(999, 3)],
    },
    Case {
        name: "the oldest bucket leaves first",
        buckets: 2,
        adds: &[(0, 1), (499, 1), (500, 1), (1_000, 1)],
        reads: &[(1_000, 2)],
    },
    Case { name: "a bucket leaves whole", buckets: 2, adds: &[(999, 5)], reads: &[(1_000, 5), (1_499, 5), (1_500, 0)] },
    Case {
        name: "a long pause empties the window",
        buckets: 2,
        adds: &[(0, 7)],
        reads: &[(10_000, 0), (86_400_000, 0)],
    },
    Case {
        name: "traffic after a long pause stands alone",
        buckets: 2,
        adds: &[(0, 7), (86_400_000, 2)],
        reads: &[(86_400_000, 2)],
    },
    Case {
        name: "a clock that steps back loses nothing",
        buckets: 2,
        adds: &[(1_500, 1), (1_400, 1)],
        reads: &[(1_500, 2), (1_999, 2), (2_499, 2), (2_500, 0)],
    },
    Case {
        name: "one bucket is the second itself",
        buckets: 1,
        adds: &[(100, 1), (900, 1)],
        reads: &[(999, 2), (1_000, 0)],
    },
    Case {
        name: "a late reader gets the newer bucket",
        buckets: 1,
        adds: &[(1_000, 3)],
        reads: &[(900, 3), (1_000, 3)],
    },
    Case {
        name: "ten buckets",
        buckets: 10,
        adds: &[(0, 1), (100, 2), (950, 4)],
        reads: &[(999, 7), (1_000, 6), (1_100, 4), (1_899, 4), (1_900, 0)],
    },
    Case {
        name: "a hundred buckets",
        buckets: 100,
        adds: &[(5, 1), (15, 2)],
        reads: &[(999, 3), (1_000, 2), (1_010, 0)],
    },
];

#[test]
fn the_last_second_holds_what_its_buckets_hold() {
    for Case { name, buckets, adds, reads } in CASES {
        // From an origin at zero and from one far from it.
        for origin in [0, 3_600_000] {
            let node = Node::new(*buckets);
            for &(ms, permits) in *adds {
                node.enter((origin + ms) * MS, permits);
            }
            for &(ms, permits) in *reads {
                let now = (origin + ms) * MS;
                assert_eq!(node.passed_last_second(now), permits, "{name}: at {ms} ms");
                assert_eq!(node.snapshot(now).second.pass, permits, "{name}: at {ms} ms");
            }
        }
    }
}

#[test]
fn reading_changes_nothing() {
    let node = Node::new(2);
    node.enter(0, 1);
    node.snapshot(3_600 * SECOND);
    node.enter(400 * MS, 1);
    assert_eq!(node.passed_last_second(999 * MS), 2);
    assert_eq!(node.last_active(), 0);
}

#[test]
fn a_node_that_was_never_called_is_empty() {
    let statistics = Node::new(10).snapshot(5 * SECOND);
    assert_eq!(statistics.totals, Totals::default());
    assert_eq!((statistics.second.pass_rate(), statistics.minute.error_ratio()), (0.0, 0.0));
    assert_eq!(statistics.second.span, Duration::from_secs(1));
    assert_eq!(statistics.minute.mean_response_time(), Duration::ZERO);
    assert_eq!(Node::new(10).last_active(), 0);
    assert!(Node::new(10).seconds(5 * SECOND).is_empty());
}

#[test]
fn the_minute_reaches_back_59_seconds_and_its_rows_add_up_to_it() {
    let node = Node::new(10);
    for second in 0..100 {
        node.enter(second * SECOND, 1);
        node.exit(second * SECOND + 500 * MS, 1, 500 * MS, Ok);
    }
    let now = 99 * SECOND + 999 * MS;
    assert_eq!(node.snapshot(now).minute.pass, 60);
    assert_eq!(node.snapshot(now + MS).minute.pass, 59);
    assert_eq!(node.snapshot(now + 59 * SECOND).minute.pass, 1);
    assert_eq!(node.snapshot(now + 60 * SECOND).minute.pass, 0);

    let seconds = node.seconds(now + MS);
    assert_eq!(seconds.iter().map(|second| second.complete).collect::<Vec<_>>(), [vec![1; 59], vec![0]].concat());
    assert_eq!(seconds[58].response_times.max, Duration::from_millis(500));
    assert_eq!(seconds[59].response_times.max, Duration::ZERO);
}

#[test]
fn a_batch_weighs_as_much_as_its_permits() {
    let node = Node::new(10);
    node.enter(0, 4);
    node.enter(0, 1);
    node.exit(10 * MS, 4, 10 * MS, Ok);
    node.exit(60 * MS, 1, 60 * MS, Error);
    let second = node.snapshot(60 * MS).second;
    assert_eq!((second.pass, second.complete, second.error), (5, 5, 1));
    assert_eq!(second.mean_response_time(), Duration::from_millis(20));
    assert_eq!(second.error_ratio(), 0.2);
}

#[test]
fn an_ignored_call_completes_without_response_time_or_error() {
    let node = Node::new(10);
    node.enter(0, 3);
    node.exit(MS, 1, MS, Ok);
    node.exit(5 * MS, 2, 5 * MS, Ignored);
    let statistics = node.snapshot(5 * MS);
    let second = statistics.second;
    assert_eq!((second.complete, second.error, second.ignored), (3, 0, 2));
    assert_eq!(
        (second.response_times.max, second.mean_response_time()),
        (Duration::from_millis(1), Duration::from_millis(1))
    );
    assert_eq!((statistics.in_flight, second.error_ratio()), (0, 0.0));
    assert_eq!(statistics.totals.ignored, 2);
}

#[test]
fn short_peaks_in_flight_are_seen_while_the_resource_is_not_hot() {
    let node = Node::new(10);
    for _ in 0..3 {
        node.enter(MS, 2);
    }
    for _ in 0..3 {
        node.exit(MS, 2, 0, Ok);
    }
    assert_eq!(node.snapshot(MS).second.in_flight_max, 6);
    assert_eq!(node.snapshot(1_100 * MS).second.in_flight_max, 0);
    assert_eq!(node.snapshot(1_100 * MS).minute.in_flight_max, 6);
}

#[test]
fn a_hot_resource_sees_peaks_that_last_a_millisecond() {
    let node = hot(10, 0);
    node.enter(1_500 * MS, 9);
    node.enter(1_501 * MS, 1);
    node.exit(1_502 * MS, 10, 0, Ok);
    assert_eq!(node.snapshot(1_502 * MS).second.in_flight_max, 10);
    assert_eq!(node.snapshot(2_500 * MS).second.in_flight_max, 0);
}

#[test]
fn what_stays_in_flight_shows_in_every_window() {
    let node = Node::new(10);
    node.enter(0, 3);
    let later = node.snapshot(7_200 * SECOND);
    assert_eq!((later.in_flight, later.second.in_flight_max, later.minute.in_flight_max), (3, 3, 3));
    node.exit(7_200 * SECOND, 3, 7_200 * SECOND, Ok);
    let ended = node.snapshot(7_200 * SECOND);
    assert_eq!((ended.in_flight, ended.second.in_flight_max, ended.minute.pass), (0, 3, 0));
    assert!(node.seconds(7_200 * SECOND).iter().all(|second| second.in_flight_max == 3));
}

#[test]
fn the_latest_bucket_with_traffic_is_the_last_activity() {
    let node = Node::new(10);
    node.enter(1_234 * MS, 1);
    assert_eq!(node.last_active(), 1_200 * MS);
    node.block(2_345 * MS, 1);
    node.exit(2_000 * MS, 1, MS, Ok);
    assert_eq!(node.last_active(), 2_300 * MS);
}

#[test]
fn the_end_of_time_is_no_trouble() {
    let node = Node::new(100);
    for now in [0, u64::MAX, u64::MAX - 1, 0] {
        node.enter(now, u32::MAX);
        node.block(now, u32::MAX);
        node.exit(now, u32::MAX, u64::MAX, Error);
        node.snapshot(now);
        node.seconds(now);
    }
    assert_eq!(node.totals().complete, 4 * u64::from(u32::MAX));
}

#[test]
fn an_exit_without_an_entry_does_not_turn_the_calls_in_flight_round() {
    let node = Node::new(10);
    node.exit(0, 1, 0, Ok);
    assert_eq!(node.in_flight(), 0);
}

#[cfg(feature = "json")]
#[test]
fn statistics_are_written_in_milliseconds() {
    let node = Node::new(10);
    node.enter(0, 1);
    node.exit(2 * MS, 1, 2 * MS, Ok);
    let json = serde_json::to_value(node.snapshot(2 * MS)).expect("plain numbers");
    assert_eq!(json["second"]["spanMs"], 1_000.0);
    assert_eq!(json["second"]["responseTimes"]["maxMs"], 2.0);
    assert_eq!(json["percentiles"]["p99Ms"], 2.0);
    assert_eq!(json["inFlight"], 0);
    assert_eq!(json["minute"]["inFlightMax"], 1);
}
