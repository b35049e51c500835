//! What the nodes of the scenario write down, and what must hold of it.

use odeon::core::membership::{Member, Reason, View};
use odeon::core::{NodeId, NodeName};
use odeon::membership::Standing;
use odeon::replication::{GroupStatus, Role};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

/// All that is written down.
#[derive(Default)]
pub(super) struct Board {
    /// Where each node is now: what a resolver of names would tell.
    pub(super) addresses: BTreeMap<NodeName, SocketAddr>,
    /// What each node sees now.
    nodes: BTreeMap<NodeName, Seen>,
    /// The view of each epoch, without renewals.
    views: BTreeMap<u64, View>,
    /// Nodes whose leases were passed on.
    ended: BTreeSet<NodeId>,
    /// Members that had no lease any more, since this was last begun anew.
    lapsed: BTreeSet<NodeId>,
    pub(super) disk_lost: bool,
    pub(super) broken: Vec<String>,
}

struct Seen {
    node: NodeId,
    view: Arc<View>,
    standing: Standing,
    holds_lease: bool,
    group: Option<GroupStatus>,
}

/// A view as it should be the same everywhere.
fn comparable(view: &View) -> View {
    let mut view = view.clone();
    view.members.values_mut().for_each(|member: &mut Member| member.renewals = 0);
    view
}

impl Board {
    /// A node has begun.
    pub(super) fn begins(&mut self, node: &NodeId, address: SocketAddr) {
        self.addresses.insert(node.name.clone(), address);
        let waits_for = String::new();
        let (view, standing) = (Arc::default(), Standing::Joining { waits_for });
        let seen = Seen { node: node.clone(), view, standing, holds_lease: false, group: None };
        self.nodes.insert(node.name.clone(), seen);
    }

    /// A node sees another view.
    pub(super) fn sees(&mut self, node: &NodeId, view: &Arc<View>) {
        let known = self.views.entry(view.epoch).or_insert_with(|| comparable(view));
        if *known != comparable(view) {
            self.broken.push(format!("{node} sees {view:?} in epoch {}, others {known:?}", view.epoch));
        }
        let gone = view.gone.iter().filter(|(_, gone)| gone.reason == Reason::LeaseEnded);
        self.ended
            .extend(gone.map(|(name, gone)| NodeId { name: name.clone(), incarnation: gone.incarnation }));
        if let Some(seen) = self.nodes.get_mut(&node.name).filter(|seen| seen.node == *node) {
            if seen.view.epoch > view.epoch {
                self.broken.push(format!("{node} goes back from {} to {}", seen.view.epoch, view.epoch));
            }
            seen.view = view.clone();
        }
    }

    /// A node does something that only a member may, if it has a lease.
    pub(super) fn acts(&mut self, node: &NodeId, holds_lease: bool, standing: Standing, group: GroupStatus) {
        if holds_lease && self.ended.contains(node) {
            self.broken.push(format!("{node} acts although its lease was passed on"));
        }
        if let Some(seen) = self.nodes.get_mut(&node.name).filter(|seen| seen.node == *node) {
            if seen.holds_lease && !holds_lease {
                self.lapsed.insert(node.clone());
            }
            (seen.holds_lease, seen.standing, seen.group) = (holds_lease, standing, Some(group));
        }
    }

    /// The node that leads the cluster group, as it knows itself, and its term. From now on it is written down who loses
    /// its lease.
    pub(super) fn leader(&mut self) -> Option<(NodeName, u64)> {
        self.lapsed.clear();
        let led = |seen: &Seen| {
            let group = seen.group.as_ref().filter(|group| group.role == Role::Leader)?;
            Some((seen.node.name.clone(), group.term))
        };
        self.nodes.values().find_map(led)
    }

    /// Those that have lost their leases since then, but for one node, and the latest term.
    pub(super) fn lapsed_without(&self, node: &NodeName) -> (Vec<NodeId>, u64) {
        let terms = self.nodes.values().filter_map(|seen| seen.group.as_ref()).map(|group| group.term);
        (
            self.lapsed.iter().filter(|lapsed| lapsed.name != *node).cloned().collect(),
            terms.max().unwrap_or(0),
        )
    }

    /// Whether so many nodes are members with leases, see the same, and three of them vote, each with the disk that it
    /// has now.
    pub(super) fn are_joined(&self, count: usize) -> bool {
        let Some(first) = self.nodes.values().next().map(|seen| comparable(&seen.view)) else { return false };
        let living: BTreeSet<NodeId> = self.nodes.values().map(|seen| seen.node.clone()).collect();
        let members: BTreeSet<NodeId> =
            first.members.values().map(|member| member.card.node.clone()).collect();
        let replicas: BTreeSet<_> = first.members.values().map(|member| member.card.replica).collect();
        members.len() == count
            && members == living
            && self.nodes.values().all(|seen| {
                let voters = seen.group.as_ref().map(|group| &group.voters);
                seen.standing == Standing::Member
                    && seen.holds_lease
                    && comparable(&seen.view) == first
                    && voters.is_some_and(|voters| {
                        voters.len() == 3 && voters.keys().all(|id| replicas.contains(id))
                    })
            })
    }

    /// For people: what each node sees.
    pub(super) fn seen(&self) -> Vec<String> {
        let seen = self.nodes.values().map(|seen| {
            let members: Vec<_> = seen.view.members.values().map(|m| m.card.node.to_string()).collect();
            let group = seen.group.as_ref().map(|g| (g.role, g.term, &g.leader, &g.voters, &g.learners));
            format!(
                "{} {:?} lease {} sees {members:?}, {group:?}",
                seen.node, seen.standing, seen.holds_lease
            )
        });
        seen.collect()
    }
}
