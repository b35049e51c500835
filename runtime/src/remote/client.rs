//! A program outside of the cluster that calls its services, over one link and without being a member: a node without
//! services of its own that dials one of the cluster's nodes and is dialed by none.

use super::core::{ConnectError, Core};
use super::endpoint::{BindError, Endpoint, Transport};
use super::links::{LinkStatus, RenewError};
use super::pulse::Pulse;
use super::random;
use super::trust::{Subject, Trust};
use crate::host::{Executor, Host, Inline};
use crate::node::{App, Node, NodeConfig, RefError, StartNodeError};
use crate::service::contract::Contract;
use crate::supervision::{AddPartError, PartSpec, Running};
use futures_util::future::BoxFuture;
use odeon_core::supervision::Backoff;
use odeon_core::wire::admission::Ours;
use odeon_core::wire::handshake::Features;
use odeon_core::wire::version::VersionRange;
use odeon_core::{NodeId, NodeName};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Longest orderly end of the link.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// Pauses between dials.
const BACKOFF: Backoff = Backoff { min: Duration::from_millis(50), max: Duration::from_secs(2) };
/// Longest time from a link to the node's list of services.
const TOLD_WITHIN: Duration = Duration::from_secs(5);
/// Numbers that are told to others are below 2^62.
const RUN_BITS: u32 = 62;

/// What a client needs to know.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Where nodes of the cluster listen (UDP), one or more. They are tried in turn, from one by chance on.
    pub addresses: Vec<SocketAddr>,
    /// Who it is, by a certificate of
    /// [`Authority::issue_client`](super::Authority::issue_client), and which cluster it trusts.
    pub trust: Trust,
    /// How the connection behaves. Without [`Transport::keep_alive`] it is kept alive by a packet in each third of
    /// [`Transport::idle_max`].
    pub transport: Transport,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectClientError {
    /// There is nobody to dial.
    #[error("a client needs the address of one node at least")]
    NoAddress,
    /// The certificate is not made for it.
    #[error(
        "the certificate is that of {certificate}, but a client needs one of its own: issue it with `odeon cluster \
         certificate NAME --client`"
    )]
    Role {
        /// Whom the certificate names.
        certificate: Subject,
    },
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    NoRandom,
    /// There is no port.
    #[error("{0}")]
    Bind(#[from] BindError),
    /// What runs in the client did not start.
    #[error("{0}")]
    Start(#[from] StartNodeError),
    /// Nor did its link.
    #[error("{0}")]
    Part(#[from] AddPartError),
    /// No node lets it in. Worth a retry, unless the reason says otherwise.
    #[error("none of {tried} addresses leads to a node that lets this client in; {address}: {error}")]
    Unreachable {
        /// How many there are.
        tried: usize,
        /// The last that was tried.
        address: SocketAddr,
        /// What went wrong there.
        error: ConnectError,
    },
}

/// A program outside of the cluster that calls its services. Clones are handles; when the last one is dropped the link
/// is closed, and references that are left over refuse their messages.
///
/// It costs one UDP socket, one connection and a few tasks on the runtime on which it was connected, which may be of
/// either kind, needs its clock and I/O enabled, and must be driven as long as the client is used; it starts no threads.
/// References are those of a [`Node`]: deadlines, cancellation and the three outcomes of a call are the same.
///
/// A link that breaks is dialed again with growing pauses, or one to another of the addresses. Messages wait for it as
/// long as they may; what was under way over a link to a node that does not come back ends as unknown.
#[derive(Clone)]
pub struct Client(Arc<Open>);

struct Open {
    node: Node,
    core: Arc<Core>,
}

impl Client {
    /// Dials nodes until one lets it in and has told what there is to call.
    ///
    /// # Errors
    /// [`ConnectClientError`]; then nothing of it runs.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn connect(config: ClientConfig) -> BoxFuture<'static, Result<Self, ConnectClientError>> {
        Box::pin(async move {
            let ClientConfig { addresses, trust, mut transport } = config;
            let first = *addresses.first().ok_or(ConnectClientError::NoAddress)?;
            let Subject::Client(name) = trust.subject().clone() else {
                return Err(ConnectClientError::Role { certificate: trust.subject().clone() });
            };
            transport.keep_alive = transport.keep_alive.or(Some(Pulse::every(&transport)));
            let executor = Executor::new(tokio::runtime::Handle::current(), 0);
            let cluster = trust.cluster().clone();
            let endpoint = Endpoint::bind_to_dial(any_port(&addresses), trust, &transport, &executor)?;
            let host = Host {
                executors: vec![executor.clone()],
                blocking: Arc::new(Inline),
                seed: random().ok_or(ConnectClientError::NoRandom)?,
            };
            let node = Node::start(host, NodeConfig::named(name.clone()), App::new()).await?;
            let run = random().ok_or(ConnectClientError::NoRandom)?;
            let us = Ours {
                cluster,
                node: NodeId { name, incarnation: (run >> (u64::BITS - RUN_BITS)).max(1) },
                run,
                is_client: true,
                versions: VersionRange::SPOKEN,
                artifact: None,
                address: String::new(),
                features: Features::default(),
                session_next: 1,
            };
            let core = Core::new(node.inner(), &executor, endpoint, us);
            let _ = node.inner().links.set(core.clone());
            let client = Self(Arc::new(Open { node, core }));
            let begin = client.0.core.draw(addresses.len());
            client.first_link(&addresses, begin, first).await?;
            let spec = PartSpec::new("link").stop_within(2 * CLOSE_WITHIN).outlives_services();
            let tended = client.0.core.clone();
            let look_every = Pulse::every(&transport);
            let tend = move |running| tend(tended.clone(), addresses.clone(), begin, look_every, running);
            client.0.node.add_part(&spec, tend).await?;
            Ok(client)
        })
    }

    /// Tries each address once.
    async fn first_link(
        &self,
        addresses: &[SocketAddr],
        begin: usize,
        first: SocketAddr,
    ) -> Result<(), ConnectClientError> {
        let core = &self.0.core;
        let mut last = (first, ConnectError::Broken("it was not tried".into()));
        for address in turns(addresses, begin).take(addresses.len()) {
            match core.dial(address, None).await {
                Ok(_) if is_told(core).await => return Ok(()),
                Ok(node) => {
                    let why = format!("{node} does not tell what it offers");
                    last = (address, ConnectError::Broken(why));
                }
                Err(error) => last = (address, error),
            }
        }
        let (address, error) = last;
        Err(ConnectClientError::Unreachable { tried: addresses.len(), address, error })
    }

    /// Its name, as services see it: the principal of [`Cx::caller`](crate::Cx::caller).
    pub fn name(&self) -> &NodeName {
        self.0.node.name()
    }

    /// The node that it has a link to, if there is one now.
    pub fn node(&self) -> Option<NodeId> {
        self.links().into_iter().find(|link| link.connected).map(|link| link.node)
    }

    /// A reference to a service or singleton of the cluster, by name.
    ///
    /// # Errors
    /// The text is no name.
    pub fn service<R: Contract>(&self, name: &str) -> Result<R, RefError> {
        self.0.node.service(name)
    }

    /// A reference to the entity with this key.
    ///
    /// # Errors
    /// The name or the key is none.
    pub fn entity<R: Contract>(&self, name: &str, key: &str) -> Result<R, RefError> {
        self.0.node.entity(name, key)
    }

    /// The link, with its books, and those to nodes that it had links to before.
    pub fn links(&self) -> Vec<LinkStatus> {
        self.0.core.status()
    }

    /// New connections use these credentials.
    ///
    /// # Errors
    /// [`RenewError`]; the client goes on with what it has.
    pub fn renew(&self, trust: Trust) -> Result<(), RenewError> {
        self.0.core.renew(trust)
    }

    /// Closes the link in order, for all handles; waits no longer than this for it. Calls that are under way end, those
    /// that come later are refused.
    pub fn close(&self, within: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.0.core.close("the client is done", within.min(CLOSE_WITHIN)).await;
            self.0.node.stop(within).await;
        })
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.0.core.us())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let (node, core) = (self.node.clone(), self.core.clone());
        // on a runtime that has ended there is nothing left to end
        self.core.executor.spawn(async move {
            core.close("the client was dropped", CLOSE_WITHIN).await;
            node.stop(Duration::ZERO).await;
        });
    }
}

