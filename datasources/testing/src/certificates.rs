use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use tempfile::TempDir;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};

/// Whether connections are encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// No.
    #[default]
    None,
    /// Yes, and the server shows a certificate.
    Server,
    /// Yes, and both sides show a certificate.
    Mutual,
}

/// Certificates for one test, as text and as files: made anew for each, so that nothing is trusted elsewhere.
///
/// # Example
///
/// ```
/// use sentinel_testing::Certificates;
///
/// let certificates = Certificates::new();
/// assert!(certificates.authority.text.starts_with("-----BEGIN CERTIFICATE-----"));
/// assert_eq!(std::fs::read_to_string(&certificates.client.key.path)?, certificates.client.key.text);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Certificates {
    /// The certificate of the authority that has signed those of both sides.
    pub authority: Pem,
    /// For a server on `localhost`, `127.0.0.1` or `::1`.
    pub server: Identity,
    /// For a client.
    pub client: Identity,
    /// For a client that is the user `reader`, to servers that know users by their certificates.
    pub reader: Identity,
    /// The certificate of another authority, which no server trusts.
    pub other_authority: Pem,
    /// For a client, signed by the other authority.
    pub other_client: Identity,
    _folder: TempDir,
}

/// A certificate and its key.
#[derive(Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: Pem,
    /// Its private key, as PKCS #8.
    pub key: Pem,
}

/// Something in PEM.
#[derive(Debug)]
pub struct Pem {
    /// The text.
    pub text: String,
    /// The file that it is in, as long as the [`Certificates`] are there.
    pub path: PathBuf,
}

impl Certificates {
    /// Makes them.
    ///
    /// # Panics
    ///
    /// When they cannot be written.
    #[expect(clippy::new_without_default, reason = "no certificates are like others")]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for certificates can be made");
        let trusted = authority("Authority of a test");
        let other = authority("Authority of nobody");
        let identity = |name: &str, authority| Identity::signed(folder.path(), name, None, authority);
        Self {
            server: identity("server", &trusted),
            client: identity("client", &trusted),
            reader: Identity::signed(folder.path(), "reader", Some("reader"), &trusted),
            other_client: identity("other-client", &other),
            authority: Pem::write(folder.path(), "authority", pem(&trusted)),
            other_authority: Pem::write(folder.path(), "other-authority", pem(&other)),
            _folder: folder,
        }
    }

    /// What a server shows and asks for; nothing where nothing is encrypted.
    pub(crate) fn server_config(&self, tls: Tls) -> Option<Arc<ServerConfig>> {
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = builder.expect("the provider knows the usual versions");
        let builder = match tls {
            Tls::None => return None,
            Tls::Server => builder.with_no_client_auth(),
            Tls::Mutual => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(roots(&self.authority).into(), provider()).build();
                builder.with_client_cert_verifier(verifier.expect("there is an authority"))
            }
        };
        let (chain, key) = self.server.parse();
        Some(Arc::new(builder.with_single_cert(chain, key).expect("the key is that of the certificate")))
    }

    /// What the client shows and trusts.
    pub fn client_config(&self) -> ClientConfig {
        client(&self.client, &self.authority)
    }
}

impl Identity {
    fn signed(folder: &Path, name: &str, user: Option<&str>, authority: &CertifiedIssuer<'_, KeyPair>) -> Self {
        let mut params = CertificateParams::default();
        // No common name where there is no user: servers would take it for that of one.
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, name);
        if let Some(user) = user {
            params.distinguished_name.push(DnType::CommonName, user);
        }
        let localhost = "localhost".try_into().expect("a name in ASCII");
        let addresses = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        params.subject_alt_names = vec![SanType::DnsName(localhost)];
        params.subject_alt_names.extend(addresses.map(SanType::IpAddress));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // Both for everybody: servers such as etcd are clients of themselves.
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = key();
        let certificate = params.signed_by(&key, authority).expect("an authority can sign");
        Self {
            certificate: Pem::write(folder, name, certificate.pem()),
            key: Pem::write(folder, &format!("{name}-key"), key.serialize_pem()),
        }
    }

    fn parse(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = PrivateKeyDer::from_pem_slice(self.key.text.as_bytes()).expect("the key is in PEM");
        (vec![self.certificate.certificate()], key)
    }
}

impl Pem {
    fn write(folder: &Path, name: &str, text: String) -> Self {
        let path = folder.join(format!("{name}.pem"));
        fs::write(&path, &text).expect("the folder of certificates can be written");
        Self { text, path }
    }

    fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.text.as_bytes()).expect("the certificate is in PEM")
    }
}

fn client(identity: &Identity, authority: &Pem) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = builder.expect("the provider knows the usual versions").with_root_certificates(roots(authority));
    let (chain, key) = identity.parse();
    builder.with_client_auth_cert(chain, key).expect("the key is that of the certificate")
}

fn roots(authority: &Pem) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate()).expect("the authority is one");
    roots
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, key()).expect("an authority can sign itself")
}

fn pem(authority: &impl AsRef<Certificate>) -> String {
    authority.as_ref().pem()
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key can be made")
}

fn provider() -> Arc<CryptoProvider> {
    ring::default_provider().into()
}

#[cfg(test)]
mod tests {
    use tokio::{io, io::AsyncReadExt as _};
    use tokio_rustls::{TlsAcceptor, TlsConnector, rustls::pki_types::ServerName};

    use super::*;

    /// Whether a client with this identity, which trusts this authority, gets through to the server.
    async fn is_accepted(certificates: &Certificates, identity: &Identity, authority: &Pem, name: &str) -> bool {
        let (ours, theirs) = io::duplex(16 << 10);
        let acceptor = TlsAcceptor::from(certificates.server_config(Tls::Mutual).unwrap());
        let connector = TlsConnector::from(Arc::new(client(identity, authority)));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let serve = async {
            let mut stream = acceptor.accept(theirs).await?;
            io::AsyncWriteExt::write_all(&mut stream, b"x").await
        };
        // Only what is read shows whether the server has accepted the client.
        let ask = async { connector.connect(name, ours).await?.read_u8().await };
        let (served, asked) = tokio::join!(serve, ask);
        served.is_ok() && asked.is_ok()
    }

    #[tokio::test]
    async fn both_sides_accept_each_other_by_every_name_of_this_machine() {
        let certificates = Certificates::new();
        for name in ["localhost", "127.0.0.1", "::1"] {
            assert!(is_accepted(&certificates, &certificates.client, &certificates.authority, name).await, "{name}");
        }
        assert!(!is_accepted(&certificates, &certificates.client, &certificates.authority, "example.org").await);
    }

    #[tokio::test]
    async fn whom_another_authority_has_signed_nobody_accepts() {
        let certificates = Certificates::new();
        let Certificates { authority, client, other_authority, other_client, .. } = &certificates;
        assert!(!is_accepted(&certificates, other_client, authority, "localhost").await);
        assert!(!is_accepted(&certificates, client, other_authority, "localhost").await);
    }
}
