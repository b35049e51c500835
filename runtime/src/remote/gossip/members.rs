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

/// Whom a node suspects: `name@incarnation`, separated by commas.
pub(super) const SUSPECTS: &str = "suspects";
/// Of so many suspects a node tells at the most: more of them say that it is cut off itself.
pub(super) const SUSPECTS_MAX: usize = 16;

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
    /// Whom it suspects.
    pub(in crate::remote) suspects: Vec<NodeId>,
}

/// All other nodes of which was heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::remote) struct Members {
    by_name: BTreeMap<NodeName, Member>,
    by_address: BTreeMap<SocketAddr, NodeName>,
    /// Who this node is.
    us: Option<NodeId>,
}

impl Members {
    /// What chitchat knows now.
    pub(super) fn of_chitchat(chitchat: &Chitchat) -> Self {
        let own = chitchat.self_chitchat_id();
        let live: std::collections::BTreeSet<&ChitchatId> = chitchat.live_nodes().collect();
        let us = own.node_id.parse().ok().map(|name| NodeId { name, incarnation: own.generation_id });
        let mut members = Self { us, ..Self::default() };
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
                suspects: state.get(SUSPECTS).map(read_suspects).unwrap_or_default(),
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

    /// The living nodes that suspect it.
    pub(in crate::remote) fn suspected_by(&self, node: &NodeId) -> impl Iterator<Item = &NodeName> {
        let suspects = |(_, member): &(&NodeName, &Member)| member.is_alive && member.suspects.contains(node);
        self.by_name.iter().filter(suspects).map(|(name, _)| name)
    }

    /// Whether it suspects this node: what is sent to it does not arrive.
    pub(in crate::remote) fn suspects_us(&self, node: &NodeId) -> bool {
        let member = self.of(&node.name).filter(|member| member.incarnation == node.incarnation);
        member.is_some_and(|member| self.us.as_ref().is_some_and(|us| member.suspects.contains(us)))
    }

    /// Which living nodes suspect whom.
    pub(super) fn suspects(&self) -> impl Iterator<Item = (&NodeName, &NodeId)> {
        let living = self.by_name.iter().filter(|(_, member)| member.is_alive);
        living.flat_map(|(name, member)| member.suspects.iter().map(move |suspect| (name, suspect)))
    }

    /// Those that are heard of, each with its incarnation.
    pub(super) fn alive(&self) -> impl Iterator<Item = (&NodeName, u64)> {
        let alive = self.by_name.iter().filter(|(_, member)| member.is_alive);
        alive.map(|(name, member)| (name, member.incarnation))
    }
}

/// Whom a node suspects, as it tells it.
pub(super) fn write_suspects(suspects: &[NodeId]) -> String {
    let suspects: Vec<_> = suspects.iter().take(SUSPECTS_MAX).map(ToString::to_string).collect();
    suspects.join(",")
}

/// What makes no sense was not said by a node of ours.
fn read_suspects(text: &str) -> Vec<NodeId> {
    let read = |suspect: &str| {
        let (name, incarnation) = suspect.split_once('@')?;
        Some(NodeId { name: name.parse().ok()?, incarnation: incarnation.parse().ok()? })
    };
    text.split(',').take(SUSPECTS_MAX).filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(incarnation: u64, port: u16, is_alive: bool) -> Member {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Member {
            incarnation,
            address,
            is_alive,
            services: 0,
            topics: 0,
            version: String::new(),
            suspects: Vec::new(),
        }
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

    #[test]
    fn suspects_are_told_and_read_and_nonsense_is_nobody() {
        let node = |name: &str, incarnation| NodeId { name: name.parse().expect("a name"), incarnation };
        let (north, south) = (node("north", 3), node("south", 7));
        assert_eq!(read_suspects(&write_suspects(&[north.clone(), south.clone()])), [north.clone(), south]);
        assert_eq!(read_suspects(&write_suspects(&[])), []);
        assert_eq!(read_suspects("North@1,north,north@x,@3,north@3"), std::slice::from_ref(&north));
        assert_eq!(read_suspects(&write_suspects(&vec![north; 100])).len(), SUSPECTS_MAX);
    }

    #[test]
    fn only_living_nodes_suspect_and_only_the_incarnation_that_they_mean() {
        let node = |incarnation| NodeId { name: "south".parse().expect("a name"), incarnation };
        let mut members = Members::default();
        for (name, port, is_alive) in [("east", 1, true), ("west", 2, false)] {
            let suspecting = Member { suspects: vec![node(2)], ..member(1, port, is_alive) };
            members.insert(name.parse().expect("a name"), suspecting);
        }
        let by =
            |incarnation| members.suspected_by(&node(incarnation)).map(NodeName::as_str).collect::<Vec<_>>();
        assert_eq!((by(2), by(3)), (vec!["east"], vec![]));
    }
}
