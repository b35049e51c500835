//! The management interface: what people, monitors and the command line ask a node, on a port of its own.
//!
//! Reading order: [`api`] (what is said), `operation` (the table of what can be asked), `console` (who answers),
//! `view`, `topics` and `cluster` (the node and its cluster in terms of the api), `metrics`, [`token`], `openapi`.
//!
//! Architecture invariant: the token is made and kept by whoever starts this; nothing here reads a file.

pub mod api;
mod cluster;
mod console;
mod metrics;
mod openapi;
mod operation;
pub mod token;
mod topics;
mod view;

use crate::gateway::Gateway;
use crate::http::{BindError, ConnectionLimits, Keeper, Listener};
use api::StopRequest;
use console::Console;
use futures_util::future::BoxFuture;
use odeon::{Node, PartSpec};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use token::Token;

/// How long it may take to finish what it is asked when the node stops.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// Reads how many bytes of memory the process holds; none if it cannot tell.
pub type ResidentBytes = Arc<dyn Fn() -> Option<u64> + Send + Sync>;

/// Reads how many lines of the log were dropped.
pub type LogLinesDropped = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Told that somebody asked for an orderly end. It must not block.
pub type OnStop = Arc<dyn Fn(StopRequest) + Send + Sync>;

/// What the management interface is told.
#[derive(Clone)]
pub struct ManagementConfig {
    /// Where it listens; port 0 means any free one. Keep it on loopback: whoever has the token rules the node.
    pub address: SocketAddr,
    /// What connections are granted.
    pub connections: ConnectionLimits,
    /// Most bytes of a body; more are answered 413.
    pub body_bytes_max: usize,
    /// What opens everything but health and metrics.
    pub token: Token,
    /// The reading of the machine's memory.
    pub resident_bytes: Option<ResidentBytes>,
    /// The reading of the log's losses; none if nobody counts them.
    pub log_lines_dropped: Option<LogLinesDropped>,
    /// Whom a stop is passed on to.
    pub on_stop: OnStop,
}

impl ManagementConfig {
    /// The defaults: loopback, port 8081.
    pub fn new(token: Token, on_stop: OnStop) -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 8081).into(),
            connections: ConnectionLimits { connections_max: 256, ..ConnectionLimits::default() },
            body_bytes_max: 4 << 20,
            token,
            resident_bytes: None,
            log_lines_dropped: None,
            on_stop,
        }
    }
}

/// Why the management interface did not start.
#[derive(Debug, thiserror::Error)]
#[error("the management interface did not start: {0}")]
pub struct StartManagementError(#[from] BindError);

/// The management interface at work. Dropping it ends its connections at once.
pub struct Management {
    listener: Listener,
}

impl Management {
    /// Starts it on the node's control executor, as a part of the node that outlives the services.
    ///
    /// # Errors
    /// [`StartManagementError`] when the address cannot be had.
    pub fn start<'a>(
        node: &'a Node,
        gateway: Option<&'a Gateway>,
        config: ManagementConfig,
    ) -> BoxFuture<'a, Result<Self, StartManagementError>> {
        Box::pin(async move {
            let (address, connections) = (config.address, config.connections);
            let console = Arc::new(Console::new(node, gateway, config));
            let spec = PartSpec::new("management").outlives_services();
            let keeper = Keeper::Node(node, &spec, STOP_WITHIN);
            let control = std::slice::from_ref(node.control());
            Ok(Self {
                listener: Listener::start(control, address, connections, vec![console], keeper).await?,
            })
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Accepts no more connections and lets the requests under way finish. What has not finished in time is answered
    /// as unknown, and connections that take no answer within a second more are cut. Returns how many connections had
    /// not finished in time.
    pub async fn stop(&self, within: Duration) -> usize {
        self.listener.stop(within).await
    }
}
