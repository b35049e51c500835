//! The verdict on a peer's certificate, the same for who dials and for who is dialled (RFC 5280, X.509-SVID).

use super::certificate::{Certificate, Identity, Subject};
use super::stranger::Stranger;
use odeon_core::ClusterId;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved, SignatureScheme,
};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, UNIX_EPOCH};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};

/// What a certificate is shown for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usage {
    /// By who dials.
    Dialing,
    /// By who is dialed.
    Dialed,
}

impl Usage {
    fn of_key(self) -> KeyUsage {
        match self {
            Self::Dialing => KeyUsage::client_auth(),
            Self::Dialed => KeyUsage::server_auth(),
        }
    }
}

/// What makes a certificate one of a member.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) cluster: ClusterId,
    pub(super) anchors: Vec<TrustAnchor<'static>>,
    /// The same authorities, for what an anchor does not tell: until when they hold.
    pub(super) authorities: Vec<Certificate>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl Membership {
    /// Whose certificate it is.
    ///
    /// # Errors
    /// Why it is not a member's.
    pub(super) fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
        usage: Usage,
    ) -> Result<Subject, Stranger> {
        let malformed = |why: &dyn std::fmt::Display| Stranger::Malformed { why: why.to_string() };
        let parsed = EndEntityCert::try_from(certificate).map_err(|e| malformed(&e))?;
        let claims = Identity::claimed_by(&parsed);
        let found = self.path(&parsed, between, now, usage).map(|path| path.anchor().clone());
        match found {
            Ok(anchor) => self.check_authority(&anchor, now)?,
            Err(error) => return Err(self.explain(error, certificate, &parsed, between, usage, claims)),
        }
        let Some(Identity { cluster, subject }) = claims else {
            return Err(malformed(&super::CertificateError::Nameless));
        };
        if cluster != self.cluster {
            return Err(Stranger::ForeignCluster { cluster });
        }
        match subject {
            Subject::Authority => Err(malformed(&super::CertificateError::Nameless)),
            // whatever its certificate may be used for, nobody is to dial it
            Subject::Client(_) if usage == Usage::Dialed => {
                Err(malformed(&"it is a client's, but a node was expected"))
            }
            subject => Ok(subject),
        }
    }

    fn path<'a>(
        &'a self,
        parsed: &'a EndEntityCert<'a>,
        between: &'a [CertificateDer<'a>],
        at: UnixTime,
        usage: Usage,
    ) -> Result<VerifiedPath<'a>, webpki::Error> {
        parsed.verify_for_usage(self.algorithms.all, &self.anchors, between, at, usage.of_key(), None, None)
    }

    /// An anchor is believed without regard to time (RFC 5280, 6.1.1); an authority of ours ends all the same.
    fn check_authority(&self, anchor: &TrustAnchor<'_>, now: UnixTime) -> Result<(), Stranger> {
        let key = webpki::spki_for_anchor(anchor);
        let now = UNIX_EPOCH + Duration::from_secs(now.as_secs());
        let mut verdict = Err(Stranger::ForeignAuthority { claims: None });
        // one key may have two certificates, the older of which has expired
        for authority in self.authorities.iter().filter(|each| each.public_key() == key.as_ref()) {
            if let Ok(ago) = now.duration_since(authority.until) {
                verdict = Err(Stranger::Expired { ago });
            } else if let Ok(ahead) = authority.from.duration_since(now) {
                verdict = Err(Stranger::NotYetValid { ahead });
            } else {
                return Ok(());
            }
        }
        verdict
    }

    /// The reason that helps most: webpki looks at times before it looks at who signed, but the clock of a stranger
    /// is nobody's business.
    fn explain(
        &self,
        error: webpki::Error,
        certificate: &CertificateDer<'_>,
        parsed: &EndEntityCert<'_>,
        between: &[CertificateDer<'_>],
        usage: Usage,
        claims: Option<Identity>,
    ) -> Stranger {
        let untimely = match error {
            webpki::Error::CertExpired { time, not_after } => {
                Stranger::Expired { ago: apart(time, not_after) }
            }
            webpki::Error::CertNotValidYet { time, not_before } => {
                Stranger::NotYetValid { ahead: apart(time, not_before) }
            }
            webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey => {
                return Stranger::ForeignAuthority { claims };
            }
            other => return Stranger::Malformed { why: other.to_string() },
        };
        let Ok(own) = Certificate::of_der(certificate.clone().into_owned()) else { return untimely };
        let while_valid = own.from.duration_since(UNIX_EPOCH).unwrap_or_default();
        match self.path(parsed, between, UnixTime::since_unix_epoch(while_valid), usage) {
            Err(webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey) => {
                Stranger::ForeignAuthority { claims }
            }
            _ => untimely,
        }
    }
}

fn apart(one: UnixTime, other: UnixTime) -> Duration {
    Duration::from_secs(one.as_secs().abs_diff(other.as_secs()))
}

/// Why the peer of one handshake was refused: what TLS carries is only an alert.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusal(Arc<OnceLock<Stranger>>);

impl Refusal {
    /// Why, if the peer was refused.
    pub(crate) fn stranger(&self) -> Option<Stranger> {
        self.0.get().cloned()
    }

    /// Notes why, and answers what tells it to the peer as precisely as TLS has words for.
    fn note(&self, stranger: Stranger) -> Error {
        let error = match &stranger {
            Stranger::NoCertificate => return Error::NoCertificatesPresented,
            Stranger::ForeignAuthority { .. } => CertificateError::UnknownIssuer,
            Stranger::ForeignCluster { .. } | Stranger::Distrustful { .. } => {
                CertificateError::ApplicationVerificationFailure
            }
            Stranger::Expired { .. } => CertificateError::Expired,
            Stranger::NotYetValid { .. } => CertificateError::NotValidYet,
            Stranger::Malformed { .. } => CertificateError::BadEncoding,
            Stranger::WrongKey => CertificateError::BadSignature,
        };
        // the first reason is the one
        let _ = self.0.set(stranger);
        error.into()
    }
}

/// Judges the peer of one handshake.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) membership: Arc<Membership>,
    pub(super) refusal: Refusal,
}

impl Verifier {
    fn judge(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
        usage: Usage,
    ) -> Result<(), Error> {
        match self.membership.verify(certificate, between, now, usage) {
            Ok(_) => Ok(()),
            Err(stranger) => Err(self.refusal.note(stranger)),
        }
    }

    fn has_key(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.membership.algorithms)
            .map_err(|_| self.refusal.note(Stranger::WrongKey))
    }
}

/// TLS 1.3 is the only version that is offered.
fn too_old() -> Result<HandshakeSignatureValid, Error> {
    Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // the name asked for is the cluster's, and membership is what is judged
        self.judge(certificate, between, now, Usage::Dialed)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        too_old()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.has_key(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.membership.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // members know which certificate to show, strangers need not
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(certificate, between, now, Usage::Dialing)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        too_old()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.has_key(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.membership.algorithms.supported_schemes()
    }
}
