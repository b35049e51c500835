//! What the nodes of the scenario write down, and what must hold of it.

use odeon::core::{NodeId, NodeName};
use odeon::remote::{LinkStatus, Liveness};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// All that is written down.
#[derive(Default)]
pub(super) struct Board {
    /// Where each node is now: what a resolver of names would tell.
    pub(super) addresses: BTreeMap<NodeName, SocketAddr>,
    /// The latest incarnation of each node.
    pub(super) living: BTreeMap<NodeName, u64>,
    /// The links of each node as they were seen last.
    pub(super) links: BTreeMap<NodeName, Vec<LinkStatus>>,
    /// By whom which service was called since this was last wiped, and answered by its latest incarnation.
    pub(super) answered: BTreeSet<(NodeName, String)>,
    /// Who has answered for a key, and to whom, since this was last wiped.
    pub(super) keys: BTreeMap<u64, BTreeSet<(NodeId, NodeName)>>,
    pub(super) broken: Vec<String>,
}

impl Board {
    /// A node has begun.
    pub(super) fn begins(&mut self, node: &NodeId, address: SocketAddr) {
        self.links.remove(&node.name);
        self.living.insert(node.name.clone(), node.incarnation);
        self.addresses.insert(node.name.clone(), address);
    }

    /// A node shows its links.
    pub(super) fn shows(&mut self, me: &NodeId, links: Vec<LinkStatus>) {
        for link in &links {
            if link.node.name == me.name {
                self.broken.push(format!("{me} has a link to itself"));
            }
            if link.gossip_bad > 0 {
                self.broken.push(format!("{me} was told nonsense by {}", link.node));
            }
        }
        self.links.insert(me.name.clone(), links);
    }

    /// A call to a service that only one node has was answered.
    pub(super) fn answered(&mut self, me: &NodeName, service: String, owner: &NodeName, by: &NodeId) {
        if by.name != *owner {
            self.broken.push(format!("{service} is {owner}'s, and {by} has answered"));
        }
        if self.living.get(&by.name) == Some(&by.incarnation) {
            self.answered.insert((me.clone(), service));
        }
    }

    /// Who has no connection to whom, or has not heard that it lives.
    pub(super) fn strangers(&self) -> Vec<(NodeName, NodeName)> {
        let pairs = self.living.keys().flat_map(|one| self.living.iter().map(move |other| (one, other)));
        let strange = pairs.filter(|(one, (name, incarnation))| {
            let mut links = self.links.get(*one).into_iter().flatten();
            let known = links.any(|link| {
                link.node.name == **name
                    && link.node.incarnation == **incarnation
                    && link.connected
                    && link.liveness == Liveness::Alive
            });
            one != name && !known
        });
        strange.map(|(one, (other, _))| (one.clone(), other.clone())).collect()
    }

    /// Keys for which more than one node has answered.
    pub(super) fn disputed(&self) -> Vec<(u64, BTreeSet<(NodeId, NodeName)>)> {
        let several = self
            .keys
            .iter()
            .filter(|(_, answers)| answers.iter().map(|(by, _)| by).collect::<BTreeSet<_>>().len() > 1);
        several.map(|(key, answers)| (*key, answers.clone())).collect()
    }
}
