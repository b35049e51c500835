//! Three hosts that ping each other over UDP: the smallest story with loss, a crash and a cut in it.

use super::books::Books;
use crate::{Crash, HostId, Machine, Simulation};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;

const NAMES: [&str; 3] = ["north", "south", "west"];
const PORT: u16 = 7_000;
const PERIOD: Duration = Duration::from_millis(50);
/// After all faults are healed each host hears from each other within this time, whatever is lost on the way.
const HEARD_WITHIN: Duration = Duration::from_secs(20);

/// One datagram: a ping or its answer, which repeats all but the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Packet {
    answer: bool,
    incarnation: u64,
    number: u64,
}

const PACKET_BYTES: usize = 17;

impl Packet {
    fn to_bytes(self) -> [u8; PACKET_BYTES] {
        let mut bytes = [0; PACKET_BYTES];
        bytes[0] = u8::from(self.answer);
        bytes[1..9].copy_from_slice(&self.incarnation.to_be_bytes());
        bytes[9..].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Packet> {
        let (&kind, rest) = bytes.split_first()?;
        let (incarnation, number) = rest.split_first_chunk::<8>()?;
        let (incarnation, number) = (u64::from_be_bytes(*incarnation), number.try_into().ok()?);
        Some(Packet { answer: kind == 1, incarnation, number: u64::from_be_bytes(number) })
    }
}

/// What the script reads of the hosts' doings.
#[derive(Debug, Default)]
struct Board {
    /// Answers by who asked and who answered, since the board was last wiped.
    answers: BTreeMap<(Ipv4Addr, Ipv4Addr), u64>,
    /// Promises that a host saw broken.
    broken: Vec<String>,
}

/// The script.
pub(super) fn run(sim: &mut Simulation) {
    let board = Books::<Board>::default();
    let addresses = Books::<Vec<Ipv4Addr>>::default();
    let hosts: Vec<HostId> = NAMES
        .iter()
        .map(|name| {
            let (board, addresses) = (board.clone(), addresses.clone());
            sim.host(name, move |machine| {
                let peers = addresses.open(|addresses| addresses.clone());
                ping_all(machine, peers, board.clone())
            })
        })
        .collect();
    addresses.open(|addresses| addresses.extend(hosts.iter().map(|host| sim.address(*host))));
    for host in &hosts {
        sim.start(*host);
    }
    sim.run_for(Duration::from_secs(2));

    let victim = hosts[(sim.random() % 3) as usize];
    let how = if sim.random().is_multiple_of(2) { Crash::Process } else { Crash::Power };
    sim.crash(victim, how);
    sim.cut(hosts[0], hosts[1]);
    let downtime = Duration::from_millis(sim.random() % 3_000);
    sim.run_for(downtime);
    sim.start(victim);
    sim.run_for(Duration::from_secs(1));

    sim.heal();
    board.open(|board| board.answers.clear());
    sim.demand("each host hears from each other", HEARD_WITHIN, |_| {
        board.open(|board| board.answers.len() == 6)
    });
    for broken in board.open(|board| std::mem::take(&mut board.broken)) {
        sim.violation(broken);
    }
}

/// A host's program: pings its peers, answers their pings, checks their answers.
async fn ping_all(machine: Machine, peers: Vec<Ipv4Addr>, board: Books<Board>) {
    let socket = match UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).await {
        Ok(socket) => socket,
        Err(error) => panic!("a fresh host has the port free: {error}"),
    };
    let mut number = 0;
    let mut ticks = tokio::time::interval(PERIOD);
    let mut bytes = [0; 64];
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                number += 1;
                let ping = Packet { answer: false, incarnation: machine.incarnation, number };
                for peer in peers.iter().filter(|peer| **peer != machine.address) {
                    note(socket.send_to(&ping.to_bytes(), (*peer, PORT)).await);
                }
            }
            received = socket.recv_from(&mut bytes) => {
                // A peer that is down may be reported here; the next one is read all the same.
                let Ok((length, from)) = received else { continue };
                match Packet::from_bytes(&bytes[..length]) {
                    Some(ping) if !ping.answer => {
                        let answer = Packet { answer: true, ..ping };
                        note(socket.send_to(&answer.to_bytes(), from).await);
                    }
                    Some(answer) => board.open(|board| board.take(&machine, number, answer, from)),
                    None => board.open(|board| {
                        board.broken.push(format!("{} received {length} bytes that nobody sent", machine.name));
                    }),
                }
            }
        }
    }
}

/// UDP promises nothing, so a send that fails is as good as a lost one.
fn note(sent: io::Result<usize>) {
    if let Err(error) = sent {
        tracing::debug!(%error, "not sent");
    }
}

impl Board {
    /// An answer counts for the incarnation that asked; it never answers what was not asked.
    fn take(&mut self, machine: &Machine, asked: u64, answer: Packet, from: SocketAddr) {
        let current = answer.incarnation == machine.incarnation;
        if answer.incarnation > machine.incarnation || (current && answer.number > asked) {
            self.broken.push(format!("{} got {answer:?} from {from} and never asked that", machine.name));
        }
        if let SocketAddr::V4(from) = from
            && current
        {
            *self.answers.entry((machine.address, *from.ip())).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_comes_back_from_its_bytes() {
        let packet = Packet { answer: true, incarnation: 3, number: u64::MAX };
        assert_eq!(Packet::from_bytes(&packet.to_bytes()), Some(packet));
        assert_eq!(Packet::from_bytes(&packet.to_bytes()[..16]), None);
        assert_eq!(Packet::from_bytes(&[]), None);
    }
}
