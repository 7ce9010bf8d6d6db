//! Each server starts, takes values, is killed, and still has them when it is back; and what is asked of it is so.

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use sentinel_testing::{
    Certificates, Tls, run,
    servers::{
        Account, Consul, ConsulOptions, Etcd, EtcdOptions, EtcdVersion, Kubernetes, KubernetesOptions, Nacos,
        NacosOptions, Redis, RedisOptions, Server, Unavailable, ZooKeeper, ZooKeeperOptions,
    },
    trial,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, pem::PemObject as _},
    },
};

fn main() -> ExitCode {
    run([
        trial("etcd keeps values", || keeps_values::<Etcd>(EtcdOptions::default())),
        trial("etcd 3.5 keeps values", || {
            keeps_values::<Etcd>(EtcdOptions { version: EtcdVersion::V3_5, ..Default::default() })
        }),
        trial("etcd with accounts and certificates keeps values", || {
            keeps_values::<Etcd>(EtcdOptions { tls: Tls::Mutual, auth: true, ..Default::default() })
        }),
        trial("Redis keeps values", || keeps_values::<Redis>(RedisOptions::default())),
        trial("Redis with accounts and certificates keeps values", || {
            keeps_values::<Redis>(RedisOptions { tls: Tls::Mutual, auth: true, keyspace_events: true })
        }),
        trial("ZooKeeper keeps values", || keeps_values::<ZooKeeper>(ZooKeeperOptions::default())),
        trial("ZooKeeper with accounts keeps values", || {
            keeps_values::<ZooKeeper>(ZooKeeperOptions { auth: true, ..Default::default() })
        }),
        trial("ZooKeeper with accounts and certificates keeps values", || {
            keeps_values::<ZooKeeper>(ZooKeeperOptions { tls: Tls::Mutual, auth: true })
        }),
        trial("Consul keeps values", || keeps_values::<Consul>(ConsulOptions::default())),
        trial("Consul with accounts and certificates keeps values", || {
            keeps_values::<Consul>(ConsulOptions { tls: Tls::Mutual, auth: true })
        }),
        trial("Nacos keeps values", || keeps_values::<Nacos>(NacosOptions::default())),
        trial("Nacos with accounts keeps values", || keeps_values::<Nacos>(NacosOptions { auth: true })),
        trial("Kubernetes keeps objects", kubernetes_keeps_objects),
        trial("etcd lets accounts do what they may", etcd_accounts),
        trial("etcd forgets what it compacts", etcd_forgets),
        trial("Redis lets accounts do what they may", redis_accounts),
        trial("ZooKeeper lets accounts do what they may", zookeeper_accounts),
        trial("Consul lets accounts do what they may", consul_accounts),
        trial("Kubernetes lets accounts do what they are granted", kubernetes_accounts),
        trial("etcd wants a certificate where it should", certificate_of_etcd),
        trial("Redis wants a certificate where it should", certificate_of_redis),
        trial("Consul wants a certificate where it should", certificate_of_consul),
    ])
}

/// What tests put is text in some servers, and may be on several lines in all.
const VALUE: &str = "[{\"resource\": \"GET /ä\",\n \"threshold\": \"100 % & more\"}]\n";

async fn keeps_values<S: Server>(options: S::Options) -> Result<(), Unavailable> {
    let server = S::start(options).await?;
    let (kept, deleted) = ("sentinel-kept", "sentinel-deleted");
    assert_eq!(server.get(kept).await.unwrap(), None);
    server.put(kept, b"before").await.unwrap();
    server.put(kept, VALUE.as_bytes()).await.unwrap();
    server.put(deleted, b"soon gone").await.unwrap();
    server.delete(deleted).await.unwrap();

    // The least faithful of them answer before they have written.
    time::sleep(Duration::from_millis(500)).await;
    server.kill();
    assert!(TcpStream::connect(server.address()).await.is_err(), "it is dead");
    server.restart().await;
    assert_eq!(server.get(kept).await.unwrap().as_deref(), Some(VALUE.as_bytes()));
    assert_eq!(server.get(deleted).await.unwrap(), None);

    server.pause();
    let mut connection = TcpStream::connect(server.address()).await.expect("the system takes connections for it");
    connection.write_all(b"\n\n\n\n").await.expect("the system takes bytes for it");
    let answer = time::timeout(Duration::from_millis(300), connection.read_u8()).await;
    assert!(answer.is_err(), "paused, it answers {answer:?}");
    server.resume();
    assert_eq!(server.get(kept).await.unwrap().as_deref(), Some(VALUE.as_bytes()));
    Ok(())
}

