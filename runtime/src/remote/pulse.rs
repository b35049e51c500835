//! Finds connections that have fallen silent. QUIC does so itself, but not before three of its probes could have been
//! answered (RFC 9000, 10.1), and after the program was stopped for a while it takes a round trip to last as long: a
//! peer that crashed meanwhile would be missed for minutes.

use super::core::{Core, Entry};
use super::endpoint::{Transport, close};
use crate::reach::reached;
use quinn::{Connection, VarInt};
use std::collections::BTreeMap;
use std::time::Duration;

/// Looks in the time after which a silent connection ends.
const LOOKS: u32 = 3;
/// The code with which a connection is closed over which nothing comes.
const SILENT: VarInt = VarInt::from_u32(1);

/// What was seen of connections, by their numbers.
#[derive(Default)]
pub(super) struct Pulse(BTreeMap<usize, Beat>);

#[derive(Clone, Copy, Default)]
struct Beat {
    /// Packets that have come.
    packets: u64,
    /// Looks since the last one came. Time would count what the program was stopped for.
    silent: u32,
}

impl Pulse {
    /// The time from one look to the next.
    pub(super) fn every(transport: &Transport) -> Duration {
        transport.idle_max / LOOKS
    }

    /// Closes connections over which nothing has come for longer than they may be idle.
    pub(super) fn look(&mut self, core: &Core) {
        let last = std::mem::take(&mut self.0);
        for connection in core.connections() {
            let packets = connection.stats().udp_rx.datagrams;
            let was = last.get(&connection.stable_id()).copied().unwrap_or_default();
            let silent = if packets == was.packets { was.silent + 1 } else { 0 };
            if silent > LOOKS {
                close(&connection, SILENT, b"nothing was heard");
                reached!(SILENT);
            }
            self.0.insert(connection.stable_id(), Beat { packets, silent });
        }
    }
}

impl Core {
    fn connections(&self) -> Vec<Connection> {
        let up = |entry: &Entry| {
            let holding = entry.held.as_ref().filter(|holding| holding.is_up)?;
            Some(holding.connection.clone())
        };
        let mut connections: Vec<_> = self.peers.lock().values().filter_map(up).collect();
        connections.extend(self.clients.lock().values().filter_map(up));
        connections
    }
}
