//! Ports for nodes that keep them: a node that is started again comes back to where it was.

use crate::exit::Failure;
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::ops::Range;

/// Where free ones are looked for: below those that operating systems hand out by themselves (from 32768 on Linux,
/// from 49152 elsewhere: RFC 6335, section 6), which anybody may get while a node is away.
const RANGE: Range<u16> = 20_000..32_768;
/// Between the ports of two nodes: the management interface of the first is in between.
const STEP: u16 = 2;

/// What listens on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    /// Whether somebody could listen there now.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn try_listen(self, address: SocketAddr) -> io::Result<()> {
        match self {
            Self::Tcp => TcpListener::bind(address).map(drop),
            Self::Udp => UdpSocket::bind(address).map(drop),
        }
    }
}

/// Hands out ports, none of them twice.
#[derive(Debug)]
pub(super) struct Ports {
    next: u16,
    handed: BTreeSet<(Protocol, u16)>,
}

impl Ports {
    /// Begins somewhere: launchers that run at the same time do not get into each other's way.
    pub(super) fn beginning(random: u64) -> Self {
        let step = u16::try_from(random % RANGE.len() as u64).expect("fewer than there are ports");
        Self { next: RANGE.start + step, handed: BTreeSet::new() }
    }

    /// This one, unless it is taken; then a free one.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn or_free(&mut self, wanted: SocketAddr, protocol: Protocol) -> Result<SocketAddr, Failure> {
        let key = (protocol, wanted.port());
        if wanted.port() > 0 && !self.handed.contains(&key) && protocol.try_listen(wanted).is_ok() {
            self.handed.insert(key);
            return Ok(wanted);
        }
        self.free(wanted.ip(), protocol)
    }

    /// A free one.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn free(&mut self, ip: IpAddr, protocol: Protocol) -> Result<SocketAddr, Failure> {
        for _ in RANGE {
            let address = SocketAddr::new(ip, self.next);
            self.next = if self.next + 1 < RANGE.end { self.next + 1 } else { RANGE.start };
            let is_new = !self.handed.contains(&(protocol, address.port()));
            if is_new && protocol.try_listen(address).is_ok() {
                self.handed.insert((protocol, address.port()));
                return Ok(address);
            }
        }
        Err(Failure::failed(format_args!("{ip} has no free port from {} to {}", RANGE.start, RANGE.end - 1)))
    }

    /// The port of the node with this index, in a row that begins with an address; port 0 is any free one.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn in_row(&mut self, first: SocketAddr, index: usize) -> Result<SocketAddr, Failure> {
        if first.port() == 0 {
            return self.free(first.ip(), Protocol::Tcp);
        }
        let later = u16::try_from(index).ok().and_then(|index| first.port().checked_add(STEP * index));
        let address = later.map(|port| SocketAddr::new(first.ip(), port));
        let Some(address) = address else {
            return Err(Failure::usage(format_args!("{first}: so many nodes have no ports from there on"))
                .advice("choose a lower port: each node has one that is higher by 2"));
        };
        self.handed.insert((Protocol::Tcp, address.port()));
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn free_ports_are_free_and_differ_and_lie_below_those_that_are_handed_out_by_the_system() {
        for random in [0, 1, u64::MAX, RANGE.len() as u64 - 1] {
            let mut ports = Ports::beginning(random);
            let mut seen = BTreeSet::new();
            for _ in 0..4 {
                let address = ports.free(HERE, Protocol::Tcp).expect("there is one");
                assert!(RANGE.contains(&address.port()), "{address}");
                assert!(seen.insert(address));
            }
        }
    }

    #[test]
    fn a_port_that_is_taken_is_replaced() {
        let taken = UdpSocket::bind((HERE, 0)).expect("a free port").local_addr().expect("it is bound");
        let mut ports = Ports::beginning(7);
        // nobody holds it any more
        let got = ports.or_free(taken, Protocol::Udp).expect("a port");
        let other = ports.or_free(got, Protocol::Udp).expect("a port");
        assert_ne!(other, got, "it has been handed out");
    }

    #[test]
    fn the_nodes_of_a_row_are_two_ports_apart() {
        let mut ports = Ports::beginning(7);
        let first = SocketAddr::new(HERE, 8080);
        let mut port = |first, index| ports.in_row(first, index).map(|address| address.port());
        assert_eq!(port(first, 0), Ok(8080));
        assert_eq!(port(first, 2), Ok(8084));
        let high = SocketAddr::new(HERE, u16::MAX - 1);
        assert!(port(high, 1).is_err_and(|failure| failure.problem.contains("no ports from there on")));
        assert!(port(SocketAddr::new(HERE, 0), 1).is_ok_and(|port| RANGE.contains(&port)));
    }
}
