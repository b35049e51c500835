//! What all cells of one service on one node share.

use super::Tick;
pub(crate) use super::bounds::Bounds;
use super::fence::Fence;
use super::port::Overseer;
use super::wheel::Wheel;
use crate::host::Executor;
use crate::node::NodeInner;
use crate::service::contract::{ContractVersion, Method};
use crate::telemetry::ServiceMeter;
use odeon_core::ServiceName;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// What all cells of one service on one node share.
pub(crate) struct Kind {
    pub(crate) service: ServiceName,
    /// The name of its contract on the wire.
    pub(crate) contract: &'static str,
    pub(crate) version: ContractVersion,
    pub(crate) methods: &'static [Method],
    /// Until when its activations may act, if the cluster group says where they are.
    pub(crate) fence: Option<Arc<Fence>>,
    pub(crate) node: Weak<NodeInner>,
    pub(crate) wheel: Arc<Wheel>,
    pub(crate) executors: Vec<Executor>,
    pub(crate) bounds: Bounds,
    /// Most `&self` handlers of one activation at the same time.
    pub(crate) concurrency: u32,
    /// How long a handler may run past its deadline before its activation is killed.
    pub(crate) grace: Duration,
    /// Longest constructor, `ready` included.
    pub(crate) start_within: Duration,
    /// Longest orderly stop, `passivate` included; then it is killed.
    pub(crate) stop_within: Duration,
    /// An entity without work for this long is passivated; none: never.
    pub(crate) passivate_after: Option<Duration>,
    pub(crate) overseer: Arc<dyn Overseer>,
    pub(crate) meter: Arc<ServiceMeter>,
}

impl Kind {
    /// Whether the cluster group says where its activations are.
    pub(crate) fn is_placed(&self) -> bool {
        self.fence.is_some()
    }

    /// Whether its activations may act at this time.
    #[inline]
    pub(crate) fn may_act_at(&self, now: Tick) -> bool {
        self.fence.as_ref().is_none_or(|fence| fence.is_open(now))
    }

    /// The same for those who have not read the clock; it is read only where there is a fence.
    pub(crate) fn may_act(&self) -> bool {
        self.fence.is_none() || self.may_act_at(self.wheel.now())
    }
}
