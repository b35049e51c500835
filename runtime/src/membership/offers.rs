//! What a node has registered, as its card says it.

use crate::directory::{ServiceDescription, ServiceKind};
use crate::node::NodeInner;
use odeon_core::membership::{Offer, OfferKind};

/// All services of a node, by name.
pub(super) fn offers(node: &NodeInner) -> Vec<Offer> {
    node.registry.all().iter().map(|(dynamic, _)| offer(dynamic.describe())).collect()
}

fn offer(described: &ServiceDescription) -> Offer {
    Offer {
        service: described.name.clone(),
        contract: described.contract.into(),
        major: described.version.major,
        minor: described.version.minor,
        kind: match described.kind {
            ServiceKind::Stateless => OfferKind::Stateless,
            ServiceKind::Entity => OfferKind::Entity,
            ServiceKind::Singleton => OfferKind::Singleton,
        },
    }
}
