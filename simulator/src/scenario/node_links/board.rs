//! What the nodes of the scenario write down while they send and handle: the truth that the books of links are held
//! against.

use super::invariants;
use super::program::Again;
use crate::reach::reached;
use odeon::core::{NodeId, NodeName, Refusal, UnknownCause};
use odeon::prelude::CallError;
use odeon::remote::LinkStatus;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// What the script wants of the nodes at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Faults happen while all talk.
    #[default]
    Chaos,
    /// All talk, and nothing is wrong with the world any more.
    Healed,
    /// Nobody sends anything new.
    Quiet,
}

/// Who sends, and to whom: two incarnations.
pub(super) type Pair = (NodeId, NodeId);

/// Messages among which order is promised: of one sender to one receiver, in one class. Its casts are numbered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stream {
    pub(super) pair: Pair,
    /// Which task or activation of the sending node.
    pub(super) sender: u64,
    /// Which entity of the receiving node.
    pub(super) key: u64,
    /// The class.
    pub(super) level: usize,
}

/// What happened from one incarnation to another.
#[derive(Clone, Debug, Default)]
pub(super) struct Truth {
    /// Casts that were accepted where they were sent.
    pub(super) casts_sent: u64,
    /// Casts with which a handler began.
    pub(super) casts_run: u64,
    /// Casts that a later one of the same stream has overtaken for good.
    pub(super) casts_passed: u64,
    /// Calls with which a handler began.
    pub(super) calls_run: u64,
    /// Calls by how they ended.
    pub(super) answered: u64,
    pub(super) not_executed: u64,
    /// Of these, those that the program may have made again before it told of them.
    pub(super) not_executed_again: u64,
    /// Why they were not executed.
    pub(super) reasons: BTreeMap<&'static str, u64>,
    /// Unknown, though a handler has begun.
    pub(super) unknown: u64,
    /// Unknown, for the caller's time was up first.
    pub(super) timed_out: u64,
    /// Unknown since the session ended.
    pub(super) lost: u64,
    /// Calls that their caller has left.
    pub(super) left: u64,
    /// Calls that were made when an earlier incarnation was known, and that may have been sent again to this one.
    pub(super) moved: u64,
}

impl Truth {
    fn add(&mut self, other: &Self) {
        self.casts_sent += other.casts_sent;
        self.casts_run += other.casts_run;
        self.casts_passed += other.casts_passed;
        self.answered += other.answered;
        self.not_executed += other.not_executed;
        self.not_executed_again += other.not_executed_again;
        for (reason, count) in &other.reasons {
            *self.reasons.entry(reason).or_default() += count;
        }
        self.unknown += other.unknown;
        self.timed_out += other.timed_out;
        self.calls_run += other.calls_run;
        self.lost += other.lost;
        self.left += other.left;
        self.moved += other.moved;
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Answered,
    NotExecuted(Refusal),
    Unknown(UnknownCause),
    Left,
}

/// One call, from its beginning on.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) pair: Pair,
    pub(super) again: Again,
    pub(super) runs: u32,
    /// It may have been sent again, to a later incarnation.
    pub(super) moved: bool,
    pub(super) end: Option<End>,
}

/// All that is written down.
#[derive(Default)]
pub(super) struct Board {
    pub(super) phase: Phase,
    pub(super) addresses: BTreeMap<NodeName, SocketAddr>,
    /// The latest incarnation of each node.
    pub(super) living: BTreeMap<NodeName, u64>,
    pub(super) truth: BTreeMap<Pair, Truth>,
    pub(super) calls: BTreeMap<u64, Record>,
    calls_begun: u64,
    /// Calls that have not ended, by pair; and those that may be sent again, to whichever incarnation.
    open: BTreeMap<Pair, u64>,
    open_to_any: BTreeMap<(NodeId, NodeName), u64>,
    /// The number of the next cast.
    next: BTreeMap<Stream, u64>,
    /// The number of the last cast with which a handler began.
    last: BTreeMap<Stream, u64>,
    /// The links of each node as they were seen last.
    pub(super) links: BTreeMap<NodeId, Vec<LinkStatus>>,
    /// Who was answered by whom since this was last wiped.
    pub(super) answered: BTreeSet<(NodeName, NodeName)>,
    /// Nodes that are to drop their connections.
    pub(super) dropping: BTreeSet<NodeName>,
    /// Nodes that are to stop, and those that have.
    pub(super) stopping: BTreeSet<NodeName>,
    pub(super) stopped: BTreeSet<NodeName>,
    pub(super) broken: Vec<String>,
}

