//! The QUIC endpoint of a node (quinn): it dials, it is dialled, and it knows members from strangers.

mod congestion;
mod handshake;
mod socket;
mod tasks;
mod transport;

pub(in crate::remote) use congestion::close;
pub use handshake::{HandshakeError, Incoming, refused};
pub use transport::{MTU_ETHERNET, MTU_MAX, MTU_MIN, Transport};

use crate::host::Executor;
use crate::remote::trust::{Reason, Refusal, Strangers, Subject, Trust, server_name};
use crate::telemetry::events::{Event, Events};
use congestion::Closing;
use odeon_core::NodeName;
use parking_lot::Mutex;
use quinn::{ClientConfig, EndpointConfig, ServerConfig, TransportConfig, VarInt};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tasks::Tasks;

/// Dialers that wait for the node to take them, at the most; further ones are refused. Bytes that they send
/// meanwhile are bounded by [`WAITING_BYTES_MAX`] for all of them.
const WAITING_MAX: usize = 1_024;
const WAITING_BYTES_MAX: u64 = 4 << 20;
/// The code with which a node that stops closes its connections.
pub(in crate::remote) const STOPPING: VarInt = VarInt::from_u32(0);

/// A UDP port at which members of the cluster find this node, and from which it dials them. Clones are handles.
#[derive(Clone, Debug)]
pub struct Endpoint {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    quinn: quinn::Endpoint,
    address: SocketAddr,
    tasks: Arc<Tasks>,
    /// Set before its connections are closed.
    closing: Closing,
    /// What new handshakes use.
    trust: Mutex<Arc<Trust>>,
    strangers: Mutex<Strangers>,
    /// Where it is noted who was turned away, besides the log.
    events: OnceLock<Events>,
    transport: Arc<TransportConfig>,
    handshake_max: Duration,
    /// All of how dialers are answered but for the cryptography, which each handshake gets of its own.
    server: ServerConfig,
}

/// A connection with a member of the cluster, or with a client of it.
#[derive(Clone, Debug)]
pub struct Member {
    /// Whom its certificate names: a node or, if it has dialed, perhaps a client.
    pub subject: Subject,
    /// The connection, its handshake done.
    pub connection: quinn::Connection,
}

impl Member {
    /// Its name.
    pub fn name(&self) -> &NodeName {
        self.subject.name().expect("an authority's certificate is let in by nobody")
    }
}

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The packet size is known not to work.
    #[error("packets of {0} bytes do not work; set mtu_max to {MTU_MIN} to {MTU_MAX}")]
    Mtu(u16),
    /// The operating system gives no socket there. Worth a retry when somebody else has the port.
    #[error("{address} cannot be bound: {error}")]
    Socket {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        error: io::Error,
    },
}

