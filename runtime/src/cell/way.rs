//! The cells on the way of a call, named for the people who read why it was refused.

use super::port::Port;
use crate::node::NodeInner;
use crate::service::message::Origin;
use odeon_core::Waypoint;

/// Those that wait for what this origin sends, the first caller first. What is known of cells on other nodes is their
/// number; a cell of this one is named if it is still there.
pub(super) fn to_here(origin: &Origin, node: Option<&NodeInner>) -> Vec<Waypoint> {
    let name = node.map(|node| node.name.to_string());
    let mut way: Vec<_> = origin
        .chain()
        .filter_map(|origin| {
            let activation = origin.activation?;
            if let Some(far) = &origin.node {
                return Some(Waypoint { node: Some(far.name.to_string()), address: None, activation });
            }
            let cell = node.and_then(|node| node.tree.find(activation));
            Some(Waypoint { node: name.clone(), address: cell.map(|cell| address(&*cell)), activation })
        })
        .collect();
    way.reverse();
    way
}

/// The same, and the cell to which the message goes at the end.
pub(super) fn back_to(origin: &Origin, cell: &dyn Port) -> Vec<Waypoint> {
    let node = cell.kind().node.upgrade();
    let mut way = to_here(origin, node.as_deref());
    let name = node.map(|node| node.name.to_string());
    way.push(Waypoint { node: name, address: Some(address(cell)), activation: cell.id() });
    way
}

fn address(cell: &dyn Port) -> String {
    let service = &cell.kind().service;
    cell.key().map_or_else(|| service.to_string(), |key| format!("{service}/{key}"))
}
