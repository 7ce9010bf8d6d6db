//! Rules that are written to the server.

use sentinel_core::Sentinel;
use sentinel_testing::{
    Identity, Tls as Encryption,
    observe::{SOON, refusal, rules, start, until_in_force, within},
    servers::{Account, Server as _, Unavailable, ZooKeeperOptions},
};
use sentinel_zookeeper::{Condition, Pem, Publish as _, PublishError, SourceError, Tls, ZooKeeperSource};

use super::subject::{server, source};

pub(super) async fn what_is_published_is_in_force_and_nodes_on_the_way_are_made() -> Result<(), Unavailable> {
    let zookeeper = server(ZooKeeperOptions::default()).await?;
    let path = "/far/away/rules";
    let mut writer = ZooKeeperSource::new(zookeeper.address().to_string(), path);
    let sentinel = Sentinel::default();
    let watch = start(writer.clone(), &sentinel).await;
    for number in 1..4_u32 {
        let revision = writer.publish(path, &rules(f64::from(number)), Condition::Always).await.unwrap();
        until_in_force(SOON, [u64::from(number)], &sentinel, &watch).await;
        within(SOON, "its revision told", &watch, || watch.status().revision == revision).await;
        assert_eq!(writer.revision(path).await.unwrap(), revision);
    }

    // What a user makes is for that user alone.
    let mut private = ZooKeeperSource::new(zookeeper.address().to_string(), "/own/rules").user("orders", "hunter2");
    private.publish("/own/rules", &rules(1.0), Condition::Absent).await.unwrap();
    let refused = refusal(ZooKeeperSource::new(zookeeper.address().to_string(), "/own/rules")).await;
    assert!(matches!(refused, SourceError::Denied { .. }), "{refused:?}");
    start(private, &Sentinel::default()).await.stop().await;
    Ok(())
}

pub(super) async fn what_is_made_under_a_certificate_is_for_its_owner_alone() -> Result<(), Unavailable> {
    let zookeeper = server(ZooKeeperOptions { tls: Encryption::Mutual, auth: false }).await?;
    let certificates = zookeeper.certificates();
    let path = "/own/rules";
    let showing = |identity: &Identity| {
        let [certificate, key] = [&identity.certificate, &identity.key].map(|pem| Pem::file(&pem.path));
        let tls = Tls::new().authority(Pem::file(&certificates.authority.path)).identity(certificate, key);
        ZooKeeperSource::new(zookeeper.address().to_string(), path).tls(tls)
    };
    let mut owner = showing(&certificates.client);
    owner.publish(path, &rules(1.0), Condition::Absent).await.unwrap();
    // Trusted by the server as well, and somebody else.
    let mut other = showing(&certificates.server);
    let refused = other.publish(path, &rules(2.0), Condition::Always).await.unwrap_err();
    assert!(matches!(refused, PublishError::Source(SourceError::Denied { .. })), "{refused:?}");
    let refused = refusal(other).await;
    assert!(matches!(refused, SourceError::Denied { .. }), "{refused:?}");
    owner.publish(path, &rules(3.0), Condition::Always).await.unwrap();
    Ok(())
}

pub(super) async fn a_certificate_that_the_server_does_not_ask_for_owns_nothing() -> Result<(), Unavailable> {
    let zookeeper = server(ZooKeeperOptions { tls: Encryption::Server, auth: false }).await?;
    let certificates = zookeeper.certificates();
    let [certificate, key] =
        [&certificates.client.certificate, &certificates.client.key].map(|pem| Pem::file(&pem.path));
    let tls = Tls::new().authority(Pem::file(&certificates.authority.path)).identity(certificate, key);
    let mut source = ZooKeeperSource::new(zookeeper.address().to_string(), "/own").tls(tls);
    let refused = source.publish("/own", &rules(1.0), Condition::Always).await.unwrap_err();
    assert!(refused.to_string().ends_with("the node would be for whoever is logged in, and nobody is"), "{refused}");
    assert_eq!(zookeeper.get("/own").await.unwrap(), None);
    Ok(())
}

pub(super) async fn who_may_not_make_a_node_is_denied() -> Result<(), Unavailable> {
    let zookeeper = server(ZooKeeperOptions { auth: true, ..Default::default() }).await?;
    let new = "/sentinel/new";
    let mut reader = source(&zookeeper).key(new).user(Account::READER.name, Account::READER.secret);
    let refused = reader.publish(new, &rules(9.0), Condition::Absent).await.unwrap_err();
    assert!(matches!(refused, PublishError::Source(SourceError::Denied { .. })), "{refused:?}");
    assert!(!format!("{refused} {refused:?}").contains(Account::READER.secret), "{refused}");
    Ok(())
}
