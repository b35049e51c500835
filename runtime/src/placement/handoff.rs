//! Slots go from one living node to another: their entities are passivated, what they left is carried over, and the
//! cluster group is told. Messages for them wait meanwhile.

use super::{Left, Placed, Placement, slot};
use crate::cell::port::{Phase, Port};
use crate::membership::Membership;
use crate::reach::reached;
use crate::replication::Exchange;
use crate::telemetry::events::Event;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use odeon_core::membership::{Command, Outcome};
use odeon_core::placement::SlotId;
use odeon_core::supervision::{Exit, StopReason};
use odeon_core::{NodeId, NodeName, ServiceName};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
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
/// Activations that end within this time are handed over together.
const TOGETHER: Duration = Duration::from_millis(20);
/// What becomes of a cell whose activation has ended is looked at again after this time.
const MOMENT: Duration = Duration::from_millis(1);
/// What did not work is tried again after this time.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// A piece of what entities left. Named: other versions read it.
#[derive(Serialize, Deserialize)]
struct Piece {
    service: ServiceName,
    /// Tells one attempt of its node from another.
    attempt: u64,
    /// Bytes of all of it.
    length: u64,
    /// How many of them came before this piece.
    at: u64,
    piece: Bytes,
}

/// Gives slots of a service to another node.
pub(super) struct Giving {
    pub(super) placement: Arc<Placement>,
    pub(super) membership: Membership,
    pub(super) exchange: Exchange,
    pub(super) service: Arc<dyn Placed>,
    pub(super) to: NodeId,
}

/// Slots with their epochs.
pub(super) type Epochs = BTreeMap<SlotId, u64>;

impl Giving {
    /// Ends when that is done, or the slots shall not go there any more. Each goes once its own activations have ended:
    /// those that take long hold up nobody else.
    pub(super) fn run(self, slots: Epochs) -> impl Future<Output = ()> + Send {
        // nothing begins in them from now on
        let mut given = Given::new(&self.placement, self.service.service(), slots);
        async move {
            let (events, begun) = (self.membership.events().clone(), Instant::now());
            let (service, to) = (given.service.clone(), self.to.clone());
            events.note(&Event::Giving {
                service: service.clone(),
                to: to.clone(),
                slots: given.slots.len(),
            });
            let mut ending = Ending::begin(&*self.service, &given.slots);
            let mut lost = 0;
            while !given.slots.is_empty() {
                let ended = ending.some(&given.slots).await;
                lost += self.hand_over(&ended).await;
                given.is_over(&ended);
            }
            events.note(&Event::Given { service, to, slots: lost, took: begun.elapsed() });
        }
    }

    /// Of these nothing runs any more. Answers how many of them are not this node's in the end.
    async fn hand_over(&self, slots: &Epochs) -> usize {
        let (name, all): (_, BTreeSet<SlotId>) = (self.service.service(), slots.keys().copied().collect());
        let left = self.service.left(&all).into_iter().map(|(key, state)| {
            let epoch = slots.get(&slot(Some(&*key))).copied().unwrap_or(0);
            Left { key, state, epoch }
        });
        let left: Vec<Left> = left.collect();
        let mut told = left.is_empty();
        loop {
            let still = self.still(slots);
            if still.is_empty() {
                break;
            }
            if !told {
                told = self.carry(&left).await;
            }
            if told && hand(&self.membership, name, &self.to, still).await {
                reached!(HANDED);
                break;
            }
            reached!(HANDOFF_RETRIED);
            sleep(RETRY_AFTER).await;
        }
        // some may have been called back: they begin anew
        self.service.lose(&all);
        let (view, node) = (self.membership.view(), self.membership.node());
        all.iter().filter(|slot| view.owner_of(name, **slot).is_none_or(|(owner, _)| owner != node)).count()
    }

