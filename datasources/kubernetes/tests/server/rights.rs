//! Who may do what, and how they show who they are.

use std::{fs, time::Duration};

use sentinel_core::Sentinel;
use sentinel_datasource::{
    Condition, Connection as _, Datasource, Pem, Publish as _, PublishError, Secret, Source as _, SourceError, State,
    Tls,
};
use sentinel_kubernetes::{Access, Kind, KubernetesSource, manifests::PUBLISHER, resources::GROUP};
use sentinel_testing::{
    Identity, Logs,
    observe::{datasource, refusal, rules, thresholds},
    servers::{Account, Unavailable},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::cluster::{Cluster, Followed, flow};

pub(crate) async fn the_printed_roles_are_enough_and_no_more() -> Result<(), Unavailable> {
    let cluster = Cluster::start().await?;
    cluster.rules(Kind::FlowRules, "default", "orders", flow("orders", 1)).await;
    let followed = Followed::new(cluster.source("default")).await;
    assert_eq!(followed.flow().len(), 1);
    assert_eq!(cluster.accepted(Kind::FlowRules, "default", "orders").await["status"], "True");
    assert_eq!(followed.status().remark, None);

    let key = "FlowRules/default/orders";
    let mut reader = cluster.source("default");
    for condition in [Condition::Always, Condition::Absent, Condition::Revision("1/u".to_owned())] {
        let written = reader.publish(key, &rules(2.0), condition.clone()).await;
        let is_denied = matches!(written, Err(PublishError::Source(SourceError::Denied { .. })));
        assert!(is_denied, "a reader writes under {condition:?}: {written:?}");
    }

    let writer = json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": Account::WRITER.name});
    cluster.bind(PUBLISHER, writer).await;
    let writer = || KubernetesSource::new(cluster.access(Account::WRITER)).namespace("default");
    writer().publish(key, &rules(2.0), Condition::Always).await.unwrap();
    followed.until_flow(&[("orders", 2)]).await;
    assert!(matches!(refusal(writer()).await, SourceError::Denied { .. }));

    for nobody in [cluster.access(Account::STRANGER), cluster.trusting(), cluster.trusting().token("nonsense")] {
        let error = refusal(KubernetesSource::new(nobody).namespace("default")).await;
        assert!(matches!(error, SourceError::Denied { .. }), "{error}");
    }
    Ok(())
}

pub(crate) async fn without_the_right_to_write_status_rules_are_in_force() -> Result<(), Unavailable> {
    let cluster = Cluster::start().await?;
    cluster.0.grant(Account::STRANGER, GROUP, "flowrules", &["list", "watch"]).await.unwrap();
    cluster.rules(Kind::FlowRules, "default", "orders", flow("orders", 1)).await;
    let source = KubernetesSource::new(cluster.access(Account::STRANGER)).namespace("default").kinds([Kind::FlowRules]);
    let followed = Followed::new(source).await;
    assert_eq!(followed.flow().len(), 1);
    // What came of writing is told with the next change.
    let mut remark = None;
    for threshold in 2..6 {
        sleep(Duration::from_secs(4)).await;
        cluster.rules(Kind::FlowRules, "default", "orders", flow("orders", threshold)).await;
        followed.until_flow(&[("orders", threshold)]).await;
        assert!(followed.status().is_healthy());
        remark = followed.status().remark;
        if remark.is_some() {
            break;
        }
    }
    let remark = remark.unwrap_or_default();
    assert!(remark.starts_with("no status is written: ") && remark.contains("flowrules"), "{remark}");
    assert!(cluster.object(Kind::FlowRules, "default", "orders").await["status"].is_null());
    Ok(())
}

pub(crate) async fn a_token_that_expires_is_denied_until_its_file_has_another() -> Result<(), Unavailable> {
    let cluster = Cluster::start().await?;
    cluster.service_account().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, cluster.token(1).await? + "\n").unwrap();
    cluster.rules(Kind::FlowRules, "default", "orders", flow("orders", 1)).await;
    let access = cluster.trusting().token(Secret::file(&path));
    let source = Datasource::new(KubernetesSource::new(access).namespace("default")).name("rules");
    let sentinel = Sentinel::default();
    let watch = source.resync_interval(Duration::from_millis(500)).start(&sentinel).await.unwrap();
    let followed = Followed { sentinel, watch };
    followed.until_flow(&[("orders", 1)]).await;

    // Renewed in time, nobody notices.
    let connections = followed.status().connections;
    fs::write(&path, cluster.token(2).await?).unwrap();
    cluster.revoke(1).await;
    sleep(Duration::from_secs(12)).await;
    assert_eq!((followed.status().connections, followed.error()), (connections, String::new()));

    cluster.revoke(2).await;
    followed.until("the end of the token noticed", |followed| followed.status().state == State::Connecting).await;
    let error = followed.status().last_error.unwrap().1;
    assert!(matches!(*error, SourceError::Denied { .. }), "{error}");
    cluster.rules(Kind::FlowRules, "default", "orders", flow("orders", 2)).await;
    followed.until_flow(&[("orders", 1)]).await;
    fs::write(&path, cluster.token(3).await?).unwrap();
    followed.until_flow(&[("orders", 2)]).await;
    assert!(followed.status().is_healthy());
    Ok(())
}

