//! Rules that a schema refuses by conditions in CEL alone.

use sentinel_kubernetes::Kind;
use serde_json::{Value, json};

/// A rule with no more than it has to have.
pub(crate) fn least(kind: Kind) -> Value {
    match kind {
        Kind::CircuitBreakerRules => json!({
            "resource": "r", "strategy": "ErrorCount", "threshold": 1, "retryTimeoutMs": 1, "statIntervalMs": 1,
        }),
        Kind::HotspotRules => json!({"resource": "r", "metricType": "Concurrency", "threshold": 1}),
        Kind::SystemRules => json!({"metricType": "InboundQPS", "strategy": "NoAdaptive", "triggerCount": 1}),
        Kind::AuthorityRules => json!({"resource": "r", "origins": ["web"]}),
        Kind::SheddingRules => json!({"resource": "r"}),
        _ => json!({"resource": "r", "threshold": 1}),
    }
}

/// The same with these fields.
pub(crate) fn with(kind: Kind, fields: &Value) -> Value {
    let mut rule = least(kind);
    rule.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    rule
}

/// Rules whose fields do not go with each other, and a part of what is said about each.
pub(crate) fn disagreeing() -> Vec<(Kind, Value, &'static str)> {
    let wrong = [
        (Kind::FlowRules, json!({"relationStrategy": "AssociatedResource"}), "needs refResource"),
        (Kind::FlowRules, json!({"tokenCalculateStrategy": "WarmUp"}), "needs warmUpPeriodSec"),
        (
            Kind::FlowRules,
            json!({"tokenCalculateStrategy": "MemoryAdaptive", "lowMemUsageThreshold": 1}),
            "needs lowMemUsageThreshold, highMemUsageThreshold",
        ),
        (Kind::CircuitBreakerRules, json!({"strategy": "ErrorRatio", "threshold": 101}), "at most 100"),
        (Kind::CircuitBreakerRules, json!({"strategy": "SlowRequestRatio", "threshold": 0}), "above 0"),
        (Kind::CircuitBreakerRules, json!({"threshold": 0}), "at least 1"),
        (Kind::HotspotRules, json!({"metricType": "QPS"}), "needs durationInSec"),
        (Kind::SystemRules, json!({"metricType": "CpuUsage", "triggerCount": 101}), "at most 100"),
        (Kind::SystemRules, json!({"metricType": "Load", "triggerCount": 0}), "above 0"),
        (Kind::SheddingRules, json!({"maxShare": 0}), "above 0"),
        (Kind::SheddingRules, json!({"k": 1}), "at least 1.1"),
    ];
    wrong.into_iter().map(|(kind, fields, expected)| (kind, with(kind, &fields), expected)).collect()
}
