//! A node as a process of the operating system: its beginning, its end, and whether it begins again.

use super::news::News;
use super::plan::Member;
use crate::directory::{Directory, Whereabouts};
use crate::exit::Failure;
use crate::remote::Remote;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

/// How long a node that has ended by itself is left alone: whoever watches sees that the others go on.
pub(super) const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// One that ends within this time of its start has ended quickly.
pub(super) const QUICK: Duration = Duration::from_secs(10);
/// After so many quick ends in a row it is given up.
pub(super) const QUICK_ENDS_MAX: u32 = 3;
/// How often a node that starts is looked at.
const READY_EVERY: Duration = Duration::from_millis(50);
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// One of the nodes that are kept.
pub(super) struct Process {
    pub(super) member: Member,
    pub(super) news: News,
    pub(super) state: State,
    restarts: Restarts,
}

/// What it does.
pub(super) enum State {
    /// It starts, serves, or stops.
    Running { child: Child, since: Instant, readiness: Readiness },
    /// It has ended by itself and is started again then.
    Resting { until: Instant },
    /// It was asked to stop, by whomever.
    Stopped,
    /// It has ended by itself too often.
    GivenUp,
}

/// Whether a node takes requests.
pub(super) enum Readiness {
    /// Somebody looks at it.
    Awaited(AbortHandle),
    /// It has been ready.
    Reached,
}

/// How a process ended, and what follows.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) pid: u32,
    pub(super) status: ExitStatus,
    pub(super) next: Next,
}

/// What follows the end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is started again after [`AGAIN_AFTER`].
    Again,
    /// It is not started any more.
    GiveUp,
    /// It was asked to stop, and has.
    Stay,
}

/// Counts quick ends.
#[derive(Clone, Copy, Debug, Default)]
struct Restarts {
    quick_ends: u32,
}

impl Restarts {
    fn ended(&mut self, lived: Duration, in_order: bool) -> Next {
        if in_order {
            return Next::Stay;
        }
        self.quick_ends = if lived < QUICK { self.quick_ends + 1 } else { 0 };
        if self.quick_ends < QUICK_ENDS_MAX { Next::Again } else { Next::GiveUp }
    }
}

impl Process {
    /// Not started yet.
    pub(super) fn of(member: Member) -> Self {
        let news = News::of(&member.directory, member.name.as_str());
        Self { member, news, state: State::Stopped, restarts: Restarts::default() }
    }

    /// Starts it. Its standard input ends with this process, and it with that; Ctrl-C, which a terminal sends to a whole
    /// group, does not reach it. Answers its id.
    ///
    /// # Errors
    /// The operating system refused.
    pub(super) fn start(&mut self, program: &Path, log: Option<&str>) -> io::Result<Child> {
        let out = self.news.begin()?;
        let mut command = Command::new(program);
        command.arg("node").arg("--config").arg(self.member.config()).arg("--ends-with-stdin");
        if let Some(filter) = log {
            command.args(["--log", filter]);
        }
        command.process_group(0).stdin(Stdio::piped()).stdout(out.try_clone()?).stderr(out);
        command.spawn()
    }

    /// Notices its end.
    pub(super) fn reap(&mut self, stopping: bool) -> Option<End> {
        let State::Running { child, since, readiness } = &mut self.state else { return None };
        // one that cannot be waited for is none of ours any more
        let status = child.try_wait().ok()??;
        if let Readiness::Awaited(look) = readiness {
            look.abort();
        }
        let pid = child.id();
        let next = match stopping {
            true => Next::Stay,
            false => self.restarts.ended(since.elapsed(), status.success()),
        };
        self.rest(next);
        Some(End { pid, status, next })
    }

    /// It could not be started.
    pub(super) fn failed_to_start(&mut self) -> Next {
        let next = self.restarts.ended(Duration::ZERO, false);
        self.rest(next);
        next
    }

    fn rest(&mut self, next: Next) {
        self.state = match next {
            Next::Again => State::Resting { until: Instant::now() + AGAIN_AFTER },
            Next::GiveUp => State::GivenUp,
            Next::Stay => State::Stopped,
        };
    }

    /// Asks it to stop in order.
    pub(super) fn stop(&mut self) {
        match &mut self.state {
            State::Running { child, .. } => drop(child.stdin.take()),
            State::Resting { .. } => self.state = State::Stopped,
            State::Stopped | State::GivenUp => {}
        }
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self) {
        if let State::Running { child, .. } = &mut self.state {
            // one that has ended needs no kill
            let _ = child.kill();
        }
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    /// Whether there is nothing to wait for: it has been ready, or will not be.
    pub(super) fn is_settled(&self) -> bool {
        match &self.state {
            State::Running { readiness, .. } => matches!(readiness, Readiness::Reached),
            State::Resting { .. } => false,
            State::Stopped | State::GivenUp => true,
        }
    }

    /// Where it listens, if it is found.
    pub(super) fn whereabouts(&self) -> Option<Whereabouts> {
        Directory::at(&self.member.directory).whereabouts().ok().filter(|_| self.is_running())
    }
}

/// Waits until the process with this id is the node of a directory, and ready.
pub(super) async fn until_ready(directory: PathBuf, pid: u32) {
    let directory = Directory::at(directory);
    loop {
        let is_there = directory.whereabouts().is_ok_and(|here| here.pid == pid);
        if is_there && timeout(ANSWER_WITHIN, is_ready(&directory)).await.is_ok_and(|ready| ready == Ok(true))
        {
            return;
        }
        sleep(READY_EVERY).await;
    }
}

async fn is_ready(directory: &Directory) -> Result<bool, Failure> {
    Ok(Remote::at(directory)?.status().await?.ready)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_ends_quickly_three_times_in_a_row_is_given_up() {
        let mut restarts = Restarts::default();
        let (quick, slow) = (QUICK - Duration::from_millis(1), QUICK);
        for lived in [quick, quick, slow, quick, quick] {
            assert_eq!(restarts.ended(lived, false), Next::Again);
        }
        assert_eq!(restarts.ended(quick, false), Next::GiveUp);
    }

    #[test]
    fn a_node_that_was_asked_to_stop_stays_away() {
        assert_eq!(Restarts::default().ended(Duration::ZERO, true), Next::Stay);
    }
}
