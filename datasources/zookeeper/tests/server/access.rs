//! Who may connect, and who is who.

use std::fs;

use sentinel_core::Sentinel;
use sentinel_testing::{
    Certificates, Identity, Proxy, Tls as Encryption,
    observe::{SOON, refusal, start, thresholds, until_healthy, until_in_force, until_told},
    servers::{Account, Server as _, Unavailable, ZooKeeperOptions},
};
use sentinel_zookeeper::{Pem, SourceError, Tls, ZooKeeperSource};

use super::subject::{KEY, put, server, source};

fn authority(certificates: &Certificates) -> Tls {
    Tls::new().authority(Pem::file(&certificates.authority.path))
}

pub(super) async fn connections_are_encrypted_and_the_server_has_to_show_who_it_is() -> Result<(), Unavailable> {
    let zookeeper = server(ZooKeeperOptions { tls: Encryption::Server, auth: true }).await?;
    let certificates = zookeeper.certificates();
    let source = || source(&zookeeper).user(Account::READER.name, Account::READER.secret);
    let sentinel = Sentinel::default();
    let watch = start(source().tls(authority(certificates)), &sentinel).await;
    assert_eq!(thresholds(&sentinel), [1]);
    put(&zookeeper, 2).await;
    until_in_force(SOON, [2], &sentinel, &watch).await;

    let unknown = Tls::new().authority(Pem::file(&certificates.other_authority.path));
    let other = authority(certificates).domain("zookeeper.example.com");
    for (tls, reason) in [(unknown, "UnknownIssuer"), (Tls::new(), "UnknownIssuer"), (other, "not valid for name")] {
        let refused = refusal(source().tls(tls)).await;
        assert!(matches!(refused, SourceError::Unreachable { .. }), "{refused:?}");
        assert!(refused.to_string().contains(reason), "{refused}");
    }
    let refused = refusal(source()).await;
    assert!(!matches!(refused, SourceError::Denied { .. }), "{refused:?}");
    Ok(())
}

pub(super) async fn where_both_have_to_show_who_they_are_certificates_are_read_for_each_connection()
-> Result<(), Unavailable> {
    let zookeeper = server(ZooKeeperOptions { tls: Encryption::Mutual, auth: false }).await?;
    let certificates = zookeeper.certificates();
    let proxy = Proxy::to(zookeeper.address()).await;
    let (client, other) = (&certificates.client, &certificates.other_client);
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key] = ["client.pem", "client.key"].map(|name| folder.path().join(name));
    let show = |identity: &Identity| {
        fs::write(&certificate, &identity.certificate.text).unwrap();
        fs::write(&key, &identity.key.text).unwrap();
    };
    show(client);
    let with = |tls: Tls| ZooKeeperSource::new(proxy.address().to_string(), KEY).tls(tls);
    let tls = authority(certificates).identity(Pem::file(&certificate), Pem::file(&key));
    let sentinel = Sentinel::default();
    let watch = start(with(tls.clone()), &sentinel).await;

    show(other);
    proxy.reset().await;
    until_told(SOON * 5, "alert", &watch).await;
    for tls in [tls, authority(certificates)] {
        let refused = refusal(with(tls)).await;
        assert!(matches!(refused, SourceError::Denied { .. }), "{refused:?}");
    }
    show(client);
    put(&zookeeper, 2).await;
    until_healthy(SOON * 3, [2], &sentinel, &watch).await;
    Ok(())
}

pub(super) async fn who_may_not_read_a_node_is_denied() -> Result<(), Unavailable> {
    let zookeeper = server(ZooKeeperOptions { auth: true, ..Default::default() }).await?;
    let stranger = source(&zookeeper).user(Account::STRANGER.name, Account::STRANGER.secret);
    for source in [source(&zookeeper), stranger] {
        let refused = refusal(source).await;
        assert!(matches!(refused, SourceError::Denied { .. }), "{refused:?}");
        assert!(!format!("{refused} {refused:?}").contains(Account::STRANGER.secret), "{refused}");
    }
    Ok(())
}
