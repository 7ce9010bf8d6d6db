//! Who may connect, and to which server.

use std::time::Duration;

use sentinel_core::Sentinel;
use sentinel_nacos::{SourceError, State};
use sentinel_testing::{
    observe::{PATIENCE, SOON, datasource, error, refusal, start, thresholds, until_in_force, within},
    servers::{Account, Nacos, NacosOptions, Server as _, Unavailable},
};
use tokio::time::sleep;

use super::support::{KEY, open_server, put, source};

pub(super) async fn who_logs_in_as_nobody_is_denied() -> Result<(), Unavailable> {
    let nacos = Nacos::start(NacosOptions { auth: true }).await?;
    put(&nacos, 1).await;
    let (admin, stranger) = (Account::ADMIN, Account::STRANGER);
    for source in [
        source(&nacos),
        source(&nacos).user(stranger.name, stranger.secret),
        source(&nacos).user(admin.name, stranger.secret),
    ] {
        let refused = refusal(source).await;
        assert!(matches!(refused, SourceError::Denied { .. }), "{refused:?}");
        assert!(refused.to_string().contains("unknown user!"), "{refused}");
    }
    let sentinel = Sentinel::default();
    let _watch = start(source(&nacos).user(admin.name, admin.secret), &sentinel).await;
    assert_eq!(thresholds(&sentinel), [1]);
    Ok(())
}

pub(super) async fn when_one_server_goes_the_next_is_asked() -> Result<(), Unavailable> {
    let (one, other) = (open_server().await?, open_server().await?);
    put(&one, 1).await;
    put(&other, 2).await;
    let sentinel = Sentinel::default();
    let source = source(&one).server(other.address().to_string());
    let watch = datasource(source).resync_interval(Duration::from_secs(60)).start(&sentinel).await.unwrap();
    // Which one it begins with is a matter of chance.
    for _ in 0..2 {
        let (asked, rest, next) = match *thresholds(&sentinel) {
            [1] => (&one, &other, 2),
            _ => (&other, &one, 1),
        };
        rest.restart().await;
        asked.kill();
        until_in_force(PATIENCE, [next], &sentinel, &watch).await;
        within(SOON, "healthy", &watch, || watch.status().is_healthy()).await;
    }
    one.kill();
    other.kill();
    within(PATIENCE, "the loss noticed", &watch, || watch.status().state == State::Connecting).await;
    assert!(
        error(&watch).contains(&one.grpc_address().to_string())
            || error(&watch).contains(&other.grpc_address().to_string())
    );
    Ok(())
}

pub(super) async fn a_connection_on_which_nothing_happens_is_kept() -> Result<(), Unavailable> {
    let nacos = open_server().await?;
    put(&nacos, 1).await;
    let sentinel = Sentinel::default();
    let watch = datasource(source(&nacos)).resync_interval(Duration::from_secs(600)).start(&sentinel).await.unwrap();
    // After 15 s the server asks whether anybody is there, and ends connections that do not answer within 3 s.
    sleep(Duration::from_secs(22)).await;
    put(&nacos, 2).await;
    until_in_force(SOON, [2], &sentinel, &watch).await;
    assert_eq!(watch.status().connections, 1);
    nacos.delete(KEY).await.unwrap();
    until_in_force(SOON, [], &sentinel, &watch).await;
    Ok(())
}
