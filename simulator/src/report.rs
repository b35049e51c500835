//! What one simulation hands back: the hash that two runs are compared by, and everything that went wrong.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The result of one simulation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The seed of the options.
    pub seed: u64,
    /// Rolling hash over each packet, disk operation, turn, timer and log line, in order. Two runs of the
    /// same binary with the same options have the same hash, or something escaped the simulation.
    pub hash: u64,
    /// How long the simulated world existed, in its own time.
    pub virtual_time: Duration,
    /// What was counted.
    pub statistics: Statistics,
    /// How often each point was reached; those that are missing never. See [`crate::reach`].
    pub reached: BTreeMap<String, u64>,
    /// Calls that escaped the simulation or would have blocked its thread, each named once with host and count.
    pub leaks: Vec<String>,
    /// Panics of tasks (tokio swallows them), with time and host.
    pub panics: Vec<String>,
    /// Broken promises that invariants found.
    pub violations: Vec<String>,
    /// Every recorded line in order, when the simulation was asked to keep them; else empty.
    pub lines: Vec<String>,
}

impl Report {
    /// True when nothing leaked, nothing panicked and no invariant was violated.
    pub fn is_clean(&self) -> bool {
        self.leaks.is_empty() && self.panics.is_empty() && self.violations.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "seed {}  hash {:016x}  {:?} simulated", self.seed, self.hash, self.virtual_time)?;
        for (kind, found) in [("violation", &self.violations), ("panic", &self.panics), ("leak", &self.leaks)]
        {
            for each in found {
                writeln!(out, "  {kind}: {each}")?;
            }
        }
        Ok(())
    }
}

/// What the world counted. All zero says that nothing happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// Turns of executors.
    pub turns: u64,
    /// Turns that began because a timer was due.
    pub timers: u64,
    /// Turns put off because their executor was still busy with an earlier one.
    pub turns_deferred: u64,
    /// Turns that began because something arrived, or because another executor or a script asked.
    pub wakes: u64,
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// Datagrams that reached a socket.
    pub datagrams_delivered: u64,
    /// Datagrams lost, cut off, or sent to nobody.
    pub datagrams_lost: u64,
    /// Datagrams that arrived twice.
    pub datagrams_duplicated: u64,
    /// TCP segments sent.
    pub segments: u64,
    /// Bytes in TCP segments, headers included.
    pub segment_bytes: u64,
    /// TCP segments that were sent again.
    pub retransmissions: u64,
    /// TCP connections that ended by time-out.
    pub timeouts: u64,
    /// Sends and writes of destructors during a crash, which the world suppressed.
    pub suppressed: u64,
    /// Crashes of processes and of power.
    pub crashes: u64,
    /// Writes to virtual files.
    pub file_writes: u64,
    /// Bytes written to virtual files.
    pub file_bytes: u64,
    /// Successful and failed fsyncs.
    pub file_syncs: u64,
    /// Dirty pages that a power loss reverted.
    pub pages_lost: u64,
    /// Dirty pages that a power loss left half written.
    pub pages_torn: u64,
    /// Dirty pages that survived a power loss by luck.
    pub pages_kept: u64,
    /// Directory operations that a power loss undid.
    pub names_lost: u64,
    /// Readings of clocks.
    pub clock_reads: u64,
    /// Requests for random bytes.
    pub random_reads: u64,
    /// Log lines recorded.
    pub log_lines: u64,
}
