use sentinel_core::{Encoding, Format, Rules, Sentinel};
use sentinel_etcd::{Condition, EtcdSource, Key, Publish as _, PublishError};
use sentinel_testing::{
    observe::{SOON, rules, start, until_in_force},
    servers::{Account, Etcd, EtcdOptions, EtcdVersion, Server as _, Unavailable},
};

use crate::subject::KEY;

pub(crate) async fn what_a_watch_has_read_is_a_revision_of_all_its_keys() -> Result<(), Unavailable> {
    for version in [EtcdVersion::Installed, EtcdVersion::V3_5] {
        let etcd = Etcd::start(EtcdOptions { version, auth: true, ..EtcdOptions::default() }).await?;
        let mut source = EtcdSource::new([etcd.endpoint()])
            .key(KEY)
            .prefix(Key::new("sentinel/toml/", Encoding::native(Format::Toml)))
            .credentials(Account::WRITER.name, Account::WRITER.secret);
        let written = source.publish(KEY, &rules(2.0), Condition::Absent).await.unwrap();
        source.publish("sentinel/toml/flow", &rules(4.0), Condition::Always).await.unwrap();
        let sentinel = Sentinel::default();
        let watch = start(source.clone(), &sentinel).await;
        let read = watch.status().revision;
        assert_ne!(read, written);

        let read = Condition::Revision(read.unwrap());
        source.publish(KEY, &rules(5.0), read.clone()).await.unwrap();
        until_in_force(SOON, [4, 5], &sentinel, &watch).await;
        let conflict = source.publish(KEY, &rules(6.0), read).await.unwrap_err();
        assert!(matches!(conflict, PublishError::Conflict { .. }), "{conflict:?}");
        let held = etcd.get("sentinel/toml/flow").await.unwrap().unwrap();
        assert_eq!(Rules::parse(&held, Format::Toml).unwrap().rules, rules(4.0));
    }
    Ok(())
}

pub(crate) async fn what_is_no_number_is_no_revision() -> Result<(), Unavailable> {
    let etcd = Etcd::start(EtcdOptions::default()).await?;
    let mut source = EtcdSource::new([etcd.endpoint()]).key(KEY);
    let error = source.publish(KEY, &rules(1.0), Condition::Revision("latest".to_owned())).await.unwrap_err();
    assert!(error.to_string().starts_with("the revision cannot be used: `latest`"), "{error}");
    assert_eq!(etcd.get(KEY).await.unwrap(), None);
    Ok(())
}
