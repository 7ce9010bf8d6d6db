//! Rules of ours in the forms of others: what they can say comes back as it was, and what they cannot say is named.
#![cfg(all(feature = "json", feature = "regex", feature = "toml", feature = "yaml"))]

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use proptest::{collection::vec, option, prelude::*, sample::select};
use sentinel_core::{
    Algorithm, AuthorityRule, BreakerRule, BreakerStrategy, Dialect, Encoding, Family, FlowRule, Format, HotspotRule,
    InvalidDocument, IsolationRule, MemoryAdaptive, Refill, Rule, Rules, SheddingRule, SystemRule,
};

fn millis(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

fn seconds(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_secs)
}

fn encoding(dialect: Dialect) -> Encoding {
    match dialect {
        Dialect::Go => Encoding::go(),
        Dialect::Java => Encoding::java(),
        Dialect::Kubernetes => Encoding::kubernetes(),
        _ => Encoding::native(Format::Json),
    }
}

/// The family of the rules.
fn family(rules: &Rules) -> &'static str {
    let families = [
        (rules.flow.len(), "flow"),
        (rules.isolation.len(), "isolation"),
        (rules.hotspot.len(), "hotspot"),
        (rules.system.len(), "system"),
        (rules.authority.len(), "authority"),
        (rules.circuit_breaker.len(), "circuitBreaker"),
    ];
    families.iter().find(|(count, _)| *count > 0).map_or("flow", |(_, family)| family)
}

/// Rules with names, patterns and, where the dialect has them, dry runs.
fn dressed<F: Family>(
    dialect: Dialect,
    patterns: bool,
    rules: impl Strategy<Value = Rule<F>>,
) -> impl Strategy<Value = Vec<Rule<F>>> {
    let dress = move |(index, (rule, named, pattern, dry, off)): (usize, (Rule<F>, bool, bool, bool, bool))| {
        let rule = match (named, dialect) {
            (false, _) => rule,
            (true, Dialect::Java) => rule.id(index.to_string()),
            (true, _) => rule.id(format!("rule {index}")),
        };
        let rule = if pattern && patterns { rule.pattern() } else { rule };
        let rule = if dry && dialect == Dialect::Kubernetes { rule.dry_run() } else { rule };
        if off && dialect == Dialect::Kubernetes { rule.disabled() } else { rule }
    };
    vec((rules, any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()), 0..5)
        .prop_map(move |rules| rules.into_iter().enumerate().map(dress).collect())
}

fn resource() -> impl Strategy<Value = String> {
    "[a-zäß/ ]{0,6}[a-z]"
}

fn amount(dialect: Dialect) -> BoxedStrategy<f64> {
    match dialect {
        Dialect::Kubernetes => (1..1_000_000u32).prop_map(f64::from).boxed(),
        _ => (1e-9..1e6f64).boxed(),
    }
}

fn share(dialect: Dialect) -> BoxedStrategy<f64> {
    match dialect {
        Dialect::Kubernetes => (1..=100u32).prop_map(|percent| f64::from(percent) / 100.0).boxed(),
        _ => (1e-9..0.999_999f64).boxed(),
    }
}

fn flow(dialect: Dialect) -> impl Strategy<Value = FlowRule> {
    let java = dialect == Dialect::Java;
    let origin = option::of(select(vec!["other", "batch"]));
    let cold = if java { Just(3).boxed() } else { (2..1000u32).boxed() };
    let interval = if java { Just(Duration::from_secs(1)).boxed() } else { millis(1..604_800_000).boxed() };
    (resource(), amount(dialect), interval, origin, 0..7u8, seconds(1..86_400), cold, millis(1..3_600_000)).prop_map(
        move |(resource, threshold, interval, origin, shape, period, cold, wait)| {
            let rule = FlowRule::new(resource, threshold).per(interval);
            let rule = match origin {
                Some("other") if dialect != Dialect::Go => rule.for_other_origins(),
                Some(origin) if dialect != Dialect::Go => rule.for_origin(origin),
                _ => rule,
            };
            let warm = |rule: FlowRule| rule.warm_up(period).cold_factor(cold.into());
            match shape {
                0 => rule.throttle(wait),
                1 => warm(rule),
                2 => warm(rule).throttle(wait),
                3 => rule.related_to("Another"),
                4 if !java => {
                    let mut rule = rule.memory_adaptive(MemoryAdaptive {
                        low_memory_threshold: threshold.floor() + 2.0,
                        high_memory_threshold: 1.0,
                        low_water_mark: 1 << 30,
                        high_water_mark: 1 << 60,
                    });
                    rule.params.threshold = 0.0;
                    rule
                }
                _ => rule,
            }
        },
    )
}

