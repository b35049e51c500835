//! The list of a node's own members, and what has changed in it of late.

use super::{Contract, GROUPS_MAX, Joined, Left, MEMBERS_MAX, News, Receiver};
use crate::ServiceName;
use std::collections::{BTreeMap, VecDeque};

/// Changes that are remembered: whoever lacks more is told the whole list.
const CHANGES_MAX: usize = 1_024;
/// Members in one piece of news. The longest names and keys make less than half a MiB of them.
const PIECE_MAX: usize = 512;

/// Why there is no new member.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefused {
    /// The node has members of as many groups as may be.
    #[error(
        "the node has members of {GROUPS_MAX} topics, as many as may be: use fewer topics, or spread their members over \
         more nodes"
    )]
    TooManyGroups,
    /// The node has as many members as may be.
    #[error(
        "the node has {MEMBERS_MAX} members of topics, as many as may be: spread them over more nodes, or let one member \
         tell others"
    )]
    TooManyMembers,
    /// Other members of it on this node speak another contract.
    #[error(
        "the members of {topic} on this node speak {have}, not {want}: give the other group another name"
    )]
    Speaks {
        /// The group.
        topic: ServiceName,
        /// What they speak.
        have: Contract,
        /// What the new one speaks.
        want: Contract,
    },
}

/// The members of one node.
#[derive(Debug, Default)]
pub struct Own {
    number: u64,
    groups: BTreeMap<ServiceName, OwnGroup>,
    /// Of all groups together.
    members: usize,
    /// The last ones, the latest of which has led to `number`.
    changes: VecDeque<Change>,
}

#[derive(Debug)]
struct OwnGroup {
    contract: Contract,
    /// How many have joined as this one.
    joins: BTreeMap<Receiver, u32>,
}

#[derive(Debug)]
struct Change {
    topic: ServiceName,
    receiver: Receiver,
    /// What it speaks, if it has come.
    joined: Option<Contract>,
}

impl Own {
    /// Which state of the list this is: greater after each change.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The members of a group.
    pub fn members(&self, topic: &ServiceName) -> impl Iterator<Item = &Receiver> {
        self.groups.get(topic).into_iter().flat_map(|group| group.joins.keys())
    }

    /// All groups, by name.
    pub fn groups(&self) -> impl Iterator<Item = (&ServiceName, &Contract)> {
        self.groups.iter().map(|(topic, group)| (topic, &group.contract))
    }

    /// Somebody joins. True: the list has changed; several that join as one member count as one.
    ///
    /// # Errors
    /// [`JoinRefused`].
    pub fn join(
        &mut self,
        topic: &ServiceName,
        contract: &Contract,
        receiver: &Receiver,
    ) -> Result<bool, JoinRefused> {
        match self.groups.get_mut(topic) {
            Some(OwnGroup { contract: have, .. })
                if (&have.name, have.major) != (&contract.name, contract.major) =>
            {
                let (topic, have, want) = (topic.clone(), have.clone(), contract.clone());
                return Err(JoinRefused::Speaks { topic, have, want });
            }
            Some(group) => {
                if let Some(joins) = group.joins.get_mut(receiver) {
                    *joins += 1;
                    return Ok(false);
                }
            }
            None => {
                if self.groups.len() >= GROUPS_MAX {
                    return Err(JoinRefused::TooManyGroups);
                }
            }
        }
        if self.members >= MEMBERS_MAX {
            return Err(JoinRefused::TooManyMembers);
        }
        let new = || OwnGroup { contract: contract.clone(), joins: BTreeMap::new() };
        self.groups.entry(topic.clone()).or_insert_with(new).joins.insert(receiver.clone(), 1);
        self.members += 1;
        let (topic, receiver) = (topic.clone(), receiver.clone());
        self.note(Change { topic, receiver, joined: Some(contract.clone()) });
        Ok(true)
    }

    /// One of those that joined as this member leaves. True: it was the last one.
    pub fn leave(&mut self, topic: &ServiceName, receiver: &Receiver) -> bool {
        let Some(group) = self.groups.get_mut(topic) else { return false };
        let Some(joins) = group.joins.get_mut(receiver) else { return false };
        *joins -= 1;
        if *joins > 0 {
            return false;
        }
        group.joins.remove(receiver);
        if group.joins.is_empty() {
            self.groups.remove(topic);
        }
        self.members -= 1;
        self.note(Change { topic: topic.clone(), receiver: receiver.clone(), joined: None });
        true
    }

    fn note(&mut self, change: Change) {
        self.number += 1;
        if self.changes.len() == CHANGES_MAX {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
    }

    /// What to tell somebody who knows the list of this number, in pieces; nothing if that is the last one.
    pub fn since(&self, known: u64) -> Vec<News> {
        if known == self.number {
            return Vec::new();
        }
        let behind = self.number.checked_sub(known).and_then(|behind| usize::try_from(behind).ok());
        match behind.filter(|behind| known > 0 && *behind <= self.changes.len()) {
            Some(behind) => self.changed(known, behind),
            None => self.whole(),
        }
    }

    fn whole(&self) -> Vec<News> {
        let mut pieces = Pieces::new(0, self.number);
        for (topic, group) in &self.groups {
            for receiver in group.joins.keys() {
                pieces.joined(topic, &group.contract, receiver);
            }
        }
        pieces.end()
    }

    /// What the last changes come to.
    fn changed(&self, known: u64, behind: usize) -> Vec<News> {
        let mut last = BTreeMap::new();
        for change in self.changes.iter().skip(self.changes.len() - behind) {
            last.insert((&change.topic, &change.receiver), change.joined.as_ref());
        }
        let mut pieces = Pieces::new(known, self.number);
        for ((topic, receiver), joined) in last {
            match joined {
                Some(contract) => pieces.joined(topic, contract, receiver),
                None => pieces.left(topic, receiver),
            }
        }
        pieces.end()
    }
}

/// News that are cut where they would grow too long.
struct Pieces {
    done: Vec<News>,
    open: News,
    members: usize,
}

impl Pieces {
    fn new(after: u64, number: u64) -> Self {
        Self { done: Vec::new(), open: News { after, number, ..News::default() }, members: 0 }
    }

