//! The supervision tree as people and tools see it.

use crate::cell::port::{CellStatus, Phase};
use odeon_core::Timestamp;
use odeon_core::supervision::Exit;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a node of the tree is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TreeNodeKind {
    /// It keeps others running.
    #[default]
    Supervisor,
    /// A part of the node that is no service, such as a listener.
    Part,
    /// A stateless service: below it are its instances.
    Stateless,
    /// A service with keyed entities: below it are the active ones.
    Entities,
    /// A service with one activation.
    Singleton,
    /// An activation.
    Cell,
}

/// The supervision tree at one moment: a node and what is below it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TreeNode {
    /// Its name: an entity's is its key, an instance's its id.
    pub name: String,
    /// What it is.
    pub kind: TreeNodeKind,
    /// Whom a failure below it concerns: `one-for-one` and so on. For supervisors and services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Where its life-cycle stands: `starting`, `up`, `waiting` for a restart, `stopping`, `down`.
    pub phase: String,
    /// Restarts since the tree began; of a service: of all its activations.
    #[serde(default)]
    pub restarts: u64,
    /// How it ended the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<LastExit>,
    /// The most recent failures of a service's activations, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<LastExit>,
    /// Work waiting and done. Of a service: the sum over all its activations, listed or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    /// What is below it, in order of start; of a service: its busiest activations, the busiest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<TreeNode>,
    /// Activations that are not listed.
    #[serde(default)]
    pub unlisted: usize,
}

/// How something ended the last time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastExit {
    /// How it ended.
    pub exit: Exit,
    /// The same for people.
    pub reason: String,
    /// Which activation of a service it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Milliseconds since then.
    pub ago_ms: u64,
}

impl LastExit {
    /// As seen at `now`.
    pub(crate) fn seen(at: Timestamp, exit: &Exit, of: Option<String>, now: Timestamp) -> Self {
        Self { exit: exit.clone(), reason: exit.to_string(), of, ago_ms: millis(now.since(at)) }
    }
}

/// What cells have to do and have done. Counters wrap.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Load {
    /// Messages waiting.
    pub waiting: u64,
    /// Bytes waiting.
    pub waiting_bytes: u64,
    /// Messages whose handler began.
    pub begun: u64,
    /// Messages dropped at dequeue because their deadline had passed.
    pub expired: u64,
    /// Messages refused or evicted after they were let in.
    pub lost: u64,
    /// The method whose handler began last. For one cell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// Milliseconds that the poll which runs now has lasted: a stuck handler shows here. The longest of the cells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub polling_ms: Option<u64>,
    /// Milliseconds for which the handler that is under way has waited for something. For one cell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_ms: Option<u64>,
    /// Microseconds of the longest sampled poll.
    pub poll_max_us: u64,
}

impl Load {
    /// Of one cell.
    pub(crate) fn of(status: &CellStatus) -> Self {
        Self {
            waiting: status.waiting.into(),
            waiting_bytes: status.waiting_bytes.into(),
            begun: status.begun,
            expired: status.expired,
            lost: status.lost,
            current: status.current.map(Into::into),
            polling_ms: status.polling_for.map(millis),
            held_ms: status.held_for.map(millis),
            poll_max_us: u64::try_from(status.poll_max.as_micros()).unwrap_or(u64::MAX),
        }
    }

    /// Adds one cell.
    pub(crate) fn add(&mut self, status: &CellStatus) {
        let of = Self::of(status);
        let Self {
            waiting,
            waiting_bytes,
            begun,
            expired,
            lost,
            current: _,
            held_ms: _,
            polling_ms,
            poll_max_us,
        } = of;
        self.waiting += waiting;
        self.waiting_bytes += waiting_bytes;
        self.begun = self.begun.wrapping_add(begun);
        self.expired = self.expired.wrapping_add(expired);
        self.lost = self.lost.wrapping_add(lost);
        self.polling_ms = self.polling_ms.max(polling_ms);
        self.poll_max_us = self.poll_max_us.max(poll_max_us);
    }
}

/// One word for where a cell stands.
pub(crate) fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Running => "up",
        Phase::Waiting => "waiting",
        Phase::Stopping => "stopping",
        Phase::Ended => "down",
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
