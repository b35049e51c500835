//! The node in terms of the api.

use super::api::{
    Books, CallEnd, CallResponse, CellSummary, EarlierMessages, LinkSummary, Links, MethodDetail, Processes,
    ServiceDetail, ServiceElsewhere, ServiceSummary,
};
use crate::gateway::field;
use crate::gateway::request::service_segment;
use crate::http::Identity;
use bytes::Bytes;
use odeon::core::{Refusal, Retry, delivery};
use odeon::directory::{Dynamic, ServiceDescription, ServiceKind};
use odeon::node::ServiceStatus;
use odeon::remote::{self, LinkStatus, OfferedService};
use odeon::service::message::Access;
use odeon::service::reply::RawOutcome;
use odeon::telemetry::ServiceMeter;
use odeon::{Node, TreeNode, TreeNodeKind};
use schemars::generate::SchemaSettings;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn summary(status: &ServiceStatus) -> ServiceSummary {
    let ServiceDescription { name, kind, contract, version, methods: _ } = &status.description;
    ServiceSummary {
        name: name.to_string(),
        kind: *kind,
        contract: (*contract).into(),
        version: version.to_string(),
        books: books(&status.meter),
    }
}

pub(super) fn elsewhere(offered: OfferedService) -> ServiceElsewhere {
    let OfferedService { name, kind, contract, version, methods, nodes } = offered;
    let nodes = nodes.iter().map(ToString::to_string).collect();
    ServiceElsewhere { name: name.to_string(), kind, contract, version: version.to_string(), methods, nodes }
}

fn books(meter: &ServiceMeter) -> Books {
    Books {
        handled: meter.handled(),
        expired: meter.expired(),
        refused: meter.refused().into_iter().map(|(reason, n)| (reason.into(), n)).collect(),
        panics: meter.panics(),
        restarts: meter.restarts(),
        activations: meter.activations(),
        busy_ms: millis(meter.busy()),
    }
}

pub(super) fn detail(summary: ServiceSummary, service: &dyn Dynamic) -> ServiceDetail {
    let about = service.describe();
    let segment = service_segment(&about.name);
    let key = if about.kind == ServiceKind::Entity { "/{key}" } else { "" };
    let mut generator = SchemaSettings::draft2020_12().with(|s| s.meta_schema = None).into_generator();
    let methods = about.methods.iter().enumerate().map(|(position, method)| {
        let schema = service.schema(position, &mut generator);
        MethodDetail {
            name: method.name.into(),
            about: method.about.into(),
            path: format!("/v1/{segment}{key}/{}", method.name),
            exclusive: method.access == Access::Exclusive,
            cast: method.cast,
            read: method.read,
            arguments: schema.arguments.to_value(),
            answer: schema.answer.filter(|_| !method.cast).map(schemars::Schema::to_value),
            error: schema.error.map(schemars::Schema::to_value),
        }
    });
    let methods = methods.collect();
    let definitions = generator.take_definitions(true).into_iter().collect();
    ServiceDetail { summary, methods, definitions }
}

/// The activations in a tree.
pub(super) fn processes(tree: &TreeNode) -> Processes {
    let mut processes = Processes { cells: Vec::new(), unlisted: 0 };
    collect(tree, &mut processes);
    processes
}

fn collect(node: &TreeNode, processes: &mut Processes) {
    processes.unlisted += node.unlisted;
    for child in &node.children {
        if child.kind == TreeNodeKind::Cell {
            processes.cells.push(cell(&node.name, child));
        } else {
            collect(child, processes);
        }
    }
}

fn cell(service: &str, node: &TreeNode) -> CellSummary {
    let load = node.load.clone().unwrap_or_default();
    CellSummary {
        service: service.into(),
        cell: node.name.clone(),
        phase: node.phase.clone(),
        waiting: load.waiting,
        waiting_bytes: load.waiting_bytes,
        begun: load.begun,
        expired: load.expired,
        lost: load.lost,
        restarts: node.restarts,
        current: load.current,
        polling_ms: load.polling_ms,
        last_exit: node.last_exit.as_ref().map(|exit| exit.reason.clone()),
    }
}

