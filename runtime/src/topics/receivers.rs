//! References to the members of a group. They are kept as long as one is a member: so are the order of messages to it and
//! what is known of its room.

use super::Topics;
use super::look::Look;
use crate::Contract;
use crate::node::NodeInner;
use odeon_core::topics::Member;
use odeon_core::{NodeId, Refusal, ServiceName};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The references by which one publishes under one contract.
pub(super) struct Receivers<R>(Mutex<Known<R>>);

struct Known<R> {
    /// The changes that were seen when it was made.
    seen: Option<u64>,
    all: Arc<[Reached<R>]>,
}

/// A member, and how to reach it.
#[derive(Clone)]
pub(super) struct Reached<R> {
    pub(super) member: Member,
    pub(super) reference: Result<R, Refusal>,
}

impl<R> Default for Receivers<R> {
    fn default() -> Self {
        Self(Mutex::new(Known { seen: None, all: Arc::default() }))
    }
}

impl<R: Contract> Receivers<R> {
    /// The members as they are known now.
    pub(super) fn now(
        &self,
        (topics, look, topic): (&Topics, &Look, &ServiceName),
        node: &Arc<NodeInner>,
    ) -> Arc<[Reached<R>]> {
        let mut known = self.0.lock();
        // what changes from here on is looked at again
        let seen = look.changes();
        if known.seen == Some(seen) {
            return known.all.clone();
        }
        let (me, members) = topics.members(topic);
        let before = known.all.clone();
        let by_place = node.placement.is_some();
        let mut last: BTreeMap<_, _> =
            before.iter().map(|one| (identity(&one.member, by_place), one)).collect();
        let reached = members.into_iter().map(|member| {
            let kept = last.remove(&identity(&member, by_place)).and_then(|one| one.reference.as_ref().ok());
            let reference = match kept {
                Some(reference) => Ok(reference.clone()),
                None => reference(node, &member, member.node == me),
            };
            Reached { member, reference }
        });
        let all: Arc<[_]> = reached.collect();
        *known = Known { seen: Some(seen), all: all.clone() };
        all
    }
}

/// What makes two the same member: for one that is placed not its node, where this node is told of places.
fn identity(member: &Member, by_place: bool) -> (ServiceName, Option<Arc<str>>, Option<NodeId>) {
    let Member { service, key, node, placed } = member.clone();
    (service, key, (!placed || !by_place).then_some(node))
}

fn reference<R: Contract>(node: &Arc<NodeInner>, member: &Member, is_here: bool) -> Result<R, Refusal> {
    let by_place = member.placed && node.placement.is_some();
    let on = (!by_place && !is_here).then_some(&member.node);
    node.registry.member::<R>(&member.service, member.key.as_ref(), on, node).map(R::bind)
}
