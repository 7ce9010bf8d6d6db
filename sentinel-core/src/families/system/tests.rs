use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    Decision, Entry, ManualClock, Rule, Rules, Sentinel, Target,
    families::laws::{Lawful, laws},
};

impl Lawful for System {
    fn any_rule() -> BoxedStrategy<Rule<Self>> {
        let share = || prop_oneof![4 => 0.01..=1.0, 1 => prop::sample::select(vec![0.0, 80.0, f64::NAN])];
        let metric = prop_oneof![
            share().prop_map(Metric::CpuUsage),
            share().prop_map(Metric::MemoryUsage),
            (0.0..10.0).prop_map(Metric::Load1),
            prop_oneof![4 => (0..20_u32).prop_map(f64::from), 1 => 0.0..20.0].prop_map(Metric::InboundQps),
            (0..5_u32).prop_map(Metric::InFlight),
            (0..50_u64).prop_map(|time| Metric::AvgResponseTime(Duration::from_millis(time))),
        ];
        let strategy = prop_oneof![
            3 => Just(SystemStrategy::default()),
            1 => (0..10_u32).prop_map(|initial| SystemStrategy::Bbr { initial }),
            1 => Just(SystemStrategy::Gate),
        ];
        let resource = prop::sample::select(vec!["*", "*", "*", "r"]);
        let shares = prop_oneof![3 => Just(Shares::default()), 1 => (0.1..1.1, 0.0..1.0).prop_map(|(default, sheddable)| {
            Shares { default, sheddable }
        })];
        (resource, metric, strategy, shares)
            .prop_map(|(resource, metric, strategy, shares)| {
                Rule::on(resource, SystemParams { metric, strategy, shares })
            })
            .boxed()
    }

    fn document(rule: Rule<Self>) -> Rules {
        Rules::new().system([rule])
    }
}

laws!(System);

struct Service {
    clock: ManualClock,
    sentinel: Sentinel,
}

impl Service {
    fn new(rules: impl IntoIterator<Item = SystemRule>) -> Self {
        let clock = ManualClock::new();
        clock.advance(Duration::from_secs(100));
        let sentinel = Sentinel::builder().clock(clock.clone()).build().expect("valid");
        sentinel.rules().replace("test", Rules::new().system(rules)).expect("valid");
        Self { clock, sentinel }
    }

    fn enter(&self, name: &str) -> Decision {
        self.sentinel.enter(Target::new(name).inbound())
    }

    fn let_in(&self, name: &str) -> Option<Entry> {
        self.enter(name).immediately().ok()
    }

    fn advance(&self, millis: u64) {
        self.clock.advance(Duration::from_millis(millis));
    }

    fn threshold(&self) -> f64 {
        self.sentinel.snapshot_of("a").expect("entered").rules[0].threshold
    }
}

#[test]
fn all_inbound_resources_share_their_permits_per_second_and_outbound_ones_have_none() {
    let service = Service::new([SystemRule::inbound_qps(5.0)]);
    let names = ["a", "b", "c", "a", "b", "c", "a", "b"];
    assert_eq!(names.iter().filter(|name| service.let_in(name).is_some()).count(), 5);
    assert!((0..100).all(|_| service.sentinel.enter("out").immediately().is_ok()));
    service.advance(1_000);
    assert!(service.let_in("d").is_some());
}

#[test]
fn as_many_are_in_flight_as_the_rule_says_and_not_one_more() {
    let service = Service::new([SystemRule::in_flight(2)]);
    let (first, second) = (service.let_in("a"), service.let_in("b"));
    assert!(first.is_some() && second.is_some());
    assert!(service.let_in("a").is_none());
    drop(first);
    assert!(service.let_in("c").is_some());
}

#[test]
fn what_is_beyond_the_share_of_a_class_is_kept_for_those_above_it() {
    use crate::Criticality::{Critical, Default, Sheddable};
    let service = Service::new([SystemRule::in_flight(10).shares(0.8, 0.5)]);
    let mut inside = Vec::new();
    let mut fill = |criticality| {
        let call = Call::new().criticality(criticality);
        let enter = || service.sentinel.enter_with(Target::new("a").inbound(), &call).immediately();
        let before = inside.len();
        inside.extend(std::iter::from_fn(|| enter().ok()));
        inside.len() - before
    };
    assert_eq!([Sheddable, Default, Sheddable, Critical].map(&mut fill), [5, 3, 0, 2]);
}

