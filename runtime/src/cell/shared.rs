//! What outlives activations: identity, mailbox, counters. A [`Handle`] is a counted pointer to it.

use super::Tick;
use super::belongings::{Fate, Rare};
use super::bounds::Bounds;
use super::in_line::{InLine, Place};
use super::kind::Kind;
use super::mailbox::{Letter, Mailbox, NoRoom, Pace, Room};
use super::port::{CellStatus, Phase, Port};
use super::way;
use super::wheel::Key;
use crate::service::message::{Access, Envelope, Header, Message, Origin};
use odeon_core::outcome::Overflow;
use odeon_core::supervision::{Exit, StopReason};
use odeon_core::{ActivationId, Refusal};
use parking_lot::Mutex;
use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Duration;

// The cell's own bits of [`Pace::signal`], above those of the mailbox.

/// Handle what waits, then stop.
pub(super) const DRAIN: u32 = 1 << 2;
/// Stop after the handler that runs.
pub(super) const STOP: u32 = 1 << 3;
/// Drop the activation at its next await.
pub(super) const KILL: u32 = 1 << 4;
/// End as failed, before the next message; how is in [`Rare::fate`].
pub(super) const FAIL: u32 = 1 << 5;
/// The verdict: begin again.
pub(super) const RESTART: u32 = 1 << 6;
/// The verdict: that was it.
pub(super) const GIVE_UP: u32 = 1 << 7;
/// Where the two bits of the reason of a stop are.
const REASON: u32 = 8;
/// End the activation in order after the handler that runs; what waits is for the next one.
pub(super) const LEAVE: u32 = 1 << 10;
/// The node may not have it any more: its lease has ended.
pub(super) const FENCED: u32 = 1 << 12;
/// No verdict will come for long: refuse what waits; why is in [`Rare::fate`].
pub(super) const REST: u32 = 1 << 11;

impl<M: Message> Letter for Envelope<M> {
    #[inline]
    fn level(&self) -> usize {
        self.header.level()
    }

    #[inline]
    fn weight(&self) -> u32 {
        self.header.weight()
    }
}

/// What the cell does, written by its driver alone and read by whoever wants to know.
#[derive(Debug)]
pub(super) struct Books {
    /// When the current poll began.
    pub(super) now: AtomicU32,
    /// The same while the poll lasts; zero between polls.
    pub(super) polling: AtomicU32,
    /// What began last: a position in [`Kind::methods`] or a [`Hook`].
    pub(super) doing: AtomicU32,
    /// Why the driver shall drop the activation although it has not ended; see [`Abandon`].
    pub(super) abandon: AtomicU32,
    pub(super) polls: AtomicU32,
    pub(super) expired: AtomicU32,
    /// Longest sampled poll in microseconds.
    pub(super) poll_max: AtomicU32,
    /// Between polls: since when the handler or hook is under way that waits for longest; zero, if none waits.
    pub(super) held: AtomicU32,
    /// Its deadline; zero, if it has none.
    pub(super) due: AtomicU32,
    phase: AtomicU8,
}

/// What an activation does besides handling messages, in the place of a method's position.
pub(super) struct Hook;

impl Hook {
    pub(super) const NOTHING: u32 = u32::MAX;
    pub(super) const START: u32 = u32::MAX - 1;
    pub(super) const READY: u32 = u32::MAX - 2;
    pub(super) const PASSIVATE: u32 = u32::MAX - 3;
    pub(super) const STOP: u32 = u32::MAX - 4;
}

/// Why a driver drops an activation that has not ended by itself.
pub(super) struct Abandon;

impl Abandon {
    pub(super) const NOT: u32 = 0;
    /// Its orderly stop takes too long.
    pub(super) const STOP_LATE: u32 = 1;
    /// Its start takes too long.
    pub(super) const START_LATE: u32 = 2;
    /// It was asked to stop before it had started.
    pub(super) const UNSTARTED: u32 = 3;
    /// A handler ran past its deadline and grace: this plus the method's position.
    pub(super) const OVERRAN: u32 = 4;
}

/// What outlives activations. Three groups: written by senders, read by all, written by the driver. The middle one
/// keeps the other two on cache lines of their own.
#[repr(C)]
pub(crate) struct Shared<M> {
    pub(super) mailbox: Mailbox<Envelope<M>>,
    pub(super) waker: OnceLock<Waker>,

    id: ActivationId,
    kind: Arc<Kind>,
    key: Option<Arc<str>>,
    rare: Mutex<Rare>,

    pub(super) pace: Pace,
    executor: u32,
    pub(super) books: Books,
}

