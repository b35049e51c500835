//! Ports: which socket of a host hears what. Loopback is a key of its own, so that 127.0.0.1 can only be
//! reached from its own host.

use crate::kernel::Kernel;
use crate::symbol::{Errno, Outcome};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

/// The last port that is handed out to sockets that do not ask for one (Linux's default range).
const EPHEMERAL_LAST: u16 = 60_999;
/// The first one.
const EPHEMERAL_FIRST: u16 = 32_768;

/// The two transports have separate ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// One port on one of a host's two addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Port {
    host: u32,
    transport: Transport,
    loopback: bool,
    number: u16,
}

/// Which sockets hold which ports. With `SO_REUSEPORT` several may hold one.
#[derive(Debug, Default)]
pub(crate) struct Ports(BTreeMap<Port, Vec<usize>>);

impl Ports {
    /// A socket is gone; its ports are free.
    pub(crate) fn release(&mut self, object: usize) {
        self.0.retain(|_, holders| {
            holders.retain(|each| *each != object);
            !holders.is_empty()
        });
    }
}

impl Kernel {
    /// The keys that a bind to this address takes.
    fn keys(&self, host: u32, transport: Transport, address: SocketAddrV4) -> Outcome<Vec<Port>> {
        let key = |loopback| Port { host, transport, loopback, number: address.port() };
        match *address.ip() {
            ip if ip.is_unspecified() => Ok(vec![key(false), key(true)]),
            ip if ip.is_loopback() => Ok(vec![key(true)]),
            ip if ip == self.host(host).address => Ok(vec![key(false)]),
            _ => Err(Errno(libc::EADDRNOTAVAIL)),
        }
    }

    fn is_taken(&self, keys: &[Port], shares: bool) -> bool {
        let shared = |object: &usize| {
            self.table.object(*object).option(libc::SOL_SOCKET, libc::SO_REUSEPORT).is_some_and(|on| on != 0)
        };
        keys.iter().filter_map(|key| self.ports.0.get(key)).any(|held| !(shares && held.iter().all(shared)))
    }

    /// Gives a socket its port; port 0 asks for any free one. Returns the address with the port.
    pub(crate) fn claim(
        &mut self,
        object: usize,
        transport: Transport,
        address: SocketAddrV4,
    ) -> Outcome<SocketAddrV4> {
        let host = self.table.object(object).host;
        let shares =
            self.table.object(object).option(libc::SOL_SOCKET, libc::SO_REUSEPORT).is_some_and(|on| on != 0);
        let mut address = address;
        let keys = if address.port() == 0 {
            let mut tries = EPHEMERAL_LAST - EPHEMERAL_FIRST;
            loop {
                address.set_port(self.next_port(host));
                let keys = self.keys(host, transport, address)?;
                if !self.is_taken(&keys, false) {
                    break keys;
                }
                tries = tries.checked_sub(1).ok_or(Errno(libc::EADDRINUSE))?;
            }
        } else {
            let keys = self.keys(host, transport, address)?;
            if self.is_taken(&keys, shares) {
                return Err(Errno(libc::EADDRINUSE));
            }
            keys
        };
        for key in keys {
            self.ports.0.entry(key).or_default().push(object);
        }
        Ok(address)
    }

    /// The next port that nobody asked for by number.
    pub(crate) fn next_port(&mut self, host: u32) -> u16 {
        let last = &mut self.host_mut(host).port_last;
        *last = if *last >= EPHEMERAL_LAST { EPHEMERAL_FIRST } else { *last + 1 };
        *last
    }

    /// The socket of a host that hears a packet. Sockets that share a port divide it by the sender's address.
    pub(crate) fn holder(
        &self,
        host: u32,
        transport: Transport,
        source: SocketAddrV4,
        destination: SocketAddrV4,
    ) -> Option<usize> {
        let loopback = destination.ip().is_loopback();
        let key = Port { host, transport, loopback, number: destination.port() };
        let holders = self.ports.0.get(&key)?;
        let spread = u64::from(u32::from(*source.ip())) ^ (u64::from(source.port()) << 32);
        let choice = spread.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        holders.get(choice as usize % holders.len()).copied()
    }

    /// The address a host sends from to this destination.
    pub(crate) fn source_for(&self, host: u32, destination: Ipv4Addr) -> Ipv4Addr {
        if destination.is_loopback() { Ipv4Addr::LOCALHOST } else { self.host(host).address }
    }
}

/// "This host", said as 0.0.0.0, means loopback when it is a destination.
pub(crate) fn destination(address: SocketAddrV4) -> SocketAddrV4 {
    let ip = if address.ip().is_unspecified() { Ipv4Addr::LOCALHOST } else { *address.ip() };
    SocketAddrV4::new(ip, address.port())
}
