//! The sending side of one lane of a session. Senders write frames into its buffer, on whatever thread they are; a
//! writer for each connection takes what has gathered and sends it as one piece.

use super::pending::{Call, Pending};
use super::target::Target;
use crate::service::contract::Encoding;
use crate::service::encode::Awaiting;
use crate::service::message::{Header, Message, Origin};
use bytes::Bytes;
use odeon_core::delivery::outbound::NeverSent;
use odeon_core::delivery::{Books, Outbound, Receipt, Window};
use odeon_core::wire::chain::{Chain, Hop, Place};
use odeon_core::wire::envelope::{
    CallId, Content, Encoding as WireEncoding, Head, Introduction, MethodNumber, ReceiverNumber, Request,
    Sender, Target as WireTarget,
};
use odeon_core::wire::frame::{self, FrameError};
use odeon_core::wire::limits;
use odeon_core::{Criticality, NodeId, Refusal, TraceId};
use parking_lot::Mutex;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;
use tokio::sync::Notify;

/// Frames of one lane that may wait or be unacknowledged, in bytes; requests beyond it are refused as congested.
/// Answers are let in beyond it: their number is bounded by the calls that the peer may have under way.
const BYTES_MAX: usize = 4 << 20;
/// A buffer for frames begins with the room of the last one, but with no more than this.
const BUFFER_MAX: usize = 64 << 10;

/// One lane towards a peer.
pub(super) struct Lane {
    number: u8,
    state: Mutex<State>,
    /// The writer waits for frames.
    wake: Notify,
}

struct State {
    /// Frames that no writer has taken yet.
    open: Vec<u8>,
    frames: u64,
    out: Outbound<Bytes>,
    /// The writer has found nothing.
    idle: bool,
    /// Counts connections: the writer of an earlier one gets nothing more.
    connection: u64,
    receivers: Vec<Receiver>,
    /// Where the search for a receiver number that can be given away goes on.
    hand: usize,
    books: Books,
    /// Senders that wait because the lane is full.
    waiting: Vec<Waker>,
    /// Hops of a chain while they are written.
    chain: Vec<u8>,
    /// The session has ended: nothing is taken any more.
    ended: Option<Refusal>,
}

/// What a receiver number stands for at the moment.
struct Receiver {
    target: u64,
    /// The frame that tells the peer so.
    introduced_by: u64,
    window: Window,
    /// Casts that were settled under this number, whatever it stood for.
    settled: u64,
    /// Senders that wait because the window is used up.
    waiting: Vec<Waker>,
}

/// Why a message did not go.
pub(super) enum Unsent<M> {
    /// There is no room; the waker, if one was given, is woken when there may be.
    Full(M),
    /// It cannot go.
    Refused(Refusal),
}

/// What a request says besides its message.
pub(super) struct Sending<'a> {
    pub(super) target: &'a Target,
    pub(super) method: MethodNumber,
    pub(super) encoding: Encoding,
    pub(super) header: Header,
    pub(super) remaining: Option<Duration>,
    pub(super) origin: Option<&'a Origin>,
    /// For a call, and where it waits for its answer.
    pub(super) call: Option<(CallId, &'a Pending)>,
}

impl Lane {
    pub(super) fn new(number: u8) -> Self {
        let state = State {
            open: Vec::new(),
            frames: 0,
            out: Outbound::default(),
            idle: false,
            connection: 0,
            receivers: Vec::new(),
            hand: 0,
            books: Books::default(),
            waiting: Vec::new(),
            chain: Vec::new(),
            ended: None,
        };
        Self { number, state: Mutex::new(state), wake: Notify::new() }
    }

    pub(super) fn number(&self) -> u8 {
        self.number
    }

