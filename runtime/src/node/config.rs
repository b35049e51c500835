//! The configuration of a node: validated as a whole before anything starts.

use odeon_core::{NodeName, ServiceName};
use std::collections::BTreeMap;

/// What a node is told.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Its name, unique in the cluster.
    pub name: NodeName,
    /// The section of each service, as its constructor wants it.
    pub services: BTreeMap<ServiceName, toml::Table>,
    /// Names that stand for others: who depends on the left gets the right.
    pub bindings: BTreeMap<ServiceName, ServiceName>,
    /// Its entities and singletons are where the cluster group places them: it is to become a member
    /// ([`Membership::start`](crate::membership::Membership::start)). Until it is none of them begins. Otherwise they
    /// are wherever somebody calls them.
    pub placed: bool,
}

impl NodeConfig {
    /// Nothing configured.
    pub fn named(name: NodeName) -> Self {
        Self { name, services: BTreeMap::new(), bindings: BTreeMap::new(), placed: false }
    }
}

/// A section of the configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The constructor of the service wants something else.
    #[error("services.{service}{}{field}: {problem}", if field.is_empty() { "" } else { "." })]
    Section {
        /// The service.
        service: ServiceName,
        /// The field within its section; empty for the section itself.
        field: String,
        /// What was expected.
        problem: String,
    },
    /// No service of that name takes configuration.
    #[error("services.{service}: {problem}")]
    Unused {
        /// The service.
        service: ServiceName,
        /// Why, and what there is.
        problem: String,
    },
}
