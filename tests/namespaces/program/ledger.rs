//! What a node writes down of its messages. It outlives activations: one that began anew would be seen.

use super::bridge::Slip;
use odeon::prelude::*;
use odeon_tests::traffic::{Received, Report, Runs, Sent};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};

/// How a call ended.
pub(crate) enum End {
    Answered,
    Mistaken,
    Refused(Refusal),
    Unknown(UnknownCause),
}

#[derive(Default)]
struct Outgoing {
    begun: u64,
    answered: BTreeSet<u64>,
    mistaken: BTreeSet<u64>,
    refused: BTreeMap<&'static str, BTreeSet<u64>>,
    unknown: BTreeMap<&'static str, BTreeSet<u64>>,
    casts: u64,
    casts_refused: BTreeMap<String, u64>,
}

#[derive(Default)]
struct Incoming {
    calls: BTreeSet<u64>,
    repeated: BTreeSet<u64>,
    casts: u64,
    overtaken: u64,
    /// The number of the last cast for each receiver.
    last: BTreeMap<String, u64>,
}

#[derive(Default)]
struct State {
    ended: bool,
    senders: u64,
    to: BTreeMap<String, Outgoing>,
    from: BTreeMap<String, Incoming>,
}

/// All that is written down.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<State>);

impl Ledger {
    /// Whether no more is to be sent.
    pub(crate) fn is_ended(&self) -> bool {
        self.0.lock().ended
    }

    /// No more is to be sent.
    pub(crate) fn end(&self) {
        self.0.lock().ended = true;
    }

    /// A sender begins.
    pub(crate) fn enter(&self) {
        self.0.lock().senders += 1;
    }

    /// A sender has come to its end.
    pub(crate) fn leave(&self) {
        self.0.lock().senders -= 1;
    }

    /// The number of the next call to a node.
    pub(crate) fn call_begins(&self, to: &str) -> u64 {
        let mut state = self.0.lock();
        let outgoing = state.to.entry(to.into()).or_default();
        outgoing.begun += 1;
        outgoing.begun - 1
    }

    pub(crate) fn call_ends(&self, to: &str, number: u64, end: End) {
        let mut state = self.0.lock();
        let outgoing = state.to.entry(to.into()).or_default();
        let kind = match end {
            End::Answered => &mut outgoing.answered,
            End::Mistaken => &mut outgoing.mistaken,
            End::Refused(why) => outgoing.refused.entry(why.name()).or_default(),
            End::Unknown(cause) => outgoing.unknown.entry(cause.name()).or_default(),
        };
        kind.insert(number);
    }

    /// A cast was accepted, or not.
    pub(crate) fn cast_sent(&self, to: &str, sent: &Result<(), Refusal>) {
        let mut state = self.0.lock();
        let outgoing = state.to.entry(to.into()).or_default();
        match sent {
            Ok(()) => outgoing.casts += 1,
            Err(why) => *outgoing.casts_refused.entry(why.name().into()).or_default() += 1,
        }
    }

    /// A handler begins with a call.
    pub(crate) fn call_came(&self, slip: &Slip) {
        let mut state = self.0.lock();
        let incoming = state.from.entry(slip.from.clone()).or_default();
        if !incoming.calls.insert(slip.number) {
            incoming.repeated.insert(slip.number);
        }
    }

    /// A handler begins with a cast. Casts are numbered from 1.
    pub(crate) fn cast_came(&self, slip: &Slip) {
        let mut state = self.0.lock();
        let incoming = state.from.entry(slip.from.clone()).or_default();
        let last = incoming.last.entry(slip.key.clone()).or_default();
        if slip.number <= *last {
            incoming.overtaken += 1;
        }
        *last = (*last).max(slip.number);
        incoming.casts += 1;
    }

    pub(crate) fn report(&self) -> Report {
        let state = self.0.lock();
        let by_name = |all: &BTreeMap<&'static str, BTreeSet<u64>>| {
            all.iter().map(|(name, numbers)| ((*name).to_owned(), Runs::of(numbers))).collect()
        };
        let sent = |o: &Outgoing| Sent {
            begun: o.begun,
            answered: Runs::of(&o.answered),
            refused: by_name(&o.refused),
            unknown: by_name(&o.unknown),
            mistaken: Runs::of(&o.mistaken),
            casts: o.casts,
            casts_refused: o.casts_refused.clone(),
        };
        let received = |i: &Incoming| Received {
            calls: Runs::of(&i.calls),
            repeated: Runs::of(&i.repeated),
            casts: i.casts,
            overtaken: i.overtaken,
        };
        Report {
            senders: state.senders,
            to: state.to.iter().map(|(name, outgoing)| (name.clone(), sent(outgoing))).collect(),
            from: state.from.iter().map(|(name, incoming)| (name.clone(), received(incoming))).collect(),
        }
    }
}
