//! Whether the node could listen; of one that runs, whether its ports answer.

use super::report::{Check, Group};
use super::site::{Occupant, Site};
use super::sockets::{self, Protocol};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

const GROUP: Group = Group::Ports;
const LISTENS_WITHIN: Duration = Duration::from_secs(2);
const HOLDER_WITHIN: Duration = Duration::from_secs(2);

/// A port of a node.
#[derive(Clone, Copy, Debug)]
struct Port {
    name: &'static str,
    address: SocketAddr,
    protocol: Protocol,
    flag: &'static str,
}

/// Makes all checks of them.
pub(super) async fn check(site: &Site) -> Vec<Check> {
    match &site.occupant {
        Occupant::Node(node) => {
            let (http, management) =
                tokio::join!(answers("http", node.http), answers("management", node.management));
            vec![http, management]
        }
        Occupant::Silent => {
            vec![GROUP.skipped("all of them", "a node runs here that does not say yet what it has")]
        }
        Occupant::Unknown(_) => {
            vec![GROUP.skipped("all of them", "nobody can tell whether a node runs here that has them")]
        }
        Occupant::None => {
            let ports = ports(site);
            // all at once: two of them may be the same
            let bound: Vec<_> = ports.iter().map(|port| port.bind()).collect();
            let mut checks = Vec::new();
            for (port, bound) in ports.iter().zip(&bound) {
                let holder = match bound {
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => port.holder(site).await,
                    _ => None,
                };
                checks.push(port.judge(bound.as_ref().map(drop), holder.as_deref()));
            }
            checks
        }
    }
}

fn ports(site: &Site) -> Vec<Port> {
    let settings = &site.settings;
    let tcp = |name, address, flag| Port { name, address, protocol: Protocol::Tcp, flag };
    let mut ports = vec![
        tcp("http", settings.http.address, "--http"),
        tcp("management", settings.management, "--management"),
    ];
    if let Some(cluster) = &settings.cluster {
        let (address, protocol) = (cluster.listen, Protocol::Udp);
        ports.push(Port { name: "cluster", address, protocol, flag: "--cluster-listen" });
    }
    ports
}

/// Something that has a port as long as it lives.
enum Bound {
    Tcp(#[expect(dead_code, reason = "its port is free when it goes")] TcpListener),
    Udp(#[expect(dead_code, reason = "its port is free when it goes")] UdpSocket),
}

impl Port {
    fn bind(&self) -> io::Result<Bound> {
        match self.protocol {
            Protocol::Tcp => TcpListener::bind(self.address).map(Bound::Tcp),
            Protocol::Udp => UdpSocket::bind(self.address).map(Bound::Udp),
        }
    }

    async fn holder(&self, site: &Site) -> Option<String> {
        let (protocol, port) = (self.protocol, self.address.port());
        site.blocking(HOLDER_WITHIN, move || sockets::holder(protocol, port)).await.ok().flatten()
    }

    fn judge(&self, bound: Result<(), &io::Error>, holder: Option<&str>) -> Check {
        let Self { name, address, protocol, flag } = self;
        let kind = match protocol {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
        };
        let error = match bound {
            Ok(()) if address.port() == 0 => {
                return GROUP.ok(name, format_args!("{address} ({kind}): any free port"));
            }
            Ok(()) => return GROUP.ok(name, format_args!("{address} ({kind}) is free")),
            Err(error) => error,
        };
        match error.kind() {
            io::ErrorKind::AddrInUse => {
                let holder = holder.unwrap_or("somebody whom the system does not name (another user's process?)");
                let found = format!("{address} ({kind}) is taken by {holder}");
                GROUP.failed(name, found, format_args!("stop that, or choose another port with {flag} ADDR"))
            }
            io::ErrorKind::AddrNotAvailable => GROUP.failed(
                name,
                format_args!("{address} ({kind}): no interface of this machine has that address"),
                format_args!("choose one that it has with {flag} ADDR (`ip address` lists them), or 0.0.0.0 for all"),
            ),
            io::ErrorKind::PermissionDenied => GROUP.failed(
                name,
                format_args!("{address} ({kind}) is not for this user"),
                format_args!("ports below 1024 need the right CAP_NET_BIND_SERVICE: choose a higher one with {flag} ADDR"),
            ),
            _ => GROUP.failed(
                name,
                format_args!("{address} ({kind}) cannot be had: {error}"),
                format_args!("choose another address with {flag} ADDR"),
            ),
        }
    }
}

/// Whether a port of a node that runs takes connections.
async fn answers(name: &str, address: SocketAddr) -> Check {
    let advice = "its process may be suspended, overloaded or out of descriptors: its log may say so";
    match timeout(LISTENS_WITHIN, TcpStream::connect(reached_at(address))).await {
        Ok(Ok(_)) => GROUP.ok(name, format_args!("the node listens on {address} (TCP)")),
        Ok(Err(error)) => {
            GROUP.failed(name, format_args!("the node should listen on {address} (TCP): {error}"), advice)
        }
        Err(_) => GROUP.failed(
            name,
            format_args!("the node takes no connection on {address} (TCP) within {LISTENS_WITHIN:.0?}"),
            advice,
        ),
    }
}

/// Where this machine reaches what listens on an address, which may be that of all interfaces.
pub(super) fn reached_at(listens: SocketAddr) -> SocketAddr {
    let ip = match listens.ip() {
        ip if !ip.is_unspecified() => ip,
        ip if ip.is_ipv4() => std::net::Ipv4Addr::LOCALHOST.into(),
        _ => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, listens.port())
}

#[cfg(test)]
mod tests {
    use super::super::report::Outcome;
    use super::*;

    #[test]
    fn why_a_port_cannot_be_had_is_told_with_what_to_do() {
        let port = |address: &str| Port {
            name: "http",
            address: address.parse().expect("an address"),
            protocol: Protocol::Tcp,
            flag: "--http",
        };
        let judged = |kind: io::ErrorKind, holder| port("127.0.0.1:80").judge(Err(&kind.into()), holder);
        let taken = judged(io::ErrorKind::AddrInUse, Some("process 7 (nginx)"));
        assert_eq!(
            (taken.outcome, &*taken.found),
            (Outcome::Failed, "127.0.0.1:80 (TCP) is taken by process 7 (nginx)")
        );
        assert!(judged(io::ErrorKind::AddrInUse, None).found.contains("does not name"));
        for (kind, said) in [
            (io::ErrorKind::AddrNotAvailable, "0.0.0.0 for all"),
            (io::ErrorKind::PermissionDenied, "CAP_NET_BIND_SERVICE"),
            (io::ErrorKind::Other, "another address"),
        ] {
            let check = judged(kind, None);
            assert!(
                check.outcome == Outcome::Failed && check.advice.is_some_and(|advice| advice.contains(said))
            );
        }
        assert_eq!(port("127.0.0.1:0").judge(Ok(()), None).found, "127.0.0.1:0 (TCP): any free port");
        assert_eq!(port("127.0.0.1:80").judge(Ok(()), None).outcome, Outcome::Ok);
    }

    #[test]
    fn what_listens_on_all_interfaces_is_reached_on_this_machine() {
        let reached = |listens: &str| reached_at(listens.parse().expect("an address")).to_string();
        assert_eq!(reached("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(reached("[::]:80"), "[::1]:80");
        assert_eq!(reached("10.0.0.1:80"), "10.0.0.1:80");
    }
}