fn isolation(dialect: Dialect) -> impl Strategy<Value = IsolationRule> {
    (resource(), 1..u32::MAX, any::<bool>()).prop_map(move |(resource, threshold, batch)| {
        let rule = IsolationRule::new(resource, threshold);
        if batch && dialect != Dialect::Go { rule.for_origin("batch") } else { rule }
    })
}

fn breaker(dialect: Dialect) -> impl Strategy<Value = BreakerRule> {
    let java = dialect == Dialect::Java;
    let retry = if java { seconds(1..600_000).boxed() } else { millis(1..600_000_000).boxed() };
    let of_slow =
        (millis(0..604_800_000), share(dialect)).prop_map(|(time, share)| BreakerRule::slow_ratio("", time, share));
    let of_errors = share(dialect).prop_map(|share| BreakerRule::error_ratio("", share));
    let of_count = (1..1_000_000u32).prop_map(|errors| BreakerRule::error_count("", errors));
    let kind = prop_oneof![of_slow, of_errors, of_count];
    (resource(), kind, millis(1..604_800_000), 1..=100u32, 1..10_000u32, retry, 1..=1_000u32).prop_map(
        move |(resource, kind, interval, buckets, least, retry, probes)| {
            let rule =
                Rule::on(resource, kind.params).interval(interval).min_request_amount(least).retry_timeout(retry);
            if java { rule.strict() } else { rule.buckets(buckets).probes(probes) }
        },
    )
}

fn hotspot(dialect: Dialect) -> impl Strategy<Value = HotspotRule> {
    let words = prop_oneof![Just("vip"), Just("true"), Just("7"), Just(""), Just("ä")];
    (
        resource(),
        any::<i16>(),
        any::<u32>(),
        seconds(1..600_000),
        0..4u8,
        any::<u32>(),
        millis(0..3_600_000),
        words,
        -1e300..1e300,
        any::<i64>(),
    )
        .prop_map(move |(resource, index, threshold, interval, shape, burst, wait, word, float, whole)| {
            let rule = match dialect {
                Dialect::Kubernetes if shape == 3 => HotspotRule::new(resource, "tenant", threshold),
                _ => HotspotRule::new(resource, i32::from(index), threshold),
            };
            let rule = rule.value(word, threshold).value(float, 0).value(whole, burst).value(true, 1);
            match shape {
                0 => rule.concurrency(),
                1 => rule.per(interval).throttle(wait),
                _ => rule.per(interval).burst(burst).refill(Refill::Interval),
            }
        })
}

fn system(dialect: Dialect) -> impl Strategy<Value = SystemRule> {
    (0..5u8, any::<u32>(), 1..3_600_000u32, share(dialect)).prop_map(move |(shape, permits, time, share)| match shape {
        0 if dialect == Dialect::Kubernetes => SystemRule::load1(f64::from(time) / 100.0).gate(),
        0 => SystemRule::load1(f64::from(time) / 100.0),
        1 => SystemRule::cpu_usage(share).gate(),
        2 => SystemRule::inbound_qps(permits.into()),
        3 => SystemRule::in_flight(permits),
        _ => SystemRule::avg_response_time(Duration::from_millis(time.into())),
    })
}

