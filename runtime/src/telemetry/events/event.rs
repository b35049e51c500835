//! What can happen in the life of a node: as a line of its log, and as people read it later.

use super::Sort;
use crate::membership::Standing;
use crate::node::Stuck;
use crate::remote::trust::Stranger;
use crate::replication::Role;
use odeon_core::journal::GroupId;
use odeon_core::supervision::Exit;
use odeon_core::wire::handshake::Turned;
use odeon_core::{NodeId, NodeName, ServiceName};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// Something that has happened in the life of a node.
pub(crate) enum Event {
    /// A part, a service or a supervisor of the tree runs.
    Started { name: String, start: u64 },
    /// It has ended.
    Ended { supervisor: String, name: String, exit: Exit },
    /// It did not stop in time.
    Killed { supervisor: String, name: String },
    /// A supervisor could not keep running what is below it.
    GaveUp { supervisor: String, failure: String },
    /// An activation has failed.
    Failed { service: ServiceName, cell: String, exit: Exit, then: Then },
    /// Activations did not end although they were killed.
    LeftBehind { service: ServiceName, left: usize },
    /// A handler blocks its executor.
    Stuck { stuck: Stuck },
    /// Somebody has asked the node to stop.
    Stopping,
    /// There is a connection to a peer.
    LinkUp { peer: NodeId, address: SocketAddr },
    /// There is none any more.
    LinkDown { peer: NodeId, reason: String },
    /// There was none for too long: its session is over.
    PeerGivenUp { peer: NodeId, problem: String },
    /// Nothing has come from a peer for so long.
    Suspected { peer: NodeId, silent: Duration },
    /// It was suspect, and is heard.
    Trusted { peer: NodeId },
    /// Gossip tells of a node.
    Heard { node: NodeId, address: SocketAddr, version: String },
    /// Nobody hears of it any more.
    Unheard { node: NodeId, address: SocketAddr },
    /// Who is no member was turned away.
    Stranger { peer: SocketAddr, stranger: Stranger },
    /// Two processes say to be the same node.
    Twin { address: SocketAddr, turned: Turned },
    /// How this node stands to its cluster.
    Standing { node: NodeId, standing: Standing },
    /// Whether this node may act as the member that it is.
    Lease { holds: bool },
    /// The cluster has other members.
    View { epoch: u64, changes: String },
    /// Slots have come to this node, were taken from it, or have no owner.
    Slots { epoch: u64, changes: String },
    /// Who leads a group, or that nobody is known to.
    Leader { group: GroupId, role: Role, term: u64, leader: Option<NodeName> },
    /// The replica of a group has ended, by itself if there is a failure.
    ReplicaEnded { group: GroupId, failure: Option<String> },
    /// Slots are being given to another node.
    Giving { service: ServiceName, to: NodeId, slots: usize },
    /// That is over; so many are there.
    Given { service: ServiceName, to: NodeId, slots: usize, took: Duration },
    /// Activations were ended that this node may not have any more.
    SlotsLost { service: ServiceName, activations: usize },
}

/// What becomes of an activation that has failed.
pub(crate) enum Then {
    /// It begins again.
    Again,
    /// The same, after this time.
    After(Duration),
    /// It has failed too often: nothing begins for this time.
    Rests(Duration),
}

