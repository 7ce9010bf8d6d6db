//! Who is let in, and who is trusted.

use std::time::Duration;

use sentinel_consul::{ConsulSource, SourceError};
use sentinel_core::Sentinel;
use sentinel_testing::{
    observe::{refusal, start, thresholds, until_told},
    servers::{Account, Unavailable},
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
