//! What the nodes of the scenario write down, and what must hold of it.

use odeon::core::{EntryId, NodeName, ReplicaId};
use odeon::replication::GroupStatus;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// The entries of a replica that are durable end before this index.
pub(super) enum Disk {
    /// Its process lives, and can be asked.
    Now(Box<dyn Fn() -> u64 + Send>),
    /// So it was when the process ended.
    Last(u64),
}

impl Disk {
    fn end(&self) -> u64 {
        match self {
            Self::Now(end) => end(),
            Self::Last(end) => *end,
        }
    }
}

/// All that is written down.
#[derive(Default)]
pub(super) struct Board {
    /// Where each node is now: what a resolver of names would tell.
    pub(super) addresses: BTreeMap<NodeName, SocketAddr>,
    /// The replica of each node, and the commands that it has applied, in order.
    replicas: BTreeMap<NodeName, (ReplicaId, Vec<u64>)>,
    /// How each replica saw the group last.
    statuses: BTreeMap<NodeName, GroupStatus>,
    /// The command of each entry that was applied anywhere, and the term in which it was made.
    log: BTreeMap<u64, (u64, u64)>,
    /// What is durable on the disk of each replica.
    disks: BTreeMap<ReplicaId, Disk>,
    /// The leader of each term.
    leaders: BTreeMap<u64, ReplicaId>,
    /// Commands that were applied, as whoever proposed them was told, and where.
    pub(super) confirmed: BTreeMap<u64, EntryId>,
    /// Those that will not be applied, as whoever proposed them was told.
    refused: BTreeSet<u64>,
    last: u64,
    /// Nodes on which a proposal was confirmed since this was last wiped.
    pub(super) since: BTreeSet<NodeName>,
    pub(super) is_formed: bool,
    pub(super) disk_lost: bool,
    /// Nothing is proposed any more.
    pub(super) is_over: bool,
    pub(super) broken: Vec<String>,
}

impl Board {
    /// A node has begun, with what its snapshot has.
    pub(super) fn begins(&mut self, node: &NodeName, replica: ReplicaId, address: SocketAddr) {
        self.addresses.insert(node.clone(), address);
        self.replicas.insert(node.clone(), (replica, Vec::new()));
        self.statuses.remove(node);
    }

    /// Another command.
    pub(super) fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// What the disk of a replica has from now on, or had last.
    pub(super) fn keeps(&mut self, replica: ReplicaId, disk: Disk) {
        self.disks.insert(replica, disk);
    }

    /// An entry is applied for the first time anywhere: it is durable with two replicas, for three vote at the most while
    /// nothing is replaced, and the two sets of voters then have a majority of two each.
    fn check_quorum(&mut self, node: &NodeName, at: EntryId) {
        let ends: BTreeMap<ReplicaId, u64> = self.disks.iter().map(|(id, disk)| (*id, disk.end())).collect();
        if ends.values().filter(|end| **end > at.index).count() < 2 {
            self.broken.push(format!("{node} applies entry {at}, and no two disks have it: {ends:?}"));
        }
    }

    /// A replica applies a command.
    pub(super) fn applies(&mut self, node: &NodeName, at: EntryId, command: u64) {
        if !self.log.contains_key(&at.index) {
            self.check_quorum(node, at);
        }
        let known = *self.log.entry(at.index).or_insert((at.term, command));
        if known != (at.term, command) {
            self.broken.push(format!("{node} applies {command} as entry {at}, which is {known:?} elsewhere"));
        }
        if self.refused.contains(&command) {
            self.broken.push(format!("{node} applies {command}, which was said not to be executed"));
        }
        if let Some((_, applied)) = self.replicas.get_mut(node) {
            if applied.contains(&command) {
                self.broken.push(format!("{node} applies {command} twice"));
            }
            applied.push(command);
        }
    }

    /// A replica takes a snapshot in place of what it had.
    pub(super) fn restores(&mut self, node: &NodeName, at: EntryId, commands: Vec<u64>) {
        let log: Vec<u64> = self.log.range(..=at.index).map(|(_, (_, command))| *command).collect();
        if log != commands {
            self.broken.push(format!("the snapshot of {node} at {at} is not what was applied until then"));
        }
        if let Some((_, applied)) = self.replicas.get_mut(node) {
            *applied = commands;
        }
    }

