//! What leaves a host: datagrams and TCP segments, as the world's network carries them.

use crate::trace::Digest;
use std::fmt;
use std::net::SocketAddrV4;

/// Headers of IP and TCP, for accounting bandwidth.
const HEADERS: usize = 40;

/// One TCP segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Asks for a connection.
    Syn,
    /// Grants it.
    SynAck,
    /// Bytes of the stream, in order.
    Data(Vec<u8>),
    /// The receiver has room for so many bytes more. There are no separate acknowledgements: the wire is in
    /// order and retransmits by itself.
    Window(usize),
    /// No more bytes will come.
    Fin,
    /// The connection does not exist (any more).
    Rst,
}

impl Segment {
    /// Bytes on the wire, headers included.
    pub fn wire_length(&self) -> usize {
        match self {
            Segment::Data(bytes) => bytes.len() + HEADERS,
            _ => HEADERS,
        }
    }

    /// Whether TCP repeats it until it is acknowledged, and gives up at its time-out.
    pub fn is_retransmitted(&self) -> bool {
        !matches!(self, Segment::Window(_) | Segment::Rst)
    }

    fn code(&self) -> u64 {
        match self {
            Segment::Syn => 1,
            Segment::SynAck => 2,
            Segment::Data(_) => 3,
            Segment::Window(_) => 4,
            Segment::Fin => 5,
            Segment::Rst => 6,
        }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Segment::Syn => out.write_str("SYN"),
            Segment::SynAck => out.write_str("SYN+ACK"),
            Segment::Data(bytes) => write!(out, "{} bytes", bytes.len()),
            Segment::Window(bytes) => write!(out, "window +{bytes}"),
            Segment::Fin => out.write_str("FIN"),
            Segment::Rst => out.write_str("RST"),
        }
    }
}

/// What one emission carries.
#[derive(Clone, Debug)]
pub enum Payload {
    /// A UDP datagram.
    Datagram(Vec<u8>),
    /// A segment sent by the endpoint with this number; the other end is the number with its last bit turned.
    Segment(u64, Segment),
}

impl Payload {
    /// Bytes on the wire, headers included.
    pub fn wire_length(&self) -> usize {
        match self {
            Payload::Datagram(bytes) => bytes.len() + 28,
            Payload::Segment(_, segment) => segment.wire_length(),
        }
    }

    /// The two words by which the trace tells this packet from others.
    pub(crate) fn words(&self, source: SocketAddrV4, destination: SocketAddrV4) -> [u64; 2] {
        let ends = (fold(source) << 17) ^ fold(destination);
        match self {
            Payload::Datagram(bytes) => [ends, Digest::of(bytes)],
            Payload::Segment(direction, segment) => {
                let body = match segment {
                    Segment::Data(bytes) => Digest::of(bytes),
                    Segment::Window(bytes) => *bytes as u64,
                    _ => 0,
                };
                [ends ^ (direction << 3 | segment.code()).rotate_left(40), body]
            }
        }
    }
}

/// An address as one word.
fn fold(address: SocketAddrV4) -> u64 {
    (u64::from(u32::from(*address.ip())) << 16) | u64::from(address.port())
}

impl fmt::Display for Payload {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Payload::Datagram(bytes) => {
                write!(out, "udp {} bytes #{:08x}", bytes.len(), Digest::of(bytes) as u32)
            }
            Payload::Segment(direction, segment) => write!(out, "tcp{direction} {segment}"),
        }
    }
}

/// Something that left a host.
#[derive(Debug)]
pub struct Emission {
    /// World time in nanoseconds at which it leaves: inside its turn, after the time spent so far.
    pub at: u64,
    /// The sending host.
    pub from: u32,
    /// The host that has the destination's address; `None` when nobody has it.
    pub to: Option<u32>,
    /// The sender's address.
    pub source: SocketAddrV4,
    /// The receiver's address. Loopback addresses mean the sending host.
    pub destination: SocketAddrV4,
    /// What it carries.
    pub payload: Payload,
}