impl<M: Message> Shared<M> {
    pub(super) fn new(id: ActivationId, kind: Arc<Kind>, executor: usize, key: Option<Arc<str>>) -> Self {
        let bounds: Bounds = kind.bounds;
        Self {
            mailbox: Mailbox::new(bounds),
            waker: OnceLock::new(),
            id,
            kind,
            key,
            rare: Mutex::default(),
            pace: Pace::default(),
            executor: executor as u32,
            books: Books {
                now: AtomicU32::new(Tick::NEVER.raw()),
                polling: AtomicU32::new(Tick::NEVER.raw()),
                doing: AtomicU32::new(Hook::NOTHING),
                abandon: AtomicU32::new(Abandon::NOT),
                polls: AtomicU32::new(0),
                expired: AtomicU32::new(0),
                poll_max: AtomicU32::new(0),
                held: AtomicU32::new(Tick::NEVER.raw()),
                due: AtomicU32::new(Tick::NEVER.raw()),
                phase: AtomicU8::new(Phase::Starting as u8),
            },
        }
    }

    #[inline]
    pub(super) fn wake(&self) {
        // before its first poll the task needs no waking
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }

    #[inline]
    pub(super) fn signal(&self) -> u32 {
        self.pace.signal.load(Ordering::Relaxed)
    }

    /// Tells the driver something.
    pub(super) fn raise(&self, bits: u32) {
        self.pace.signal.fetch_or(bits, Ordering::AcqRel);
        self.wake();
    }

    /// The driver has seen it.
    pub(super) fn lower(&self, bits: u32) {
        self.pace.signal.fetch_and(!bits, Ordering::AcqRel);
    }

    pub(super) fn end(&self, how: u32, reason: StopReason) {
        self.mailbox.close(&self.pace);
        // the first reason counts
        let _ = self.pace.signal.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |signal| {
            let reason = if signal & (DRAIN | STOP) == 0 { (reason as u32) << REASON } else { 0 };
            Some(signal | how | reason)
        });
        self.wake();
    }

    /// Why it was asked to stop.
    pub(super) fn stop_reason(&self) -> StopReason {
        if self.signal() & LEAVE != 0 {
            return StopReason::Own;
        }
        match (self.signal() >> REASON) & 0b11 {
            r if r == StopReason::Own as u32 => StopReason::Own,
            r if r == StopReason::Passivated as u32 => StopReason::Passivated,
            r if r == StopReason::Linked as u32 => StopReason::Linked,
            _ => StopReason::Shutdown,
        }
    }

    pub(super) fn take_failure(&self) -> Option<Exit> {
        match self.rare.lock().fate.take().map(|fate| *fate) {
            Some(Fate::Fails(exit)) => Some(exit),
            Some(Fate::Rests(_)) | None => None,
        }
    }

    /// Why nothing is let in while the cell rests.
    #[cold]
    pub(super) fn why_resting(&self) -> Refusal {
        // it may have begun again since
        match self.rare.lock().fate.as_deref() {
            Some(Fate::Rests(why)) => why.clone(),
            Some(Fate::Fails(_)) | None => Refusal::Restarting,
        }
    }

    /// Ends a rest.
    pub(super) fn wake_up(&self) {
        drop(self.rare.lock().fate.take());
        self.mailbox.open(&self.pace);
    }

    pub(super) fn why_not_in(&self, no_room: NoRoom) -> Refusal {
        match no_room {
            NoRoom::Full => Refusal::MailboxFull,
            NoRoom::Resting => self.why_resting(),
            NoRoom::Closed => Refusal::Stopped,
        }
    }

    /// Whether tasks or timers of the activation have not ended.
    pub(super) fn is_busy_aside(&self) -> bool {
        self.rare.lock().belongings.as_mut().is_some_and(|belongings| belongings.are_busy())
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.books.phase.store(phase as u8, Ordering::Release);
    }

    fn phase(&self) -> Phase {
        const ALL: [Phase; 4] = [Phase::Starting, Phase::Running, Phase::Waiting, Phase::Stopping];
        let phase = self.books.phase.load(Ordering::Acquire);
        ALL.into_iter().find(|p| *p as u8 == phase).unwrap_or(Phase::Ended)
    }

    /// The name of a method or hook.
    pub(super) fn name_of(&self, doing: u32) -> Option<&'static str> {
        match doing {
            Hook::NOTHING => None,
            Hook::START => Some("start"),
            Hook::READY => Some("ready"),
            Hook::PASSIVATE => Some("passivate"),
            Hook::STOP => Some("stop"),
            position => {
                Some(self.kind.methods.get(position as usize).map_or("an unknown method", |m| m.name))
            }
        }
    }

    /// Nobody will handle these.
    #[cold]
    pub(super) fn refuse(&self, envelopes: Vec<Envelope<M>>, why: &Refusal) {
        self.kind.meter.add_lost(envelopes.len() as u64);
        for envelope in envelopes {
            self.kind.meter.add_refused(why);
            envelope.refuse(why.clone());
        }
    }

    /// Whether a message could be handled although a handler of this very cell waits for it.
    fn runs_beside_what_waits(&self, message: &M) -> bool {
        let doing = self.books.doing.load(Ordering::Relaxed) as usize;
        let exclusive = |access| access == Access::Exclusive;
        self.kind.concurrency > 1
            && !exclusive(message.access())
            && !self.kind.methods.get(doing).is_some_and(|method| exclusive(method.access))
    }

    /// Why an answer to this message could not come, if a handler of this very cell waits for it.
    fn cycle(&self, header: Header, origin: &Origin, message: &M) -> Option<Refusal> {
        let closed = header.awaited() && origin.waits(self.id) && !self.runs_beside_what_waits(message);
        closed.then(|| Refusal::Cycle { path: way::back_to(origin, self) })
    }
}

