//! A node at work: started in order, findable by its directory, stopped in reverse.

use crate::cluster::{Cluster, Prepared};
use crate::config::Settings;
use crate::directory::{Directory, Occupied, Whereabouts};
use crate::executors::Executors;
use crate::exit::{Code, Failure};
use crate::log::{Lines, Log};
use crate::signals::{Hangups, OnHangup, Signals};
use crate::watcher;
use odeon::host::{Executor, Host, Threads};
use odeon::{App, Node};
use odeon_actors::gateway::Gateway;
use odeon_actors::management::api::StopRequest;
use odeon_actors::management::token::Token;
use odeon_actors::management::{Management, ManagementConfig};
use std::convert::Infallible;
use std::future::pending;
use std::io;
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
/// Of the time for a stop, one part of so many is for the gateway's requests at the most.
const GATEWAY_STOP_SHARE: u32 = 2;
/// Beyond the time for a stop: for what kills and counts. Then the process ends, whatever handlers do.
const STOP_GRACE: Duration = Duration::from_secs(2);
/// A handler is named after a stop that was not in order when it has not come to an await for so long.
const STUCK_AFTER: Duration = Duration::from_millis(500);

/// A node with what belongs to it in this process.
pub(crate) struct AtWork {
    /// The node.
    pub(crate) node: Node,
    /// Where it listens.
    pub(crate) whereabouts: Whereabouts,
    /// Whether all services were ready when it was announced.
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
    on_hangup: OnHangup,
    announce: impl FnOnce(&AtWork) -> Said,
    stopping: impl FnOnce(&str, Duration),
) -> Result<Ended, Failure> {
    let ended = crate::commands::block_on(async {
        let mut signals = Signals::listen().map_err(cannot_hear)?;
        let mut hangups =
            (on_hangup == OnHangup::Renew).then(Hangups::listen).transpose().map_err(cannot_hear)?;
        let starting = AtWork::start(settings, log.lines(), app);
        let mut at_work = tokio::select! {
            started = starting => started?,
            _ = signals.next() => return Ok(Ended { code: Code::Interrupted, killed: 0 }),
        };
        let said = pin!(announce(&at_work));
        let mut lost_terminal = None;
        let mut within = at_work.stop_within;
        let node = at_work.node.clone();
        let mut failed = None;
        let why = tokio::select! {
            signal = signals.next() => signal,
            never = tend(at_work.cluster.as_ref(), hangups.as_mut()) => match never {},
            () = watcher::watch(&node, watcher::log) => "the watcher's end",
            exit = node.ended() => {
                failed = Some(exit);
                "a failure beyond repair"
            }
            Some(request) = at_work.asked_to_stop.recv() => {
                within = request.within_ms.map_or(within, Duration::from_millis);
                "a request"
            }
            failure = failure_of(said) => {
                // who reads may have left; the node still stops in order
                lost_terminal = Some(failure);
                "a lost terminal"
            }
        };
        stopping(why, within);
        let ended = tokio::select! {
            ended = at_work.stop(within) => ended,
            _ = signals.next() => Ended { code: Code::Interrupted, killed: 0 },
        };
        if let Some(exit) = failed {
            return Err(Failure::failed(format_args!("the node ended by itself: {exit}")));
        }
        match lost_terminal {
            Some(failure) => Err(failure),
            None => Ok(ended),
        }
    });
    if let Ok(Ended { code, .. }) = ended {
        log.ends_with(code);
    }
    ended
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
        let is_ready = become_ready(&node).await;
        occupied.publish(&whereabouts).map_err(|e| e.failure(Code::Failed))?;
        let stop_within = settings.stop_within;
        Ok(Self {
            node,
            whereabouts,
            is_ready,
            cluster,
            gateway,
            _management: management,
            occupied,
            executors,
            asked_to_stop,
            stop_within,
        })
    }

    /// In order, or not: within the time and [`STOP_GRACE`] and what executors take to end, it is over. The thread that
    /// waits keeps the clock and runs no handler: one that blocks its executor stops every clock there.
    async fn stop(self, within: Duration) -> Ended {
        let killed = timeout(within.saturating_add(STOP_GRACE), self.stop_in_order(within)).await;
        let stuck = self.node.stuck(STUCK_AFTER);
        let ended = self.executors.stop();
        let Some(killed) = killed.ok().filter(|_| ended) else {
            stuck.iter().for_each(watcher::log);
            tracing::error!(
                ?within,
                stuck = stuck.len(),
                "the node did not stop in order: its process ends all the same"
            );
            // node.json stays, as of a node that was killed: by that the command line knows
            return Ended { code: Code::Failed, killed: stuck.len() };
        };
        if let Err(problem) = self.occupied.withdraw() {
            tracing::warn!(%problem, "the node can still be found, although it has stopped");
        }
        Ended { code: Code::Done, killed }
    }

    /// In reverse order: nothing new from outside, then the node: its services, then what tells about them.
    async fn stop_in_order(&self, within: Duration) -> usize {
        let begun = Instant::now();
        let mut killed = self.gateway.stop(within / GATEWAY_STOP_SHARE).await;
        let (node, left) = (self.node.clone(), within.saturating_sub(begun.elapsed()));
        let control = self.node.control().clone();
        killed += on(&control, async move { node.stop(left).await }).await.unwrap_or(0);
        killed
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
    let blocking = Threads::start(settings.blocking_threads, BLOCKING_QUEUE_MAX)
        .map_err(|e| Failure::failed(format_args!("the threads for blocking work cannot start: {e}")))?;
    let seed = getrandom::u64()
        .map_err(|e| Failure::failed(format_args!("the operating system gives no random numbers: {e}")))?;
    Ok(Host { executors: executors.handles(), blocking: Arc::new(blocking), seed })
}

