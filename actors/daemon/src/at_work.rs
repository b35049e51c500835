//! A node at work: started in order, findable by its directory, stopped in reverse.

use crate::cluster::{Cluster, Prepared};
use crate::config::Settings;
use crate::directory::{Directory, DirectoryError, Occupied, Whereabouts};
use crate::executors::Executors;
use crate::exit::{Code, Failure};
use crate::log::{Lines, Log};
use crate::signals::{Hangups, Signals, StartedBy};
use crate::watcher;
use odeon::core::supervision::Exit;
use odeon::host::{Executor, Host, Threads};
use odeon::{App, Node};
use odeon_actors::gateway::Gateway;
use odeon_actors::management::api::StopRequest;
use odeon_actors::management::token::Token;
use odeon_actors::management::{Management, ManagementConfig};
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

/// Jobs that wait for a thread for blocking work, at the most.
const BLOCKING_QUEUE_MAX: usize = 4096;
/// How often readiness is looked at.
const READY_EVERY: Duration = Duration::from_millis(5);
/// How long a start may take before the node is announced as it is: found, but not ready.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Of the time for a stop, one part of so many is for telling the cluster at the most.
const DRAIN_SHARE: u32 = 4;
/// Of the rest of it, one part of so many is for giving away what the node has at the most.
const GIVE_AWAY_SHARE: u32 = 2;
/// Of the rest of that, one part of so many is for the gateway's requests at the most.
const GATEWAY_STOP_SHARE: u32 = 2;
/// Beyond the time for a stop: for what kills and counts. Then the process ends, whatever handlers do.
const STOP_GRACE: Duration = Duration::from_secs(2);
/// A signal that has come is heard within this time.
const HEARD_WITHIN: Duration = Duration::from_millis(10);
/// A handler is named after a stop that was not in order when it has not come to an await for so long.
const STUCK_AFTER: Duration = Duration::from_millis(500);

/// A node with what belongs to it in this process.
pub(crate) struct AtWork {
    /// The node.
    pub(crate) node: Node,
    /// Where it listens.
    pub(crate) whereabouts: Whereabouts,
    /// Whether it was ready when it was announced.
    pub(crate) is_ready: bool,
    /// Its links to other nodes, if it is in a cluster.
    pub(crate) cluster: Option<Cluster>,
    gateway: Gateway,
    /// Dropped, it ends: it is kept until the node has stopped.
    _management: Management,
    occupied: Occupied,
    executors: Executors,
    asked_to_stop: mpsc::Receiver<StopRequest>,
    stop_within: Duration,
}

/// How a node ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// What the program ends with; [`Code::Failed`] when something did not stop and ends with the process.
    pub(crate) code: Code,
    /// Activations that had to be killed, and connections that had to be cut.
    pub(crate) killed: usize,
    /// It stopped because its cluster has removed it: it is to be started anew, as its next incarnation.
    pub(crate) comes_back: bool,
}

impl Ended {
    fn with(code: Code, killed: usize) -> Self {
        Self { code, killed, comes_back: false }
    }
}

