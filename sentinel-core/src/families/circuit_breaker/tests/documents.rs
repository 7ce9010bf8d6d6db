//! Rules as documents.

use std::time::Duration;

use crate::{
    BreakerControl, BreakerParams, BreakerRule, BreakerStrategy, BreakerWindow, Format, InvalidDocument, Rules,
};

fn parse(fields: &str) -> Result<(BreakerParams, Vec<String>), Vec<String>> {
    let document = format!(r#"{{"circuitBreaker": [{{"resource": "r", {fields}}}]}}"#);
    match Rules::parse(document.as_bytes(), Format::Json) {
        Ok(parsed) => {
            let warnings = parsed.warnings.iter().map(ToString::to_string).collect();
            Ok((parsed.rules.circuit_breaker[0].params, warnings))
        }
        Err(InvalidDocument::Rules(invalid)) => Err(invalid.errors().iter().map(ToString::to_string).collect()),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn every_field_is_read() {
    let fields = r#""strategy": "slowRequestRatio", "threshold": 0.6, "maxResponseTimeMs": 200.5, "minRequestAmount": 20,
        "intervalMs": 60000, "buckets": 6, "retryTimeoutMs": 5000, "retryGrowth": 1.5, "maxRetryTimeoutMs": 90000,
        "retryJitter": 0.2, "probes": 3, "probeTimeoutMs": 1000, "recoveryMs": 30000, "strict": true, "state": "forcedOpen""#;
    let ms = Duration::from_millis;
    let expected = BreakerParams::slow_ratio(Duration::from_micros(200_500), 0.6)
        .min_request_amount(20)
        .interval(ms(60_000))
        .buckets(6)
        .retry_timeout(ms(5_000))
        .retry_growth(1.5)
        .max_retry_timeout(ms(90_000))
        .retry_jitter(0.2)
        .probes(3)
        .probe_timeout(ms(1_000))
        .recovery(ms(30_000))
        .strict()
        .state(BreakerControl::ForcedOpen);
    assert_eq!(parse(fields), Ok((expected, vec![])));
}

#[test]
fn what_is_left_out_has_its_default() {
    let read = |fields| parse(fields).expect("valid").0;
    assert_eq!(read(r#""strategy": "errorRatio", "threshold": 0.5"#), BreakerParams::error_ratio(0.5));
    let params = read(r#""strategy": "errorCount", "threshold": 3, "windowCalls": 50, "state": "auto""#);
    assert_eq!(params, BreakerParams::error_count(3).window_calls(50));
    let default = BreakerParams::error_ratio(0.5);
    let ms = Duration::from_millis;
    assert_eq!(default.window, BreakerWindow::Time { interval: ms(1_000), buckets: 10 });
    assert_eq!((default.min_request_amount, default.retry_timeout, default.probes), (5, ms(10_000), 1));
    assert_eq!(BreakerRule::error_ratio("r", 0.5).params.strategy, BreakerStrategy::ErrorRatio);
}

#[test]
fn every_field_has_an_error_that_names_it_and_says_what_is_right() {
    let ratio = |fields: &str| format!(r#""strategy": "errorRatio", "threshold": 0.5, {fields}"#);
    let count = |fields: &str| format!(r#""strategy": "errorCount", {fields}"#);
    let vectors = [
        (r#""threshold": 1"#.to_owned(), "strategy is missing, but it has to be there"),
        (r#""strategy": "errorRatio""#.to_owned(), "threshold is missing, but it has to be there"),
        (
            r#""strategy": "errorratio", "threshold": 1"#.to_owned(),
            "strategy is \"errorratio\", but it is one of slowRequestRatio, errorRatio, errorCount; did you mean `errorRatio`?",
        ),
        (r#""strategy": "errorRatio", "threshold": 0"#.to_owned(), "threshold is 0, but a ratio is above 0"),
        (r#""strategy": "errorRatio", "threshold": 60"#.to_owned(), "threshold is 60, but a ratio is above 0"),
        (r#""strategy": "slowRequestRatio", "threshold": 1"#.to_owned(), "maxResponseTimeMs is missing"),
        (
            r#""strategy": "slowRequestRatio", "threshold": 1, "maxResponseTimeMs": 1e12"#.to_owned(),
            "maxResponseTimeMs is 1000000000000, but a response time is 7 days at most",
        ),
        (count(r#""threshold": 2.5"#), "threshold is 2.5, but a number of errors is a whole number from 1"),
        (count(r#""threshold": 0"#), "threshold is 0, but a number of errors is a whole number from 1"),
        (
            count(r#""threshold": 11, "windowCalls": 10"#),
            "threshold is 11, but the last windowCalls calls never hold so many errors",
        ),
        (count(r#""threshold": 10, "windowCalls": 10, "strict": true"#), "threshold is 10, but the last windowCalls"),
        (ratio(r#""minRequestAmount": 0"#), "minRequestAmount is 0, but it takes at least one result to open"),
        (ratio(r#""windowCalls": 3"#), "minRequestAmount is 5, but the last windowCalls calls never are so many"),
        (ratio(r#""windowCalls": 0"#), "windowCalls is 0, but a window holds 1 to 65,536 calls"),
        (ratio(r#""intervalMs": 0"#), "intervalMs is 0, but an interval lasts from 1 ms to 7 days"),
        (ratio(r#""buckets": 101"#), "buckets is 101, but there are 1 to 100 buckets"),
        (ratio(r#""retryTimeoutMs": 0"#), "retryTimeoutMs is 0, but a retry timeout lasts from 1 ms to 7 days"),
        (ratio(r#""retryGrowth": 0.5"#), "retryGrowth is 0.5, but a growth is a factor from 1 to 1,000"),
        (
            ratio(r#""retryGrowth": 2, "maxRetryTimeoutMs": 9999"#),
            "maxRetryTimeoutMs is 9999, but the longest retry timeout lasts from retryTimeoutMs to 7 days",
        ),
        (ratio(r#""retryJitter": 1.1"#), "retryJitter is 1.1, but a jitter is a share from 0 to 1"),
        (ratio(r#""probes": 0"#), "probes is 0, but there are 1 to 1,000 probes"),
        (ratio(r#""probeTimeoutMs": 0"#), "probeTimeoutMs is 0, but a probe has from 1 ms to 7 days"),
        (ratio(r#""recoveryMs": 1e12"#), "recoveryMs is 1000000000000, but a recovery takes 7 days at most"),
        (ratio(r#""strict": 1"#), "strict is 1, but it is true or false"),
        (ratio(r#""state": "open""#), "state is \"open\", but it is one of auto, forcedOpen, forcedClosed"),
    ];
    for (fields, expected) in vectors {
        let errors = parse(&fields).expect_err(&fields);
        let expected = format!("circuitBreaker rule 1 for `r`: {expected}");
        assert!(errors.iter().any(|error| error.starts_with(&expected)), "{fields}: {errors:#?}");
    }
}

#[test]
fn a_field_that_means_nothing_beside_the_others_is_a_warning() {
    let fields = r#""strategy": "errorRatio", "threshold": 0.5, "maxResponseTimeMs": 5, "windowCalls": 10, "intervalMs": 5,
        "buckets": 2, "maxRetryTimeoutMs": 20000, "retryTimeout": 7"#;
    let (_, mut warnings) = parse(fields).expect("odd, but valid");
    warnings.sort();
    let expected = [
        "`buckets` means nothing without a window in time, which windowCalls replaces",
        "`intervalMs` means nothing without a window in time, which windowCalls replaces",
        "`maxResponseTimeMs` means nothing without the strategy slowRequestRatio",
        "unknown field `retryTimeout`, did you mean `retryTimeoutMs`?",
    ];
    assert_eq!(warnings, expected.map(|warning| format!("circuitBreaker rule 1 for `r`: {warning}")));
}
