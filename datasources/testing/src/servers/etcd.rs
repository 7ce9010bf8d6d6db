use std::{fmt, net::SocketAddr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::Method;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    Account, Server, Unavailable,
    client::{Answer, Failure, Route, Web},
    locate,
    process::Process,
    ready, set_up,
};
use crate::{
    Certificates, Tls,
    ports::{free_port, loopback},
};

const NAME: &str = "etcd";

/// What may be asked of [`Etcd`].
#[derive(Clone, Copy, Debug, Default)]
pub struct EtcdOptions {
    /// Which program.
    pub version: EtcdVersion,
    /// Whether connections are encrypted.
    pub tls: Tls,
    /// Whether it knows the [accounts](Account), and nobody else.
    pub auth: bool,
}

/// Which etcd.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EtcdVersion {
    /// The one of this machine.
    #[default]
    Installed,
    /// 3.5.
    V3_5,
}

/// etcd, one member.
pub struct Etcd {
    process: Process,
    address: SocketAddr,
    options: EtcdOptions,
    certificates: Certificates,
    web: Web,
    /// What the administrator was given for the password.
    token: Mutex<Option<String>>,
    // Last, so that it is deleted when the process has gone.
    _folder: TempDir,
}

impl Etcd {
    /// Its URL.
    pub fn endpoint(&self) -> String {
        endpoint(self.address, self.options.tls)
    }

    /// What both sides show each other where connections are encrypted.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Forgets all former revisions, so that nobody can watch from one of them.
    ///
    /// # Errors
    ///
    /// When the server does not do it.
    pub async fn compact(&self) -> Result<(), Failure> {
        let answer = self.call("kv/range", json!({"key": STANDARD.encode("none")})).await?;
        let revision = &answer["header"]["revision"];
        self.call("kv/compaction", json!({"revision": revision, "physical": true})).await.map(drop)
    }

    /// How often a key was written since it is there.
    ///
    /// # Errors
    ///
    /// When the server does not tell, or there is no such key.
    pub async fn writes(&self, key: &str) -> Result<u64, Failure> {
        let answer = self.call("kv/range", json!({"key": STANDARD.encode(key)})).await?;
        let version = answer["kvs"][0]["version"].as_str().and_then(|version| version.parse().ok());
        version.ok_or_else(|| super::not_there(key))
    }

    /// Gives an account another password. Whoever has logged in by the former one is no longer known.
    ///
    /// # Errors
    ///
    /// When the server does not do it.
    pub async fn change_secret(&self, account: Account, secret: &str) -> Result<(), Failure> {
        self.call("auth/user/changepw", json!({"name": account.name, "password": secret})).await.map(drop)
    }

    /// Calls a method as somebody who may do everything.
    async fn call(&self, method: &str, arguments: Value) -> Result<Value, Failure> {
        if !self.options.auth {
            return self.send(method, &arguments, None).await?.json();
        }
        let known = self.token.lock().clone();
        if known.is_some() {
            let answer = self.send(method, &arguments, known).await?;
            if answer.status != 401 {
                return answer.json();
            }
        }
        // A server that was restarted has forgotten whom it knew.
        let token = self.log_in().await?;
        *self.token.lock() = Some(token.clone());
        self.send(method, &arguments, Some(token)).await?.json()
    }

    async fn log_in(&self) -> Result<String, Failure> {
        let Account { name, secret } = Account::ADMIN;
        let login = json!({"name": name, "password": secret});
        let answer = self.send("auth/authenticate", &login, None).await?.json()?;
        answer["token"].as_str().map(str::to_owned).ok_or(Failure::Protocol("a login without a token"))
    }

    async fn send(&self, method: &str, arguments: &Value, token: Option<String>) -> Result<Answer, Failure> {
        let mut web = self.web.clone();
        if let Some(token) = token {
            web = web.header("authorization", token);
        }
        web.request(Method::POST, &format!("/v3/{method}"), arguments.to_string()).await
    }

