//! Encryption. The server itself has none, so another process ends it before the server, as is done in clusters.

use std::{net::SocketAddr, sync::Arc};

use sentinel_nacos::{NacosSource, Pem, SourceError, Tls};
use sentinel_testing::{
    Certificates, Tls as Encryption,
    observe::refusal,
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

/// What lies before both ports of a server. Dropping it ends the connections.
pub(crate) struct Line {
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Line {
    /// Encrypts, if it should.
    pub(crate) async fn before(nacos: &Nacos, certificates: &Certificates, tls: Encryption) -> Self {
        let mut tasks = JoinSet::new();
        let Some(acceptor) = acceptor(certificates, tls) else {
            return Self { http: nacos.address(), grpc: nacos.grpc_address(), _tasks: tasks };
        };
        let mut open = async |target| {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tasks.spawn(pass(listener, acceptor.clone(), target));
            address
        };
        let (http, grpc) = (open(nacos.address()).await, open(nacos.grpc_address()).await);
        Self { http, grpc, _tasks: tasks }
    }

    fn source(&self, tls: Tls) -> NacosSource {
        let Account { name, secret, .. } = Account::ADMIN;
        NacosSource::new(self.http.to_string(), KEY).grpc_port(self.grpc.port()).user(name, secret).tls(tls)
    }
}

fn acceptor(certificates: &Certificates, tls: Encryption) -> Option<TlsAcceptor> {
    let provider = || Arc::new(ring::default_provider());
    let certificate = |pem: &sentinel_testing::Pem| CertificateDer::from_pem_slice(pem.text.as_bytes()).unwrap();
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let builder = match tls {
        Encryption::None => return None,
        Encryption::Server => builder.with_no_client_auth(),
        Encryption::Mutual => {
            let mut roots = RootCertStore::empty();
            roots.add(certificate(&certificates.authority)).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider()).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::from_pem_slice(certificates.server.key.text.as_bytes()).unwrap();
    let mut config = builder.with_single_cert(vec![certificate(&certificates.server.certificate)], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Some(TlsAcceptor::from(Arc::new(config)))
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

pub(super) async fn where_the_rules_come_from_is_looked_at_wherever_the_login_is() -> Result<(), Unavailable> {
    let (nacos, certificates) = (Nacos::start(NacosOptions { auth: true }).await?, Certificates::new());
    put(&nacos, 1).await;
    let plain = || format!("{}/nacos", nacos.endpoint());
    let trusting = || Tls::new().authority(Pem::file(&certificates.authority.path));
    let line = Line::before(&nacos, &certificates, Encryption::Server).await;
    let unknown = Tls::new().authority(Pem::file(&certificates.other_authority.path));
    let other = trusting().domain("nacos.example.com");
    for (tls, reason) in [(unknown, "UnknownIssuer"), (Tls::new(), "UnknownIssuer"), (other, "not valid for name")] {
        let refused = refusal(line.source(tls).login_url(plain())).await;
        assert!(matches!(refused, SourceError::Unreachable { .. }), "{refused:?}");
        assert!(refused.to_string().contains(reason), "{refused}");
    }

    let line = Line::before(&nacos, &certificates, Encryption::Mutual).await;
    let [certificate, key] = [&certificates.other_client.certificate, &certificates.other_client.key];
    let stranger = trusting().identity(Pem::file(&certificate.path), Pem::file(&key.path));
    for tls in [stranger, trusting()] {
        for login in [plain(), format!("https://{}/nacos", line.http)] {
            let refused = refusal(line.source(tls.clone()).login_url(login)).await;
            assert!(matches!(refused, SourceError::Denied { .. }), "{refused:?}");
        }
    }
    Ok(())
}
