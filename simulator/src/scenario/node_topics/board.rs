//! What the nodes of the scenario write down, and what must hold of it.

use crate::reach::reached;
use odeon::core::{NodeId, NodeName};
use odeon::remote::LinkStatus;
use odeon::topics::{Member, Published};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// One member, as everybody should see it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Who {
    pub(super) service: String,
    pub(super) key: String,
    /// None, if it is the same wherever it is.
    pub(super) node: Option<NodeId>,
}

/// One activation.
pub(super) type Life = u64;

/// All that is written down.
#[derive(Default)]
pub(super) struct Board {
    /// The cluster group says where entities and the singleton are.
    pub(super) is_placed: bool,
    /// Nobody joins or leaves any more, and nothing is wrong.
    pub(super) is_calm: bool,
    /// Nobody publishes any more.
    pub(super) is_silent: bool,
    /// Where each node is now: what a resolver of names would tell.
    pub(super) addresses: BTreeMap<NodeName, SocketAddr>,
    /// The latest incarnation of each node.
    pub(super) living: BTreeMap<NodeName, NodeId>,
    /// Nodes that have their place in the cluster, where that says so.
    pub(super) places: BTreeSet<NodeId>,
    links: BTreeMap<NodeName, Vec<LinkStatus>>,
    known: BTreeMap<NodeName, Vec<Member>>,
    lives: u64,
    /// Those that are members now, and where.
    joined: BTreeMap<Life, (Who, NodeId)>,
    ever_joined: BTreeSet<Who>,
    /// The last that each activation has heard of each publisher.
    last: BTreeMap<(Life, NodeId), u64>,
    heard: BTreeMap<(Who, NodeId), BTreeSet<u64>>,
    published: BTreeMap<NodeId, u64>,
    /// Since when all members should hear all, and who they are.
    marked: Option<(BTreeMap<NodeId, u64>, BTreeSet<Who>)>,
    pub(super) broken: Vec<String>,
}

impl Board {
    /// A node has begun.
    pub(super) fn begins(&mut self, node: &NodeId, address: SocketAddr) {
        self.links.remove(&node.name);
        self.known.remove(&node.name);
        self.living.insert(node.name.clone(), node.clone());
        self.addresses.insert(node.name.clone(), address);
    }

    /// A node shows its links, and whom it knows.
    pub(super) fn shows(&mut self, me: &NodeId, links: Vec<LinkStatus>, known: Vec<Member>) {
        for link in &links {
            let lost: u64 = link.lost.values().sum();
            let refused: u64 = link.refused.values().sum();
            if link.sent != link.handled + refused + link.expired + lost + link.open {
                self.broken.push(format!("the books of {me} with {} do not balance: {link:?}", link.node));
            }
        }
        self.links.insert(me.name.clone(), links);
        self.known.insert(me.name.clone(), known);
    }

    /// An activation begins.
    pub(super) fn lives(&mut self) -> Life {
        self.lives += 1;
        self.lives
    }

    /// An activation is about to be a member.
    pub(super) fn joins(&mut self, life: Life, who: &Who, on: &NodeId) {
        self.joined.insert(life, (who.clone(), on.clone()));
        self.ever_joined.insert(who.clone());
    }

    /// It is none any more, or has ended.
    pub(super) fn leaves(&mut self, life: Life) {
        self.joined.remove(&life);
    }

    /// An activation is told.
    pub(super) fn hears(&mut self, life: Life, who: &Who, publisher: &NodeId, number: u64) {
        if !self.ever_joined.contains(who) {
            self.broken.push(format!("{who:?} was told, and has never joined"));
        }
        if !self.joined.contains_key(&life) {
            reached("topics: one was told that had just left");
        }
        let last = self.last.insert((life, publisher.clone()), number);
        // casts to what is about to move may overtake each other
        let may_move = who.node.is_none() && self.marked.is_none();
        if last.is_some_and(|last| last >= number) && !may_move {
            self.broken.push(format!("{who:?} hears {number} of {publisher} after {last:?}"));
        }
        if !self.heard.entry((who.clone(), publisher.clone())).or_default().insert(number) {
            self.broken.push(format!("{who:?} hears {number} of {publisher} twice"));
        }
    }

