use std::{
    fs,
    time::{Duration, Instant},
};

use sentinel_core::Sentinel;
use sentinel_etcd::{Datasource, EtcdSource, Pem, SourceError, Tls};
use sentinel_testing::{
    Tls as Encrypted,
    observe::{RECOVERY, document, error, refusal, start, thresholds, until_healthy, until_in_force, until_told},
    servers::{Account, Etcd, EtcdOptions, EtcdVersion, Server as _, Unavailable},
    suite::Credential,
};

use crate::subject::KEY;

pub(crate) async fn only_those_who_may_read_the_keys_are_let_in() -> Result<(), Unavailable> {
    for version in [EtcdVersion::Installed, EtcdVersion::V3_5] {
        let etcd = Etcd::start(EtcdOptions { version, auth: true, ..EtcdOptions::default() }).await?;
        etcd.put(KEY, document(1).as_bytes()).await.unwrap();
        let source = || EtcdSource::new([etcd.endpoint()]).key(KEY);
        let told = |account: Account| source().credentials(account.name, account.secret);
        let denials = [
            (source(), "user name is empty"),
            (source().credentials("nobody", "nothing"), "authentication failed"),
            (source().credentials(Account::READER.name, Account::WRITER.secret), "authentication failed"),
            (told(Account::STRANGER), "permission denied"),
        ];
        for (source, words) in denials {
            let begin = Instant::now();
            let error = refusal(source).await;
            assert!(matches!(error, SourceError::Denied { .. }), "{error:?}");
            assert!(error.to_string().contains(words), "{error}");
            assert!(error.to_string().starts_with(&format!("etcd at {} refuses", etcd.address())), "{error}");
            assert!(begin.elapsed() < Duration::from_millis(700), "it is tried again and again");
        }
        let sentinel = Sentinel::default();
        let _watch = start(told(Account::READER), &sentinel).await;
        assert_eq!(thresholds(&sentinel), [1]);
    }
    let open = Etcd::start(EtcdOptions::default()).await?;
    let error = refusal(EtcdSource::new([open.endpoint()]).key(KEY).credentials("orders", "a password")).await;
    assert!(matches!(error, SourceError::Denied { .. }), "{error:?}");
    assert!(error.to_string().contains("authentication is not enabled"), "{error}");
    Ok(())
}

pub(crate) async fn a_password_that_was_changed_under_a_connection_leads_to_a_new_one() -> Result<(), Unavailable> {
    let etcd = Etcd::start(EtcdOptions { auth: true, ..EtcdOptions::default() }).await?;
    etcd.put(KEY, document(1).as_bytes()).await.unwrap();
    let password = Credential::new(Account::READER.secret);
    let source = EtcdSource::new([etcd.endpoint()]).key(KEY).credentials(Account::READER.name, password.secret());
    let sentinel = Sentinel::default();
    let watch = start(source, &sentinel).await;

    // The token is void from now on, and nobody says so until it is used.
    etcd.change_secret(Account::READER, "the next password").await.unwrap();
    password.change("the next password");
    etcd.put(KEY, document(2).as_bytes()).await.unwrap();
    until_healthy(RECOVERY, [2], &sentinel, &watch).await;
    assert_eq!(watch.status().connections, 2);

    // A source that is not told has no more access, and says so.
    etcd.change_secret(Account::READER, "yet another password").await.unwrap();
    etcd.put(KEY, document(3).as_bytes()).await.unwrap();
    until_told(RECOVERY, "authentication failed", &watch).await;
    assert_eq!(thresholds(&sentinel), [2], "the last good rules stay in force");
    Ok(())
}

pub(crate) async fn certificates_that_were_renewed_are_taken_up() -> Result<(), Unavailable> {
    let etcd = Etcd::start(EtcdOptions { tls: Encrypted::Mutual, ..EtcdOptions::default() }).await?;
    etcd.put(KEY, document(1).as_bytes()).await.unwrap();
    let certificates = etcd.certificates();
    let folder = tempfile::tempdir().unwrap();
    let [authority, certificate, key] = ["authority", "certificate", "key"].map(|name| folder.path().join(name));
    let tls = Tls::new().authority(Pem::file(&authority)).identity(Pem::file(&certificate), Pem::file(&key));
    let source = EtcdSource::new([etcd.endpoint()]).key(KEY).tls(tls);
    let sentinel = Sentinel::default();
    let watch = Datasource::new(source).optional().start(&sentinel).await.unwrap();
    assert!(error(&watch).contains(&authority.display().to_string()), "{}", error(&watch));

    fs::write(&authority, &certificates.authority.text).unwrap();
    fs::write(&certificate, "no certificate").unwrap();
    fs::write(&key, "no key").unwrap();
    until_told(RECOVERY, "no certificate in it", &watch).await;

    fs::write(&certificate, &certificates.client.certificate.text).unwrap();
    fs::write(&key, &certificates.client.key.text).unwrap();
    until_in_force(RECOVERY, [1], &sentinel, &watch).await;
    Ok(())
}