/// Rules of one family that a dialect can say.
fn sayable(dialect: Dialect) -> BoxedStrategy<Rules> {
    let every = dialect != Dialect::Go;
    let flow = dressed(dialect, true, flow(dialect)).prop_map(|rules| Rules::new().flow(rules));
    let isolation = dressed(dialect, true, isolation(dialect)).prop_map(|rules| Rules::new().isolation(rules));
    let breaker = dressed(dialect, every, breaker(dialect)).prop_map(|rules| Rules::new().circuit_breaker(rules));
    let hotspot = dressed(dialect, every, hotspot(dialect)).prop_map(|rules| Rules::new().hotspot(rules));
    let system = vec(system(dialect), 0..5).prop_map(|rules| Rules::new().system(rules));
    let families = prop_oneof![flow, isolation, breaker, hotspot, system];
    let authority = |dialect| {
        let rule = (resource(), vec("[a-z]{1,5}", 1..5), any::<bool>()).prop_map(|(resource, origins, deny)| {
            if deny { AuthorityRule::deny(resource, origins) } else { AuthorityRule::allow(resource, origins) }
        });
        dressed(dialect, true, rule).prop_map(|rules| Rules::new().authority(rules))
    };
    match dialect {
        Dialect::Go => families.boxed(),
        _ => prop_oneof![families, authority(dialect)].boxed(),
    }
}

const OTHERS: [Dialect; 3] = [Dialect::Go, Dialect::Java, Dialect::Kubernetes];

fn one_of_others() -> impl Strategy<Value = (Dialect, Rules)> {
    select(OTHERS.to_vec()).prop_flat_map(|dialect| (Just(dialect), sayable(dialect)))
}

