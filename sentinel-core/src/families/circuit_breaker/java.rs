//! Circuit breaker rules as Sentinel for Java writes them.

use super::{
    CircuitBreaker,
    rule::{BreakerParams, BreakerStrategy, BreakerWindow, DEFAULT_BUCKETS, DEFAULT_INTERVAL},
};
use crate::{
    Dialect,
    families::{Family as _, Rules},
    rules::{Fields, Form, Found, Names, Outgoing, Writer},
};

pub(super) const FORM: Form = Form {
    dialect: Dialect::Java,
    names: &["circuitBreaker", "degrade"],
    families: &[CircuitBreaker::NAME],
    patterns: true,
    defaults: true,
    read,
    write,
};

const OF_SLOW_CALLS: Names = &[
    ("maxResponseTimeMs", "count"),
    ("threshold", "slowRatioThreshold"),
    ("intervalMs", "statIntervalMs"),
    ("retryTimeoutMs", "timeWindow"),
];
const OF_ERRORS: Names = &[("threshold", "count"), ("intervalMs", "statIntervalMs"), ("retryTimeoutMs", "timeWindow")];

#[derive(Clone, Copy, PartialEq)]
enum Grade {
    ResponseTime,
    ErrorRatio,
    ErrorCount,
}

const GRADES: &[(i32, &str, Grade)] = &[
    (0, "response time", Grade::ResponseTime),
    (1, "error ratio", Grade::ErrorRatio),
    (2, "error count", Grade::ErrorCount),
];

fn read(fields: &mut Fields<'_>, found: &mut Found<'_>) {
    fields.skip(&["limitApp"]);
    let grade = fields.code("grade", GRADES).unwrap_or(Grade::ResponseTime);
    let slow_ratio = fields.number("slowRatioThreshold").unwrap_or(1.0);
    let (strategy, threshold, names) = match grade {
        Grade::ResponseTime => {
            let time = fields.millis("count");
            let max_response_time = fields.required("count", time).unwrap_or_default();
            (BreakerStrategy::SlowRatio { max_response_time }, slow_ratio, OF_SLOW_CALLS)
        }
        Grade::ErrorRatio => (BreakerStrategy::ErrorRatio, read_count(fields), OF_ERRORS),
        Grade::ErrorCount => (BreakerStrategy::ErrorCount, read_count(fields).floor(), OF_ERRORS),
    };
    if strategy == BreakerStrategy::ErrorRatio && threshold == 1.0 {
        fields.differs("count", "of 1 is reached when all calls fail, where Sentinel for Java never opens");
    }
    let mut params = BreakerParams::new(strategy, threshold).strict();
    let window = fields.whole_seconds("timeWindow");
    params.retry_timeout = fields.required("timeWindow", window).unwrap_or(params.retry_timeout);
    let interval = fields.whole_millis("statIntervalMs").unwrap_or(DEFAULT_INTERVAL);
    params.window = BreakerWindow::Time { interval, buckets: DEFAULT_BUCKETS };
    params.min_request_amount = fields.small("minRequestAmount").unwrap_or(params.min_request_amount);
    found.add::<CircuitBreaker>(fields, params, names);
}

fn read_count(fields: &mut Fields<'_>) -> f64 {
    let count = fields.number("count");
    fields.required("count", count).unwrap_or_default()
}

fn write(rules: &Rules, out: &mut Outgoing<'_>) {
    out.rules::<CircuitBreaker>(rules, write_rule);
}

fn write_rule(params: &BreakerParams, out: &mut Writer) {
    match params.strategy {
        BreakerStrategy::SlowRatio { max_response_time } => {
            out.code("grade", GRADES, Grade::ResponseTime);
            out.millis("count", max_response_time);
            out.number("slowRatioThreshold", params.threshold);
        }
        BreakerStrategy::ErrorRatio => {
            out.code("grade", GRADES, Grade::ErrorRatio);
            out.number("count", params.threshold);
        }
        BreakerStrategy::ErrorCount => {
            out.code("grade", GRADES, Grade::ErrorCount);
            out.number("count", params.threshold);
        }
    }
    if let BreakerWindow::Time { interval, .. } = params.window {
        out.millis("statIntervalMs", interval);
    }
    out.seconds("timeWindow", params.retry_timeout);
    out.field("minRequestAmount", params.min_request_amount);
}