impl<M: Message> Port for Shared<M> {
    fn id(&self) -> ActivationId {
        self.id
    }

    fn kind(&self) -> &Arc<Kind> {
        &self.kind
    }

    fn key(&self) -> Option<&Arc<str>> {
        self.key.as_ref()
    }

    fn executor(&self) -> usize {
        self.executor as usize
    }

    fn rare(&self) -> &Mutex<Rare> {
        &self.rare
    }

    fn now(&self) -> Tick {
        Tick::from_raw(self.books.now.load(Ordering::Relaxed))
    }

    fn drain(&self, reason: StopReason) {
        self.end(DRAIN, reason);
    }

    fn stop(&self, reason: StopReason) {
        // an entity that ends its activation has not ended as an entity: messages to it go on to the next one
        let leaves = reason == StopReason::Own && self.key.is_some();
        match self.phase() {
            Phase::Running if leaves => self.raise(LEAVE),
            Phase::Stopping | Phase::Waiting if leaves => {}
            _ => self.end(STOP, reason),
        }
    }

    fn kill(&self) {
        self.raise(KILL);
    }

    fn fence(&self) {
        self.end(STOP | FENCED, StopReason::Shutdown);
    }

    fn fail(&self, exit: Exit) {
        self.rare.lock().fate.get_or_insert_with(|| Box::new(Fate::Fails(exit)));
        self.raise(FAIL);
    }

    fn restart(&self) {
        self.raise(RESTART);
    }

    fn give_up(&self) {
        self.raise(GIVE_UP);
    }

    fn rest(&self, why: Refusal) {
        self.rare.lock().fate = Some(Box::new(Fate::Rests(why)));
        self.mailbox.rest(&self.pace);
        self.raise(REST);
    }

    fn doing(&self) -> Option<&'static str> {
        self.name_of(self.books.doing.load(Ordering::Relaxed))
    }

    fn status(&self) -> CellStatus {
        let load = self.mailbox.load(&self.pace);
        let tick = |of: &AtomicU32| Tick::from_raw(of.load(Ordering::Relaxed));
        let (polling, held, now) = (tick(&self.books.polling), tick(&self.books.held), self.kind.wheel.now());
        CellStatus {
            id: self.id,
            key: self.key.clone(),
            phase: self.phase(),
            waiting: load.count,
            waiting_bytes: load.bytes,
            begun: u64::from(self.pace.begun()),
            expired: u64::from(self.books.expired.load(Ordering::Relaxed)),
            lost: u64::from(load.lost),
            current: self.doing(),
            polling_for: (!polling.is_never()).then(|| now.until(polling)),
            held_for: (polling.is_never() && !held.is_never()).then(|| now.until(held)),
            due: tick(&self.books.due),
            lanes: load.lanes,
            outside: load.outside,
            poll_max: Duration::from_micros(u64::from(self.books.poll_max.load(Ordering::Relaxed))),
        }
    }
}

/// A handle to a cell. It never owns the cell: dropping all handles ends nothing.
pub struct Handle<M>(Arc<Shared<M>>);

impl<M> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M> fmt::Debug for Handle<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.0.id)
    }
}

impl<M: Message> Handle<M> {
    pub(super) fn new(shared: Arc<Shared<M>>) -> Self {
        Self(shared)
    }