async fn kubernetes_keeps_objects() -> Result<(), Unavailable> {
    let server = Kubernetes::start(KubernetesOptions::default()).await?;
    let path = "/api/v1/namespaces/default/configmaps/flow";
    let object = |text: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "flow"}, "data": {"rules": text}})
            .to_string()
    };
    let rules = async || {
        let object: Value = serde_json::from_slice(&server.get(path).await.unwrap()?).unwrap();
        object["data"]["rules"].as_str().map(str::to_owned)
    };
    assert_eq!(rules().await, None);
    server.put(path, object("before").as_bytes()).await.unwrap();
    server.put(path, object(VALUE).as_bytes()).await.unwrap();
    server.kill();
    assert!(TcpStream::connect(server.address()).await.is_err(), "it is dead");
    server.restart().await;
    assert_eq!(rules().await.as_deref(), Some(VALUE));
    server.delete(path).await.unwrap();
    assert_eq!(rules().await, None);
    Ok(())
}

/// Sends these bytes, and reads until the server closes.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of the answer to an HTTP request, and the rest of it.
async fn http(address: SocketAddr, request: &str, headers: &str, body: &str) -> (u16, String) {
    let len = body.len();
    let head = format!("{request} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {len}\r\n{headers}");
    let answer = exchange(address, &format!("{head}\r\n{body}")).await;
    (answer[9..12].parse().unwrap(), answer)
}

/// The statuses of reading and writing a key that begins with `sentinel`, and of reading another one.
type Rights = [u16; 3];

async fn etcd_accounts() -> Result<(), Unavailable> {
    let etcd = Etcd::start(EtcdOptions { auth: true, ..Default::default() }).await?;
    let login = async |account: Account, secret: &str| {
        let body = json!({"name": account.name, "password": secret}).to_string();
        let (_, answer) = http(etcd.address(), "POST /v3/auth/authenticate", "", &body).await;
        let answer: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap_or_default();
        answer["token"].as_str().map(str::to_owned)
    };
    let rights = async |token: &str| -> Rights {
        let authorization = format!("authorization: {token}\r\n");
        // In base64: sentinel, and other.
        let read = json!({"key": "c2VudGluZWw="}).to_string();
        let write = json!({"key": "c2VudGluZWw=", "value": ""}).to_string();
        let other = json!({"key": "b3RoZXI="}).to_string();
        let call = async |method: &str, body: &str| {
            http(etcd.address(), &format!("POST /v3/kv/{method}"), &authorization, body).await.0
        };
        [call("range", &read).await, call("put", &write).await, call("range", &other).await]
    };
    let expected = [(Account::WRITER, [200, 200, 403]), (Account::READER, [200, 403, 403])];
    for (account, expected) in expected.into_iter().chain([(Account::STRANGER, [403, 403, 403])]) {
        let token = login(account, account.secret).await.expect("a good password");
        assert_eq!(rights(&token).await, expected, "{account:?}");
    }
    assert_eq!(rights("nobody").await, [401, 401, 401]);

    etcd.change_secret(Account::READER, "another").await.unwrap();
    assert_eq!(login(Account::READER, Account::READER.secret).await, None);
    assert!(login(Account::READER, "another").await.is_some());
    Ok(())
}

