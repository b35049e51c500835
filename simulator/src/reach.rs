//! The reach table: how often a scenario came to each fault, and each rare turn of the programs under it. What was
//! never reached proves nothing.
//!
//! Points have names of the form `group: what happens`. Those of the runtime are [`odeon::reach::ALL`], those of the
//! world [`FAULTS`]; scenarios have further ones, which are known once they were reached.

use odeon::reach::{ALL, TARGET};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) const PROCESS_CRASHED: &str = "faults: a process crashed";
pub(crate) const POWER_LOST: &str = "faults: a machine lost its power";
pub(crate) const CRASHED_WITHIN: &str = "faults: a crash struck within a turn";
pub(crate) const PAUSED: &str = "faults: a process stood still";
pub(crate) const HELD_UP: &str = "faults: an executor was held up, and others of its process were not";
pub(crate) const CUT: &str = "faults: a path was cut";
pub(crate) const LOST: &str = "faults: a datagram was lost";
pub(crate) const DOUBLED: &str = "faults: a datagram came twice";
pub(crate) const LATE: &str = "faults: a datagram was held back, behind later ones";
pub(crate) const RESENT: &str = "faults: a TCP segment was sent again";
pub(crate) const TORN: &str = "faults: a page was torn";
pub(crate) const UNDONE: &str = "faults: a page was lost";

/// What the world can do to programs.
pub const FAULTS: &[&str] = &[
    PROCESS_CRASHED,
    POWER_LOST,
    CRASHED_WITHIN,
    PAUSED,
    HELD_UP,
    CUT,
    LOST,
    DOUBLED,
    LATE,
    RESENT,
    TORN,
    UNDONE,
];

/// Counts a point of a scenario, from its programs or its script.
pub(crate) fn reached(point: &str) {
    tracing::trace!(target: TARGET, message = point);
}

/// How often each point was reached in one simulation.
#[derive(Clone, Default)]
pub(crate) struct Reached(Arc<Mutex<BTreeMap<String, u64>>>);

impl Reached {
    pub(crate) fn note(&self, point: &str) {
        self.add(point, 1);
    }

    pub(crate) fn add(&self, point: &str, times: u64) {
        if times == 0 {
            return;
        }
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(point) {
            Some(count) => *count += times,
            None => drop(counts.insert(point.to_owned(), times)),
        }
    }

    pub(crate) fn take(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How many seeds came to each point.
#[derive(Clone, Debug, Default)]
pub struct Reach(BTreeMap<String, (u64, u64)>);

/// One point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name.
    pub point: String,
    /// Seeds that came to it.
    pub seeds: u64,
    /// How often they did, all together.
    pub times: u64,
}

impl Reach {
    /// One more seed.
    pub(crate) fn add(&mut self, reached: &BTreeMap<String, u64>) {
        for (point, times) in reached {
            let (seeds, all) = self.0.entry(point.clone()).or_default();
            *seeds += 1;
            *all += times;
        }
    }

    /// All points by name, those among them that no seed came to. Of a group that has nothing to do with the scenario,
    /// for nothing of it was reached, none.
    pub fn rows(&self) -> Vec<Row> {
        let group = |point: &str| point.split_once(':').map(|(group, _)| group.to_owned());
        let groups: std::collections::BTreeSet<_> = self.0.keys().filter_map(|point| group(point)).collect();
        let mut all = self.0.clone();
        for point in
            ALL.iter().chain(FAULTS).filter(|point| group(point).is_some_and(|g| groups.contains(&g)))
        {
            all.entry((*point).to_owned()).or_default();
        }
        all.into_iter().map(|(point, (seeds, times))| Row { point, seeds, times }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_seed_came_to_is_told_with_the_rest_of_its_group() {
        let mut reach = Reach::default();
        for times in [2, 3] {
            let reached = Reached::default();
            reached.add(CUT, times);
            reached.add(LOST, 0);
            reach.add(&reached.take());
        }
        let rows = reach.rows();
        assert_eq!(rows.len(), FAULTS.len(), "nothing of other groups: {rows:?}");
        let row = |point: &str| rows.iter().find(|row| row.point == point).expect("it is a fault").clone();
        assert_eq!(row(CUT), Row { point: CUT.into(), seeds: 2, times: 5 });
        assert_eq!(row(LOST), Row { point: LOST.into(), seeds: 0, times: 0 });
    }
}
