//! One connection of a session: the tasks that read and write its streams, until one of them finds that it is over.

use super::control::{self, CONTROL_MAX, Control, ControlError};
use super::core::Core;
use super::endpoint::{STOPPING, close};
use super::inbound::Nonsense;
use super::lane::{Connected, Lane, priority};
use super::large;
use super::peer::Peer;
use super::replication;
use super::target::class_of;
use crate::host::Executor;
use crate::reach::reached;
use bytes::{Bytes, BytesMut};
use odeon_core::wire::limits;
use odeon_core::wire::session::LaneCounts;
use odeon_core::wire::varint;
use quinn::{Connection, ConnectionError, RecvStream, SendStream, VarInt};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// The code with which a connection is closed whose peer makes no sense, or has gone.
const BROKEN: VarInt = VarInt::from_u32(1);
/// Bytes that are read from a stream at once.
const READ_MAX: usize = 64 << 10;
/// Receipts that can wait do so for this long.
const TELL_EVERY: Duration = Duration::from_millis(25);
/// Control goes before all lanes.
const CONTROL_PRIORITY: i32 = 1;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkEnd {
    #[error("{0}")]
    Connection(#[from] quinn::ConnectionError),
    #[error("{0}")]
    Control(#[from] ControlError),
    #[error("a lane cannot be read: {0}")]
    Read(#[from] quinn::ReadError),
    #[error("a lane cannot be written: {0}")]
    Write(#[from] quinn::WriteError),
    #[error("{0}")]
    Nonsense(#[from] Nonsense),
    #[error("the peer ended a stream that belongs to the link")]
    Ended,
    #[error("what the peer says of our messages cannot be: {0}")]
    False(String),
}

impl LinkEnd {
    /// Whether the session cannot go on: what the peer sends makes no sense.
    pub(super) fn is_for_good(&self) -> bool {
        matches!(self, Self::Nonsense(_) | Self::False(_))
    }
}

/// A connection whose handshake is done.
pub(super) struct Link {
    pub(super) peer: Arc<Peer>,
    pub(super) connection: Connection,
    pub(super) control: (SendStream, RecvStream),
    /// How many frames of each lane the peer has.
    pub(super) received: LaneCounts,
    /// The number of the connection, for what replicas say.
    pub(super) replicating: u64,
}

impl Link {
    /// Runs until the connection ends.
    pub(super) async fn run(self, core: Arc<Core>) -> LinkEnd {
        let Link { peer, connection, control: (to, from), received, replicating } = self;
        let executor = core.executor.clone();
        let mut tasks = JoinSet::new();
        let connected = match peer.lanes.resume(&received) {
            Ok(connected) => connected,
            Err(error) => {
                close(&connection, BROKEN, error.to_string().as_bytes());
                return LinkEnd::False(error.to_string());
            }
        };
        let begin_writers = |tasks: &mut JoinSet<Ended>| {
            for lane in peer.lanes.to_write(&connected) {
                let write = write_lane(peer.clone(), lane, connected.clone(), connection.clone());
                spawn(&executor, tasks, write);
            }
        };
        // what is sent again comes before the peer can say that it has had it after all
        begin_writers(&mut tasks);
        spawn(&executor, &mut tasks, write_control(core.clone(), peer.clone(), connection.clone(), to));
        // here as well as the lanes: the tasks of an earlier connection may still begin after those of this one
        let bodies = peer.large.resume();
        spawn(&executor, &mut tasks, large::send_all(peer.clone(), bodies, connection.clone()));
        if peer.client().is_none() {
            let replicas = replication::send_all(peer.clone(), replicating, connection.clone());
            spawn(&executor, &mut tasks, replicas);
        }
        spawn(&executor, &mut tasks, read_control(core.clone(), peer.clone(), from));
        spawn(&executor, &mut tasks, accept(core.clone(), peer.clone(), connection.clone()));
        let end = loop {
            tokio::select! {
                biased;
                ended = tasks.join_next() => match ended {
                    Some(Ok(Err(end))) => break end,
                    _ => break LinkEnd::Ended,
                },
                () = connected.unwritten() => begin_writers(&mut tasks),
            }
        };
        // before this side closes it, which takes the place of the reason
        if has_left(&connection) {
            peer.groups.leave();
        }
        close(&connection, BROKEN, end.to_string().as_bytes());
        end
    }
}

/// Whether the peer has closed it because it stops.
fn has_left(connection: &Connection) -> bool {
    let reason = connection.close_reason();
    matches!(reason, Some(ConnectionError::ApplicationClosed(close)) if close.error_code == STOPPING)
}

type Ended = Result<(), LinkEnd>;

fn spawn(
    executor: &Executor,
    tasks: &mut JoinSet<Ended>,
    task: impl Future<Output = Ended> + Send + 'static,
) {
    executor.spawn_in(tasks, task);
}

/// Sends the frames of a lane, from the first one that the peer does not have.
async fn write_lane(
    peer: Arc<Peer>,
    (index, first): (usize, u64),
    connected: Connected,
    connection: Connection,
) -> Ended {
    let lane: &Lane = peer.lanes.get(index);
    let mut piece = lane.next(&connected, &peer.wheel).await.ok_or(LinkEnd::Ended)?;
    let mut stream = connection.open_uni().await?;
    let _ = stream.set_priority(priority(class_of(index)));
    let mut head = Vec::with_capacity(16);
    for part in [u64::from(lane.number()), first] {
        varint::put(&mut head, part).map_err(|e| LinkEnd::False(e.to_string()))?;
    }
    stream.write_chunk(Bytes::from(head)).await?;
    loop {
        stream.write_chunk(piece).await?;
        piece = lane.next(&connected, &peer.wheel).await.ok_or(LinkEnd::Ended)?;
    }
}

/// Takes what comes on streams of its own, and datagrams.
async fn accept(core: Arc<Core>, peer: Arc<Peer>, connection: Connection) -> Ended {
    let mut readers: JoinSet<Ended> = JoinSet::new();
    let bodies = peer.inbound.bodies.begin();
    loop {
        tokio::select! {
            biased;
            Some(ended) = readers.join_next() => ended.unwrap_or(Err(LinkEnd::Ended))?,
            stream = connection.accept_uni() => {
                spawn(&core.executor, &mut readers, read_lane(core.clone(), peer.clone(), stream?));
            }
            stream = connection.accept_bi() => {
                spawn(&core.executor, &mut readers, large::receive(peer.clone(), bodies, stream?));
            }
            datagram = connection.read_datagram() => {
                let message = datagram?;
                // a client has nothing to say about the cluster, and a probe nothing at all
                if peer.client().is_none() && !message.is_empty() {
                    core.gossip.heard(&peer, message);
                }
            }
        }
    }
}

/// Reads a number of one byte or more.
pub(super) async fn number(stream: &mut RecvStream) -> Result<u64, LinkEnd> {
    let mut bytes = [0; 8];
    let ended = |_| LinkEnd::Ended;
    stream.read_exact(&mut bytes[..1]).await.map_err(ended)?;
    let length = 1 << (bytes[0] >> 6);
    stream.read_exact(&mut bytes[1..length]).await.map_err(ended)?;
    varint::Reader::new(&bytes[..length]).varint().map_err(|_| LinkEnd::Ended)
}

/// Takes the frames of a lane.
async fn read_lane(core: Arc<Core>, peer: Arc<Peer>, mut stream: RecvStream) -> Ended {
    let (lane, first) = (number(&mut stream).await?, number(&mut stream).await?);
    if lane == replication::STREAM {
        return replication::receive(core, peer, stream).await;
    }
    let lane = peer.inbound.begin(lane, first)?;
    // the beginning of a frame whose end has not come
    let mut rest = BytesMut::new();
    while let Some(chunk) = stream.read_chunk(READ_MAX, true).await? {
        if peer.is_gone() {
            // what had come before its session ended does not run any more
            return Err(LinkEnd::Ended);
        }
        let bytes = if rest.is_empty() {
            chunk.bytes
        } else {
            rest.extend_from_slice(&chunk.bytes);
            std::mem::take(&mut rest).freeze()
        };
        let taken = peer.inbound.take(&core, &peer, lane, &bytes)?;
        if taken < bytes.len() {
            if bytes.len() - taken > limits::FRAME_MAX + 8 {
                return Err(LinkEnd::Ended);
            }
            rest.extend_from_slice(&bytes[taken..]);
        }
        if taken > 0 {
            peer.inbound.arrived();
        }
    }
    Ok(())
}

/// Tells the peer what becomes of its messages and what there is to call here.
async fn write_control(
    core: Arc<Core>,
    peer: Arc<Peer>,
    connection: Connection,
    mut stream: SendStream,
) -> Ended {
    let _ = stream.set_priority(CONTROL_PRIORITY);
    control::write(&mut stream, &Control::Services(core.offers_for(&peer).services())).await?;
    for receipt in peer.inbound.all_receipts() {
        control::write(&mut stream, &Control::Receipts(vec![receipt])).await?;
    }
    peer.wanted_watches.reconnected();
    peer.watched.reconnected();
    peer.groups.reconnected();
    loop {
        write_urgent(&peer, &mut stream).await?;
        let watches = peer.wanted_watches.take().into_iter().chain(peer.watched.take());
        for message in watches.chain(peer.groups.take()).collect::<Vec<_>>() {
            control::write(&mut stream, &message).await?;
            // a list of members may be long
            write_urgent(&peer, &mut stream).await?;
        }
        tokio::select! {
            biased;
            () = peer.teller.wait() => {}
            () = peer.outbox.due() => {}
            () = peer.inbound.arrivals(&peer.wheel, TELL_EVERY) => {}
        }
        let receipts = peer.inbound.receipts();
        if !receipts.is_empty() {
            control::write(&mut stream, &Control::Receipts(receipts)).await?;
        }
        for message in peer.outbox.take(core.offers_for(&peer)) {
            match message {
                // what is lost is out of date by the time that it could come again
                Control::Gossip(message) if fits(&connection, &message) => {
                    reached!(DATAGRAM);
                    // an error says that the connection has ended, which is seen elsewhere
                    let _ = connection.send_datagram(message);
                }
                message => control::write(&mut stream, &message).await?,
            }
        }
    }
}

async fn write_urgent(peer: &Peer, stream: &mut SendStream) -> Ended {
    for message in peer.replication.take_urgent() {
        control::write(stream, &Control::Replicas(message)).await?;
    }
    Ok(())
}

fn fits(connection: &Connection, message: &Bytes) -> bool {
    connection.max_datagram_size().is_some_and(|max| message.len() <= max)
}

async fn read_control(core: Arc<Core>, peer: Arc<Peer>, mut stream: RecvStream) -> Ended {
    loop {
        let message = control::read::<Control>(&mut stream, CONTROL_MAX).await?;
        if peer.client().is_some() && !message.is_for_clients() {
            continue;
        }
        match message {
            Control::Receipts(receipts) => peer.settle_casts(receipts).map_err(LinkEnd::False)?,
            Control::Services(services) => core.learn(&peer, services),
            Control::Watch(wishes) => peer.watched.want(&core, &peer, wishes).map_err(LinkEnd::False)?,
            Control::Unwatch(ids) => {
                peer.watched.unwatch(ids).map_err(LinkEnd::False)?;
                peer.teller.remind();
            }
            Control::Seen(seen) => {
                peer.wanted_watches.seen(seen);
                peer.teller.remind();
            }
            Control::Unwatched(ids) => peer.wanted_watches.forgotten(&ids),
            Control::Topics(news) => peer.hears_topics(news),
            Control::WantTopics(known) => peer.tell_topics_since(known),
            Control::WantServices => peer.outbox.tell_services(),
            Control::Gossip(message) => core.gossip.heard(&peer, message),
            Control::Replicas(message) => core.replicas_hear(&peer, &message),
        }
    }
}