/// Starts a node, tells that it is there, keeps it until a signal and stops it. What `announce` answers ends when that
/// was said; nobody waits for it, so neither it nor `stopping` may block.
///
/// # Errors
/// It could not start, and nothing of it runs; or the terminal was lost, and it has stopped for that.
pub(crate) fn run<Said: Future<Output = Result<(), Failure>>>(
    settings: &Settings,
    log: &mut Log,
    app: App,
    started_by: StartedBy,
    announce: impl FnOnce(&AtWork) -> Said,
    stopping: impl FnOnce(&str, Duration),
) -> Result<Ended, Failure> {
    let ended = crate::commands::block_on(async {
        let mut signals = Signals::listen().map_err(cannot_hear)?;
        if started_by == StartedBy::Launcher {
            signals = signals.and_end_of_input().map_err(cannot_hear)?;
        }
        let renews = started_by != StartedBy::Person;
        let mut hangups = renews.then(Hangups::listen).transpose().map_err(cannot_hear)?;
        let starting = AtWork::start(settings, log.lines(), app);
        let mut at_work = tokio::select! {
            started = starting => started?,
            _ = signals.next() => return Ok(Ended::with(Code::Interrupted, 0)),
        };
        let node = at_work.node.clone();
        let early = tokio::select! {
            is_ready = become_ready(&node) => {
                at_work.is_ready = is_ready;
                None
            }
            cause = at_work.cause(&mut signals, hangups.as_mut()) => Some(cause),
        };
        let cause = match early {
            Some(cause) => cause,
            None => {
                let said = pin!(announce(&at_work));
                tokio::select! {
                    cause = at_work.cause(&mut signals, hangups.as_mut()) => cause,
                    // who reads may have left; the node still stops in order
                    failure = failure_of(said) => Cause::Terminal(failure),
                }
            }
        };
        let within = match &cause {
            Cause::Asked(StopRequest { within_ms: Some(within) }) => Duration::from_millis(*within),
            _ => at_work.stop_within,
        };
        stopping(cause.name(), within);
        let mut asked = std::mem::replace(&mut at_work.asked_to_stop, mpsc::channel(1).1);
        let comes_back = matches!(cause, Cause::Removed);
        let ended = finish(at_work.stop(within), comes_back, &mut asked, async || signals.next().await).await;
        match cause {
            Cause::Failed(exit) => Err(Failure::failed(format_args!("the node ended by itself: {exit}"))),
            Cause::Terminal(failure) => Err(failure),
            Cause::Removed | Cause::Signal(_) | Cause::Watcher | Cause::Asked(_) => Ok(ended),
        }
    });
    if let Ok(Ended { code, .. }) = ended {
        log.ends_with(code);
    }
    ended
}

/// Waits for the end of a stop. Meanwhile a request, or a signal, has a node stay away that was to come back; any other
/// signal cuts the stop short.
async fn finish(
    stop: impl Future<Output = Ended>,
    mut comes_back: bool,
    asked: &mut mpsc::Receiver<StopRequest>,
    mut signal: impl AsyncFnMut() -> &'static str,
) -> Ended {
    let mut stop = pin!(stop);
    let ended = loop {
        tokio::select! {
            ended = &mut stop => break ended,
            Some(_) = asked.recv(), if comes_back => comes_back = false,
            _ = signal() => {
                if !std::mem::replace(&mut comes_back, false) {
                    return Ended::with(Code::Interrupted, 0);
                }
            }
        }
    };
    if comes_back {
        // what came while executors were waited for, on this thread
        tokio::select! {
            biased;
            Some(_) = asked.recv() => comes_back = false,
            _ = signal() => comes_back = false,
            () = sleep(HEARD_WITHIN) => {}
        }
    }
    Ended { comes_back, ..ended }
}

/// Why a node stops.
enum Cause {
    Signal(&'static str),
    Watcher,
    Failed(Exit),
    Removed,
    Asked(StopRequest),
    Terminal(Failure),
}

impl Cause {
    /// For people.
    fn name(&self) -> &'static str {
        match self {
            Self::Signal(name) => name,
            Self::Watcher => "the watcher's end",
            Self::Failed(_) => "a failure beyond repair",
            Self::Removed => "its removal from the cluster",
            Self::Asked(_) => "a request",
            Self::Terminal(_) => "a lost terminal",
        }
    }
}

/// Ends when something fails; never, if it does not.
async fn failure_of(said: impl Future<Output = Result<(), Failure>>) -> Failure {
    match said.await {
        Ok(()) => pending().await,
        Err(failure) => failure,
    }
}

