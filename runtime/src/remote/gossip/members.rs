//! Who there is, as gossip tells: an immutable picture that everyone else reads.

use chitchat::{Chitchat, ChitchatId};
use odeon_core::{NodeId, NodeName};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The version number of a node's list of services.
pub(super) const SERVICES: &str = "services";
/// The version number of a node's list of members of groups.
pub(super) const TOPICS: &str = "topics";
/// The version of the program.
pub(super) const VERSION: &str = "odeon";

/// What gossip says of a node. Evidence, not a verdict: all of a part of the network may be mistaken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Liveness {
    /// Somebody has heard of it lately.
    Alive,
    /// Nobody has, or a later incarnation of it has come.
    Dead,
    /// It has not been heard of yet.
    #[default]
    Unknown,
}

impl Liveness {
    /// As a word: `alive`, `dead` or `unknown`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Dead => "dead",
            Self::Unknown => "unknown",
        }
    }
}

/// The latest incarnation of a node of which anything was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::remote) struct Member {
    pub(in crate::remote) incarnation: u64,
    /// Where it says that it listens.
    pub(in crate::remote) address: SocketAddr,
    pub(in crate::remote) is_alive: bool,
    /// The number of its list of services; 0 if that was not heard of yet.
    pub(in crate::remote) services: u64,
    /// The number of its list of members of groups; 0 if there are none, or that was not heard of yet.
    pub(in crate::remote) topics: u64,
    /// The version of Odeon that it runs; empty if that was not heard of yet.
    pub(in crate::remote) version: String,
}

/// All other nodes of which was heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::remote) struct Members {
    by_name: BTreeMap<NodeName, Member>,
    by_address: BTreeMap<SocketAddr, NodeName>,
}

impl Members {
    /// What chitchat knows now.
    pub(super) fn of_chitchat(chitchat: &Chitchat) -> Self {
        let own = chitchat.self_chitchat_id();
        let live: std::collections::BTreeSet<&ChitchatId> = chitchat.live_nodes().collect();
        let mut members = Self::default();
        for (id, state) in chitchat.node_states() {
            // what cannot be a name was not said by a node of ours
            let Some(name) = id.node_id.parse().ok().filter(|_| id.node_id != own.node_id) else { continue };
            let number = |key: &str| state.get(key).and_then(|number| number.parse().ok()).unwrap_or(0);
            let member = Member {
                incarnation: id.generation_id,
                address: id.gossip_advertise_addr,
                is_alive: live.contains(id),
                services: number(SERVICES),
                topics: number(TOPICS),
                version: state.get(VERSION).unwrap_or_default().to_owned(),
            };
            members.insert(name, member);
        }
        members
    }

    fn insert(&mut self, name: NodeName, member: Member) {
        if let Some(known) = self.by_name.get(&name) {
            if known.incarnation > member.incarnation {
                return;
            }
            self.by_address.remove(&known.address);
        }
        self.by_address.insert(member.address, name.clone());
        self.by_name.insert(name, member);
    }

    pub(in crate::remote) fn of(&self, name: &NodeName) -> Option<&Member> {
        self.by_name.get(name)
    }

    pub(in crate::remote) fn iter(&self) -> impl Iterator<Item = (&NodeName, &Member)> {
        self.by_name.iter()
    }

    /// Who listens at an address.
    pub(super) fn at(&self, address: SocketAddr) -> Option<&NodeName> {
        self.by_address.get(&address)
    }

    pub(in crate::remote) fn liveness(&self, node: &NodeId) -> Liveness {
        match self.of(&node.name) {
            None => Liveness::Unknown,
            Some(member) if member.incarnation < node.incarnation => Liveness::Unknown,
            Some(member) if member.incarnation == node.incarnation && member.is_alive => Liveness::Alive,
            Some(_) => Liveness::Dead,
        }
    }

    pub(in crate::remote) fn is_alive(&self, node: &NodeId) -> bool {
        self.liveness(node) == Liveness::Alive
    }

    /// Those that are heard of, each with its incarnation.
    pub(super) fn alive(&self) -> impl Iterator<Item = (&NodeName, u64)> {
        let alive = self.by_name.iter().filter(|(_, member)| member.is_alive);
        alive.map(|(name, member)| (name, member.incarnation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(incarnation: u64, port: u16, is_alive: bool) -> Member {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Member { incarnation, address, is_alive, services: 0, topics: 0, version: String::new() }
    }

    #[test]
    fn only_the_latest_incarnation_of_a_node_counts_in_whatever_order_they_come() {
        let north: NodeName = "north".parse().expect("a name");
        let node = |incarnation| NodeId { name: north.clone(), incarnation };
        let states = [member(1, 10, true), member(2, 20, true)];
        for order in [[0, 1], [1, 0]] {
            let mut members = Members::default();
            order.iter().for_each(|at| members.insert(north.clone(), states[*at].clone()));
            assert_eq!(members.of(&north), Some(&states[1]));
            assert_eq!(members.at(states[1].address), Some(&north));
            assert_eq!(members.at(states[0].address), None, "nobody is there any more");
            let said: Vec<_> = (1..=3).map(|incarnation| members.liveness(&node(incarnation))).collect();
            assert_eq!(said, [Liveness::Dead, Liveness::Alive, Liveness::Unknown]);
        }
    }
}
