//! Who has a port: what Linux tells in `/proc` of sockets and of processes. Elsewhere, and of other users' processes,
//! nothing is known.

use std::fs;
use std::path::Path;

/// Processes that are looked at, at the most.
const PROCESSES_MAX: usize = 65_536;
/// How `/proc/net/tcp` names the state of a socket that listens.
const LISTENS: &str = "0A";

/// What a port is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    /// Those of both versions of IP.
    fn tables(self) -> [&'static str; 2] {
        match self {
            Self::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
            Self::Udp => ["/proc/net/udp", "/proc/net/udp6"],
        }
    }
}

/// A socket that has a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Socket {
    inode: u64,
    /// Packets for which it had no room (UDP).
    dropped: u64,
}

/// The process that has a port: `process 7 (odeon)`.
pub(super) fn holder(protocol: Protocol, port: u16) -> Option<String> {
    let sockets = sockets(protocol, port);
    let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok).take(PROCESSES_MAX);
    for process in processes {
        let name = process.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if has_one_of(&process.path().join("fd"), &sockets) {
            let called = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("process {pid} ({})", called.trim()));
        }
    }
    None
}

/// Packets for which the sockets at a port of UDP had no room.
pub(super) fn dropped(port: u16) -> Option<u64> {
    let found = sockets(Protocol::Udp, port);
    (!found.is_empty()).then(|| found.iter().map(|socket| socket.dropped).sum())
}

fn sockets(protocol: Protocol, port: u16) -> Vec<Socket> {
    let tables = protocol.tables().map(|table| fs::read_to_string(table).unwrap_or_default());
    tables.iter().flat_map(|table| parse(table, protocol, port)).collect()
}

fn has_one_of(descriptors: &Path, sockets: &[Socket]) -> bool {
    let Ok(found) = fs::read_dir(descriptors) else { return false };
    found.filter_map(Result::ok).filter_map(|each| fs::read_link(each.path()).ok()).any(|target| {
        let target = target.to_string_lossy();
        let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        inode
            .and_then(|inode| inode.parse().ok())
            .is_some_and(|inode: u64| sockets.iter().any(|socket| socket.inode == inode))
    })
}

/// The sockets of a table of `/proc/net` that have this port on this side (proc(5)).
fn parse(table: &str, protocol: Protocol, port: u16) -> Vec<Socket> {
    let socket = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (_, own) = columns.get(1)?.rsplit_once(':')?;
        let fits = u16::from_str_radix(own, 16).ok()? == port;
        let counts = protocol == Protocol::Udp || *columns.get(3)? == LISTENS;
        // of TCP the last column is another one
        let dropped =
            columns.get(12).filter(|_| protocol == Protocol::Udp).and_then(|last| last.parse().ok());
        let inode = columns.get(9)?.parse().ok()?;
        (fits && counts).then_some(Socket { inode, dropped: dropped.unwrap_or(0) })
    };
    table.lines().skip(1).filter_map(socket).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sockets_at_a_port_are_read_from_the_tables_of_the_system() {
        let tcp = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11160 1 0 100 0 0 10 0\n   \
                   1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 11170 1 0 20 4 30 10 -1\n";
        assert_eq!(parse(tcp, Protocol::Tcp, 8080), [Socket { inode: 11160, dropped: 0 }]);
        assert_eq!(parse(tcp, Protocol::Tcp, 8081), []);
        let udp = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n \
                   9848: 00000000000000000000000000000000:79CF 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 11157 2 0000000013d80061 17\n";
        assert_eq!(parse(udp, Protocol::Udp, 31_183), [Socket { inode: 11157, dropped: 17 }]);
        assert_eq!(parse("", Protocol::Udp, 31_183), []);
    }
}