impl Board {
    pub(super) fn truth(&mut self, pair: &Pair) -> &mut Truth {
        self.truth.entry(pair.clone()).or_default()
    }

    fn note(&mut self, broken: Option<String>) {
        self.broken.extend(broken);
    }

    /// A call begins. Gives back its number, which no other has.
    pub(super) fn begin(&mut self, pair: &Pair, again: Again) -> u64 {
        self.calls_begun += 1;
        let record = Record { pair: pair.clone(), again, runs: 0, moved: false, end: None };
        *self.open_of(&record) += 1;
        self.calls.insert(self.calls_begun, record);
        self.calls_begun
    }

    /// The calls that are counted together with this one.
    fn open_of(&mut self, record: &Record) -> &mut u64 {
        let (from, to) = record.pair.clone();
        match record.again {
            Again::Never => self.open.entry((from, to)).or_default(),
            Again::May => self.open_to_any.entry((from, to.name)).or_default(),
        }
    }

    /// Whether every call has ended.
    pub(super) fn have_all_ended(&self) -> bool {
        self.open.values().chain(self.open_to_any.values()).all(|count| *count == 0)
    }

    /// A handler begins with a call.
    pub(super) fn runs(&mut self, call: u64) {
        let Some(record) = self.calls.get_mut(&call) else {
            return self.broken.push(format!("a handler began with call {call}, which nobody made"));
        };
        record.runs += 1;
        let broken = invariants::runs_once(call, record);
        let pair = record.pair.clone();
        self.truth(&pair).calls_run += 1;
        self.note(broken);
    }

    /// A call ends.
    pub(super) fn ends(&mut self, call: u64, outcome: Result<u64, CallError>) {
        let (end, value) = match outcome {
            Ok(value) => {
                reached("calls: answered");
                (End::Answered, Some(value))
            }
            Err(CallError::NotExecuted(refusal)) => {
                reached(&format!("calls: not executed, {}", refusal.name()));
                (End::NotExecuted(refusal), None)
            }
            Err(CallError::Unknown(cause)) => {
                reached(&format!("calls: unknown, {}", cause.name()));
                (End::Unknown(cause), None)
            }
            Err(CallError::Failed(never)) => match never {},
        };
        if let Some(value) = value {
            self.note(invariants::right_answer(call, value));
        }
        self.finish(call, end);
    }

    /// A call that may be sent again is about to end, and by now this incarnation is known.
    pub(super) fn moves(&mut self, call: u64, pair: Pair) {
        let Some(record) = self.calls.get_mut(&call) else { return };
        record.moved = true;
        record.pair = pair;
    }

    /// Nobody waits for a call any more, or it has ended.
    pub(super) fn finish(&mut self, call: u64, end: End) {
        let Some(record) = self.calls.get_mut(&call) else { return };
        let broken = invariants::ends_once(call, record, &end);
        record.end = Some(end.clone());
        let record = record.clone();
        self.note(broken);
        self.note(invariants::not_executed_never_ran(call, &record));
        *self.open_of(&record) -= 1;
        let Record { pair, moved, again, .. } = record;
        let truth = self.truth(&pair);
        match &end {
            _ if moved => truth.moved += 1,
            End::Answered => truth.answered += 1,
            End::NotExecuted(why) => {
                truth.not_executed += 1;
                truth.not_executed_again += u64::from(again == Again::May);
                *truth.reasons.entry(why.name()).or_default() += 1;
            }
            End::Unknown(UnknownCause::LinkLost) => truth.lost += 1,
            End::Unknown(UnknownCause::TimedOut) => truth.timed_out += 1,
            End::Unknown(_) => truth.unknown += 1,
            End::Left => {
                reached("calls: left by their caller");
                truth.left += 1;
            }
        }
        if end == End::Answered {
            self.answered.insert((pair.0.name, pair.1.name));
        }
    }

    /// The number that the next cast of a stream has.
    pub(super) fn next_cast(&mut self, stream: &Stream) -> u64 {
        *self.next.entry(stream.clone()).or_insert(1)
    }

