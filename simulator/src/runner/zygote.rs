//! The runner's half: a zygote is a second process of this very program, which re-enters the same test or the
//! same command and there meets [`super::serve`].

use super::wire::{Frame, Request};
use super::{Case, ExploreError, Told, ZYGOTE_VARIABLE};
use odeon_simulator_os::process::{self, Addresses, Ending};
use std::io::{self, BufReader};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// As much of what a run printed as is kept: its end.
const PRINTED_BYTES_MAX: usize = 32 * 1024;

/// Under which conditions a zygote starts. A simulation must not notice which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conditions {
    /// As the runner itself, with addresses that are the same each time. Stack traces of panics are off: they
    /// cost more than most seeds do.
    Usual,
    /// As usual, with stack traces where the environment asks for them.
    Replay,
    /// Another environment, one CPU only (the `nth`), and random addresses.
    Other {
        /// Spreads zygotes over the CPUs.
        nth: usize,
    },
}

/// A process that forks one process for each seed.
pub(super) struct Zygote {
    process: Child,
    socket: BufReader<UnixStream>,
    random_addresses: bool,
}

/// All that a run left behind.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) ending: Ending,
    /// What the run said of itself, unless it was cut short.
    pub(super) told: Option<Told>,
    /// The end of what it printed.
    pub(super) printed: String,
}

impl Zygote {
    pub(super) fn start(case: &Case, conditions: Conditions) -> Result<Zygote, ExploreError> {
        let (ours, theirs) = UnixStream::pair().map_err(ExploreError::Start)?;
        let mut command = Command::new(std::env::current_exe().map_err(ExploreError::Start)?);
        command.args(&case.arguments);
        match conditions {
            Conditions::Replay => process::start_at(Addresses::Fixed, &mut command),
            Conditions::Usual => {
                command.env("RUST_BACKTRACE", "0");
                process::start_at(Addresses::Fixed, &mut command);
            }
            Conditions::Other { nth } => {
                change_environment(&mut command);
                process::start_at(Addresses::Random, &mut command);
                process::on_one_cpu(&mut command, nth);
            }
        }
        command.env(ZYGOTE_VARIABLE, case.name());
        // ctrl-C is for the runner, which lets the seeds end that run.
        command.process_group(0);
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::inherit());
        let process = command.spawn().map_err(ExploreError::Start)?;
        // The command holds the zygote's end of the socket; while it is open here, the end of a zygote that
        // dies would not be noticed.
        drop(command);
        let mut zygote = Zygote { process, socket: BufReader::new(ours), random_addresses: false };
        match Frame::read(&mut zygote.socket) {
            Ok(Frame::Ready { random_addresses }) => zygote.random_addresses = random_addresses,
            Ok(_) | Err(_) => return Err(ExploreError::NotReentered { case: case.name().to_owned() }),
        }
        Ok(zygote)
    }

    /// Whether the system placed this process, and so each of its forks, at random addresses.
    pub(super) fn has_random_addresses(&self) -> bool {
        self.random_addresses
    }

    pub(super) fn run(&mut self, request: Request) -> Result<Run, ExploreError> {
        self.exchange(request).map_err(|error| ExploreError::ZygoteLost { seed: request.seed, error })
    }

    fn exchange(&mut self, request: Request) -> io::Result<Run> {
        request.write(self.socket.get_mut())?;
        let (mut report, mut printed) = (Vec::new(), Vec::new());
        let ending = loop {
            match Frame::read(&mut self.socket)? {
                Frame::Report(piece) => report.extend(piece),
                Frame::Printed(piece) => {
                    printed.extend(piece);
                    let excess = printed.len().saturating_sub(PRINTED_BYTES_MAX);
                    printed.drain(..excess);
                }
                Frame::Ended(ending) => break ending,
                Frame::Ready { .. } => return Err(io::ErrorKind::InvalidData.into()),
            }
        };
        // A report that was cut short does not parse; how the process ended tells the rest.
        let told = serde_json::from_slice(&report).ok();
        Ok(Run { ending, told, printed: String::from_utf8_lossy(&printed).into_owned() })
    }
}

/// Removes what a run could be tempted to read, and moves the rest of memory by being longer.
fn change_environment(command: &mut Command) {
    let kept = ["PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR"];
    command.env_clear();
    command.envs(kept.iter().filter_map(|name| std::env::var_os(name).map(|value| (name, value))));
    command.env("TZ", "Pacific/Chatham").env("LANG", "tr_TR.UTF-8").env("ODEON_PADDING", "·".repeat(1_000));
}

impl Drop for Zygote {
    fn drop(&mut self) {
        // It ends by itself when the runner hangs up; an error means that it has ended already.
        let _ = self.socket.get_mut().shutdown(Shutdown::Both);
        let _ = self.process.wait();
    }
}