impl Event {
    /// What it is, in a word or two.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Ended { .. } => "ended",
            Self::Killed { .. } => "killed",
            Self::GaveUp { .. } => "gave-up",
            Self::Failed { .. } => "activation-failed",
            Self::LeftBehind { .. } => "left-behind",
            Self::Stuck { .. } => "stuck",
            Self::Stopping => "stopping",
            Self::LinkUp { .. } => "link-up",
            Self::LinkDown { .. } => "link-down",
            Self::PeerGivenUp { .. } => "peer-given-up",
            Self::Suspected { .. } => "peer-suspected",
            Self::Trusted { .. } => "peer-trusted",
            Self::Heard { .. } => "peer-heard",
            Self::Unheard { .. } => "peer-unheard",
            Self::Stranger { .. } => "stranger",
            Self::Twin { .. } => "twin",
            Self::Standing { .. } => "standing",
            Self::Lease { holds: true } => "lease-held",
            Self::Lease { holds: false } => "lease-lost",
            Self::View { .. } => "view",
            Self::Slots { .. } => "slots",
            Self::Leader { .. } => "leader",
            Self::ReplicaEnded { .. } => "replica-ended",
            Self::Giving { .. } => "handoff-begun",
            Self::Given { .. } => "handoff-ended",
            Self::SlotsLost { .. } => "slots-lost",
        }
    }

    /// Where it is kept.
    pub(super) fn sort(&self) -> Sort {
        match self {
            Self::Failed { .. } => Sort::Failure,
            Self::Slots { .. } | Self::Giving { .. } | Self::Given { .. } => Sort::Slots,
            _ => Sort::Other,
        }
    }

    /// Writes it to the log. What a busy cluster does all the time is for those who ask for it.
    pub(crate) fn log(&self) {
        match self {
            Self::Started { name, start } => tracing::debug!(%name, start, "it runs"),
            Self::Ended { supervisor, name, exit } if exit.is_normal() => {
                tracing::debug!(%supervisor, child = %name, %exit, "a child ended");
            }
            Self::Ended { supervisor, name, exit } => {
                tracing::warn!(%supervisor, child = %name, %exit, "a child ended");
            }
            Self::Killed { supervisor, name } => {
                tracing::warn!(%supervisor, child = %name, "took too long: killed");
            }
            Self::GaveUp { supervisor, failure } => tracing::error!(%supervisor, %failure, "gives up"),
            Self::Failed { service, cell, exit, then } => match then {
                Then::Again => tracing::warn!(%service, %cell, %exit, "begins again"),
                Then::After(wait) => {
                    tracing::warn!(%service, %cell, %exit, ?wait, "begins again after a wait")
                }
                Then::Rests(rest) => tracing::error!(%service, %cell, %exit, ?rest, "failed too often"),
            },
            Self::LeftBehind { service, left } => {
                tracing::error!(%service, left, "killed cells do not come to an await: left behind");
            }
            Self::Stuck { stuck } => {
                tracing::warn!(service = %stuck.service, method = stuck.method, "a handler is stuck: {stuck}");
            }
            Self::Stopping => tracing::debug!("the node is asked to stop"),
            Self::Lease { holds } => tracing::debug!(holds, "the lease of the node"),
            Self::View { epoch, changes } | Self::Slots { epoch, changes } => {
                tracing::debug!(epoch, changes, "the cluster has another view");
            }
            Self::Giving { service, to, slots } => {
                tracing::debug!(%service, %to, slots, "slots are given away")
            }
            Self::Given { service, to, slots, took } => {
                tracing::debug!(%service, %to, slots, ?took, "slots were given away");
            }
            Self::SlotsLost { service, activations } => {
                tracing::warn!(%service, activations, "activations end: the node may not have them any more");
            }
            Self::Leader { group, role, term, leader: Some(leader) } => {
                tracing::info!(%group, ?role, term, %leader, "a leader is known");
            }
            Self::Leader { group, role, term, leader: None } => {
                tracing::info!(%group, ?role, term, "no leader is known");
            }
            Self::ReplicaEnded { group, failure: Some(failure) } => {
                tracing::error!(%group, failure, "a replica has ended");
            }
            Self::ReplicaEnded { group, failure: None } => tracing::info!(%group, "a replica has stopped"),
            Self::Standing { node, standing } => log_standing(node, standing),
            Self::LinkUp { .. }
            | Self::LinkDown { .. }
            | Self::PeerGivenUp { .. }
            | Self::Suspected { .. }
            | Self::Trusted { .. }
            | Self::Heard { .. }
            | Self::Unheard { .. }
            | Self::Stranger { .. }
            | Self::Twin { .. } => self.log_peer(),
        }
    }

    fn log_peer(&self) {
        match self {
            Self::LinkUp { peer, address } => tracing::info!(%peer, %address, "a link is up"),
            Self::LinkDown { peer, reason } => tracing::info!(%peer, %reason, "a link is down"),
            Self::PeerGivenUp { peer, problem } => tracing::warn!(%peer, %problem, "a peer is given up"),
            Self::Suspected { peer, silent } => {
                tracing::warn!(%peer, ?silent, "a peer is suspect: nothing comes from it");
            }
            Self::Trusted { peer } => tracing::info!(%peer, "a suspect peer is heard again"),
            Self::Heard { node, address, version } => {
                tracing::info!(%node, %address, version, "a node is heard of");
            }
            Self::Unheard { node, address } => {
                tracing::warn!(%node, %address, "nobody hears of a node any more");
            }
            Self::Stranger { peer, stranger } => {
                tracing::warn!(%peer, reason = %stranger, advice = stranger.advice(), "a stranger was refused");
            }
            Self::Twin { address, turned } => {
                let advice = turned.advice();
                tracing::warn!(%address, reason = %turned, advice, "a second process says to be a node that is known");
            }
            _ => {}
        }
    }
}

