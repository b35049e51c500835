//! What a node knows of all groups: its own list, and those that it has heard.

use super::{Contract, Heard, JoinRefused, News, Own, Receiver, Took};
use crate::{NodeId, ServiceName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Its service.
    pub service: ServiceName,
    /// The key of an entity.
    pub key: Option<Arc<str>>,
    /// The node that has told of it; of a node without a cluster the incarnation is 0.
    pub node: NodeId,
    /// Whether it is the same member wherever the cluster group places it.
    pub placed: bool,
}

/// A group with its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The name of its topic.
    pub topic: ServiceName,
    /// What its members speak, as one of them says.
    pub contract: Contract,
    /// They, in the order of their services, keys and nodes.
    pub members: Vec<Member>,
}

/// All groups of which a node knows.
#[derive(Debug)]
pub struct Table {
    me: NodeId,
    own: Own,
    heard: BTreeMap<NodeId, Heard>,
}

impl Table {
    /// That of a node that has heard of no other.
    pub fn new(me: NodeId) -> Self {
        Self { me, own: Own::default(), heard: BTreeMap::new() }
    }

    /// The node is called so from now on.
    pub fn call(&mut self, me: NodeId) {
        self.me = me;
    }

    /// What the node is called.
    pub const fn me(&self) -> &NodeId {
        &self.me
    }

    /// The list of this node.
    pub const fn own(&self) -> &Own {
        &self.own
    }

    /// See [`Own::join`].
    ///
    /// # Errors
    /// [`JoinRefused`].
    pub fn join(
        &mut self,
        topic: &ServiceName,
        contract: &Contract,
        receiver: &Receiver,
    ) -> Result<bool, JoinRefused> {
        self.own.join(topic, contract, receiver)
    }

    /// See [`Own::leave`].
    pub fn leave(&mut self, topic: &ServiceName, receiver: &Receiver) -> bool {
        self.own.leave(topic, receiver)
    }

    /// A piece of news of another node has come.
    pub fn hear(&mut self, node: &NodeId, piece: News) -> Took {
        self.heard.entry(node.clone()).or_default().hear(piece)
    }

    /// What was heard of a node.
    pub fn heard(&self, node: &NodeId) -> Option<&Heard> {
        self.heard.get(node)
    }

    /// Nothing that was heard of a node counts any more. Gives back of which groups it had members.
    pub fn forget(&mut self, node: &NodeId) -> BTreeSet<ServiceName> {
        let gone = self.heard.remove(node);
        gone.iter().flat_map(Heard::groups).map(|(topic, _)| topic.clone()).collect()
    }

    /// The members of a group, in the order of their services, keys and nodes. One that two nodes tell of is on its way
    /// from one to the other: it is listed once.
    pub fn members(&self, topic: &ServiceName) -> Vec<Member> {
        let heard = self.heard.iter().flat_map(|(node, heard)| heard.members(topic).map(move |r| (node, r)));
        let own = self.own.members(topic).map(|receiver| (&self.me, receiver));
        let mut placed = BTreeMap::new();
        let mut members = Vec::new();
        // what this node says of itself is how it is
        for (node, receiver) in heard.chain(own) {
            let Receiver { service, key, placed: is_placed } = receiver.clone();
            let member = Member { service, key, node: node.clone(), placed: is_placed };
            match is_placed {
                true => drop(placed.insert(receiver, member)),
                false => members.push(member),
            }
        }
        members.extend(placed.into_values());
        members.sort();
        members
    }

    /// Whether a group has members.
    pub fn has(&self, topic: &ServiceName) -> bool {
        let heard = self.heard.values().any(|heard| heard.members(topic).next().is_some());
        heard || self.own.members(topic).next().is_some()
    }

    /// All groups, by name.
    pub fn groups(&self) -> Vec<Group> {
        let heard = self.heard.values().flat_map(Heard::groups);
        let contracts: BTreeMap<_, _> = heard.chain(self.own.groups()).collect();
        let group = |(topic, contract): (&ServiceName, &Contract)| Group {
            topic: topic.clone(),
            contract: contract.clone(),
            members: self.members(topic),
        };
        contracts.into_iter().map(group).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeId {
        NodeId { name: name.parse().expect("a name"), incarnation: 1 }
    }

    fn receiver(service: &str, placed: bool) -> Receiver {
        Receiver { service: service.parse().expect("a name"), key: None, placed }
    }

    fn list(receivers: &[Receiver]) -> Own {
        let mut own = Own::default();
        let contract = Contract { name: "prices".into(), major: 1, minor: 0 };
        for receiver in receivers {
            own.join(&"prices".parse().expect("a name"), &contract, receiver).expect("there is room");
        }
        own
    }

    #[test]
    fn what_is_placed_is_one_member_wherever_it_is_and_what_is_not_is_one_on_each_node() {
        let topic: ServiceName = "prices".parse().expect("a name");
        let (clerk, cache) = (receiver("clerk", true), receiver("cache", false));
        let mut table = Table::new(node("mars"));
        let contract = Contract { name: "prices".into(), major: 1, minor: 0 };
        table.join(&topic, &contract, &cache).expect("there is room");
        for name in ["venus", "pluto"] {
            for news in list(&[clerk.clone(), cache.clone()]).since(0) {
                table.hear(&node(name), news);
            }
        }
        let seen = |table: &Table| -> Vec<String> {
            table.members(&topic).iter().map(|member| format!("{} {}", member.service, member.node)).collect()
        };
        assert_eq!(seen(&table), ["cache mars@1", "cache pluto@1", "cache venus@1", "clerk venus@1"]);
        table.join(&topic, &contract, &clerk).expect("there is room");
        assert_eq!(seen(&table).last().expect("some"), "clerk mars@1", "here it is for certain");
        assert_eq!(table.forget(&node("venus")), BTreeSet::from([topic.clone()]));
        assert_eq!(seen(&table), ["cache mars@1", "cache pluto@1", "clerk mars@1"]);
        assert_eq!(table.groups()[0].members.len(), 3);
    }
}
