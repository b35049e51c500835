//! What a node says of itself when it joins.

use crate::{NodeId, ReplicaId, ServiceName};
use serde::{Deserialize, Serialize};

/// Most services that a node offers.
pub const OFFERS_MAX: usize = 1_024;

/// What a node says of itself when it joins. Fields that are not known are left alone by those who read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Who it is.
    pub node: NodeId,
    /// What its data directory holds of groups.
    pub replica: ReplicaId,
    /// Where it can be dialed, as `address:port`.
    pub address: String,
    /// The machine that it is on; nodes of the same one fail together.
    #[serde(default)]
    pub host: String,
    /// Where that is; empty: nobody has said.
    #[serde(default)]
    pub zone: String,
    /// The version of its program, for people.
    #[serde(default)]
    pub version: String,
    /// SHA-256 of its program in hexadecimal digits; empty if that is not known.
    #[serde(default)]
    pub artifact: String,
    /// The feature levels that it can read.
    pub levels: LevelRange,
    /// What it can activate.
    #[serde(default)]
    pub offers: Vec<Offer>,
}

impl Card {
    /// How many activations there are of a service that it offers. None: it does not offer it.
    pub fn kind_of(&self, service: &ServiceName) -> Option<OfferKind> {
        self.offers.iter().find(|offer| offer.service == *service).map(|offer| offer.kind)
    }
}

/// A range of feature levels, both ends in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelRange {
    /// The lowest.
    pub min: u32,
    /// The highest.
    pub max: u32,
}

impl LevelRange {
    /// What this version can read.
    pub const READ: Self = Self { min: 1, max: 1 };

    /// Whether a level is in it.
    pub fn contains(self, level: u32) -> bool {
        (self.min..=self.max).contains(&level)
    }
}

/// A service that a node can activate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The name under which it is found.
    pub service: ServiceName,
    /// Its contract.
    pub contract: String,
    /// The version of that: nodes with another one speak of something else.
    pub major: u16,
    /// Later ones can do more.
    pub minor: u16,
    /// How many activations there are of it.
    pub kind: OfferKind,
}

/// How many activations there are of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OfferKind {
    /// One on each executor of each node that has it.
    Stateless,
    /// One for each key.
    Entity,
    /// One.
    Singleton,
}
