//! Who is let in, and who is trusted.

use std::time::Duration;

use sentinel_consul::{ConsulSource, Pem, SourceError, Tls};
use sentinel_core::Sentinel;
use sentinel_testing::{
    Tls as Encryption,
    observe::{document, refusal, start, thresholds, until_in_force, until_told},
    servers::{Account, Consul, ConsulOptions, Server as _, Unavailable},
};

use crate::{KEY, LIMIT, server, source};

pub(super) async fn only_a_token_that_may_read_the_key_is_let_in() -> Result<(), Unavailable> {
    let server = server(1).await?;
    let sentinel = Sentinel::default();
    drop(start(source(&server).token(Account::READER.secret.into()), &sentinel).await);
    assert_eq!(thresholds(&sentinel), [1]);
    let nobody = "00000000-1111-2222-3333-444444444444";
    let wrong = [
        (source(&server).token(nobody.into()), "ACL not found"),
        (source(&server).token(Account::STRANGER.secret.into()), "Permission denied"),
        (ConsulSource::new(server.endpoint(), KEY), "Permission denied"),
        (ConsulSource::new(server.endpoint(), "other").token(Account::READER.secret.into()), "Permission denied"),
    ];
    for (source, told) in wrong {
        let refused = refusal(source).await;
        assert!(matches!(refused, SourceError::Denied { .. }), "{refused:?}");
        assert!(refused.to_string().contains(told), "{refused}");
    }
    Ok(())
}

pub(super) async fn a_token_that_is_taken_away_is_noticed() -> Result<(), Unavailable> {
    let server = server(1).await?;
    let sentinel = Sentinel::default();
    let source = source(&server).token(Account::READER.secret.into()).wait(Duration::from_secs(1));
    let watch = start(source, &sentinel).await;
    let token = "b7c2d0e4-1f3a-4c5b-8d6e-7f8091a2b3c4";
    server.change_secret(Account::READER, token).await.unwrap();
    until_told(LIMIT, "403 Forbidden", &watch).await;
    assert_eq!(thresholds(&sentinel), [1], "the last good rules stay in force");
    let told = format!("{watch:?}");
    assert!(!told.contains(Account::READER.secret), "{told}");
    Ok(())
}

pub(super) async fn both_sides_show_certificates() -> Result<(), Unavailable> {
    let server = Consul::start(ConsulOptions { tls: Encryption::Mutual, auth: true }).await?;
    server.put(KEY, document(1).as_bytes()).await.unwrap();
    let certificates = server.certificates();
    let (client, other) = (&certificates.client, &certificates.other_client);
    let trusting = || Tls::new().authority(Pem::file(&certificates.authority.path));
    let right = || trusting().identity(Pem::file(&client.certificate.path), Pem::file(&client.key.path));
    let sentinel = Sentinel::default();
    for tls in [right(), right().domain("localhost")] {
        let watch = start(source(&server).tls(tls), &sentinel).await;
        server.put(KEY, document(2).as_bytes()).await.unwrap();
        until_in_force(LIMIT, [2], &sentinel, &watch).await;
        server.put(KEY, document(1).as_bytes()).await.unwrap();
        until_in_force(LIMIT, [1], &sentinel, &watch).await;
    }

    let stranger = trusting().identity(Pem::file(&other.certificate.path), Pem::file(&other.key.path));
    for tls in [stranger, trusting()] {
        let refused = refusal(source(&server).tls(tls)).await;
        assert!(matches!(refused, SourceError::Denied { .. }), "{refused:?}");
    }
    let distrusting = right().authority(Pem::file(&certificates.other_authority.path));
    for tls in [distrusting, right().domain("server.dc1.consul")] {
        let refused = refusal(source(&server).tls(tls)).await;
        assert!(matches!(refused, SourceError::Unreachable { .. }), "{refused:?}");
        assert!(refused.to_string().contains("certificate"), "{refused}");
    }
    Ok(())
}
