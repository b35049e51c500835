//! Keeps the processes of several nodes: starts them, starts again what ends by itself, stops all of them.
//!
//! Whatever happens, a signal, an end, a while that has passed, the same is done: [`Launcher::look`] sees to each node as
//! it is then.

use super::banner::banner;
use super::plan::{Member, Plan};
use super::process::{AGAIN_AFTER, End, Next, Process, QUICK, QUICK_ENDS_MAX, Readiness, State, until_ready};
use crate::aside::Aside;
use crate::commands;
use crate::directory::Directory;
use crate::duration::show;
use crate::exit::{Code, Failure};
use crate::launched;
use crate::program::Invocation;
use crate::signals::{Children, Signals};
use crate::terminal::Tone;
use odeon::core::ClusterId;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

/// How often logs are looked at, and whether a node is due.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a start may take before the nodes are announced as they are.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long the nodes of a launcher that was killed may take to notice.
const FORMER_WITHIN: Duration = Duration::from_secs(10);
const FORMER_EVERY: Duration = Duration::from_millis(50);
/// Beyond the time that a node has for its stop: one that has not ended by then stands still.
const STOP_GRACE: Duration = Duration::from_secs(15);
/// Most lines that wait for a terminal; further news are in the logs only.
const LINES_MAX: usize = 1_000;

/// Runs until Ctrl-C, or until there is no node any more.
///
/// # Errors
/// The plan cannot be carried out; or the terminal was lost, and all nodes have stopped for that.
pub(super) fn run(invocation: &Invocation, plan: &Plan<'_>) -> Result<Code, Failure> {
    // as it is now, whatever is built in its place meanwhile
    let program = std::env::current_exe()
        .map_err(|e| Failure::failed(format_args!("this program does not find itself: {e}")))?;
    let occupied = Directory::at(plan.root).occupy().map_err(|e| e.failure(Code::Failed))?;
    let aside = Aside::start(io::stdout())?;
    let ended = commands::block_on(async {
        let mut signals = Signals::listen().map_err(cannot_hear)?;
        let children = Children::listen().map_err(cannot_hear)?;
        let members = plan.members()?;
        tokio::select! {
            ended = former_have_ended(&aside, &members) => ended?,
            _ = signals.next() => return Ok(Ended { code: Code::Interrupted, word: None }),
        }
        plan.check_ports(&members)?;
        let cluster = plan.write(&members)?;
        let here = launched::Launcher { pid: std::process::id() };
        here.publish(plan.root).map_err(|e| e.failure(Code::Failed))?;
        let mut launcher = Launcher {
            invocation,
            root: plan.root,
            cluster,
            program,
            log: plan.flags.log.as_deref(),
            nodes: members.into_iter().map(Process::of).collect(),
            aside: &aside,
            said: JoinSet::new(),
            readies: JoinSet::new(),
            announce_by: Some(Instant::now() + READY_WITHIN),
            stopping: None,
        };
        launcher.keep(signals, children).await
    });
    // it stays where something did not end in order: by that the command line knows
    if !matches!(&ended, Ok(Ended { code: Code::Failed | Code::Interrupted, .. })) {
        launched::Launcher::withdraw(plan.root).map_err(|e| e.failure(Code::Failed))?;
    }
    drop(occupied);
    let Ended { code, word } = ended?;
    if let Some(word) = word {
        let tone = if code == Code::Done { Tone::Strong } else { Tone::Bad };
        aside.last(&invocation.terminal.paint(tone, word))?;
    }
    Ok(code)
}

fn cannot_hear(error: io::Error) -> Failure {
    Failure::failed(format_args!("signals cannot be listened to: {error}"))
}

/// Waits for nodes of a launcher that was killed: they have noticed, and stop.
async fn former_have_ended(aside: &Aside, members: &[Member]) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut told = false;
    loop {
        let still = |member: &&Member| Directory::at(&member.directory).is_occupied();
        let Some(member) = members.iter().find(still) else { return Ok(()) };
        let directory = member.directory.display();
        if begun.elapsed() > FORMER_WITHIN {
            return Err(Failure::failed(format_args!("node {} runs in {directory} already", member.name))
                .advice(format_args!("stop it with the command `stop --dir {directory}`")));
        }
        if !std::mem::replace(&mut told, true) {
            drop(aside.line(&format!("Waiting for the end of node {}, which still runs ...", member.name)));
        }
        sleep(FORMER_EVERY).await;
    }
}

/// How all of it ended.
struct Ended {
    code: Code,
    /// The last thing to say.
    word: Option<String>,
}

