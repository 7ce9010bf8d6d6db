use sentinel_core::{Encoding, Format, Rules, Sentinel};
use sentinel_etcd::{Condition, EtcdSource, Key, Publish as _, PublishError, SourceError};
use sentinel_testing::{
    observe::{SOON, rules, start, until_in_force},
    servers::{Account, Etcd, EtcdOptions, EtcdVersion, Server as _, Unavailable},
};

use crate::support::KEY;

pub(crate) async fn rules_are_written_under_conditions() -> Result<(), Unavailable> {
    for version in [EtcdVersion::Installed, EtcdVersion::V3_5] {
        let etcd = Etcd::start(EtcdOptions { version, auth: true, ..EtcdOptions::default() }).await?;
        let mut source = EtcdSource::new([etcd.endpoint()])
            .key(KEY)
            .prefix(Key::new("sentinel/toml/", Encoding::native(Format::Toml)))
            .credentials(Account::WRITER.name, Account::WRITER.secret);
        assert_eq!(source.revision(KEY).await.unwrap(), None);
        let absent = Condition::Absent;
        let first = source.publish(KEY, &rules(1.0), absent.clone()).await.unwrap().unwrap();
        assert_eq!(source.revision(KEY).await.unwrap().as_ref(), Some(&first));
        let conflict = source.publish(KEY, &rules(2.0), absent).await.unwrap_err();
        assert!(matches!(&conflict, PublishError::Conflict { key } if key == KEY), "{conflict:?}");

        let at = |revision: &str| Condition::Revision(revision.to_owned());
        let second = source.publish(KEY, &rules(2.0), at(&first)).await.unwrap().unwrap();
        let conflict = source.publish(KEY, &rules(3.0), at(&first)).await.unwrap_err();
        assert!(matches!(conflict, PublishError::Conflict { .. }), "{conflict:?}");

        // What a watch says that it has read will do as well, until somebody writes.
        source.publish("sentinel/toml/flow", &rules(4.0), Condition::Always).await.unwrap();
        let sentinel = Sentinel::default();
        let watch = start(source.clone(), &sentinel).await;
        let read = watch.status().revision.unwrap();
        assert_ne!(read, second);
        source.publish(KEY, &rules(5.0), at(&read)).await.unwrap();
        until_in_force(SOON, [4, 5], &sentinel, &watch).await;
        assert!(source.publish(KEY, &rules(6.0), at(&read)).await.is_err());

        // What was deleted is not what it was.
        let last = source.revision(KEY).await.unwrap().unwrap();
        etcd.delete(KEY).await.unwrap();
        let conflict = source.publish(KEY, &rules(7.0), at(&last)).await.unwrap_err();
        assert!(matches!(conflict, PublishError::Conflict { .. }), "{conflict:?}");

        let written = etcd.get("sentinel/toml/flow").await.unwrap().unwrap();
        assert_eq!(Rules::parse(&written, Format::Toml).unwrap().rules, rules(4.0));
    }
    Ok(())
}

pub(crate) async fn what_cannot_be_written_is_an_error() -> Result<(), Unavailable> {
    let etcd = Etcd::start(EtcdOptions { auth: true, ..EtcdOptions::default() }).await?;
    let source = EtcdSource::new([etcd.endpoint()]).key(KEY);
    let mut reader = source.clone().credentials(Account::READER.name, Account::READER.secret);
    let mut writer = source.credentials(Account::WRITER.name, Account::WRITER.secret);
    let always = Condition::Always;

    let error = reader.publish(KEY, &rules(1.0), always.clone()).await.unwrap_err();
    assert!(matches!(error, PublishError::Source(SourceError::Denied { .. })), "{error:?}");
    let error = writer.publish("another", &rules(1.0), always.clone()).await.unwrap_err();
    assert!(matches!(&error, PublishError::UnknownKey { key } if key == "another"), "{error:?}");
    let error = writer.publish(KEY, &rules(-1.0), always.clone()).await.unwrap_err();
    assert!(matches!(&error, PublishError::Document { key, .. } if key == KEY), "{error:?}");
    let error = writer.publish(KEY, &rules(1.0), Condition::Revision("latest".to_owned())).await.unwrap_err();
    assert!(error.to_string().starts_with("the revision cannot be used: `latest`"), "{error}");
    assert_eq!(etcd.get(KEY).await.unwrap(), None);

    etcd.kill();
    let error = writer.publish(KEY, &rules(1.0), always).await.unwrap_err();
    assert!(matches!(error, PublishError::Source(SourceError::Unreachable { .. })), "{error:?}");
    Ok(())
}
