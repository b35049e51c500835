//! Congestion control: quinn's, but for a connection that is being closed, which may always say so.
//!
//! quinn 0.11 holds the last packet back while the window is full, and reads no acknowledgement any more that would
//! open it: the peer never hears of the end (quinn issue 2785). A connection that is being closed has therefore a
//! window without end; besides that packet it sends nothing. This goes once a quinn is released that has it mended.

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, Cubic, CubicConfig};
use quinn::{Connection, VarInt};
use quinn_proto::RttEstimator;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Closes a connection. The peer is told, whatever is under way to it.
pub(in crate::remote) fn close(connection: &Connection, code: VarInt, reason: &[u8]) {
    if let Ok(control) = connection.congestion_state().into_any().downcast::<Control>() {
        control.connection.set();
    }
    connection.close(code, reason);
}

/// Whether something is being closed.
#[derive(Clone, Debug, Default)]
pub(super) struct Closing(Arc<AtomicBool>);

impl Closing {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What the connections of an endpoint get.
pub(super) struct Congestion {
    cubic: Arc<CubicConfig>,
    endpoint: Closing,
}

impl Congestion {
    pub(super) fn new(endpoint: Closing) -> Self {
        Self { cubic: Arc::default(), endpoint }
    }
}

impl ControllerFactory for Congestion {
    fn build(self: Arc<Self>, now: Instant, mtu: u16) -> Box<dyn Controller> {
        let cubic = Cubic::new(self.cubic.clone(), now, mtu);
        Box::new(Control { cubic, endpoint: self.endpoint.clone(), connection: Closing::default() })
    }
}

/// Of one connection. Clones share what is being closed.
#[derive(Clone)]
struct Control {
    cubic: Cubic,
    endpoint: Closing,
    connection: Closing,
}

impl Controller for Control {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.cubic.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        self.cubic.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest_acked: Option<u64>) {
        self.cubic.on_end_acks(now, in_flight, app_limited, largest_acked);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, is_persistent: bool, lost_bytes: u64) {
        self.cubic.on_congestion_event(now, sent, is_persistent, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.cubic.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        if self.endpoint.is_set() || self.connection.is_set() { u64::MAX } else { self.cubic.window() }
    }

    fn metrics(&self) -> ControllerMetrics {
        self.cubic.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.cubic.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