impl AtWork {
    async fn start(settings: &Settings, log: &Lines, app: App) -> Result<Self, Failure> {
        let directory = Directory::at(&settings.directory);
        let occupied = directory.occupy().map_err(|e| e.failure(Code::Failed))?;
        let executors = Executors::start(settings.executors)
            .map_err(|e| Failure::failed(format_args!("the executors cannot start: {e}")))?;
        let host = host(settings, &executors)?;
        // This thread, which hears signals and runs no handler. One more would cost 2 MB where the allocator has huge
        // pages, for it gives each thread its own.
        let control = Executor::new(Handle::current(), settings.executors);
        let blocking = host.blocking.clone();
        let prepared = Prepared::of(settings, &*blocking).await?;
        let config = settings.node();
        let tree_on = control.clone();
        let starting = async move { Node::start_controlled(host, tree_on, config, app).await };
        let node = on(&control, starting).await?;
        let node = node.map_err(|e| settings.explain(&e))?;
        let cluster = match prepared {
            Some(prepared) => Some(prepared.start(&node, &blocking).await?),
            None => None,
        };
        let gateway =
            Gateway::start(&node, settings.http.clone()).await.map_err(|e| cannot_listen(&e, "--http"))?;
        let (on_stop, asked_to_stop) = mpsc::channel(1);
        let config = management(settings, log, &occupied, on_stop)?;
        let management = Management::start(&node, Some(&gateway), config)
            .await
            .map_err(|e| cannot_listen(&e, "--management"))?;
        if !management.address().ip().is_loopback() {
            tracing::warn!(
                address = %management.address(),
                "the management interface can be reached from other hosts, without encryption: whoever hears or has the \
                 token rules the node"
            );
        }
        let whereabouts = Whereabouts {
            name: settings.name.to_string(),
            pid: std::process::id(),
            http: gateway.address(),
            management: management.address(),
            links: cluster.as_ref().map(Cluster::address),
        };
        occupied.publish(&whereabouts).map_err(|e| e.failure(Code::Failed))?;
        let stop_within = settings.stop_within;
        Ok(Self {
            node,
            whereabouts,
            is_ready: false,
            cluster,
            gateway,
            _management: management,
            occupied,
            executors,
            asked_to_stop,
            stop_within,
        })
    }

    /// Does what there is to do until there is a reason to stop.
    async fn cause(&mut self, signals: &mut Signals, hangups: Option<&mut Hangups>) -> Cause {
        tokio::select! {
            signal = signals.next() => Cause::Signal(signal),
            never = tend(self.cluster.as_ref(), hangups) => match never {},
            () = watcher::watch(&self.node, |stuck| self.node.note_stuck(stuck)) => Cause::Watcher,
            exit = self.node.ended() => Cause::Failed(exit),
            () = removed(self.cluster.as_ref(), &self.node) => Cause::Removed,
            Some(request) = self.asked_to_stop.recv() => Cause::Asked(request),
        }
    }

    /// In order, or not: within the time and [`STOP_GRACE`] and what executors take to end, it is over. The thread that
    /// waits keeps the clock and runs no handler: one that blocks its executor stops every clock there.
    async fn stop(self, within: Duration) -> Ended {
        let killed = timeout(within.saturating_add(STOP_GRACE), self.stop_in_order(within)).await;
        let stuck = self.node.stuck(STUCK_AFTER);
        let ended = self.executors.stop();
        let Some(killed) = killed.ok().filter(|_| ended) else {
            stuck.iter().for_each(|stuck| self.node.note_stuck(stuck));
            tracing::error!(
                ?within,
                stuck = stuck.len(),
                "the node did not stop in order: its process ends all the same"
            );
            // node.json stays, as of a node that was killed: by that the command line knows
            return Ended::with(Code::Failed, stuck.len());
        };
        if let Err(problem) = self.occupied.withdraw() {
            tracing::warn!(%problem, "the node can still be found, although it has stopped");
        }
        Ended::with(Code::Done, killed)
    }

