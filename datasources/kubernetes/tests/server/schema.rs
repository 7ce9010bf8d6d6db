//! What an API server takes by the schemas of the kinds, and what it refuses.

use sentinel_core::{Metric, Sentinel};
use sentinel_kubernetes::{Datasource, Kind, manifests};
use sentinel_testing::servers::Unavailable;
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, Followed, Schema, flow},
    conditions::disagreeing,
};

/// Objects as the custom resources of Sentinel for Go are documented, and of our further families.
const PUBLISHED: &str = r#"
apiVersion: datasource.sentinel.io/v1alpha1
kind: FlowRules
metadata: {name: app-flow, namespace: default}
spec:
  rules:
    - {id: r1, resource: getUser, threshold: 20, relationStrategy: CurrentResource, tokenCalculateStrategy: WarmUp,
       controlBehavior: Throttling, maxQueueingTimeMs: 500, warmUpPeriodSec: 10, warmUpColdFactor: 3}
---
apiVersion: datasource.sentinel.io/v1alpha1
kind: IsolationRules
metadata: {name: app-isolation, namespace: default}
spec: {rules: [{id: i1, resource: getUser, threshold: 50}]}
---
apiVersion: datasource.sentinel.io/v1alpha1
kind: CircuitBreakerRules
metadata: {name: app-breakers, namespace: default}
spec:
  rules: [{id: c1, resource: getUser, strategy: SlowRequestRatio, retryTimeoutMs: 10000, minRequestAmount: 5,
           statIntervalMs: 1000, maxAllowedRtMs: 200, threshold: 60}]
---
apiVersion: datasource.sentinel.io/v1alpha1
kind: HotspotRules
metadata: {name: app-hotspot, namespace: default}
spec:
  rules: [{id: h1, resource: getUser, metricType: QPS, controlBehavior: Reject, paramIndex: 0, threshold: 5, burstCount: 2,
           durationInSec: 1, paramsMaxCapacity: 10000, specificItems: [{valKind: KindString, valStr: vip, threshold: 100}]}]
---
apiVersion: datasource.sentinel.io/v1alpha1
kind: SystemRules
metadata: {name: app-system, namespace: default}
spec: {rules: [{id: s1, metricType: Load, strategy: BBR, triggerCount: 800}]}
---
apiVersion: datasource.sentinel.io/v1alpha1
kind: AuthorityRules
metadata: {name: app-authority, namespace: default}
spec: {rules: [{id: a1, resource: getUser, strategy: allow, origins: [web, batch]}]}
---
apiVersion: datasource.sentinel.io/v1alpha1
kind: SheddingRules
metadata: {name: app-shedding, namespace: default}
spec: {rules: [{id: d1, resource: getUser, k: 2, intervalMs: 120000, maxShare: 0.9}]}
"#;

pub(crate) async fn the_published_examples_apply_unchanged_and_are_in_force() -> Result<(), Unavailable> {
    let cluster = Cluster::start().await?;
    let applied = cluster.kubectl(&["apply", "-f", "-"], PUBLISHED).await?;
    assert!(applied.is_ok(), "{applied:?}");
    let followed = Followed::new(cluster.source("default")).await;
    let rules = followed.rules();
    assert_eq!(rules.len(), 7, "one of each");
    assert!(followed.status().is_healthy());
    let warnings: Vec<_> = followed.status().documents.iter().flat_map(|document| document.warnings.to_vec()).collect();
    assert_eq!(warnings, []);
    assert_eq!((rules.flow[0].params.threshold, rules.isolation[0].params.threshold), (20.0, 50));
    assert_eq!(rules.circuit_breaker[0].params.threshold, 0.6, "in percent there");
    assert_eq!(rules.system[0].params.metric, Metric::Load1(8.0), "in hundredths there");
    Ok(())
}

