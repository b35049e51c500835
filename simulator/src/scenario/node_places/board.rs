//! What the nodes of the scenario write down, and what must hold of it.

use crate::reach::reached;
use odeon::core::membership::{Member, View};
use odeon::core::{NodeId, NodeName};
use odeon::membership::Standing;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The singleton, among keys.
pub(super) const SINGLETON: &str = "(singleton)";
/// Keys of entities that are called.
pub(super) const KEYS: u64 = 6;

/// One activation: its node, and how many began there before it.
pub(super) type Life = (NodeId, u64);

/// What happens in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing but restarts in order.
    Calm,
    /// Restarts in order, one upon the other, and short pauses.
    Hasty,
    /// All that goes wrong.
    #[default]
    Rough,
    /// The same, and clocks drift by more than leases allow for.
    BeyondDrift,
}

/// All that is written down.
#[derive(Default)]
pub(super) struct Board {
    /// What happens in this run.
    pub(super) kind: Kind,
    /// All nodes have joined for the first time.
    pub(super) has_begun: bool,
    /// Where each node is now: what a resolver of names would tell.
    pub(super) addresses: BTreeMap<NodeName, SocketAddr>,
    nodes: BTreeMap<NodeName, Seen>,
    leaving: BTreeSet<String>,
    /// The activations of each key, in the order in which they began.
    lives: BTreeMap<String, Vec<Life>>,
    /// How often each call has run.
    runs: BTreeMap<u64, u32>,
    /// Calls that were not executed.
    refused: BTreeSet<u64>,
    /// What each key had counted when each node was answered last.
    counted: BTreeMap<(NodeName, String), u64>,
    answers: BTreeSet<(NodeName, String)>,
    calls: u64,
    lives_begun: u64,
    pub(super) broken: Vec<String>,
}

