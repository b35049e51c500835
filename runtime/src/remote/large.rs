//! Bodies that have streams of their own, since they would hold up the others of a lane. The frame that a body belongs
//! to is sent once the peer has said that the body is there: the peer never waits for one with a frame in its hand.

use super::link::{LinkEnd, number};
use super::peer::Peer;
use super::waiters::{Bell, Waiters};
use crate::reach::reached;
use bytes::Bytes;
use odeon_core::Criticality;
use odeon_core::wire::{limits, varint};
use parking_lot::Mutex;
use quinn::{Connection, RecvStream, SendStream};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Notify;

/// Bytes of arguments that may wait for their streams; no other large ones are taken then.
const ARGUMENTS_MAX: u64 = limits::LARGE_MAX;
/// Bytes of all bodies that may wait: answers are taken up to here.
const WAITING_MAX: u64 = 4 * limits::LARGE_MAX;
/// Bytes that are read from a stream at once.
const READ_MAX: usize = 64 << 10;
/// Room that is made for a body before any of it has come.
const ROOM_FIRST: u64 = 256 << 10;

/// What goes to the peer once it has a body.
pub(super) enum Behind {
    /// What a receiver of a lane waits with.
    Request { lane: usize, receiver: u32 },
    /// An answer.
    Answer { lane: usize, frame: Vec<u8> },
}

/// Bodies on their way to a peer.
#[derive(Default)]
pub(super) struct Outgoing {
    state: Mutex<State>,
    /// There may be one whose stream can be begun.
    wake: Notify,
}

#[derive(Default)]
struct State {
    last: u64,
    /// Those that the peer is not known to have.
    bodies: BTreeMap<u64, Body>,
    /// Their bytes.
    waiting: u64,
    /// Bytes of those whose streams have begun over this connection.
    begun: u64,
    /// Bytes of those that the peer has, and whose frames it may not have read yet.
    unread: u64,
    /// Counts connections.
    connection: u64,
    senders: Waiters,
    ended: bool,
}

struct Body {
    content: Bytes,
    class: Criticality,
    behind: Behind,
    /// The latest connection over which its stream was begun; 0: none.
    begun_by: u64,
}

impl Outgoing {
    /// A number for the next body.
    pub(super) fn next_id(&self) -> u64 {
        let mut state = self.state.lock();
        state.last += 1;
        state.last
    }

    /// Whether other large arguments must wait; then `bell` is rung when they need not.
    pub(super) fn is_full(&self, bell: Option<&Bell>) -> bool {
        let mut state = self.state.lock();
        let is_full = state.waiting >= ARGUMENTS_MAX && !state.ended;
        if is_full {
            reached!(APART_FULL);
            state.senders.add(bell);
        }
        is_full
    }

    /// Whether not even another answer can be kept.
    pub(super) fn is_overfull(&self) -> bool {
        self.state.lock().waiting >= WAITING_MAX
    }

    /// Another body.
    pub(super) fn add(&self, id: u64, content: Bytes, class: Criticality, behind: Behind) {
        let mut state = self.state.lock();
        if !state.ended {
            state.waiting += content.len() as u64;
            state.bodies.insert(id, Body { content, class, behind, begun_by: 0 });
            self.wake.notify_one();
        }
    }

    /// A body is not wanted any more. False: its stream has begun, it cannot be taken back.
    pub(super) fn forget(&self, id: u64) -> bool {
        let mut state = self.state.lock();
        let forgotten = state.bodies.get(&id).is_some_and(|body| body.begun_by == 0);
        if forgotten && let Some(body) = state.bodies.remove(&id) {
            reached!(APART_FORGOTTEN);
            state.waiting -= body.content.len() as u64;
            let senders = state.senders.take();
            drop(state);
            senders.wake();
        }
        forgotten
    }

    /// A new connection: what the peer is not known to have goes again. Gives back its number, for [`Outgoing::next`].
    pub(super) fn resume(&self) -> u64 {
        let mut state = self.state.lock();
        state.connection += 1;
        state.begun = 0;
        state.connection
    }

