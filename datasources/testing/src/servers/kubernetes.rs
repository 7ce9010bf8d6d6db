use std::{
    fmt, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Output,
};

use hyper::Method;
use rcgen::KeyPair;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use super::{
    Account, Etcd, EtcdOptions, Server, Unavailable,
    client::{Failure, Route, Web},
    locate,
    process::Process,
    program::run,
    ready,
};
use crate::{
    Certificates, Tls,
    ports::{free_port, loopback},
};

const NAME: &str = "Kubernetes";

/// From 1.24 on, the port without encryption cannot even be turned off any more.
const FIRST_WITHOUT_INSECURE_PORT: u32 = 24;

/// What may be asked of [`Kubernetes`]: nothing yet.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct KubernetesOptions;

/// The API server of Kubernetes over an etcd of its own, with nothing else of a cluster.
///
/// It speaks TLS only and knows the [accounts](Account) by their tokens, of which [`Account::ADMIN`] may do everything
/// and the others [what they are granted](Self::grant); [`Account::READER`] by its certificate as well. Custom resources,
/// watches and server-side apply work.
///
/// Keys are paths of objects, such as `api/v1/namespaces/default/configmaps/flow`; values are objects as JSON or YAML.
pub struct Kubernetes {
    process: Process,
    address: SocketAddr,
    certificates: Certificates,
    web: Web,
    etcd: Etcd,
    folder: TempDir,
    minor: u32,
}

impl Kubernetes {
    /// The second part of its version: 32 for 1.32.
    pub fn minor(&self) -> u32 {
        self.minor
    }

    /// Its URL.
    pub fn endpoint(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The authority of the certificate that it shows.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Where it keeps its objects.
    pub fn etcd(&self) -> &Etcd {
        &self.etcd
    }

    /// Lets an account do this with all objects of a kind, by a role in the whole cluster. What it was granted before
    /// for the same kind is replaced.
    ///
    /// # Errors
    ///
    /// When the server does not do it.
    pub async fn grant(&self, account: Account, group: &str, resources: &str, verbs: &[&str]) -> Result<(), Failure> {
        let name = format!("{}-{resources}", account.name);
        let roles = "apis/rbac.authorization.k8s.io/v1";
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name},
            "rules": [{"apiGroups": [group], "resources": [resources], "verbs": verbs}],
        });
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": account.name}],
        });
        self.put(&format!("{roles}/clusterroles/{name}"), role.to_string().as_bytes()).await?;
        self.put(&format!("{roles}/clusterrolebindings/{name}"), binding.to_string().as_bytes()).await
    }

    /// A file by which clients find and enter it as this account.
    pub fn kubeconfig(&self, account: Account) -> PathBuf {
        let path = self.folder.path().join(format!("{}.kubeconfig", account.name));
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {
                "server": self.endpoint(),
                "certificate-authority": self.certificates.authority.path,
            }}],
            "users": [{"name": account.name, "user": {"token": account.secret}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": account.name}}],
            "current-context": "test",
        });
        fs::write(&path, config.to_string()).expect("the folder of a server can be written");
        path
    }

    /// Runs `kubectl` as this account with this input.
    ///
    /// # Errors
    ///
    /// When this machine does not have it.
    ///
    /// # Panics
    ///
    /// When it cannot be run.
    pub async fn kubectl(&self, account: Account, arguments: &[&str], input: &[u8]) -> Result<Output, Unavailable> {
        let mut command = Command::new(locate(NAME, "kubectl")?);
        command.arg("--kubeconfig").arg(self.kubeconfig(account));
        command.arg("--cache-dir").arg(self.folder.path().join("kubectl")).args(arguments);
        Ok(run(&mut command, input).await)
    }
}

impl Server for Kubernetes {
    type Options = KubernetesOptions;

