//! What replicas say to each other, as links carry it: urgent messages on the control stream, all others on a stream of
//! their own, behind their lengths in four bytes (network order). What a connection has not brought is lost with it.

use super::control::{self, ControlError};
use super::core::Core;
use super::link::LinkEnd;
use super::peer::Peer;
use super::receipts::Teller;
use crate::replication::{Carrier, Exchange, NotCarried};
use bytes::Bytes;
use odeon_core::NodeName;
use odeon_core::journal::ENTRY_MAX;
use odeon_core::wire::limits::LANES_MAX;
use odeon_core::wire::varint;
use parking_lot::Mutex;
use quinn::{Connection, RecvStream, SendStream};
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use tokio::sync::Notify;

/// What the stream begins with, where others have the number of a lane.
pub(super) const STREAM: u64 = LANES_MAX as u64;
/// Before lanes, behind control.
const PRIORITY: i32 = 1;
/// Longest message: an entry, and what goes around it.
const MESSAGE_MAX: usize = ENTRY_MAX + (64 << 10);
/// Longest urgent one.
const URGENT_MAX: usize = 64 << 10;
/// Bytes that may wait for one peer: all appends that may be under way, and one snapshot's pieces.
const WAITING_MAX: usize = 2 * MESSAGE_MAX;
/// Urgent messages that may wait for one peer.
const URGENT_COUNT_MAX: usize = 8_192;

/// Messages on their way to a peer, over the connection that there is.
#[derive(Default)]
pub(super) struct Outgoing {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    is_up: bool,
    /// Counts connections.
    connection: u64,
    urgent: Vec<Bytes>,
    waiting: VecDeque<Bytes>,
    bytes: usize,
}

impl Outgoing {
    /// There is a connection, or there is none any more: what waits was for the last one. Gives back the number of the
    /// connection, for [`send_all`].
    pub(super) fn set_up(&self, is_up: bool) -> u64 {
        let mut state = self.state.lock();
        let connection = state.connection + u64::from(is_up);
        *state = State { is_up, connection, ..State::default() };
        self.wake.notify_one();
        connection
    }

    fn push(&self, message: Bytes, urgent: bool, due: &Teller) -> Result<(), NotCarried> {
        let mut state = self.state.lock();
        if !state.is_up {
            return Err(NotCarried::NoConnection);
        }
        if urgent {
            if state.urgent.len() >= URGENT_COUNT_MAX || message.len() > URGENT_MAX {
                return Err(NotCarried::NoRoom);
            }
            state.urgent.push(message);
            drop(state);
            due.remind();
            return Ok(());
        }
        let length = message.len() + 4;
        if message.len() > MESSAGE_MAX || state.bytes + length > WAITING_MAX {
            return Err(NotCarried::NoRoom);
        }
        state.bytes += length;
        state.waiting.push_back(message);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// All urgent ones that wait.
    pub(super) fn take_urgent(&self) -> Vec<Bytes> {
        std::mem::take(&mut self.state.lock().urgent)
    }

    /// All others that wait, once there is one; none when there is a later connection.
    async fn take(&self, connection: u64) -> Option<VecDeque<Bytes>> {
        loop {
            {
                let mut state = self.state.lock();
                if state.connection != connection {
                    // what woke this one may have been meant for the other
                    self.wake.notify_one();
                    return None;
                }
                if !state.waiting.is_empty() {
                    state.bytes = 0;
                    return Some(std::mem::take(&mut state.waiting));
                }
            }
            self.wake.notified().await;
        }
    }
}

/// Sends what waits over a connection, whose number [`Outgoing::set_up`] gave, until there is a later one.
pub(super) async fn send_all(peer: Arc<Peer>, number: u64, connection: Connection) -> Result<(), LinkEnd> {
    let mut stream: Option<SendStream> = None;
    loop {
        let messages = peer.replication.take(number).await.ok_or(LinkEnd::Ended)?;
        let to = match &mut stream {
            Some(to) => to,
            None => stream.insert(begin(&connection).await?),
        };
        let mut pieces = Vec::with_capacity(2 * messages.len());
        for message in messages {
            pieces.push(Bytes::copy_from_slice(&(message.len() as u32).to_be_bytes()));
            pieces.push(message);
        }
        to.write_all_chunks(&mut pieces).await?;
    }
}

async fn begin(connection: &Connection) -> Result<SendStream, LinkEnd> {
    let mut stream = connection.open_uni().await?;
    let _ = stream.set_priority(PRIORITY);
    let mut head = Vec::with_capacity(2);
    for part in [STREAM, 0] {
        varint::put(&mut head, part).map_err(|e| LinkEnd::False(e.to_string()))?;
    }
    stream.write_chunk(Bytes::from(head)).await?;
    Ok(stream)
}

/// Takes the messages of a peer's stream.
pub(super) async fn receive(core: Arc<Core>, peer: Arc<Peer>, mut stream: RecvStream) -> Result<(), LinkEnd> {
    loop {
        let message = control::read_bytes(&mut stream, MESSAGE_MAX).await.map_err(|error| match error {
            // the peer has no more to say
            ControlError::Read(_) => LinkEnd::Ended,
            error => error.into(),
        })?;
        core.replicas_hear(&peer, &message);
    }
}

/// The links of a node, as its replicas see them.
struct Carried(Weak<Core>);

impl Carrier for Carried {
    fn carry(&self, to: &NodeName, message: Bytes, urgent: bool) -> Result<(), NotCarried> {
        let core = self.0.upgrade().ok_or(NotCarried::NoConnection)?;
        let peer = core.peers.lock().get(to).and_then(|entry| entry.peer.clone());
        let peer = peer.filter(|peer| !peer.is_gone()).ok_or(NotCarried::NoConnection)?;
        peer.replication.push(message, urgent, &peer.teller)
    }
}

impl Core {
    /// The exchange of this node's replicas with those of others.
    pub(super) fn exchange(self: &Arc<Self>) -> Exchange {
        let begin = || Exchange::new(Arc::new(Carried(Arc::downgrade(self))));
        self.exchange.get_or_init(begin).clone()
    }

    /// A message for replicas has come. Whoever asks while there are none here yet is told so.
    pub(super) fn replicas_hear(self: &Arc<Self>, peer: &Peer, message: &[u8]) {
        if peer.client().is_none() {
            self.exchange().heard(&peer.node.name, message);
        }
    }

    /// A connection is no more, or another one is in its place.
    pub(super) fn replicas_lose(&self, peer: &Peer) {
        if let Some(exchange) = self.exchange.get() {
            exchange.lost(&peer.node.name);
        }
    }
}
