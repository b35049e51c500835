//! How a call can end besides the handler's own answer: refused and certainly not executed, or unknown.
//!
//! The two are never folded into one: what was not executed is safe to repeat, what is unknown may have run.

use crate::criticality::Criticality;
use crate::id::ActivationId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Whether the same call may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retry {
    /// At once, here.
    Now,
    /// Here, after a pause.
    Later,
    /// At once, but at another instance.
    Elsewhere,
    /// Not at all: it would end the same way.
    Never,
}

impl Retry {
    /// The name used on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Later => "later",
            Self::Elsewhere => "elsewhere",
            Self::Never => "never",
        }
    }
}

/// Why a message was not executed. It never ran, so repeating it is safe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum Refusal {
    /// The mailbox has no room.
    #[error("the mailbox of the receiver is full")]
    MailboxFull,
    /// Dropped from a mailbox in favour of something more critical, or of something newer.
    #[error("shed from the mailbox under overload")]
    Shed,
    /// The deadline had passed before a handler began.
    #[error("the deadline passed before a handler began")]
    Expired,
    /// The activation or the service is stopping or has stopped.
    #[error("the receiver has stopped")]
    Stopped,
    /// The activation's supervisor waits before the next start, or gave it up.
    #[error("the receiver is down and waits for its restart")]
    Restarting,
    /// The service is known but has no instance that is ready.
    #[error("no instance of {service} is ready")]
    NoInstance {
        /// The service.
        service: String,
    },
    /// No node has the receiver at the moment: its owner is lost, hands it over, or has no word of its cluster.
    #[error("{service} is at no node at the moment: {problem}")]
    Unplaced {
        /// The service.
        service: String,
        /// What is known of the reason.
        problem: String,
    },
    /// The receiver is at another node.
    #[error("{service} is at another node")]
    Moved {
        /// The service.
        service: String,
    },
    /// Nobody provides a service of that name.
    #[error("there is no service {service}")]
    UnknownService {
        /// The name that was asked for.
        service: String,
    },
    /// The contract has no such method.
    #[error("{service} has no method {method}")]
    UnknownMethod {
        /// The service.
        service: String,
        /// The method that was asked for.
        method: String,
    },
    /// The name is provided, but under another contract.
    #[error("{service} speaks {have}, the caller wants {want}")]
    WrongContract {
        /// The service.
        service: String,
        /// Contract and version of the provider.
        have: String,
        /// Contract and version of the caller.
        want: String,
    },
    /// An entity needs a key, a service has none, or the key is too long.
    #[error("{service}: {problem}")]
    WrongAddress {
        /// The service.
        service: String,
        /// What is wrong with the address.
        problem: String,
    },
    /// The arguments could not be decoded.
    #[error("the arguments do not decode: {}{problem}", at(path))]
    Undecodable {
        /// Where in the arguments, such as `items[2].price`; empty for the whole.
        path: String,
        /// What was wrong there.
        problem: String,
    },
    /// The arguments could not be written as bytes, so they cannot go to another node.
    #[error("the arguments do not encode: {problem}")]
    Unencodable {
        /// What was wrong with them.
        problem: String,
    },
    /// The receiver waits, directly or not, for the caller: it would never answer.
    #[error("call cycle: {}", chain(path))]
    Cycle {
        /// The activations on the way, the receiver at the end.
        path: Vec<Waypoint>,
    },
    /// The chain of calls is longer than allowed.
    #[error("more than {max} hops: {}", chain(path))]
    HopLimit {
        /// The most hops allowed.
        max: u8,
        /// The activations on the way.
        path: Vec<Waypoint>,
    },
    /// The caller is not part of a running node, so the address means nothing there.
    #[error("the reference is bound to no node here: {address}")]
    NoNode {
        /// The address of the reference.
        address: String,
    },
    /// The node that has the receiver cannot be reached, and nothing of this was sent.
    #[error("{node} cannot be reached: {problem}")]
    Unreachable {
        /// The node.
        node: String,
        /// What is known of the reason.
        problem: String,
    },
    /// As much is under way to the node or to the receiver as may be.
    #[error("too much is under way to {node}")]
    Congested {
        /// The node.
        node: String,
    },
    /// The service had too little time to start.
    #[error("the receiver could not start: {problem}")]
    StartFailed {
        /// What its constructor said.
        problem: String,
    },
}

fn at(path: &str) -> String {
    if path.is_empty() || path == "." { String::new() } else { format!("{path}: ") }
}

/// An activation on the way of a call, as the node that refuses the call knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waypoint {
    /// Its node.
    pub node: Option<String>,
    /// Its service, with `/` and the key of an entity; none if it is on another node, or gone.
    pub address: Option<String>,
    /// Its number on its node.
    pub activation: ActivationId,
}

/// `shop/ann on n1`, or `#7 on n2`.
impl fmt::Display for Waypoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Some(address) => f.write_str(address)?,
            None => self.activation.fmt(f)?,
        }
        self.node.as_ref().map_or(Ok(()), |node| write!(f, " on {node}"))
    }
}