    /// Nobody has to log in yet.
    async fn add_accounts(&self) -> Result<(), Failure> {
        let call = async |method, arguments| self.send(method, &arguments, None).await?.json();
        for Account { name, secret } in [Account::ADMIN, Account::WRITER, Account::READER, Account::STRANGER] {
            call("auth/user/add", json!({"name": name, "password": secret})).await?;
            call("auth/role/add", json!({"name": name})).await?;
            call("auth/user/grant", json!({"user": name, "role": name})).await?;
        }
        for (account, permission) in [(Account::WRITER, "READWRITE"), (Account::READER, "READ")] {
            // All that begins so, up to what comes next.
            let (key, end) = (STANDARD.encode("sentinel"), STANDARD.encode("sentinem"));
            let permission = json!({"permType": permission, "key": key, "range_end": end});
            call("auth/role/grant", json!({"name": account.name, "perm": permission})).await?;
        }
        call("auth/enable", json!({})).await.map(drop)
    }
}

impl Server for Etcd {
    type Options = EtcdOptions;

    async fn start(options: EtcdOptions) -> Result<Self, Unavailable> {
        let etcd = locate(NAME, if options.version == EtcdVersion::V3_5 { "etcd-3.5" } else { "etcd" })?;
        let certificates = Certificates::new();
        let folder = super::folder();
        let port = free_port(&[0, 1]);
        let address = loopback(port);
        let client = endpoint(address, options.tls);
        let peer = endpoint(loopback(port + 1), Tls::None);
        let mut arguments = ["--name=one", "--data-dir=data", "--log-level=warn"].map(str::to_owned).to_vec();
        // Passwords need not stand up to anybody who has stolen them, and there is nobody to wait for in an election.
        arguments.extend(["--bcrypt-cost=4", "--heartbeat-interval=20", "--election-timeout=200"].map(str::to_owned));
        arguments.push(format!("--listen-client-urls={client}"));
        arguments.push(format!("--advertise-client-urls={client}"));
        arguments.push(format!("--listen-peer-urls={peer}"));
        arguments.push(format!("--initial-advertise-peer-urls={peer}"));
        arguments.push(format!("--initial-cluster=one={peer}"));
        if options.tls != Tls::None {
            let server = &certificates.server;
            arguments.push(format!("--cert-file={}", server.certificate.path.display()));
            arguments.push(format!("--key-file={}", server.key.path.display()));
        }
        if options.tls == Tls::Mutual {
            arguments.push(format!("--trusted-ca-file={}", certificates.authority.path.display()));
            arguments.push("--client-cert-auth".to_owned());
        }
        let process = Process::start(NAME, folder.path(), &etcd, arguments, []);
        let web = Web::new(Route::new(address, options.tls, &certificates));
        let etcd = Self { process, address, options, certificates, web, token: Mutex::default(), _folder: folder };
        ready(&etcd).await;
        if options.auth {
            set_up(&etcd, etcd.add_accounts().await);
        }
        Ok(etcd)
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    async fn put(&self, key: &str, value: &[u8]) -> Result<(), Failure> {
        let pair = json!({"key": STANDARD.encode(key), "value": STANDARD.encode(value)});
        self.call("kv/put", pair).await.map(drop)
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        let answer = self.call("kv/range", json!({"key": STANDARD.encode(key)})).await?;
        let Some(pair) = answer["kvs"].get(0) else { return Ok(None) };
        // A value that is empty is left out.
        let value = STANDARD.decode(pair["value"].as_str().unwrap_or_default());
        value.map(Some).map_err(|_| Failure::Protocol("a value that is not in base64"))
    }

    async fn delete(&self, key: &str) -> Result<(), Failure> {
        let answer = self.call("kv/deleterange", json!({"key": STANDARD.encode(key)})).await?;
        if answer["deleted"] == "1" { Ok(()) } else { Err(super::not_there(key)) }
    }

    fn process(&self) -> &Process {
        &self.process
    }

    async fn is_ready(&self) -> bool {
        let health = self.web.get("/health").await.and_then(Answer::json);
        health.is_ok_and(|health| health["health"] == "true")
    }
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Etcd").field("address", &self.address).field("options", &self.options).finish_non_exhaustive()
    }
}

fn endpoint(address: SocketAddr, tls: Tls) -> String {
    let scheme = if tls == Tls::None { "http" } else { "https" };
    format!("{scheme}://{address}")
}
