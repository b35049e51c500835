//! The gateway: requests from outside, over HTTP/1.1, to the services of a node, and through it to those of the other
//! nodes of its cluster.
//!
//! Reading order: [`request`] (what a client may ask), `shard` (what happens to it), `outcome` (how it ends),
//! `openapi` (what is there to ask).
//!
//! Architecture invariant: nothing here decodes arguments or answers. JSON goes untouched to the owner's decoder,
//! which is its validation, and the answer comes back as the owner encoded it.

pub mod meter;
mod openapi;
mod outcome;
pub mod request;
mod routes;
mod shard;
#[cfg(test)]
mod tests;

pub(crate) use openapi::{Components, PROBLEM_REF};
pub(crate) use outcome::{cut_off, field, refused};
pub(crate) use routes::Callee;
pub use shard::Lookup;
pub(crate) use shard::{encoded, not_json, unread, wrong_verb};

use crate::http::{BindError, ConnectionLimits, Keeper, Listener, ListenerCounts};
use futures_util::future::BoxFuture;
use meter::Reading;
use odeon::host::Executor;
use odeon::{Node, PartSpec};
use shard::Shard;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// How long requests under way may take when the node stops that the gateway belongs to.
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// What a gateway is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayConfig {
    /// Where it listens; port 0 means any free one.
    pub address: SocketAddr,
    /// What connections are granted.
    pub connections: ConnectionLimits,
    /// Most bytes of a body; more are answered 413.
    pub body_bytes_max: usize,
    /// How long a client waits that does not say.
    pub within: Duration,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 8080).into(),
            connections: ConnectionLimits::default(),
            body_bytes_max: 1 << 20,
            within: Duration::from_secs(5),
        }
    }
}

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
#[error("the gateway did not start: {0}")]
pub struct StartGatewayError(#[from] BindError);

/// A gateway at work. Dropping it ends its connections at once; [`Gateway::stop`] lets their requests finish.
pub struct Gateway {
    listener: Listener,
    shards: Vec<Arc<Shard>>,
}

impl Gateway {
    /// Starts a gateway to the services of a node, on the node's executors, each of which serves the connections that
    /// the control executor hands it, as a part of it: restarted when it fails,
    /// stopped with the node before its services.
    ///
    /// # Errors
    /// [`StartGatewayError`] when the address cannot be had.
    pub async fn start(node: &Node, config: GatewayConfig) -> Result<Self, StartGatewayError> {
        let seed = node.draw_seed();
        let spec = PartSpec::new("gateway");
        let keeper = Keeper::Node(node, &spec, STOP_WITHIN);
        Self::start_as(node.executors(), Arc::new(node.clone()), seed, config, keeper).await
    }

    /// Starts a gateway to whatever `lookup` finds. `seed` makes the ids of its requests.
    ///
    /// # Errors
    /// [`StartGatewayError`] when the address cannot be had.
    pub async fn start_with(
        executors: &[Executor],
        lookup: Arc<dyn Lookup>,
        seed: u64,
        config: GatewayConfig,
    ) -> Result<Self, StartGatewayError> {
        Self::start_as(executors, lookup, seed, config, Keeper::Executor).await
    }

    fn start_as<'a>(
        executors: &'a [Executor],
        lookup: Arc<dyn Lookup>,
        seed: u64,
        config: GatewayConfig,
        keeper: Keeper<'a>,
    ) -> BoxFuture<'a, Result<Self, StartGatewayError>> {
        Box::pin(async move {
            let document = Arc::default();
            let shards: Vec<_> = (0..executors.len() as u64)
                // far apart, so that no two shards give the same id
                .map(|i| Arc::new(Shard::new(&lookup, &config, &document, seed.wrapping_add(i << 48))))
                .collect();
            let (address, connections) = (config.address, config.connections);
            let listener = Listener::start(executors, address, connections, shards.clone(), keeper).await?;
            Ok(Self { listener, shards })
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

    /// Its books, for those who read them later.
    pub fn books(&self) -> GatewayBooks {
        GatewayBooks { connections: self.listener.counts().clone(), shards: self.shards.clone() }
    }
}

/// The books of a gateway. Cheap to clone; they stay readable after its end.
#[derive(Clone)]
pub struct GatewayBooks {
    connections: Arc<ListenerCounts>,
    shards: Vec<Arc<Shard>>,
}

impl GatewayBooks {
    /// Its connections.
    pub fn connections(&self) -> &ListenerCounts {
        &self.connections
    }

    /// Its requests so far.
    pub fn requests(&self) -> Reading {
        let mut reading = Reading::default();
        for shard in &self.shards {
            shard.meter().add_to(&mut reading);
        }
        reading
    }
}