fn chain(path: &[Waypoint]) -> String {
    path.iter().map(ToString::to_string).collect::<Vec<_>>().join(" -> ")
}

impl Refusal {
    /// A short name for metrics and the wire.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::MailboxFull => "mailbox-full",
            Self::Shed => "shed",
            Self::Expired => "expired",
            Self::Stopped => "stopped",
            Self::Restarting => "restarting",
            Self::NoInstance { .. } => "no-instance",
            Self::Unplaced { .. } => "unplaced",
            Self::Moved { .. } => "moved",
            Self::UnknownService { .. } => "unknown-service",
            Self::UnknownMethod { .. } => "unknown-method",
            Self::WrongContract { .. } => "wrong-contract",
            Self::WrongAddress { .. } => "wrong-address",
            Self::Undecodable { .. } => "undecodable",
            Self::Unencodable { .. } => "unencodable",
            Self::Cycle { .. } => "cycle",
            Self::HopLimit { .. } => "hop-limit",
            Self::NoNode { .. } => "no-node",
            Self::Unreachable { .. } => "unreachable",
            Self::Congested { .. } => "congested",
            Self::StartFailed { .. } => "start-failed",
        }
    }

    /// Whether, and where, the same call may be tried again.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::MailboxFull
            | Self::Shed
            | Self::Restarting
            | Self::NoInstance { .. }
            | Self::Unplaced { .. }
            | Self::Congested { .. } => Retry::Later,
            Self::Stopped | Self::Moved { .. } | Self::StartFailed { .. } | Self::Unreachable { .. } => {
                Retry::Elsewhere
            }
            Self::Expired
            | Self::UnknownService { .. }
            | Self::UnknownMethod { .. }
            | Self::WrongContract { .. }
            | Self::WrongAddress { .. }
            | Self::Undecodable { .. }
            | Self::Unencodable { .. }
            | Self::Cycle { .. }
            | Self::HopLimit { .. }
            | Self::NoNode { .. } => Retry::Never,
        }
    }
}

/// Why it is not known whether a call ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownCause {
    /// The caller's time was up first.
    #[error("no answer within the deadline")]
    TimedOut,
    /// The handler panicked.
    #[error("the handler panicked")]
    Panicked,
    /// The activation was killed, or ran past its grace, while the handler ran.
    #[error("the activation was killed while the handler ran")]
    Killed,
    /// The handler went away without answering.
    #[error("the handler ended without an answer")]
    Unanswered,
    /// The link to the node that has the receiver ended for good after the call was sent.
    #[error("the node was lost after the call was sent")]
    LinkLost,
    /// The answer could not be written as bytes, is too long to travel, or was not understood by the caller.
    #[error("the answer could not be written or read as bytes")]
    AnswerUndecodable,
}

impl UnknownCause {
    /// A short name for metrics and the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TimedOut => "timed-out",
            Self::Panicked => "panicked",
            Self::Killed => "killed",
            Self::Unanswered => "unanswered",
            Self::LinkLost => "link-lost",
            Self::AnswerUndecodable => "answer-undecodable",
        }
    }
}

/// What a mailbox does with a message that does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// Refuse it.
    #[default]
    Reject,
    /// Let a sender that can wait do so until its deadline; refuse the others.
    Wait,
    /// Make room by dropping the oldest message of the least critical class, never of one more critical than the
    /// newcomer's.
    DropOldest,
    /// Make room by dropping what is less critical than the newcomer, youngest first.
    ShedLowest,
}

/// What may be dropped for a newcomer of the given class: classes that are strictly less critical, the least
/// critical first.
pub fn sheddable_for(newcomer: Criticality) -> impl Iterator<Item = Criticality> {
    Criticality::ALL.into_iter().rev().take_while(move |c| *c > newcomer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_and_where() {
        let refusal = Refusal::Undecodable { path: "items[2].price".into(), problem: "expected u32".into() };
        assert_eq!(refusal.to_string(), "the arguments do not decode: items[2].price: expected u32");
        let refusal = Refusal::Unencodable { problem: "key must be a string".into() };
        assert_eq!(refusal.to_string(), "the arguments do not encode: key must be a string");
        assert_eq!((refusal.name(), refusal.retry()), ("unencodable", Retry::Never));
        let ann = Waypoint {
            node: Some("n1".into()),
            address: Some("shop/ann".into()),
            activation: ActivationId(1),
        };
        let far = Waypoint { node: Some("n2".into()), address: None, activation: ActivationId(2) };
        let cycle = Refusal::Cycle { path: vec![ann.clone(), far, ann] };
        assert_eq!(cycle.to_string(), "call cycle: shop/ann on n1 -> #2 on n2 -> shop/ann on n1");
    }

    #[test]
    fn only_less_critical_classes_are_shed_for_a_newcomer() {
        let shed: Vec<_> = sheddable_for(Criticality::High).collect();
        assert_eq!(shed, [Criticality::Sheddable, Criticality::Normal]);
        assert_eq!(sheddable_for(Criticality::Sheddable).count(), 0);
    }
}
