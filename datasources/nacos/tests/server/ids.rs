//! Data ids, groups and namespaces.

use sentinel_core::{Call, Encoding, Sentinel};
use sentinel_nacos::{Key, NacosSource, WhenMissing};
use sentinel_testing::{
    observe::{
        PATIENCE, SOON, datasource, document, error, start, thresholds, until_healthy, until_in_force, until_told,
        within,
    },
    servers::{Server as _, Unavailable},
};

use super::support::{KEY, open_server, put, source};

/// Documents as the dashboard of Sentinel for Java publishes them.
const PUBLISHED: [(&str, &str); 5] = [
    (
        "orders-flow-rules",
        r#"[{"app":"orders","clusterConfig":{"acquireRefuseStrategy":0,"clientOfflineTime":2000,"fallbackToLocalWhenFail":true,
"resourceTimeout":2000,"resourceTimeoutStrategy":0,"sampleCount":10,"strategy":0,"thresholdType":0,"windowIntervalMs":1000},
"clusterMode":false,"controlBehavior":0,"count":2.0,"gmtCreate":1529998904000,"gmtModified":1529998904000,"grade":1,"id":1,
"ip":"10.0.0.1","limitApp":"default","port":8719,"resource":"orders","strategy":0}]"#,
    ),
    (
        "orders-degrade-rules",
        r#"[{"app":"orders","count":200.0,"gmtCreate":1529998904000,"gmtModified":1529998904000,"grade":0,"id":1,"ip":"10.0.0.1",
"limitApp":"default","minRequestAmount":5,"port":8719,"resource":"stock","slowRatioThreshold":0.5,"statIntervalMs":1000,
"timeWindow":10}]"#,
    ),
    (
        "orders-param-flow-rules",
        r#"[{"burstCount":0,"clusterMode":false,"controlBehavior":0,"count":3.0,"durationInSec":1,"grade":1,"limitApp":"default",
"maxQueueingTimeMs":0,"paramFlowItemList":[],"paramIdx":0,"resource":"search"}]"#,
    ),
    (
        "orders-system-rules",
        r#"[{"avgRt":-1,"highestCpuUsage":0.9,"highestSystemLoad":-1.0,"maxThread":-1,"qps":-1.0}]"#,
    ),
    ("orders-authority-rules", r#"[{"limitApp":"billing","resource":"orders/refund","strategy":0}]"#),
];

fn passed(sentinel: &Sentinel, resource: &str) -> usize {
    let calls = (0..10).map(|_| sentinel.enter(resource).immediately());
    calls.filter(Result::is_ok).count()
}

pub(super) async fn what_the_dashboard_publishes_is_followed() -> Result<(), Unavailable> {
    let nacos = open_server().await?;
    let source = NacosSource::dashboard(nacos.address().to_string(), "orders");
    for when_missing in [WhenMissing::Clear, WhenMissing::Keep] {
        let sentinel = Sentinel::default();
        // It may be that nothing was published yet.
        let watch = datasource(source.clone()).when_missing(when_missing).start(&sentinel).await.unwrap();
        assert!(watch.status().is_healthy(), "{:#?}", watch.status());
        assert_eq!(passed(&sentinel, "orders"), 10);

        for (id, document) in PUBLISHED {
            nacos.publish("", "SENTINEL_GROUP", id, document).await.unwrap();
        }
        within(SOON, "five rules", &watch, || watch.status().rules == 5).await;
        let status = watch.status();
        assert!(status.is_healthy() && status.revision.is_some_and(|all| all.matches('=').count() == 5));
        assert_eq!(passed(&sentinel, "orders"), 2);
        let refund = |origin| sentinel.enter_with("orders/refund", &Call::new().origin(origin)).immediately().is_ok();
        assert!(refund("billing") && !refund("shop"));

        let (other, searches) = ("orders-param-rules", PUBLISHED[2].1.replace("search", "find"));
        nacos.publish("", "SENTINEL_GROUP", other, &searches).await.unwrap();
        within(SOON, "six rules", &watch, || watch.status().rules == 6).await;
        for id in PUBLISHED.map(|(id, _)| id).into_iter().chain([other]) {
            nacos.remove("", "SENTINEL_GROUP", id).await.unwrap();
        }
        match when_missing {
            WhenMissing::Clear => {
                until_healthy(SOON, [], &sentinel, &watch).await;
            }
            WhenMissing::Keep => {
                within(SOON, "all missed", &watch, || {
                    watch.status().documents.iter().all(|document| document.error.is_some())
                })
                .await;
                assert_eq!(watch.status().rules, 6);
                assert!(error(&watch).contains("`orders-authority-rules` does not exist"), "{}", error(&watch));
            }
        }
    }
    Ok(())
}

pub(super) async fn several_data_ids_of_a_group_and_a_namespace_are_one_source() -> Result<(), Unavailable> {
    let nacos = open_server().await?;
    put(&nacos, 9).await;
    let write = async |id: &str, document: &str| nacos.publish("ns", "RULES", id, document).await.unwrap();
    write(KEY, &document(1)).await;
    write("stock-java", r#"[{"resource": "stock", "count": 5, "grade": 1}]"#).await;
    let source =
        source(&nacos).key(Key::new("stock-java", Encoding::java().family("flow"))).namespace("ns").group("RULES");
    let sentinel = Sentinel::default();
    let watch = start(source.key("unwritten"), &sentinel).await;
    let status = watch.status();
    assert_eq!((thresholds(&sentinel), status.rules), (vec![1, 5], 2));
    let keys: Vec<_> = status.documents.iter().map(|document| &*document.key).collect();
    assert_eq!(keys, [KEY, "stock-java", "unwritten"]);

    write("stock-java", "[]").await;
    within(SOON, "one rule", &watch, || watch.status().rules == 1).await;
    write(KEY, "garbage: [").await;
    write("unwritten", "flow: [{resource: late, threshold: 7}]").await;
    until_told(SOON, &format!("`{KEY}`"), &watch).await;
    // The last good rules stay in force, and others come to them.
    until_in_force(SOON, [1, 7], &sentinel, &watch).await;
    put(&nacos, 8).await;
    write(KEY, &document(2)).await;
    until_healthy(SOON, [2, 7], &sentinel, &watch).await;
    Ok(())
}

pub(super) async fn what_is_far_too_large_is_not_even_received() -> Result<(), Unavailable> {
    let nacos = open_server().await?;
    put(&nacos, 1).await;
    let sentinel = Sentinel::default();
    let watch = datasource(source(&nacos)).max_size(1_000).start(&sentinel).await.unwrap();
    nacos.put(KEY, " ".repeat(500_000).as_bytes()).await.unwrap();
    until_told(SOON, "message length too large", &watch).await;
    assert!(error(&watch).contains(&format!("`{KEY}`")), "{}", error(&watch));
    assert_eq!((thresholds(&sentinel), watch.status().connections), (vec![1], 1));
    put(&nacos, 2).await;
    until_healthy(PATIENCE, [2], &sentinel, &watch).await;
    Ok(())
}