    /// A number for a publication.
    pub(super) fn publishes(&mut self, publisher: &NodeId) -> u64 {
        let number = self.published.entry(publisher.clone()).or_default();
        *number += 1;
        *number
    }

    /// What has become of one.
    pub(super) fn has_published(&mut self, publisher: &NodeId, members: &[Member], published: &Published) {
        if published.told + published.refused.len() != members.len() {
            self.broken.push(format!("{publisher} has published to {members:?}, with {published:?}"));
        }
        if !published.refused.is_empty() {
            reached("topics: a member was refused what was published");
        }
        if self.marked.is_some() && !published.refused.is_empty() {
            self.broken.push(format!("{publisher} was refused although nothing was wrong: {published:?}"));
        }
    }

    /// From now on each member that there is should hear all.
    pub(super) fn mark(&mut self) {
        let members = self.truth().into_iter().map(|(who, _)| who.clone()).collect();
        self.marked = Some((self.published.clone(), members));
    }

    /// Who has not heard what has been published since then.
    pub(super) fn unheard(&self) -> Vec<String> {
        let Some((since, members)) = &self.marked else { return Vec::new() };
        let mut unheard = Vec::new();
        for publisher in self.living.values() {
            // one was under way when the mark was set
            let first = since.get(publisher).copied().unwrap_or(0) + 1;
            let last = self.published.get(publisher).copied().unwrap_or(0);
            for who in members {
                let heard = self.heard.get(&(who.clone(), publisher.clone()));
                let missing = (first..=last).filter(|n| heard.is_none_or(|heard| !heard.contains(n)));
                let missing: Vec<_> = missing.collect();
                if !missing.is_empty() {
                    unheard.push(format!("{who:?} lacks {missing:?} of {publisher}"));
                }
            }
        }
        unheard
    }

    /// The members that there are.
    fn truth(&self) -> BTreeSet<(&Who, &NodeId)> {
        let lives = |node: &NodeId| self.living.get(&node.name) == Some(node);
        self.joined.values().filter(|(_, node)| lives(node)).map(|(who, node)| (who, node)).collect()
    }

    /// Which nodes know other members than there are.
    pub(super) fn unknown(&self) -> Vec<String> {
        let truth: BTreeSet<_> = self
            .truth()
            .into_iter()
            .map(|(who, node)| format!("{}#{} {node}", who.service, who.key))
            .collect();
        let mut unknown = Vec::new();
        for name in self.living.keys() {
            let known = self.known.get(name).into_iter().flatten();
            let known: BTreeSet<_> = known
                .map(|one| format!("{}#{} {}", one.service, one.key.as_deref().unwrap_or_default(), one.node))
                .collect();
            let missing: Vec<_> = truth.difference(&known).collect();
            let false_ones: Vec<_> = known.difference(&truth).collect();
            if !missing.is_empty() || !false_ones.is_empty() {
                unknown.push(format!("{name} does not know {missing:?}, and believes in {false_ones:?}"));
            }
        }
        unknown
    }

    /// Whether each node has its place, where a group says so.
    pub(super) fn are_placed(&self) -> bool {
        !self.is_placed || self.living.values().all(|node| self.places.contains(node))
    }

    /// Who has no connection to whom.
    pub(super) fn strangers(&self) -> Vec<(NodeName, NodeName)> {
        let pairs = self.living.values().flat_map(|one| self.living.values().map(move |other| (one, other)));
        let strange = pairs.filter(|(one, other)| {
            let mut links = self.links.get(&one.name).into_iter().flatten();
            one != other && !links.any(|link| link.node == **other && link.connected)
        });
        strange.map(|(one, other)| (one.name.clone(), other.name.clone())).collect()
    }
}
