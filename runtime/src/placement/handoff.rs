//! Slots go from one living node to another: their entities are passivated, what they left is carried over, and the
//! cluster group is told. Messages for them wait meanwhile.

use super::{Placed, Placement};
use crate::cell::port::Port;
use crate::membership::Membership;
use crate::reach::reached;
use crate::replication::Exchange;
use crate::telemetry::events::Event;
use bytes::{Bytes, BytesMut};
use odeon_core::membership::{Command, Outcome};
use odeon_core::placement::SlotId;
use odeon_core::supervision::{Exit, StopReason};
use odeon_core::{NodeId, NodeName, ServiceName};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

/// Bytes of what entities left that travel in one message.
const PIECE: usize = 512 << 10;
/// What the entities of some slots of one service left, with their keys: no more is taken.
const LEFT_MAX: usize = 96 << 20;
/// Hand-offs that a node takes at the same time.
const TAKING_MAX: usize = 16;
/// The next owner takes a piece within this time.
const TAKE_WITHIN: Duration = Duration::from_secs(2);
/// The cluster group takes a command within this time, or is told again: its leader may be lost, and callers wait.
const TELL_WITHIN: Duration = Duration::from_millis(500);
/// What did not work is tried again after this time.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// A piece of what entities left. Named: other versions read it.
#[derive(Serialize, Deserialize)]
struct Piece {
    service: ServiceName,
    /// Tells one attempt from another.
    attempt: u64,
    /// Bytes of all of it.
    length: u64,
    /// How many of them came before this piece.
    at: u64,
    piece: Bytes,
}

/// Gives slots to another node. Ends when that is done, or the slots shall not go there any more.
pub(super) async fn give(
    placement: Arc<Placement>,
    membership: Membership,
    exchange: Exchange,
    service: Arc<dyn Placed>,
    to: NodeId,
    slots: Vec<(SlotId, u64)>,
) {
    let name = service.service().clone();
    let all: BTreeSet<SlotId> = slots.iter().map(|(slot, _)| *slot).collect();
    placement.given.lock().extend(all.iter().map(|slot| (name.clone(), *slot)));
    let (events, begun) = (membership.events(), Instant::now());
    events.note(&Event::Giving { service: name.clone(), to: to.clone(), slots: all.len() });
    let _given = Given { placement: &placement, service: &name, slots: &all };
    stop(&*service, &all).await;
    let left = service.left(&all);
    let mut attempt = 0;
    let mut told = left.is_empty();
    loop {
        let still = still_to_give(&membership, &name, &to, &slots);
        if still.is_empty() {
            break;
        }
        attempt += 1;
        if !told {
            told = carry(&exchange, &name, attempt, &to.name, &left).await;
        }
        if told && hand(&membership, &name, &to, still).await {
            reached!(HANDED);
            break;
        }
        reached!(HANDOFF_RETRIED);
        sleep(RETRY_AFTER).await;
    }
    // some may have been called back
    let view = membership.view();
    let is_lost =
        |slot: &SlotId| view.owner_of(&name, *slot).is_none_or(|(owner, _)| owner != membership.node());
    let lost: BTreeSet<SlotId> = all.iter().filter(|slot| is_lost(slot)).copied().collect();
    service.lose(&lost, true);
    events.note(&Event::Given {
        service: name.clone(),
        to: to.clone(),
        slots: lost.len(),
        took: begun.elapsed(),
    });
}

/// From now on slots are where the view says.
struct Given<'a> {
    placement: &'a Placement,
    service: &'a ServiceName,
    slots: &'a BTreeSet<SlotId>,
}

impl Drop for Given<'_> {
    fn drop(&mut self) {
        let mut given = self.placement.given.lock();
        for slot in self.slots {
            given.remove(&(self.service.clone(), *slot));
        }
        drop(given);
        self.placement.look.notify_one();
    }
}

/// Lets the activations of slots handle what they have, and passivates them.
async fn stop(service: &dyn Placed, slots: &BTreeSet<SlotId>) {
    let ends: Vec<oneshot::Receiver<()>> =
        service.cells(Some(slots)).into_iter().map(|cell| stop_one(&cell)).collect();
    for end in ends {
        let _ = end.await;
    }
}

fn stop_one(cell: &Arc<dyn Port>) -> oneshot::Receiver<()> {
    let (ended, end) = oneshot::channel();
    // whoever has waited may have left
    let tell = move |_: &Exit| ended.send(()).unwrap_or_default();
    cell.kind().overseer.watch(&**cell, Box::new(tell));
    let is_entity = cell.key().is_some();
    cell.drain(if is_entity { StopReason::Passivated } else { StopReason::Shutdown });
    end
}

/// Those that this node owns and that shall go to another one.
fn still_to_give(
    membership: &Membership,
    service: &ServiceName,
    to: &NodeId,
    slots: &[(SlotId, u64)],
) -> Vec<(SlotId, u64)> {
    let view = membership.view();
    let Some(table) = view.tables.get(service) else { return Vec::new() };
    let is_so = |(slot, epoch): &&(SlotId, u64)| {
        table.slot(*slot).is_some_and(|found| {
            found.owner == Some(membership.node()) && found.to == Some(to) && found.epoch == *epoch
        })
    };
    slots.iter().filter(is_so).copied().collect()
}

