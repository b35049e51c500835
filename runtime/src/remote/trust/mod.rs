//! Who is a member of the cluster, and who may call it. [`Authority`] makes both, [`Credentials`] are what each keeps
//! of it, [`Trust`] is what it does with them, [`Stranger`] is who is neither.

mod authority;
mod certificate;
mod credentials;
mod stranger;
mod verifier;

pub use authority::{Authority, AuthorityError};
pub use certificate::{Certificate, CertificateError, Identity, Subject};
pub use credentials::{
    AUTHORITIES_FILE, CHAIN_FILE, Credentials, CredentialsError, KEY_FILE, Secret, read_secret, write,
    write_secret,
};
pub use stranger::{Reason, STRANGERS_MAX, Stranger, Strangers};

pub(crate) use certificate::server_name;
pub(crate) use verifier::Refusal;

use odeon_core::{ClusterId, NodeName};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use verifier::{Membership, Usage, Verifier};
use webpki::anchor_from_trusted_cert;

/// What both ends must agree to speak (ALPN, RFC 7301). A version that cannot be understood gets another name.
pub const PROTOCOL: &[u8] = b"odeon/1";

/// The checked credentials of a node or a client: it can prove who it is, and judge who else is a member.
#[derive(Clone, Debug)]
pub struct Trust {
    subject: Subject,
    until: SystemTime,
    membership: Arc<Membership>,
    own: Arc<SingleCertAndKey>,
    /// The cryptography, a value and not the process's default. It is ring, which the simulator can replay.
    provider: Arc<CryptoProvider>,
}

/// Why credentials are of no use. Never worth a retry with the same ones, unless they were just being replaced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// Among the authorities is something else.
    #[error("{AUTHORITIES_FILE} cannot be used: {0}")]
    Authorities(CertificateError),
    /// Another certificate stands where an authority's belongs: everything that its owner signs would be believed.
    #[error("{AUTHORITIES_FILE} holds the certificate of {0}; put the authority's there")]
    NoAuthority(Subject),
    /// The authorities are of more than one cluster: it would not be clear of which this node is.
    #[error("{AUTHORITIES_FILE} holds authorities of two clusters, {0} and {1}; keep those of one")]
    TwoClusters(ClusterId, ClusterId),
    /// The node's certificate cannot be read.
    #[error("{CHAIN_FILE} cannot be used: {0}")]
    Chain(CertificateError),
    /// The node's key cannot be read.
    #[error("{KEY_FILE} cannot be used: {why}")]
    Key {
        /// What the parser says.
        why: String,
    },
    /// Certificate and key are of two pairs.
    #[error("{KEY_FILE} is not the key of {CHAIN_FILE}; issue both anew with `odeon cluster certificate`")]
    KeyMismatch,
    /// Other nodes would refuse this one.
    #[error("other nodes would refuse {CHAIN_FILE}: {0}")]
    Refused(#[from] Stranger),
}

impl Trust {
    /// Checks credentials as a peer would.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn new(credentials: &Credentials, now: SystemTime) -> Result<Self, TrustError> {
        let provider = Arc::new(ring::default_provider());
        let membership = membership(&credentials.authorities, &provider)?;
        let chain: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_slice_iter(credentials.chain.as_bytes()).collect();
        let chain = chain.map_err(|_| TrustError::Chain(CertificateError::NotPem))?;
        let (first, between) = chain.split_first().ok_or(TrustError::Chain(CertificateError::NotPem))?;
        let until = Certificate::of_der(first.clone()).map_err(TrustError::Chain)?.until;
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(since);
        let subject = membership.verify(first, between, now, Usage::Dialing)?;
        if let Subject::Node(_) = subject {
            membership.verify(first, between, now, Usage::Dialed)?;
        }
        let own = certified(chain, credentials.key.expose(), &provider)?;
        Ok(Self { subject, until, membership: Arc::new(membership), own: Arc::new(own.into()), provider })
    }

    /// Whom the certificate names: a node or a client.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Its name.
    pub fn name(&self) -> &NodeName {
        self.subject.name().expect("an authority's certificate was not let through")
    }

    /// The cluster.
    pub fn cluster(&self) -> &ClusterId {
        &self.membership.cluster
    }

    /// Until when peers accept the certificate.
    pub fn until(&self) -> SystemTime {
        self.until
    }

    /// Who is at the other end of a connection whose handshake is done.
    ///
    /// # Errors
    /// The connection was not made by an endpoint of this cluster.
    pub fn peer(&self, connection: &quinn::Connection) -> Result<Subject, Stranger> {
        let shown = connection.peer_identity().and_then(|shown| shown.downcast::<Vec<CertificateDer>>().ok());
        let first = shown.and_then(|chain| chain.into_iter().next()).ok_or(Stranger::NoCertificate)?;
        let certificate =
            Certificate::of_der(first).map_err(|e| Stranger::Malformed { why: e.to_string() })?;
        let Identity { cluster, subject } = certificate.identity;
        if cluster != self.membership.cluster {
            return Err(Stranger::ForeignCluster { cluster });
        }
        match subject {
            Subject::Authority => Err(Stranger::Malformed { why: CertificateError::Nameless.to_string() }),
            subject => Ok(subject),
        }
    }

    /// How this node answers one dialer.
    pub(crate) fn server(&self, refusal: &Refusal) -> Arc<QuicServerConfig> {
        let builder = rustls::ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13])
            .expect("ring has the suites of TLS 1.3");
        let mut config =
            builder.with_client_cert_verifier(self.verifier(refusal)).with_cert_resolver(self.own.clone());
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        // Every connection proves who it is: nothing is resumed, and nothing is sent before the proof.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Arc::new(config.try_into().expect("ring has the suite that QUIC begins with"))
    }

    /// How this node dials one address.
    pub(crate) fn client(&self, refusal: &Refusal) -> Arc<QuicClientConfig> {
        let builder = rustls::ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13])
            .expect("ring has the suites of TLS 1.3");
        let mut config = builder
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(refusal))
            .with_client_cert_resolver(self.own.clone());
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.resumption = Resumption::disabled();
        Arc::new(config.try_into().expect("ring has the suite that QUIC begins with"))
    }

    fn verifier(&self, refusal: &Refusal) -> Arc<Verifier> {
        Arc::new(Verifier { membership: self.membership.clone(), refusal: refusal.clone() })
    }
}

fn membership(authorities: &str, provider: &CryptoProvider) -> Result<Membership, TrustError> {
    let authorities = Certificate::all_of_pem(authorities).map_err(TrustError::Authorities)?;
    let cluster = authorities[0].identity.cluster.clone();
    let mut anchors = Vec::new();
    for authority in &authorities {
        if authority.identity.subject != Subject::Authority {
            return Err(TrustError::NoAuthority(authority.identity.subject.clone()));
        }
        if authority.identity.cluster != cluster {
            return Err(TrustError::TwoClusters(cluster, authority.identity.cluster.clone()));
        }
        let anchor = anchor_from_trusted_cert(&authority.der)
            .map_err(|e| TrustError::Authorities(CertificateError::Unreadable { why: e.to_string() }))?;
        anchors.push(anchor.to_owned());
    }
    let algorithms = provider.signature_verification_algorithms;
    Ok(Membership { cluster, anchors, authorities, algorithms })
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: &str,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TrustError> {
    let unusable = |why: String| TrustError::Key { why };
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| unusable(e.to_string()))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => TrustError::KeyMismatch,
        other => unusable(other.to_string()),
    })
}