    /// Room for one more.
    fn open(&mut self) -> &mut News {
        if self.members == PIECE_MAX {
            let News { after, number, piece, .. } = self.open;
            let next = News { after, number, piece: piece + 1, ..News::default() };
            let full = std::mem::replace(&mut self.open, next);
            self.done.push(News { more: true, ..full });
            self.members = 0;
        }
        self.members += 1;
        &mut self.open
    }

    fn joined(&mut self, topic: &ServiceName, contract: &Contract, receiver: &Receiver) {
        let open = self.open();
        match open.joined.last_mut().filter(|last| last.topic == *topic && last.contract == *contract) {
            Some(last) => last.members.push(receiver.clone()),
            None => open.joined.push(Joined {
                topic: topic.clone(),
                contract: contract.clone(),
                members: vec![receiver.clone()],
            }),
        }
    }

    fn left(&mut self, topic: &ServiceName, receiver: &Receiver) {
        let open = self.open();
        match open.left.last_mut().filter(|last| last.topic == *topic) {
            Some(last) => last.members.push(receiver.clone()),
            None => open.left.push(Left { topic: topic.clone(), members: vec![receiver.clone()] }),
        }
    }

    fn end(mut self) -> Vec<News> {
        self.done.push(self.open);
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(at: usize) -> ServiceName {
        format!("topic-{at}").parse().expect("a name")
    }

    fn speaks(name: &str, major: u16) -> Contract {
        Contract { name: name.into(), major, minor: 0 }
    }

    fn entity(key: usize) -> Receiver {
        let service = "board".parse().expect("a name");
        Receiver { service, key: Some(key.to_string().into()), placed: true }
    }

    #[test]
    fn several_that_join_as_one_member_are_one_until_the_last_of_them_leaves() {
        let mut own = Own::default();
        let contract = speaks("prices", 1);
        assert_eq!(own.join(&topic(0), &contract, &entity(1)), Ok(true));
        assert_eq!(own.join(&topic(0), &contract, &entity(1)), Ok(false));
        assert!(!own.leave(&topic(0), &entity(1)));
        assert_eq!(own.members(&topic(0)).count(), 1);
        assert!(own.leave(&topic(0), &entity(1)));
        assert!(!own.leave(&topic(0), &entity(1)), "it has left");
        assert_eq!((own.members(&topic(0)).count(), own.groups().count(), own.number()), (0, 0, 2));
    }

    #[test]
    fn a_node_has_members_of_so_many_groups_and_so_many_members_and_says_so() {
        let mut own = Own::default();
        let contract = speaks("prices", 1);
        for at in 0..GROUPS_MAX {
            own.join(&topic(at), &contract, &entity(0)).expect("there is room");
        }
        let refused = own.join(&topic(GROUPS_MAX), &contract, &entity(0)).expect_err("too many");
        assert!(refused.to_string().contains("members of 1024 topics"), "{refused}");
        for key in 0..MEMBERS_MAX - GROUPS_MAX {
            own.join(&topic(0), &contract, &entity(1 + key)).expect("there is room");
        }
        let refused = own.join(&topic(1), &contract, &entity(7)).expect_err("too many");
        assert!(refused.to_string().contains("16384 members"), "{refused}");
        assert_eq!(own.join(&topic(0), &contract, &entity(7)), Ok(false), "it is one already");
        own.leave(&topic(0), &entity(7));
        own.leave(&topic(0), &entity(7));
        assert_eq!(own.join(&topic(1), &contract, &entity(7)), Ok(true));
    }

    #[test]
    fn members_of_a_group_speak_one_contract() {
        let mut own = Own::default();
        own.join(&topic(0), &speaks("prices", 1), &entity(0)).expect("it is the first");
        for other in [speaks("orders", 1), speaks("prices", 2)] {
            let refused = own.join(&topic(0), &other, &entity(1)).expect_err("another contract");
            assert!(refused.to_string().contains(&format!("speak prices 1.0, not {other}")), "{refused}");
        }
        let newer = Contract { minor: 3, ..speaks("prices", 1) };
        assert_eq!(own.join(&topic(0), &newer, &entity(1)), Ok(true));
    }

    #[test]
    fn who_lacks_little_is_told_that_and_who_lacks_much_is_told_all() {
        let mut own = Own::default();
        let contract = speaks("prices", 1);
        assert_eq!(own.since(0), [], "there is nothing");
        for key in 0..3 {
            own.join(&topic(0), &contract, &entity(key)).expect("there is room");
        }
        own.leave(&topic(0), &entity(1));
        let [news] = own.since(2).try_into().expect("one piece");
        assert_eq!((news.after, news.number, news.more), (2, 4, false));
        assert_eq!(news.joined[0].members, [entity(2)]);
        assert_eq!(news.left[0].members, [entity(1)]);
        assert_eq!(own.since(4), []);
        for _ in 0..CHANGES_MAX {
            own.join(&topic(1), &contract, &entity(0)).expect("there is room");
            own.leave(&topic(1), &entity(0));
        }
        let [news] = own.since(4).try_into().expect("one piece");
        assert_eq!((news.after, news.joined[0].members.len()), (0, 2), "it is the whole list");
    }
}
