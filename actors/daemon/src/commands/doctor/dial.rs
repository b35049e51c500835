//! One dial of a peer, as far as mutual TLS goes: the peer learns who has dialed, and is told nothing more. It keeps no
//! book of that: a running node of this name, its links and its incarnations stay as they are.

use odeon::core::NodeName;
use odeon::remote::Endpoint;
use odeon::remote::endpoint::{HandshakeError, refused};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often somebody looks what a connection has found out.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A path is known well enough when no larger packet has been tried for so long.
const QUIET: Duration = Duration::from_millis(400);
/// No path is looked at for longer: less than a peer waits for what a node would say next.
const LOOK_WITHIN: Duration = Duration::from_millis(2_500);
/// The search for the largest packet stops when it is as near (quinn).
const PACKET_STEP: u16 = 20;
const CLOSED: &[u8] = b"odeon doctor has seen enough";

/// Who answers at an address, and what the way there is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) node: NodeName,
    pub(super) address: SocketAddr,
    /// The address is one of this machine.
    pub(super) is_here: bool,
    /// How long the handshake took.
    pub(super) handshake: Duration,
    pub(super) round_trip: Duration,
    /// The largest packet that has come there, in bytes of UDP payload.
    pub(super) packet: u16,
}

/// Dials, looks at the way, and closes the connection.
///
/// # Errors
/// Why there is none. A peer that refuses this node does so after the dialer's own part of the handshake.
pub(super) async fn dial(
    endpoint: &Endpoint,
    address: SocketAddr,
    packet_max: u16,
) -> Result<Reached, HandshakeError> {
    let begun = Instant::now();
    let member = endpoint.connect(address).await?;
    let (handshake, node, connection) = (begun.elapsed(), member.name().clone(), &member.connection);
    let (looked, mut probes, mut quiet_since) = (Instant::now(), 0, Instant::now());
    loop {
        if let Some(reason) = connection.close_reason() {
            let closed = || HandshakeError::Closed { peer: address, why: reason.to_string() };
            return Err(refused(address, &reason).unwrap_or_else(closed));
        }
        let stats = connection.stats();
        if stats.path.sent_plpmtud_probes != probes {
            (probes, quiet_since) = (stats.path.sent_plpmtud_probes, Instant::now());
        }
        // the peer says so once it has seen our certificate (RFC 9001, 4.1.2)
        let accepted = stats.frame_rx.handshake_done > 0;
        let packet = stats.path.current_mtu;
        let is_known = packet.saturating_add(PACKET_STEP) > packet_max || quiet_since.elapsed() > QUIET;
        if accepted && (is_known || looked.elapsed() > LOOK_WITHIN) {
            let round_trip = stats.path.min_rtt;
            connection.close(0u32.into(), CLOSED);
            let is_here = UdpSocket::bind((address.ip(), 0)).is_ok();
            return Ok(Reached { node, address, is_here, handshake, round_trip, packet });
        }
        if looked.elapsed() > LOOK_WITHIN {
            connection.close(0u32.into(), CLOSED);
            return Err(HandshakeError::Silent { peer: address });
        }
        sleep(LOOK_EVERY).await;
    }
}
