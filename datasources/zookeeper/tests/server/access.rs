//! Who may read.

use sentinel_testing::{
    observe::refusal,
    servers::{Account, Unavailable, ZooKeeperOptions},
};
use sentinel_zookeeper::SourceError;

use super::subject::{server, source};

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
