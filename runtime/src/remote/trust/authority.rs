//! The cluster's own certificate authority: what it signs is a member.

use super::certificate::{Certificate, CertificateError, Identity, Subject, server_name};
use super::credentials::{Credentials, Secret};
use odeon_core::{ClusterId, NodeName};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType,
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use webpki::EndEntityCert;

/// What is issued holds from this long before, for the clocks of hosts differ.
const EARLIER: Duration = Duration::from_secs(3_600);
/// The end of the year 9999 (RFC 5280, 4.1.2.5).
const LATEST: Duration = Duration::from_secs(253_402_300_799);

/// A cluster's certificate authority with its private key (ECDSA over P-256). Whoever has it can make members.
#[derive(Debug)]
pub struct Authority {
    certificate: Certificate,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// Why there is no authority, or no certificate from it. Never worth a retry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// The certificate cannot be used.
    #[error("the authority's certificate cannot be used: {0}")]
    Certificate(#[from] CertificateError),
    /// It is another kind of certificate.
    #[error("this is no authority of `odeon cluster init`: {why}")]
    Foreign {
        /// What is different.
        why: &'static str,
    },
    /// The key cannot be read.
    #[error("the authority's key cannot be used: {why}")]
    Key {
        /// What the parser says.
        why: String,
    },
    /// The key is another's.
    #[error(
        "the authority's key does not belong to its certificate; bring the two files of one authority together"
    )]
    KeyMismatch,
    /// Nothing it signs would be accepted.
    #[error(
        "the authority has expired; make a new one and put both into the nodes' ca.pem until all have changed"
    )]
    Expired,
    /// The time is beyond what a certificate can tell.
    #[error(
        "a certificate cannot hold that long: its end lies beyond the year 9999, or now lies before 1970"
    )]
    Time,
    /// The signer failed.
    #[error("it cannot be signed: {why}")]
    Signing {
        /// What the signer says.
        why: String,
    },
}

impl From<rcgen::Error> for AuthorityError {
    fn from(error: rcgen::Error) -> Self {
        Self::Signing { why: error.to_string() }
    }
}

impl Authority {
    /// Makes a new one, that holds for so long from now on.
    ///
    /// # Errors
    /// [`AuthorityError::Time`]; [`AuthorityError::Signing`] when the operating system gives no random bytes.
    pub fn create(cluster: &ClusterId, valid: Duration, now: SystemTime) -> Result<Self, AuthorityError> {
        let identity = Identity { cluster: cluster.clone(), subject: Subject::Authority };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = naming(&identity)?;
        hold(&mut params, now, now.checked_add(valid))?;
        // it signs nodes and no further authorities
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let signed = params.self_signed(&key)?;
        let certificate = Certificate::of_der(signed.der().clone())?;
        Ok(Self { certificate, pem: signed.pem(), issuer: Issuer::new(params, key) })
    }

