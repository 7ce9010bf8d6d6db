mod protocol;

use std::{
    env,
    ffi::OsString,
    fmt, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
};

use self::protocol::{Acl, Session};
use super::{
    Account, Server, Unavailable,
    client::{Failure, Route, in_time},
    locate,
    process::Process,
    program::{locate_file, run},
    ready,
};
use crate::{
    Certificates, Tls,
    ports::{free_port, loopback},
};

const NAME: &str = "ZooKeeper";

/// What may be asked of [`ZooKeeper`].
#[derive(Clone, Copy, Debug, Default)]
pub struct ZooKeeperOptions {
    /// Whether connections are encrypted.
    pub tls: Tls,
    /// Whether nodes that tests put are only for the [accounts](Account) with a right to them. They log in by the
    /// scheme `digest`.
    pub auth: bool,
}

/// One server of `ZooKeeper`, whose ticks are half a second long: a session lasts from 1 to 10 s.
///
/// Keys are paths, of which the first slash may be left out. Nodes on the way are made when they are missing.
pub struct ZooKeeper {
    process: Process,
    address: SocketAddr,
    options: ZooKeeperOptions,
    certificates: Certificates,
    route: Route,
    java: PathBuf,
    jar: PathBuf,
    _folder: TempDir,
}

impl ZooKeeper {
    /// Where it listens, as clients want it.
    pub fn endpoint(&self) -> String {
        self.address.to_string()
    }

    /// What both sides show each other where connections are encrypted.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Runs the server's own command line with these commands: what it has written.
    ///
    /// It speaks in the clear.
    ///
    /// # Panics
    ///
    /// When it cannot be run.
    pub async fn cli(&self, commands: &str) -> String {
        let path = format!("{}:{}", self.jar.display(), self.jar.with_file_name("commons-cli.jar").display());
        let mut command = Command::new(&self.java);
        command.args(["-cp", &path, "org.apache.zookeeper.ZooKeeperMain", "-server", &self.endpoint()]);
        let output = run(&mut command, commands.as_bytes()).await;
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Opens a session in which everything may be done.
    async fn session(&self) -> Result<Session, Failure> {
        let mut session = Session::open(&self.route).await?;
        if self.options.auth {
            session.log_in(Account::ADMIN).await?;
        }
        Ok(session)
    }

    fn acl(&self) -> Vec<Acl> {
        if self.options.auth {
            vec![Acl::all(Account::ADMIN), Acl::write(Account::WRITER), Acl::read(Account::READER)]
        } else {
            vec![Acl::anyone()]
        }
    }
}

impl Server for ZooKeeper {
    type Options = ZooKeeperOptions;

    async fn start(options: ZooKeeperOptions) -> Result<Self, Unavailable> {
        let java = locate(NAME, "java")?;
        let jar = locate_file(NAME, "zookeeper.jar", "/usr/share/java/zookeeper.jar")?;
        let folder = super::folder();
        let address = loopback(free_port(&[0]));
        let certificates = Certificates::new();
        let route = Route::new(address, options.tls, &certificates);
        let config = config(folder.path(), address, options.tls, &certificates);
        fs::write(folder.path().join("zoo.cfg"), config).expect("the folder of a server can be written");
        let mut arguments = ["-Xmx128m", "-XX:TieredStopAtLevel=1", "-Dzookeeper.jmx.log4j.disable=true", "-cp"]
            .map(Into::into)
            .to_vec();
        arguments.push(class_path(&jar));
        arguments.push("org.apache.zookeeper.server.ZooKeeperServerMain".into());
        arguments.push("zoo.cfg".into());
        let process = Process::start(NAME, folder.path(), &java, arguments, []);
        let zookeeper = Self { process, address, options, certificates, route, java, jar, _folder: folder };
        ready(&zookeeper).await;
        Ok(zookeeper)
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    async fn put(&self, key: &str, value: &[u8]) -> Result<(), Failure> {
        let path = path(key);
        in_time(async {
            let mut session = self.session().await?;
            let ancestors = path.match_indices('/').skip(1).map(|(end, _)| &path[..end]);
            for node in ancestors.chain([&*path]) {
                session.create_if_missing(node, &self.acl()).await?;
            }
            session.set(&path, value).await?;
            session.close().await
        })
        .await
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        in_time(async {
            let mut session = self.session().await?;
            let value = session.get(&path(key)).await?;
            session.close().await?;
            Ok(value)
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<(), Failure> {
        in_time(async {
            let mut session = self.session().await?;
            session.delete(&path(key)).await?;
            session.close().await
        })
        .await
    }

    fn process(&self) -> &Process {
        &self.process
    }

    async fn is_ready(&self) -> bool {
        // It takes connections before it serves, and forgets them.
        let mode = in_time(async {
            let mut stream = self.route.connect().await?;
            stream.write_all(b"srvr").await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok(answer)
        });
        mode.await.is_ok_and(|answer| answer.contains("Mode: "))
    }
}

impl fmt::Debug for ZooKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZooKeeper").field("process", &self.process).finish_non_exhaustive()
    }
}

fn config(folder: &Path, address: SocketAddr, tls: Tls, certificates: &Certificates) -> String {
    let mut config = format!("tickTime=500\ndataDir={}\nadmin.enableServer=false\n", folder.join("data").display());
    let prefix = if tls == Tls::None { "client" } else { "secureClient" };
    config += &format!("{prefix}Port={}\n{prefix}PortAddress={}\n", address.port(), address.ip());
    if tls != Tls::None {
        let identity = &certificates.server;
        let keys = folder.join("keys.pem");
        fs::write(&keys, [&*identity.certificate.text, &*identity.key.text].concat())
            .expect("the folder of a server can be written");
        config += &format!(
            "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\nssl.keyStore.type=PEM\n\
             ssl.keyStore.location={}\nssl.trustStore.type=PEM\nssl.trustStore.location={}\nssl.clientAuth={}\n",
            keys.display(),
            certificates.authority.path.display(),
            if tls == Tls::Mutual { "need" } else { "none" },
        );
    }
    config
}

/// The server, and what encryption needs beside it.
fn class_path(jar: &Path) -> OsString {
    let others = ["netty-codec.jar", "netty-resolver.jar"].map(|other| jar.with_file_name(other));
    env::join_paths([jar.to_owned()].into_iter().chain(others)).expect("no path of a library has a colon")
}

fn path(key: &str) -> String {
    format!("/{}", key.trim_start_matches('/'))
}
