//! What can be said of one seed, and the exit code that tells a script so.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The verdict on one seed, from fine to worst understood. When several are true of one run, the first of
/// the list below that applies is the verdict; all findings are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing was found.
    Passed,
    /// Two runs of the seed differ: something escaped the simulation, so nothing else about the seed is sure.
    Nondeterministic,
    /// The seed used up its wall time. Virtual time costs nothing when idle, so this is a loop that never waits.
    Hung,
    /// The process ended without a word: a signal, an abort, or an exit.
    Died,
    /// A promise that must hold at each moment was broken.
    Unsafe,
    /// Something that had to happen after all faults were healed did not happen in time.
    NotLive,
    /// The script or a task of a host panicked.
    Panicked,
    /// A call escaped the simulation, so the run may not replay.
    Leaked,
}

impl Verdict {
    /// All verdicts, in the order of [`Verdict::exit_code`].
    pub const ALL: [Verdict; 8] = [
        Verdict::Passed,
        Verdict::Unsafe,
        Verdict::NotLive,
        Verdict::Panicked,
        Verdict::Died,
        Verdict::Leaked,
        Verdict::Hung,
        Verdict::Nondeterministic,
    ];

    /// The exit code of a process whose worst news is this. 1 and 2 are left to errors of the tool itself and
    /// of its command line.
    pub fn exit_code(self) -> u8 {
        match self {
            Verdict::Passed => 0,
            Verdict::Unsafe => 10,
            Verdict::NotLive => 11,
            Verdict::Panicked => 12,
            Verdict::Died => 13,
            Verdict::Leaked => 14,
            Verdict::Hung => 15,
            Verdict::Nondeterministic => 16,
        }
    }

    /// What a person should understand by it.
    pub fn meaning(self) -> &'static str {
        match self {
            Verdict::Passed => "all seeds passed",
            Verdict::Unsafe => "safety: a promise was broken",
            Verdict::NotLive => "liveness: something that had to happen did not, in time",
            Verdict::Panicked => "the script or a task panicked",
            Verdict::Died => "the process of the seed died: a signal, an abort or an exit",
            Verdict::Leaked => "a call escaped the simulation",
            Verdict::Hung => "the seed used up its wall time",
            Verdict::Nondeterministic => "two runs of the seed differ",
        }
    }

    /// The verdict in words for people.
    pub fn words(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Unsafe => "safety violated",
            Verdict::NotLive => "not live",
            Verdict::Panicked => "panicked",
            Verdict::Died => "process died",
            Verdict::Leaked => "leaked",
            Verdict::Hung => "hung",
            Verdict::Nondeterministic => "not deterministic",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.words())
    }
}
