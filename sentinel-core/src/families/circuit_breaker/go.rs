//! Circuit breaker rules as Sentinel for Go writes them, and the resources of Kubernetes.

use super::{
    CircuitBreaker,
    rule::{BreakerParams, BreakerStrategy, BreakerWindow, DEFAULT_BUCKETS, DEFAULT_INTERVAL},
};
use crate::{
    Dialect,
    families::{Family as _, Rules},
    rules::{Fields, Form, Found, Names, Outgoing, Writer},
};

pub(super) const GO: Form = Form {
    dialect: Dialect::Go,
    names: &["circuitBreaker", "circuitbreaker"],
    families: &[CircuitBreaker::NAME],
    patterns: false,
    defaults: false,
    read,
    write,
};

pub(super) const KUBERNETES: Form = Form { dialect: Dialect::Kubernetes, patterns: true, defaults: true, ..GO };

const NAMES: Names = &[
    ("maxResponseTimeMs", "maxAllowedRtMs"),
    ("intervalMs", "statIntervalMs"),
    ("buckets", "statSlidingWindowBucketCount"),
    ("probes", "probeNum"),
];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    SlowRatio,
    ErrorRatio,
    ErrorCount,
}

const KINDS: &[(i32, &str, Kind)] = &[
    (0, "SlowRequestRatio", Kind::SlowRatio),
    (1, "ErrorRatio", Kind::ErrorRatio),
    (2, "ErrorCount", Kind::ErrorCount),
];

fn read(fields: &mut Fields<'_>, found: &mut Found<'_>) {
    let kind = fields.code("strategy", KINDS);
    let kind = match fields.dialect() {
        Dialect::Kubernetes => fields.required("strategy", kind),
        _ => kind,
    };
    let max_response_time = fields.whole_millis("maxAllowedRtMs").unwrap_or_default();
    let (strategy, threshold) = match kind.unwrap_or(Kind::SlowRatio) {
        Kind::SlowRatio => (BreakerStrategy::SlowRatio { max_response_time }, fields.scaled("threshold")),
        Kind::ErrorRatio => (BreakerStrategy::ErrorRatio, fields.scaled("threshold")),
        Kind::ErrorCount => (BreakerStrategy::ErrorCount, fields.amount("threshold").map(f64::floor)),
    };
    let threshold = fields.required("threshold", threshold).unwrap_or(1.0);
    let retry = fields.whole_millis("retryTimeoutMs");
    let mut params = BreakerParams::new(strategy, threshold);
    params.retry_timeout = fields.required("retryTimeoutMs", retry).unwrap_or(params.retry_timeout);
    params.window = read_window(fields);
    params.min_request_amount = fields.small("minRequestAmount").unwrap_or_default().max(1);
    params.probes = fields.small("probeNum").unwrap_or_default().max(1);
    found.add::<CircuitBreaker>(fields, params, NAMES);
}

fn read_window(fields: &mut Fields<'_>) -> BreakerWindow {
    let interval = fields.whole_millis("statIntervalMs");
    let interval = fields.required("statIntervalMs", interval).unwrap_or(DEFAULT_INTERVAL);
    let buckets = match (fields.small("statSlidingWindowBucketCount"), fields.dialect()) {
        // The published resources have no such field.
        (None, Dialect::Kubernetes) => DEFAULT_BUCKETS,
        (buckets, _) => buckets.unwrap_or_default().max(1),
    };
    BreakerWindow::Time { interval, buckets }
}

fn write(rules: &Rules, out: &mut Outgoing<'_>) {
    out.rules::<CircuitBreaker>(rules, write_rule);
}

fn write_rule(params: &BreakerParams, out: &mut Writer) {
    match params.strategy {
        BreakerStrategy::SlowRatio { max_response_time } => {
            out.code("strategy", KINDS, Kind::SlowRatio);
            out.millis("maxAllowedRtMs", max_response_time);
            out.scaled("threshold", params.threshold);
        }
        BreakerStrategy::ErrorRatio => {
            out.code("strategy", KINDS, Kind::ErrorRatio);
            out.scaled("threshold", params.threshold);
        }
        BreakerStrategy::ErrorCount => {
            out.code("strategy", KINDS, Kind::ErrorCount);
            out.number("threshold", params.threshold);
        }
    }
    // A window of calls has neither: then these are not what it is.
    let (interval, buckets) = match params.window {
        BreakerWindow::Time { interval, buckets } => (interval, buckets),
        BreakerWindow::Calls(_) => (DEFAULT_INTERVAL, DEFAULT_BUCKETS),
    };
    out.millis("statIntervalMs", interval);
    if out.dialect() == Dialect::Go || buckets != DEFAULT_BUCKETS {
        out.field("statSlidingWindowBucketCount", buckets);
    }
    out.millis("retryTimeoutMs", params.retry_timeout);
    out.field("minRequestAmount", params.min_request_amount);
    if params.probes > 1 {
        out.field("probeNum", params.probes);
    }
}
