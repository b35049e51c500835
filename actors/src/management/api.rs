//! What the management interface says and is told, in JSON. The command line reads the same types.

mod cluster;
mod dump;
mod topics;

pub use cluster::{
    ClusterStatus, Decided, GoneSummary, MemberRole, MemberSummary, Members, OfferSummary, RemoveRequest,
    ReplicaRole, ReplicaSummary, StandingKind, UpgradeRequest,
};
pub use dump::Dump;
pub use odeon::telemetry::dump as inside;
pub use topics::{TopicDetail, TopicMember, TopicSummary, Topics};

use odeon::TreeNode;
use odeon::core::{Criticality, Retry};
use odeon::directory::ServiceKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Whether the process runs: `GET /healthz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// Always true in an answer.
    pub alive: bool,
}

/// Whether the node takes requests: `GET /readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Readiness {
    /// It does.
    pub ready: bool,
    /// What it waits for; empty when it is ready.
    pub waiting_for: Vec<String>,
}

/// The node at one look: `GET /api/v1/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// The node's name.
    pub node: String,
    /// The version of Odeon that it runs.
    pub version: String,
    /// Whether it takes requests.
    pub ready: bool,
    /// Why it does not, apart from its services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<String>,
    /// Whether it is ending.
    pub stopping: bool,
    /// Milliseconds since it started.
    pub uptime_ms: u64,
    /// How many single-threaded executors it runs on.
    pub executors: usize,
    /// How many services it has.
    pub services: usize,
    /// Bytes of memory that the process holds; none if nobody can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resident_bytes: Option<u64>,
    /// Its gateway; none if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayStatus>,
}

/// The gateway at one look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GatewayStatus {
    /// Where it listens.
    pub address: String,
    /// Connections that are open.
    pub connections: usize,
    /// Responses since it started, by class of status: `2xx` and so on.
    pub responses: BTreeMap<String, u64>,
}

/// All services: `GET /api/v1/services`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Services {
    /// Those of the node, by name.
    pub services: Vec<ServiceSummary>,
    /// Those that it has not and other nodes of its cluster have, by name. They are called through it as its own are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<ServiceElsewhere>,
}

/// A service of other nodes, as they tell of it: its schemas and its books are to be had there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceElsewhere {
    /// Its name.
    pub name: String,
    /// `stateless`, `entity` or `singleton`.
    #[schemars(with = "String")]
    pub kind: ServiceKind,
    /// The contract's name on the wire.
    pub contract: String,
    /// The contract's version, `major.minor`.
    pub version: String,
    /// The names of its methods.
    pub methods: Vec<String>,
    /// The nodes that have it, `name@incarnation`.
    pub nodes: Vec<String>,
}

/// A service in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceSummary {
    /// Its name.
    pub name: String,
    /// `stateless`, `entity` or `singleton`.
    #[schemars(with = "String")]
    pub kind: ServiceKind,
    /// The contract's name on the wire.
    pub contract: String,
    /// The contract's version, `major.minor`.
    pub version: String,
    /// What it has done.
    pub books: Books,
}

/// What a service has done since the node started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Books {
    /// Handlers that ended.
    pub handled: u64,
    /// Messages whose deadline had passed before a handler began.
    pub expired: u64,
    /// Messages not executed, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Activations ended by a panic.
    pub panics: u64,
    /// Activations that began again after an abnormal end.
    pub restarts: u64,
    /// Activations that began.
    pub activations: u64,
    /// Milliseconds spent in handlers, as sampled.
    pub busy_ms: u64,
}

/// A service with its methods: `GET /api/v1/services/{name}`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ServiceDetail {
    /// The service in one line.
    #[serde(flatten)]
    pub summary: ServiceSummary,
    /// Its methods, in the order of the contract.
    pub methods: Vec<MethodDetail>,
    /// JSON Schemas to which those of the methods refer as `#/$defs/…`.
    #[serde(rename = "$defs", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub definitions: BTreeMap<String, Value>,
}

/// A method of a service.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MethodDetail {
    /// Its name.
    pub name: String,
    /// What its author says of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// Its path at the gateway.
    pub path: String,
    /// It runs alone in its activation.
    pub exclusive: bool,
    /// It has no answer.
    pub cast: bool,
    /// It may be repeated without harm.
    pub read: bool,
    /// JSON Schema of the object of its arguments.
    pub arguments: Value,
    /// JSON Schema of its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
    /// JSON Schema of its own error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
}

/// The supervision tree: `GET /api/v1/tree?entities=N`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Tree {
    /// Its root.
    #[schemars(with = "Value")]
    pub root: TreeNode,
}

/// Activations: `GET /api/v1/ps?entities=N`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Processes {
    /// The busiest of each service.
    pub cells: Vec<CellSummary>,
    /// How many are not listed.
    pub unlisted: usize,
}

/// An activation in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CellSummary {
    /// Its service.
    pub service: String,
    /// The key of an entity, or the id of an instance.
    pub cell: String,
    /// Where its life-cycle stands: `starting`, `up`, `waiting`, `stopping`, `down`.
    pub phase: String,
    /// Messages waiting.
    pub waiting: u64,
    /// Bytes waiting.
    pub waiting_bytes: u64,
    /// Messages whose handler began.
    pub begun: u64,
    /// Messages whose deadline had passed before a handler began.
    pub expired: u64,
    /// Messages refused or evicted after they were let in.
    pub lost: u64,
    /// How often it began again.
    pub restarts: u64,
    /// The method whose handler began last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// Milliseconds that a handler has kept its executor without a pause: it is stuck.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub polling_ms: Option<u64>,
    /// How it ended the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<String>,
}

