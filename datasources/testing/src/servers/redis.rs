mod protocol;

use std::{fmt, fs, net::SocketAddr, path::Path};

use tempfile::TempDir;

use self::protocol::{Connection, Reply};
use super::{
    Account, Server, Unavailable,
    client::{Failure, Route, in_time},
    locate,
    process::Process,
    ready,
};
use crate::{
    Certificates, Tls,
    ports::{free_port, loopback},
};

const NAME: &str = "Redis";

/// What may be asked of [`Redis`].
#[derive(Clone, Copy, Debug, Default)]
pub struct RedisOptions {
    /// Whether connections are encrypted.
    pub tls: Tls,
    /// Whether it knows the [accounts](Account), and nobody else. They may use channels whose names begin with
    /// `sentinel`, and those that tell of keys that do.
    pub auth: bool,
    /// Whether it tells of every change of every key.
    pub keyspace_events: bool,
}

/// Redis, which writes every change to its disk before it answers.
pub struct Redis {
    process: Process,
    address: SocketAddr,
    options: RedisOptions,
    certificates: Certificates,
    route: Route,
    _folder: TempDir,
}

impl Redis {
    /// Its URL, without an account.
    pub fn endpoint(&self) -> String {
        let scheme = if self.options.tls == Tls::None { "redis" } else { "rediss" };
        format!("{scheme}://{}", self.address)
    }

    /// What both sides show each other where connections are encrypted.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Sends a message to a channel: how many have heard it.
    ///
    /// # Errors
    ///
    /// When the server does not do it.
    pub async fn publish(&self, channel: &str, message: &[u8]) -> Result<i64, Failure> {
        self.execute(&[b"PUBLISH", channel.as_bytes(), message]).await?.number()
    }

    /// Gives an account another password, until the server is restarted. Whoever has logged in by the former one stays
    /// so.
    ///
    /// # Errors
    ///
    /// When the server does not do it.
    pub async fn change_secret(&self, account: Account, secret: &str) -> Result<(), Failure> {
        let set = format!(">{secret}");
        self.execute(&[b"ACL", b"SETUSER", account.name.as_bytes(), b"resetpass", set.as_bytes()]).await.map(drop)
    }

    /// Executes a command as somebody who may do everything.
    async fn execute(&self, command: &[&[u8]]) -> Result<Reply, Failure> {
        in_time(async {
            let mut connection = Connection::new(self.route.connect().await?);
            if self.options.auth {
                let Account { name, secret } = Account::ADMIN;
                connection.execute(&[b"AUTH", name.as_bytes(), secret.as_bytes()]).await?;
            }
            connection.execute(command).await
        })
        .await
    }
}

impl Server for Redis {
    type Options = RedisOptions;

    async fn start(options: RedisOptions) -> Result<Self, Unavailable> {
        let server = locate(NAME, "redis-server")?;
        let certificates = Certificates::new();
        let folder = super::folder();
        let address = loopback(free_port(&[0]));
        let arguments = arguments(&options, address, &certificates, folder.path());
        let process = Process::start(NAME, folder.path(), &server, arguments, []);
        let route = Route::new(address, options.tls, &certificates);
        let redis = Self { process, address, options, certificates, route, _folder: folder };
        ready(&redis).await;
        Ok(redis)
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    async fn put(&self, key: &str, value: &[u8]) -> Result<(), Failure> {
        self.execute(&[b"SET", key.as_bytes(), value]).await.map(drop)
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        self.execute(&[b"GET", key.as_bytes()]).await?.bytes()
    }

    async fn delete(&self, key: &str) -> Result<(), Failure> {
        let deleted = self.execute(&[b"DEL", key.as_bytes()]).await?.number()?;
        if deleted == 1 { Ok(()) } else { Err(super::not_there(key)) }
    }

    fn process(&self) -> &Process {
        &self.process
    }

    async fn is_ready(&self) -> bool {
        // While it reads what it has kept, it refuses whoever asks for a key.
        self.get("sentinel").await.is_ok()
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("address", &self.address).field("options", &self.options).finish_non_exhaustive()
    }
}

fn arguments(options: &RedisOptions, address: SocketAddr, certificates: &Certificates, folder: &Path) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut set = |name: &str, value: &str| arguments.extend([format!("--{name}"), value.to_owned()]);
    set("bind", &address.ip().to_string());
    set("save", "");
    set("appendonly", "yes");
    set("appendfsync", "always");
    let port = address.port().to_string();
    if options.tls == Tls::None {
        set("port", &port);
    } else {
        let server = &certificates.server;
        set("port", "0");
        set("tls-port", &port);
        set("tls-cert-file", &server.certificate.path.display().to_string());
        set("tls-key-file", &server.key.path.display().to_string());
        set("tls-ca-cert-file", &certificates.authority.path.display().to_string());
        set("tls-auth-clients", if options.tls == Tls::Mutual { "yes" } else { "no" });
    }
    if options.auth {
        let path = folder.join("users.acl");
        fs::write(&path, users()).expect("the folder of a server can be written");
        set("aclfile", &path.display().to_string());
    }
    if options.keyspace_events {
        set("notify-keyspace-events", "KEA");
    }
    arguments
}

/// Who may do what, as Redis writes it.
fn users() -> String {
    let scope = "~sentinel* &sentinel* &__keyspace@0__:sentinel*";
    let reading = "+@read +@connection +subscribe +psubscribe +unsubscribe +punsubscribe";
    let writing = "+@write +@transaction +publish +eval +evalsha +script|load";
    let grants = [
        (Account::ADMIN, "~* &* +@all".to_owned()),
        (Account::WRITER, format!("{scope} {reading} {writing} -@dangerous")),
        (Account::READER, format!("{scope} {reading} -@dangerous")),
        (Account::STRANGER, "+@connection -@dangerous".to_owned()),
    ];
    let user =
        |(account, rights): (Account, String)| format!("user {} on >{} {rights}\n", account.name, account.secret);
    grants.map(user).into_iter().fold("user default off\n".to_owned(), |users, user| users + &user)
}