fn management(
    settings: &Settings,
    log: &Lines,
    occupied: &Occupied,
    on_stop: mpsc::Sender<StopRequest>,
) -> Result<ManagementConfig, Failure> {
    let token = occupied.token().map_err(|e| e.failure(Code::Failed))?;
    let token = Token::new(&token).map_err(|e| {
        Failure::failed(format_args!("the file token in {}: {e}", settings.directory.display()))
            .advice("remove it, and a new one is drawn")
    })?;
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

/// Waits until every service is ready, within limits. False: some are not.
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
mod tests {
    use super::*;
    use crate::config::Flags;
    use odeon::prelude::*;
    use std::net::SocketAddr;
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, channel};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    /// Blocks its thread.
    #[odeon::contract(name = "block", version = "1.0")]
    pub trait Block {
        /// Until it is told to go on.
        #[cast]
        async fn block(&self, cx: &Cx);
    }

    struct Blocking(mpsc::UnboundedSender<()>, Arc<Mutex<Receiver<()>>>);

    #[odeon::service]
    impl Block for Blocking {
        async fn block(&self, _: &Cx) {
            let _ = self.0.send(());
            let _ = self.1.lock().expect("no panic while it is held").recv();
        }
    }

    /// Answers at once.
    #[odeon::contract(name = "hello", version = "1.0")]
    pub trait Hello {
        /// A word.
        async fn hello(&self, cx: &Cx) -> String;
    }

    #[derive(Default)]
    struct Quick;

    #[odeon::service]
    impl Hello for Quick {
        async fn hello(&self, _: &Cx) -> String {
            "hello".into()
        }
    }

    const LIMIT: Duration = Duration::from_secs(60);

    /// A node whose first executor is blocked until what this answers as well is dropped, and its directory.
    async fn blocked(test: &str, executors: usize) -> (AtWork, std::sync::mpsc::Sender<()>, Directory) {
        let name = format!("odeon-at-work-{test}-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        // a former process may have had the same id
        let _ = std::fs::remove_dir_all(&directory);
        let free = "127.0.0.1:0".parse().ok();
        let flags = Flags {
            dir: Some(directory.clone()),
            http: free,
            management: free,
            executors: std::num::NonZeroUsize::new(executors),
            ..Flags::default()
        };
        let settings = Settings::load(&flags, None).expect("they can be used");
        let (begin, mut begun) = mpsc::unbounded_channel();
        let (release, released) = channel::<()>();
        let released = Arc::new(Mutex::new(released));
        // a singleton runs on the first executor
        let make = move || Blocking(begin.clone(), released.clone());
        let app = App::new().singleton("block", make).service("hello", Quick::default);
        let at_work = AtWork::start(&settings, &Lines::to_nobody(), app).await.expect("it starts");
        let block: BlockRef = at_work.node.service("block").expect("a service");
        block.block().send().expect("room");
        begun.recv().await.expect("it begins");
        (at_work, release, Directory::at(&directory))
    }

    /// The answer to a request, over a connection of its own.
    async fn ask(address: SocketAddr, request: &str) -> String {
        let answer = async {
            let mut stream = TcpStream::connect(address).await?;
            let request = format!("{request}host: here\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.map(|_| answer)
        };
        timeout(LIMIT, answer).await.expect("it is answered").expect("it is served")
    }

    #[tokio::test]
    async fn a_handler_that_blocks_its_executor_does_not_keep_the_node_from_ending() {
        let (at_work, release, directory) = blocked("end", 1).await;
        let ended = timeout(LIMIT, at_work.stop(Duration::from_millis(10))).await;
        assert_eq!(ended, Ok(Ended { code: Code::Failed, killed: 1 }));
        assert!(!directory.is_occupied(), "the next one may start");
        assert!(directory.whereabouts().is_ok(), "it is seen that it did not stop in order");
        drop(release);
    }

    #[tokio::test]
    async fn a_node_whose_handler_blocks_its_only_executor_is_looked_at_and_told_to_stop() {
        let (mut at_work, _release, _) = blocked("look", 1).await;
        let management = at_work.whereabouts.management;
        let token = at_work.occupied.token().expect("there is one");
        let open = |path: &str| format!("GET {path} HTTP/1.1\r\nauthorization: Bearer {token}\r\n");
        for path in ["/healthz", "/readyz", "/metrics", "/api/v1/status", "/api/v1/tree", "/api/v1/ps"] {
            let answer = ask(management, &open(path)).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
        }
        let stop = format!("POST /api/v1/stop HTTP/1.1\r\nauthorization: Bearer {token}\r\n");
        let answer = ask(management, &stop).await;
        assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
        assert!(at_work.asked_to_stop.recv().await.is_some());
    }

    #[tokio::test]
    async fn one_blocked_executor_does_not_keep_new_connections_from_being_served() {
        let (at_work, _release, _) = blocked("accept", 2).await;
        let http = at_work.whereabouts.http;
        // at first each second one is handed to the blocked executor
        for _ in 0..10 {
            let answer = ask(http, "POST /v1/hello/hello HTTP/1.1\r\ncontent-length: 0\r\n").await;
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\"hello\""), "{answer}");
        }
    }
}
