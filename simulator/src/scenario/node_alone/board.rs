//! What the nodes of the scenario write down, and what must hold of it.

use odeon::core::NodeName;
use odeon::core::membership::View;
use odeon::membership::Standing;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// Keys of entities that are called.
pub(super) const KEYS: u64 = 4;

/// Who is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Receiver {
    /// A stateless service that each node has.
    Presence,
    /// One that only this node has.
    Only(NodeName),
    /// An entity.
    Key(String),
    Singleton,
    /// The stateless service that each node has, over HTTP.
    Web,
    /// What this node publishes, to a member of the topic there.
    News(NodeName),
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Presence => f.write_str("the presence"),
            Self::Only(node) => write!(f, "what only {node} has"),
            Self::Key(key) => write!(f, "key {key}"),
            Self::Singleton => f.write_str("the singleton"),
            Self::Web => f.write_str("its gateway"),
            Self::News(node) => write!(f, "the news of {node}"),
        }
    }
}

/// All that is written down.
#[derive(Default)]
pub(super) struct Board {
    /// Where each node is now: what a resolver of names would tell.
    pub(super) addresses: BTreeMap<NodeName, SocketAddr>,
    seen: BTreeMap<NodeName, Seen>,
    /// Those that have had no contact to the group for longer than a lease, and the epoch that they knew then.
    alone: BTreeMap<NodeName, u64>,
    /// How often nodes began to be alone.
    times_alone: u64,
    /// Where the instance of the service that each node has fails.
    failing: Option<NodeName>,
    answers: BTreeSet<(NodeName, Receiver)>,
    pub(super) broken: Vec<String>,
}

struct Seen {
    view: Arc<View>,
    standing: Standing,
    holds_lease: bool,
    is_stale: bool,
}

impl Board {
    /// A node has begun.
    pub(super) fn begins(&mut self, node: &NodeName, address: SocketAddr) {
        self.addresses.insert(node.clone(), address);
        self.seen.remove(node);
    }

    /// A node shows what it sees.
    pub(super) fn sees(
        &mut self,
        node: &NodeName,
        view: Arc<View>,
        standing: Standing,
        (holds_lease, is_stale): (bool, bool),
    ) {
        if let Some(epoch) = self.alone.get(node) {
            if holds_lease {
                self.broken.push(format!("{node} holds a lease without the group"));
            }
            if !is_stale {
                self.broken.push(format!("{node} does not say that what it knows may be out of date"));
            }
            if view.epoch != *epoch {
                self.broken
                    .push(format!("{node} sees epoch {} without the group, and {epoch} before", view.epoch));
            }
        }
        self.seen.insert(node.clone(), Seen { view, standing, holds_lease, is_stale });
    }

    /// Something volatile acts at a node.
    pub(super) fn acts(&mut self, node: &NodeName, receiver: &Receiver) {
        if self.alone.contains_key(node) {
            self.broken.push(format!("{receiver} acts at {node}, whose lease has ended"));
        }
    }

    /// A receiver has answered.
    pub(super) fn answered(&mut self, by: &NodeName, receiver: &Receiver) {
        self.answers.insert((by.clone(), receiver.clone()));
    }

    /// Somebody outside asks a node over HTTP. Answers what is to be shown together with its answer.
    pub(super) fn asks_over_http(&self, node: &NodeName) -> Option<u64> {
        self.alone.contains_key(node).then_some(self.times_alone)
    }

    /// The gateway of a node has answered, with success, and has said that this may be out of date, or not.
    pub(super) fn answered_over_http(&mut self, by: &NodeName, asked: Option<u64>, is_stale: bool) {
        let is_alone = self.asks_over_http(by);
        if is_alone.is_some() && is_alone == asked && !is_stale {
            self.broken.push(format!("the gateway of {by} does not say that it may be out of date"));
        }
        // elsewhere only what is not out of date counts
        if is_stale == is_alone.is_some() {
            self.answered(by, &Receiver::Web);
        }
    }

    pub(super) fn begin_alone(&mut self, alone: &[NodeName]) {
        self.answers.clear();
        self.times_alone += 1;
        let epoch = |node: &NodeName| self.seen.get(node).map_or(0, |seen| seen.view.epoch);
        self.alone = alone.iter().map(|node| (node.clone(), epoch(node))).collect();
    }

    /// From now on, or no more.
    pub(super) fn fails_at(&mut self, node: Option<NodeName>) {
        self.failing = node;
    }

    pub(super) fn is_broken(&self, node: &NodeName) -> bool {
        self.failing.as_ref() == Some(node)
    }

    pub(super) fn end_alone(&mut self) {
        self.alone.clear();
    }

    pub(super) fn forget_answers(&mut self) {
        self.answers.clear();
    }

    pub(super) fn names(&self) -> Vec<NodeName> {
        self.addresses.keys().cloned().collect()
    }

    /// Whether so many nodes are members with leases, see the same, and each slot has an owner that is to keep it.
    pub(super) fn are_joined(&self, count: usize) -> bool {
        let Some(first) = self.seen.values().next() else { return false };
        let mut slots = first.view.tables.values().flat_map(|table| table.slots().map(|(_, slot)| slot));
        self.seen.len() == count
            && first.view.members.len() == count
            && first.view.tables.len() == 2
            && slots.all(|slot| slot.owner.is_some() && slot.to.is_none())
            && self.seen.values().all(|seen| {
                let is_same = seen.view.epoch == first.view.epoch;
                seen.standing == Standing::Member && seen.holds_lease && !seen.is_stale && is_same
            })
    }

    /// Which of these receivers have not answered which of these nodes.
    pub(super) fn missing(&self, nodes: &[NodeName], wanted: impl Fn(&Receiver) -> bool) -> Vec<String> {
        let only = self.addresses.keys().cloned().map(Receiver::Only);
        let news = self.addresses.keys().cloned().map(Receiver::News);
        let keys = (0..KEYS).map(|key| Receiver::Key(key.to_string()));
        let all = only.chain(news).chain(keys);
        let all = all.chain([Receiver::Presence, Receiver::Singleton, Receiver::Web]);
        let receivers: Vec<Receiver> = all.filter(wanted).collect();
        let pairs =
            nodes.iter().flat_map(|node| receivers.iter().map(move |one| (node.clone(), one.clone())));
        let missing = pairs.filter(|pair| !self.answers.contains(pair));
        missing.map(|(node, receiver)| format!("{node} hears nothing of {receiver}")).collect()
    }

    /// For people: what each node sees.
    pub(super) fn describe(&self) -> Vec<String> {
        let line = |(name, seen): (&NodeName, &Seen)| {
            let members: Vec<_> = seen.view.members.values().map(|m| m.card.node.to_string()).collect();
            let moving = seen.view.tables.values().flat_map(|t| t.slots()).filter(|(_, s)| s.to.is_some());
            let (epoch, moving, lease) = (seen.view.epoch, moving.count(), seen.holds_lease);
            format!(
                "{name} {:?} lease {lease} epoch {epoch} sees {members:?}, {moving} moving",
                seen.standing
            )
        };
        self.seen.iter().map(line).collect()
    }
}
