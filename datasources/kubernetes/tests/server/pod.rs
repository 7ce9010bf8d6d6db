//! A service in a pod. Where it finds its account there cannot be chosen, so it has a file system of its own.

use std::{env, fs, process::ExitCode};

use sentinel_core::Sentinel;
use sentinel_datasource::Datasource;
use sentinel_kubernetes::{Access, Kind, KubernetesSource};
use sentinel_testing::servers::{Server as _, Unavailable};
use tokio::process::Command;

use crate::cluster::{Cluster, flow};

/// Says that this process is a pod's.
const POD: &str = "SENTINEL_KUBERNETES_POD";

/// Puts an account where a cluster would, and becomes a program.
const SET_UP: &str = r#"
mount -t tmpfs none /run && mkdir -p /run/secrets/kubernetes.io &&
    cp -r "$0" /run/secrets/kubernetes.io/serviceaccount && exec "$1"
"#;

/// Lives as a pod, if this process is one: tells which thresholds are in force.
pub(crate) fn live() -> Option<ExitCode> {
    env::var_os(POD)?;
    let sentinel = Sentinel::default();
    let source = Datasource::new(KubernetesSource::new(Access::in_cluster())).name("rules");
    Some(match source.start_on_thread(&sentinel) {
        Ok(_watch) => {
            let rules = sentinel.rules().get("rules").unwrap_or_default();
            println!("{:?}", rules.flow.iter().map(|rule| rule.params.threshold).collect::<Vec<_>>());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    })
}

pub(crate) async fn a_pod_is_told_nothing_and_finds_the_rules_of_its_namespace() -> Result<(), Unavailable> {
    let cluster = Cluster::start().await?;
    cluster.service_account().await;
    cluster.namespace("elsewhere").await;
    cluster.rules(Kind::FlowRules, "default", "orders", flow("orders", 7)).await;
    cluster.rules(Kind::FlowRules, "elsewhere", "orders", flow("orders", 8)).await;

    let account = tempfile::tempdir().unwrap();
    let write = |name, content: String| fs::write(account.path().join(name), content).unwrap();
    write("token", cluster.token(1).await?);
    write("namespace", "default".to_owned());
    write("ca.crt", cluster.0.certificates().authority.text.clone());
    let address = cluster.0.address();
    let pod = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", SET_UP])
        .arg(account.path())
        .arg(env::current_exe().unwrap())
        .env(POD, "1")
        .env("KUBERNETES_SERVICE_HOST", address.ip().to_string())
        .env("KUBERNETES_SERVICE_PORT", address.port().to_string())
        .kill_on_drop(true)
        .output()
        .await;
    let unavailable = |why: &str| {
        let reason = format!("this machine gives a pod no file system of its own: {}", why.trim());
        Unavailable { server: "Kubernetes", reason }
    };
    let pod = pod.map_err(|error| unavailable(&error.to_string()))?;
    let complaint = String::from_utf8_lossy(&pod.stderr);
    if ["unshare: ", "mount: "].iter().any(|program| complaint.starts_with(program)) {
        return Err(unavailable(&complaint));
    }
    assert_eq!((String::from_utf8_lossy(&pod.stdout).trim(), &*complaint), ("[7.0]", ""));
    Ok(())
}
