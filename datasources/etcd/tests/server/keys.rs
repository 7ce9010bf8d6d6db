use std::time::Duration;

use sentinel_core::{Encoding, Format, Selector, Sentinel};
use sentinel_datasource::{Connection as _, Reading, Source as _};
use sentinel_etcd::{Datasource, EtcdSource, Key};
use sentinel_testing::{
    observe::{SOON, error, within},
    servers::{Etcd, EtcdOptions, EtcdVersion, Server as _, Unavailable},
};
use tokio::time::timeout;

/// Rules for a resource that are told from others by a threshold.
fn flow(resource: &str, threshold: u32) -> String {
    format!("flow: [{{resource: {resource}, threshold: {threshold}}}]")
}

/// The threshold in force for a resource.
fn threshold(sentinel: &Sentinel, resource: &str) -> Option<u32> {
    let resource = Selector::from(resource.to_owned());
    let mut rules = sentinel.rules().list().into_iter().flat_map(|(_, rules)| rules.flow);
    rules.find(|rule| rule.resource == resource).map(|rule| rule.params.threshold as u32)
}

pub(crate) async fn several_keys_and_those_below_a_prefix_are_in_force_together() -> Result<(), Unavailable> {
    for version in [EtcdVersion::Installed, EtcdVersion::V3_5] {
        let etcd = Etcd::start(EtcdOptions { version, ..EtcdOptions::default() }).await?;
        let put = async |key: &str, document: String| etcd.put(key, document.as_bytes()).await.unwrap();
        let toml = |threshold| format!("[[flow]]\nresource = 'toml'\nthreshold = {threshold}\n");
        put("orders", flow("orders", 1)).await;
        put("toml", toml(2)).await;
        put("below/a", flow("a", 3)).await;
        put("beloved", flow("beloved", 4)).await;

        let source = EtcdSource::new([etcd.endpoint()])
            .key("orders")
            .key(Key::new("toml", Encoding::native(Format::Toml)))
            .prefix("below/");
        let sentinel = Sentinel::default();
        let watch = Datasource::new(source).start(&sentinel).await.unwrap();
        let now = || ["orders", "toml", "a", "b", "beloved"].map(|resource| threshold(&sentinel, resource));
        assert_eq!(now(), [Some(1), Some(2), Some(3), None, None]);
        assert_eq!(watch.status().source, "etcd:orders,toml,below/*");
        let keys: Vec<_> = watch.status().documents.iter().map(|document| document.key.clone()).collect();
        assert_eq!(keys, ["below/a", "orders", "toml"]);

        put("below/b", flow("b", 5)).await;
        put("beloved", flow("beloved", 6)).await;
        within(SOON, "a key that came later", &watch, || now() == [Some(1), Some(2), Some(3), Some(5), None]).await;
        put("toml", toml(7)).await;
        within(SOON, "a change", &watch, || now() == [Some(1), Some(7), Some(3), Some(5), None]).await;
        etcd.delete("below/a").await.unwrap();
        etcd.delete("orders").await.unwrap();
        within(SOON, "keys that are gone", &watch, || now() == [None, Some(7), None, Some(5), None]).await;
        within(SOON, "healthy", &watch, || watch.status().is_healthy()).await;
        assert_eq!(watch.status().connections, 1);
    }
    Ok(())
}

pub(crate) async fn a_key_that_is_too_large_is_not_read_and_holds_up_no_other() -> Result<(), Unavailable> {
    let etcd = Etcd::start(EtcdOptions::default()).await?;
    etcd.put("rules/a", flow("a", 1).as_bytes()).await.unwrap();
    etcd.put("rules/b", flow("b", 1).as_bytes()).await.unwrap();
    let sentinel = Sentinel::default();
    let source = EtcdSource::new([etcd.endpoint()]).prefix("rules/");
    let watch = Datasource::new(source).max_size(1_000).start(&sentinel).await.unwrap();
    etcd.put("rules/a", format!("{}{}", flow("a", 2), " ".repeat(1_000_000)).as_bytes()).await.unwrap();
    etcd.put("rules/b", flow("b", 2).as_bytes()).await.unwrap();
    within(SOON, "the other key", &watch, || threshold(&sentinel, "b") == Some(2)).await;
    within(SOON, "the error", &watch, || error(&watch).starts_with("`rules/a` cannot be read")).await;
    assert!(error(&watch).contains("length too large"), "{}", error(&watch));
    assert_eq!((threshold(&sentinel, "a"), watch.status().connections), (Some(1), 1));

    etcd.put("rules/a", flow("a", 3).as_bytes()).await.unwrap();
    within(SOON, "a good document", &watch, || threshold(&sentinel, "a") == Some(3)).await;
    within(SOON, "healthy", &watch, || watch.status().is_healthy()).await;
    Ok(())
}

pub(crate) async fn keys_are_read_in_one_state_and_only_when_they_have_changed() -> Result<(), Unavailable> {
    let etcd = Etcd::start(EtcdOptions::default()).await?;
    etcd.put("a", b"1").await.unwrap();
    let mut source = EtcdSource::new([etcd.endpoint()]).key("a").key("b");
    let mut connection = source.connect().await.unwrap();
    let Reading::Content(first) = connection.read().await.unwrap() else { panic!("nothing is there") };
    assert_eq!(first.documents.len(), 2);
    etcd.put("another", b"1").await.unwrap();
    assert!(matches!(connection.read().await.unwrap(), Reading::Unchanged));
    assert!(timeout(Duration::from_millis(200), connection.changed()).await.is_err(), "another key is told of");

    etcd.put("b", b"1").await.unwrap();
    etcd.put("b", b"2").await.unwrap();
    timeout(SOON, connection.changed()).await.expect("the change is told of").unwrap();
    let Reading::Content(second) = connection.read().await.unwrap() else { panic!("nothing has changed") };
    let revision = |content: &sentinel_datasource::Content| content.revision.as_ref().unwrap().parse::<u64>().unwrap();
    assert_eq!(revision(&second), revision(&first) + 3);
    // What was read is not told of again.
    assert!(timeout(Duration::from_millis(200), connection.changed()).await.is_err(), "it is told of again");
    etcd.delete("a").await.unwrap();
    timeout(SOON, connection.changed()).await.expect("the deletion is told of").unwrap();
    Ok(())
}

pub(crate) async fn more_keys_than_a_transaction_may_have_are_read() -> Result<(), Unavailable> {
    let etcd = Etcd::start(EtcdOptions::default()).await?;
    let names: Vec<_> = (0..300).map(|number| format!("key-{number}")).collect();
    for name in &names {
        etcd.put(name, flow(name, 1).as_bytes()).await.unwrap();
    }
    let source = names.iter().fold(EtcdSource::new([etcd.endpoint()]), |source, name| source.key(name.as_str()));
    let sentinel = Sentinel::default();
    let watch = Datasource::new(source).name("keys").start(&sentinel).await.unwrap();
    assert_eq!(watch.status().rules, 300);
    for name in ["key-0", "key-128", "key-299"] {
        etcd.put(name, flow(name, 2).as_bytes()).await.unwrap();
        within(SOON, name, &watch, || threshold(&sentinel, name) == Some(2)).await;
    }
    Ok(())
}
