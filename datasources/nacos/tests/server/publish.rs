//! Rules that are written.

use std::time::Duration;

use sentinel_core::{Encoding, Format, IsolationRule, Rules, Sentinel};
use sentinel_nacos::{Condition, Key, NacosSource, Publish as _, PublishError, SourceError};
use sentinel_testing::{
    Proxy,
    observe::{SOON, rules, start, until_in_force},
    servers::{Account, Nacos, NacosOptions, Server as _, Unavailable},
};
use tokio::time::Instant;

use super::support::{KEY, open_server, source};

pub(super) async fn the_data_id_says_how_rules_are_written() -> Result<(), Unavailable> {
    let nacos = open_server().await?;
    let mut source = source(&nacos).key(Key::new("rules.yaml", Encoding::detected()));
    source.publish("rules.yaml", &rules(6.0), Condition::Always).await.unwrap();
    // The server has not done all that it says it has.
    let begin = Instant::now();
    let written = loop {
        if let Some(written) = nacos.get("rules.yaml").await.unwrap() {
            break written;
        }
        assert!(begin.elapsed() < SOON, "it is not there");
    };
    assert!(written.starts_with(b"flow:"), "{written:?}");
    assert_eq!(Rules::parse(&written, Format::Yaml).unwrap().rules, rules(6.0));
    Ok(())
}

pub(super) async fn documents_of_the_dashboard_are_written_as_well() -> Result<(), Unavailable> {
    let nacos = open_server().await?;
    let mut source = NacosSource::dashboard(nacos.address().to_string(), "orders");
    source.publish("orders-flow-rules", &rules(7.0), Condition::Absent).await.unwrap();
    let sentinel = Sentinel::default();
    let watch = start(source.clone(), &sentinel).await;
    until_in_force(SOON, [7], &sentinel, &watch).await;
    let both = rules(1.0).isolation([IsolationRule::new("orders", 1)]);
    let refused = source.publish("orders-degrade-rules", &both, Condition::Always).await.unwrap_err();
    assert!(matches!(&refused, PublishError::Document { key, .. } if key == "orders-degrade-rules"), "{refused:?}");
    Ok(())
}

pub(super) async fn neither_a_stranger_nor_a_silent_second_port_is_waited_for() -> Result<(), Unavailable> {
    let nacos = Nacos::start(NacosOptions { auth: true }).await?;
    let with = |account: Account| source(&nacos).user(account.name, account.secret);
    let refused = with(Account::STRANGER).revision(KEY).await.unwrap_err();
    assert!(matches!(refused, PublishError::Source(SourceError::Denied { .. })), "{refused:?}");

    let proxy = Proxy::to(nacos.grpc_address()).await;
    proxy.stall();
    let mut source = with(Account::ADMIN).grpc_port(proxy.address().port());
    let begin = Instant::now();
    let late = source.publish(KEY, &rules(3.0), Condition::Always).await.unwrap_err();
    assert!(matches!(late, PublishError::Source(SourceError::TimedOut { .. })), "{late:?}");
    assert!(begin.elapsed() < Duration::from_secs(10), "it took {:?}", begin.elapsed());
    Ok(())
}
