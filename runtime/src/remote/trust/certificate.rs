//! What a certificate of a cluster says: whose it is and how long it holds. Read here, verified elsewhere.

use odeon_core::{ClusterId, NodeName};
use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use webpki::EndEntityCert;
use yasna::tags::{TAG_GENERALIZEDTIME, TAG_UTCTIME};
use yasna::{ASN1Error, ASN1ErrorKind, ASN1Result, BERReader, Tag};

/// Where clusters name their members: `.internal` is reserved for private names.
const DOMAIN: &str = "odeon.internal";

/// The name that all nodes of a cluster share. A dialer who only knows an address asks for it.
pub(crate) fn server_name(cluster: &ClusterId) -> String {
    format!("{cluster}.{DOMAIN}")
}

/// Whom a certificate names: a node, a client, or the authority of a cluster. As text it is a SPIFFE id
/// (`spiffe://CLUSTER.odeon.internal/node/NODE`, `…/client/CLIENT`, without a path for the authority), for that takes
/// every character of a [`NodeName`] as it is, which a DNS name does not ('_', and '-' at the end).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster: ClusterId,
    /// Who in it.
    pub subject: Subject,
}

/// In which role a certificate lets its owner take part.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Signs the certificates of the others.
    Authority,
    /// A member: others dial it, gossip with it and call its services.
    Node(NodeName),
    /// A program outside of the cluster that may call services, and nothing more. Its name is no node's, even where it
    /// is the same word.
    Client(NodeName),
}

impl Subject {
    /// Its name; none for the authority.
    pub fn name(&self) -> Option<&NodeName> {
        match self {
            Self::Authority => None,
            Self::Node(name) | Self::Client(name) => Some(name),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authority => f.write_str("the authority"),
            Self::Node(name) => write!(f, "the node {name}"),
            Self::Client(name) => write!(f, "the client {name}"),
        }
    }
}

impl Identity {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("spiffe://")?;
        let (domain, path) = rest.split_once('/').map_or((rest, None), |(domain, path)| (domain, Some(path)));
        let cluster = domain.strip_suffix(DOMAIN)?.strip_suffix('.')?.parse().ok()?;
        let subject = match path.map(|path| path.split_once('/')) {
            None => Subject::Authority,
            Some(Some(("node", name))) => Subject::Node(name.parse().ok()?),
            Some(Some(("client", name))) => Subject::Client(name.parse().ok()?),
            Some(_) => return None,
        };
        Some(Self { cluster, subject })
    }

    /// What a certificate claims, if it makes one clear claim: the specification allows one URI (X.509-SVID, 2).
    pub(super) fn claimed_by(certificate: &EndEntityCert<'_>) -> Option<Self> {
        let mut uris = certificate.valid_uri_names();
        let claim = Self::parse(uris.next()?)?;
        uris.next().is_none().then_some(claim)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}.{DOMAIN}", self.cluster)?;
        match &self.subject {
            Subject::Authority => Ok(()),
            Subject::Node(name) => write!(f, "/node/{name}"),
            Subject::Client(name) => write!(f, "/client/{name}"),
        }
    }
}

/// A certificate of a cluster, as it was read: nobody has verified it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    pub(super) der: CertificateDer<'static>,
    /// Whom it names.
    pub identity: Identity,
    /// It holds from then on.
    pub from: SystemTime,
    /// It holds until then.
    pub until: SystemTime,
}

/// Why something is no certificate of a cluster. Never worth a retry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// No `BEGIN CERTIFICATE` section, or a broken one.
    #[error("it holds no certificate in PEM form")]
    NotPem,
    /// Not the DER form of an X.509 certificate.
    #[error("it is not the encoding of a certificate: {why}")]
    Unreadable {
        /// What the parser says.
        why: String,
    },
    /// It names nobody, or more than one.
    #[error(
        "it names no member of a cluster; a certificate of a node has the one URI spiffe://CLUSTER.{DOMAIN}/node/NODE, one of a client …/client/CLIENT"
    )]
    Nameless,
}

impl Certificate {
    /// Reads all certificates of a text, in their order.
    ///
    /// # Errors
    /// [`CertificateError`] of the first that cannot be read; [`CertificateError::NotPem`] when there is none.
    pub fn all_of_pem(pem: &str) -> Result<Vec<Self>, CertificateError> {
        let ders: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let ders = ders.map_err(|_| CertificateError::NotPem)?;
        if ders.is_empty() {
            return Err(CertificateError::NotPem);
        }
        ders.into_iter().map(Self::of_der).collect()
    }