struct Seen {
    node: NodeId,
    view: Arc<View>,
    standing: Standing,
    holds_lease: bool,
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
        let standing = Standing::Joining { waits_for: String::new() };
        let seen = Seen { node: node.clone(), view: Arc::default(), standing, holds_lease: false };
        self.nodes.insert(node.name.clone(), seen);
    }

    /// A node shows what it sees.
    pub(super) fn sees(&mut self, node: &NodeId, view: Arc<View>, standing: Standing, holds_lease: bool) {
        if let Some(seen) = self.nodes.get_mut(&node.name).filter(|seen| seen.node == *node) {
            (seen.view, seen.standing, seen.holds_lease) = (view, standing, holds_lease);
        }
    }

    /// A number for a call.
    pub(super) fn next_call(&mut self) -> u64 {
        self.calls += 1;
        self.calls
    }

    /// An activation begins.
    pub(super) fn lives(&mut self, key: &str, node: &NodeId) -> Life {
        self.lives_begun += 1;
        let life = (node.clone(), self.lives_begun);
        self.lives.entry(key.into()).or_default().push(life.clone());
        life
    }

    /// How long a call takes, if it takes long.
    pub(super) fn takes_long(&self, call: u64) -> Option<Duration> {
        let is_long = self.kind != Kind::Calm && call.is_multiple_of(41);
        is_long.then(|| Duration::from_millis(100 + call % 1_900))
    }

    /// An activation does something.
    pub(super) fn goes_on(&mut self, key: &str, life: &Life) {
        let lives = self.lives.entry(key.into()).or_default();
        let is_last = lives.last() == Some(life);
        if !is_last && self.kind == Kind::BeyondDrift {
            reached("places: clocks drifted too far, and an activation acted after a later one");
        } else if !is_last {
            let last = lives.last();
            self.broken.push(format!("{key} of {life:?} acts after a later one began: {last:?}"));
        }
    }

    /// An activation runs a call.
    pub(super) fn runs(&mut self, key: &str, life: &Life, call: u64) {
        self.goes_on(key, life);
        let runs = self.runs.entry(call).or_default();
        *runs += 1;
        if *runs > 1 {
            self.broken.push(format!("call {call} of {key} has run {runs} times"));
        }
        if self.refused.contains(&call) {
            self.broken.push(format!("call {call} of {key} has run, and was not executed"));
        }
    }

    /// A call was answered with the sum so far.
    pub(super) fn answered(&mut self, by: &NodeName, key: &str, sum: u64) {
        self.answers.insert((by.clone(), key.into()));
        let before = self.counted.insert((by.clone(), key.into()), sum).unwrap_or(0);
        // what a singleton has does not go with it
        let goes_along = matches!(self.kind, Kind::Calm | Kind::Hasty);
        if goes_along && sum <= before && key != SINGLETON {
            self.broken.push(format!("{key} has counted {sum}, and {before} before"));
        }
    }

    /// A call has failed.
    pub(super) fn failed(&mut self, by: &NodeName, key: &str, call: u64, executed: Option<bool>, why: &str) {
        if executed == Some(false) {
            self.refused.insert(call);
            if self.runs.contains_key(&call) {
                self.broken.push(format!("call {call} of {key} was not executed ({why}), and has run"));
            }
        }
        if self.kind == Kind::Calm && self.has_begun {
            self.broken.push(format!("a call of {key} by {by} failed although nothing was wrong: {why}"));
        }
    }

    pub(super) fn ask_to_leave(&mut self, name: &str) {
        self.leaving.insert(name.into());
    }

    pub(super) fn is_asked_to_leave(&self, name: &str) -> bool {
        self.leaving.contains(name)
    }

    pub(super) fn has_left(&mut self, name: &str) {
        self.leaving.remove(name);
        for seen in self.nodes.values_mut().filter(|seen| seen.node.name.as_str() == name) {
            (seen.standing, seen.holds_lease) = (Standing::Left, false);
        }
    }

    /// Whether so many nodes are members with leases, see the same, and each slot has an owner that is to keep it.
    pub(super) fn are_joined(&self, count: usize) -> bool {
        let Some(first) = self.nodes.values().next().map(|seen| comparable(&seen.view)) else { return false };
        let living: BTreeSet<NodeId> = self.nodes.values().map(|seen| seen.node.clone()).collect();
        let members: BTreeSet<NodeId> =
            first.members.values().map(|member| member.card.node.clone()).collect();
        let mut slots = first.tables.values().flat_map(|table| table.slots().map(|(_, slot)| slot));
        members.len() == count
            && members == living
            && first.tables.len() == 2
            && slots.all(|slot| slot.owner.is_some() && slot.to.is_none())
            && self.nodes.values().all(|seen| {
                seen.standing == Standing::Member && seen.holds_lease && comparable(&seen.view) == first
            })
    }

    /// Whether a node is a member with a lease.
    pub(super) fn is_member(&self, name: &str) -> bool {
        let mut seen = self.nodes.values().filter(|seen| seen.node.name.as_str() == name);
        seen.any(|seen| seen.standing == Standing::Member && seen.holds_lease)
    }

    pub(super) fn forget_answers(&mut self) {
        self.answers.clear();
    }

    fn wanted(&self) -> impl Iterator<Item = (NodeName, String)> {
        let keys = (0..KEYS).map(|key| key.to_string()).chain([SINGLETON.into()]);
        let keys: Vec<String> = keys.collect();
        self.nodes.keys().flat_map(move |name| keys.clone().into_iter().map(|key| (name.clone(), key)))
    }

    /// Whether each node has got answers of each key.
    pub(super) fn has_answered_everywhere(&self, count: usize) -> bool {
        self.nodes.len() == count && self.wanted().all(|one| self.answers.contains(&one))
    }

    /// Who has got no answers of what.
    pub(super) fn silent(&self) -> Vec<String> {
        let silent = self.wanted().filter(|one| !self.answers.contains(one));
        silent.map(|(name, key)| format!("{name} hears nothing of {key}")).collect()
    }

    /// For people: what each node sees.
    pub(super) fn seen(&self) -> Vec<String> {
        let seen = self.nodes.values().map(|seen| {
            let members: Vec<_> =
                seen.view.members.values().map(|m| format!("{} {:?}", m.card.node, m.state)).collect();
            let loads: Vec<_> = seen.view.tables.iter().map(|(name, table)| (name, table.loads())).collect();
            let moving = seen.view.tables.values().flat_map(|t| t.slots()).filter(|(_, s)| s.to.is_some());
            let (moving, epoch) = (moving.count(), seen.view.epoch);
            format!(
                "{} {:?} lease {} epoch {epoch} sees {members:?}, {loads:?}, {moving} moving",
                seen.node, seen.standing, seen.holds_lease
            )
        });
        seen.collect()
    }
}