    /// Which cell.
    pub fn id(&self) -> ActivationId {
        self.0.id
    }

    pub(crate) fn kind(&self) -> &Arc<Kind> {
        &self.0.kind
    }

    /// The key of an entity.
    pub(crate) fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// The cell without its message type.
    pub(crate) fn port(&self) -> Arc<dyn Port> {
        self.0.clone()
    }

    /// What happens to a message that does not fit.
    pub(crate) fn overflow(&self) -> Overflow {
        self.0.mailbox.overflow()
    }

    /// Whether it ended because its node's lease had.
    pub(crate) fn is_fenced(&self) -> bool {
        self.0.signal() & FENCED != 0
    }

    /// Whether it lets no more messages in.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.mailbox.is_closed()
    }

    /// Whether no activation of it runs or will: another cell may take its place.
    pub(crate) fn is_over(&self) -> bool {
        // in this order: it is closed for good only after its last activation, unless it is stopped before
        self.is_closed() && matches!(self.0.phase(), Phase::Waiting | Phase::Ended)
    }

    /// Messages that wait for it.
    pub(crate) fn waiting(&self) -> u32 {
        self.0.mailbox.load(&self.0.pace).count
    }

    /// Whether an activation is ready for messages.
    pub(crate) fn is_running(&self) -> bool {
        self.0.phase() == Phase::Running
    }

    /// Puts a message into the mailbox, without waiting for room.
    ///
    /// # Errors
    /// Gives it back with why it was not let in: [`Refusal::MailboxFull`], [`Refusal::Stopped`], why it rests, or
    /// [`Refusal::Cycle`] when its sender waits for an answer that could not come.
    #[inline]
    pub(crate) fn push(&self, envelope: Envelope<M>) -> Result<(), (Refusal, Envelope<M>)> {
        match self.admit(envelope.header, envelope.origin.as_ref(), &envelope.message) {
            Ok(admission) => {
                let Envelope { origin, message, .. } = envelope;
                admission.put(origin, message);
                Ok(())
            }
            Err(refusal) => Err((refusal, envelope)),
        }
    }

    /// Room for a message. In two steps, so that a message is moved once, to where it waits, and not before the lock
    /// is held: taking that has let its parts arrive in memory.
    ///
    /// # Errors
    /// As [`Handle::push`].
    #[inline(always)]
    pub(crate) fn admit<'a>(
        &'a self,
        header: Header,
        origin: Option<&Arc<Origin>>,
        message: &M,
    ) -> Result<Admission<'a, M>, Refusal> {
        if let Some(origin) = origin
            && let Some(cycle) = self.0.cycle(header, origin, message)
        {
            return Err(cycle);
        }
        // what came from outside, or was refused before, is weighed already
        let header = if header.weight() == 0 { header.with_weight(message.weight()) } else { header };
        match self.0.mailbox.room(header.level(), header.weight(), &self.0.pace) {
            Ok(room) => Ok(Admission { shared: &self.0, room, header }),
            Err(NoRoom::Full) => Err(Refusal::MailboxFull),
            Err(no_room) => Err(self.0.why_not_in(no_room)),
        }
    }

    /// The same, but waits for room where the mailbox lets senders wait: first come, first served, until the
    /// message's deadline. Dropping the future takes the message back unless it was let in.
    ///
    /// # Errors
    /// As [`Handle::push`], and [`Refusal::Expired`].
    pub(crate) async fn push_waiting(&self, envelope: Envelope<M>) -> Result<(), (Refusal, Envelope<M>)> {
        match self.push(envelope) {
            Err((Refusal::MailboxFull, envelope)) if self.overflow() == Overflow::Wait => {
                let due = envelope.header.due();
                InLine { shared: &self.0, due, place: Place::Outside(envelope), alarm: Key::NONE }.await
            }
            done => done,
        }
    }
}

/// Room that was made for a message, under the lock of its receiver.
#[must_use = "put the message in"]
pub(crate) struct Admission<'a, M: Message> {
    shared: &'a Shared<M>,
    room: Room<'a, Envelope<M>>,
    header: Header,
}

impl<M: Message> Admission<'_, M> {
    /// Lets the message in.
    #[inline(always)]
    pub(crate) fn put(self, origin: Option<Arc<Origin>>, message: M) {
        let pushed = self.room.put(Envelope { header: self.header, origin, message });
        if pushed.wake {
            self.shared.wake();
        }
        if let Some(shed) = pushed.shed {
            self.shared.refuse(shed.0, &Refusal::Shed);
        }
    }
}