    pub(super) fn confirms(&mut self, node: &NodeName, command: u64, at: EntryId) {
        if self.log.get(&at.index) != Some(&(at.term, command)) {
            self.broken.push(format!("{command} was confirmed as entry {at}, which it is not"));
        }
        self.confirmed.insert(command, at);
        self.since.insert(node.clone());
    }

    pub(super) fn refuses(&mut self, command: u64) {
        self.refused.insert(command);
        if self.log.values().any(|(_, applied)| *applied == command) {
            self.broken.push(format!("{command} was said not to be executed, and was"));
        }
    }

    /// What was confirmed by now.
    pub(super) fn confirmed_until(&self) -> Option<u64> {
        self.confirmed.values().map(|at| at.index).max()
    }

    /// A replica has passed a barrier, begun when this entry was the last that was confirmed.
    pub(super) fn passes(&mut self, node: &NodeName, confirmed: u64, status: &GroupStatus) {
        let wanted = self.log.range(..=confirmed).count();
        let has = self.replicas.get(node).map_or(0, |(_, applied)| applied.len());
        if has < wanted {
            self.broken.push(format!(
                "{node} reads behind a barrier what {has} of {wanted} commands until {confirmed} made: {status:?}"
            ));
        }
    }

    /// A replica shows how it sees the group.
    pub(super) fn shows(&mut self, node: &NodeName, status: GroupStatus) {
        if status.role == odeon::replication::Role::Leader {
            let leader = *self.leaders.entry(status.term).or_insert(status.replica);
            if leader != status.replica {
                let term = status.term;
                self.broken.push(format!("{leader} and {} are leaders of term {term}", status.replica));
            }
        }
        if let Some(before) = self.statuses.get(node)
            && (before.term > status.term || before.applied > status.applied)
        {
            self.broken.push(format!("{node} goes back from {before:?} to {status:?}"));
        }
        self.statuses.insert(node.clone(), status);
    }

    /// The replica that each node has now.
    pub(super) fn current(&self) -> BTreeMap<NodeName, ReplicaId> {
        self.replicas.iter().map(|(node, (replica, _))| (node.clone(), *replica)).collect()
    }

    /// Whether so many nodes have replicas, and each knows the others as its group.
    pub(super) fn is_seated(&self, count: usize) -> bool {
        let current = self.current();
        current.len() == count
            && current.keys().all(|node| {
                self.statuses.get(node).is_some_and(|status| {
                    let seats = status.voters.keys().chain(status.learners.keys());
                    seats.copied().collect::<BTreeSet<_>>() == current.values().copied().collect()
                })
            })
    }

    /// For people: who sees whom.
    pub(super) fn seats(&self) -> Vec<String> {
        let seats = self.statuses.iter().map(|(node, status)| {
            let (voters, learners) = (status.voters.values(), status.learners.values());
            format!("{node} {:?} of {:?} + {:?}", status.role, voters, learners)
        });
        seats.collect()
    }

    /// How much each has applied.
    pub(super) fn applied(&self) -> Vec<(NodeName, usize)> {
        self.replicas.iter().map(|(node, (_, applied))| (node.clone(), applied.len())).collect()
    }

    /// Whether so many replicas have applied the same, and all that was confirmed is in it.
    pub(super) fn are_alike(&mut self, count: usize) -> bool {
        let mut all = self.replicas.values().map(|(_, applied)| applied);
        let Some(first) = all.next() else { return false };
        if self.replicas.len() < count
            || !all.all(|applied| applied == first)
            || first.len() != self.log.len()
        {
            return false;
        }
        let lost: Vec<u64> = self.confirmed.keys().filter(|c| !first.contains(c)).copied().collect();
        if !lost.is_empty() {
            self.broken.push(format!("{lost:?} were confirmed, and are not in any state"));
        }
        true
    }
}