async fn etcd_forgets() -> Result<(), Unavailable> {
    let etcd = Etcd::start(EtcdOptions::default()).await?;
    for value in ["1", "2"] {
        etcd.put("sentinel", value.as_bytes()).await.unwrap();
    }
    let second = json!({"key": "c2VudGluZWw=", "revision": 2}).to_string();
    assert_eq!(http(etcd.address(), "POST /v3/kv/range", "", &second).await.0, 200);
    etcd.compact().await.unwrap();
    let (status, answer) = http(etcd.address(), "POST /v3/kv/range", "", &second).await;
    assert!(status >= 400 && answer.contains("compacted"), "{answer}");
    Ok(())
}

async fn redis_accounts() -> Result<(), Unavailable> {
    let redis = Redis::start(RedisOptions { auth: true, keyspace_events: true, ..Default::default() }).await?;
    // The first character of each answer: an error begins with a hyphen.
    let rights = async |name: &str, secret: &str| {
        let commands = "GET sentinel:a\r\nSET sentinel:a 1\r\nGET other\r\nPUBLISH sentinel:a 1\r\nQUIT\r\n";
        let answers = exchange(redis.address(), &format!("AUTH {name} {secret}\r\n{commands}")).await;
        answers
            .lines()
            .filter_map(|line| line.chars().next())
            .filter(|first| "+-:$".contains(*first))
            .collect::<String>()
    };
    let expected = [(Account::WRITER, "+$+-:+"), (Account::READER, "+$---+"), (Account::STRANGER, "+----+")];
    for (account, expected) in expected {
        redis.delete("sentinel:a").await.unwrap_or_default();
        assert_eq!(rights(account.name, account.secret).await, expected, "{account:?}");
    }
    assert_eq!(rights("reader", "wrong").await, "-----+");

    redis.change_secret(Account::READER, "another").await.unwrap();
    assert_eq!(rights(Account::READER.name, Account::READER.secret).await, "-----+");
    assert_eq!(rights(Account::READER.name, "another").await, "+$---+");

    let mut listener = TcpStream::connect(redis.address()).await.unwrap();
    let subscribe = "SUBSCRIBE __keyspace@0__:sentinel:a sentinel:channel";
    let commands = format!("AUTH {} another\r\n{subscribe}\r\n", Account::READER.name);
    listener.write_all(commands.as_bytes()).await.unwrap();
    let mut heard = String::new();
    let mut hear = async |what: &str| {
        while !heard.contains(what) {
            let mut bytes = [0; 1_024];
            let len = time::timeout(Duration::from_secs(5), listener.read(&mut bytes)).await.expect(what).unwrap();
            heard += &String::from_utf8_lossy(&bytes[..len]);
        }
    };
    hear(":2\r\n").await;
    redis.put("sentinel:a", b"2").await.unwrap();
    hear("set\r\n").await;
    assert_eq!(redis.publish("sentinel:channel", b"hello").await.unwrap(), 1);
    hear("hello\r\n").await;
    Ok(())
}

async fn consul_accounts() -> Result<(), Unavailable> {
    let consul = Consul::start(ConsulOptions { auth: true, ..Default::default() }).await?;
    consul.put("sentinel", b"1").await.unwrap();
    let rights = async |secret: &str| -> Rights {
        let header = format!("x-consul-token: {secret}\r\n");
        let call = async |request: &str| http(consul.address(), request, &header, "").await.0;
        [call("GET /v1/kv/sentinel").await, call("PUT /v1/kv/sentinel").await, call("GET /v1/kv/ready").await]
    };
    let expected = [(Account::WRITER, [200, 200, 403]), (Account::READER, [200, 403, 403])];
    for (account, expected) in expected.into_iter().chain([(Account::STRANGER, [403, 403, 403])]) {
        assert_eq!(rights(account.secret).await, expected, "{account:?}");
    }
    let another = "b4c2d0e3-7a2f-4c8b-8d4e-1f6a9b8c7d05";
    consul.change_secret(Account::READER, another).await.unwrap();
    assert_eq!(rights(Account::READER.secret).await, [403, 403, 403]);
    assert_eq!(rights(another).await, [200, 403, 403]);
    Ok(())
}

