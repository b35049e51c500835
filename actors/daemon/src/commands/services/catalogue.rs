//! `services --versions`: what the members of a cluster offer, in which versions, and where.

use crate::terminal::Table;
use odeon::core::membership::{MemberState, OfferKind};
use odeon_actors::management::api::{MemberSummary, Members, OfferSummary};
use serde::Serialize;
use std::collections::BTreeMap;

/// The catalogue, by name, the latest version first.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Catalogue {
    /// The epoch of the view that it was read from.
    pub(super) epoch: u64,
    /// One entry for each version.
    pub(super) services: Vec<Offered>,
}

/// One version of a service.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Offered {
    pub(super) name: String,
    pub(super) kind: OfferKind,
    pub(super) contract: String,
    pub(super) version: String,
    /// Of the nodes that have the service, so many have this version.
    pub(super) percent: u32,
    pub(super) nodes: Vec<Provider>,
}

/// A member that has it.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Provider {
    pub(super) node: String,
    /// `up`, `draining` or `suspect`.
    pub(super) state: &'static str,
}

impl Catalogue {
    pub(super) fn of(members: &Members) -> Self {
        // later versions come first: a number at a time, not a letter
        type Key = (String, std::cmp::Reverse<(u64, u64)>, String, String);
        let mut offered: BTreeMap<Key, (OfferKind, Vec<Provider>)> = BTreeMap::new();
        let mut nodes_with: BTreeMap<&str, usize> = BTreeMap::new();
        for member in &members.members {
            for OfferSummary { name, kind, contract, version } in &member.services {
                let key =
                    (name.clone(), std::cmp::Reverse(number(version)), contract.clone(), version.clone());
                offered.entry(key).or_insert_with(|| (*kind, Vec::new())).1.push(provider(member));
                *nodes_with.entry(name).or_default() += 1;
            }
        }
        let entry = |((name, _, contract, version), (kind, nodes)): (Key, (OfferKind, Vec<Provider>))| {
            let all = nodes_with.get(name.as_str()).copied().unwrap_or(1);
            let percent = (100 * nodes.len() + all / 2) / all;
            let percent = u32::try_from(percent).unwrap_or(100);
            Offered { name, kind, contract, version, percent, nodes }
        };
        Self { epoch: members.epoch, services: offered.into_iter().map(entry).collect() }
    }

    pub(super) fn table(&self) -> Table {
        let mut table =
            Table::new().text("service").text("kind").text("contract").number("share").text("nodes");
        for offered in &self.services {
            let node = |provider: &Provider| match provider.state {
                "up" => provider.node.clone(),
                state => format!("{} ({state})", provider.node),
            };
            table.push([
                offered.name.clone(),
                match offered.kind {
                    OfferKind::Stateless => "stateless",
                    OfferKind::Entity => "entity",
                    OfferKind::Singleton => "singleton",
                }
                .into(),
                format!("{} {}", offered.contract, offered.version),
                format!("{} %", offered.percent),
                offered.nodes.iter().map(node).collect::<Vec<_>>().join(", "),
            ]);
        }
        table
    }
}

fn provider(member: &MemberSummary) -> Provider {
    let is_suspect = member.suspect_ms.is_some() || !member.suspected_by.is_empty();
    let state = match member.state {
        MemberState::Draining => "draining",
        MemberState::Up if is_suspect => "suspect",
        MemberState::Up => "up",
    };
    Provider { node: format!("{}@{}", member.name, member.incarnation), state }
}

/// `major.minor`.
fn number(version: &str) -> (u64, u64) {
    let (major, minor) = version.split_once('.').unwrap_or((version, ""));
    (major.parse().unwrap_or(0), minor.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use odeon_actors::management::api::{MemberRole, StandingKind};

    fn member(name: &str, state: MemberState, offers: &[(&str, &str)]) -> MemberSummary {
        let offer = |(name, version): &(&str, &str)| OfferSummary {
            name: (*name).into(),
            kind: OfferKind::Entity,
            contract: (*name).into(),
            version: (*version).into(),
        };
        MemberSummary {
            name: name.into(),
            incarnation: 1,
            state,
            since: 1,
            since_ms: 0,
            suspect_ms: None,
            suspected_by: Vec::new(),
            role: MemberRole::Voter,
            address: String::new(),
            host: String::new(),
            zone: String::new(),
            version: String::new(),
            artifact: String::new(),
            level_min: 1,
            level_max: 1,
            services: offers.iter().map(offer).collect(),
        }
    }

    #[test]
    fn each_version_has_its_share_and_the_latest_comes_first() {
        let (up, draining) = (MemberState::Up, MemberState::Draining);
        let suspect = MemberSummary {
            suspected_by: vec!["one".into()],
            ..member("three", up, &[("cart", "1.9"), ("till", "1.0")])
        };
        let members = Members {
            node: "one@1".into(),
            standing: StandingKind::Member,
            reasons: Vec::new(),
            holds_lease: true,
            epoch: 7,
            level: 1,
            members: vec![
                member("one", up, &[("cart", "1.10")]),
                member("two", draining, &[("cart", "1.9")]),
                suspect,
            ],
            gone: Vec::new(),
        };
        let catalogue = Catalogue::of(&members);
        let told: Vec<_> =
            catalogue.services.iter().map(|s| (&*s.name, &*s.version, s.percent, s.nodes.len())).collect();
        assert_eq!(told, [("cart", "1.10", 33, 1), ("cart", "1.9", 67, 2), ("till", "1.0", 100, 1)]);
        let states: Vec<_> = catalogue.services[1].nodes.iter().map(|node| node.state).collect();
        assert_eq!(states, ["draining", "suspect"]);
    }
}