#[test]
fn a_slow_second_refuses_until_it_has_passed() {
    let service = Service::new([SystemRule::avg_response_time(Duration::from_millis(10))]);
    let call = service.let_in("a").expect("nothing is known");
    service.advance(11);
    drop(call);
    service.advance(100);
    let refused = service.enter("b").immediately().expect_err("slow").to_string();
    let expected =
        "system rule `system:*#0` blocks `b`: average response time 11.0 ms, more than 10 ms, try again in 100ms";
    assert_eq!(refused, expected);
    service.advance(2_000);
    assert!(service.let_in("b").is_some());
    service.advance(10);
    assert!(service.let_in("b").is_some(), "what takes no time is fast");
}

#[test]
fn the_first_slow_call_refuses_the_next_and_calls_of_long_ago_none() {
    let service = Service::new([SystemRule::avg_response_time(Duration::from_millis(10))]);
    for (pause, is_let_in) in [(0, false), (2_000, true), (3_600_000, true)] {
        let call = service.let_in("a").expect("nothing is slow");
        service.advance(11);
        drop(call);
        service.advance(pause);
        assert_eq!(service.let_in("a").is_some(), is_let_in, "after {pause} ms");
        service.advance(2_000);
    }
}

#[test]
fn a_gate_refuses_while_the_signal_is_above_its_threshold_and_an_unknown_signal_never_is() {
    let service = Service::new([SystemRule::cpu_usage(0.8).gate()]);
    assert!(service.let_in("a").is_some());
    service.sentinel.signals().set_cpu_usage(0.81);
    assert!(service.let_in("a").is_none());
    assert!(service.sentinel.enter("out").immediately().is_ok());
    service.sentinel.signals().set_cpu_usage(0.8);
    assert!(service.let_in("a").is_some());
}

#[test]
fn a_signal_of_long_ago_limits_nothing_also_under_a_rule_that_is_new() {
    for rule in [SystemRule::cpu_usage(0.8).gate(), SystemRule::cpu_usage(0.8).initial_in_flight(1)] {
        let service = Service::new([rule.clone()]);
        service.sentinel.signals().set_cpu_usage(0.95);
        let inside = [service.let_in("a"), service.let_in("a")];
        assert!(inside.iter().any(Option::is_none));
        service.advance(10_000);
        assert!((0..10).all(|_| service.let_in("a").is_some()));
        service.sentinel.rules().clear("test");
        service.sentinel.rules().replace("test", Rules::new().system([rule])).expect("valid");
        assert!(service.let_in("a").is_some());
    }
}

#[test]
fn an_odd_reading_is_none_and_the_limit_goes_on_to_follow_the_others() {
    for odd in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -1.0, f64::MAX] {
        let service = Service::new([SystemRule::cpu_usage(0.8).initial_in_flight(4)]);
        let most = |seconds: u64, usage: f64| {
            let mut most = 0;
            for _ in 0..10 * seconds {
                service.sentinel.signals().set_cpu_usage(usage);
                let inside: Vec<Entry> = std::iter::from_fn(|| service.let_in("a")).take(500).collect();
                most = inside.len();
                service.advance(20);
                drop(inside);
                service.advance(80);
            }
            most
        };
        most(1, 1.0);
        service.sentinel.signals().set_cpu_usage(odd);
        assert!(service.sentinel.signals().cpu_usage().is_none_or(f64::is_finite));
        service.advance(100);
        assert!(most(1, 1.0) < 100, "busy after {odd}");
        assert!(most(30, 0.1) >= 100, "not busy after {odd}");
    }
}

#[test]
fn a_call_for_more_permits_than_are_measured_passes_alone() {
    let service = Service::new([SystemRule::cpu_usage(0.8).initial_in_flight(1)]);
    let call = Call::new().count(10);
    let enter = || service.sentinel.enter_with(Target::new("a").inbound(), &call).immediately();
    for _ in 0..600 {
        service.sentinel.signals().set_cpu_usage(0.95);
        let inside = enter().expect("nothing is in flight");
        let refused = enter().expect_err("something is");
        assert!(refused.retry_after().is_some());
        service.advance(20);
        drop(inside);
        service.advance(80);
    }
}

#[test]
fn a_call_for_more_permits_than_the_rule_says_need_not_try_again() {
    let service = Service::new([SystemRule::in_flight(2)]);
    let call = Call::new().count(3);
    let refused = service.sentinel.enter_with(Target::new("a").inbound(), &call).immediately().expect_err("too many");
    assert_eq!(refused.retry_after(), None);
}