    async fn start(_: KubernetesOptions) -> Result<Self, Unavailable> {
        let apiserver = locate(NAME, "kube-apiserver")?;
        let certificates = Certificates::new();
        let minor = minor(&run(Command::new(&apiserver).arg("--version"), b"").await);
        let etcd = Etcd::start(EtcdOptions::default()).await?;
        let folder = super::folder();
        write_credentials(folder.path());
        let address = loopback(free_port(&[0]));
        let path = |path: &Path| path.display().to_string();
        let mut arguments = vec![
            format!("--etcd-servers={}", etcd.endpoint()),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", address.port()),
            "--cert-dir=certs".to_owned(),
            format!("--tls-cert-file={}", path(&certificates.server.certificate.path)),
            format!("--tls-private-key-file={}", path(&certificates.server.key.path)),
            "--token-auth-file=tokens.csv".to_owned(),
            format!("--client-ca-file={}", path(&certificates.authority.path)),
            "--authorization-mode=RBAC".to_owned(),
            "--service-account-key-file=account.pub".to_owned(),
            "--service-account-signing-key-file=account.key".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            // Nothing else of a cluster is there to make accounts for services and to tell where the server is.
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
        ];
        if minor < FIRST_WITHOUT_INSECURE_PORT {
            arguments.push("--insecure-port=0".to_owned());
        }
        let process = Process::start(NAME, folder.path(), &apiserver, arguments, []);
        let web = Web::new(Route::new(address, Tls::Server, &certificates))
            .header("authorization", format!("Bearer {}", Account::ADMIN.secret));
        let kubernetes = Self { process, address, certificates, web, etcd, folder, minor };
        ready(&kubernetes).await;
        Ok(kubernetes)
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    async fn put(&self, key: &str, value: &[u8]) -> Result<(), Failure> {
        let apply = self.web.clone().header("content-type", "application/apply-patch+yaml");
        let path = format!("{}?fieldManager=tests&force=true", path(key));
        apply.request(Method::PATCH, &path, value.to_vec()).await?.good().map(drop)
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        self.web.get(&path(key)).await?.found()
    }

    async fn delete(&self, key: &str) -> Result<(), Failure> {
        let deleted = self.web.request(Method::DELETE, &path(key), "").await?;
        deleted.found()?.map(drop).ok_or_else(|| super::not_there(key))
    }

    fn process(&self) -> &Process {
        &self.process
    }

    async fn is_ready(&self) -> bool {
        // It makes this namespace when all else is ready.
        let namespace = self.get("api/v1/namespaces/default").await;
        namespace.is_ok_and(|namespace| namespace.is_some())
            && self.web.get("/readyz").await.is_ok_and(|answer| answer.body == "ok")
    }
}

impl fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubernetes").field("address", &self.address).finish_non_exhaustive()
    }
}

fn path(key: &str) -> String {
    format!("/{}", key.trim_start_matches('/'))
}

/// The second part of the version that it tells, as in `Kubernetes v1.32.4`.
fn minor(told: &Output) -> u32 {
    let text = String::from_utf8_lossy(&told.stdout);
    let minor = text.split('.').nth(1).and_then(|minor| minor.parse().ok());
    minor.unwrap_or_else(|| panic!("kube-apiserver tells no version: {told:?}"))
}

/// Writes who may come by which token, and the key by which the server signs tokens of its own.
fn write_credentials(folder: &Path) {
    let write = |name: &str, content: String| {
        fs::write(folder.join(name), content).expect("the folder of a server can be written");
    };
    let key = KeyPair::generate().expect("a key can be made");
    write("account.key", key.serialize_pem());
    write("account.pub", key.public_key_pem());
    let token = |account: Account, group| format!("{},{},{},{group}\n", account.secret, account.name, account.name);
    let others =
        [Account::WRITER, Account::READER, Account::STRANGER].map(|account| token(account, "system:authenticated"));
    write("tokens.csv", token(Account::ADMIN, "system:masters") + &others.concat());
}