/// Carries what was left to its next owner. False: that does not have all of it.
async fn carry(
    exchange: &Exchange,
    service: &ServiceName,
    attempt: u64,
    to: &NodeName,
    left: &[(Arc<str>, Bytes)],
) -> bool {
    for piece in pieces(service, attempt, left) {
        if let Err(problem) = exchange.hand(to, piece, TAKE_WITHIN).await {
            tracing::debug!(%service, %to, problem, "what entities left is carried over again");
            return false;
        }
    }
    true
}

/// What was left as it travels. None of it, if it is too much: then it is lost.
pub(super) fn pieces(service: &ServiceName, attempt: u64, left: &[(Arc<str>, Bytes)]) -> Vec<Bytes> {
    let whole = match rmp_serde::to_vec_named(left) {
        Ok(whole) if whole.len() <= LEFT_MAX => Bytes::from(whole),
        Ok(whole) => {
            let bytes = whole.len();
            tracing::error!(%service, bytes, max = LEFT_MAX, "what entities left is too much to go along: lost");
            return Vec::new();
        }
        Err(error) => {
            tracing::error!(%service, %error, "what entities left cannot be written: lost");
            return Vec::new();
        }
    };
    let piece = |at: usize| {
        let piece = whole.slice(at..whole.len().min(at + PIECE));
        let (length, at) = (whole.len() as u64, at as u64);
        let piece = Piece { service: service.clone(), attempt, length, at, piece };
        Bytes::from(rmp_serde::to_vec_named(&piece).expect("it is made of bytes and numbers"))
    };
    (0..whole.len()).step_by(PIECE).map(piece).collect()
}

/// Tells the cluster group, and waits until this node, too, knows it.
async fn hand(
    membership: &Membership,
    service: &ServiceName,
    to: &NodeId,
    slots: Vec<(SlotId, u64)>,
) -> bool {
    let (service, from, to) = (service.clone(), membership.node().clone(), to.clone());
    let handed = Command::Handed { service, slots, from, to };
    let Ok(Outcome::Handed { epoch, .. }) = membership.propose(&handed, TELL_WITHIN).await else {
        return false;
    };
    let mut views = membership.views();
    let known = views.wait_for(|view| view.epoch >= epoch);
    timeout(TELL_WITHIN, known).await.is_ok()
}

/// What comes from nodes that give slots to this one.
pub(crate) struct Takeover {
    placement: Weak<Placement>,
    coming: Mutex<BTreeMap<(NodeName, ServiceName), Coming>>,
}

struct Coming {
    attempt: u64,
    length: u64,
    bytes: BytesMut,
}

impl Takeover {
    pub(crate) fn new(placement: &Arc<Placement>) -> Self {
        Self { placement: Arc::downgrade(placement), coming: Mutex::default() }
    }

    /// Takes a piece.
    ///
    /// # Errors
    /// For people: it was not taken, and is to be carried again from the beginning.
    pub(crate) fn take(&self, from: &NodeName, body: &[u8]) -> Result<(), String> {
        let piece: Piece = rmp_serde::from_slice(body).map_err(|error| error.to_string())?;
        let placement = self.placement.upgrade().ok_or("the node has stopped")?;
        let placed = placement.placed(&piece.service).ok_or("there is no such service here")?;
        let Some(whole) = self.assemble(from, piece)? else { return Ok(()) };
        let left: Vec<(Arc<str>, Bytes)> =
            rmp_serde::from_slice(&whole).map_err(|error| error.to_string())?;
        for (key, left) in left {
            placed.take(&key, left);
        }
        Ok(())
    }

    /// All of it, once the last piece has come.
    fn assemble(&self, from: &NodeName, piece: Piece) -> Result<Option<Bytes>, String> {
        let Piece { service, attempt, length, at, piece } = piece;
        let mut coming = self.coming.lock();
        let of = (from.clone(), service);
        if at == 0 {
            if length > LEFT_MAX as u64 || coming.len() >= TAKING_MAX && !coming.contains_key(&of) {
                return Err("it is too much at once".into());
            }
            coming.insert(of.clone(), Coming { attempt, length, bytes: BytesMut::new() });
        }
        let follows =
            |c: &&mut Coming| c.attempt == attempt && c.length == length && c.bytes.len() as u64 == at;
        let Some(whole) = coming.get_mut(&of).filter(follows) else {
            coming.remove(&of);
            return Err("a piece is missing".into());
        };
        if whole.bytes.len() as u64 + piece.len() as u64 > length {
            coming.remove(&of);
            return Err("it is longer than it was said to be".into());
        }
        whole.bytes.extend_from_slice(&piece);
        let is_whole = whole.bytes.len() as u64 == length;
        Ok(is_whole.then(|| coming.remove(&of)).flatten().map(|whole| whole.bytes.freeze()))
    }
}
