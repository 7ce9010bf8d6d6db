//! Real servers, each a process of its own on loopback that ends with the test.

mod client;
mod consul;
mod etcd;
mod kubernetes;
mod nacos;
mod process;
mod program;
mod redis;
mod zookeeper;

use std::{net::SocketAddr, time::Duration};

use tempfile::TempDir;
use tokio::time::{self, Instant};

pub(crate) use self::program::Demand;
pub use self::{
    client::Failure,
    consul::{Consul, ConsulOptions},
    etcd::{Etcd, EtcdOptions, EtcdVersion},
    kubernetes::{Kubernetes, KubernetesOptions},
    nacos::{Nacos, NacosOptions},
    program::Unavailable,
    redis::{Redis, RedisOptions},
    zookeeper::{ZooKeeper, ZooKeeperOptions},
};
use self::{process::Process, program::locate};

/// How long a server may take until it serves.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long it may take to say so.
const ATTEMPT: Duration = Duration::from_secs(2);

/// Between two looks whether it serves.
const LOOK_INTERVAL: Duration = Duration::from_millis(25);

/// Somebody whom a server knows that asks who it is.
///
/// # Example
///
/// ```
/// use sentinel_testing::servers::Account;
///
/// assert_eq!(Account::READER.name, "reader");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Account {
    /// The name of the user.
    pub name: &'static str,
    /// The password, or the token. It looks like a UUID, since Consul takes no others.
    pub secret: &'static str,
}

impl Account {
    /// May do everything; what tests put, they put as this one.
    pub const ADMIN: Self = Self { name: "root", secret: "a3b1c9d2-6f1e-4b7a-9c3d-0e5f8a7b6c01" };
    /// May read and write keys that begin with `sentinel`, and no others.
    pub const WRITER: Self = Self { name: "writer", secret: "a3b1c9d2-6f1e-4b7a-9c3d-0e5f8a7b6c02" };
    /// May read keys that begin with `sentinel`, and nothing else.
    pub const READER: Self = Self { name: "reader", secret: "a3b1c9d2-6f1e-4b7a-9c3d-0e5f8a7b6c03" };
    /// May log in, and no more.
    pub const STRANGER: Self = Self { name: "stranger", secret: "a3b1c9d2-6f1e-4b7a-9c3d-0e5f8a7b6c04" };
}

/// A server that one test has for itself.
///
/// It takes values from the test by means that have nothing in common with the clients that are tested: plain HTTP, or as
/// much of its protocol as that takes. Dropping it ends its process.
///
/// # Panics
///
/// A server that does not start or ends by itself, ends the test with the last lines of its log.
pub trait Server: Sized + Send + Sync {
    /// What can be asked of servers of this kind.
    type Options: Default + Send;

    /// Starts it, and waits until it serves.
    ///
    /// # Errors
    ///
    /// When this machine does not have it.
    fn start(options: Self::Options) -> impl Future<Output = Result<Self, Unavailable>> + Send;

    /// Where it listens.
    fn address(&self) -> SocketAddr;

    /// Gives a key this value.
    ///
    /// # Errors
    ///
    /// When the server does not take it.
    fn put(&self, key: &str, value: &[u8]) -> impl Future<Output = Result<(), Failure>> + Send;

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// When the server does not tell.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, Failure>> + Send;

    /// Deletes a key.
    ///
    /// # Errors
    ///
    /// When the server does not do it, or there is no such key.
    fn delete(&self, key: &str) -> impl Future<Output = Result<(), Failure>> + Send;

    #[doc(hidden)]
    fn process(&self) -> &Process;

    #[doc(hidden)]
    fn is_ready(&self) -> impl Future<Output = bool> + Send;

    /// Puts right what would keep it from ever serving.
    #[doc(hidden)]
    fn revive(&self) {}

    /// Kills it, as a machine does that loses its power. One that is down stays so.
    fn kill(&self) {
        self.process().kill();
    }

    /// Kills it if it is up, starts it where it was and with the data that it has kept, and waits until it serves.
    fn restart(&self) -> impl Future<Output = ()> + Send {
        async {
            self.kill();
            self.process().start_again();
            ready(self).await;
        }
    }

    /// Lets it do nothing, while its connections stay open.
    fn pause(&self) {
        self.process().signal("STOP");
    }

    /// Lets it go on.
    fn resume(&self) {
        self.process().signal("CONT");
    }

    /// What it has written, since it was first started.
    fn log(&self) -> String {
        self.process().log()
    }
}

/// A folder of its own for the data of a server.
fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder for a server can be made")
}

fn not_there(key: &str) -> Failure {
    Failure::Refused(format!("there is no `{key}`"))
}

/// What a server has to do before a test may use it.
fn set_up<T>(server: &impl Server, outcome: Result<T, Failure>) -> T {
    outcome.unwrap_or_else(|error| panic!("{:?}: {error}\n{}", server.process(), server.process().last_lines()))
}

/// Waits until a server serves.
async fn ready(server: &impl Server) {
    let start = Instant::now();
    loop {
        let process = server.process();
        assert!(!process.has_ended(), "{process:?} has ended\n{}", process.last_lines());
        if time::timeout(ATTEMPT, server.is_ready()).await == Ok(true) {
            return;
        }
        server.revive();
        assert!(start.elapsed() < PATIENCE, "{process:?} does not serve\n{}", process.last_lines());
        time::sleep(LOOK_INTERVAL).await;
    }
}
