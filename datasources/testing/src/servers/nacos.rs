use std::{
    fmt, fs,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use form_urlencoded::Serializer;
use hyper::Method;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{self, Instant};

use super::{
    Account, Server, Unavailable,
    client::{Failure, Route, Web},
    locate,
    process::Process,
    ready,
};
use crate::{
    Certificates, Tls,
    ports::{free_port, loopback},
};

const NAME: &str = "Nacos";

/// The distance of its ports. Clients take the second for granted.
const CONSOLE: u16 = 2_000;
const GRPC: u16 = 1_000;

/// It tells what it was given after so long at the latest.
const VISIBLE: Duration = Duration::from_secs(2);

/// Between two looks whether it does.
const VISIBLE_INTERVAL: Duration = Duration::from_millis(10);

/// The folder of its data.
const DATA: &str = "data";

const CONFIGS: &str = "/nacos/v1/cs/configs";
const USERS: &str = "/rnacos/api/console/v2";

/// What may be asked of [`Nacos`].
#[derive(Clone, Copy, Debug, Default)]
pub struct NacosOptions {
    /// Whether it knows [`Account::ADMIN`], and nobody else until somebody is [admitted](Nacos::admit).
    pub auth: bool,
}

/// A server of Nacos's protocols, HTTP v1 and gRPC: rnacos, which is not the official one.
///
/// Keys are data ids in the group [`GROUP`](Self::GROUP) of the public namespace; values are text. It takes a change
/// under any stale checksum for good, which the official one does not; and it answers before it has written and before others
/// see it, so that a change right before a [kill](Server::kill) may be lost.
pub struct Nacos {
    process: Process,
    address: SocketAddr,
    options: NacosOptions,
    web: Web,
    /// What the administrator was given when the server was last started.
    token: Mutex<String>,
    /// Whether it has never served.
    is_new: AtomicBool,
    folder: TempDir,
}

impl Nacos {
    /// The group of keys.
    pub const GROUP: &'static str = "DEFAULT_GROUP";

    /// Its URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it speaks gRPC.
    pub fn grpc_address(&self) -> SocketAddr {
        SocketAddr::new(self.address.ip(), self.address.port() + GRPC)
    }

    /// Gives a data id of any group and namespace this content; the public namespace has the name "".
    ///
    /// # Errors
    ///
    /// When the server does not take it.
    pub async fn publish(&self, namespace: &str, group: &str, data_id: &str, content: &str) -> Result<(), Failure> {
        let form = format!("{}&{}", self.config(namespace, group, data_id), form(&[("content", content)]));
        let published = self.web.request(Method::POST, CONFIGS, form).await?.good()?;
        if published == "true" { Ok(()) } else { Err(Failure::Refused(format!("`{data_id}` cannot be published"))) }
    }

    /// Deletes a data id of any group and namespace, whether it is there or not.
    ///
    /// # Errors
    ///
    /// When the server does not do it.
    pub async fn remove(&self, namespace: &str, group: &str, data_id: &str) -> Result<(), Failure> {
        let query = self.config(namespace, group, data_id);
        self.web.request(Method::DELETE, &format!("{CONFIGS}?{query}"), "").await?.good().map(drop)
    }

    /// Makes a user known who may read everything, and perhaps write; or gives one who is known this password.
    ///
    /// # Errors
    ///
    /// When the server does not do it.
    pub async fn admit(&self, name: &str, secret: &str, may_write: bool) -> Result<(), Failure> {
        let console = SocketAddr::new(self.address.ip(), self.address.port() + CONSOLE);
        let console = || Web::new(Route::new(console, Tls::None, &Certificates::new()));
        let Account { name: admin, secret: password } = Account::ADMIN;
        let login = form(&[("username", admin), ("password", &STANDARD.encode(password))]);
        let answer = console()
            .header("content-type", "application/x-www-form-urlencoded")
            .request(Method::POST, &format!("{USERS}/login/login"), login)
            .await?;
        let answer: Option<Value> = serde_json::from_slice(&answer.good()?).ok();
        let token = answer.as_ref().and_then(|answer| answer["data"]["token"].as_str());
        let token = token.ok_or(Failure::Protocol("a login without a token"))?;

        let console = console().header("content-type", "application/json").header("token", token);
        let role = if may_write { "1" } else { "2" };
        let user = json!({"username": name, "nickname": name, "password": secret, "roles": role, "enable": true});
        for change in ["add", "update"] {
            let path = format!("{USERS}/user/{change}");
            let answer: Option<Value> =
                serde_json::from_slice(&console.request(Method::POST, &path, user.to_string()).await?.good()?).ok();
            if answer.is_none_or(|answer| answer["success"] != true) {
                return Err(Failure::Refused(format!("{name} is not admitted")));
            }
        }
        Ok(())
    }

    /// What tells the server of which data id a request is, and who asks.
    fn config(&self, namespace: &str, group: &str, data_id: &str) -> String {
        let token = self.token.lock().clone();
        form(&[("accessToken", &token), ("tenant", namespace), ("group", group), ("dataId", data_id)])
    }

    /// Has the administrator given a token, which is good for hours. It takes the server a tenth of a second.
    async fn log_in(&self) -> Result<(), Failure> {
        let Account { name, secret } = Account::ADMIN;
        let form = form(&[("username", name), ("password", secret)]);
        let answer = self.web.request(Method::POST, "/nacos/v1/auth/login", form).await?.json()?;
        *self.token.lock() =
            answer["accessToken"].as_str().map(str::to_owned).ok_or(Failure::Protocol("a login without a token"))?;
        Ok(())
    }
}

impl Server for Nacos {
    type Options = NacosOptions;

    async fn start(options: NacosOptions) -> Result<Self, Unavailable> {
        let rnacos = locate(NAME, "rnacos")?;
        let folder = super::folder();
        let port = free_port(&[0, GRPC, CONSOLE]);
        let address = loopback(port);
        let host = address.ip().to_string();
        let variables = [
            ("RNACOS_DATA_DIR", folder.path().join(DATA).display().to_string()),
            ("RNACOS_HTTP_PORT", port.to_string()),
            ("RNACOS_GRPC_PORT", (port + GRPC).to_string()),
            ("RNACOS_HTTP_CONSOLE_PORT", (port + CONSOLE).to_string()),
            ("RNACOS_SDK_HOST", host.clone()),
            ("RNACOS_CONSOLE_HOST", host),
            ("RNACOS_HTTP_WORKERS", "1".to_owned()),
            ("RNACOS_ENABLE_OPEN_API_AUTH", options.auth.to_string()),
            ("RNACOS_INIT_ADMIN_USERNAME", Account::ADMIN.name.to_owned()),
            ("RNACOS_INIT_ADMIN_PASSWORD", Account::ADMIN.secret.to_owned()),
            ("RNACOS_CONSOLE_ENABLE_CAPTCHA", false.to_string()),
            ("RUST_LOG", "warn".to_owned()),
        ];
        let arguments: [&str; 0] = [];
        let process = Process::start(NAME, folder.path(), &rnacos, arguments, variables);
        let web = Web::new(Route::new(address, Tls::None, &Certificates::new()))
            .header("content-type", "application/x-www-form-urlencoded");
        let nacos = Self { process, address, options, web, token: Mutex::default(), is_new: true.into(), folder };
        ready(&nacos).await;
        nacos.is_new.store(false, Ordering::Relaxed);
        Ok(nacos)
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    async fn put(&self, key: &str, value: &[u8]) -> Result<(), Failure> {
        let content = str::from_utf8(value).map_err(|_| Failure::Refused("a value is text".to_owned()))?;
        self.publish("", Self::GROUP, key, content).await
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        let query = self.config("", Self::GROUP, key);
        self.web.get(&format!("{CONFIGS}?{query}")).await?.found()
    }

    async fn delete(&self, key: &str) -> Result<(), Failure> {
        // It deletes what is not there as well.
        let begin = Instant::now();
        while self.get(key).await?.is_none() {
            if begin.elapsed() > VISIBLE {
                return Err(super::not_there(key));
            }
            time::sleep(VISIBLE_INTERVAL).await;
        }
        self.remove("", Self::GROUP, key).await
    }

    fn process(&self) -> &Process {
        &self.process
    }

    async fn is_ready(&self) -> bool {
        if self.options.auth && self.log_in().await.is_err() {
            return false;
        }
        // It calls itself ready, and takes what it is given, before it keeps anything.
        let probe = format!("{:?}", SystemTime::now());
        if self.put("ready", probe.as_bytes()).await.is_err() {
            return false;
        }
        while self.get("ready").await.ok().flatten().as_deref() != Some(probe.as_bytes()) {
            time::sleep(VISIBLE_INTERVAL).await;
        }
        true
    }

    fn revive(&self) {
        // Now and then, one of its parts starts before what it needs, and all others wait for it for ever.
        if self.process.says("panicked at") {
            self.process.kill();
            // The first time, what it has written by then lacks the accounts, and it does not add them later.
            if self.is_new.load(Ordering::Relaxed) {
                fs::remove_dir_all(self.folder.path().join(DATA)).expect("the data of a server can be deleted");
            }
            self.process.start_again();
        }
    }
}

impl fmt::Debug for Nacos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nacos").field("address", &self.address).field("options", &self.options).finish_non_exhaustive()
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(fields).finish()
}