    /// The next body whose stream can be begun; none when there is a later connection. They go in order, so that one
    /// whose frame others wait behind is never behind them.
    async fn next(&self, connection: u64) -> Option<(u64, Bytes, Criticality)> {
        loop {
            {
                let mut state = self.state.lock();
                let State { bodies, begun, unread, connection: latest, .. } = &mut *state;
                if *latest != connection {
                    // what woke this one was meant for the other
                    self.wake.notify_one();
                    return None;
                }
                let next = bodies.iter_mut().find(|(_, body)| body.begun_by != connection);
                if let Some((id, body)) = next {
                    let length = body.content.len() as u64;
                    if *begun + *unread + length <= limits::LARGE_UNDER_WAY_MAX {
                        *begun += length;
                        if body.begun_by > 0 {
                            reached!(APART_AGAIN);
                        }
                        body.begun_by = connection;
                        return Some((*id, body.content.clone(), body.class));
                    }
                }
            }
            self.wake.notified().await;
        }
    }

    /// The peer has a body. Gives back what can go now, and how many bytes it was.
    pub(super) fn stored(&self, id: u64) -> Option<(Behind, u64)> {
        let mut state = self.state.lock();
        let body = state.bodies.remove(&id)?;
        let length = body.content.len() as u64;
        if body.begun_by == state.connection {
            state.begun -= length;
        }
        state.waiting -= length;
        state.unread += length;
        let senders = state.senders.take();
        drop(state);
        senders.wake();
        Some((body.behind, length))
    }

    /// The peer has read the frames of so many bytes of bodies.
    pub(super) fn read(&self, bytes: u64) {
        if bytes > 0 {
            let mut state = self.state.lock();
            state.unread = state.unread.saturating_sub(bytes);
            self.wake.notify_one();
        }
    }

    /// How many bodies wait, and their bytes.
    pub(super) fn queue(&self) -> (usize, u64) {
        let state = self.state.lock();
        (state.bodies.len(), state.waiting)
    }

    /// The session has ended.
    pub(super) fn end(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        state.waiting = 0;
        let (bodies, senders) = (std::mem::take(&mut state.bodies), state.senders.take());
        drop(state);
        senders.wake();
        drop(bodies);
    }
}

/// Bodies that have come, until their frames are read.
#[derive(Default)]
pub(super) struct Incoming {
    state: Mutex<Arrived>,
    room: Notify,
}

#[derive(Default)]
struct Arrived {
    bodies: BTreeMap<u64, Bytes>,
    /// Their bytes, and those of bodies that are on their way.
    bytes: u64,
    /// Counts connections: what comes late over an earlier one may have been taken already.
    connection: u64,
}

/// Room for a body.
struct Room<'a> {
    of: &'a Incoming,
    length: u64,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.of.state.lock().bytes -= self.length;
        self.of.room.notify_waiters();
    }
}

impl Incoming {
    /// Waits until there is room for a body. None: it is there already.
    async fn room(&self, id: u64, length: u64) -> Option<Room<'_>> {
        loop {
            let changed = self.room.notified();
            {
                let mut state = self.state.lock();
                if state.bodies.contains_key(&id) {
                    reached!(APART_KNOWN);
                    return None;
                }
                if state.bytes + length <= limits::LARGE_UNDER_WAY_MAX {
                    state.bytes += length;
                    return Some(Room { of: self, length });
                }
            }
            reached!(NO_ROOM);
            changed.await;
        }
    }

    /// A new connection. Gives back its number, for [`receive`].
    pub(super) fn begin(&self) -> u64 {
        let mut state = self.state.lock();
        state.connection += 1;
        state.connection
    }

    fn store(&self, connection: u64, id: u64, body: Bytes, room: Room<'_>) {
        let mut state = self.state.lock();
        let is_new = state.connection == connection && state.bodies.insert(id, body).is_none();
        drop(state);
        if is_new {
            std::mem::forget(room);
        }
    }

    /// The body of a frame.
    pub(super) fn take(&self, id: u64, length: u64) -> Option<Bytes> {
        let mut state = self.state.lock();
        let body = state.bodies.remove(&id)?;
        state.bytes -= body.len() as u64;
        drop(state);
        self.room.notify_waiters();
        (body.len() as u64 == length).then_some(body)
    }
}