    /// Writes a request behind the others.
    ///
    /// # Errors
    /// [`Unsent`]. Of a refusal whoever awaits the answer has been told.
    pub(super) fn send<M: Message>(
        &self,
        peer: &NodeId,
        sending: &Sending<'_>,
        message: M,
        waker: Option<&Waker>,
    ) -> Result<(), Unsent<M>> {
        let mut state = self.state.lock();
        let state = &mut *state;
        if let Some(refusal) = &state.ended {
            let refusal = refusal.clone();
            message.refuse(refusal.clone());
            return Err(Unsent::Refused(refusal));
        }
        if state.open.len() + state.out.bytes() >= BYTES_MAX {
            state.waiting.extend(waker.cloned());
            return Err(Unsent::Full(message));
        }
        let Some((number, is_new)) = state.receiver(sending) else {
            state.waiting.extend(waker.cloned());
            return Err(Unsent::Full(message));
        };
        let receiver = &mut state.receivers[number as usize];
        if !receiver.window.try_take() {
            receiver.waiting.extend(waker.cloned());
            return Err(Unsent::Full(message));
        }
        match write(&mut state.open, &mut state.chain, peer, sending, (number, is_new), message) {
            Ok(awaiting) => {
                let frame = state.out.next() + state.frames;
                state.frames += 1;
                match (sending.call, awaiting) {
                    (Some((id, pending)), Some(awaiting)) => {
                        state.books.add_call();
                        // before anybody can send it, and so before it can be answered
                        let lane = usize::from(self.number);
                        pending.sent(id, Call { awaiting, lane, frame, receiver: number });
                    }
                    _ => state.books.add_cast(),
                }
                self.wake_writer(state);
                Ok(())
            }
            Err(refusal) => {
                receiver.window.settle(1);
                if is_new {
                    // the peer was not told what the number stands for
                    receiver.target = 0;
                }
                Err(Unsent::Refused(refusal))
            }
        }
    }

    /// Writes a frame that is no request.
    pub(super) fn reply(&self, head: &Head<'_>, body: &[u8]) -> Result<(), FrameError> {
        let mut state = self.state.lock();
        let state = &mut *state;
        if state.ended.is_some() {
            return Ok(());
        }
        let open = frame::begin(&mut state.open, head)?;
        state.open.extend_from_slice(body);
        open.finish(&mut state.open, limits::FRAME_MAX)?;
        state.frames += 1;
        self.wake_writer(state);
        Ok(())
    }

    /// Takes back a request that no writer has taken yet. Not one that tells what the number of its receiver stands for,
    /// as long as others rely on it.
    pub(super) fn take_back(&self, frame: u64, receiver: u32) -> bool {
        let mut state = self.state.lock();
        let state = &mut *state;
        let Some(position) = frame.checked_sub(state.out.next()) else { return false };
        let receiver = state.receivers.get_mut(receiver as usize).filter(|r| r.introduced_by == frame);
        if receiver.as_ref().is_some_and(|receiver| receiver.window.out() > 1) {
            return false;
        }
        let taken = frame::take_back(&mut state.open, position);
        if let Some(receiver) = receiver.filter(|_| taken) {
            // the peer will not be told what the number stands for
            receiver.target = 0;
        }
        taken
    }

    fn wake_writer(&self, state: &mut State) {
        if std::mem::replace(&mut state.idle, false) {
            self.wake.notify_one();
        }
    }

    /// The next piece for a connection, once there is one; none when there is a later connection. Cancelling loses none
    /// before it is given back.
    pub(super) async fn next(&self, connection: u64) -> Option<Bytes> {
        loop {
            {
                let mut state = self.state.lock();
                let state = &mut *state;
                if state.connection != connection {
                    // what woke this one was meant for the other
                    self.wake.notify_one();
                    return None;
                }
                if state.frames > 0 {
                    let room = state.open.len().min(BUFFER_MAX);
                    let piece = std::mem::replace(&mut state.open, Vec::with_capacity(room));
                    let frames = std::mem::take(&mut state.frames);
                    state.out.push(frames, piece.len(), Bytes::from(piece));
                }
                if let Some(piece) = state.out.hand_over() {
                    return Some(piece.clone());
                }
                state.idle = true;
            }
            self.wake.notified().await;
        }
    }

    /// A new connection goes on where the receiver is. Gives back its number, which [`Lane::next`] wants, and that of
    /// the frame that it begins with.
    ///
    /// # Errors
    /// The receiver cannot have that many frames.
    pub(super) fn resume(&self, received: u64) -> Result<(u64, u64), NeverSent> {
        let mut state = self.state.lock();
        state.idle = false;
        state.connection += 1;
        let begun = (state.connection, state.out.resume(received)?.first);
        // what the receiver has had since it last said so has made room
        let wakers = std::mem::take(&mut state.waiting);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        Ok(begun)
    }

