//! How simulations are run: each seed in a process of its own, under `cargo test` and under `odeon-sim` alike.
//!
//! [`Case::explore`] starts *zygotes*: second processes of this very program, with address randomisation off,
//! that re-enter the same test or command. A zygote forks one process for each seed, which runs the script on a
//! fresh thread and says through a pipe what came of it. So counters of a process, generators of a thread and
//! places in memory are the same for each seed, whenever and wherever it runs.
//!
//! Reading order: this file, `explore` (the runner's side), `serve` (the zygote's side), `judge`, `story`.

mod demand;
mod environment;
mod explore;
mod judge;
mod serve;
mod story;
mod testing;
mod time;
mod verdict;
mod wire;
mod zygote;

pub use environment::{WishError, parse_seeds};
pub use explore::{Failure, Plan, Progress, Replay, Summary, Unfinished};
pub use judge::Outcome;
pub use story::{Tone, tell_failures, tell_reach, tell_replay, tell_span, tell_summary};
pub use testing::{TestCase, test};
pub use verdict::Verdict;

use crate::{Options, Report, Simulation};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io::{self, Write};
use thiserror::Error;

/// Marks a process as a zygote; its value is the name of the case that it serves.
const ZYGOTE_VARIABLE: &str = "ODEON_ZYGOTE";

/// One script, and how a second process of this program comes to it.
#[derive(Clone, Debug)]
pub struct Case {
    name: String,
    arguments: Vec<OsString>,
    script: serve::Script,
}

/// What a case says about the options that each seed draws.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Executors of each host, when the seed shall not choose.
    pub executors: Option<usize>,
    /// A world without faults.
    pub calm: bool,
}

impl Shape {
    /// The options of a seed.
    pub fn options(self, seed: u64) -> Options {
        let mut options = if self.calm { Options::calm(seed) } else { Options::from_seed(seed) };
        if let Some(executors) = self.executors {
            options.machines.executors_min = executors;
            options.machines.executors_max = executors;
        }
        options
    }
}

impl Case {
    /// A case of a command: a process of this program with these arguments comes to the same case again and
    /// calls [`Case::explore`] or [`Case::replay`] there, which then serve as a zygote.
    pub fn new(
        name: impl Into<String>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
        shape: Shape,
        run: fn(&mut Simulation),
    ) -> Case {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Case { name: name.into(), arguments, script: serve::Script { run, shape } }
    }

    /// A case of a test: `path` is its name as the test harness prints it.
    pub fn of_test(path: &str, shape: Shape, run: fn(&mut Simulation)) -> Case {
        let arguments = ["--exact", path, "--nocapture", "--include-ignored", "--test-threads=1"];
        Case::new(path, arguments, shape, run)
    }

    /// The name: of the scenario, or the path of the test.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The options of a seed.
    pub fn options(&self, seed: u64) -> Options {
        self.script.shape.options(seed)
    }

    /// When this process is a zygote of this case, serves until the runner hangs up, and ends the process.
    #[expect(
        clippy::disallowed_methods,
        reason = "a zygote must not return into the test that it re-entered"
    )]
    pub(crate) fn serve_if_zygote(&self) {
        if std::env::var_os(ZYGOTE_VARIABLE).is_none_or(|name| name != *self.name) {
            return;
        }
        let status = match serve::serve(self) {
            Ok(()) => 0,
            Err(error) => {
                let _ = writeln!(io::stderr(), "the zygote of {} ends: {error}", self.name);
                1
            }
        };
        std::process::exit(status);
    }
}

/// What the process of a seed says when the run is over.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Told {
    /// Panics that ended the script or the simulation itself.
    panics: Vec<String>,
    report: Report,
}

/// Why seeds could not be run. It says nothing about the seeds.
#[derive(Debug, Error)]
pub enum ExploreError {
    /// The system refused a process, a socket or the program's own file.
    #[error("no process for the seeds could be started: {0}")]
    Start(#[source] io::Error),
    /// A second process of this program did not come to the same place.
    #[error("a second process of this program did not come to `{case}` again; what it printed is above")]
    NotReentered {
        /// The case.
        case: String,
    },
    /// A zygote ended by itself.
    #[error("the process that forks the seeds was lost at seed {seed}: {error}")]
    ZygoteLost {
        /// The seed that it was to run.
        seed: u64,
        /// What the socket said.
        error: io::Error,
    },
}