/// Sends bodies over a connection, whose number [`Outgoing::resume`] gave, until that ends.
pub(super) async fn send_all(peer: Arc<Peer>, number: u64, connection: Connection) -> Result<(), LinkEnd> {
    // most links never have one: no room for streams before there is a first
    let (id, content, class) = peer.large.next(number).await.ok_or(LinkEnd::Ended)?;
    let first = send(connection.clone(), id, content, class);
    let mut streams = futures_util::stream::FuturesUnordered::from_iter([first]);
    loop {
        tokio::select! {
            biased;
            Some(sent) = futures_util::StreamExt::next(&mut streams) => {
                let id: Result<u64, LinkEnd> = sent;
                peer.stored(id?);
            }
            next = peer.large.next(number) => {
                let (id, content, class) = next.ok_or(LinkEnd::Ended)?;
                streams.push(send(connection.clone(), id, content, class));
            }
        }
    }
}

/// Sends one body, and waits until the peer says that it is there.
async fn send(connection: Connection, id: u64, content: Bytes, class: Criticality) -> Result<u64, LinkEnd> {
    let (mut to, mut from) = connection.open_bi().await?;
    let _ = to.set_priority(priority(class));
    let mut head = Vec::with_capacity(16);
    for part in [id, content.len() as u64] {
        varint::put(&mut head, part).map_err(|e| LinkEnd::False(e.to_string()))?;
    }
    to.write_chunk(Bytes::from(head)).await?;
    // a peer to which an earlier connection has brought it stops the stream; a writer that waits for quinn is not always
    // woken then
    let stopped = to.stopped();
    tokio::select! {
        biased;
        written = to.write_chunk(content) => match written {
            Ok(()) => to.finish().map_err(|_| LinkEnd::Ended)?,
            Err(quinn::WriteError::Stopped(_)) => {}
            Err(error) => return Err(error.into()),
        },
        _ = stopped => {}
    }
    match from.read_chunk(1, true).await? {
        None => Ok(id),
        Some(_) => Err(LinkEnd::False("more than that a body is there was said of it".into())),
    }
}

/// Large bodies come behind everything else, the more urgent first.
fn priority(class: Criticality) -> i32 {
    -((Criticality::ALL.len() + class.level()) as i32)
}

/// Takes one body, over a connection whose number [`Incoming::begin`] gave.
pub(super) async fn receive(
    peer: Arc<Peer>,
    connection: u64,
    (mut to, mut from): (SendStream, RecvStream),
) -> Result<(), LinkEnd> {
    let (id, length) = (number(&mut from).await?, number(&mut from).await?);
    let wrong = |problem: &str| LinkEnd::False(format!("body {id} of {length} bytes: {problem}"));
    if length > limits::LARGE_MAX {
        return Err(wrong("too long"));
    }
    let bodies = &peer.inbound.bodies;
    if let Some(room) = bodies.room(id, length).await {
        let mut body = Vec::with_capacity(length.min(ROOM_FIRST) as usize);
        while let Some(chunk) = from.read_chunk(READ_MAX, true).await? {
            if (body.len() + chunk.bytes.len()) as u64 > length {
                return Err(wrong("more has come"));
            }
            body.extend_from_slice(&chunk.bytes);
        }
        if body.len() as u64 != length {
            return Err(wrong("less has come"));
        }
        bodies.store(connection, id, Bytes::from(body), room);
    }
    // that it ends says that the body is there
    to.finish().map_err(|_| LinkEnd::Ended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::poll;
    use std::pin::pin;
    use std::task::Poll;

    #[tokio::test]
    async fn a_large_body_waits_for_room_at_its_receiver_until_one_is_read_or_breaks_off() {
        const HALF: u64 = limits::LARGE_UNDER_WAY_MAX / 2;
        let incoming = Incoming::default();
        let connection = incoming.begin();
        let first = incoming.room(1, HALF).await.expect("it is new");
        let second = incoming.room(2, HALF).await.expect("there is room for two");
        let mut third = pin!(incoming.room(3, HALF));
        assert!(poll!(&mut third).is_pending(), "all of the room is taken");
        // a stream breaks off
        drop(second);
        assert!(matches!(poll!(&mut third), Poll::Ready(Some(_))));
        // the place of the third is free again: it was dropped at once
        let _fourth = incoming.room(4, HALF).await.expect("it is new");
        let mut fifth = pin!(incoming.room(5, 1));
        assert!(poll!(&mut fifth).is_pending(), "all of the room is taken again");
        incoming.store(connection, 1, Bytes::from(vec![0; HALF as usize]), first);
        assert!(poll!(&mut fifth).is_pending(), "nobody has read it yet");
        assert!(incoming.take(1, HALF).is_some());
        assert!(matches!(poll!(&mut fifth), Poll::Ready(Some(_))));
    }
}
