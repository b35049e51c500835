//! Where QUIC runs: on one executor of the node, in tasks that the endpoint can end.

use super::socket::Socket;
use crate::host::Executor;
use parking_lot::Mutex;
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};
use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;
use tracing::{Instrument, Span};

/// The tasks of one endpoint. quinn's own choice would spawn them on whatever runtime the caller is on, where nobody
/// could end them.
#[derive(Debug)]
pub(super) struct Tasks {
    executor: Executor,
    /// The largest packet that is received, in bytes of UDP payload.
    packet_max: u16,
    /// Names the node in whatever is logged.
    span: Span,
    running: Mutex<JoinSet<()>>,
}

impl Tasks {
    pub(super) fn on(executor: &Executor, packet_max: u16) -> Self {
        Self { executor: executor.clone(), packet_max, span: Span::current(), running: Mutex::default() }
    }

    /// Ends all of them where they stand.
    pub(super) fn abort(&self) {
        self.running.lock().abort_all();
    }
}

impl Runtime for Tasks {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        let _here = self.executor.enter();
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let mut running = self.running.lock();
        // those that have ended need no place any more
        while running.try_join_next().is_some() {}
        self.executor.spawn_in(&mut running, task.instrument(self.span.clone()));
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let _here = self.executor.enter();
        let socket = TokioRuntime.wrap_udp_socket(socket)?;
        Ok(Arc::new(Socket::new(socket, self.packet_max)))
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}