    /// Reads one that [`Authority::certificate_pem`] and [`Authority::key_pem`] gave away.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn from_pem(pem: &str, key: &str) -> Result<Self, AuthorityError> {
        let [certificate] = <[Certificate; 1]>::try_from(Certificate::all_of_pem(pem)?)
            .map_err(|_| AuthorityError::Foreign { why: "there is more than one certificate" })?;
        if certificate.identity.subject != Subject::Authority {
            return Err(AuthorityError::Foreign { why: "it is the certificate of a node or a client" });
        }
        let key = KeyPair::from_pem(key).map_err(|e| AuthorityError::Key { why: e.to_string() })?;
        if key.subject_public_key_info() != certificate.public_key() {
            return Err(AuthorityError::KeyMismatch);
        }
        let issuer = Issuer::new(naming(&certificate.identity)?, key);
        let authority = Self { certificate, pem: pem.to_owned(), issuer };
        authority.check_subject()?;
        Ok(authority)
    }

    /// The cluster.
    pub fn cluster(&self) -> &ClusterId {
        &self.certificate.identity.cluster
    }

    /// Its own certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Its own certificate, for every node's `ca.pem`.
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// Its private key. Whoever reads it can make members.
    pub fn key_pem(&self) -> Secret {
        Secret::new(self.issuer.key().serialize_pem())
    }

    /// Makes a key and a certificate for a node, that hold for so long from now on, but no longer than the authority.
    ///
    /// # Errors
    /// [`AuthorityError::Expired`], [`AuthorityError::Time`], [`AuthorityError::Signing`].
    pub fn issue(
        &self,
        node: &NodeName,
        valid: Duration,
        now: SystemTime,
    ) -> Result<Credentials, AuthorityError> {
        self.sign(Subject::Node(node.clone()), valid, now)
    }

    /// Makes a key and a certificate for a program outside of the cluster, that hold for so long from now on, but no
    /// longer than the authority. Nodes let it call services; it can be no node.
    ///
    /// # Errors
    /// [`AuthorityError::Expired`], [`AuthorityError::Time`], [`AuthorityError::Signing`].
    pub fn issue_client(
        &self,
        client: &NodeName,
        valid: Duration,
        now: SystemTime,
    ) -> Result<Credentials, AuthorityError> {
        self.sign(Subject::Client(client.clone()), valid, now)
    }

    fn sign(
        &self,
        subject: Subject,
        valid: Duration,
        now: SystemTime,
    ) -> Result<Credentials, AuthorityError> {
        if now >= self.certificate.until {
            return Err(AuthorityError::Expired);
        }
        let end = now.checked_add(valid).map(|end| end.min(self.certificate.until));
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        // a node dials and is dialled, a client only dials
        let usages = match &subject {
            Subject::Client(_) => vec![ExtendedKeyUsagePurpose::ClientAuth],
            _ => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        };
        let mut params = naming(&Identity { cluster: self.cluster().clone(), subject })?;
        hold(&mut params, now, end)?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages;
        let signed = params.signed_by(&key, &self.issuer)?;
        Ok(Credentials {
            authorities: self.pem.clone(),
            chain: signed.pem(),
            key: Secret::new(key.serialize_pem()),
        })
    }

    /// What it signs must name it as its certificate does, letter by letter, or no path leads from one to the other.
    /// It can differ only where something else made the certificate.
    fn check_subject(&self) -> Result<(), AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let probe = CertificateParams::default().signed_by(&key, &self.issuer)?;
        let unreadable = |e: webpki::Error| CertificateError::Unreadable { why: e.to_string() };
        let probe = EndEntityCert::try_from(probe.der()).map_err(unreadable)?;
        let own = EndEntityCert::try_from(&self.certificate.der).map_err(unreadable)?;
        match probe.issuer() == own.subject() {
            true => Ok(()),
            false => Err(AuthorityError::Foreign { why: "its subject is not the cluster" }),
        }
    }
}

/// The names of a member or of the authority: for TLS, for nodes, and for people (`openssl x509 -subject`).
fn naming(identity: &Identity) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(identity.to_string().try_into()?)];
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, identity.cluster.as_str());
    if let Subject::Node(_) = &identity.subject {
        params.subject_alt_names.push(SanType::DnsName(server_name(&identity.cluster).try_into()?));
    }
    let name = identity.subject.name().map_or("authority", NodeName::as_str);
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

/// From a little before now until the end.
fn hold(
    params: &mut CertificateParams,
    now: SystemTime,
    end: Option<SystemTime>,
) -> Result<(), AuthorityError> {
    let origin = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = origin + since_origin(now)?.saturating_sub(EARLIER);
    params.not_after = origin + since_origin(end.ok_or(AuthorityError::Time)?)?;
    Ok(())
}

fn since_origin(at: SystemTime) -> Result<Duration, AuthorityError> {
    let since = at.duration_since(UNIX_EPOCH).map_err(|_| AuthorityError::Time)?;
    if since <= LATEST { Ok(since) } else { Err(AuthorityError::Time) }
}
