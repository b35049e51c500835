//! What the nodes of the scenario write down, and what must hold of it.

use odeon::core::{NodeId, NodeName};
use odeon::remote::LinkStatus;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;

/// All that is written down.
#[derive(Default)]
pub(super) struct Board {
    /// Where each node is now: what a resolver of names would tell.
    pub(super) addresses: BTreeMap<NodeName, SocketAddr>,
    /// The latest incarnation of each node.
    living: BTreeMap<NodeName, u64>,
    /// The links of each node as they were seen last.
    links: BTreeMap<NodeName, Vec<LinkStatus>>,
    /// Nobody is silent.
    calm: bool,
    /// How often that has changed: what began before is judged by nothing.
    judging: u64,
    /// Calls are to be answered.
    calls: bool,
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
            if self.calm && is_suspicious(link) {
                self.broken.push(format!("{me} suspects {} although nothing is wrong", link.node));
            }
            if link.gossip_bad > 0 {
                self.broken.push(format!("{me} was told nonsense by {}", link.node));
            }
        }
        self.links.insert(me.name.clone(), links);
    }

    pub(super) fn watch_calm(&mut self) {
        self.calm = true;
    }

    pub(super) fn end_calm(&mut self) {
        self.calm = false;
    }

    pub(super) fn watch_calls(&mut self) {
        self.judging += 1;
        self.calls = true;
    }

    pub(super) fn end_calls(&mut self) {
        self.judging += 1;
        self.calls = false;
    }

    /// A call begins.
    pub(super) fn call_begins(&self) -> u64 {
        self.judging
    }

    /// A call was not answered.
    pub(super) fn call_failed(&mut self, began: u64, error: &str) {
        if self.calls && began == self.judging {
            self.broken.push(format!("a call went to a node that is suspect: {error}"));
        }
    }

    fn link(&self, by: &NodeName, of: &NodeName) -> Option<&LinkStatus> {
        self.links.get(by)?.iter().find(|link| link.node.name == *of)
    }

    /// Whether each node has a link to each other one, and none is suspect.
    pub(super) fn is_calm(&self, count: usize) -> bool {
        let is_fine = |by: &NodeName, (of, incarnation): (&NodeName, &u64)| {
            by == of
                || self.link(by, of).is_some_and(|link| {
                    link.connected && link.node.incarnation == *incarnation && !is_suspicious(link)
                })
        };
        self.living.len() == count
            && self.living.keys().all(|by| self.living.iter().all(|other| is_fine(by, other)))
    }

    /// Whether a node suspects another one, or has no connection to it any more.
    pub(super) fn has_lost(&self, by: &NodeName, of: &NodeName) -> bool {
        self.link(by, of).is_none_or(|link| link.suspect.is_some() || !link.connected)
    }

    /// Whether a node knows that it is suspect to another one.
    pub(super) fn is_deaf(&self, node: &NodeName, to: &NodeName) -> bool {
        self.link(node, to).is_some_and(|link| link.suspects_us)
    }

    /// Whether a node knows that one suspects another one.
    pub(super) fn has_heard_of(&self, node: &NodeName, by: &NodeName, of: &NodeName) -> bool {
        self.link(node, of).is_some_and(|link| link.suspected_by.contains(by))
    }

    /// For people: who has which links.
    pub(super) fn describe(&self) -> String {
        let mut text = String::new();
        for (name, links) in &self.links {
            let _ = write!(text, "{name}:");
            for link in links {
                let by: Vec<_> = link.suspected_by.iter().map(NodeName::as_str).collect();
                let (up, since) = (if link.connected { "up" } else { "down" }, link.suspect);
                let _ = write!(text, " {} {up} suspect {since:?} by {by:?}", link.node);
                let _ = write!(text, "{};", if link.suspects_us { " suspects it" } else { "" });
            }
            text.push(' ');
        }
        text
    }
}

fn is_suspicious(link: &LinkStatus) -> bool {
    link.suspect.is_some() || link.suspects_us || !link.suspected_by.is_empty()
}