pub(crate) async fn a_server_whose_certificate_nobody_trusts_gets_no_token() -> Result<(), Unavailable> {
    let cluster = Cluster::start().await?;
    let certificates = cluster.0.certificates();
    let other = Pem::file(&certificates.other_authority.path);
    let source = |tls| KubernetesSource::new(cluster.access(Account::READER).tls(tls)).namespace("default");
    for tls in [Tls::new().authority(other), Tls::new()] {
        let error = refusal(source(tls)).await;
        assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("invalid peer certificate"), "{error}");
    }
    let trusted = || Tls::new().authority(Pem::file(&certificates.authority.path));
    let error = refusal(source(trusted().domain("elsewhere.example"))).await;
    assert!(error.to_string().contains("elsewhere.example"), "{error}");
    let named = Followed::new(source(trusted().domain("localhost"))).await;
    assert!(named.status().is_healthy());

    let missing = refusal(source(Tls::new().authority(Pem::file("/nowhere/ca.pem")))).await;
    assert!(matches!(missing, SourceError::Setting { .. }), "{missing}");
    Ok(())
}

pub(crate) async fn a_client_certificate_is_as_good_as_a_token_and_is_read_anew() -> Result<(), Unavailable> {
    let cluster = Cluster::start().await?;
    let certificates = cluster.0.certificates();
    cluster.rules(Kind::FlowRules, "default", "orders", flow("orders", 1)).await;
    let folder = tempfile::tempdir().unwrap();
    let paths = ["client.pem", "client.key"].map(|name| folder.path().join(name));
    let source = || {
        let [certificate, key] = paths.clone().map(Pem::file);
        let authority = Pem::file(&certificates.authority.path);
        let tls = Tls::new().authority(authority).identity(certificate, key);
        KubernetesSource::new(Access::server(cluster.0.endpoint()).tls(tls)).namespace("default")
    };
    let shown = |identity: &Identity| {
        fs::write(&paths[0], &identity.certificate.text).unwrap();
        fs::write(&paths[1], &identity.key.text).unwrap();
    };
    let mut anew = source();
    shown(&certificates.client);
    let nobody = refusal(source()).await;
    assert!(matches!(nobody, SourceError::Denied { .. }), "its name is none of a user: {nobody}");
    shown(&certificates.other_client);
    let strange = refusal(source()).await;
    assert!(matches!(strange, SourceError::Denied { .. }), "nobody trusts its authority: {strange}");
    shown(&certificates.reader);
    let followed = Followed::new(source()).await;
    assert_eq!(followed.flow().len(), 1);

    // The same source, before and after its files were there.
    fs::remove_file(&paths[1]).unwrap();
    let error = anew.connect().await.unwrap_err();
    assert!(matches!(error, SourceError::Setting { .. }), "{error}");
    shown(&certificates.reader);
    anew.connect().await.unwrap().read().await.unwrap();
    Ok(())
}

pub(crate) async fn a_kubeconfig_is_enough_and_its_secrets_are_in_no_log() -> Result<(), Unavailable> {
    let cluster = Cluster::start().await?;
    cluster.rules(Kind::FlowRules, "default", "orders", flow("orders", 1)).await;
    let kubeconfig = || Access::kubeconfig(cluster.0.kubeconfig(Account::READER));
    let (logs, sentinel) = (Logs::new(), Sentinel::default());
    let watch = logs.start(datasource(KubernetesSource::new(kubeconfig())), &sentinel).await.unwrap();
    assert_eq!(thresholds(&sentinel), [1], "in the namespace `default`, where the context names no other");
    sleep(Duration::from_secs(1)).await;
    watch.stop().await;
    let error = refusal(KubernetesSource::new(kubeconfig().context("elsewhere"))).await;
    assert!(matches!(error, SourceError::Setting { .. }) && error.to_string().contains("elsewhere"), "{error}");

    // A command that prints a token, and one that does not.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    let by_command = |script: String| {
        let mut config: Value =
            serde_json::from_slice(&fs::read(cluster.0.kubeconfig(Account::READER)).unwrap()).unwrap();
        config["users"][0]["user"] = json!({"exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "sh",
            "args": ["-c", script],
            "interactiveMode": "Never",
        }});
        fs::write(&path, config.to_string()).unwrap();
        KubernetesSource::new(Access::kubeconfig(&path))
    };
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": Account::READER.secret},
    });
    let by_printing = by_command(format!("echo '{credential}'"));
    let watch = logs.start(datasource(by_printing), &Sentinel::default()).await.unwrap();
    assert_eq!(watch.status().rules, 1);
    let failing = by_command(format!("echo {}; exit 3", Account::READER.secret));
    let failing = datasource(failing).start_within(Duration::from_secs(2));
    let error = logs.start(failing, &Sentinel::default()).await.unwrap_err();
    assert!(error.to_string().contains("has failed: exit status: 3"), "{error}");
    assert!(!format!("{error:?}").contains(Account::READER.secret), "{error:?}");
    assert!(logs.text().contains("h2::"), "the client's log is heard");
    logs.hold_none_of([Account::READER.secret]);
    Ok(())
}
