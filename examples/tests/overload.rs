//! System protection in a simulation: a service of fixed capacity, on a manual clock.

use std::time::Duration;

use sentinel_core::{Rules, SystemRule};
use sentinel_examples::overload::{Record, Scenario, Service};

/// After which an answer is of no use.
const DEADLINE: Duration = Duration::from_millis(200);
const VARIATIONS: [f64; 3] = [0.0, 0.5, 1.0];

fn protected() -> Rules {
    Rules::new().system([SystemRule::cpu_usage(0.8)])
}

fn half_load(service: Service) -> Record {
    Scenario::new(service, &|_| 0.5).run(Rules::new())
}

/// Goodput in parts of the capacity, and the 99th percentile in parts of that at half load, within some seconds.
fn measure(load: &dyn Fn(f64) -> f64, variation: f64, rules: Rules, seconds: std::ops::Range<f64>) -> (f64, f64) {
    let service = Service::new(variation);
    let record = Scenario::new(service, load).run(rules);
    let p99 = record.p99(seconds.clone()).as_secs_f64() / half_load(service).p99(5.0..60.0).as_secs_f64();
    (record.goodput(seconds, DEADLINE) / service.capacity(), p99)
}

fn check(load: f64, variation: f64, (goodput, p99): (f64, f64), when: &str) {
    let least = if load < 1.0 { 0.95 * load } else { 0.9 };
    assert!(goodput >= least, "{when}, load {load}, variation {variation}: goodput {goodput:.3} of {least}");
    let most = if variation == 0.0 { 4.0 } else { 3.0 };
    assert!(
        p99 <= most,
        "{when}, load {load}, variation {variation}: p99 {p99:.1} of {most} times the one at half load"
    );
}

#[test]
fn from_a_cold_start_calls_are_answered_in_time_at_any_load() {
    for variation in VARIATIONS {
        for load in [0.5, 0.8, 1.5, 3.0, 10.0] {
            check(load, variation, measure(&|_| load, variation, protected(), 5.0..60.0), "cold");
        }
    }
}

#[test]
fn a_warm_service_answers_in_time_at_any_load() {
    for variation in VARIATIONS {
        for load in [0.8, 1.5, 3.0, 10.0] {
            let surge = |second| if second < 20.0 { 0.5 } else { load };
            check(load, variation, measure(&surge, variation, protected(), 25.0..60.0), "warm");
        }
    }
}

#[test]
fn without_the_rule_the_service_collapses() {
    for variation in VARIATIONS {
        for load in [1.5, 3.0, 10.0] {
            let (goodput, _) = measure(&|_| load, variation, Rules::new(), 5.0..60.0);
            assert!(goodput < 0.1, "load {load}, variation {variation}: goodput {goodput:.3}");
        }
    }
}

#[test]
fn ten_seconds_after_a_surge_every_call_is_answered_in_time() {
    for variation in VARIATIONS {
        let surge = |second| if (20.0..30.0).contains(&second) { 10.0 } else { 0.5 };
        let record = Scenario::new(Service::new(variation), &surge).run(protected());
        let (offered, goodput) = (record.offered(40.0..59.0), record.goodput(40.0..59.0, DEADLINE));
        assert!(goodput >= 0.999 * offered, "variation {variation}: {goodput} of {offered}");
    }
}

/// What a service is to make of less load than it can bear, in parts of that, and of more, in parts of its capacity.
const OTHERS: [(u32, u64, f64, f64, f64); 8] = [
    (64, 100, 0.5, 0.95, 0.9),
    (16, 500, 1.0, 0.95, 0.9),
    (4, 50, 1.0, 0.95, 0.9),
    (4, 100, 0.0, 0.95, 0.9),
    (8, 2_000, 0.5, 0.95, 0.9),
    (2, 500, 0.0, 0.95, 0.9),
    // Of one or two servers with calls that differ, a queue that is short enough is often full, and one that is not,
    // too long.
    (2, 500, 1.0, 0.85, 0.9),
    (1, 200, 1.0, 0.85, 0.85),
];

#[test]
fn services_of_other_sizes_and_with_few_calls_a_second_answer_in_time_after_a_minute() {
    for (servers, millis, variation, below, above) in OTHERS {
        let service = Service { servers, mean: Duration::from_millis(millis), variation };
        let seconds = 60.0..if service.capacity() < 50.0 { 470.0 } else { 115.0 };
        let run = |load: f64, rules: Rules| {
            let load = |_| load;
            let length = Duration::from_secs_f64(seconds.end + 5.0);
            Scenario { length, ..Scenario::new(service, &load) }.run(rules)
        };
        let unloaded = run(0.5, Rules::new()).p99(seconds.clone()).as_secs_f64();
        for load in [0.8, 1.5, 10.0] {
            let record = run(load, protected());
            let of = if load < 1.0 { record.offered(seconds.clone()) } else { service.capacity() };
            let goodput = record.goodput(seconds.clone(), 10 * service.mean) / of;
            let p99 = record.p99(seconds.clone()).as_secs_f64() / unloaded;
            let least = if load < 1.0 { below } else { above };
            assert!(goodput >= least, "{service:?}, load {load}: goodput {goodput:.3} of {least}");
            assert!(p99 <= 3.0, "{service:?}, load {load}: p99 {p99:.1} times the one at half load");
        }
    }
}
