//! The list of another node, as far as was heard.

use super::{Contract, GROUPS_MAX, MEMBERS_MAX, News, Receiver};
use crate::ServiceName;
use std::collections::{BTreeMap, BTreeSet};

/// Pieces of one news that count: twice as many as a node can need that has no more members than may be.
const PIECES_MAX: u32 = 64;

/// What a piece of news has led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Took {
    /// Nothing new, or not all of it yet.
    Nothing,
    /// These groups may have other members than before.
    Changed(BTreeSet<ServiceName>),
    /// It goes on from a list that was not heard of: ask for what was missed.
    Behind,
}

/// The members of another node.
#[derive(Debug, Default)]
pub struct Heard {
    number: u64,
    groups: BTreeMap<ServiceName, HeardGroup>,
    members: usize,
    /// The pieces of news that have come, if more follow.
    gathered: Option<News>,
    /// There were more than are listed here.
    is_cut: bool,
}

#[derive(Debug)]
struct HeardGroup {
    contract: Contract,
    members: BTreeSet<Receiver>,
}

impl Heard {
    /// Up to where it was heard.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Whether its node has told of more members than may be. Those are left out.
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The members of a group.
    pub fn members(&self, topic: &ServiceName) -> impl Iterator<Item = &Receiver> {
        self.groups.get(topic).into_iter().flat_map(|group| &group.members)
    }

    /// All groups, by name.
    pub fn groups(&self) -> impl Iterator<Item = (&ServiceName, &Contract)> {
        self.groups.iter().map(|(topic, group)| (topic, &group.contract))
    }

    /// A piece of news has come.
    pub fn hear(&mut self, piece: News) -> Took {
        let goes_on = |open: &News| {
            (open.after, open.number, open.piece + 1) == (piece.after, piece.number, piece.piece)
        };
        let before = self.gathered.take().filter(goes_on);
        if piece.number <= self.number {
            return Took::Nothing;
        }
        if piece.after > self.number || (piece.piece > 0 && before.is_none()) {
            return Took::Behind;
        }
        let news = match before {
            Some(mut open) => {
                if piece.piece < PIECES_MAX {
                    open.joined.extend(piece.joined);
                    open.left.extend(piece.left);
                }
                News { piece: piece.piece, more: piece.more, ..open }
            }
            None => piece,
        };
        if news.more {
            self.gathered = Some(news);
            return Took::Nothing;
        }
        // what is told anew is told as it is by now: to hear it twice does no harm
        Took::Changed(self.take(news))
    }

    fn take(&mut self, news: News) -> BTreeSet<ServiceName> {
        let mut changed = BTreeSet::new();
        if news.after == 0 {
            changed.extend(std::mem::take(&mut self.groups).into_keys());
            (self.members, self.is_cut) = (0, false);
        }
        self.number = news.number;
        for left in news.left {
            let Some(group) = self.groups.get_mut(&left.topic) else { continue };
            self.members -= left.members.iter().filter(|receiver| group.members.remove(*receiver)).count();
            if group.members.is_empty() {
                self.groups.remove(&left.topic);
            }
            changed.insert(left.topic);
        }
        for joined in news.joined {
            if self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&joined.topic) {
                self.is_cut = true;
                continue;
            }
            let contract = joined.contract;
            let group = self.groups.entry(joined.topic.clone());
            let group = group.or_insert_with(|| HeardGroup { contract, members: BTreeSet::new() });
            for receiver in joined.members {
                if self.members < MEMBERS_MAX {
                    self.members += usize::from(group.members.insert(receiver));
                } else {
                    self.is_cut = true;
                }
            }
            changed.insert(joined.topic);
        }
        changed
    }
}
