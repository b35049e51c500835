//! The table of what can be asked: who answers requests reads it, and so does the document that describes them.

use http::Method;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Health,
    Readiness,
    Metrics,
    Status,
    Services,
    Service,
    Tree,
    Processes,
    Links,
    Topics,
    Topic,
    Members,
    Cluster,
    Dump,
    Call,
    Stop,
    Drain,
    Upgrade,
    Remove,
    Document,
}

/// One thing that can be asked.
pub(super) struct Operation {
    pub(super) ask: Ask,
    /// With `{name}` where a segment may be anything.
    pub(super) path: &'static str,
    pub(super) post: bool,
    /// Without a token.
    pub(super) open: bool,
    pub(super) about: &'static str,
}

impl Operation {
    const fn get(ask: Ask, path: &'static str, about: &'static str) -> Self {
        Self { ask, path, post: false, open: false, about }
    }

    const fn post(ask: Ask, path: &'static str, about: &'static str) -> Self {
        Self { ask, path, post: true, open: false, about }
    }

    const fn open(self) -> Self {
        Self { open: true, ..self }
    }

    /// Verbs that it takes, as `Allow` says them.
    pub(super) fn allowed(&self) -> &'static str {
        if self.post { "POST" } else { "GET, HEAD" }
    }

    pub(super) fn takes(&self, verb: &Method) -> bool {
        if self.post { verb == Method::POST } else { verb == Method::GET || verb == Method::HEAD }
    }
}

/// All of them.
pub(super) const OPERATIONS: [Operation; 20] = [
    Operation::get(Ask::Health, "/healthz", "Whether the process runs.").open(),
    Operation::get(Ask::Readiness, "/readyz", "Whether the node takes requests, and what it waits for.")
        .open(),
    Operation::get(Ask::Metrics, "/metrics", "Metrics in OpenMetrics text.").open(),
    Operation::get(Ask::Status, "/api/v1/status", "The node at one look."),
    Operation::get(Ask::Services, "/api/v1/services", "All services and what they have done."),
    Operation::get(Ask::Service, "/api/v1/services/{name}", "A service with its methods and their schemas."),
    Operation::get(Ask::Tree, "/api/v1/tree", "The supervision tree with the busiest activations."),
    Operation::get(Ask::Processes, "/api/v1/ps", "The busiest activations of each service."),
    Operation::get(Ask::Links, "/api/v1/links", "The links to other nodes and what became of messages."),
    Operation::get(Ask::Topics, "/api/v1/topics", "All topics that have members, as this node knows them."),
    Operation::get(Ask::Topic, "/api/v1/topics/{name}", "A topic with its members."),
    Operation::get(
        Ask::Members,
        "/api/v1/members",
        "The members of the cluster, and those that are none any more.",
    ),
    Operation::get(
        Ask::Cluster,
        "/api/v1/cluster",
        "The group that agrees on the members, as this node sees it.",
    ),
    Operation::get(
        Ask::Dump,
        "/api/v1/dump",
        "All that tells why a node misbehaves, even while handlers block it.",
    ),
    Operation::post(Ask::Call, "/api/v1/call", "Calls a method and tells the outcome."),
    Operation::post(Ask::Stop, "/api/v1/stop", "Ends the node in order."),
    Operation::post(Ask::Drain, "/api/v1/drain", "This node takes no more work, and is to be stopped."),
    Operation::post(
        Ask::Upgrade,
        "/api/v1/cluster/upgrade",
        "Raises the feature level of the cluster by one.",
    ),
    Operation::post(
        Ask::Remove,
        "/api/v1/cluster/remove",
        "Another node is a member no more, at once, and others get its work: for one that will not come back.",
    ),
    Operation::get(Ask::Document, "/api/v1/openapi.json", "This document."),
];

/// What a path asks, and what stands for `{name}`.
pub(super) fn find(path: &str) -> Option<(&'static Operation, &str)> {
    // consts have no lifetime of their own until they are referred to
    const TABLE: &[Operation] = &OPERATIONS;
    TABLE.iter().find_map(|operation| match operation.path.strip_suffix("{name}") {
        Some(before) => {
            let name = path.strip_prefix(before).filter(|n| !n.is_empty() && !n.contains('/'))?;
            Some((operation, name))
        }
        None => (operation.path == path).then_some((operation, "")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_finds_its_own_operation() {
        for operation in &OPERATIONS {
            let path = operation.path.replace("{name}", "shop.cart");
            let (found, name) = find(&path).expect("it is in the table");
            assert_eq!(found.ask, operation.ask);
            assert_eq!(name, if operation.path.contains('{') { "shop.cart" } else { "" });
        }
        for unknown in ["/", "/api/v1/services/", "/api/v1/services/a/b", "/healthz/", "/api/v2/status"] {
            assert!(find(unknown).is_none(), "{unknown}");
        }
    }
}
