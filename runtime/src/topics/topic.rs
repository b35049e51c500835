//! [`Topic`]: publishing, and seeing who would be told.

use super::look::Look;
use super::receivers::Receivers;
use super::{Member, Topics};
use crate::node::{Node, NodeInner, RefError};
use crate::service::{Cast, Contract};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use odeon_core::topics::Group;
use odeon_core::{Refusal, ServiceName};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::Poll;

/// Members that are told before others on the thread get their turn.
const TURN: usize = 64;

/// A topic: what is published to it goes, as a cast, to each member of its group, wherever in the cluster that is.
///
/// Cheap to clone, and no activation: whoever has it need not be a member. Members join by [`Cx::join`](crate::Cx::join).
/// Who they are is known from lists that nodes tell each other, so it may be a moment old: right after a member has
/// joined others may not know of it yet, and one that has just left may still be told, even if an entity has to be
/// activated for that. Programs outside of the cluster ([`Client`](crate::Client)) have no topics yet.
pub struct Topic<R: Contract> {
    name: ServiceName,
    topics: Arc<Topics>,
    look: Arc<Look>,
    receivers: Arc<Receivers<R>>,
    node: Weak<NodeInner>,
}

impl<R: Contract> Clone for Topic<R> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            topics: self.topics.clone(),
            look: self.look.clone(),
            receivers: self.receivers.clone(),
            node: self.node.clone(),
        }
    }
}

impl<R: Contract> fmt::Debug for Topic<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({})", self.name)
    }
}

/// What became of something that was published: each member is counted once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Members that were sent it. As with every cast, that is no promise that they handle it.
    pub told: usize,
    /// Those that will not handle it, and why.
    pub refused: Vec<(Member, Refusal)>,
}

impl<R: Contract> Topic<R> {
    pub(crate) fn of(node: &Arc<NodeInner>, name: &str) -> Result<Self, RefError> {
        let name: ServiceName = name.parse()?;
        let topics = node.topics.clone();
        let look = topics.look(&name);
        let receivers = look.kept::<Receivers<R>>();
        Ok(Self { name, topics, look, receivers, node: Arc::downgrade(node) })
    }

    /// Its name.
    pub fn name(&self) -> &ServiceName {
        &self.name
    }

    /// Casts to each member: `cast` is called once for each, in the order of [`Topic::members`], and what it makes is
    /// sent at once. Where a member has no room that cast waits for some, as it would by itself, and none of the others
    /// waits for it. Whoever awaits each publication before the next has each member told in that order.
    pub async fn publish(&self, mut cast: impl FnMut(&R) -> Cast<'_, R>) -> Published {
        let Some(node) = self.node.upgrade() else { return Published::default() };
        let all = self.receivers.now((&self.topics, &self.look, &self.name), &node);
        drop(node);
        let mut outcomes: Vec<Option<Refusal>> = Vec::with_capacity(all.len());
        let mut waiting = FuturesUnordered::new();
        for (at, one) in all.iter().enumerate() {
            let reference = match &one.reference {
                Ok(reference) => reference,
                Err(refusal) => {
                    outcomes.push(Some(refusal.clone()));
                    continue;
                }
            };
            let mut casting = cast(reference).into_owned().into_future();
            let first = poll_fn(|task| Poll::Ready(Pin::new(&mut casting).poll(task))).await;
            // also if others are to have their turn, for as much was sent as makes a good packet
            let others = first.is_pending() || at % TURN == TURN - 1;
            outcomes.push(match first {
                Poll::Ready(outcome) => outcome.err(),
                Poll::Pending => {
                    waiting.push(async move { (at, casting.await.err()) });
                    None
                }
            });
            if others {
                tokio::task::yield_now().await;
            }
        }
        while let Some((at, outcome)) = waiting.next().await {
            outcomes[at] = outcome;
        }
        let mut published = Published::default();
        for (one, outcome) in all.iter().zip(outcomes) {
            match outcome {
                None => published.told += 1,
                Some(refusal) => published.refused.push((one.member.clone(), refusal)),
            }
        }
        published
    }

    /// The members as this node knows them now, in the order of their services, keys and nodes.
    pub fn members(&self) -> Vec<Member> {
        self.topics.members(&self.name).1
    }

    /// A way to be told of other members than before.
    pub fn changes(&self) -> MemberChanges {
        let (topics, name, look) = (self.topics.clone(), self.name.clone(), self.look.clone());
        MemberChanges { topics, name, look, seen: None, last: None }
    }
}

/// Tells who the members of a group are, whenever that has changed. What comes and goes between two looks is not told:
/// the last state always is.
pub struct MemberChanges {
    topics: Arc<Topics>,
    name: ServiceName,
    look: Arc<Look>,
    seen: Option<u64>,
    last: Option<Vec<Member>>,
}

impl MemberChanges {
    /// The members, as soon as they are not those that it has told last; the first time at once. Whoever does not wait any
    /// more misses nothing.
    pub async fn next(&mut self) -> Vec<Member> {
        loop {
            let changes = match self.seen {
                Some(seen) => self.look.changed(seen).await,
                None => self.look.changes(),
            };
            self.seen = Some(changes);
            let (_, members) = self.topics.members(&self.name);
            if self.last.as_ref() != Some(&members) {
                self.last = Some(members.clone());
                return members;
            }
        }
    }
}

impl fmt::Debug for MemberChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemberChanges({})", self.name)
    }
}

impl Node {
    /// A topic, to publish to it and to see who its members are.
    ///
    /// # Errors
    /// The text is no name.
    pub fn topic<R: Contract>(&self, name: &str) -> Result<Topic<R>, RefError> {
        Topic::of(self.inner(), name)
    }

    /// All groups that have members, by the names of their topics, as this node knows them now.
    pub fn topics(&self) -> Vec<Group> {
        self.inner().topics.groups()
    }
}
