//! A node at work: started in order, findable by its directory, stopped in reverse.

use crate::config::Settings;
use crate::directory::{Directory, DirectoryError, Occupied, Whereabouts};
use crate::executors::Executors;
use crate::exit::{Code, Failure};
use crate::signals::Signals;
use odeon::host::{Executor, Host, Threads};
use odeon::{App, Node};
use odeon_actors::gateway::Gateway;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Jobs that wait for a thread for blocking work, at the most.
const BLOCKING_QUEUE_MAX: usize = 4096;
/// How often readiness is looked at.
const READY_EVERY: Duration = Duration::from_millis(5);
/// How long a start may take before the node is announced as it is: found, but not ready.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Of the time for a stop, so much is for the gateway's requests at the most.
const GATEWAY_STOP_SHARE: u32 = 2;

/// A node with what belongs to it in this process.
pub(crate) struct AtWork {
    /// The node.
    pub(crate) node: Node,
    /// Where it listens.
    pub(crate) whereabouts: Whereabouts,
    /// Whether all services were ready when it was announced.
    pub(crate) is_ready: bool,
    gateway: Gateway,
    occupied: Occupied,
    executors: Executors,
    stop_within: Duration,
}

/// How a node ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// What the program ends with.
    pub(crate) code: Code,
    /// Activations that had to be killed, and connections that had to be cut.
    pub(crate) killed: usize,
}

/// Starts a node, tells that it is there, keeps it until a signal and stops it.
///
/// # Errors
/// It could not start; nothing of it runs then.
pub(crate) fn run(
    settings: &Settings,
    app: App,
    announce: impl FnOnce(&AtWork) -> Result<(), Failure>,
    stopping: impl FnOnce(&str) -> Result<(), Failure>,
) -> Result<Ended, Failure> {
    crate::commands::block_on(async {
        let mut signals = Signals::listen()
            .map_err(|e| Failure::failed(format_args!("signals cannot be listened to: {e}")))?;
        let starting = AtWork::start(settings, app);
        let at_work = tokio::select! {
            started = starting => started?,
            _ = signals.next() => return Ok(Ended { code: Code::Interrupted, killed: 0 }),
        };
        let said = announce(&at_work);
        let signal = match said {
            Ok(()) => signals.next().await,
            Err(_) => "a lost terminal",
        };
        // who reads may have left; the node still stops in order
        let _ = stopping(signal);
        let ended = tokio::select! {
            ended = at_work.stop() => ended,
            _ = signals.next() => Ended { code: Code::Interrupted, killed: 0 },
        };
        said.map(|()| ended)
    })
}

impl AtWork {
    async fn start(settings: &Settings, app: App) -> Result<Self, Failure> {
        let directory = Directory::at(&settings.directory);
        let occupied = directory.occupy().map_err(|e| cannot_occupy(&e))?;
        let executors = Executors::start(settings.executors)
            .map_err(|e| Failure::failed(format_args!("the executors cannot start: {e}")))?;
        let host = host(settings, &executors)?;
        let first = host.executors[0].clone();
        let config = settings.node();
        let node = on(&first, async move { Node::start(host, config, app).await }).await?;
        let node = node.map_err(|e| settings.explain(&e))?;
        let gateway = Gateway::start(&node, settings.http.clone()).await.map_err(|e| {
            Failure::failed(e)
                .advice("another address is chosen with --http ADDR; --http 127.0.0.1:0 picks a free port")
        })?;
        let whereabouts = Whereabouts {
            name: settings.name.to_string(),
            pid: std::process::id(),
            http: gateway.address(),
            management: gateway.address(),
        };
        let is_ready = become_ready(&node).await;
        occupied.publish(&whereabouts).map_err(Failure::failed)?;
        let stop_within = settings.stop_within;
        Ok(Self { node, whereabouts, is_ready, gateway, occupied, executors, stop_within })
    }

    /// In reverse order: nothing new from outside, then the services, then what tells about them.
    async fn stop(self) -> Ended {
        let begun = Instant::now();
        let left = |begun: Instant| self.stop_within.saturating_sub(begun.elapsed());
        let mut killed = self.gateway.stop(self.stop_within / GATEWAY_STOP_SHARE).await;
        let (node, within) = (self.node.clone(), left(begun));
        let first = self.node.executors()[0].clone();
        killed += on(&first, async move { node.stop(within).await }).await.unwrap_or(0);
        if let Err(problem) = self.occupied.withdraw() {
            tracing::warn!(%problem, "the node can still be found, although it has stopped");
        }
        if !self.executors.stop() {
            tracing::warn!("an executor is stuck in a handler that never yields");
        }
        Ended { code: Code::Done, killed }
    }
}

fn host(settings: &Settings, executors: &Executors) -> Result<Host, Failure> {
    let blocking = Threads::start(settings.blocking_threads, BLOCKING_QUEUE_MAX)
        .map_err(|e| Failure::failed(format_args!("the threads for blocking work cannot start: {e}")))?;
    let seed = getrandom::u64()
        .map_err(|e| Failure::failed(format_args!("the operating system gives no random numbers: {e}")))?;
    Ok(Host { executors: executors.handles(), blocking: Arc::new(blocking), seed })
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

fn cannot_occupy(error: &DirectoryError) -> Failure {
    match error {
        DirectoryError::Locked { .. } => Failure::failed(error)
            .advice("stop it with `odeon stop`, or give this one a directory of its own with --dir DIR"),
        _ => Failure::failed(error),
    }
}
