//! What the two listeners of a node share: connections and their limits, bounded bodies, problem documents.
//! Reading order: `listener`, `desks`, `connection`, `watch`, `head`, `body`, `pieces`, `problem`, `identity`.

mod body;
mod connection;
mod desks;
mod head;
mod identity;
mod listener;
mod pieces;
mod problem;
pub(crate) mod time;
mod watch;

pub use connection::ConnectionLimits;
pub use listener::{BindError, ListenerCounts};
pub use problem::{OutcomeKind, PROBLEM_JSON, Problem, ProblemBody};

pub(crate) use body::{BodyError, read_body};
pub(crate) use head::check as check_head;
pub(crate) use identity::{Identity, RequestIds};
pub(crate) use listener::{Keeper, Listener};
pub(crate) use watch::Watch;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::body::Incoming;
use hyper::{Request, Response};

/// A response: everything here is small enough to be whole.
pub type Reply = Response<Bytes>;

/// What answers the requests of one executor's connections.
pub(crate) trait Answer: Send + Sync + 'static {
    /// Answers a request. It may be dropped at any await: then the client has left.
    fn answer(&self, request: Request<Incoming>, watch: &Watch) -> impl Future<Output = Reply> + Send;
}

/// The media type of answers.
pub(crate) const JSON: &str = "application/json";

/// Most headers that a reply has: with room for them from the start, their map never grows.
const REPLY_HEADERS: usize = 6;

/// A reply with that body and no headers yet.
pub(crate) fn reply(status: StatusCode, body: Bytes) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    *reply.headers_mut() = HeaderMap::with_capacity(REPLY_HEADERS);
    reply
}

/// An answer in JSON.
pub(crate) fn json(status: StatusCode, body: Bytes) -> Reply {
    let mut reply = reply(status, body);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    reply
}