    /// Those that this node owns and that shall go to the other one.
    fn still(&self, slots: &Epochs) -> Vec<(SlotId, u64)> {
        let view = self.membership.view();
        let Some(table) = view.tables.get(self.service.service()) else { return Vec::new() };
        let is_so = |(slot, epoch): &(&SlotId, &u64)| {
            table.slot(**slot).is_some_and(|found| {
                found.owner == Some(self.membership.node())
                    && found.to == Some(&self.to)
                    && found.epoch == **epoch
            })
        };
        slots.iter().filter(is_so).map(|(slot, epoch)| (*slot, *epoch)).collect()
    }

    /// Carries what was left to its next owner. False: that does not have all of it.
    async fn carry(&self, left: &[Left]) -> bool {
        let (service, to) = (self.service.service(), &self.to.name);
        let attempt = self.placement.carried.fetch_add(1, Relaxed);
        for piece in pieces(service, attempt, left) {
            if let Err(problem) = self.exchange.hand(to, piece, TAKE_WITHIN).await {
                tracing::debug!(%service, %to, problem, "what entities left is carried over again");
                return false;
            }
        }
        true
    }
}

/// Slots that are being given away, until they are where the view says.
struct Given {
    placement: Arc<Placement>,
    service: ServiceName,
    slots: Epochs,
}

impl Given {
    fn new(placement: &Arc<Placement>, service: &ServiceName, slots: Epochs) -> Self {
        placement.given.lock().extend(slots.keys().map(|slot| (service.clone(), *slot)));
        Self { placement: placement.clone(), service: service.clone(), slots }
    }

    fn is_over(&mut self, slots: &Epochs) {
        let mut given = self.placement.given.lock();
        for slot in slots.keys() {
            self.slots.remove(slot);
            given.remove(&(self.service.clone(), *slot));
        }
        drop(given);
        // they may be to go to somebody else by now
        self.placement.look_again();
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        let rest = std::mem::take(&mut self.slots);
        self.is_over(&rest);
    }
}

/// Cells whose activations handle what they have and are passivated then.
pub(super) struct Ending {
    ends: FuturesUnordered<BoxFuture<'static, SlotId>>,
    /// How many of a slot have not ended.
    busy: BTreeMap<SlotId, usize>,
}

impl Ending {
    fn begin(service: &dyn Placed, slots: &Epochs) -> Self {
        let cells = service.cells(Some(&slots.keys().copied().collect()));
        let end = |cell: &Arc<dyn Port>| {
            let end = watch(cell);
            let is_entity = cell.key().is_some();
            cell.drain(if is_entity { StopReason::Passivated } else { StopReason::Shutdown });
            over(cell.clone(), end)
        };
        Self::of(cells.iter().map(|cell| (slot(cell.key().map(|key| &**key)), end(cell))))
    }

    /// Of these slots, each with what ends when one of its cells is over.
    pub(super) fn of<F>(cells: impl Iterator<Item = (SlotId, F)>) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (ends, mut busy) = (FuturesUnordered::<BoxFuture<'static, SlotId>>::new(), BTreeMap::new());
        for (slot, end) in cells {
            *busy.entry(slot).or_default() += 1;
            ends.push(Box::pin(async move {
                end.await;
                slot
            }));
        }
        Self { ends, busy }
    }

    /// Waits until there are none any more in some of these slots; those that are free at about the same time go together.
    pub(super) async fn some(&mut self, slots: &Epochs) -> Epochs {
        let mut moment = pin!(sleep(TOGETHER));
        let mut is_late = false;
        loop {
            let free = slots.iter().filter(|(slot, _)| !self.busy.contains_key(slot));
            let free: Epochs = free.map(|(slot, epoch)| (*slot, *epoch)).collect();
            if self.busy.is_empty() || (is_late && !free.is_empty()) {
                return free;
            }
            tokio::select! {
                biased;
                Some(slot) = self.ends.next() => self.ended(slot),
                () = &mut moment, if !is_late => is_late = true,
            }
        }
    }

    fn ended(&mut self, slot: SlotId) {
        if let Some(count) = self.busy.get_mut(&slot) {
            *count -= 1;
            if *count == 0 {
                self.busy.remove(&slot);
            }
        }
    }
}

