//! Which objects are followed, and what becomes of them.

use std::time::Duration;

use sentinel_core::{Rules, Sentinel};
use sentinel_datasource::{Condition, Datasource, Pem, Publish as _, PublishError, State, Tls};
use sentinel_kubernetes::{Access, Kind, KubernetesSource, manifests::PUBLISHER};
use sentinel_testing::{
    Proxy,
    observe::rules,
    servers::{Account, Server as _, Unavailable},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, Followed, Schema, flow, until};

pub(crate) async fn objects_are_selected_by_namespace_name_label_and_kind() -> Result<(), Unavailable> {
    let cluster = Cluster::start().await?;
    cluster.namespace("shop").await;
    cluster.rules(Kind::FlowRules, "default", "a", flow("default/a", 1)).await;
    cluster.labeled(Kind::FlowRules, "shop", "a", flow("shop/a", 2), json!({"app": "shop"})).await;
    cluster.labeled(Kind::FlowRules, "shop", "b", flow("shop/b", 3), json!({"app": "shop", "tier": "canary"})).await;
    cluster.rules(Kind::IsolationRules, "shop", "a", json!([{"resource": "shop/a", "threshold": 4}])).await;

    let everywhere = || KubernetesSource::new(cluster.access(Account::READER)).all_namespaces();
    let flow_of = async |source| Followed::new(source).await.flow();
    let expected =
        |all: &[(&str, u64)]| all.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect::<Vec<_>>();
    let all = [("default/a", 1), ("shop/a", 2), ("shop/b", 3)];
    assert_eq!(flow_of(everywhere()).await, expected(&all));
    assert_eq!(flow_of(cluster.source("shop")).await, expected(&all[1..]));
    assert_eq!(flow_of(everywhere().named("a")).await, expected(&all[..2]));
    assert_eq!(flow_of(everywhere().named("a").named("b")).await, expected(&all));
    assert_eq!(flow_of(everywhere().labels("app=shop,tier!=canary")).await, expected(&all[1..2]));
    let isolation = Followed::new(everywhere().kinds([Kind::IsolationRules])).await;
    assert_eq!((isolation.rules().flow.len(), isolation.rules().isolation.len()), (0, 1));

    // An object that is not selected any more is gone.
    let followed = Followed::new(everywhere().labels("app=shop")).await;
    cluster.labeled(Kind::FlowRules, "shop", "b", flow("shop/b", 3), json!({"app": "other"})).await;
    followed.until_flow(&[("shop/a", 2)]).await;
    let keys: Vec<String> = followed.status().documents.iter().map(|document| document.key.clone()).collect();
    assert_eq!(keys, ["FlowRules/shop/a"]);
    Ok(())
}

pub(crate) async fn of_two_objects_with_a_rule_of_the_same_name_the_later_one_is_told_so() -> Result<(), Unavailable> {
    let cluster = Cluster::start().await?;
    let named = |id: &str, threshold: u64| json!([{"id": id, "resource": "orders", "threshold": threshold}]);
    cluster.rules(Kind::FlowRules, "default", "a", named("limit", 1)).await;
    cluster.rules(Kind::FlowRules, "default", "b", named("other", 2)).await;
    let followed = Followed::new(cluster.source("default")).await;
    followed.until_flow(&[("orders", 1), ("orders", 2)]).await;

    cluster.rules(Kind::FlowRules, "default", "b", named("limit", 3)).await;
    let conflict = "`FlowRules/default/b`: the flow rule `limit` is in `FlowRules/default/a` already";
    followed.until(conflict, |followed| followed.error() == conflict).await;
    followed.until_flow(&[("orders", 1), ("orders", 2)]).await;
    let told = cluster.accepted(Kind::FlowRules, "default", "b").await;
    assert_eq!(
        (&told["status"], &told["reason"], &told["message"]),
        (&json!("False"), &json!("Conflict"), &json!(conflict))
    );

    // Solved by the other object: what became of this one is told anew, though it has not changed.
    cluster.rules(Kind::FlowRules, "default", "a", named("first", 1)).await;
    followed.until_flow(&[("orders", 1), ("orders", 3)]).await;
    until("the conflict taken back", async || {
        cluster.accepted(Kind::FlowRules, "default", "b").await["status"] == "True"
    })
    .await;
    Ok(())
}

pub(crate) async fn kinds_and_namespaces_that_appear_later_are_followed_then() -> Result<(), Unavailable> {
    let cluster = Cluster::bare().await?;
    let sentinel = Sentinel::default();
    let nothing = Datasource::new(cluster.source("late")).start_within(Duration::from_millis(500));
    let error = nothing.start(&sentinel).await.unwrap_err().to_string();
    assert!(error.contains("FlowRules") && error.contains("are not installed"), "{error}");

    let followed = async { Followed::new(cluster.source("late")).await };
    let installed = async {
        sleep(Duration::from_secs(1)).await;
        cluster.install([Kind::FlowRules], Schema::Printed).await;
    };
    let (followed, ()) = tokio::join!(followed, installed);
    assert_eq!(followed.rules().len(), 0);
    assert!(followed.status().is_healthy());
    assert!(followed.status().remark.is_some_and(|remark| remark.contains("not installed: IsolationRules")));

    cluster.namespace("late").await;
    cluster.rules(Kind::FlowRules, "late", "a", flow("orders", 1)).await;
    followed.until_flow(&[("orders", 1)]).await;

    cluster.install(Kind::ALL, Schema::Printed).await;
    cluster.rules(Kind::IsolationRules, "late", "a", json!([{"resource": "orders", "threshold": 4}])).await;
    followed.until("the new kind in force", |followed| followed.rules().isolation.len() == 1).await;
    assert_eq!((followed.status().connections, followed.status().remark), (1, None));

    // Who asks for a kind by name does not go without it.
    let error = Datasource::new(KubernetesSource::new(cluster.access(Account::READER)).kinds([]))
        .start_within(Duration::from_millis(500))
        .start(&sentinel)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no kind"), "{error}");
    Ok(())
}

