//! Who may connect, and who is who.

use sentinel_core::Sentinel;
use sentinel_redis::{Condition, Datasource, Publish as _, RedisSource, SourceError};
use sentinel_testing::{
    observe::{SOON, refusal, rules, start, thresholds, until_healthy, until_told},
    servers::{Account, RedisOptions, Server as _, Unavailable},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::subject::{KEY, admin, open_server, put, source, source_of_one_who_may};

pub(super) async fn who_may_not_read_a_key_or_logs_in_as_nobody_is_denied() -> Result<(), Unavailable> {
    let redis = open_server(RedisOptions { auth: true, ..Default::default() }).await?;
    let reader = |source: RedisSource| source.user(Account::READER.name, Account::READER.secret);
    let elsewhere = RedisSource::new(redis.address().to_string(), "elsewhere");
    for (source, reason) in [
        (source(&redis), "NOAUTH"),
        (source(&redis).password(Account::READER.secret), "WRONGPASS"),
        (source(&redis).user(Account::STRANGER.name, Account::STRANGER.secret), "'strlen'"),
        (reader(elsewhere), "keys"),
        (reader(source(&redis)).channel("elsewhere"), "channels"),
    ] {
        let refused = refusal(source).await;
        assert!(matches!(refused, SourceError::Denied { .. }), "{refused:?}");
        assert!(refused.to_string().contains(reason), "{refused}");
    }
    Ok(())
}

pub(super) async fn the_rights_that_are_written_down_are_all_that_it_takes() -> Result<(), Unavailable> {
    let redis = open_server(RedisOptions::default()).await?;
    let reading = "~sentinel:rules +hello +strlen +get +select +client|tracking";
    let reader = source_of_one_who_may(&redis, reading).await.database(1);
    let sentinel = Sentinel::default();
    let watch = Datasource::new(reader).name("rules").optional().start(&sentinel).await.unwrap();
    let status = watch.status();
    assert_eq!(status.remark.as_deref(), Some("the server tells of changes"), "{status:#?}");

    let writing = "~sentinel:rules +hello +multi +set +exec +watch +get +publish &sentinel:changed";
    let mut writer = source_of_one_who_may(&redis, writing).await.channel("sentinel:changed");
    let revision = writer.revision(KEY).await.unwrap().unwrap();
    writer.publish(KEY, &rules(1.0), Condition::Revision(revision)).await.unwrap();
    Ok(())
}

pub(super) async fn one_who_is_thrown_out_is_denied_and_let_in_again() -> Result<(), Unavailable> {
    let redis = open_server(RedisOptions::default()).await?;
    let allow = || {
        let mut allow = redis::cmd("ACL");
        allow.arg(&["SETUSER", "guest", "on", ">please", "~*", "+@read", "+@connection"]);
        allow
    };
    admin(&redis, &allow()).await;
    let sentinel = Sentinel::default();
    let watch = start(source(&redis).user("guest", "please"), &sentinel).await;
    admin(&redis, redis::cmd("ACL").arg("DELUSER").arg("guest")).await;
    put(&redis, 2).await;
    until_told(SOON * 3, "refuses access", &watch).await;
    assert_eq!(thresholds(&sentinel), [1]);
    admin(&redis, &allow()).await;
    until_healthy(SOON * 3, [2], &sentinel, &watch).await;
    Ok(())
}

pub(super) async fn an_old_server_is_told_from_others_and_no_password_with_it() -> Result<(), Unavailable> {
    for quote in ["'", "`"] {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let told = tokio::spawn(async move {
            loop {
                let mut client = server.accept().await.unwrap().0;
                let len = client.read(&mut [0; 1_000]).await.unwrap();
                assert!(len > 0, "it logs in");
                let answer = format!(
                    "-ERR unknown command {quote}HELLO{quote}, with args beginning with: 3 AUTH orders hunter2\r\n"
                );
                client.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let refused = refusal(RedisSource::new(address.to_string(), KEY).user("orders", "hunter2")).await;
        told.abort();
        assert!(matches!(refused, SourceError::Failed { .. }), "{refused:?}");
        let words = format!("{refused} {refused:?}");
        assert!(words.contains("Redis 6") && !words.contains("hunter2"), "{words}");
    }
    Ok(())
}
