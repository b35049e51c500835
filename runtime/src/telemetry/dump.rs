//! What a node tells when it misbehaves: all that a person needs to find out why, as one value. [`crate::Node::dump`]
//! makes it. Each list is bounded, and says how much more there is. Keys of entities are in it; arguments, answers and
//! secrets are not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The first of a list, in the order that matters there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Listed<T> {
    /// They.
    pub listed: Vec<T>,
    /// How many more there are.
    pub unlisted: usize,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { listed: Vec::new(), unlisted: 0 }
    }
}

impl<T> Listed<T> {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.listed.len() + self.unlisted
    }
}

/// A node from inside, at one moment or nearly so: each part was read by itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Inside")]
pub struct Dump {
    /// Its executors, and last the control executor, if it has one.
    pub executors: Vec<ExecutorDump>,
    /// Activations that block an executor, and those with a handler or hook under way for longer than a second. The
    /// former come first, then the longest.
    pub stuck: Listed<StuckDump>,
    /// Its services.
    pub services: Vec<ServiceDump>,
    /// The activations for which messages wait, the most first.
    pub queues: Listed<QueueDump>,
    /// The activations with the most tasks and timers.
    pub tasks: Listed<TasksDump>,
    /// What waits to be sent to other nodes, and what is under way to them.
    pub peers: Listed<PeerDump>,
    /// Messages whose receiver is nowhere at the moment, by slot, those that have waited for longest first.
    pub lines: Listed<LineDump>,
    /// How many slots of each service are being given to other nodes.
    pub giving: BTreeMap<String, usize>,
    /// What waits for the disk; none if the node writes nothing down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<JournalDump>,
    /// Where blocking work runs; none if nobody counts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocking: Option<BlockingDump>,
    /// What has happened to it, the oldest first. Failures of activations are kept apart from all else, so that they push
    /// out nothing else.
    pub events: Vec<EventDump>,
    /// How many events there were ever.
    pub events_total: u64,
}

/// Which activation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CellName {
    /// Its service.
    pub service: String,
    /// The key of an entity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The number of its cell.
    pub cell: u64,
    /// The executor that it runs on.
    pub executor: usize,
}

/// An executor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExecutorDump {
    /// Its position among them.
    pub executor: usize,
    /// It runs the supervision tree and the management interface, and no activation.
    pub control: bool,
    /// Microseconds until it came to what it was asked; none: it did not within 100 ms, so something blocks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_us: Option<u64>,
    /// What is in its poll for longest, if an activation is. One that blocks while none is is blocked by a task, by a timer,
    /// or by the node itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_poll: Option<InPoll>,
    /// Tasks on it, those of the node included.
    pub tasks: usize,
    /// Tasks that others have woken and that it has not come to.
    pub woken: usize,
    /// Deadlines and timers of what runs on it.
    pub deadlines: DeadlinesDump,
}

/// An activation that is being polled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InPoll {
    /// Which.
    #[serde(flatten)]
    pub cell: CellName,
    /// The method or hook.
    pub method: String,
    /// Milliseconds that the poll has lasted.
    pub for_ms: u64,
}

/// Deadlines and timers of an executor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadlinesDump {
    /// Those that are to come, or have come and were not seen to.
    pub pending: usize,
    /// The latter. Of many not all may be counted.
    pub overdue: usize,
    /// Milliseconds by which the first of them is late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_ms: Option<u64>,
    /// Milliseconds until the next one, or sooner by no more than 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_ms: Option<u64>,
}

/// An activation that is stuck, or may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StuckDump {
    /// Which.
    #[serde(flatten)]
    pub cell: CellName,
    /// The method or hook: the one that waits for longest.
    pub method: String,
    /// It has not come to an await, and nothing else on its executor runs. Otherwise it waits for something.
    pub blocks: bool,
    /// Milliseconds since its poll began, if it blocks; since the handler or hook began, if it waits.
    pub for_ms: u64,
    /// Milliseconds until its deadline; negative when that has passed. None: it has none, or it blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<i64>,
    /// Messages that wait behind it.
    pub waiting: u32,
}

