#![cfg(feature = "json")]

use super::*;
use crate::{Format, InvalidDocument};

fn parse(rule: &str) -> Result<crate::Parsed, InvalidDocument> {
    Rules::parse(format!(r#"{{"hotspot": [{{"resource": "r", {rule}}}]}}"#).as_bytes(), Format::Json)
}

fn rule(text: &str) -> HotspotRule {
    let mut parsed = parse(text).expect("valid");
    assert_eq!(parsed.warnings, []);
    parsed.rules.hotspot.remove(0)
}

fn warnings(text: &str) -> Vec<String> {
    parse(text).expect("valid").warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn documents_say_all_that_code_says() {
    let written = r#""paramIndex": -1, "threshold": 5, "intervalMs": 500, "burst": 2, "refill": "interval", "capacity": 7,
        "items": [{"value": 1, "threshold": 2}, {"value": "1", "threshold": 0}, {"value": true, "threshold": 3},
                  {"value": 1.0, "threshold": 4}]"#;
    let code = HotspotRule::new("r", -1, 5).per(ms(500)).burst(2).refill(Refill::Interval).capacity(7);
    assert_eq!(rule(written), code.value(1, 2).value("1", 0).value(true, 3).value(1.0, 4));
    assert_eq!(rule(r#""paramKey": "k", "threshold": 5"#), HotspotRule::new("r", "k", 5));
    assert_eq!(
        rule(r#""paramIndex": 0, "threshold": 5, "behavior": "throttle", "maxQueueingTimeMs": 20"#),
        HotspotRule::new("r", 0, 5).throttle(ms(20)),
    );
    assert_eq!(rule(r#""paramIndex": -2147483648, "threshold": 5"#), HotspotRule::new("r", i32::MIN, 5));
    let concurrency = r#""paramIndex": 0, "threshold": 5, "metric": "concurrency""#;
    assert_eq!(rule(concurrency), HotspotRule::new("r", 0, 5).concurrency());
}

#[test]
fn every_error_is_named_with_its_place() {
    let error = |text| parse(text).expect_err("invalid").to_string();
    assert_eq!(
        error(r#""threshold": 1"#),
        "hotspot rule 1 for `r`: paramIndex is missing, but it has to be there, or else paramKey"
    );
    let both = error(r#""paramIndex": 1, "paramKey": "k", "threshold": 1"#);
    assert_eq!(both, "hotspot rule 1 for `r`: paramIndex is 1, but paramKey names the argument already");
    let twice = error(
        r#""paramIndex": 0, "threshold": 1, "items": [{"value": 2, "threshold": 1}, {"value": 2, "threshold": 3}]"#,
    );
    assert_eq!(twice, "hotspot rule 1 for `r`: items[1].value is 2, but another item has this value");
    let all = error(
        r#""paramKey": "", "threshold": -1, "intervalMs": 0, "capacity": 0,
        "items": [{"value": "a"}, 7, {"value": null, "threshold": 1}, {"value": [1], "threshold": 1.5}]"#,
    );
    let errors: Vec<&str> = all.lines().skip(1).collect();
    let expected = [
        "threshold is -1, but it is a whole number from 0 to 4294967295",
        "items[0].threshold is missing, but it has to be there",
        "items[1] is 7, but it is an object",
        "items[2].value is missing, but it has to be there",
        "items[3].value is [1], but it is a whole number, a text, a truth value, or a number with a point",
        "items[3].threshold is 1.5, but it is a whole number from 0 to 4294967295",
        "paramKey is \"\", but the name of an argument has 1 to 128 bytes",
        "intervalMs is 0, but an interval lasts from 1 ms to 7 days",
        "capacity is 0, but a rule keeps from 1 to 1,000,000 values",
    ];
    for expected in &expected {
        assert!(errors.contains(&format!("hotspot rule 1 for `r`: {expected}").as_str()), "{expected} in\n{all}");
    }
    assert_eq!(errors.len(), expected.len(), "{all}");
}

#[test]
fn what_means_nothing_is_warned_of() {
    let warned = warnings(
        r#""paramKey": "k", "threshold": 1, "metric": "concurrency", "behavior": "reject",
        "intervalMs": 5, "burst": 1, "maxQueueingTimeMs": 1, "items": [{"value": 1, "threshold": 1, "treshold": 2}]"#,
    );
    assert_eq!(
        warned,
        [
            "hotspot rule 1 for `r`: `behavior` means nothing without the metric qps",
            "hotspot rule 1 for `r`: `intervalMs` means nothing without the metric qps",
            "hotspot rule 1 for `r`: `burst` means nothing without the behavior reject",
            "hotspot rule 1 for `r`: `maxQueueingTimeMs` means nothing without the behavior throttle",
            "hotspot rule 1 for `r`: unknown field `items[0].treshold`, did you mean `threshold`?",
        ]
    );
}

#[cfg(not(feature = "frequency-cache"))]
#[test]
fn a_cache_that_is_not_built_in_is_an_error() {
    let error = parse(r#""paramIndex": 0, "threshold": 1, "cache": "frequency""#).expect_err("not built in");
    assert!(error.to_string().ends_with("cache is frequency, but this cache needs the feature `frequency-cache`"));
}