/// Links to other nodes: `GET /api/v1/links`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Links {
    /// What the node is called among others, `name@incarnation`; none if it is in no cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Where others find it (UDP).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Milliseconds since the node started: rates are differences between two answers.
    pub uptime_ms: u64,
    /// Messages of gossip that were dropped as there was never a link to the node that they were for.
    #[serde(default)]
    pub gossip_to_strangers: u64,
    /// By the name of the peer.
    pub links: Vec<LinkSummary>,
}

/// What became of the messages to earlier incarnations of a peer: sent = handled + refused + expired + lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EarlierMessages {
    /// Messages that were sent.
    pub sent: u64,
    /// Those with which a handler began.
    pub handled: u64,
    /// Those that were refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Those that expired before a handler began.
    pub expired: u64,
    /// Those of which nothing will be heard, by reason: they may have been handled.
    pub lost: BTreeMap<String, u64>,
}

/// A link to another node. Of the messages to it: sent = handled + refused + expired + lost + open. Counts begin anew
/// with a new incarnation of the peer; what became of the messages to earlier ones is in `earlier`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LinkSummary {
    /// The peer, `name@incarnation`.
    pub node: String,
    /// Where it is dialed, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Whether there is a connection. One that nobody uses is closed, and dialed again when it is wanted.
    pub connected: bool,
    /// Whether the peer has dialed this node since that began: the way from there is open. If not, this node has dialed.
    #[serde(default)]
    pub has_dialed: bool,
    /// Messages sent to it.
    pub sent: u64,
    /// Those with which a handler began.
    pub handled: u64,
    /// Those that were refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Those that expired before a handler began.
    pub expired: u64,
    /// Those of which nothing will be heard, by reason.
    pub lost: BTreeMap<String, u64>,
    /// Those of which nothing has been heard yet.
    pub open: u64,
    /// Messages to earlier incarnations of the peer; nothing of that is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<EarlierMessages>,
    /// Frames that wait or are not acknowledged.
    pub queued: u64,
    /// Their bytes.
    pub queued_bytes: u64,
    /// Activations there that are watched from here.
    #[serde(default)]
    pub watches: u64,
    /// Calls that wait for an answer.
    pub calls: u64,
    /// The round trip in microseconds as QUIC has measured it, while there is a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_us: Option<u64>,
    /// Milliseconds for which this node has suspected it: nothing comes from it. Others are called instead where that
    /// is possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspect_ms: Option<u64>,
    /// It suspects this node, by its own word: what is sent to it does not arrive.
    #[serde(default)]
    pub suspects_us: bool,
    /// Other nodes that suspect it, by their own word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspected_by: Vec<String>,
    /// What gossip says of this incarnation of the peer: `alive`, `dead` or `unknown`. Evidence, not a verdict: it
    /// closes no link.
    #[serde(default)]
    pub liveness: String,
    /// Messages of gossip that were sent to it.
    #[serde(default)]
    pub gossip_sent: u64,
    /// Those, either way, for which there was no connection or no room: the next ones tell the same.
    #[serde(default)]
    pub gossip_dropped: u64,
    /// Those from it that made no sense.
    #[serde(default)]
    pub gossip_bad: u64,
}

/// A call by the operator: `POST /api/v1/call`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallRequest {
    /// The service: `name` or `namespace/name`.
    pub service: String,
    /// The key of an entity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The method.
    pub method: String,
    /// An object with the arguments; none if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Value>")]
    pub arguments: Option<Box<RawValue>>,
    /// How long to wait, in milliseconds: 1 to 300000. Default 5000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 300_000))]
    pub within_ms: Option<u64>,
    /// `critical`, `high`, `normal` or `sheddable`.
    #[serde(default)]
    #[schemars(with = "String")]
    pub criticality: Criticality,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CallEnd {
    /// With the handler's answer.
    Answered,
    /// A cast was accepted.
    Accepted,
    /// With the handler's own error.
    Failed,
    /// It did not run and never will.
    NotExecuted,
    /// It may have run.
    Unknown,
}

/// The outcome of a call.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CallResponse {
    /// How it ended.
    pub outcome: CallEnd,
    /// The handler's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Value>")]
    pub answer: Option<Box<RawValue>>,
    /// The handler's own error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Value>")]
    pub error: Option<Box<RawValue>>,
    /// Why there is no answer, in one word: `mailbox-full`, `timed-out` and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The field of the arguments that did not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whether the same call may be tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub retry: Option<Retry>,
    /// The id of the request.
    pub request: String,
    /// The id of its trace, in hexadecimal.
    pub trace: String,
    /// Microseconds from the request to its outcome.
    pub took_us: u64,
}

/// An orderly end of the node: `POST /api/v1/stop`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopRequest {
    /// How long what runs may take to finish, in milliseconds. Default: what the node was configured with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_ms: Option<u64>,
}

/// The stop was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StopAccepted {
    /// Always true in an answer.
    pub stopping: bool,
}