fn log_standing(node: &NodeId, standing: &Standing) {
    match standing {
        Standing::Joining { waits_for } => tracing::info!(%node, waits_for, "the node joins the cluster"),
        Standing::Refused { problems } => {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            tracing::error!(%node, problems = problems.join("; "), "the cluster refuses the node");
        }
        Standing::Member => tracing::info!(%node, "the node is a member of the cluster"),
        Standing::Removed => {
            tracing::error!(%node, "the node is a member no more: others have its work. Its next incarnation can join");
        }
        Standing::Left => tracing::info!(%node, "the node leaves the cluster"),
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { name, start: 1 } => write!(f, "{name} runs"),
            Self::Started { name, start } => write!(f, "{name} runs again, for the {start}. time"),
            Self::Ended { name, exit, .. } => write!(f, "{name} {exit}"),
            Self::Killed { name, .. } => write!(f, "{name} took too long to stop: killed"),
            Self::GaveUp { supervisor, failure } => {
                write!(f, "the supervisor {supervisor} gives up: {failure}")
            }
            Self::Failed { service, cell, exit, then } => {
                write!(f, "{cell} of {service} {exit}; ")?;
                match then {
                    Then::Again => write!(f, "it begins again"),
                    Then::After(wait) => write!(f, "it begins again in {wait:.1?}"),
                    Then::Rests(rest) => write!(f, "it has failed too often and rests for {rest:.1?}"),
                }
            }
            Self::LeftBehind { service, left } => {
                write!(f, "{left} killed activations of {service} do not come to an await: left behind")
            }
            Self::Stuck { stuck } => write!(f, "a handler is stuck: {stuck}"),
            Self::Stopping => write!(f, "the node is asked to stop"),
            Self::LinkUp { peer, address } => write!(f, "a link to {peer} is up, at {address}"),
            Self::LinkDown { peer, reason } => write!(f, "the link to {peer} is down: {reason}"),
            Self::PeerGivenUp { peer, problem } => write!(f, "{peer} is given up: {problem}"),
            Self::Suspected { peer, silent } => {
                write!(f, "{peer} is suspect: nothing comes from it for {silent:.1?}")
            }
            Self::Trusted { peer } => write!(f, "{peer}, which was suspect, is heard again"),
            Self::Heard { node, address, version } => {
                write!(f, "{node} is heard of, at {address}, of version {version}")
            }
            Self::Unheard { node, .. } => write!(f, "nobody hears of {node} any more"),
            Self::Stranger { peer, stranger } => write!(f, "a stranger at {peer} was refused: {stranger}"),
            Self::Twin { address, turned } => {
                write!(f, "a second process, at {address}, says to be a node that is known: {turned}")
            }
            Self::Standing { node, standing } => stands(f, node, standing),
            Self::Lease { holds: true } => write!(f, "the node holds its lease"),
            Self::Lease { holds: false } => {
                write!(f, "the node holds no lease: it has nothing that there may be once in the cluster")
            }
            Self::View { epoch, changes } | Self::Slots { epoch, changes } => {
                write!(f, "epoch {epoch}: {changes}")
            }
            Self::Leader { group, role, term, leader: Some(leader) } => {
                write!(f, "{leader} leads {group} in term {term}; this replica: {role:?}")
            }
            Self::Leader { group, role, term, leader: None } => {
                write!(f, "nobody is known to lead {group} in term {term}; this replica: {role:?}")
            }
            Self::ReplicaEnded { group, failure: Some(failure) } => {
                write!(f, "the replica of {group} has ended: {failure}")
            }
            Self::ReplicaEnded { group, failure: None } => write!(f, "the replica of {group} has stopped"),
            Self::Giving { service, to, slots } => write!(f, "{slots} slots of {service} are given to {to}"),
            Self::Given { service, to, slots, took } => {
                write!(f, "{slots} slots of {service} are at {to} now, after {took:.1?}")
            }
            Self::SlotsLost { service, activations } => {
                write!(f, "{activations} activations of {service} end: the node may not have them any more")
            }
        }
    }
}

fn stands(f: &mut fmt::Formatter<'_>, node: &NodeId, standing: &Standing) -> fmt::Result {
    match standing {
        Standing::Joining { waits_for } => write!(f, "{node} joins the cluster; it waits for {waits_for}"),
        Standing::Refused { problems } => {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            write!(f, "the cluster refuses {node}: {}", problems.join("; "))
        }
        Standing::Member => write!(f, "{node} is a member of the cluster"),
        Standing::Removed => write!(f, "{node} is a member no more: others have its work"),
        Standing::Left => write!(f, "{node} leaves the cluster"),
    }
}
