use std::{fmt, fs, net::SocketAddr};

use bytes::Bytes;
use hyper::Method;
use serde_json::json;
use tempfile::TempDir;

use super::{
    Account, Server, Unavailable,
    client::{Failure, Route, Web},
    locate,
    process::Process,
    ready, set_up,
};
use crate::{
    Certificates, Tls,
    ports::{free_port, loopback},
};

const NAME: &str = "Consul";

/// Values may have so many bytes; where nothing is said, half a megabyte.
const LARGEST: u32 = 2 << 20;

/// What may be asked of [`Consul`].
#[derive(Clone, Copy, Debug, Default)]
pub struct ConsulOptions {
    /// Whether connections are encrypted.
    pub tls: Tls,
    /// Whether it knows the tokens of the [accounts](Account), and does nothing for anybody else.
    pub auth: bool,
}

/// Consul, one server.
pub struct Consul {
    process: Process,
    address: SocketAddr,
    options: ConsulOptions,
    certificates: Certificates,
    web: Web,
    _folder: TempDir,
}

impl Consul {
    /// Its URL.
    pub fn endpoint(&self) -> String {
        let scheme = if self.options.tls == Tls::None { "http" } else { "https" };
        format!("{scheme}://{}", self.address)
    }

    /// What both sides show each other where connections are encrypted.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Takes away the token that an account has, and gives it another one, which has to look like a UUID.
    ///
    /// # Errors
    ///
    /// When the server does not do it.
    pub async fn change_secret(&self, account: Account, secret: &str) -> Result<(), Failure> {
        self.web.request(Method::DELETE, &format!("/v1/acl/token/{}", account.secret), "").await?.good()?;
        self.add_token(account, secret).await
    }

    /// All that it holds, as [`restore`](Self::restore) takes it.
    ///
    /// # Errors
    ///
    /// When the server does not tell.
    pub async fn snapshot(&self) -> Result<Bytes, Failure> {
        self.web.get("/v1/snapshot").await?.good()
    }

    /// Puts everything back to what it was, indexes too.
    ///
    /// # Errors
    ///
    /// When the server does not do it.
    pub async fn restore(&self, snapshot: Bytes) -> Result<(), Failure> {
        self.web.request(Method::PUT, "/v1/snapshot", snapshot).await?.good().map(drop)
    }

    async fn add_token(&self, account: Account, secret: &str) -> Result<(), Failure> {
        // Whatever the token is, its public name stays that of the account.
        let token = json!({"AccessorID": account.secret, "SecretID": secret, "Policies": [{"Name": account.name}]});
        self.web.request(Method::PUT, "/v1/acl/token", token.to_string()).await?.good().map(drop)
    }

    async fn add_accounts(&self) -> Result<(), Failure> {
        let grants = [(Account::WRITER, "write"), (Account::READER, "read"), (Account::STRANGER, "deny")];
        for (account, right) in grants {
            let rules = format!(r#"key_prefix "sentinel" {{ policy = "{right}" }}"#);
            let policy = json!({"Name": account.name, "Rules": rules});
            self.web.request(Method::PUT, "/v1/acl/policy", policy.to_string()).await?.good()?;
            self.add_token(account, account.secret).await?;
        }
        Ok(())
    }
}

impl Server for Consul {
    type Options = ConsulOptions;

    async fn start(options: ConsulOptions) -> Result<Self, Unavailable> {
        let consul = locate(NAME, "consul")?;
        let certificates = Certificates::new();
        let folder = super::folder();
        let port = free_port(&[0, 1, 2]);
        let mut config = json!({
            "server": true,
            "bootstrap_expect": 1,
            "node_name": "one",
            "data_dir": folder.path().join("data"),
            "bind_addr": "127.0.0.1",
            "client_addr": "127.0.0.1",
            "log_level": "warn",
            "disable_update_check": true,
            "performance": {"raft_multiplier": 1},
            "limits": {"kv_max_value_size": LARGEST},
            "ports": {"http": port, "server": port + 1, "serf_lan": port + 2, "serf_wan": -1, "dns": -1, "grpc": -1},
        });
        if options.tls != Tls::None {
            config["ports"]["http"] = (-1).into();
            config["ports"]["https"] = port.into();
            config["ca_file"] = json!(certificates.authority.path);
            config["cert_file"] = json!(certificates.server.certificate.path);
            config["key_file"] = json!(certificates.server.key.path);
            config["verify_incoming_https"] = (options.tls == Tls::Mutual).into();
        }
        if options.auth {
            let tokens = json!({"master": Account::ADMIN.secret, "agent": Account::ADMIN.secret});
            config["acl"] = json!({"enabled": true, "default_policy": "deny", "tokens": tokens});
        }
        let path = folder.path().join("consul.json");
        fs::write(&path, config.to_string()).expect("the folder of a server can be written");
        let arguments = ["agent".to_owned(), format!("-config-file={}", path.display())];
        let process = Process::start(NAME, folder.path(), &consul, arguments, []);
        let address = loopback(port);
        let mut web = Web::new(Route::new(address, options.tls, &certificates));
        if options.auth {
            web = web.header("x-consul-token", Account::ADMIN.secret);
        }
        let consul = Self { process, address, options, certificates, web, _folder: folder };
        ready(&consul).await;
        if options.auth {
            set_up(&consul, consul.add_accounts().await);
        }
        Ok(consul)
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    async fn put(&self, key: &str, value: &[u8]) -> Result<(), Failure> {
        let written = self.web.request(Method::PUT, &path(key), value.to_vec()).await?.good()?;
        if written == "true" { Ok(()) } else { Err(Failure::Refused(format!("`{key}` cannot be written"))) }
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        self.web.get(&format!("{}?raw", path(key))).await?.found()
    }

    async fn delete(&self, key: &str) -> Result<(), Failure> {
        // It deletes what is not there as well.
        self.get(key).await?.ok_or_else(|| super::not_there(key))?;
        self.web.request(Method::DELETE, &path(key), "").await?.good().map(drop)
    }

    fn process(&self) -> &Process {
        &self.process
    }

    async fn is_ready(&self) -> bool {
        // It leads before it can write, and before it knows its tokens.
        self.put("ready", b"yes").await.is_ok()
    }
}

impl fmt::Debug for Consul {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consul").field("address", &self.address).field("options", &self.options).finish_non_exhaustive()
    }
}

fn path(key: &str) -> String {
    format!("/v1/kv/{key}")
}
