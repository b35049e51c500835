//! Topics: what one publishes to a group of receivers, wherever in the cluster they are.
//!
//! Reading order: [`Topic`] is what authors have; `join` is how an activation becomes a member, and what ends that;
//! `receivers` are the references to the members. This file has what the node knows of all groups; how its peers
//! learn of that is in `remote/topics.rs`, and what lists are in [`odeon_core::topics`].

mod join;
mod look;
mod receivers;
mod topic;

pub use join::JoinError;
pub(crate) use join::Membership;
pub use odeon_core::topics::{Contract as TopicContract, Group, JoinRefused, Member};
pub use topic::{MemberChanges, Published, Topic};

use crate::remote::Teller;
use look::Look;
use odeon_core::topics::{Contract, News, Receiver, Table, Took};
use odeon_core::{NodeId, NodeName, ServiceName};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a node knows of all groups.
pub(crate) struct Topics {
    table: Mutex<Table>,
    /// Those at which anybody has looked. Always after the table, if both are held.
    looks: Mutex<BTreeMap<ServiceName, Arc<Look>>>,
    /// The list of this node has changed since somebody told others.
    pub(crate) news: Teller,
    /// That somebody could not join for want of room was logged.
    full_told: AtomicBool,
    /// That a peer has more members than may be was logged.
    cut_told: AtomicBool,
}

impl Topics {
    /// Of a node that is in no cluster yet.
    pub(crate) fn new(name: NodeName) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::new(Table::new(NodeId { name, incarnation: 0 })),
            looks: Mutex::default(),
            news: Teller::default(),
            full_told: AtomicBool::new(false),
            cut_told: AtomicBool::new(false),
        })
    }

    /// The node is in a cluster, by this name.
    pub(crate) fn call(&self, me: NodeId) {
        let mut table = self.table.lock();
        table.call(me);
        let own: BTreeSet<_> = table.own().groups().map(|(topic, _)| topic.clone()).collect();
        drop(table);
        self.changed(&own);
    }

    /// An activation becomes a member.
    ///
    /// # Errors
    /// [`JoinRefused`].
    fn join(&self, topic: &ServiceName, contract: &Contract, receiver: &Receiver) -> Result<(), JoinRefused> {
        match self.table.lock().join(topic, contract, receiver) {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(refused) => {
                let is_full = !matches!(refused, JoinRefused::Speaks { .. });
                if is_full && !self.full_told.swap(true, Ordering::Relaxed) {
                    tracing::error!(%topic, service = %receiver.service, "nobody can join a topic: {refused}");
                }
                return Err(refused);
            }
        }
        self.tell(topic);
        Ok(())
    }

    /// It is one no more.
    fn leave(&self, topic: &ServiceName, receiver: &Receiver) {
        if self.table.lock().leave(topic, receiver) {
            self.tell(topic);
        }
    }

    fn tell(&self, topic: &ServiceName) {
        self.changed(&BTreeSet::from([topic.clone()]));
        self.news.remind();
    }

    /// These groups have other members than before. Called when that can be seen.
    fn changed(&self, topics: &BTreeSet<ServiceName>) {
        let looks = self.looks.lock();
        topics.iter().filter_map(|topic| looks.get(topic)).for_each(|look| look.note());
    }

    /// The number of the list of this node.
    pub(crate) fn number(&self) -> u64 {
        self.table.lock().own().number()
    }

    /// What to tell a peer who knows the list of this number.
    pub(crate) fn since(&self, known: u64) -> Vec<News> {
        self.table.lock().own().since(known)
    }

    /// Up to where the list of a peer was heard.
    pub(crate) fn heard(&self, node: &NodeId) -> u64 {
        self.table.lock().heard(node).map_or(0, |heard| heard.number())
    }

    /// A peer tells of its list. False: something that came before is missing.
    pub(crate) fn hear(&self, node: &NodeId, news: News) -> bool {
        let mut table = self.table.lock();
        let took = table.hear(node, news);
        let is_cut = table.heard(node).is_some_and(|heard| heard.is_cut());
        drop(table);
        if is_cut && !self.cut_told.swap(true, Ordering::Relaxed) {
            tracing::error!(%node, "a peer has more members of topics than this node can know: the rest is left out");
        }
        match took {
            Took::Nothing => {}
            Took::Changed(topics) => self.changed(&topics),
            Took::Behind => return false,
        }
        true
    }

    /// The list of a peer does not count any more.
    pub(crate) fn forget(&self, node: &NodeId) {
        let topics = self.table.lock().forget(node);
        self.changed(&topics);
    }

    /// What the node is called.
    /// What this node is called, and the members of a group, as they are known now.
    fn members(&self, topic: &ServiceName) -> (NodeId, Vec<Member>) {
        let table = self.table.lock();
        (table.me().clone(), table.members(topic))
    }

    /// All groups as they are known now.
    pub(crate) fn groups(&self) -> Vec<Group> {
        self.table.lock().groups()
    }

    /// What is shared by all who look at a topic.
    fn look(&self, topic: &ServiceName) -> Arc<Look> {
        let table = self.table.lock();
        let mut looks = self.looks.lock();
        if let Some(look) = looks.get(topic) {
            return look.clone();
        }
        // kept while a group has members: who publishes now and then shall find the references where they were
        looks.retain(|topic, look| Arc::strong_count(look) > 1 || table.has(topic));
        looks.entry(topic.clone()).or_default().clone()
    }
}
