//! One handshake, from either end: it ends with a member or with the reason why not.

use super::{Endpoint, Member};
use crate::remote::trust::{Refusal, Stranger, Trust};
use crate::telemetry::events::Event;
use odeon_core::Retry;
use quinn::ConnectionError;
use std::net::SocketAddr;
use std::sync::Arc;

/// QUIC's error codes for TLS: 0x100 and the alert (RFC 9001, 4.8).
const TLS_CODES: std::ops::RangeInclusive<u64> = 0x100..=0x1ff;
/// The alert of a server that was shown no certificate (RFC 8446, 6.2).
const CERTIFICATE_REQUIRED: u64 = 0x100 + 116;

/// QUIC's error code of a server that takes nobody (RFC 9000, 20.1).
const CONNECTION_REFUSED: u64 = 0x2;

/// Why no connection came about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The peer is no member. It was told of, once.
    #[error("{peer} is no member of this cluster: {stranger}")]
    Stranger {
        /// Its address.
        peer: SocketAddr,
        /// Why it is none.
        stranger: Stranger,
    },
    /// The peer does not take this node for a member.
    #[error("{peer} refuses this node: {why}")]
    Refused {
        /// Its address.
        peer: SocketAddr,
        /// What it says.
        why: String,
    },
    /// Nobody answers there, or too slowly.
    #[error("{peer} does not answer")]
    Silent {
        /// Its address.
        peer: SocketAddr,
    },
    /// Something else speaks there, or another version.
    #[error("{peer} does not speak the protocol of nodes: {why}")]
    Foreign {
        /// Its address.
        peer: SocketAddr,
        /// What is different.
        why: String,
    },
    /// One of both ends is stopping.
    #[error("the connection to {peer} was closed: {why}")]
    Closed {
        /// Its address.
        peer: SocketAddr,
        /// What was said.
        why: String,
    },
    /// The address cannot be dialled from this endpoint.
    #[error("{peer} cannot be dialled: {why}")]
    Address {
        /// Its address.
        peer: SocketAddr,
        /// What is wrong with it.
        why: String,
    },
}

impl HandshakeError {
    /// Whether dialling again may help.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Silent { .. } | Self::Closed { .. } => Retry::Later,
            // certificates are renewed while nodes run
            Self::Stranger { .. } | Self::Refused { .. } => Retry::Later,
            Self::Foreign { .. } | Self::Address { .. } => Retry::Never,
        }
    }
}

/// How a connection that has ended came to its end, if it was because the peer refused this node. A dialer has to
/// look: its own handshake is done before the other end has seen its certificate (RFC 8446, 2).
pub fn refused(peer: SocketAddr, error: &ConnectionError) -> Option<HandshakeError> {
    let ConnectionError::ConnectionClosed(close) = error else { return None };
    let why = String::from_utf8_lossy(&close.reason).into_owned();
    TLS_CODES.contains(&close.error_code.into()).then_some(HandshakeError::Refused { peer, why })
}

/// A peer that dials this node. Nothing has happened yet: whoever takes it runs [`Incoming::handshake`], in a task of
/// its own so that a slow one does not hold up others.
#[derive(Debug)]
pub struct Incoming {
    pub(super) incoming: quinn::Incoming,
    pub(super) endpoint: Endpoint,
}

impl Incoming {
    /// Where it dials from, as far as it can be known before it has answered.
    pub fn address(&self) -> SocketAddr {
        self.incoming.remote_address()
    }

    /// Whether it has shown that it can be reached at its address.
    pub fn is_reachable(&self) -> bool {
        self.incoming.remote_address_validated()
    }

    /// Has it dial again from where it says that it is (RFC 9000, 8.1.2). Nothing is kept of it.
    pub fn ask_again(self) {
        // an error gives back one that has been asked already
        if let Err(asked) = self.incoming.retry() {
            asked.into_incoming().refuse();
        }
    }

    /// Lets nobody in now. Its dialer learns of it, and may try later.
    pub fn turn_away(self) {
        self.incoming.refuse();
    }

    /// Lets it in if it is a member.
    ///
    /// # Errors
    /// [`HandshakeError`]; a stranger was told of.
    pub async fn handshake(self) -> Result<Member, HandshakeError> {
        let Self { incoming, endpoint } = self;
        let peer = incoming.remote_address();
        let (trust, refusal) = (endpoint.trust(), Refusal::default());
        let config = endpoint.server(&trust, &refusal);
        let member = match incoming.accept_with(Arc::new(config)) {
            Ok(connecting) => endpoint.finish(peer, connecting, trust, refusal).await,
            Err(error) => Err(endpoint.explain(peer, &error, &refusal)),
        };
        member.map_err(|error| match error {
            // a dialer sees the certificate of this node first: who it is itself will not be known
            HandshakeError::Refused { peer, why } => endpoint.tell_of(peer, Stranger::Distrustful { why }),
            error => error,
        })
    }
}

impl Endpoint {
    /// Waits for the end of a handshake.
    pub(super) async fn finish(
        &self,
        peer: SocketAddr,
        connecting: quinn::Connecting,
        trust: Arc<Trust>,
        refusal: Refusal,
    ) -> Result<Member, HandshakeError> {
        let connection = match tokio::time::timeout(self.handshake_max(), connecting).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(self.explain(peer, &error, &refusal)),
            Err(_) => return Err(HandshakeError::Silent { peer }),
        };
        match trust.peer(&connection) {
            Ok(subject) => Ok(Member { subject, connection }),
            Err(stranger) => Err(self.tell_of(peer, stranger)),
        }
    }

    fn explain(&self, peer: SocketAddr, error: &ConnectionError, refusal: &Refusal) -> HandshakeError {
        if let Some(stranger) = refusal.stranger() {
            return self.tell_of(peer, stranger);
        }
        let why = error.to_string();
        match error {
            ConnectionError::TransportError(local) if u64::from(local.code) == CERTIFICATE_REQUIRED => {
                self.tell_of(peer, Stranger::NoCertificate)
            }
            ConnectionError::ConnectionClosed(close) if u64::from(close.error_code) == CONNECTION_REFUSED => {
                HandshakeError::Closed { peer, why: "it takes nobody at the moment".into() }
            }
            ConnectionError::ConnectionClosed(_) => {
                refused(peer, error).unwrap_or(HandshakeError::Foreign { peer, why })
            }
            ConnectionError::TimedOut => HandshakeError::Silent { peer },
            ConnectionError::TransportError(_) | ConnectionError::VersionMismatch => {
                HandshakeError::Foreign { peer, why }
            }
            ConnectionError::ApplicationClosed(_)
            | ConnectionError::Reset
            | ConnectionError::LocallyClosed
            | ConnectionError::CidsExhausted => HandshakeError::Closed { peer, why },
        }
    }

    /// Each stranger is told of once; the one who is told should know what to do.
    fn tell_of(&self, peer: SocketAddr, stranger: Stranger) -> HandshakeError {
        if self.is_new(peer.ip(), stranger.reason()) {
            self.note(&Event::Stranger { peer, stranger: stranger.clone() });
        }
        HandshakeError::Stranger { peer, stranger }
    }
}
