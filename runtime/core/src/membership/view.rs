//! The members and what each command makes of them: a deterministic function, the same on each replica.

use super::card::{Card, OFFERS_MAX};
use super::command::{Command, Outcome, Problem, Proposal, described};
use crate::placement::Table;
use crate::{NodeId, NodeName, ServiceName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Most members of a cluster.
pub const MEMBERS_MAX: usize = 512;
/// Of so many nodes that are no members any more the cluster remembers why.
pub const GONE_MAX: usize = 128;

/// The members, at one epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// The index of the entry that made it what it is. Renewals make no other view.
    pub epoch: u64,
    /// The feature level.
    pub level: u32,
    /// The members.
    pub members: BTreeMap<NodeName, Member>,
    /// The last ones that are members no more.
    pub gone: BTreeMap<NodeName, Gone>,
    /// Who owns the slots of entities and singletons. A service has none before its first plan, and none any more when
    /// no member offers it.
    #[serde(default)]
    pub tables: BTreeMap<ServiceName, Arc<Table>>,
}

impl Default for View {
    fn default() -> Self {
        let (members, gone, tables) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { epoch: 0, level: 1, members, gone, tables }
    }
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// What it has said of itself.
    pub card: Card,
    /// What it does.
    pub state: MemberState,
    /// Since when.
    pub since: Since,
    /// How often its lease was renewed.
    pub renewals: u64,
}

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemberState {
    /// It takes work.
    Up,
    /// It gives its work away and will leave.
    Draining,
}

/// A node that is no member any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// Its last incarnation.
    pub incarnation: u64,
    /// Why.
    pub reason: Reason,
    /// Since when.
    pub since: Since,
}

/// When something has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Since {
    /// The epoch of the view that was the first to have it.
    pub epoch: u64,
    /// Milliseconds since 1970 by the clock of whoever proposed it; 0 if that is not known. For people.
    pub at: u64,
}

/// Why a node is no member any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It has left.
    Left,
    /// Its lease has ended: it was not heard of.
    LeaseEnded,
    /// It has come back as a later incarnation.
    Restarted,
    /// Somebody wanted it to be.
    Ordered,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Left => "it has left",
            Self::LeaseEnded => "its lease has ended",
            Self::Restarted => "it has come back as a later incarnation",
            Self::Ordered => "an operator has removed it",
        })
    }
}

impl View {
    /// The member that is this incarnation of a node.
    pub fn member(&self, node: &NodeId) -> Option<&Member> {
        self.members.get(&node.name).filter(|member| member.card.node == *node)
    }

    /// The latest incarnation that is known of a name; 0 if none is.
    pub fn incarnation(&self, name: &NodeName) -> u64 {
        let member = self.members.get(name).map_or(0, |member| member.card.node.incarnation);
        member.max(self.gone.get(name).map_or(0, |gone| gone.incarnation))
    }

    /// Takes the command of the entry at an index.
    pub fn apply(&mut self, index: u64, proposal: impl Into<Proposal>) -> Outcome {
        let Proposal { at, command, .. } = proposal.into();
        let since = Since { epoch: index, at };
        let done = match command {
            Command::Join { card } => self.join(since, *card),
            Command::Renew { nodes } => {
                let strangers = self.renew(nodes);
                return Outcome::Renewed { epoch: self.epoch, strangers };
            }
            Command::Drain { node } => self.drain(since, &node),
            Command::Remove { node, reason, renewals } => {
                self.remove(since, &node, reason, renewals).map_err(|problem| vec![problem])
            }
            Command::Raise { level } => self.raise(index, level),
            Command::Place { service, shares } => {
                self.place(index, &service, &shares).map_err(|problem| vec![problem])
            }
            Command::Handed { service, slots, from, to } => {
                return match self.hand(index, &service, &slots, &from, &to) {
                    Ok(done) => Outcome::Handed { epoch: self.epoch, done },
                    Err(problem) => Outcome::Refused { problems: vec![problem] },
                };
            }
        };
        match done {
            Ok(()) => {
                if self.epoch == index {
                    self.settle(index);
                }
                Outcome::Done { epoch: self.epoch }
            }
            Err(problems) => Outcome::Refused { problems },
        }
    }

