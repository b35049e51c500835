//! What the members of a cluster under load write down, all of them at the end of one file: its order is the order in
//! which things happened, whatever becomes of those who wrote them.

use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;

/// Where that file is: the program `traffic` writes there, if this is set.
pub const HISTORY_VARIABLE: &str = "ODEON_TRAFFIC_HISTORY";
/// Keyed entities that each node calls.
pub const TALLIES: usize = 24;

/// The service of those who call from a node.
pub fn callers_of(node: &str) -> String {
    format!("callers-{node}")
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Who writes it, `name@incarnation`.
    pub node: String,
    /// For how long that has run, in milliseconds.
    pub at_ms: u64,
    /// What has happened.
    pub event: Event,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// An activation begins: the one of this number on its node.
    Began {
        /// Of the entity.
        key: String,
        /// Which activation.
        life: u64,
        /// What the one before has left. None: nothing.
        left: Option<u64>,
    },
    /// It begins with a call.
    Ran {
        /// Of the entity.
        key: String,
        /// Which activation.
        life: u64,
        /// Which call.
        slip: Slip,
        /// What it has counted, this call included.
        sum: u64,
    },
    /// A call has come to its end for its caller, who is the writer.
    Ended {
        /// Of the entity.
        key: String,
        /// Which of the writer's calls.
        call: u64,
        /// How.
        end: End,
    },
    /// The writer was late, by so many milliseconds: it was not given the processor.
    StoodStill {
        /// By how much.
        ms: u64,
    },
    /// All who called from here have come to their end.
    Rested {
        /// So many calls were made.
        calls: u64,
    },
}

/// A call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Slip {
    /// Who makes it, `name@incarnation`.
    pub caller: String,
    /// Which of its calls, counted from 0.
    pub call: u64,
    /// What it adds.
    pub amount: u64,
}

/// How a call ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// With this sum.
    Answered(u64),
    /// It was not executed, for this reason.
    Refused(String),
    /// Nobody knows whether it has run, for this cause.
    Unknown(String),
}

/// The file, as whoever looks at it has read it so far.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    bytes: usize,
    lines: Vec<Line>,
}

impl History {
    /// Nothing is written yet.
    pub fn at(path: PathBuf) -> Self {
        Self { path, bytes: 0, lines: Vec::new() }
    }

    /// All lines that are whole by now, in their order.
    ///
    /// # Errors
    /// It cannot be read, or says what no node says.
    pub fn read(&mut self) -> io::Result<&[Line]> {
        use io::{Read, Seek, SeekFrom};
        let mut file = std::fs::File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.bytes as u64))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in text[..whole].split_inclusive(|byte| *byte == b'\n') {
            self.lines.push(serde_json::from_slice(line)?);
        }
        self.bytes += whole;
        Ok(&self.lines)
    }
}