/// The links of a node, with none if it is in no cluster.
pub(super) fn links(node: &Node) -> Links {
    let links = remote::Links::of(node);
    Links {
        node: links.as_ref().map(|links| links.node().to_string()),
        address: links.as_ref().map(|links| links.local_address().to_string()),
        uptime_ms: millis(node.uptime()),
        gossip_to_strangers: links.as_ref().map_or(0, remote::Links::gossip_to_strangers),
        links: links.iter().flat_map(remote::Links::status).map(link).collect(),
    }
}

fn by_reason<'a>(counts: impl IntoIterator<Item = (&'a str, u64)>) -> BTreeMap<String, u64> {
    counts.into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect()
}

fn by_loss(counts: &BTreeMap<delivery::Loss, u64>) -> BTreeMap<String, u64> {
    by_reason(counts.iter().map(|(why, count)| (why.name(), *count)))
}

fn earlier(books: &delivery::Books) -> EarlierMessages {
    EarlierMessages {
        sent: books.sent(),
        handled: books.handled(),
        refused: by_reason(books.refused()),
        expired: books.expired(),
        lost: by_loss(books.lost()),
    }
}

fn link(status: LinkStatus) -> LinkSummary {
    LinkSummary {
        node: status.node.to_string(),
        address: status.address.map(|address| address.to_string()),
        connected: status.connected,
        has_dialed: status.has_dialed,
        sent: status.sent,
        handled: status.handled,
        refused: status.refused,
        expired: status.expired,
        lost: by_loss(&status.lost),
        open: status.open,
        earlier: (status.earlier.sent() > 0).then(|| earlier(&status.earlier)),
        queued: status.queued,
        queued_bytes: status.queued_bytes as u64,
        watches: status.watches as u64,
        calls: status.calls as u64,
        round_trip_us: status.round_trip.map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
        suspect_ms: status.suspect.map(millis),
        suspects_us: status.suspects_us,
        suspected_by: status.suspected_by.iter().map(ToString::to_string).collect(),
        liveness: status.liveness.name().into(),
        gossip_sent: status.gossip_sent,
        gossip_dropped: status.gossip_dropped,
        gossip_bad: status.gossip_bad,
    }
}

/// What of a tree is not up: the services, not each of their activations.
pub(super) fn waiting_for(node: &TreeNode, found: &mut Vec<String>) {
    for child in node.children.iter().filter(|c| c.kind != TreeNodeKind::Cell) {
        if child.phase != "up" && child.kind != TreeNodeKind::Supervisor {
            let why = child.last_exit.as_ref().map(|exit| format!(" ({})", exit.reason)).unwrap_or_default();
            found.push(format!("{}: {}{why}", child.name, child.phase));
        }
        waiting_for(child, found);
    }
}

pub(super) fn outcome(outcome: RawOutcome, identity: &Identity, took: Duration) -> CallResponse {
    let mut response = CallResponse {
        outcome: CallEnd::Accepted,
        answer: None,
        error: None,
        reason: None,
        detail: None,
        path: None,
        retry: None,
        request: identity.request.to_string(),
        trace: identity.trace.trace.to_string(),
        took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
    };
    match outcome {
        RawOutcome::Accepted => {}
        RawOutcome::Answered(body) => {
            (response.outcome, response.answer) = (CallEnd::Answered, raw(&body));
        }
        RawOutcome::Failed(failure) => {
            (response.outcome, response.error) = (CallEnd::Failed, raw(&failure.body));
            (response.detail, response.retry) = (Some(failure.text), Some(failure.retry));
        }
        RawOutcome::NotExecuted(refusal) => {
            response.outcome = CallEnd::NotExecuted;
            response.reason = Some(refusal.name().into());
            (response.detail, response.retry) = (Some(refusal.to_string()), Some(refusal.retry()));
            if let Refusal::Undecodable { path, problem } = &refusal {
                let field = field(path, problem);
                response.path = (!field.is_empty()).then(|| field.into_owned());
            }
        }
        RawOutcome::Unknown(cause) => {
            response.outcome = CallEnd::Unknown;
            response.reason = Some(cause.name().into());
            (response.detail, response.retry) = (Some(cause.to_string()), Some(Retry::Never));
        }
    }
    response
}

fn raw(body: &Bytes) -> Option<Box<RawValue>> {
    serde_json::from_slice(body).ok()
}