proptest! {
    #[test]
    fn what_a_form_can_say_comes_back_as_it_was((dialect, rules) in one_of_others(), yaml in any::<bool>()) {
        let format = if yaml { Format::Yaml } else { Format::Json };
        let text = rules.encode(&encoding(dialect).format(format)).unwrap();
        let name = family(&rules);
        let again = Rules::decode(text.as_bytes(), &encoding(dialect).family(name)).unwrap();
        prop_assert_eq!(&again.rules, &rules, "{}", text);
        prop_assert_eq!(again.warnings, vec![]);
        // Written once more, it is the same text: nothing is lost on the way.
        prop_assert_eq!(again.rules.encode(&encoding(dialect).format(format)).unwrap(), text);
    }

    #[test]
    fn lists_of_ours_come_back_as_they_were(rules in sayable(Dialect::Kubernetes), yaml in any::<bool>()) {
        let format = if yaml { Format::Yaml } else { Format::Json };
        for name in ["flow", "isolation", "hotspot", "system", "authority", "circuitBreaker"] {
            let encoding = Encoding::native(format).family(name);
            match rules.encode(&encoding) {
                Ok(text) => prop_assert_eq!(Rules::decode(text.as_bytes(), &encoding).unwrap().rules, rules.clone()),
                Err(InvalidDocument::Families { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }

    #[test]
    fn what_is_said_in_one_form_means_the_same_in_another(rules in sayable(Dialect::Java), go in any::<bool>()) {
        let other = encoding(if go { Dialect::Go } else { Dialect::Kubernetes });
        // What the other form cannot say it refuses; what it says, it says as it was.
        if let Ok(text) = rules.encode(&other) {
            let again = Rules::decode(text.as_bytes(), &other.family(family(&rules))).unwrap();
            prop_assert_eq!(again.rules, rules);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..200), dialect in select(OTHERS.to_vec())) {
        let _ = Rules::decode(&bytes, &encoding(dialect));
        let _ = Rules::decode(&bytes, &Encoding::detected());
    }

    #[test]
    fn no_fields_make_it_panic_and_what_is_read_can_be_written(
        rules in vec(vec((select(FIELDS.to_vec()), select(VALUES.to_vec())), 0..8), 1..4),
        dialect in option::of(select(OTHERS.to_vec())),
        family in option::of(select(vec!["flow", "isolation", "circuitBreaker", "hotspot", "system", "authority"])),
    ) {
        let mut text = String::from("[");
        for rule in &rules {
            let separator = if text.len() > 1 { "," } else { "" };
            let mut seen = std::collections::BTreeMap::new();
            seen.extend(rule.iter().copied());
            let fields: Vec<_> = seen.iter().map(|(name, value)| format!("{name:?}: {value}")).collect();
            write!(text, "{separator}{{{}}}", fields.join(", ")).unwrap();
        }
        text.push(']');
        let mut declared = dialect.map_or_else(Encoding::detected, encoding);
        declared.family = family.map(str::to_owned);
        if let Ok(parsed) = Rules::decode(text.as_bytes(), &declared) {
            let native = parsed.rules.encode(&Encoding::native(Format::Json)).unwrap();
            prop_assert_eq!(Rules::parse(native.as_bytes(), Format::Json).unwrap().rules, parsed.rules);
        }
    }
}

/// Fields of all forms.
const FIELDS: &[&str] = &[
    "resource",
    "id",
    "count",
    "threshold",
    "grade",
    "strategy",
    "controlBehavior",
    "refResource",
    "limitApp",
    "regex",
    "clusterMode",
    "warmUpPeriodSec",
    "maxQueueingTimeMs",
    "timeWindow",
    "minRequestAmount",
    "slowRatioThreshold",
    "statIntervalMs",
    "paramIdx",
    "paramFlowItemList",
    "qps",
    "maxThread",
    "avgRt",
    "highestSystemLoad",
    "tokenCalculateStrategy",
    "relationStrategy",
    "statIntervalInMs",
    "metricType",
    "retryTimeoutMs",
    "maxAllowedRtMs",
    "paramIndex",
    "durationInSec",
    "specificItems",
    "triggerCount",
    "origins",
    "rule",
    "apiName",
    "dryRun",
];
/// Values, some of them right.
const VALUES: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "-1",
    "0.5",
    "1e300",
    "\"a\"",
    "\"\"",
    "\"*\"",
    "\"(\"",
    "null",
    "true",
    "[]",
    "{}",
    "[{\"object\": \"1\", \"count\": 1, \"classType\": \"int\"}]",
    "[{\"valKind\": 1, \"valStr\": \"a\", \"threshold\": 1}]",
];

/// The errors of encoding.
fn errors(rules: &Rules, encoding: &Encoding) -> Vec<String> {
    match rules.encode(encoding) {
        Err(InvalidDocument::Rules(invalid)) => invalid.errors().iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn whole_milliseconds_stay_whole() {
    // 1.028666 s times a thousand is a little less than that.
    let rules = Rules::new().system([SystemRule::avg_response_time(Duration::from_millis(1_028_666))]);
    for dialect in OTHERS {
        let encoding = encoding(dialect).family("system");
        let text = rules.encode(&encoding).unwrap();
        assert_eq!(Rules::decode(text.as_bytes(), &encoding).unwrap().rules, rules, "{text}");
    }
}

#[test]
fn what_a_form_cannot_say_is_named_with_rule_field_and_value() {
    let no_form = |dialect: &str| format!("but documents of Sentinel for {dialect} have no form for it");
    let second = Duration::from_secs(1);
    let flow = |rule: FlowRule| Rules::new().flow([FlowRule::new("fine", 1.0), rule]);
    let breaker = |rule: BreakerRule| Rules::new().circuit_breaker([rule]);
    let hotspot = |rule: HotspotRule| Rules::new().hotspot([rule]);
    let system = |rule: SystemRule| Rules::new().system([rule]);
    let vectors = [
        (
            flow(FlowRule::new("r", 1.0).id("mine")),
            "Java",
            "flow rule 2 `mine` for `r`: id is \"mine\", but it is a whole number".to_owned(),
        ),
        (flow(FlowRule::new("r", 1.0).per(2 * second)), "Java", format!("intervalMs is 2000, {}", no_form("Java"))),
        (flow(FlowRule::new("r", 1.0).disabled()), "Java", format!("enabled is false, {}", no_form("Java"))),
        (flow(FlowRule::new("r", 1.0).aligned()), "Java", format!("window is \"aligned\", {}", no_form("Java"))),
        (
            flow(FlowRule::new("*", 1.0)),
            "Java",
            "resource is \"*\", but in documents of Sentinel for Java it means something else".to_owned(),
        ),
        (
            flow(FlowRule::new("r", 1.0).warm_up(second).cold_factor(2.0)),
            "Java",
            format!("coldFactor is 2, {}", no_form("Java")),
        ),
        (
            flow(FlowRule::new("r", 1.0).warm_up(second / 2)),
            "Java",
            "warmUpPeriodSec is 0.5, but it is a whole number".to_owned(),
        ),
        (
            flow(FlowRule::new("r", 1.0).throttle(Duration::ZERO)),
            "Java",
            "maxQueueingTimeMs is 0, but whoever may not wait".to_owned(),
        ),
        (flow(FlowRule::new("r", 1.0).for_origin("web")), "Go", format!("origin is \"web\", {}", no_form("Go"))),
        (
            flow(FlowRule::new("r", 1.0).dry_run()),
            "Go",
            format!("flow rule 2 for `r`: dryRun is true, {}", no_form("Go")),
        ),
        (flow(FlowRule::new("r", 1.5)), "Kubernetes", "threshold is 1.5, but it is a whole number".to_owned()),
        (
            breaker(BreakerRule::error_ratio("r", 0.5)),
            "Java",
            "strict is left out, but in documents of Sentinel for Java it is always true".to_owned(),
        ),
        (
            breaker(BreakerRule::error_ratio("r", 1.0).strict()),
            "Java",
            "count is 1, but in documents of Sentinel for Java it means something else".to_owned(),
        ),
        (breaker(BreakerRule::error_ratio("r", 0.5).strict()), "Go", format!("strict is true, {}", no_form("Go"))),
        (
            breaker(BreakerRule::error_ratio("r", 0.5).window_calls(10)),
            "Go",
            format!("windowCalls is 10, {}", no_form("Go")),
        ),
        (
            breaker(BreakerRule::error_ratio("r", 0.5).recovery(second)),
            "Kubernetes",
            format!("recoveryMs is 1000, {}", no_form("Kubernetes")),
        ),
        (
            breaker(BreakerRule::error_ratio("r", 0.125)),
            "Kubernetes",
            "threshold is 12.5, but it is a whole number".to_owned(),
        ),
        (breaker(BreakerRule::error_ratio("a|b", 0.5).pattern()), "Go", format!("regex is true, {}", no_form("Go"))),
        (
            hotspot(HotspotRule::new("r", "tenant", 1).refill(Refill::Interval)),
            "Go",
            format!("paramKey is \"tenant\", {}", no_form("Go")),
        ),
        (
            hotspot(HotspotRule::new("r", 0, 1)),
            "Java",
            "refill is left out, but in documents of Sentinel for Java it is always \"interval\"".to_owned(),
        ),
        (
            hotspot(HotspotRule::new("r", 0, 1).concurrency().capacity(5)),
            "Java",
            format!("capacity is 5, {}", no_form("Java")),
        ),
        (
            system(SystemRule::memory_usage(0.5).gate()),
            "Java",
            format!("metric is \"memoryUsage\", {}", no_form("Java")),
        ),
        (
            system(SystemRule::cpu_usage(0.5)),
            "Java",
            "strategy is left out, but in documents of Sentinel for Java it is always \"gate\"".to_owned(),
        ),
        (system(SystemRule::in_flight(5).shares(0.5, 0.5)), "Go", format!("defaultShare is 0.5, {}", no_form("Go"))),
        (
            Rules::new().isolation([IsolationRule::adaptive("r", Algorithm::Vegas)]),
            "Java",
            format!("adaptive is \"vegas\", {}", no_form("Java")),
        ),
        (Rules::new().isolation([IsolationRule::new("r", 0)]), "Go", "threshold is 0, but it is above 0".to_owned()),
        (
            Rules::new().authority([AuthorityRule::allow("r", ["a,b"])]),
            "Java",
            format!("origins is [\"a,b\"], {}", no_form("Java")),
        ),
        (
            Rules::new().flow([FlowRule::new("r", 1.0).id("1")]).isolation([IsolationRule::new("r", 1).id("1")]),
            "Java",
            "isolation rule 1 `1` for `r`: id is \"1\", but another rule of the document has this name".to_owned(),
        ),
        (
            flow(FlowRule::new("r", f64::NAN)),
            "Java",
            "flow rule 2 for `r`: threshold is NaN, but a threshold is a number".to_owned(),
        ),
    ];
    for (rules, dialect, expected) in vectors {
        let encoding = match dialect {
            "Java" => Encoding::java(),
            "Go" => Encoding::go(),
            _ => Encoding::kubernetes(),
        };
        let errors = errors(&rules, &encoding);
        assert!(errors.iter().any(|error| error.contains(&expected)), "{expected}: {errors:#?}");
    }
}

#[test]
fn all_that_cannot_be_said_is_told_at_once() {
    let rules = Rules::new().flow([
        FlowRule::new("a", 1.0).dry_run().disabled(),
        FlowRule::new("b", 1.0),
        FlowRule::new("c", 1.0).per(Duration::from_secs(60)),
    ]);
    let errors = errors(&rules, &Encoding::java());
    let starts = [
        "flow rule 1 for `a`: dryRun is true",
        "flow rule 1 for `a`: enabled is false",
        "flow rule 3 for `c`: intervalMs",
    ];
    assert_eq!(errors.len(), starts.len(), "{errors:#?}");
    for (error, start) in errors.iter().zip(starts) {
        assert!(error.starts_with(start), "{error}");
    }
}

#[test]
fn a_document_of_others_has_the_rules_of_one_family() {
    let both = Rules::new().flow([FlowRule::new("r", 1.0)]).isolation([IsolationRule::new("r", 1)]);
    let error = both.encode(&Encoding::go()).unwrap_err().to_string();
    assert_eq!(error, "a document of Sentinel for Go has the rules of one family, but these are of flow, isolation");
    assert!(both.encode(&Encoding::go().family("flow")).is_err());
    let java = both.encode(&Encoding::java()).expect("there, both are flow rules");
    assert_eq!(Rules::decode(java.as_bytes(), &Encoding::detected()).unwrap().rules, both);

    let error = Rules::new().shedding([SheddingRule::new("r")]).encode(&Encoding::java()).unwrap_err().to_string();
    assert!(error.starts_with("documents of Sentinel for Java have no shedding rules; they have "), "{error}");
    let error = both.encode(&Encoding::go().family("flaw")).unwrap_err().to_string();
    assert!(error.starts_with("documents of Sentinel for Go have no flaw rules"), "{error}");
    let list = Encoding::native(Format::Toml).family("flow");
    let error = Rules::new().flow([FlowRule::new("r", 1.0)]).encode(&list).unwrap_err();
    assert_eq!(error, InvalidDocument::NoList { format: Format::Toml });
}

#[test]
fn no_rules_are_a_list_of_nothing() {
    for (encoding, expected) in
        [(Encoding::go(), "[]\n"), (Encoding::java().family("flow"), "[]\n"), (Encoding::detected(), "{}\n")]
    {
        let text = Rules::new().encode(&encoding).unwrap();
        assert_eq!(text, expected);
        assert_eq!(Rules::decode(text.as_bytes(), &encoding).map(|parsed| parsed.rules), Ok(Rules::new()));
    }
    let text = Rules::new().encode(&Encoding::kubernetes()).unwrap();
    assert_eq!(Rules::decode(text.as_bytes(), &Encoding::detected()).map(|parsed| parsed.rules), Ok(Rules::new()));
}

#[test]
fn a_pattern_of_go_is_looked_for_anywhere_in_a_name() {
    let document = br#"[{"resource": "svc/.*", "threshold": 0, "regex": true, "tokenCalculateStrategy": 0}]"#;
    let rules = Rules::decode(document, &Encoding::detected()).unwrap().rules;
    let sentinel = sentinel_core::Sentinel::default();
    sentinel.rules().replace("go", rules.clone()).unwrap();
    for (name, passes) in [("svc/a", false), ("x svc/\na", false), ("sv", true)] {
        assert_eq!(sentinel.enter(name).immediately().is_ok(), passes, "{name:?}");
    }
    let text = rules.encode(&Encoding::go()).unwrap();
    assert_eq!(Rules::decode(text.as_bytes(), &Encoding::go()).unwrap().rules, rules, "{text}");
    // Brackets that do not belong together are no pattern within a whole one.
    let apart = br#"[{"resource": "^(?:a)|(?:b)$", "threshold": 0, "regex": true, "tokenCalculateStrategy": 0}]"#;
    let rules = Rules::decode(apart, &Encoding::go()).unwrap().rules;
    sentinel.rules().replace("go", rules).unwrap();
    for (name, passes) in [("abc", false), ("cb", false), ("cab!", true)] {
        assert_eq!(sentinel.enter(name).immediately().is_ok(), passes, "{name:?}");
    }
}

#[test]
fn breakers_of_java_open_beyond_their_threshold_and_those_of_go_at_it() {
    let java = br#"[{"resource": "r", "grade": 2, "count": 3, "timeWindow": 10}]"#;
    let go = br#"[{"resource": "r", "strategy": 2, "threshold": 3, "retryTimeoutMs": 10000, "statIntervalMs": 1000}]"#;
    for (document, strict) in [(&java[..], true), (&go[..], false)] {
        let rules = Rules::decode(document, &Encoding::detected()).unwrap().rules;
        let params = rules.circuit_breaker[0].params;
        assert_eq!((params.strategy, params.threshold, params.strict), (BreakerStrategy::ErrorCount, 3.0, strict));
        assert_eq!(params.retry_timeout, Duration::from_secs(10));
    }
}

/// A document of so many rules.
fn many(rule: &str, count: usize) -> String {
    format!("[{}]", vec![rule; count].join(","))
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it is about the time that it really takes")]
fn a_document_is_read_in_time_in_proportion_to_its_length() {
    let rules = [
        (r#"{"id": 1, "resource": "r", "count": 1, "grade": 1, "odd": 1}"#, Encoding::java()),
        (r#"{"resource": "r", "threshold": -1, "tokenCalculateStrategy": 7, "odd": 1}"#, Encoding::go()),
        (r#"{"resource": "r", "count": "x", "paramIdx": 0, "paramFlowItemList": [{}, {}, {}]}"#, Encoding::detected()),
        (r#"{"resource": "(", "threshold": 1, "regex": true}"#, Encoding::kubernetes().family("flow")),
    ];
    for (rule, encoding) in rules {
        let time = |count| {
            let document = many(rule, count);
            let start = Instant::now();
            let _ = Rules::decode(document.as_bytes(), &encoding);
            start.elapsed()
        };
        // The machine may be busy with something else once.
        let (few, most) = (0..5).map(|_| (time(1_000), time(10_000))).min_by_key(|(_, most)| *most).unwrap();
        assert!(most < few.max(Duration::from_millis(1)) * 40, "{rule}: {few:?}, {most:?}");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it is about the time that it really takes")]
fn items_that_are_wrong_by_the_thousands_are_told_in_time() {
    for item in [r#"{"object": "x", "count": 1}"#, "{}", "7"] {
        let items = many(item, 200_000);
        let document = format!(r#"[{{"resource": "r", "count": 1, "paramIdx": 0, "paramFlowItemList": {items}}}]"#);
        let start = Instant::now();
        let read = Rules::decode(document.as_bytes(), &Encoding::java());
        assert!(matches!(&read, Err(InvalidDocument::Rules(_))), "{item}");
        assert!(start.elapsed() < Duration::from_secs(30), "{item}: {:?}", start.elapsed());
    }
}
