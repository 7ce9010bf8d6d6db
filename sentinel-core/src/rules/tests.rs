use proptest::prelude::*;

use super::*;
use crate::{FlowRule, Rules};

fn json(document: &str) -> Result<Parsed, InvalidDocument> {
    Rules::parse(document.as_bytes(), Format::Json)
}

fn errors(document: &str) -> Vec<String> {
    match json(document) {
        Err(InvalidDocument::Rules(invalid)) => invalid.errors().iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

/// One rule, with more fields.
fn rule(fields: &str) -> String {
    format!(r#"{{"flow": [{{"resource": "r", "threshold": 1, {fields}}}]}}"#)
}

#[test]
fn every_field_has_an_error_that_names_rule_field_value_and_what_is_right() {
    let vectors = [
        (r#"{"flow": [{"threshold": 1}]}"#, "flow rule 1: resource is missing, but it has to be there"),
        (r#"{"flow": [{"resource": "r"}]}"#, "flow rule 1 for `r`: threshold is missing, but it has to be there"),
        (r#"{"flow": [{"resource": "r", "threshold": null}]}"#, "threshold is missing, but it has to be there"),
        (
            r#"{"flow": [{"resource": "r", "treshold": 5}]}"#,
            r#"threshold is missing, but it has to be there; is "treshold" meant to be it?"#,
        ),
        (&rule(r#""intervalMs": 1e30"#), "intervalMs is 1e+30, but it is a number of milliseconds from 0 to 1.8e13"),
        (r#"{"flow": [{"resource": "r", "threshold": -5}]}"#, "threshold is -5, but a threshold is a number from 0 to"),
        (r#"{"flow": [{"resource": "r", "threshold": "100"}]}"#, r#"threshold is "100", but it is a number"#),
        (
            r#"{"flow": [{"resource": " ", "threshold": 1}]}"#,
            r#"resource is " ", but the name of a resource has 1 to 512"#,
        ),
        (&rule(r#""id": """#), r#"id is "", but a name has 1 to 128 characters"#),
        (&rule(r#""enabled": 1"#), "enabled is 1, but it is true or false"),
        (&rule(r#""intervalMs": 0.5"#), "intervalMs is 0.5, but an interval lasts from 1 ms to 7 days"),
        (&rule(r#""intervalMs": -1"#), "intervalMs is -1, but it is a number of milliseconds"),
        (&rule(r#""strategy": "warmup""#), "it is one of direct, warmUp, memoryAdaptive; did you mean `warmUp`?"),
        (
            &rule(r#""strategy": "warmUp", "warmUpPeriodSec": 0"#),
            "warmUpPeriodSec is 0, but a period lasts more than 0 s",
        ),
        (&rule(r#""strategy": "warmUp", "coldFactor": 1"#), "coldFactor is 1, but a cold factor is above 1"),
        (&rule(r#""strategy": "memoryAdaptive""#), "lowMemoryThreshold is missing"),
        (&rule(r#""behavior": "throttle", "maxQueueingTimeMs": 1e9"#), "a call waits for an hour at most"),
        (&rule(r#""window": "aligned", "buckets": 3"#), "buckets is 3, but there are 1 to 100 buckets"),
        (&rule(r#""window": "aligned", "behavior": "throttle""#), "aligned windows go with the behavior reject"),
        (&rule(r#""origin": """#), r#"origin is "", but an origin has 1 to 512 bytes"#),
        (&rule(r#""relatedResource": "r""#), "a resource is related to another one, not to itself"),
        (&rule(r#""relatedResource": "s", "behavior": "throttle""#), "a relation goes with the behavior reject"),
        (r#"{"flow": {}}"#, "flow rule 1: flow is an object, but the rules of a family are a list"),
        (r#"{"flow": null}"#, "flow is null, but the rules of a family are a list"),
        (r#"{"flow": [7]}"#, "flow rule 1: rule is a number, but a rule is an object"),
    ];
    for (document, expected) in vectors {
        let errors = errors(document);
        assert!(errors.iter().any(|error| error.contains(expected)), "{document}: {errors:#?}");
    }
}

#[test]
fn what_is_no_number_in_toml_is_an_error_and_not_nothing() {
    for (field, value) in [("threshold", "nan"), ("intervalMs", "inf"), ("enabled", "nan"), ("dryRun", "1979-05-27")] {
        let document = format!("[[flow]]\nresource = 'r'\n{field} = {value}\n");
        let Err(InvalidDocument::Rules(invalid)) = Rules::parse(document.as_bytes(), Format::Toml) else {
            panic!("{document} is valid")
        };
        let errors: Vec<_> = invalid.errors().iter().map(ToString::to_string).collect();
        let told = format!("{field} is \"{value}\"");
        assert!(errors.iter().any(|error| error.contains(&told)), "{errors:?}");
    }
}

#[test]
fn all_errors_of_all_rules_are_told_at_once() {
    let errors = errors(
        r#"{"flow": [
            {"id": "a", "resource": "x", "threshold": -1, "intervalMs": "1s"},
            {"id": "b", "resource": "y", "threshold": 1},
            {"id": "b", "resource": "", "threshold": 1},
            null
        ]}"#,
    );
    let expected = [
        "flow rule 1 `a` for `x`: intervalMs is \"1s\"",
        "flow rule 1 `a` for `x`: threshold is -1",
        "flow rule 3 `b`: id is \"b\", but another rule of the family has this name",
        "flow rule 3 `b`: resource is \"\"",
        "flow rule 4: rule is null",
    ];
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for (error, expected) in errors.iter().zip(expected) {
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_message_stays_readable_whatever_the_document() {
    let long = "ä".repeat(10_000);
    let many: Vec<String> = (0..100).map(|_| format!(r#"{{"resource": "{long}", "threshold": -1}}"#)).collect();
    let error = json(&format!(r#"{{"flow": [{}]}}"#, many.join(","))).expect_err("it is bad").to_string();
    assert!(error.starts_with("200 errors\n") && error.ends_with("and 180 more"), "{error}");
    assert!(error.len() < 20 * 1_000, "{}", error.len());
}

#[test]
fn unknown_and_unused_fields_are_warnings() {
    let document = r#"{
        "flows": [],
        "flow": [{
            "resource": "r", "threshold": 1, "treshold": 2, "interval_ms": 3, "xyz": 4,
            "maxQueueingTimeMs": 5, "coldFactor": 6, "buckets": 7
        }]
    }"#;
    let parsed = json(document).expect("odd, but valid");
    let mut warnings: Vec<String> = parsed.warnings.iter().map(ToString::to_string).collect();
    warnings.sort();
    assert_eq!(
        warnings,
        [
            "flow rule 1 for `r`: `buckets` means nothing without the window aligned",
            "flow rule 1 for `r`: `coldFactor` means nothing without the strategy warmUp",
            "flow rule 1 for `r`: `maxQueueingTimeMs` means nothing without the behavior throttle",
            "flow rule 1 for `r`: unknown field `interval_ms`, did you mean `intervalMs`?",
            "flow rule 1 for `r`: unknown field `treshold`, did you mean `threshold`?",
            "flow rule 1 for `r`: unknown field `xyz`",
            "unknown family `flows`, did you mean `flow`?",
        ]
    );
}

#[test]
fn a_document_without_content_is_an_error_that_says_how_to_have_no_rules() {
    for (document, format) in [
        ("", Format::Json),
        (" \n", Format::Yaml),
        ("null", Format::Json),
        ("# only this\n", Format::Yaml),
        ("\u{feff}", Format::Toml),
        ("# only this\n", Format::Toml),
    ] {
        assert_eq!(Rules::parse(document.as_bytes(), format), Err(InvalidDocument::Empty), "{document:?}");
    }
    for (document, format) in [("{}", Format::Json), ("{}", Format::Yaml), ("flow = []", Format::Toml)] {
        assert_eq!(Rules::parse(document.as_bytes(), format).map(|parsed| parsed.rules), Ok(Rules::new()));
    }
}

#[test]
fn a_syntax_error_says_where() {
    for (document, format, place) in [
        ("{\"flow\": [}", Format::Json, "line 1 column 11"),
        ("flow:\n  - resource: [\n", Format::Yaml, "line"),
        ("[[flow]]\nresource = \n", Format::Toml, "line 2"),
    ] {
        let error = Rules::parse(document.as_bytes(), format).expect_err("it is broken").to_string();
        assert!(error.starts_with(&format!("the document is not {format}: ")) && error.contains(place), "{error}");
    }
    let error = Rules::parse(b"\xff\xfe", Format::Json).expect_err("it is not UTF-8");
    assert!(error.to_string().contains("utf-8"), "{error}");
    assert!(matches!(json("[]"), Err(InvalidDocument::Shape { .. })));
}

#[test]
fn the_same_rules_are_read_from_every_format() {
    let yaml = "flow:\n  - {id: a, resource: r, threshold: 2.5, behavior: throttle, maxQueueingTimeMs: 20}\n";
    let toml =
        "[[flow]]\nid = \"a\"\nresource = \"r\"\nthreshold = 2.5\nbehavior = \"throttle\"\nmaxQueueingTimeMs = 20\n";
    let json = r#"{"flow": [{"id":"a","resource":"r","threshold":2.5,"behavior":"throttle","maxQueueingTimeMs":20}]}"#;
    let rules = Rules::new().flow([FlowRule::new("r", 2.5).throttle(std::time::Duration::from_millis(20)).id("a")]);
    for (document, format) in [(yaml, Format::Yaml), (toml, Format::Toml), (json, Format::Json)] {
        assert_eq!(Rules::parse(document.as_bytes(), format).map(|parsed| parsed.rules), Ok(rules.clone()), "{format}");
        let text = rules.to_text(format).expect("the features are on");
        assert_eq!(Rules::parse(text.as_bytes(), format).map(|parsed| parsed.rules), Ok(rules.clone()), "{text}");
    }
}

#[test]
fn hostile_documents_end_in_an_error_and_not_in_a_panic() {
    let deep = "[".repeat(200_000);
    let bomb = format!(
        "a: &a [x,x,x,x,x,x,x,x,x]\n{}flow: *h\n",
        "bcdefgh"
            .chars()
            .zip("abcdefg".chars())
            .map(|(name, last)| {
                format!("{name}: &{name} [*{last},*{last},*{last},*{last},*{last},*{last},*{last},*{last},*{last}]\n")
            })
            .collect::<String>()
    );
    for (document, format) in [
        (&*deep, Format::Json),
        (&*deep, Format::Yaml),
        (&*format!("flow = {deep}"), Format::Toml),
        (&*bomb, Format::Yaml),
        (r#"{"flow": [{"resource": "r", "threshold": 1e400}]}"#, Format::Json),
        ("flow: [{resource: r, threshold: .nan}]", Format::Yaml),
        ("flow: [{resource: r, threshold: .inf}]", Format::Yaml),
        ("[[flow]]\nresource = \"r\"\nthreshold = nan\n", Format::Toml),
        ("[[flow]]\nresource = \"r\"\nthreshold = 1979-05-27\n", Format::Toml),
    ] {
        assert!(Rules::parse(document.as_bytes(), format).is_err(), "{format} {}", &document[..document.len().min(80)]);
    }
}

#[test]
fn a_large_document_is_read_in_every_format() {
    let rules = Rules::new().flow((0..20_000).map(|n| FlowRule::new(format!("GET /resources/{n}"), f64::from(n))));
    for format in [Format::Json, Format::Toml, Format::Yaml] {
        let text = rules.to_text(format).expect("the features are on");
        assert_eq!(Rules::parse(text.as_bytes(), format).map(|parsed| parsed.rules), Ok(rules.clone()), "{format}");
    }
}

#[cfg(feature = "regex")]
#[test]
fn a_pattern_has_to_be_valid_as_it_stands_and_as_a_whole_name() {
    for pattern in ["(", "a)(b", "(?x)a # comment", "(a{1000}){1000}"] {
        let document = format!(r#"{{"flow": [{{"resource": {pattern:?}, "regex": true, "threshold": 1}}]}}"#);
        let errors = errors(&document);
        assert!(errors[0].contains("a pattern is a regular expression"), "{errors:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for format in [Format::Json, Format::Toml, Format::Yaml] {
            let _ = Rules::parse(&bytes, format);
        }
    }

    #[test]
    fn no_json_makes_it_panic(text in r#"\{"flow": ?\[\{("(resource|threshold|strategy|origin|x)": ?("[a-z]{0,5}"|-?[0-9]{0,25}(\.[0-9])?|null|\[\]),?){0,5}\}\]\}"#) {
        for format in [Format::Json, Format::Yaml] {
            let _ = Rules::parse(text.as_bytes(), format);
        }
    }
}