/// Tells when the activation that a cell has now has ended.
fn watch(cell: &Arc<dyn Port>) -> oneshot::Receiver<()> {
    let (ended, end) = oneshot::channel();
    // whoever has waited may have left
    let tell = move |_: &Exit| ended.send(()).unwrap_or_default();
    cell.kind().overseer.watch(&**cell, Box::new(tell));
    end
}

/// Waits until a cell that drains is over. One that was about to end when the drain came has another activation for what
/// had come by then, and what that leaves is what counts.
async fn over(cell: Arc<dyn Port>, mut end: oneshot::Receiver<()>) {
    loop {
        let _ = (&mut end).await;
        // between two activations, or before the end
        while cell.status().phase == Phase::Waiting {
            sleep(MOMENT).await;
        }
        if cell.status().phase == Phase::Ended {
            return;
        }
        end = watch(&cell);
    }
}

/// What was left as it travels. None of it, if it is too much: then it is lost.
pub(super) fn pieces(service: &ServiceName, attempt: u64, left: &[Left]) -> Vec<Bytes> {
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
    /// By whom it is from, of what, and the attempt.
    coming: Mutex<BTreeMap<(NodeName, ServiceName, u64), Coming>>,
}

struct Coming {
    length: u64,
    bytes: BytesMut,
    /// When the last piece came.
    at: Instant,
}

impl Takeover {
    pub(crate) fn new(placement: &Arc<Placement>) -> Self {
        Self { placement: Arc::downgrade(placement), coming: Mutex::default() }
    }

    /// Takes a piece.
    ///
    /// # Errors
    /// For people: it was not taken, and is to be carried again from the beginning.
    pub(crate) fn take(&self, from: &NodeName, body: &[u8], now: Instant) -> Result<(), String> {
        let piece: Piece = rmp_serde::from_slice(body).map_err(|error| error.to_string())?;
        let placement = self.placement.upgrade().ok_or("the node has stopped")?;
        let service = piece.service.clone();
        let placed = placement.placed(&service).ok_or("there is no such service here")?;
        let Some(whole) = self.assemble(from, piece, now)? else { return Ok(()) };
        let left: Vec<Left> = rmp_serde::from_slice(&whole).map_err(|error| error.to_string())?;
        for left in left {
            // one that was overtaken by a later attempt may come when all is over
            if left.epoch == 0 || placement.epoch(&service, slot(Some(&*left.key))) <= left.epoch {
                placed.take(left);
            }
        }
        Ok(())
    }

    /// All of it, once the last piece has come.
    fn assemble(&self, from: &NodeName, piece: Piece, now: Instant) -> Result<Option<Bytes>, String> {
        let Piece { service, attempt, length, at, piece } = piece;
        let mut coming = self.coming.lock();
        // whoever gave up begins another attempt, and whoever is lost none
        coming.retain(|_, coming| now.saturating_duration_since(coming.at) < 2 * TAKE_WITHIN);
        let of = (from.clone(), service, attempt);
        if at == 0 {
            if length > LEFT_MAX as u64 || coming.len() >= TAKING_MAX && !coming.contains_key(&of) {
                return Err("it is too much at once".into());
            }
            coming.insert(of.clone(), Coming { length, bytes: BytesMut::new(), at: now });
        }
        let follows = |c: &&mut Coming| c.length == length && c.bytes.len() as u64 == at;
        let Some(whole) = coming.get_mut(&of).filter(follows) else {
            coming.remove(&of);
            return Err("a piece is missing".into());
        };
        if whole.bytes.len() as u64 + piece.len() as u64 > length {
            coming.remove(&of);
            return Err("it is longer than it was said to be".into());
        }
        whole.bytes.extend_from_slice(&piece);
        whole.at = now;
        let is_whole = whole.bytes.len() as u64 == length;
        Ok(is_whole.then(|| coming.remove(&of)).flatten().map(|whole| whole.bytes.freeze()))
    }
}