    /// In reverse order: no more work from other nodes, nothing new from outside, then the node: its services, what tells
    /// about them, and last the cluster, which is told that the node leaves.
    async fn stop_in_order(&self, within: Duration) -> usize {
        let begun = Instant::now();
        if let Some(cluster) = &self.cluster
            && cluster.drain(&self.node, within / DRAIN_SHARE).await
        {
            // others take over what the node has, while it still serves what it has not given away
            cluster.give_away(within.saturating_sub(begun.elapsed()) / GIVE_AWAY_SHARE).await;
        }
        let mut killed = self.gateway.stop(within.saturating_sub(begun.elapsed()) / GATEWAY_STOP_SHARE).await;
        let (node, left) = (self.node.clone(), within.saturating_sub(begun.elapsed()));
        let control = self.node.control().clone();
        killed += on(&control, async move { node.stop(left).await }).await.unwrap_or(0);
        killed
    }
}

/// Ends once the cluster has removed the node, while it ran all the same.
async fn removed(cluster: Option<&Cluster>, node: &Node) {
    match cluster {
        Some(cluster) => cluster.removed(node).await,
        None => pending().await,
    }
}

/// What a cluster wants while its node runs; without one, whoever asks for new credentials is told. Never returns.
async fn tend(cluster: Option<&Cluster>, mut hangups: Option<&mut Hangups>) -> Infallible {
    if let Some(cluster) = cluster {
        return cluster.tend(hangups).await;
    }
    loop {
        Hangups::next(&mut hangups).await;
        tracing::info!("SIGHUP: the node is in no cluster, so there is no certificate to read again");
    }
}

fn cannot_hear(error: io::Error) -> Failure {
    Failure::failed(format_args!("signals cannot be listened to: {error}"))
}

fn host(settings: &Settings, executors: &Executors) -> Result<Host, Failure> {
    let blocking = Threads::start("blocking", settings.blocking_threads, BLOCKING_QUEUE_MAX)
        .map_err(|e| Failure::failed(format_args!("the threads for blocking work cannot start: {e}")))?;
    let seed = getrandom::u64()
        .map_err(|e| Failure::failed(format_args!("the operating system gives no random numbers: {e}")))?;
    Ok(Host { executors: executors.handles(), blocking: Arc::new(blocking), seed })
}

/// A token that was read, or drawn, for a directory.
///
/// # Errors
/// There is none, or it is too weak.
pub(crate) fn strong(directory: &Path, token: Result<String, DirectoryError>) -> Result<Token, Failure> {
    let token = token.map_err(|e| e.failure(Code::Failed))?;
    Token::new(&token).map_err(|e| {
        Failure::failed(format_args!("the file token in {}: {e}", directory.display()))
            .advice("remove it, and a new one is drawn")
    })
}

fn management(
    settings: &Settings,
    log: &Lines,
    occupied: &Occupied,
    on_stop: mpsc::Sender<StopRequest>,
) -> Result<ManagementConfig, Failure> {
    let token = strong(&settings.directory, occupied.token())?;
    let on_stop = Arc::new(move |request| {
        // a second request changes nothing
        let _ = on_stop.try_send(request);
    });
    let log = log.clone();
    Ok(ManagementConfig {
        log_lines_dropped: Some(Arc::new(move || log.dropped())),
        address: settings.management,
        resident_bytes: Some(Arc::new(resident_bytes)),
        ..ManagementConfig::new(token, on_stop)
    })
}

/// Memory of this process, where the system tells it in `/proc` (Linux).
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Runs on an executor, so that what it starts belongs there.
async fn on<T: Send + 'static>(
    executor: &Executor,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Failure> {
    executor.spawn(work).await.map_err(|e| Failure::failed(format_args!("the executor failed: {e}")))
}

/// Waits until the node is ready, within limits. False: it is not.
async fn become_ready(node: &Node) -> bool {
    let ready = async {
        while !node.is_ready() {
            sleep(READY_EVERY).await;
        }
    };
    timeout(READY_WITHIN, ready).await.is_ok()
}

fn cannot_listen(error: &dyn std::error::Error, flag: &str) -> Failure {
    Failure::failed(error).advice(format_args!(
        "another address is chosen with {flag} ADDR; {flag} 127.0.0.1:0 picks a free port"
    ))
}

#[cfg(test)]
mod member_tests;
#[cfg(test)]
mod tests;
