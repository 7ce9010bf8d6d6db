//! What services write into the status of objects.

use std::time::Duration;

use sentinel_core::Sentinel;
use sentinel_datasource::Datasource;
use sentinel_kubernetes::Kind;
use sentinel_testing::servers::Unavailable;
use serde_json::json;
use tokio::time::sleep;

use crate::cluster::{Cluster, Followed, Schema, flow};

/// Longer than services take until each of them has written what it has to.
const ALL_WRITTEN: Duration = Duration::from_secs(6);

/// How often an object was written, as the store of the cluster counts it.
async fn writes(cluster: &Cluster) -> u64 {
    let key = "/registry/datasource.sentinel.io/flowrules/default/orders";
    cluster.0.etcd().writes(key).await.unwrap()
}

pub(crate) async fn objects_say_what_became_of_their_rules() -> Result<(), Unavailable> {
    let cluster = Cluster::bare().await?;
    cluster.install([Kind::FlowRules], Schema::None).await;
    cluster.rules(Kind::FlowRules, "default", "orders", flow("orders", 1)).await;
    let followed = Followed::new(cluster.source("default")).await;
    let accepted = async || cluster.accepted(Kind::FlowRules, "default", "orders").await;
    let first = accepted().await;
    assert_eq!(first["type"], "Accepted");
    assert_eq!(
        (&first["status"], &first["reason"], &first["message"]),
        (&json!("True"), &json!("InForce"), &json!("1 rule is in force"))
    );
    let status = cluster.object(Kind::FlowRules, "default", "orders").await["status"].clone();
    assert_eq!((&status["rules"], &status["observedGeneration"]), (&json!(1), &json!(1)));

    let wrong = json!([{"id": "limit", "resource": "orders", "threshold": -7}]);
    cluster.rules(Kind::FlowRules, "default", "orders", wrong).await;
    let refused = accepted().await;
    assert_eq!((&refused["status"], &refused["reason"]), (&json!("False"), &json!("Invalid")));
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("flow rule 1 `limit` for `orders`: threshold is -7"), "{message}");
    assert_eq!(followed.flow(), [("orders".to_owned(), 1)]);

    cluster.rules(Kind::FlowRules, "default", "orders", flow("orders", 2)).await;
    let again = accepted().await;
    assert_eq!((&again["status"], &again["observedGeneration"]), (&json!("True"), &json!(3)));

    let quiet = Followed::new(cluster.source("default").without_status()).await;
    drop(followed);
    cluster.rules(Kind::FlowRules, "default", "orders", flow("orders", 3)).await;
    quiet.until_flow(&[("orders", 3)]).await;
    sleep(ALL_WRITTEN).await;
    let status = cluster.object(Kind::FlowRules, "default", "orders").await["status"].clone();
    assert_eq!(status["observedGeneration"], 3, "nobody says anything about the fourth");
    Ok(())
}

pub(crate) async fn of_many_services_that_watch_an_object_few_write_its_status() -> Result<(), Unavailable> {
    const SERVICES: usize = 20;
    let cluster = Cluster::start().await?;
    cluster.rules(Kind::FlowRules, "default", "orders", flow("orders", 1)).await;
    let mut services = Vec::new();
    for _ in 0..SERVICES {
        services.push(Followed::new(cluster.source("default").kinds([Kind::FlowRules])).await);
    }
    sleep(ALL_WRITTEN).await;
    let mut before = writes(&cluster).await;
    assert_eq!(before, 2, "the rules, and their status once");
    for threshold in 2..5 {
        cluster.rules(Kind::FlowRules, "default", "orders", flow("orders", threshold)).await;
        for service in &services {
            service.until_flow(&[("orders", threshold)]).await;
        }
        sleep(ALL_WRITTEN).await;
        let now = writes(&cluster).await;
        eprintln!("{SERVICES} services: {} writes of the status for one change", now - before - 1);
        assert_eq!(now - before, 2, "the rules, and their status once");
        before = now;
    }
    // Services that come or come back have nothing to add.
    services.truncate(SERVICES / 2);
    services.push(Followed::new(cluster.source("default").kinds([Kind::FlowRules])).await);
    sleep(ALL_WRITTEN).await;
    assert_eq!(writes(&cluster).await, before);
    Ok(())
}

pub(crate) async fn services_that_disagree_do_not_go_on_contradicting_each_other() -> Result<(), Unavailable> {
    let cluster = Cluster::start().await?;
    cluster.rules(Kind::FlowRules, "default", "orders", flow("orders", 1)).await;
    let source = || cluster.source("default").kinds([Kind::FlowRules]);
    let mut services = Vec::new();
    for number in 0..10 {
        // To some of them, the object is too large.
        let limit = if number % 2 == 0 { 10 } else { 10_000 };
        let datasource = Datasource::new(source()).name("rules").max_size(limit).optional();
        services.push(datasource.start(&Sentinel::default()).await.unwrap());
    }
    sleep(ALL_WRITTEN).await;
    let told = cluster.accepted(Kind::FlowRules, "default", "orders").await;
    assert_eq!(
        (&told["status"], &told["reason"]),
        (&json!("False"), &json!("TooLarge")),
        "who cannot use them is heard"
    );
    let written = writes(&cluster).await;
    assert!(written <= 3, "{written}: the rules, that they are in force, and that they are not");
    sleep(ALL_WRITTEN).await;
    assert_eq!(writes(&cluster).await, written);
    assert_eq!(services.len(), 10);
    Ok(())
}