/// A service: the sums over its activations, and its books.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceDump {
    /// Its name.
    pub service: String,
    /// How many activations there are, by where their life-cycle stands.
    pub cells: BTreeMap<String, usize>,
    /// Messages that wait in their mailboxes.
    pub waiting: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// Handlers that ended.
    pub handled: u64,
    /// Messages whose deadline had passed before a handler began.
    pub expired: u64,
    /// Messages that were let in and not handled: shed, or left behind by a stop.
    pub lost: u64,
    /// Handlers that began and did not end.
    pub cut_short: u64,
    /// Messages not executed, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Activations ended by a panic.
    pub panics: u64,
    /// Activations that began again after an abnormal end.
    pub restarts: u64,
}

/// A mailbox in which messages wait. How long the first has waited is not known: messages do not carry that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueueDump {
    /// Whose.
    #[serde(flatten)]
    pub cell: CellName,
    /// Where its life-cycle stands: `starting`, `up`, `waiting`, `stopping`, `down`.
    pub phase: String,
    /// Messages waiting.
    pub waiting: u32,
    /// How many there may be.
    pub waiting_max: u32,
    /// Their bytes.
    pub waiting_bytes: u32,
    /// Those that the activation has not taken into its hand, by class.
    pub by_class: BTreeMap<String, u32>,
    /// Senders that wait for room.
    pub senders: u32,
    /// Messages whose handler began.
    pub begun: u64,
    /// Messages whose deadline had passed before.
    pub expired: u64,
    /// Messages refused or evicted after they were let in.
    pub lost: u64,
}

/// An activation with tasks or timers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TasksDump {
    /// Which.
    #[serde(flatten)]
    pub cell: CellName,
    /// How many: some may just have ended.
    pub tasks: usize,
}

/// A peer for which something waits, or with which something is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeerDump {
    /// It, `name@incarnation`.
    pub node: String,
    /// Whether there is a connection.
    pub connected: bool,
    /// Calls that wait for its answers.
    pub calls: usize,
    /// The lanes that were ever used.
    pub lanes: Vec<LaneDump>,
}

/// A lane towards a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LaneDump {
    /// Its number.
    pub lane: usize,
    /// The class of what goes on it.
    pub class: String,
    /// Frames that were not handed to a connection yet.
    pub unsent: u64,
    /// Frames in pieces that were, or are about to be, and that the peer has not said to have.
    pub unacknowledged: u64,
    /// Bytes of both, and of frames that wait for large bodies.
    pub bytes: usize,
    /// Senders that wait for room on the lane.
    pub senders: usize,
    /// Receivers to which something is under way, the most first, each with its window.
    pub windows: Listed<WindowDump>,
}

/// The window of a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WindowDump {
    /// Messages under way.
    pub under_way: u32,
    /// How many may be.
    pub limit: u32,
    /// Senders that wait because it is used up.
    pub senders: usize,
    /// Messages that wait for large bodies, or behind such ones.
    pub held: usize,
}

/// Messages that wait because their receiver is nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineDump {
    /// The service.
    pub service: String,
    /// The slot.
    pub slot: usize,
    /// How many.
    pub messages: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Milliseconds that the first has waited.
    pub for_ms: u64,
    /// Why.
    pub why: String,
}

/// What waits for the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JournalDump {
    /// Appends that wait for their turn.
    pub waiting: usize,
    /// Their bytes.
    pub waiting_bytes: usize,
    /// Appends that are being written and synced.
    pub writing: usize,
    /// Milliseconds since that began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writing_ms: Option<u64>,
    /// Milliseconds since something was synced last; none: nothing was since the node started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synced_ms: Option<u64>,
    /// Why it takes nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// Where blocking work runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlockingDump {
    /// Threads.
    pub threads: usize,
    /// Threads that work.
    pub busy: usize,
    /// Jobs that wait for one.
    pub waiting: usize,
    /// How many may wait; more are refused.
    pub waiting_max: usize,
}

/// Something that has happened to the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventDump {
    /// Counts the events of the node, from 1.
    pub number: u64,
    /// Milliseconds since then.
    pub ago_ms: u64,
    /// What kind it is of: `link-up`, `activation-failed` and so on.
    pub kind: String,
    /// For people.
    pub text: String,
}
