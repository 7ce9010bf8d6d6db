use std::{fs, net::SocketAddr};

use sentinel_datasource::{Pem, SourceError, State, Tls};

use super::{Stage, Subject};
use crate::{
    Certificates, Identity, Tls as Encryption,
    observe::{PATIENCE, RECOVERY, error, refusal, start, until_told, within},
    servers::Unavailable,
};

/// A subject whose server encrypts where it is asked to.
pub trait Encrypted: Subject {
    /// What is told where nothing is encrypted but by the server.
    const IN_THE_CLEAR: &'static str = "cannot be reached: ";

    /// What both sides show each other.
    fn certificates(&self) -> &Certificates;

    /// The source of [`Subject::source`], over TLS.
    fn encrypted(&self, address: SocketAddr, tls: Tls) -> Self::Source;
}

impl<S: Encrypted> Stage<S> {
    fn over(&self, tls: Tls) -> S::Source {
        self.subject.encrypted(self.address(), tls)
    }

    /// Trusts the server, and shows it nothing.
    fn trusting(&self) -> Tls {
        Tls::new().authority(Pem::file(&self.subject.certificates().authority.path))
    }
}

pub(super) async fn connections_are_encrypted_and_the_server_has_to_show_who_it_is<S: Encrypted>()
-> Result<(), Unavailable> {
    let stage = Stage::<S>::encrypted(Encryption::Server, 1).await?;
    for (threshold, tls) in (2..).zip([stage.trusting(), stage.trusting().domain("localhost")]) {
        let watch = start(stage.over(tls), &stage.sentinel).await;
        assert_eq!(stage.thresholds(), [threshold - 1]);
        stage.put(threshold).await;
        stage.until_in_force(S::SOON, [threshold], &watch).await;
    }

    let unknown = Tls::new().authority(Pem::file(&stage.subject.certificates().other_authority.path));
    let other = stage.trusting().domain("elsewhere.example");
    let not_so = "not valid for name \"elsewhere.example\"";
    // The system trusts nobody that was made up for a test.
    for (tls, reason) in [(unknown, "UnknownIssuer"), (Tls::new(), "UnknownIssuer"), (other, not_so)] {
        let refused = refusal(stage.over(tls)).await;
        assert!(matches!(refused, SourceError::Unreachable { .. }), "{refused:?}");
        assert!(refused.to_string().contains(reason), "{refused}");
    }
    let refused = refusal(stage.subject.source(stage.address())).await;
    assert!(refused.to_string().contains(S::IN_THE_CLEAR), "{refused:?}");
    Ok(())
}

pub(super) async fn certificates_of_clients_are_read_for_each_connection<S: Encrypted>() -> Result<(), Unavailable> {
    let stage = Stage::<S>::encrypted(Encryption::Mutual, 1).await?;
    let Certificates { client, other_client, .. } = stage.subject.certificates();
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key] = ["client.pem", "client.key"].map(|name| folder.path().join(name));
    let show = |identity: &Identity| {
        fs::write(&certificate, &identity.certificate.text).unwrap();
        fs::write(&key, &identity.key.text).unwrap();
    };
    let shown = stage.trusting().identity(Pem::file(&certificate), Pem::file(&key));
    show(client);
    let watch = start(stage.over(shown.clone()), &stage.sentinel).await;
    assert_eq!(stage.thresholds(), [1]);

    show(other_client);
    stage.cut().await;
    within(PATIENCE, "the cut noticed", &watch, || watch.status().state == State::Connecting).await;
    stage.heal().await;
    until_told(PATIENCE, "refuses access: ", &watch).await;
    assert!(error(&watch).contains("alert"), "{}", error(&watch));
    for tls in [shown, stage.trusting()] {
        let refused = refusal(stage.over(tls)).await;
        assert!(matches!(refused, SourceError::Denied { .. }), "{refused:?}");
    }
    show(client);
    stage.put(2).await;
    stage.until_healthy(RECOVERY, [2], &watch).await;
    Ok(())
}
