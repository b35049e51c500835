//! What a frame says besides its body: who is asked to do what, on whose behalf and until when, or how a call ended.
//! All of it borrows from the bytes that it was read from.

use super::chain::Chain;
use super::limits;
use crate::criticality::Criticality;
use crate::id::ActivationId;
use crate::outcome::{Retry, UnknownCause};
use crate::trace::TraceContext;
use std::time::Duration;

/// How the body of a frame is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Encoding {
    /// MessagePack, fields by name: between any two builds.
    #[default]
    Named = 0,
    /// MessagePack, fields by position: only between nodes of the same artifact, since fields that changed places
    /// would be taken for each other without an error.
    Compact = 1,
    /// JSON, as it came from outside.
    Json = 2,
}

/// Stands for a receiver on one lane, as the sender chose; below [`limits::RECEIVERS_MAX`]. Meaningless elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceiverNumber(pub u32);

/// Position of a service in the list that the receiving node publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceNumber(pub u32);

/// Position of a method in its contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MethodNumber(pub u16);

/// Links an answer to its call: chosen by the caller's node, never used twice on a connection. Below 2^62.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// All of a frame but its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// The class of the request, or of the request that is answered.
    pub criticality: Criticality,
    /// How the body is encoded; without meaning where there is none.
    pub encoding: Encoding,
    /// What the frame is about.
    pub content: Content<'a>,
}

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// A message that nobody waits for. The body has the arguments.
    Cast(Request<'a>),
    /// A message whose sender waits for the answer. The body has the arguments.
    Call(CallId, Request<'a>),
    /// The handler's answer is in the body.
    Answer {
        /// The call that it belongs to.
        call: CallId,
        /// Where the body is, if not here.
        large: Option<LargeBody>,
    },
    /// The handler answered with its own error, which is in the body.
    Failed {
        /// The call that it belongs to.
        call: CallId,
        /// What everybody can read of the error.
        failure: Failure<'a>,
        /// Where the body is, if not here.
        large: Option<LargeBody>,
    },
    /// It did not run and never will. The body has the encoded [`Refusal`](crate::Refusal).
    NotExecuted {
        /// The call that it belongs to.
        call: CallId,
    },
    /// It may have run. No body.
    Unknown {
        /// The call that it belongs to.
        call: CallId,
        /// Why it is not known.
        cause: UnknownCause,
    },
    /// The caller no longer waits. No body; what has begun goes on.
    Cancel {
        /// The call that it belongs to.
        call: CallId,
    },
    /// Was taken back before it was sent: it only counts. What its bytes say means nothing.
    Void,
}

impl Content<'_> {
    /// Where the body is, if not in the frame.
    pub const fn large(&self) -> Option<LargeBody> {
        match self {
            Self::Cast(request) | Self::Call(_, request) => request.large,
            Self::Answer { large, .. } | Self::Failed { large, .. } => *large,
            Self::NotExecuted { .. } | Self::Unknown { .. } | Self::Cancel { .. } | Self::Void => None,
        }
    }
}

/// A message for an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// For whom.
    pub target: Target<'a>,
    /// What is to be done.
    pub method: MethodNumber,
    /// How much time is left, so that no clocks are compared; none: as much as it takes. Whole milliseconds travel,
    /// rounded down, 49 days at the most.
    pub remaining: Option<Duration>,
    /// Who sends it; none from outside.
    pub sender: Option<Sender>,
    /// The id of the request, the same over retries and over all hops.
    pub request: Option<u128>,
    /// The trace that it belongs to.
    pub trace: Option<TraceContext>,
    /// The tenant on whose budget it runs; 1 to [`limits::LABEL_MAX`] bytes.
    pub tenant: Option<&'a str>,
    /// Who asked for it in the end; 1 to [`limits::LABEL_MAX`] bytes.
    pub principal: Option<&'a str>,
    /// The calls that led to the sender, which is not among them. Only with a sender.
    pub chain: Chain<'a>,
    /// Where the body is, if not here.
    pub large: Option<LargeBody>,
}

impl<'a> Request<'a> {
    /// A request with nothing but what it needs.
    pub const fn new(target: Target<'a>, method: MethodNumber) -> Self {
        Self {
            target,
            method,
            remaining: None,
            sender: None,
            request: None,
            trace: None,
            tenant: None,
            principal: None,
            chain: Chain::EMPTY,
            large: None,
        }
    }
}

/// For whom a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The number that stands for the receiver on this lane.
    pub receiver: ReceiverNumber,
    /// Gives the number its meaning, from this frame on; none: an earlier frame of the lane has done so.
    pub introduces: Option<Introduction<'a>>,
}

/// What a receiver number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Introduction<'a> {
    /// The service.
    pub service: ServiceNumber,
    /// The key of an entity; 1 to [`limits::KEY_MAX`] bytes.
    pub key: Option<&'a str>,
    /// What the sender knows of where it is: the epoch of its slot; 0: it is not placed. Below 2^62.
    pub epoch: u64,
}

/// The activation that sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Which one; its number is below 2^62.
    pub activation: ActivationId,
    /// Whether it can handle nothing else while it waits.
    pub holds: bool,
}

/// A body that would hold up a lane, and therefore has a stream of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LargeBody {
    /// Which stream of this connection: it begins with the same number. Below 2^62.
    pub id: u64,
    /// How many bytes it has; [`limits::LARGE_MAX`] at the most.
    pub length: u64,
}

/// What can be read of a handler's own error without knowing its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure<'a> {
    /// The HTTP status that stands for it.
    pub status: u16,
    /// Whether the same call may be tried again.
    pub retry: Retry,
    /// For people; [`limits::FAILURE_TEXT_MAX`] bytes at the most.
    pub text: &'a str,
}

impl<'a> Failure<'a> {
    /// A failure whose text is cut, between two characters, to what may travel.
    pub fn new(status: u16, retry: Retry, text: &'a str) -> Self {
        Self { status, retry, text: &text[..text.floor_char_boundary(limits::FAILURE_TEXT_MAX)] }
    }
}