impl Endpoint {
    /// Binds a UDP port. All tasks, timers and sockets of the endpoint and its connections live on this executor.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(
        address: SocketAddr,
        trust: Trust,
        transport: &Transport,
        executor: &Executor,
    ) -> Result<Self, BindError> {
        if !transport.mtu_works() {
            return Err(BindError::Mtu(transport.mtu_max));
        }
        let closing = Closing::default();
        let config = transport.config(closing.clone());
        let server = server(&trust, config.clone());
        let tasks = Arc::new(Tasks::on(executor, packet_max(transport)));
        let handshake_max = transport.handshake_max;
        let opened = UdpSocket::bind(address).and_then(|socket| {
            let local = socket.local_addr()?;
            let limits = limits(transport);
            let quinn = quinn::Endpoint::new(limits, Some(server.clone()), socket, tasks.clone())?;
            Ok((quinn, local))
        });
        let (quinn, address) = opened.map_err(|error| BindError::Socket { address, error })?;
        let (trust, strangers, events) = (Mutex::new(Arc::new(trust)), Mutex::default(), OnceLock::new());
        let transport = config;
        let shared = Shared {
            quinn,
            address,
            tasks,
            closing,
            trust,
            strangers,
            events,
            transport,
            handshake_max,
            server,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The same for who dials and is not dialed: whoever tries is not answered.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind_to_dial(
        address: SocketAddr,
        trust: Trust,
        transport: &Transport,
        executor: &Executor,
    ) -> Result<Self, BindError> {
        let endpoint = Self::bind(address, trust, transport, executor)?;
        endpoint.shared.quinn.set_server_config(None);
        Ok(endpoint)
    }

    /// Where it is bound.
    pub fn local_address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Dials an address at which some member of the cluster should be. The dialer's part of the handshake may be done
    /// before the other end has refused it: [`refused`] tells that from other ends of the connection.
    ///
    /// # Errors
    /// [`HandshakeError`]; a stranger was told of.
    pub async fn connect(&self, peer: SocketAddr) -> Result<Member, HandshakeError> {
        let (trust, refusal) = (self.trust(), Refusal::default());
        let mut config = ClientConfig::new(trust.client(&refusal));
        config.transport_config(self.shared.transport.clone());
        let name = server_name(trust.cluster());
        let connecting =
            self.shared.quinn.connect_with(config, peer, &name).map_err(|error| match error {
                quinn::ConnectError::EndpointStopping => {
                    HandshakeError::Closed { peer, why: "this node is stopping".into() }
                }
                other => HandshakeError::Address { peer, why: other.to_string() },
            })?;
        self.finish(peer, connecting, trust, refusal).await
    }

    /// The next peer that dials this node; none once it is closed. Cancelling loses nobody.
    pub async fn accept(&self) -> Option<Incoming> {
        let incoming = self.shared.quinn.accept().await?;
        Some(Incoming { incoming, endpoint: self.clone() })
    }

    /// New handshakes use these credentials. Connections that exist go on, for their peers have accepted them.
    pub fn renew(&self, trust: Trust) {
        *self.shared.trust.lock() = Arc::new(trust);
    }

    /// What new handshakes use.
    pub fn trust(&self) -> Arc<Trust> {
        self.shared.trust.lock().clone()
    }

    /// Closes all connections with this reason and refuses new ones; waits until peers have been told, but not longer
    /// than `within`. What is left then ends where it stands. The port is free once the last handle is dropped.
    ///
    /// Answers whether all ended in order.
    pub async fn close(&self, reason: &str, within: Duration) -> bool {
        self.close_at_once(reason);
        let idle = tokio::time::timeout(within, self.shared.quinn.wait_idle()).await.is_ok();
        self.shared.tasks.abort();
        idle
    }

    /// The same for whoever cannot wait: peers are told as far as the tasks of the endpoint still run.
    pub(in crate::remote) fn close_at_once(&self, reason: &str) {
        self.shared.closing.set();
        self.shared.quinn.close(STOPPING, reason.as_bytes());
    }

    fn server(&self, trust: &Trust, refusal: &Refusal) -> ServerConfig {
        let mut config = self.shared.server.clone();
        config.crypto = trust.server(refusal);
        config
    }

    fn handshake_max(&self) -> Duration {
        self.shared.handshake_max
    }

    /// From now on it is noted there who is turned away.
    pub(in crate::remote) fn note_to(&self, events: &Events) {
        let _ = self.shared.events.set(events.clone());
    }

    fn note(&self, event: &Event) {
        match self.shared.events.get() {
            Some(events) => events.note(event),
            None => event.log(),
        }
    }

    fn is_new(&self, address: IpAddr, reason: Reason) -> bool {
        self.shared.strangers.lock().is_new(address, reason)
    }
}

fn server(trust: &Trust, transport: Arc<TransportConfig>) -> ServerConfig {
    let mut config = ServerConfig::with_crypto(trust.server(&Refusal::default()));
    config
        .transport_config(transport)
        .max_incoming(WAITING_MAX)
        .incoming_buffer_size(WAITING_BYTES_MAX / WAITING_MAX as u64)
        .incoming_buffer_size_total(WAITING_BYTES_MAX);
    config
}

/// The largest packet that is received.
fn packet_max(transport: &Transport) -> u16 {
    transport.mtu_max.max(MTU_ETHERNET)
}

/// What the socket must take: quinn's own limit stops at Ethernet frames.
fn limits(transport: &Transport) -> EndpointConfig {
    let mut config = EndpointConfig::default();
    config.max_udp_payload_size(packet_max(transport)).expect("it is at least 1,200 bytes");
    config
}
