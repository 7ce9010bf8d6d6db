//! Limits that find themselves, in a simulation: a service whose capacity changes, on a manual clock.

use std::{ops::Range, time::Duration};

use sentinel_core::{Algorithm, Criticality, IsolationRule, Rules};
use sentinel_examples::overload::{Mix, Record, Scenario, Service};

const VARIATIONS: [f64; 3] = [0.0, 0.5, 1.0];
/// From ten seconds after the step on.
const AFTER: Range<f64> = 40.0..59.0;
const AIMD: Algorithm = Algorithm::aimd(Duration::from_millis(50));

/// How the capacity halves or doubles.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Fewer or more servers.
    Servers,
    /// Each call takes longer or shorter.
    Speed,
}

fn rules(algorithm: Algorithm) -> Rules {
    Rules::new().isolation([IsolationRule::adaptive("service", algorithm)])
}

/// A run in which the capacity steps from one share of it to another after half a minute.
fn run(step: Step, (from, to): (f64, f64), load: f64, variation: f64, rules: Rules) -> Record {
    let share = move |second: f64| if second < 30.0 { from } else { to };
    let load = move |_: f64| load;
    let mut scenario = Scenario::new(Service::new(variation), &load);
    match step {
        Step::Servers => scenario.working = &share,
        Step::Speed => scenario.speed = &share,
    }
    scenario.run(rules)
}

/// Goodput in parts of the new capacity, and the 99th percentile in parts of the one without an overload, after a step.
fn after(algorithm: Algorithm, step: Step, (from, to): (f64, f64), load: f64, variation: f64) -> (f64, f64) {
    let record = run(step, (from, to), load, variation, rules(algorithm));
    let unloaded = run(step, (to, to), 0.5 * to, variation, Rules::new()).p99(AFTER);
    let capacity = Service::new(variation).capacity() * to;
    // What is let in is answered; how late, the percentile says.
    let goodput = record.goodput(AFTER, Duration::from_secs(10)) / capacity;
    (goodput, record.p99(AFTER).as_secs_f64() / unloaded.as_secs_f64())
}

fn check(algorithm: Algorithm, steps: &[Step]) {
    for variation in VARIATIONS {
        for step in steps {
            for change in [(1.0, 0.5), (0.5, 1.0)] {
                for load in [1.5, 5.0] {
                    let (goodput, p99) = after(algorithm, *step, change, load, variation);
                    let what = format!("{algorithm:?}, {step:?} {change:?}, load {load}, variation {variation}");
                    assert!(goodput >= 0.9, "{what}: goodput {goodput:.3}");
                    assert!(p99 <= 3.0, "{what}: p99 {p99:.1} times the one without an overload");
                }
            }
        }
    }
}

#[test]
fn aimd_finds_the_new_capacity_within_ten_seconds() {
    check(AIMD, &[Step::Servers, Step::Speed]);
}

#[test]
fn vegas_finds_a_new_number_of_servers_within_ten_seconds() {
    check(Algorithm::Vegas, &[Step::Servers]);
}

/// It takes a slower service for a queue until it forgets the shortest response time. With exponential times and a load
/// of 1.5 this leaves 0.69 of the new capacity, with a load of 5 it is 0.85; in the other cases it is 0.97 and more.
#[test]
fn vegas_loses_at_most_two_fifths_of_a_service_that_becomes_slower() {
    for variation in VARIATIONS {
        for load in [1.5, 5.0] {
            let (goodput, p99) = after(Algorithm::Vegas, Step::Speed, (1.0, 0.5), load, variation);
            assert!(goodput >= 0.6 && p99 <= 3.0, "load {load}, variation {variation}: {goodput:.3}, {p99:.1}");
        }
    }
}

/// Its memory of long ago follows the queue that it lets grow: with constant times up to 12 times the unloaded
/// percentile.
#[test]
fn gradient2_keeps_the_capacity_busy_but_not_the_queue_short() {
    for variation in VARIATIONS {
        for step in [Step::Servers, Step::Speed] {
            for change in [(1.0, 0.5), (0.5, 1.0)] {
                let (goodput, p99) = after(Algorithm::gradient2(), step, change, 5.0, variation);
                assert!(goodput >= 0.9 && p99 <= 13.0, "{step:?}, variation {variation}: {goodput:.3}, {p99:.1}");
            }
        }
    }
}

/// Each kind is a resource with a limit of its own, and they share the servers. For AIMD, both may wait for as long (30
/// ms): with 50 ms for both, 0.02 of the costly calls got through, with 50 and 150 ms 0.02 of the cheap ones.
#[test]
fn two_kinds_of_calls_of_different_cost_both_get_through() {
    let costly_aimd = Algorithm::aimd(Duration::from_millis(90));
    let pairs =
        [(AIMD, costly_aimd), (Algorithm::Vegas, Algorithm::Vegas), (Algorithm::gradient2(), Algorithm::gradient2())];
    for (algorithm, of_costly) in pairs {
        let mut scenario = Scenario::new(Service::new(0.5), &|_| 3.0);
        scenario.mix = Mix { costly: (0.2, 3.0), ..Mix::default() };
        let rules = rules(algorithm).isolation([IsolationRule::adaptive("costly", of_costly)]);
        let capacity = scenario.capacity();
        let record = scenario.run(rules);
        let kinds = [false, true].map(|is_costly| record.costly(is_costly));
        let [cheap, costly] = kinds.map(|kind| kind.goodput(AFTER, Duration::from_secs(10)) / capacity);
        println!("{algorithm:?}: cheap {cheap:.3}, costly {costly:.3} of the capacity in calls");
        // In work: a costly call is three cheap ones, and the average call is 1.4.
        assert!((cheap + 3.0 * costly) / 1.4 >= 0.9, "{algorithm:?}: {cheap:.3} and {costly:.3}");
        assert!(cheap >= 0.1 && costly >= 0.05, "{algorithm:?}: {cheap:.3} and {costly:.3}");
    }
}

#[test]
fn under_overload_what_can_be_left_out_goes_first_and_what_is_critical_gets_through() {
    let mut scenario = Scenario::new(Service::new(0.5), &|_| 3.0);
    scenario.mix = Mix { critical: 0.1, sheddable: 0.4, ..Mix::default() };
    let rule = IsolationRule::adaptive("service", AIMD).shares(0.8, 0.5);
    let record = scenario.run(Rules::new().isolation([rule]));
    let share = |class| {
        let calls = record.of(class);
        calls.goodput(AFTER, Duration::from_secs(10)) / calls.offered(AFTER)
    };
    let [critical, default, sheddable] =
        [Criticality::Critical, Criticality::Default, Criticality::Sheddable].map(share);
    println!("critical {critical:.3}, default {default:.3}, sheddable {sheddable:.3}");
    assert!(critical >= 0.99, "{critical:.3}");
    assert!(default >= 0.3 && sheddable <= 0.1, "{default:.3} and {sheddable:.3}");
}
