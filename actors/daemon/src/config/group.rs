//! The part of `[cluster]` that says which nodes agree on who is a member.

use odeon::core::NodeName;
use odeon::membership::MembershipConfig;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::collections::BTreeSet;
use std::path::Path;

/// Most voters: each entry has to reach more than half of them.
const VOTERS_MAX: usize = 15;
const VOTERS_DEFAULT: usize = 3;
/// Where Linux says what the machine is called.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// The cluster group, complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Group {
    /// The nodes that form the cluster and are its first voters.
    pub(crate) founders: BTreeSet<NodeName>,
    /// The nodes that may vote.
    pub(crate) eligible: BTreeSet<NodeName>,
    /// How many of them vote: odd.
    pub(crate) voters: usize,
}

/// What is said of a group that cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GroupError {
    /// Nobody would form it.
    #[error("`{0}` says who votes in a cluster group, but there is none without `founders`")]
    NoFounders(&'static str),
    /// Half of an even number is no majority, so one more voter is one more to lose and none to spare.
    #[error("cluster.voters = {0} cannot work: expected an odd number from 1 to {VOTERS_MAX}")]
    Voters(usize),
}

impl GroupError {
    /// The key that is to blame.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::NoFounders(key) => key,
            Self::Voters(_) => "voters",
        }
    }

    /// What to do.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::NoFounders(_) => {
                "name the nodes that begin the cluster, the same on all nodes: founders = [\"north\", \"south\", \"east\"]"
            }
            Self::Voters(_) => "3 voters go on without one of them, 5 without two",
        }
    }
}

impl Group {
    /// From what was said. None: nothing was.
    ///
    /// # Errors
    /// [`GroupError`].
    pub(super) fn of(
        founders: BTreeSet<NodeName>,
        eligible: Option<BTreeSet<NodeName>>,
        voters: Option<usize>,
    ) -> Result<Option<Self>, GroupError> {
        if founders.is_empty() {
            let key = eligible.map(|_| "eligible").or(voters.map(|_| "voters"));
            return key.map_or(Ok(None), |key| Err(GroupError::NoFounders(key)));
        }
        let voters = voters.unwrap_or(VOTERS_DEFAULT);
        if voters.is_multiple_of(2) || voters > VOTERS_MAX {
            return Err(GroupError::Voters(voters));
        }
        let eligible = eligible.filter(|names| !names.is_empty()).unwrap_or_else(|| founders.clone());
        Ok(Some(Self { founders, eligible, voters }))
    }

    /// What the node's membership is told, with its files in this directory.
    pub(crate) fn membership(&self, directory: &Path) -> MembershipConfig {
        let Self { founders, eligible, voters } = self;
        MembershipConfig {
            eligible: eligible.clone(),
            voters: *voters,
            ..MembershipConfig::new(directory, founders.iter().cloned())
        }
    }
}

/// The machine that this process is on: as it calls itself, if that is known.
pub(super) fn host(node: &NodeName) -> String {
    let named = std::fs::read_to_string(HOST_NAME).map(|name| name.trim().to_owned());
    named.ok().filter(|name| !name.is_empty()).unwrap_or_else(|| node.to_string())
}

/// For `#[serde(deserialize_with)]`: names, none of them twice.
pub(super) fn names<'de, D: Deserializer<'de>>(from: D) -> Result<Option<BTreeSet<NodeName>>, D::Error> {
    let Some(said) = Option::<Vec<NodeName>>::deserialize(from)? else { return Ok(None) };
    let mut names = BTreeSet::new();
    for name in said {
        if let Some(twice) = names.replace(name) {
            return Err(de::Error::custom(format!("{twice} is named twice")));
        }
    }
    Ok(Some(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> BTreeSet<NodeName> {
        all.iter().map(|name| name.parse().expect("a name")).collect()
    }

    #[test]
    fn founders_make_a_group_in_which_three_of_them_vote() {
        assert_eq!(Group::of(names(&[]), None, None), Ok(None));
        let founders = names(&["north", "south"]);
        let group = Group::of(founders.clone(), None, None);
        assert_eq!(
            group,
            Ok(Some(Group { founders: founders.clone(), eligible: founders.clone(), voters: 3 }))
        );
        let more = names(&["east", "west"]);
        let group = Group::of(founders.clone(), Some(more.clone()), Some(5));
        assert_eq!(group, Ok(Some(Group { founders, eligible: more, voters: 5 })));
    }

    #[test]
    fn what_nobody_forms_and_what_has_no_majority_is_refused() {
        let alone = |eligible, voters| Group::of(names(&[]), eligible, voters);
        assert_eq!(alone(Some(names(&["north"])), None), Err(GroupError::NoFounders("eligible")));
        assert_eq!(alone(None, Some(3)), Err(GroupError::NoFounders("voters")));
        for voters in [0, 2, 4, VOTERS_MAX + 2] {
            assert_eq!(Group::of(names(&["north"]), None, Some(voters)), Err(GroupError::Voters(voters)));
        }
    }

    #[test]
    fn a_machine_has_a_name() {
        assert!(!host(&"north".parse().expect("a name")).is_empty());
    }
}