async fn zookeeper_accounts() -> Result<(), Unavailable> {
    let zookeeper = ZooKeeper::start(ZooKeeperOptions { auth: true, ..Default::default() }).await?;
    zookeeper.put("sentinel/flow", b"of the test").await.unwrap();
    let rights = async |account: Account| {
        let login = format!("addauth digest {}:{}\n", account.name, account.secret);
        let told = zookeeper.cli(&format!("{login}get /sentinel/flow\nset /sentinel/flow changed\n")).await;
        let may_write = zookeeper.get("/sentinel/flow").await.unwrap().as_deref() == Some(b"changed");
        zookeeper.put("sentinel/flow", b"of the test").await.unwrap();
        (told.contains("of the test"), may_write)
    };
    assert_eq!(rights(Account::WRITER).await, (true, true));
    assert_eq!(rights(Account::READER).await, (true, false));
    assert_eq!(rights(Account::STRANGER).await, (false, false));
    Ok(())
}

async fn kubernetes_accounts() -> Result<(), Unavailable> {
    let kubernetes = Kubernetes::start(KubernetesOptions::default()).await?;
    let rights = async |account: Account| -> Result<[bool; 2], Unavailable> {
        let list = kubernetes.kubectl(account, &["get", "configmaps"], b"").await?;
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": account.name}}).to_string();
        let create = kubernetes.kubectl(account, &["create", "-f", "-"], map.as_bytes()).await?;
        Ok([list.status.success(), create.status.success()])
    };
    assert_eq!(rights(Account::ADMIN).await?, [true, true]);
    assert_eq!(rights(Account::WRITER).await?, [false, false]);
    kubernetes.grant(Account::WRITER, "", "configmaps", &["list", "create"]).await.unwrap();
    kubernetes.grant(Account::READER, "", "configmaps", &["list"]).await.unwrap();
    assert_eq!(rights(Account::WRITER).await?, [true, true]);
    assert_eq!(rights(Account::READER).await?, [true, false]);
    assert_eq!(rights(Account::STRANGER).await?, [false, false]);
    Ok(())
}

async fn certificate_of_etcd() -> Result<(), Unavailable> {
    for tls in [Tls::Server, Tls::Mutual] {
        let etcd = Etcd::start(EtcdOptions { tls, ..Default::default() }).await?;
        let is_answered = is_answered(etcd.address(), etcd.certificates()).await;
        assert_eq!(is_answered, tls == Tls::Server, "{tls:?}");
    }
    Ok(())
}

async fn certificate_of_redis() -> Result<(), Unavailable> {
    for tls in [Tls::Server, Tls::Mutual] {
        let redis = Redis::start(RedisOptions { tls, ..Default::default() }).await?;
        let is_answered = is_answered(redis.address(), redis.certificates()).await;
        assert_eq!(is_answered, tls == Tls::Server, "{tls:?}");
    }
    Ok(())
}

async fn certificate_of_consul() -> Result<(), Unavailable> {
    for tls in [Tls::Server, Tls::Mutual] {
        let consul = Consul::start(ConsulOptions { tls, ..Default::default() }).await?;
        let is_answered = is_answered(consul.address(), consul.certificates()).await;
        assert_eq!(is_answered, tls == Tls::Server, "{tls:?}");
    }
    Ok(())
}

/// Whether a client without a certificate of its own gets an answer.
async fn is_answered(address: SocketAddr, certificates: &Certificates) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificates.authority.text.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(ring::default_provider().into());
    let config = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
    let stream = TcpStream::connect(address).await.unwrap();
    let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    // What a server does not want to hear, it answers all the same.
    let asked = stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await;
    asked.is_ok() && stream.read_u8().await.is_ok()
}