/// A source that comes by a line which may break.
async fn by_proxy(cluster: &Cluster) -> (Proxy, Followed) {
    let proxy = Proxy::to(cluster.0.address()).await;
    let access = Access::server(format!("https://{}", proxy.address()))
        .tls(Tls::new().authority(Pem::file(&cluster.0.certificates().authority.path)))
        .token(Account::READER.secret);
    (proxy, Followed::new(KubernetesSource::new(access).namespace("default")).await)
}

pub(crate) async fn a_line_that_is_dead_is_noticed_without_reading() -> Result<(), Unavailable> {
    let cluster = Cluster::start().await?;
    cluster.rules(Kind::FlowRules, "default", "a", flow("orders", 1)).await;
    let (proxy, followed) = by_proxy(&cluster).await;
    followed.until_flow(&[("orders", 1)]).await;
    proxy.stall();
    let begin = Instant::now();
    cluster.rules(Kind::FlowRules, "default", "a", flow("orders", 2)).await;
    followed.until("the stall noticed", |followed| followed.status().state == State::Connecting).await;
    eprintln!("a dead line: noticed after {} ms", begin.elapsed().as_millis());
    assert!(begin.elapsed() < Duration::from_secs(12), "{:?}", begin.elapsed());
    proxy.heal().await;
    followed.until_flow(&[("orders", 2)]).await;
    Ok(())
}

pub(crate) async fn what_the_server_has_forgotten_is_read_again() -> Result<(), Unavailable> {
    let cluster = Cluster::start().await?;
    cluster.rules(Kind::FlowRules, "default", "a", flow("orders", 1)).await;
    cluster.rules(Kind::FlowRules, "default", "b", flow("carts", 1)).await;
    let (proxy, followed) = by_proxy(&cluster).await;
    followed.until_flow(&[("carts", 1), ("orders", 1)]).await;

    proxy.cut().await;
    for threshold in 2..10 {
        cluster.rules(Kind::FlowRules, "default", "a", flow("orders", threshold)).await;
    }
    cluster.0.delete("apis/datasource.sentinel.io/v1alpha1/namespaces/default/flowrules/b").await.unwrap();
    cluster.0.etcd().compact().await.unwrap();
    // One that has just started remembers nothing either.
    cluster.0.restart().await;
    proxy.heal().await;
    followed.until_flow(&[("orders", 9)]).await;
    assert!(followed.status().is_healthy());
    Ok(())
}

pub(crate) async fn rules_that_are_published_are_in_force_and_nobody_overwrites_what_they_have_not_seen()
-> Result<(), Unavailable> {
    let cluster = Cluster::start().await?;
    let writer = json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": Account::WRITER.name});
    cluster.bind(PUBLISHER, writer).await;
    let mut publisher = KubernetesSource::new(cluster.access(Account::WRITER)).namespace("default").named("orders");
    let followed = Followed::new(cluster.source("default")).await;
    let key = "FlowRules/default/orders";

    assert_eq!(publisher.revision(key).await.unwrap(), None);
    let early = publisher.publish(key, &rules(1.0), Condition::Revision("1/u".to_owned())).await;
    assert!(matches!(early, Err(PublishError::Conflict { .. })), "{early:?}");
    let first = publisher.publish(key, &rules(1.0), Condition::Absent).await.unwrap().unwrap();
    followed.until_flow(&[("orders", 1)]).await;
    assert_eq!(publisher.revision(key).await.unwrap().as_deref(), Some(&*first));
    let twice = publisher.publish(key, &rules(2.0), Condition::Absent).await;
    assert!(matches!(twice, Err(PublishError::Conflict { .. })), "{twice:?}");

    // That its status was written meanwhile does not make the object another one.
    cluster.accepted(Kind::FlowRules, "default", "orders").await;
    let second = publisher.publish(key, &rules(2.0), Condition::Revision(first.clone())).await.unwrap();
    followed.until_flow(&[("orders", 2)]).await;
    let stale = publisher.publish(key, &rules(3.0), Condition::Revision(first)).await;
    assert!(matches!(stale, Err(PublishError::Conflict { .. })), "{stale:?}");

    let third = publisher.publish(key, &rules(4.0), Condition::Always).await.unwrap();
    assert_ne!(second, third);
    followed.until_flow(&[("orders", 4)]).await;
    // Rules that were put there by somebody else are replaced as well.
    cluster.rules(Kind::FlowRules, "default", "orders", flow("carts", 5)).await;
    followed.until_flow(&[("carts", 5)]).await;
    publisher.publish(key, &rules(6.0), Condition::Always).await.unwrap();
    followed.until_flow(&[("orders", 6)]).await;

    for unknown in
        ["orders", "FlowRules/default", "OtherRules/default/orders", "FlowRules/shop/orders", "FlowRules/default/b"]
    {
        let refused = publisher.publish(unknown, &rules(7.0), Condition::Always).await;
        assert!(matches!(refused, Err(PublishError::UnknownKey { .. })), "{unknown}: {refused:?}");
    }
    let other = Rules::new().isolation([sentinel_core::IsolationRule::new("orders", 1)]);
    let refused = publisher.publish(key, &other, Condition::Always).await;
    assert!(matches!(refused, Err(PublishError::Document { .. })), "{refused:?}");
    assert!(followed.status().is_healthy());
    Ok(())
}
