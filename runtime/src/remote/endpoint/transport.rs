//! How connections behave: times, windows and packet sizes, each with its reason.

use super::congestion::{Closing, Congestion};
use crate::remote::target::LANES;
use odeon_core::membership::Times;
use quinn::{MtuDiscoveryConfig, TransportConfig, VarInt};
use std::sync::Arc;
use std::time::Duration;

/// What every path carries (RFC 9000, 14.1).
pub const MTU_MIN: u16 = 1_200;
/// What a path of Ethernet frames carries: 1,500 bytes less IPv6 and UDP headers.
pub const MTU_ETHERNET: u16 = 1_452;
/// The most that segmentation offload takes: somewhat above, connections were seen to hang.
pub const MTU_MAX: u16 = 6_500;

/// The first guess at a round trip, until one is measured. A lost first packet is sent again after three of it: the
/// specification's 333 ms (RFC 9002, 6.2.2) make a second of that, which is most of the time that a cluster takes to
/// suspect a node. Between distant regions the guess costs a duplicate of the first packet.
const ROUND_TRIP_INITIAL: Duration = Duration::from_millis(100);

/// So many packets may overtake one before it counts as lost: time decides ([`TIME_THRESHOLD`]), as in RFC 8985. With
/// the three of RFC 9002 a path that takes a different time for each packet carries a tenth of what it could.
const PACKET_THRESHOLD: u32 = 1_000;
/// A packet counts as lost once later ones were acknowledged and it was sent so many round trips ago. With the 9/8 of
/// RFC 9002 packets that take half as long again as others are taken for lost
/// (docs/decisions/0009-when-does-a-packet-count-as-lost.md).
const TIME_THRESHOLD: f32 = 1.5;

/// What can be chosen about connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transport {
    /// A connection ends after so long without a packet from the peer. The shorter of both ends counts.
    pub idle_max: Duration,
    /// A packet is sent after so long without one. None by default: links between nodes send probes of their own.
    pub keep_alive: Option<Duration>,
    /// Unread bytes of one stream that the peer may send. Bounds memory for each lane.
    pub stream_window: u32,
    /// Unread bytes of all streams that the peer may send. Bounds memory for each connection.
    pub connection_window: u32,
    /// Bytes that may be sent and not yet acknowledged. Bounds memory for each connection.
    pub send_window: u32,
    /// Large bodies that the peer may send at once, each on a stream of its own. For each stream that may be opened quinn
    /// has an entry in tables that hold 28, 56 and so on; those of all lanes, for replicas and for control are there too.
    pub bodies_max: u32,
    /// Bytes of datagrams that wait to be sent, and as many that wait to be read; then the oldest are dropped.
    pub datagram_buffer: u32,
    /// The largest packet that is tried, in bytes of UDP payload, [`MTU_MIN`] to [`MTU_MAX`]. What a path does not
    /// carry is found out by probes, a handful for each connection, whose loss slows nothing down.
    pub mtu_max: u16,
    /// A handshake of TLS that takes longer has failed. What nodes say to each other then has five seconds.
    pub handshake_max: Duration,
    /// A node looks so often whether its peers live: see [`Times::probe`].
    pub probe: Duration,
    /// Probes without an answer that make a peer suspect: see [`Times::probes_missed`].
    pub probes_missed: u32,
}

impl Default for Transport {
    fn default() -> Self {
        let times = Times::default();
        Self {
            idle_max: Duration::from_secs(10),
            keep_alive: None,
            stream_window: 1 << 20,
            connection_window: 8 << 20,
            send_window: 8 << 20,
            bodies_max: 18,
            datagram_buffer: 64 << 10,
            mtu_max: MTU_MAX,
            handshake_max: Duration::from_secs(5),
            probe: times.probe,
            probes_missed: times.probes_missed,
        }
    }
}

impl Transport {
    /// The one place where quinn is told how to behave.
    pub(super) fn config(&self, closing: Closing) -> Arc<TransportConfig> {
        let mut config = TransportConfig::default();
        let lanes_and_replicas = VarInt::from_u32(LANES as u32 + 1);
        let bodies_and_control = VarInt::from_u32(self.bodies_max.saturating_add(1));
        let datagrams = self.datagram_buffer as usize;
        let idle = self.idle_max.try_into().unwrap_or(VarInt::MAX.into());
        let mut discovery = MtuDiscoveryConfig::default();
        discovery.upper_bound(self.mtu_max);
        let congestion = Congestion::new(closing);
        // The congestion control stays quinn's CUBIC: BBR reached half of its throughput on loopback.
        config
            .max_idle_timeout(Some(idle))
            .keep_alive_interval(self.keep_alive)
            .stream_receive_window(VarInt::from_u32(self.stream_window))
            .receive_window(VarInt::from_u32(self.connection_window))
            .send_window(u64::from(self.send_window))
            .max_concurrent_bidi_streams(bodies_and_control)
            .max_concurrent_uni_streams(lanes_and_replicas)
            .datagram_receive_buffer_size(Some(datagrams))
            .datagram_send_buffer_size(datagrams)
            .initial_rtt(ROUND_TRIP_INITIAL)
            .initial_mtu(MTU_MIN)
            .packet_threshold(PACKET_THRESHOLD)
            .time_threshold(TIME_THRESHOLD)
            .congestion_controller_factory(Arc::new(congestion))
            .mtu_discovery_config(Some(discovery));
        Arc::new(config)
    }

    /// Whether the packet size is one that works.
    pub(super) fn mtu_works(&self) -> bool {
        (MTU_MIN..=MTU_MAX).contains(&self.mtu_max)
    }
}
