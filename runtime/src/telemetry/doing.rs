//! What the code on this thread is about: log lines carry it without the author's doing.

use crate::cell::ambient;
use odeon_core::{ActivationId, NodeName, ServiceName, TraceId};
use std::sync::Arc;

/// What a handler, a life-cycle hook or a task of an activation is part of.
#[derive(Clone, Debug)]
pub struct Doing {
    /// The node; none while it goes down.
    pub node: Option<NodeName>,
    /// The service.
    pub service: ServiceName,
    /// The key of an entity.
    pub key: Option<Arc<str>>,
    /// The cell.
    pub cell: ActivationId,
    /// The method or hook; none for a task or a timer.
    pub method: Option<&'static str>,
    /// The trace of what is being handled; zero if it has none.
    pub trace: TraceId,
}

/// What runs on this thread; none outside of services. For whoever writes log lines: costs nothing until asked.
pub fn doing() -> Option<Doing> {
    ambient::read(|port, method, origin| Doing {
        node: port.kind().node.upgrade().map(|node| node.name.clone()),
        service: port.kind().service.clone(),
        key: port.key().cloned(),
        cell: port.id(),
        method,
        trace: origin.map(|origin| origin.trace).unwrap_or_default(),
    })
}
