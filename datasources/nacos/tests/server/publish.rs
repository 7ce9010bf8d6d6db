//! Rules that are written.

use std::time::Duration;

use sentinel_core::{Encoding, Format, IsolationRule, Rules, Sentinel};
use sentinel_nacos::{Condition, Key, NacosSource, Publish as _, PublishError, SourceError};
use sentinel_testing::{
    Proxy,
    observe::{SOON, rules, start, until_in_force, within},
    servers::{Account, Nacos, NacosOptions, Server as _, Unavailable},
};
use tokio::time::Instant;

use super::support::{KEY, open_server, put, source};

/// Waits until the server has done what it said that it has.
async fn until_revision(source: &mut NacosSource, revision: Option<&String>) {
    let begin = Instant::now();
    while source.revision(KEY).await.unwrap().as_ref() != revision {
        assert!(begin.elapsed() < SOON, "it is not {revision:?}");
    }
}

pub(super) async fn rules_are_written_under_conditions() -> Result<(), Unavailable> {
    let nacos = open_server().await?;
    let mut source = source(&nacos).key(Key::new("rules.yaml", Encoding::detected()));
    assert_eq!(source.revision(KEY).await.unwrap(), None);
    let first = source.publish(KEY, &rules(1.0), Condition::Absent).await.unwrap().unwrap();
    until_revision(&mut source, Some(&first)).await;
    let conflict = source.publish(KEY, &rules(2.0), Condition::Absent).await.unwrap_err();
    assert!(matches!(&conflict, PublishError::Conflict { key } if key == KEY), "{conflict:?}");

    let sentinel = Sentinel::default();
    let watch = start(self::source(&nacos), &sentinel).await;
    // What a watch of one data id says that it has read will do as well.
    assert_eq!(watch.status().revision.as_ref(), Some(&first));
    let second = source.publish(KEY, &rules(2.0), Condition::Revision(first.clone())).await.unwrap();
    until_in_force(SOON, [2], &sentinel, &watch).await;
    within(SOON, "its revision told", &watch, || watch.status().revision == second).await;
    let conflict = source.publish(KEY, &rules(3.0), Condition::Revision(first)).await.unwrap_err();
    assert!(matches!(conflict, PublishError::Conflict { .. }), "{conflict:?}");
    source.publish(KEY, &rules(4.0), Condition::Always).await.unwrap();
    until_in_force(SOON, [4], &sentinel, &watch).await;

    // What was deleted is not what it was.
    let last = source.revision(KEY).await.unwrap().unwrap();
    nacos.delete(KEY).await.unwrap();
    until_revision(&mut source, None).await;
    let conflict = source.publish(KEY, &rules(5.0), Condition::Revision(last)).await.unwrap_err();
    assert!(matches!(conflict, PublishError::Conflict { .. }), "{conflict:?}");
    assert_eq!(nacos.get(KEY).await.unwrap(), None);

    source.publish("rules.yaml", &rules(6.0), Condition::Always).await.unwrap();
    let begin = Instant::now();
    let written = loop {
        if let Some(written) = nacos.get("rules.yaml").await.unwrap() {
            break written;
        }
        assert!(begin.elapsed() < SOON, "it is not there");
    };
    assert!(written.starts_with(b"flow:"), "the data id says that it is YAML");
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

pub(super) async fn what_cannot_be_written_is_an_error() -> Result<(), Unavailable> {
    let nacos = Nacos::start(NacosOptions { auth: true }).await?;
    let (reader, writer) = (Account::READER, Account::WRITER);
    nacos.admit(reader.name, reader.secret, false).await.unwrap();
    nacos.admit(writer.name, writer.secret, true).await.unwrap();
    put(&nacos, 1).await;
    let with = |account: Account| source(&nacos).user(account.name, account.secret);
    let always = || Condition::Always;

    let refused = with(reader).publish(KEY, &rules(2.0), always()).await.unwrap_err();
    assert!(matches!(refused, PublishError::Source(SourceError::Denied { .. })), "{refused:?}");
    let refused = with(Account::STRANGER).revision(KEY).await.unwrap_err();
    assert!(matches!(refused, PublishError::Source(SourceError::Denied { .. })), "{refused:?}");
    let unknown = with(writer).publish("elsewhere", &rules(2.0), always()).await.unwrap_err();
    assert!(matches!(&unknown, PublishError::UnknownKey { key } if key == "elsewhere"), "{unknown:?}");
    with(writer).publish(KEY, &rules(2.0), always()).await.unwrap();

    let proxy = Proxy::to(nacos.grpc_address()).await;
    proxy.stall();
    let begin = Instant::now();
    let late = with(writer).grpc_port(proxy.address().port()).publish(KEY, &rules(3.0), always()).await.unwrap_err();
    assert!(matches!(late, PublishError::Source(SourceError::TimedOut { .. })), "{late:?}");
    assert!(begin.elapsed() < Duration::from_secs(10), "it took {:?}", begin.elapsed());
    nacos.kill();
    let gone = with(writer).publish(KEY, &rules(3.0), always()).await.unwrap_err();
    assert!(matches!(gone, PublishError::Source(SourceError::Unreachable { .. })), "{gone:?}");
    Ok(())
}