#[cfg(feature = "sampler")]
#[test]
fn a_reading_counts_for_three_intervals_of_the_sampler() {
    let clock = ManualClock::new();
    let minute = Duration::from_secs(60);
    let sentinel = Sentinel::builder().clock(clock.clone()).sampler(minute).build().expect("valid");
    // Set by hand, and before there is a rule for which the sampler would run.
    sentinel.signals().set_memory_usage(1.0);
    let signals = |now: Duration| {
        clock.advance_to(now);
        let now = u64::try_from(now.as_nanos()).expect("small");
        sentinel.signals().current(crate::signals::SignalName::MemoryUsage, now)
    };
    assert_eq!(signals(3 * minute - Duration::from_millis(1)), Some(1.0));
    assert_eq!(signals(3 * minute), None);
}

#[test]
fn one_rule_that_is_off_does_not_switch_off_another() {
    let service = Service::new([SystemRule::inbound_qps(0.0), SystemRule::in_flight(5).disabled()]);
    assert!(service.let_in("a").is_none());
}

#[test]
fn a_rule_may_not_name_a_resource() {
    let sentinel = Sentinel::default();
    let rule = Rule::<System>::on("a", SystemRule::in_flight(1).params);
    let error = sentinel.rules().replace("test", Rules::new().system([rule])).expect_err("global").to_string();
    let expected = "system rule 1 for `a`: resource is \"a\", but rules of this family are about all inbound traffic: it is left out, or `*`";
    assert_eq!(error, expected);
}

#[test]
fn a_changed_threshold_keeps_who_is_inside() {
    let service = Service::new([SystemRule::in_flight(1)]);
    let inside = service.let_in("a");
    service.sentinel.rules().replace("test", Rules::new().system([SystemRule::in_flight(2)])).expect("valid");
    let second = service.let_in("a");
    assert!(inside.is_some() && second.is_some() && service.let_in("a").is_none());
}

#[test]
fn without_readings_calls_are_limited_for_ten_seconds_and_then_no_more() {
    let service = Service::new([SystemRule::cpu_usage(0.8).initial_in_flight(2)]);
    let inside = [service.let_in("a"), service.let_in("a")];
    assert!(inside.iter().all(Option::is_some) && service.let_in("a").is_none());
    service.advance(10_000);
    assert!(service.let_in("a").is_some());
    assert_eq!(service.threshold(), f64::from(u32::MAX));
}

#[test]
fn while_the_machine_is_not_busy_the_limit_is_twice_the_most_in_flight() {
    let service = Service::new([SystemRule::cpu_usage(0.8).initial_in_flight(4)]);
    let mut inside = Vec::new();
    for expected in [4, 8, 16] {
        while let Some(entry) = service.let_in("a") {
            inside.push(entry);
        }
        assert_eq!(inside.len(), expected);
        service.advance(100);
        service.sentinel.signals().set_cpu_usage(0.5);
        // Whoever comes next in the new step brings the limit up to date.
        inside.extend(service.let_in("a"));
        service.advance(100);
        inside.extend(service.let_in("a"));
    }
}

#[cfg(feature = "json")]
#[test]
fn documents_say_metric_and_threshold_and_leave_the_resource_out() {
    let read = |rule: &str| {
        let document = format!(r#"{{"system": [{rule}]}}"#);
        Rules::parse(document.as_bytes(), crate::Format::Json).map(|parsed| parsed.rules.system[0].params.clone())
    };
    let params = |rule: SystemRule| Ok(rule.params);
    assert_eq!(read(r#"{"metric": "cpuUsage", "threshold": 0.8}"#), params(SystemRule::cpu_usage(0.8)));
    let time = SystemRule::avg_response_time(Duration::from_millis(20));
    assert_eq!(read(r#"{"metric": "avgResponseTimeMs", "threshold": 20}"#), params(time));
    let gate = r#"{"metric": "load1", "threshold": 8, "strategy": "gate"}"#;
    assert_eq!(read(gate), params(SystemRule::load1(8.0).gate()));
    let errors = [
        (r#"{"metric": "cpuUsage", "threshold": 80}"#, "threshold is 80, but a share is above 0 and at most 1"),
        (r#"{"metric": "cpu", "threshold": 1}"#, "did you mean `cpuUsage`?"),
        (r#"{"threshold": 1}"#, "metric is missing"),
        (
            r#"{"metric": "inboundQps", "threshold": 0.5}"#,
            "threshold is 0.5, but permits per second are a whole number",
        ),
        (r#"{"metric": "inFlight", "threshold": 1.5}"#, "threshold is 1.5, but it is a whole number"),
    ];
    for (document, expected) in errors {
        let error = read(document).expect_err(document).to_string();
        assert!(error.starts_with("system rule 1") && error.contains(expected), "{error}");
    }
}