    /// What the receiver has said.
    ///
    /// # Errors
    /// For people: why it cannot be so.
    pub(super) fn settle(&self, received: u64, casts: Receipt, settled: &[(u32, u64)]) -> Result<(), String> {
        let mut wakers = Vec::new();
        {
            let mut state = self.state.lock();
            let state = &mut *state;
            if state.ended.is_some() {
                return Ok(());
            }
            let freed = state.out.received(received).map_err(|e| e.to_string())?;
            if freed > 0 && state.open.len() + state.out.bytes() < BYTES_MAX {
                wakers.append(&mut state.waiting);
            }
            state.books.settle_casts(casts).map_err(|e| e.to_string())?;
            for (number, count) in settled {
                let Some(receiver) = state.receivers.get_mut(*number as usize) else { continue };
                let more = count.saturating_sub(receiver.settled);
                receiver.settled += more;
                receiver.window.settle(u32::try_from(more).unwrap_or(u32::MAX));
                receiver.wake(&mut wakers);
            }
        }
        wakers.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// A call has ended. `refused` is why it did not run, if it did not.
    pub(super) fn settle_call(&self, receiver: u32, refused: Option<&Refusal>) {
        let mut wakers = Vec::new();
        {
            let mut state = self.state.lock();
            let state = &mut *state;
            if state.ended.is_some() {
                return;
            }
            state.books.settle_call(refused.map(Refusal::name));
            if let Some(receiver) = state.receivers.get_mut(receiver as usize) {
                if matches!(refused, Some(Refusal::MailboxFull)) {
                    receiver.window.narrow();
                }
                receiver.window.settle(1);
                receiver.wake(&mut wakers);
            }
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The session has ended: what was not acknowledged is lost. Gives back the first frame that certainly never
    /// arrived.
    pub(super) fn end(&self, refusal: Refusal, reason: &'static str) -> u64 {
        let mut state = self.state.lock();
        if state.ended.is_some() {
            return state.out.untold();
        }
        state.ended = Some(refusal);
        state.books.lose(reason);
        let mut wakers = std::mem::take(&mut state.waiting);
        for receiver in &mut state.receivers {
            wakers.append(&mut receiver.waiting);
        }
        let untold = state.out.untold();
        state.open = Vec::new();
        state.frames = 0;
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        untold
    }

    /// Whether nothing was ever handed to a connection.
    pub(super) fn is_untouched(&self) -> bool {
        self.state.lock().out.untold() == 0
    }

    pub(super) fn books(&self) -> Books {
        self.state.lock().books.clone()
    }

    /// Whether frames wait for the receiver, or messages for word of what became of them.
    pub(super) fn has_work(&self) -> bool {
        let state = self.state.lock();
        state.ended.is_none() && (state.frames > 0 || !state.out.is_empty() || state.books.open() > 0)
    }

    /// Frames and bytes that wait or are not acknowledged.
    pub(super) fn queue(&self) -> (u64, usize) {
        let state = self.state.lock();
        (state.frames + state.out.kept(), state.open.len() + state.out.bytes())
    }
}

impl Receiver {
    fn wake(&mut self, wakers: &mut Vec<Waker>) {
        if self.window.has_room() {
            wakers.append(&mut self.waiting);
        }
    }
}

impl State {
    /// The number of a receiver on this lane, and whether the peer must be told what it stands for. None: all numbers
    /// stand for receivers with something under way.
    fn receiver(&mut self, sending: &Sending<'_>) -> Option<(u32, bool)> {
        let target = sending.target;
        let slot = &target.numbers[sending.header.criticality().level()];
        let number = slot.load(Ordering::Relaxed);
        if self.receivers.get(number as usize).is_some_and(|r| r.target == target.id) {
            return Some((number, false));
        }
        let number = if self.receivers.len() < limits::RECEIVERS_MAX as usize {
            self.receivers.len()
        } else {
            let count = self.receivers.len();
            let free = (self.hand..self.hand + 64).map(|i| i % count).find(|i| {
                let receiver = &self.receivers[*i];
                receiver.window.out() == 0 && receiver.waiting.is_empty()
            });
            self.hand = free.map_or(self.hand + 64, |i| i + 1) % count;
            free?
        };
        let settled = self.receivers.get(number).map_or(0, |last| last.settled);
        let receiver = Receiver {
            target: target.id,
            introduced_by: self.out.next() + self.frames,
            window: Window::default(),
            settled,
            waiting: Vec::new(),
        };
        match self.receivers.get_mut(number) {
            Some(old) => *old = receiver,
            None => self.receivers.push(receiver),
        }
        slot.store(number as u32, Ordering::Relaxed);
        Some((number as u32, true))
    }
}

/// Writes the frame of a request.
fn write<M: Message>(
    open: &mut Vec<u8>,
    chain: &mut Vec<u8>,
    peer: &NodeId,
    sending: &Sending<'_>,
    (number, is_new): (u32, bool),
    message: M,
) -> Result<Option<Box<dyn Awaiting>>, Refusal> {
    let target = sending.target;
    let introduces =
        is_new.then(|| Introduction { service: target.service_number(), key: target.key.as_deref() });
    let to = WireTarget { receiver: ReceiverNumber(number), introduces };
    let mut request = Request::new(to, sending.method);
    request.remaining = sending.remaining;
    let described = sending.origin.map_or(Ok(()), |origin| describe(&mut request, origin, peer, chain));
    let content = match sending.call {
        Some((call, _)) => Content::Call(call, request),
        None => Content::Cast(request),
    };
    let head = Head {
        criticality: sending.header.criticality(),
        encoding: wire_encoding(sending.encoding),
        content,
    };
    let begun = described.and_then(|()| frame::begin(open, &head));
    let frame = match begun {
        Ok(frame) => frame,
        Err(error) => {
            let refusal = Refusal::Unencodable { problem: error.to_string() };
            message.refuse(refusal.clone());
            return Err(refusal);
        }
    };
    let encoded = match message.encode(sending.encoding, open) {
        Ok(encoded) => encoded,
        Err(refusal) => {
            frame.abandon(open);
            return Err(refusal);
        }
    };
    if encoded.encoding != sending.encoding {
        frame.set_encoding(open, wire_encoding(encoded.encoding));
    }
    match frame.finish(open, limits::FRAME_MAX) {
        Ok(_) => Ok(encoded.awaiting),
        Err(error) => {
            let refusal = Refusal::Unencodable { problem: error.to_string() };
            if let Some(awaiting) = encoded.awaiting {
                let outcome = crate::service::reply::RawOutcome::NotExecuted(refusal.clone());
                awaiting.settle(outcome, encoded.encoding);
            }
            Err(refusal)
        }
    }
}

/// On whose behalf a request goes.
fn describe<'a>(
    request: &mut Request<'a>,
    origin: &'a Origin,
    peer: &NodeId,
    buffer: &'a mut Vec<u8>,
) -> Result<(), FrameError> {
    request.sender = origin.activation.map(|activation| Sender { activation, holds: origin.holds });
    request.request = (!origin.request.is_nil()).then(|| origin.request.as_u128());
    // an unsampled trace that is named after its request need not be told
    let named = TraceId(origin.request.as_u128());
    let told = origin.trace != TraceId::default() && (origin.sampled || origin.trace != named);
    request.trace = told.then(|| origin.trace_context());
    request.tenant = origin.tenant.as_deref().filter(|t| !t.is_empty());
    request.principal = origin.principal.as_deref().filter(|p| !p.is_empty());
    if let Some(up) = origin.up.as_deref()
        && request.sender.is_some()
    {
        let mut hops: Vec<Hop<'a>> = up
            .chain()
            .filter_map(|origin| {
                let place = match &origin.node {
                    None => Place::Sender,
                    Some(node) if **node == *peer => Place::Receiver,
                    Some(node) => Place::Third((&**node).into()),
                };
                Some(Hop { place, activation: origin.activation?, holds: origin.holds })
            })
            .collect();
        hops.reverse();
        request.chain = Chain::encode(&hops, buffer)?;
    }
    Ok(())
}

pub(super) fn wire_encoding(encoding: Encoding) -> WireEncoding {
    match encoding {
        Encoding::Json => WireEncoding::Json,
        Encoding::Named => WireEncoding::Named,
        Encoding::Compact => WireEncoding::Compact,
    }
}

pub(super) fn encoding_of(encoding: WireEncoding) -> Encoding {
    match encoding {
        WireEncoding::Json => Encoding::Json,
        WireEncoding::Named => Encoding::Named,
        WireEncoding::Compact => Encoding::Compact,
    }
}

/// How urgent the streams of a class are among those of a connection; control comes before all.
pub(super) fn priority(class: Criticality) -> i32 {
    -(class.level() as i32)
}