/// The nodes, and who is told of them.
struct Launcher<'a> {
    invocation: &'a Invocation,
    root: &'a Path,
    cluster: ClusterId,
    program: PathBuf,
    /// The filter for log lines that the nodes get as a flag.
    log: Option<&'a str>,
    nodes: Vec<Process>,
    aside: &'a Aside,
    /// Lines on their way to the terminal.
    said: JoinSet<Result<(), Failure>>,
    /// Nodes, by index and process, that become ready.
    readies: JoinSet<(usize, u32)>,
    /// Until when all nodes should be ready; none: that was announced.
    announce_by: Option<Instant>,
    /// None: all of them are to run.
    stopping: Option<Stopping>,
}

/// How far the stop has come.
struct Stopping {
    /// A node that runs by then stands still.
    kill_at: Instant,
    /// There was a second signal.
    at_once: bool,
    /// A node had not started yet.
    early: bool,
    /// Nodes that did not stop in order, and how they ended.
    disorder: Vec<String>,
}

impl Launcher<'_> {
    async fn keep(&mut self, mut signals: Signals, mut children: Children) -> Result<Ended, Failure> {
        let (count, root) = (self.nodes.len(), self.root.display());
        self.progress(&format!("Starting {count} nodes in {root} ..."));
        (0..count).for_each(|index| self.start(index));
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut lost_terminal = None;
        loop {
            tokio::select! {
                _ = signals.next() => self.signalled(),
                () = children.next() => {}
                _ = looks.tick() => {}
                Some(Ok((index, pid))) = self.readies.join_next() => self.reached(index, pid),
                Some(Ok(Err(failure))) = self.said.join_next() => {
                    // who reads may have left; the nodes still stop in order
                    lost_terminal.get_or_insert(failure);
                    self.stop();
                }
            }
            self.look();
            if let Some(ended) = self.over() {
                return lost_terminal.map_or(Ok(ended), Err);
            }
            self.announce().await;
        }
    }

    /// Sees to each node.
    fn look(&mut self) {
        let now = Instant::now();
        for index in 0..self.nodes.len() {
            let end = self.nodes[index].reap(self.stopping.is_some());
            for line in self.nodes[index].news.next() {
                // nodes that stop together warn of each other
                if self.stopping.is_none() || !line.is_warning {
                    self.say(&format!("{}: {}", self.nodes[index].member.name, line.text));
                }
            }
            match (end, &self.nodes[index].state) {
                (Some(end), _) => self.ended(index, &end),
                (None, State::Resting { until }) if now >= *until => self.start(index),
                _ => {}
            }
        }
        if self.stopping.as_ref().is_some_and(|stopping| now >= stopping.kill_at) {
            self.nodes.iter_mut().for_each(Process::kill);
        }
    }

    fn start(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        match node.start(&self.program, self.log) {
            Ok(child) => {
                let (pid, directory) = (child.id(), node.member.directory.clone());
                let look = self.readies.spawn(async move {
                    until_ready(directory, pid).await;
                    (index, pid)
                });
                let (since, readiness) = (Instant::now(), Readiness::Awaited(look));
                node.state = State::Running { child, since, readiness };
            }
            Err(error) => {
                let next = node.failed_to_start();
                let problem = format!("Node {} cannot be started: {error}", node.member.name);
                self.say_next(index, &problem, next);
            }
        }
    }

    fn reached(&mut self, index: usize, pid: u32) {
        let node = &mut self.nodes[index];
        let State::Running { child, readiness, .. } = &mut node.state else { return };
        if child.id() != pid {
            return;
        }
        *readiness = Readiness::Reached;
        let name = node.member.name.clone();
        if self.announce_by.is_some() {
            let ready = self.nodes.iter().filter(|node| node.is_running() && node.is_settled()).count();
            self.progress(&format!("Node {name} is ready, {ready} of {} ...", self.nodes.len()));
        } else {
            let up = self.invocation.terminal.paint(Tone::Good, "is up again");
            self.say(&format!("Node {name} {up} (process {pid})."));
        }
    }

    fn ended(&mut self, index: usize, end: &End) {
        let node = &self.nodes[index];
        let (name, how) = (&node.member.name, how(end.status));
        let Some(stopping) = &mut self.stopping else {
            let problem = format!("Node {name} (process {}) {how}", end.pid);
            return self.say_next(index, &problem, end.next);
        };
        match end.status.code() {
            Some(code) if code == Code::Done as i32 => {}
            Some(code) if code == Code::Interrupted as i32 => stopping.early = true,
            _ => stopping.disorder.push(format!("{name} {how}")),
        }
    }

    /// What has happened to a node, and what follows.
    fn say_next(&mut self, index: usize, problem: &str, next: Next) {
        let terminal = self.invocation.terminal;
        let log = self.nodes[index].news.path().display();
        let line = match next {
            Next::Again => {
                let again = format!("{problem}; it is started again in {}.", show(AGAIN_AFTER));
                format!("{} Its log: {log}", terminal.paint(Tone::Warning, again))
            }
            Next::GiveUp => {
                let within = show(QUICK);
                let never = format!(
                    "{problem}, {QUICK_ENDS_MAX} times within {within} of its start: it is not started any more."
                );
                format!("{} Its log: {log}", terminal.paint(Tone::Bad, never))
            }
            Next::Stay => format!("{problem}, as it was asked to; it is not started again."),
        };
        self.say(&line);
    }

    fn signalled(&mut self) {
        match &mut self.stopping {
            None => {
                self.say("\nStopping. Once more ends it at once.");
                self.stop();
            }
            Some(stopping) => {
                stopping.at_once = true;
                self.nodes.iter_mut().for_each(Process::kill);
            }
        }
    }

    /// All at once: those that are last would not agree any more on whether they have left, in whatever order.
    fn stop(&mut self) {
        let longest =
            self.nodes.iter().map(|node| node.member.settings.stop_within).max().unwrap_or_default();
        let kill_at = Instant::now() + longest.saturating_add(STOP_GRACE);
        self.stopping.get_or_insert(Stopping { kill_at, at_once: false, early: false, disorder: Vec::new() });
        self.nodes.iter_mut().for_each(Process::stop);
    }

    /// Whether there is no node any more, and none will come.
    fn over(&self) -> Option<Ended> {
        let is_over = |node: &Process| matches!(node.state, State::Stopped | State::GivenUp);
        if !self.nodes.iter().all(is_over) {
            return None;
        }
        let (code, word) = match &self.stopping {
            Some(Stopping { at_once: true, .. }) => (Code::Interrupted, None),
            Some(Stopping { disorder, .. }) if !disorder.is_empty() => {
                (Code::Failed, Some(format!("Ended, but not in order: {}.", disorder.join(", "))))
            }
            Some(Stopping { early: true, .. }) => (Code::Interrupted, None),
            None if self.nodes.iter().any(|node| matches!(node.state, State::GivenUp)) => {
                (Code::Failed, Some("No node is left.".into()))
            }
            Some(_) | None => (Code::Done, Some("Stopped.".into())),
        };
        Some(Ended { code, word })
    }

    /// Says once that the nodes are up, as soon as they are, or when they have had their time.
    async fn announce(&mut self) {
        let Some(by) = self.announce_by else { return };
        let is_up = self.nodes.iter().all(Process::is_settled);
        if self.stopping.is_some() || !(is_up || Instant::now() >= by) {
            return;
        }
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            if !node.is_settled() {
                let (name, log) = (&node.member.name, node.news.path().display());
                let late = format!("Node {name} is not ready after {}.", show(READY_WITHIN));
                self.say(&format!("{} Its log: {log}", self.invocation.terminal.paint(Tone::Warning, late)));
            }
        }
        let banner = banner(self.invocation, self.root, &self.cluster, &self.nodes).await;
        self.say(&banner);
        self.announce_by = None;
    }

    /// A line that the next one replaces where somebody watches, until all is announced.
    fn progress(&mut self, text: &str) {
        let terminal = self.invocation.terminal;
        let end = if terminal.is_interactive() { "" } else { "\n" };
        self.print(format!("{}{text}{end}", terminal.progressed()));
    }

    fn say(&mut self, line: &str) {
        let before = if self.announce_by.is_some() { self.invocation.terminal.progressed() } else { "" };
        self.print(format!("{before}{line}\n"));
    }

    fn print(&mut self, text: String) {
        if self.said.len() < LINES_MAX {
            self.said.spawn(self.aside.text(text));
        }
    }
}

/// How a process ended, for people.
fn how(status: ExitStatus) -> String {
    match status.code() {
        Some(0) => "has ended".into(),
        Some(code) => format!("ended with exit code {code}"),
        // such as `signal: 9 (SIGKILL)`
        None => format!("was ended by {}", status.to_string().replace(": ", " ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn the_end_of_a_process_is_told_in_words() {
        assert_eq!(how(ExitStatus::from_raw(9)), "was ended by signal 9 (SIGKILL)");
        assert_eq!(how(ExitStatus::from_raw(2 << 8)), "ended with exit code 2");
        assert_eq!(how(ExitStatus::from_raw(0)), "has ended");
    }
}
