//! The write side, where Consul has its own ways.

use sentinel_consul::{Condition, Publish as _, PublishError, SourceError};
use sentinel_core::{FlowRule, Rules};
use sentinel_testing::{
    observe::rules,
    servers::{Server as _, Unavailable},
};

use crate::{KEY, server, source};

pub(super) async fn what_is_published_is_held_as_it_was_encoded() -> Result<(), Unavailable> {
    let server = server(1).await?;
    source(&server).publish(KEY, &rules(2.0), Condition::Always).await.unwrap();
    assert_eq!(server.get(KEY).await.unwrap().unwrap(), rules(2.0).encode(&Default::default()).unwrap().as_bytes());
    Ok(())
}

pub(super) async fn what_is_no_index_is_no_revision() -> Result<(), Unavailable> {
    let server = server(1).await?;
    let mut source = source(&server);
    let before = source.revision(KEY).await.unwrap();
    for wrong in ["0", "", "-1", "no number"] {
        let error = source.publish(KEY, &rules(9.0), Condition::Revision(wrong.to_owned())).await.unwrap_err();
        assert_eq!(error.to_string(), format!("`{KEY}` holds something else by now"));
    }
    assert_eq!(source.revision(KEY).await.unwrap(), before);
    Ok(())
}

pub(super) async fn what_is_larger_than_the_agent_takes_is_an_error() -> Result<(), Unavailable> {
    let server = server(1).await?;
    let large = Rules::new().flow((0..150_000).map(|index| FlowRule::new(format!("resource-{index:06}"), 1.0)));
    let failed = source(&server).publish(KEY, &large, Condition::Always).await.unwrap_err();
    assert!(matches!(failed, PublishError::Source(SourceError::Failed { .. })), "{failed}");
    Ok(())
}
