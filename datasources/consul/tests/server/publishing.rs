//! The write side.

use sentinel_consul::{Condition, Publish as _, PublishError, SourceError};
use sentinel_core::{FlowRule, Rules, Sentinel};
use sentinel_testing::{
    observe::{rules, start, until_in_force},
    servers::{Account, Server as _, Unavailable},
};

use crate::{KEY, LIMIT, server, source};

pub(super) async fn what_is_published_is_in_force() -> Result<(), Unavailable> {
    let (server, sentinel) = (server(1).await?, Sentinel::default());
    let watch = start(source(&server), &sentinel).await;
    let revision = source(&server).publish(KEY, &rules(2.0), Condition::Always).await.unwrap();
    until_in_force(LIMIT, [2], &sentinel, &watch).await;
    assert_eq!(watch.status().revision, revision);
    assert_eq!(server.get(KEY).await.unwrap().unwrap(), rules(2.0).encode(&Default::default()).unwrap().as_bytes());
    Ok(())
}

pub(super) async fn who_writes_over_what_he_has_not_seen_is_told() -> Result<(), Unavailable> {
    let server = server(1).await?;
    server.delete(KEY).await.unwrap();
    let (mut one, mut other) = (source(&server), source(&server));
    assert_eq!(one.revision(KEY).await.unwrap(), None);
    let first = one.publish(KEY, &rules(1.0), Condition::Absent).await.unwrap().unwrap();
    let absent = other.publish(KEY, &rules(9.0), Condition::Absent).await.unwrap_err();
    assert!(matches!(&absent, PublishError::Conflict { key } if key == KEY), "{absent}");

    assert_eq!(other.revision(KEY).await.unwrap().as_deref(), Some(&*first));
    let second = other.publish(KEY, &rules(2.0), Condition::Revision(first.clone())).await.unwrap();
    for stale in [&*first, "0", "", "-1", "no number"] {
        let error = one.publish(KEY, &rules(9.0), Condition::Revision(stale.to_owned())).await.unwrap_err();
        assert_eq!(error.to_string(), format!("`{KEY}` holds something else by now"));
    }
    assert_eq!(one.revision(KEY).await.unwrap(), second);
    Ok(())
}

pub(super) async fn what_cannot_be_written_is_an_error() -> Result<(), Unavailable> {
    let server = server(1).await?;
    let mut source = source(&server);
    let unknown = source.publish("other", &rules(1.0), Condition::Always).await.unwrap_err();
    assert_eq!(unknown.to_string(), "`other` is no key of this source");
    let invalid = source.publish(KEY, &rules(-1.0), Condition::Always).await.unwrap_err();
    assert!(matches!(&invalid, PublishError::Document { key, .. } if key == KEY), "{invalid}");

    let mut reader = source.clone().token(Account::READER.secret.into());
    let denied = reader.publish(KEY, &rules(2.0), Condition::Always).await.unwrap_err();
    assert!(matches!(denied, PublishError::Source(SourceError::Denied { .. })), "{denied}");
    let large = Rules::new().flow((0..150_000).map(|index| FlowRule::new(format!("resource-{index:06}"), 1.0)));
    let failed = source.publish(KEY, &large, Condition::Always).await.unwrap_err();
    assert!(matches!(failed, PublishError::Source(SourceError::Failed { .. })), "{failed}");
    server.kill();
    let gone = source.publish(KEY, &rules(2.0), Condition::Always).await.unwrap_err();
    assert!(matches!(gone, PublishError::Source(SourceError::Unreachable { .. })), "{gone}");
    Ok(())
}
