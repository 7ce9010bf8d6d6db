//! Encryption. The server itself has none, so another process ends it before the server, as is done in clusters.

use std::{fs, net::SocketAddr, sync::Arc};

use sentinel_core::Sentinel;
use sentinel_nacos::{NacosSource, Pem, SourceError, Tls};
use sentinel_testing::{
    Certificates, Identity,
    observe::{PATIENCE, SOON, refusal, start, thresholds, until_healthy, until_in_force, until_told},
    servers::{Account, Nacos, NacosOptions, Server as _, Unavailable},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        server::WebPkiClientVerifier,
    },
};

use super::support::{KEY, put};

/// Both ports of a server, encrypted. Dropping it ends the connections.
struct Encrypted {
    http: SocketAddr,
    grpc: SocketAddr,
    tasks: JoinSet<()>,
}

impl Encrypted {
    async fn before(nacos: &Nacos, certificates: &Certificates, asks_clients: bool) -> Self {
        let provider = || Arc::new(ring::default_provider());
        let certificate = |pem: &sentinel_testing::Pem| CertificateDer::from_pem_slice(pem.text.as_bytes()).unwrap();
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let builder = if asks_clients {
            let mut roots = RootCertStore::empty();
            roots.add(certificate(&certificates.authority)).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider()).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::from_pem_slice(certificates.server.key.text.as_bytes()).unwrap();
        let chain = vec![certificate(&certificates.server.certificate)];
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));

        let mut tasks = JoinSet::new();
        let mut open = async |target| {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tasks.spawn(pass(listener, acceptor.clone(), target));
            address
        };
        let (http, grpc) = (open(nacos.address()).await, open(nacos.grpc_address()).await);
        Self { http, grpc, tasks }
    }

    fn source(&self, tls: Tls) -> NacosSource {
        let Account { name, secret, .. } = Account::ADMIN;
        NacosSource::new(self.http.to_string(), KEY).grpc_port(self.grpc.port()).user(name, secret).tls(tls)
    }
}

async fn pass(listener: TcpListener, acceptor: TlsAcceptor, target: SocketAddr) {
    let mut open = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let acceptor = acceptor.clone();
        open.spawn(async move {
            // Who is refused has gone, and so has what broke.
            if let Ok(mut client) = acceptor.accept(client).await {
                let mut server = TcpStream::connect(target).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}

async fn server() -> Result<Nacos, Unavailable> {
    let nacos = Nacos::start(NacosOptions { auth: true }).await?;
    put(&nacos, 1).await;
    Ok(nacos)
}

fn authority(certificates: &Certificates) -> Tls {
    Tls::new().authority(Pem::file(&certificates.authority.path))
}

pub(super) async fn connections_are_encrypted_and_the_server_has_to_show_who_it_is() -> Result<(), Unavailable> {
    let (nacos, certificates) = (server().await?, Certificates::new());
    let line = Encrypted::before(&nacos, &certificates, false).await;
    let sentinel = Sentinel::default();
    let watch = start(line.source(authority(&certificates)), &sentinel).await;
    assert_eq!(thresholds(&sentinel), [1]);
    put(&nacos, 2).await;
    until_in_force(SOON, [2], &sentinel, &watch).await;
    let named = start(line.source(authority(&certificates).domain("localhost")), &Sentinel::default()).await;
    assert!(named.status().is_healthy());

    let unknown = Tls::new().authority(Pem::file(&certificates.other_authority.path));
    let other = authority(&certificates).domain("nacos.example.com");
    for (tls, reason) in [(unknown, "UnknownIssuer"), (Tls::new(), "UnknownIssuer"), (other, "not valid for name")] {
        // Where the password goes, and where the rules come from.
        let elsewhere = line.source(tls.clone()).login_url(format!("{}/nacos", nacos.endpoint()));
        for source in [line.source(tls), elsewhere] {
            let refused = refusal(source).await;
            assert!(matches!(refused, SourceError::Unreachable { .. }), "{refused:?}");
            assert!(refused.to_string().contains(reason), "{refused}");
        }
    }
    let plain = NacosSource::new(line.http.to_string(), KEY).grpc_port(line.grpc.port());
    assert!(matches!(refusal(plain).await, SourceError::Unreachable { .. }), "it does not speak in the clear");
    assert_eq!(line.tasks.len(), 2);
    Ok(())
}

pub(super) async fn certificates_of_clients_are_read_for_each_connection() -> Result<(), Unavailable> {
    let (nacos, certificates) = (server().await?, Certificates::new());
    let line = Encrypted::before(&nacos, &certificates, true).await;
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key] = ["client.pem", "client.key"].map(|name| folder.path().join(name));
    let show = |identity: &Identity| {
        fs::write(&certificate, &identity.certificate.text).unwrap();
        fs::write(&key, &identity.key.text).unwrap();
    };
    show(&certificates.client);
    let shown = authority(&certificates).identity(Pem::file(&certificate), Pem::file(&key));
    let sentinel = Sentinel::default();
    let watch = start(line.source(shown.clone()), &sentinel).await;
    assert_eq!(thresholds(&sentinel), [1]);

    show(&certificates.other_client);
    nacos.restart().await;
    until_told(PATIENCE, "refuses access", &watch).await;
    for tls in [shown, authority(&certificates)] {
        for login in [format!("{}/nacos", nacos.endpoint()), format!("https://{}/nacos", line.http)] {
            let refused = refusal(line.source(tls.clone()).login_url(login)).await;
            assert!(matches!(refused, SourceError::Denied { .. }), "{refused:?}");
        }
    }
    show(&certificates.client);
    put(&nacos, 2).await;
    until_healthy(PATIENCE, [2], &sentinel, &watch).await;
    Ok(())
}
