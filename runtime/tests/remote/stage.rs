//! What the stories share: clusters, nodes with their endpoints, and peers that are no nodes.

use odeon::core::{ClusterId, NodeName};
use odeon::host::Executor;
use odeon::remote::endpoint::HandshakeError;
use odeon::remote::trust::PROTOCOL;
use odeon::remote::{Authority, Credentials, Endpoint, Member, Transport, Trust};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A day.
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
/// What every member is told at once, and no stranger ever.
pub(crate) const SECRET: &[u8] = b"for members only";
/// No fact takes this long.
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn node(name: &str) -> NodeName {
    name.parse().expect("a node name")
}

pub(crate) fn cluster(random: u64) -> ClusterId {
    ClusterId::new("shop", random).expect("a cluster")
}

/// An authority that has been there for a while.
pub(crate) fn authority(random: u64) -> Authority {
    let then = SystemTime::now() - 100 * DAY;
    Authority::create(&cluster(random), 3_650 * DAY, then).expect("an authority")
}

/// Good for a day from now on.
pub(crate) fn credentials(authority: &Authority, name: &str) -> Credentials {
    authority.issue(&node(name), DAY, SystemTime::now()).expect("credentials")
}

pub(crate) fn trust(authority: &Authority, name: &str) -> Trust {
    Trust::new(&credentials(authority, name), SystemTime::now()).expect("trust")
}

pub(crate) fn here() -> Executor {
    Executor::new(tokio::runtime::Handle::current(), 0)
}

pub(crate) const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

pub(crate) fn bind(trust: Trust) -> Endpoint {
    Endpoint::bind(ANY_PORT, trust, &Transport::default(), &here()).expect("a free port")
}

/// An endpoint of a node of this cluster.
pub(crate) fn endpoint(authority: &Authority, name: &str) -> Endpoint {
    bind(trust(authority, name))
}

/// Awaits a fact.
pub(crate) async fn soon<T>(fact: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, fact).await.expect("it happens soon")
}

/// Takes the next dialer. A member is told the secret.
pub(crate) async fn answer(endpoint: &Endpoint) -> Result<Member, HandshakeError> {
    let incoming = soon(endpoint.accept()).await.expect("it is open");
    let member = soon(incoming.handshake()).await?;
    let mut stream = member.connection.open_uni().await.expect("a stream");
    stream.write_all(SECRET).await.expect("it is sent");
    stream.finish().expect("it is not finished yet");
    Ok(member)
}

/// Whatever the other end says by itself; an error when it closes.
pub(crate) async fn hear(connection: &quinn::Connection) -> Result<Vec<u8>, quinn::ConnectionError> {
    let mut stream = soon(connection.accept_uni()).await?;
    Ok(stream.read_to_end(64).await.expect("it comes whole"))
}

/// The chain and key of credentials, whether they fit or not.
pub(crate) fn certified(chain: &str, key: &str) -> CertifiedKey {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
    let key = ring::default_provider().key_provider.load_private_key(key).expect("a key");
    CertifiedKey::new(chain.expect("a chain"), key)
}

/// What a node with these credentials would show.
pub(crate) fn shown_by(credentials: &Credentials) -> CertifiedKey {
    certified(&credentials.chain, credentials.key.expose())
}

/// How a certificate differs from what an authority issues.
pub(crate) struct Odd {
    pub(crate) uris: Vec<String>,
    pub(crate) usages: Vec<ExtendedKeyUsagePurpose>,
    pub(crate) valid: Duration,
}

/// A certificate of an authority that its `issue` would never make.
pub(crate) fn odd(authority: &Authority, odd: Odd) -> CertifiedKey {
    let mut issuer = CertificateParams::default();
    issuer.distinguished_name = DistinguishedName::new();
    issuer.distinguished_name.push(DnType::OrganizationName, authority.cluster().as_str());
    issuer.distinguished_name.push(DnType::CommonName, "authority");
    let issuer = Issuer::new(issuer, KeyPair::from_pem(authority.key_pem().expose()).expect("its key"));
    let mut params = CertificateParams::default();
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since - DAY;
    params.not_after = params.not_before + DAY + odd.valid;
    params.extended_key_usages = odd.usages;
    params.subject_alt_names =
        odd.uris.into_iter().map(|uri| SanType::URI(uri.try_into().expect("ASCII"))).collect();
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    certified(&certificate.pem(), &key.serialize_pem())
}

/// A peer that is no node: it shows what it likes and believes everybody.
pub(crate) struct Outsider {
    endpoint: quinn::Endpoint,
}

impl Outsider {
    /// It dials.
    pub(crate) fn dialer(shows: Option<CertifiedKey>, protocol: &[u8]) -> Self {
        let provider = Arc::new(ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Credulous));
        let mut config = match shows {
            Some(shows) => config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shows))),
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        let config = QuicClientConfig::try_from(config).expect("it fits QUIC");
        let mut endpoint = quinn::Endpoint::client(ANY_PORT).expect("a free port");
        endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(config)));
        Self { endpoint }
    }

    /// It listens.
    pub(crate) fn listener(shows: CertifiedKey) -> Self {
        let provider = Arc::new(ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(shows)));
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        let config = QuicServerConfig::try_from(config).expect("it fits QUIC");
        let config = quinn::ServerConfig::with_crypto(Arc::new(config));
        Self { endpoint: quinn::Endpoint::server(config, ANY_PORT).expect("a free port") }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.endpoint.local_addr().expect("it is bound")
    }

    /// Dials a node, asks it for something and waits for whatever it says.
    pub(crate) async fn dial(&self, address: SocketAddr) -> Result<Vec<u8>, quinn::ConnectionError> {
        let connecting = self.endpoint.connect(address, "any.name").expect("an address");
        let connection = soon(connecting).await?;
        if let Ok(mut stream) = connection.open_uni().await {
            // it may be closed already
            let _ = stream.write_all(b"let me in").await;
        }
        hear(&connection).await
    }

    /// Takes the next dialer and waits for whatever it says.
    pub(crate) async fn answer(&self) -> Result<Vec<u8>, quinn::ConnectionError> {
        let incoming = soon(self.endpoint.accept()).await.expect("it is open");
        hear(&soon(incoming.into_future()).await?).await
    }
}

/// Believes everybody.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
