//! What the program `traffic` writes down of the messages between its nodes, and tells who asks: the truth that the
//! books of links are held against.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// In every body. Whoever reads along must never see it.
pub const MARKER: &str = "for-the-eyes-of-the-consignee";
/// Begins the name of every service that nodes call each other for.
pub const SERVICE: &str = "weighbridge";
/// Which node a program is: its services are named after it.
pub const NODE_VARIABLE: &str = "ODEON_TRAFFIC_NODE";
/// The receivers of each node.
pub const KEYS: [&str; 2] = ["east", "west"];

/// Numbers, told as the first and the last of each run of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Runs(Vec<(u64, u64)>);

impl Runs {
    /// Of these numbers.
    pub fn of(numbers: &BTreeSet<u64>) -> Self {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for number in numbers {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == *number => *last = *number,
                _ => runs.push((*number, *number)),
            }
        }
        Self(runs)
    }

    /// All of them.
    pub fn numbers(&self) -> BTreeSet<u64> {
        self.0.iter().flat_map(|(first, last)| *first..=*last).collect()
    }
}

/// What a node has sent to another one.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Sent {
    /// Calls that were begun: numbered from 0.
    pub begun: u64,
    /// Calls with the right answer.
    pub answered: Runs,
    /// Calls that were not executed, by reason.
    pub refused: BTreeMap<String, Runs>,
    /// Calls of which is not known whether they ran, by cause.
    pub unknown: BTreeMap<String, Runs>,
    /// Calls that were answered with what answers another one.
    pub mistaken: Runs,
    /// Casts that were accepted.
    pub casts: u64,
    /// Casts that were not, by reason.
    pub casts_refused: BTreeMap<String, u64>,
}

/// What a node has got from another one.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Received {
    /// Calls with which a handler began.
    pub calls: Runs,
    /// Calls with which it began again.
    pub repeated: Runs,
    /// Casts with which a handler began.
    pub casts: u64,
    /// Casts that came after a later one of their sender and receiver, or twice.
    pub overtaken: u64,
}

/// All that a node has written down, by the name of the other one.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Senders that have not come to their end.
    pub senders: u64,
    /// What it has sent.
    pub to: BTreeMap<String, Sent>,
    /// What it has got.
    pub from: BTreeMap<String, Received>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_tell_of_each_number() {
        let numbers = BTreeSet::from([0, 1, 2, 5, 7, 8]);
        let runs = Runs::of(&numbers);
        assert_eq!(runs, Runs(vec![(0, 2), (5, 5), (7, 8)]));
        assert_eq!(runs.numbers(), numbers);
    }
}
