//! The demo with rules from servers that are running already.

use std::process::{ExitCode, Output};

use sentinel_testing::{
    run,
    servers::{Account, Etcd, EtcdOptions, Kubernetes, KubernetesOptions, Server as _, Unavailable},
    trial,
};
use tokio::process::Command;

fn main() -> ExitCode {
    run([
        trial("rules_come_from_etcd_and_the_demo_changes_them_there", rules_come_from_etcd),
        trial("rules_come_from_kubernetes_and_the_demo_changes_them_there", rules_come_from_kubernetes),
        trial("rules_of_somebody_else_are_used_and_left_alone", rules_of_somebody_else),
        trial("a_server_that_is_not_there_is_an_error_that_says_how_to_start_it", nobody_there),
    ])
}

async fn demo(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command.args(["--plain", "--seconds", "5"]).args(args);
    command.kill_on_drop(true).output().await.expect("the demo can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Every rule was kept, and so was the one that the demo has changed.
fn assert_good(output: &Output) {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("every judged rule held (4 judged)\n"), "{out}");
    assert!(out.contains("in force after"), "the demo has changed its own rules: {out}");
    for limit in ["100 in 1s", "250 in 1s"] {
        assert!(out.lines().any(|line| line.contains(limit) && line.ends_with("  ok")), "{limit}: {out}");
    }
}

async fn rules_come_from_etcd() -> Result<(), Unavailable> {
    let etcd = Etcd::start(EtcdOptions::default()).await?;
    assert_good(&demo(&["--source", "etcd", "--address", &etcd.endpoint()]).await);
    let left = etcd.get("/sentinel-demo/rules").await.unwrap().expect("the demo has written its rules");
    assert!(text(&left).contains("250"), "{}", text(&left));
    Ok(())
}

async fn rules_come_from_kubernetes() -> Result<(), Unavailable> {
    let kubernetes = Kubernetes::start(KubernetesOptions::default()).await?;
    let kubeconfig = kubernetes.kubeconfig(Account::ADMIN).display().to_string();

    let without = demo(&["--source", "kubernetes", "--address", &kubeconfig]).await;
    assert_eq!(without.status.code(), Some(2), "{without:?}");
    assert!(text(&without.stderr).contains("kubectl apply -f datasources/kubernetes/manifests/"), "{without:?}");

    let manifests = concat!(env!("CARGO_MANIFEST_DIR"), "/../datasources/kubernetes/manifests");
    let applied = kubernetes.kubectl(Account::ADMIN, &["apply", "-f", manifests], b"").await?;
    assert!(applied.status.success(), "{applied:?}");
    let established = ["wait", "--for", "condition=Established", "--all", "crd", "--timeout=20s"];
    let established = kubernetes.kubectl(Account::ADMIN, &established, b"").await?;
    assert!(established.status.success(), "{established:?}");
    assert_good(&demo(&["--source", "kubernetes", "--address", &kubeconfig]).await);
    Ok(())
}

async fn rules_of_somebody_else() -> Result<(), Unavailable> {
    let etcd = Etcd::start(EtcdOptions::default()).await?;
    let own = b"flow: [{resource: 'GET /orders/{id}', threshold: 40}]";
    etcd.put("/sentinel-demo/rules", own).await.unwrap();
    let output = demo(&["--source", "etcd", "--address", &etcd.endpoint()]).await;
    let out = text(&output.stdout);
    assert!(output.status.success(), "{out}\n{}", text(&output.stderr));
    assert!(out.contains("somebody has changed the rules"), "{out}");
    assert_eq!(etcd.get("/sentinel-demo/rules").await.unwrap().as_deref(), Some(&own[..]));
    Ok(())
}

async fn nobody_there() -> Result<(), Unavailable> {
    let etcd = Etcd::start(EtcdOptions::default()).await?;
    etcd.kill();
    let output = demo(&["--source", "etcd", "--address", &etcd.endpoint()]).await;
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("cannot be reached") && err.contains("start one, such as `etcd"), "{err}");
    Ok(())
}