    /// A cast was accepted.
    pub(super) fn cast_sent(&mut self, stream: &Stream) {
        *self.next.entry(stream.clone()).or_insert(1) += 1;
        self.truth(&stream.pair).casts_sent += 1;
    }

    /// A handler begins with a cast.
    pub(super) fn cast_runs(&mut self, stream: Stream, number: u64) {
        let last = self.last.insert(stream.clone(), number).unwrap_or(0);
        let broken = invariants::in_order(&stream, last, number);
        let truth = self.truth(&stream.pair);
        truth.casts_run += 1;
        truth.casts_passed += number.saturating_sub(last + 1);
        self.note(broken);
    }

    /// A handler begins with a call of a stream, which was made after this cast and before the next one.
    pub(super) fn call_runs(&mut self, stream: Stream, after: u64) {
        let last = self.last.entry(stream.clone()).or_insert(0);
        let broken = invariants::call_in_order(&stream, *last, after);
        if after > *last {
            let passed = after - std::mem::replace(last, after);
            reached("links: a call has overtaken casts for good");
            self.truth(&stream.pair).casts_passed += passed;
        }
        self.note(broken);
    }

    /// What is true of all messages from one incarnation to those of a node that were before another one.
    pub(super) fn truth_before(&self, (from, to): &Pair) -> Truth {
        let mut all = Truth::default();
        for (_, truth) in self.truths(from, &to.name).filter(|(incarnation, _)| *incarnation < to.incarnation)
        {
            all.add(truth);
        }
        // what was sent again is counted where it went in the end
        all.moved = self.truths(from, &to.name).map(|(_, truth)| truth.moved).sum();
        all
    }

    /// What is true of messages from one incarnation to each one of a node.
    fn truths(&self, from: &NodeId, to: &NodeName) -> impl Iterator<Item = (u64, &Truth)> {
        let all =
            self.truth.iter().filter(move |((sender, receiver), _)| sender == from && receiver.name == *to);
        all.map(|((_, receiver), truth)| (receiver.incarnation, truth))
    }

    /// Calls from one incarnation to all of a node of which it was said that they are lost.
    pub(super) fn lost(&self, from: &NodeId, to: &NodeName) -> u64 {
        self.truths(from, to).map(|(_, truth)| truth.lost).sum()
    }

    /// A node shows its links.
    pub(super) fn shows(&mut self, me: &NodeId, links: Vec<LinkStatus>) {
        for link in &links {
            let open = self.open.get(&(me.clone(), link.node.clone())).copied().unwrap_or(0);
            let to_any = self.open_to_any.get(&(me.clone(), link.node.name.clone())).copied().unwrap_or(0);
            let open = open + to_any;
            let broken = invariants::bounded(me, link, open);
            self.broken.extend(broken);
        }
        self.links.insert(me.clone(), links);
    }

    /// The latest incarnation of a node begins.
    pub(super) fn begins(&mut self, node: &NodeId) {
        self.stopping.remove(&node.name);
        self.stopped.remove(&node.name);
        self.living.insert(node.name.clone(), node.incarnation);
    }

    /// The nodes that have a connection with the latest incarnation of this one.
    pub(super) fn linked_to(&self, name: &NodeName) -> Vec<NodeId> {
        let links = self.living_links().filter(|(node, link)| node.name != *name && link.node.name == *name);
        links.filter(|(_, link)| link.connected).map(|(node, _)| node.clone()).collect()
    }

    /// Whether a large body is on its way from or to a node.
    pub(super) fn is_large_under_way(&self, node: &str) -> bool {
        let large = self.living_links().filter(|(_, link)| link.connected && link.large_bytes > 0);
        large.filter(|(from, link)| from.name.as_str() == node || link.node.name.as_str() == node).count() > 0
    }

    /// Whether this is the latest incarnation of its node.
    pub(super) fn lives(&self, node: &NodeId) -> bool {
        self.living.get(&node.name) == Some(&node.incarnation)
    }

    /// The links between living incarnations, as they were seen last.
    pub(super) fn living_links(&self) -> impl Iterator<Item = (&NodeId, &LinkStatus)> {
        let living = self.links.iter().filter(|(node, _)| self.lives(node));
        let links = living.flat_map(|(node, links)| links.iter().map(move |link| (node, link)));
        links.filter(|(_, link)| self.lives(&link.node))
    }
}
