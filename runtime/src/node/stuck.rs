//! Who blocks an executor: found from outside of it, because nobody on it can look.

use super::Node;
use crate::telemetry::events::Event;
use odeon_core::{ActivationId, ServiceName};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A cell that has been in one poll for too long: its handler blocks the executor and everything else on it.
#[derive(Clone, Debug)]
pub struct Stuck {
    /// The service.
    pub service: ServiceName,
    /// The cell.
    pub cell: ActivationId,
    /// The key of an entity.
    pub key: Option<Arc<str>>,
    /// What runs: a method, or a hook such as `start`.
    pub method: &'static str,
    /// How long the poll has lasted.
    pub lasted: Duration,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.as_deref().map(|key| format!("#{key}")).unwrap_or_default();
        write!(
            f,
            "{}{key} {} has not come to an await in {} for {:.1?}; blocking work belongs into Cx::blocking",
            self.service, self.cell, self.method, self.lasted
        )
    }
}

impl Node {
    /// Writes it to the log, and keeps it among the last events of the node.
    pub fn note_stuck(&self, stuck: &Stuck) {
        self.0.events.note(&Event::Stuck { stuck: stuck.clone() });
    }

    /// The cells that have been in one poll for longer than this. Looks at every cell: call it from a thread that
    /// is no executor's, when an executor no longer answers.
    pub fn stuck(&self, longer_than: Duration) -> Vec<Stuck> {
        let polling = self.0.tree.polling(longer_than);
        polling
            .into_iter()
            .map(|(service, status)| Stuck {
                service,
                cell: status.id,
                key: status.key,
                method: status.current.unwrap_or("the activation"),
                lasted: status.polling_for.unwrap_or_default(),
            })
            .collect()
    }
}