    pub(super) fn of_der(der: CertificateDer<'static>) -> Result<Self, CertificateError> {
        let unreadable = |why: &dyn fmt::Display| CertificateError::Unreadable { why: why.to_string() };
        let parsed = EndEntityCert::try_from(&der).map_err(|e| unreadable(&e))?;
        let identity = Identity::claimed_by(&parsed).ok_or(CertificateError::Nameless)?;
        let (from, until) = validity(&der).map_err(|e| unreadable(&e))?;
        Ok(Self { der, identity, from, until })
    }

    /// The SHA-256 of all of it, in hexadecimal, as `openssl x509 -fingerprint -sha256` prints it.
    pub fn fingerprint(&self) -> String {
        let hash = digest(&SHA256, &self.der);
        hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    }

    /// The bytes that say whose key it is, for comparison only.
    pub(super) fn public_key(&self) -> Vec<u8> {
        let parsed = EndEntityCert::try_from(&self.der).expect("it was parsed before");
        parsed.subject_public_key_info().to_vec()
    }
}

/// From when and until when a certificate holds (RFC 5280, 4.1.2.5); the one field that webpki keeps to itself.
fn validity(der: &[u8]) -> ASN1Result<(SystemTime, SystemTime)> {
    yasna::parse_der(der, |reader| {
        reader.read_sequence(|certificate| {
            let found = certificate.next().read_sequence(|body| {
                body.read_optional(|version| {
                    version.read_tagged(Tag::context(0), |number| number.read_u8())
                })?;
                for _serial_algorithm_issuer in 0..3 {
                    body.next().read_tagged_der()?;
                }
                let found = body.next().read_sequence(|span| Ok((time(span.next())?, time(span.next())?)))?;
                while body.read_optional(|rest| rest.read_tagged_der())?.is_some() {}
                Ok(found)
            })?;
            for _algorithm_signature in 0..2 {
                certificate.next().read_tagged_der()?;
            }
            Ok(found)
        })
    })
}

fn time(reader: BERReader<'_, '_>) -> ASN1Result<SystemTime> {
    let seconds = match reader.lookahead_tag()? {
        TAG_UTCTIME => reader.read_utctime()?.datetime().unix_timestamp(),
        TAG_GENERALIZEDTIME => reader.read_generalized_time()?.datetime().unix_timestamp(),
        _ => return Err(ASN1Error::new(ASN1ErrorKind::Invalid)),
    };
    let since = u64::try_from(seconds).map_err(|_| ASN1Error::new(ASN1ErrorKind::Invalid))?;
    UNIX_EPOCH.checked_add(Duration::from_secs(since)).ok_or(ASN1Error::new(ASN1ErrorKind::IntegerOverflow))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> ClusterId {
        ClusterId::new("shop", 0xfeed).expect("a cluster")
    }

    #[test]
    fn every_name_comes_back_from_its_identity() {
        for name in ["a", "node-1", "node_1", "n-", "n_", "a--b__c", "a234567890123456"] {
            let node: NodeName = name.parse().expect("a node name");
            for subject in [Subject::Node(node.clone()), Subject::Client(node)] {
                let identity = Identity { cluster: cluster(), subject };
                assert_eq!(Identity::parse(&identity.to_string()), Some(identity));
            }
        }
        let authority = Identity { cluster: cluster(), subject: Subject::Authority };
        assert_eq!(authority.to_string(), "spiffe://shop-000000000000feed.odeon.internal");
        assert_eq!(Identity::parse(&authority.to_string()), Some(authority));
    }

    #[test]
    fn what_only_resembles_an_identity_is_none() {
        for text in [
            "",
            "spiffe://",
            "spiffe://odeon.internal/node/a",
            "spiffe://shop.odeon.internal/node/a",
            "spiffe://shop-000000000000feedodeon.internal/node/a",
            "spiffe://shop-000000000000feed.odeon.internal/",
            "spiffe://shop-000000000000feed.odeon.internal/node/",
            "spiffe://shop-000000000000feed.odeon.internal/node/A",
            "spiffe://shop-000000000000feed.odeon.internal/node/a/b",
            "spiffe://shop-000000000000feed.odeon.internal/nodes/a",
            "spiffe://shop-000000000000feed.odeon.internal/client/",
            "spiffe://shop-000000000000feed.odeon.internal/node/client/a",
            "spiffe://shop-000000000000feed.odeon.internal/client",
            "spiffe://shop-000000000000feed.odeon.internal.example/node/a",
            "https://shop-000000000000feed.odeon.internal/node/a",
        ] {
            assert_eq!(Identity::parse(text), None, "{text}");
        }
    }
}