    fn join(&mut self, since: Since, card: Card) -> Result<(), Vec<Problem>> {
        let NodeId { name, incarnation } = &card.node;
        let known = self.incarnation(name);
        let is_member = self.member(&card.node).is_some();
        if self.members.get(name).is_some_and(|member| member.card == card) {
            // whoever has proposed it did not hear what became of it
            return Ok(());
        }
        let mut problems = Vec::new();
        if *incarnation <= known && !is_member {
            problems.push(Problem::Over { name: name.clone(), known });
        }
        if !self.members.contains_key(name) && self.members.len() >= MEMBERS_MAX {
            problems.push(Problem::Full { max: MEMBERS_MAX });
        }
        if !card.levels.contains(self.level) {
            problems.push(Problem::Level { level: self.level, node: name.clone(), reads: card.levels });
        }
        problems.extend(self.problems_of_offers(&card));
        if !problems.is_empty() {
            return Err(problems);
        }
        let name = name.clone();
        self.epoch = since.epoch;
        if is_member && let Some(member) = self.members.get_mut(&name) {
            member.card = card;
            return Ok(());
        }
        if let Some(old) = self.members.remove(&name) {
            self.forget(since, &old.card.node, Reason::Restarted);
        }
        let member = Member { card, state: MemberState::Up, since, renewals: 0 };
        self.members.insert(name, member);
        Ok(())
    }

    /// What it offers must be the same thing wherever it is offered.
    fn problems_of_offers(&self, card: &Card) -> Vec<Problem> {
        if card.offers.len() > OFFERS_MAX {
            return vec![Problem::TooMany { count: card.offers.len(), max: OFFERS_MAX }];
        }
        let mut problems = Vec::new();
        let mut names = BTreeSet::new();
        for offer in &card.offers {
            if !names.insert(&offer.service) {
                problems.push(Problem::Twice { service: offer.service.clone() });
            }
            let ours = described(&offer.contract, offer.major, offer.kind);
            let others = self.members.iter().filter(|(name, _)| **name != card.node.name);
            let another = others
                .flat_map(|(name, member)| member.card.offers.iter().map(move |theirs| (name, theirs)))
                .filter(|(_, theirs)| theirs.service == offer.service)
                .map(|(name, theirs)| (name, described(&theirs.contract, theirs.major, theirs.kind)))
                .find(|(_, theirs)| *theirs != ours);
            if let Some((node, theirs)) = another {
                let (service, node) = (offer.service.clone(), node.clone());
                problems.push(Problem::Contract { service, ours, theirs, node });
            }
        }
        problems
    }

    /// Gives back those that are no members.
    fn renew(&mut self, mut nodes: Vec<NodeId>) -> Vec<NodeId> {
        nodes.retain(|node| match self.members.get_mut(&node.name) {
            Some(member) if member.card.node == *node => {
                member.renewals += 1;
                false
            }
            _ => true,
        });
        nodes
    }

    fn drain(&mut self, since: Since, node: &NodeId) -> Result<(), Vec<Problem>> {
        let member = self.members.get_mut(&node.name).filter(|member| member.card.node == *node);
        let member = member.ok_or_else(|| vec![Problem::Stranger { node: node.clone() }])?;
        if member.state != MemberState::Draining {
            (member.state, member.since, self.epoch) = (MemberState::Draining, since, since.epoch);
        }
        Ok(())
    }

    fn remove(
        &mut self,
        since: Since,
        node: &NodeId,
        reason: Reason,
        renewals: Option<u64>,
    ) -> Result<(), Problem> {
        let Some(member) = self.member(node) else {
            // it is gone already, or a later one has taken its place
            let was_one = self.incarnation(&node.name) >= node.incarnation;
            return if was_one { Ok(()) } else { Err(Problem::Stranger { node: node.clone() }) };
        };
        if renewals.is_some_and(|known| known != member.renewals) {
            return Err(Problem::Renewed { node: node.clone() });
        }
        self.epoch = since.epoch;
        self.members.remove(&node.name);
        self.forget(since, node, reason);
        Ok(())
    }

    fn forget(&mut self, since: Since, node: &NodeId, reason: Reason) {
        let gone = Gone { incarnation: node.incarnation, reason, since };
        self.gone.insert(node.name.clone(), gone);
        while self.gone.len() > GONE_MAX {
            let eldest = self.gone.iter().min_by_key(|(_, gone)| gone.since);
            let Some(name) = eldest.map(|(name, _)| name.clone()) else { return };
            self.gone.remove(&name);
        }
    }

    fn raise(&mut self, index: u64, level: u32) -> Result<(), Vec<Problem>> {
        if level == self.level {
            return Ok(());
        }
        if level != self.level + 1 {
            return Err(vec![Problem::LevelOrder { level, current: self.level }]);
        }
        let cannot = self.members.iter().filter(|(_, member)| !member.card.levels.contains(level));
        let problems: Vec<Problem> = cannot
            .map(|(name, member)| Problem::Level { level, node: name.clone(), reads: member.card.levels })
            .collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        (self.level, self.epoch) = (level, index);
        Ok(())
    }
}