/// Keeps up one link, until the client is closed.
async fn tend(
    core: Arc<Core>,
    addresses: Vec<SocketAddr>,
    begin: usize,
    look_every: Duration,
    mut running: Running,
) -> Result<(), String> {
    running.ready();
    let mut pulse = Pulse::default();
    // the first one was let in by somebody: the next goes elsewhere
    let mut turns = turns(&addresses, begin + 1);
    let mut attempt = 0;
    while !core.is_closed() {
        let step = async {
            if core.has_link() {
                attempt = 0;
                tokio::select! {
                    biased;
                    () = core.changes.wait() => {}
                    () = core.wheel.sleep(look_every) => pulse.look(&core),
                }
                return;
            }
            let address = turns.next().expect("there is one at least");
            if let Err(error) = core.dial(address, None).await {
                tracing::debug!(%address, %error, attempt, "a node cannot be reached");
                let pause = core.backoff(&BACKOFF, attempt);
                attempt = attempt.saturating_add(1);
                core.wheel.sleep(pause).await;
            }
        };
        tokio::select! {
            biased;
            () = running.stopping() => break,
            () = step => {}
        }
    }
    core.close("the client is done", CLOSE_WITHIN).await;
    Ok(())
}

impl Core {
    /// Whether there is a connection to anybody.
    fn has_link(&self) -> bool {
        self.all_peers().iter().any(|peer| peer.is_up() && !peer.is_gone())
    }
}

/// Waits until somebody has told what there is to call.
async fn is_told(core: &Arc<Core>) -> bool {
    let due = core.wheel.elapsed() + TOLD_WITHIN;
    loop {
        let peers = core.all_peers();
        if peers.iter().any(|peer| peer.is_up() && peer.services().number > 0) {
            return true;
        }
        let left = due.saturating_sub(core.wheel.elapsed());
        if left.is_zero() || !core.has_link() {
            return false;
        }
        tokio::select! {
            biased;
            () = core.changes.wait() => {}
            () = core.wheel.sleep(left) => {}
        }
    }
}

/// All addresses again and again, from one on.
fn turns(addresses: &[SocketAddr], begin: usize) -> impl Iterator<Item = SocketAddr> + '_ {
    addresses.iter().copied().cycle().skip(begin)
}

/// Where a socket is bound that reaches all of these.
fn any_port(addresses: &[SocketAddr]) -> SocketAddr {
    match addresses.iter().all(SocketAddr::is_ipv4) {
        true => (Ipv4Addr::UNSPECIFIED, 0).into(),
        false => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}