pub(crate) async fn wrong_rules_are_refused_with_the_field_and_what_it_may_be() -> Result<(), Unavailable> {
    let cluster = Cluster::start().await?;
    let breaker = |field: &str, value: Value| {
        let mut rule = json!({"resource": "r", "strategy": "ErrorRatio", "threshold": 50, "retryTimeoutMs": 1000, "statIntervalMs": 1000});
        rule[field] = value;
        rule
    };
    let wrong = [
        (
            Kind::FlowRules,
            json!({"resource": "r", "threshold": -1}),
            "threshold in body should be greater than or equal to 0",
        ),
        (Kind::FlowRules, json!({"resource": "r", "threshold": 2.5}), "threshold"),
        (Kind::FlowRules, json!({"resource": "r", "threshold": "many"}), "threshold"),
        (Kind::FlowRules, json!({"resource": "r"}), "threshold: Required value"),
        (Kind::FlowRules, json!({"resource": "", "threshold": 1}), "resource in body should be at least 1 chars long"),
        (
            Kind::FlowRules,
            json!({"resource": "r", "threshold": 1, "controlBehavior": "Queue"}),
            "supported values: \"Reject\", \"Throttling\"",
        ),
        (Kind::IsolationRules, json!({"resource": "r", "threshold": 0}), "should be greater than or equal to 1"),
        (Kind::IsolationRules, json!({"resource": "r", "threshold": 1.5}), "threshold"),
        (
            Kind::CircuitBreakerRules,
            breaker("strategy", json!("Slow")),
            "\"SlowRequestRatio\", \"ErrorRatio\", \"ErrorCount\"",
        ),
        (Kind::CircuitBreakerRules, breaker("retryTimeoutMs", json!(0)), "should be greater than or equal to 1"),
        (Kind::CircuitBreakerRules, breaker("threshold", json!(-1)), "should be greater than or equal to 0"),
        (
            Kind::HotspotRules,
            json!({"resource": "r", "metricType": "QPS", "threshold": -1, "durationInSec": 1}),
            "should be greater than or equal to 0",
        ),
        (Kind::HotspotRules, json!({"resource": "r", "threshold": 1}), "metricType: Required value"),
        (
            Kind::SystemRules,
            json!({"metricType": "Load", "strategy": "BBR", "triggerCount": -8}),
            "should be greater than or equal to 0",
        ),
        (Kind::SystemRules, json!({"metricType": "Memory", "strategy": "BBR", "triggerCount": 8}), "supported values"),
        (Kind::AuthorityRules, json!({"resource": "r", "origins": []}), "should have at least 1 items"),
        (Kind::SheddingRules, json!({"resource": "r", "k": 1.05}), "should be greater than or equal to 1.1"),
        (Kind::SheddingRules, json!({"resource": "r", "maxShare": 2}), "should be less than or equal to 1"),
    ];
    for (kind, rule, expected) in wrong {
        let object = json!({
            "apiVersion": "datasource.sentinel.io/v1alpha1",
            "kind": kind.name(),
            "metadata": {"namespace": "default", "name": "wrong"},
            "spec": {"rules": [rule]},
        });
        // What the server says: by itself, kubectl looks only for fields that are missing or of another type.
        let refused = cluster.kubectl(&["apply", "--validate=false", "-f", "-"], &object.to_string()).await?;
        let message = refused.expect_err(&format!("{object} is taken"));
        assert!(message.contains(expected), "{object}\n{message}");
    }
    Ok(())
}

pub(crate) async fn rules_whose_fields_disagree_are_refused_by_the_server_or_else_by_the_service()
-> Result<(), Unavailable> {
    let cluster = Cluster::start().await?;
    let cases = disagreeing();
    for (number, (kind, rule, expected)) in cases.iter().enumerate() {
        let object = json!({
            "apiVersion": "datasource.sentinel.io/v1alpha1",
            "kind": kind.name(),
            "metadata": {"namespace": "default", "name": format!("wrong-{number}")},
            "spec": {"rules": [rule]},
        });
        let answer = cluster.kubectl(&["apply", "--validate=false", "-f", "-"], &object.to_string()).await?;
        let refused = answer.err();
        if cluster.knows_conditions() {
            assert!(refused.as_ref().is_some_and(|words| words.contains(expected)), "{object}\n{refused:?}");
        } else {
            assert_eq!(refused, None, "{object}");
        }
    }
    let sentinel = Sentinel::default();
    let watch = Datasource::new(cluster.source("default")).optional().start(&sentinel).await.unwrap();
    let status = watch.status();
    assert!(status.documents.iter().all(|document| document.error.is_some()), "{status:#?}");
    assert_eq!(status.documents.len(), if cluster.knows_conditions() { 0 } else { cases.len() });
    assert_eq!(status.rules, 0);
    Ok(())
}

pub(crate) async fn what_is_printed_applies_and_is_known_by_its_columns() -> Result<(), Unavailable> {
    let cluster = Cluster::bare().await?;
    let printed = manifests::yaml(&manifests::definitions()).unwrap();
    let roles = manifests::yaml(&manifests::roles()).unwrap();
    for part in [&printed, &roles, &printed] {
        let applied = cluster.kubectl(&["apply", "-f", "-"], part).await?;
        assert!(applied.is_ok(), "{applied:?}");
    }
    cluster.install(Kind::ALL, Schema::Printed).await;
    cluster.rules(Kind::FlowRules, "default", "orders", flow("orders", 1)).await;
    let _followed = Followed::new(cluster.source("default")).await;
    cluster.accepted(Kind::FlowRules, "default", "orders").await;
    // In another folder, since it remembers for a while which kinds there are.
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().to_str().unwrap();
    let table = cluster.kubectl(&["get", "sentinel", "-o", "wide", "--cache-dir", cache], "").await?.unwrap();
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(rows.next().unwrap(), ["NAME", "RULES", "ACCEPTED", "REASON", "MESSAGE", "AGE"]);
    assert!(table.contains("orders") && table.contains("InForce") && table.contains("1 rule is in force"), "{table}");
    Ok(())
}
