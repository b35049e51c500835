//! The sending side of one lane of a session. Senders write frames into its buffer, on whatever thread they are; a
//! writer for each connection takes what has gathered and sends it as one piece.

mod held;
mod lanes;
mod look;
mod send;
mod write;

pub(super) use lanes::{Connected, Lanes};
pub(super) use write::{alone, encoding_of, large_body, wire_encoding};

use super::control::LaneReceipt;
use super::large::Outgoing;
use super::pending::Pending;
use super::target::Target;
use super::waiters::Waiters;
use crate::cell::{Tick, Wheel, turn};
use crate::reach::reached;
use crate::service::contract::Encoding;
use crate::service::message::{Header, Origin};
use bytes::{Bytes, BytesMut};
use held::Held;
use lanes::{Now, Writer};
use odeon_core::delivery::{Books, CallEnd, Loss, Outbound, Window};
use odeon_core::wire::envelope::{CallId, Head, MethodNumber};
use odeon_core::wire::frame::{self, FrameError};
use odeon_core::wire::limits;
use odeon_core::{Criticality, Refusal};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::Notify;

/// Frames of one lane that may wait or be unacknowledged, in bytes; requests beyond it are refused as congested.
/// Answers are let in beyond it, for their callers wait, up to [`ANSWERS_MAX`].
const BYTES_MAX: usize = 4 << 20;
/// The same of answers: with more, one says only that it is lost. A peer that stands still has this much in memory.
const ANSWERS_MAX: usize = 16 << 20;
/// Whoever has that many bytes of even those waiting calls without end and reads nothing.
const FLOOD: usize = 2 * ANSWERS_MAX;
/// What waits for less than this has its deadlines as it had them; and frames of a piece are not further apart.
const AGE_MIN: Duration = Duration::from_millis(10);
/// Frames of requests, or of that many bytes of either kind, after which whoever writes lets the writer run: the
/// receiver shall have something to do while more is written, or both take turns and their cores sleep in between.
const REQUESTS_TURN: u32 = 64;
const BYTES_TURN: usize = 16 << 10;
/// The same of answers: somebody waits for each.
const ANSWERS_TURN: u32 = 6;
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
    gathered: Gathered,
    /// Since when the first of them that has a deadline waits; never, if none has.
    since: Tick,
    out: Outbound<Piece>,
    /// Bytes of frames that wait for large bodies, or behind such frames.
    held: usize,
    /// Frames of large bodies that the peer may not have read, and how many bytes these have.
    large: VecDeque<(u64, u64)>,
    writer: Writer,
    /// The writer of an earlier connection gets nothing more.
    connected: Connected,
    /// The number of the frame that this connection begins with.
    first: u64,
    receivers: Vec<Receiver>,
    /// Where the search for a receiver number that can be given away goes on.
    hand: usize,
    books: Books,
    /// Senders that wait because the lane is full.
    waiting: Waiters,
    /// Hops of a chain while they are written.
    chain: Vec<u8>,
    /// The session has ended: nothing is taken any more.
    ended: Option<Refusal>,
}

impl State {
    /// Frames that wait or are unacknowledged, in bytes.
    fn bytes(&self) -> usize {
        self.open.len() + self.out.bytes() + self.held
    }
}

/// What was written since those who write were last told to let others run.
#[derive(Default)]
struct Gathered {
    frames: u32,
    bytes: usize,
}

/// Frames that are sent at once.
struct Piece {
    frames: Bytes,
    /// Since when their deadlines have not been shortened; never, if there are none.
    since: Tick,
}

impl Piece {
    /// Takes the time that the frames have waited off what is left to them.
    fn age(&mut self, wheel: &Wheel) {
        if self.since.is_never() {
            return;
        }
        let now = wheel.now();
        let waited = now.until(self.since);
        if waited >= AGE_MIN {
            reached!(AGED);
            self.change(|frames| frame::shorten(frames, waited));
            self.since = now;
        }
    }

    fn change<R>(&mut self, change: impl FnOnce(&mut [u8]) -> R) -> R {
        // an earlier connection may still have them
        let frames = std::mem::take(&mut self.frames).try_into_mut();
        let mut frames = frames.unwrap_or_else(|shared| BytesMut::from(&*shared));
        let changed = change(&mut frames);
        self.frames = frames.freeze();
        changed
    }
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
    waiting: Waiters,
    /// What waits for large bodies, and what has come behind.
    held: VecDeque<Held>,
}

/// Why a message did not go.
pub(super) enum Unsent<M> {
    /// There is no room; the bell, if one was given, is rung when there may be.
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
    /// The time; it matters where there is a deadline.
    pub(super) now: Tick,
    pub(super) large: &'a Outgoing,
    /// For a call, and where it waits for its answer.
    pub(super) call: Option<(CallId, &'a Pending)>,
}

impl Lane {
    fn new(number: u8, now: &Now) -> Self {
        let state = State {
            open: Vec::new(),
            frames: 0,
            gathered: Gathered::default(),
            since: Tick::NEVER,
            out: Outbound::default(),
            held: 0,
            large: VecDeque::new(),
            writer: Writer::None,
            connected: now.connected.clone(),
            first: 0,
            receivers: Vec::new(),
            hand: 0,
            books: Books::default(),
            waiting: Waiters::default(),
            chain: Vec::new(),
            ended: now.ended.clone(),
        };
        Self { number, state: Mutex::new(state), wake: Notify::new() }
    }

    pub(super) fn number(&self) -> u8 {
        self.number
    }

    /// Writes a frame that is no request.
    pub(super) fn reply(&self, head: &Head<'_>, body: &[u8]) -> Result<(), FrameError> {
        let mut state = self.state.lock();
        let state = &mut *state;
        if state.ended.is_some() {
            return Ok(());
        }
        let before = state.open.len();
        let open = frame::begin(&mut state.open, head)?;
        state.open.extend_from_slice(body);
        open.finish(&mut state.open, limits::FRAME_MAX)?;
        state.frames += 1;
        state.end_turn(before, ANSWERS_TURN);
        self.wake_writer(state);
        Ok(())
    }

    /// Whether so much waits or is unacknowledged that answers lose their bodies.
    pub(super) fn is_overfull(&self) -> bool {
        self.state.lock().bytes() >= ANSWERS_MAX
    }

    /// Whether the peer asks, and reads no answers.
    pub(super) fn is_flooded(&self) -> bool {
        self.state.lock().bytes() >= FLOOD
    }

    /// The next piece for a connection, once there is one; none when there is a later connection. Cancelling loses none
    /// before it is given back.
    pub(super) async fn next(&self, connected: &Connected, wheel: &Wheel) -> Option<Bytes> {
        loop {
            {
                let mut state = self.state.lock();
                let state = &mut *state;
                if state.connected.number != connected.number {
                    // what woke this one was meant for the other
                    self.wake.notify_one();
                    return None;
                }
                state.close();
                if let Some(piece) = state.out.hand_over() {
                    piece.age(wheel);
                    return Some(piece.frames.clone());
                }
                state.writer = Writer::Waits;
            }
            self.wake.notified().await;
        }
    }

    /// What the receiver has said. Gives back how many bytes the large bodies had whose frames it has read.
    ///
    /// # Errors
    /// For people: why it cannot be so.
    pub(super) fn settle(&self, said: &LaneReceipt) -> Result<u64, String> {
        let LaneReceipt { received, casts, settled, full, .. } = said;
        let mut woken = Waiters::default();
        let mut read = 0;
        {
            let mut state = self.state.lock();
            let state = &mut *state;
            if state.ended.is_some() {
                return Ok(0);
            }
            let freed = state.out.received(*received).map_err(|e| e.to_string())?;
            if freed > 0 && state.bytes() < BYTES_MAX {
                woken.append(&mut state.waiting);
            }
            while let Some((_, bytes)) = state.large.pop_front_if(|(frame, _)| *frame < *received) {
                read += bytes;
            }
            state.books.settle_casts(casts.clone()).map_err(|e| e.to_string())?;
            for number in full {
                if let Some(receiver) = state.receivers.get_mut(*number as usize) {
                    reached!(NARROWED);
                    receiver.window.narrow();
                }
            }
            for (number, count) in settled {
                let Some(receiver) = state.receivers.get_mut(*number as usize) else { continue };
                let more = count.saturating_sub(receiver.settled);
                receiver.settled += more;
                receiver.window.settle(u32::try_from(more).unwrap_or(u32::MAX));
                receiver.wake(&mut woken, &mut state.waiting);
            }
        }
        woken.wake();
        Ok(read)
    }

    /// A call has ended.
    pub(super) fn settle_call(&self, receiver: u32, end: CallEnd<'_>) {
        let mut woken = Waiters::default();
        {
            let mut state = self.state.lock();
            let state = &mut *state;
            if state.ended.is_some() {
                return;
            }
            state.books.settle_call(end);
            if let Some(receiver) = state.receivers.get_mut(receiver as usize) {
                if end == CallEnd::Refused(Refusal::MailboxFull.name()) {
                    receiver.window.narrow();
                }
                receiver.window.settle(1);
                receiver.wake(&mut woken, &mut state.waiting);
            }
        }
        woken.wake();
    }

    /// The session has ended: what was not acknowledged is lost. Gives back the first frame that certainly never
    /// arrived.
    pub(super) fn end(&self, refusal: Refusal, why: Loss) -> u64 {
        let mut state = self.state.lock();
        if state.ended.is_some() {
            return state.out.untold();
        }
        state.ended = Some(refusal);
        if state.books.open() > 0 {
            reached!(CASTS_LOST);
        }
        state.books.lose(why);
        let mut woken = state.waiting.take();
        for receiver in &mut state.receivers {
            woken.append(&mut receiver.waiting);
            receiver.held.clear();
        }
        let untold = state.out.untold();
        state.open = Vec::new();
        (state.frames, state.held) = (0, 0);
        drop(state);
        woken.wake();
        untold
    }

    /// Whether nothing is under way to a receiver that this number may stand for. What was under way when the session
    /// ended is lost.
    pub(super) fn is_quiet(&self, target: u64, number: u32) -> bool {
        let state = self.state.lock();
        if state.ended.is_some() {
            return true;
        }
        let receiver = state.receivers.get(number as usize).filter(|receiver| receiver.target == target);
        receiver.is_none_or(|receiver| receiver.window.out() == 0 && receiver.held.is_empty())
    }

    /// Messages that are under way to a receiver for which this number may stand.
    pub(super) fn under_way(&self, target: u64, number: u32) -> u32 {
        let state = self.state.lock();
        let receiver = state.receivers.get(number as usize).filter(|receiver| receiver.target == target);
        receiver.map_or(0, |receiver| receiver.window.out())
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
        (state.frames + state.out.kept(), state.open.len() + state.out.bytes() + state.held)
    }
}

impl Receiver {
    /// Its window may have room again, or nothing be under way to it any more: then its number can be given to others,
    /// who may wait for one.
    fn wake(&mut self, woken: &mut Waiters, for_numbers: &mut Waiters) {
        if self.window.has_room() {
            woken.append(&mut self.waiting);
        }
        if self.window.out() == 0 {
            woken.append(for_numbers);
        }
    }
}

impl State {
    /// A request is about to be written behind the others. A piece does not gather for long, so that its frames can be
    /// taken to have waited equally.
    fn begin(&mut self, sending: &Sending<'_>) {
        if sending.remaining.is_some() {
            if !self.since.is_never() && sending.now.until(self.since) >= AGE_MIN {
                self.close();
            }
            if self.since.is_never() {
                self.since = sending.now;
            }
        }
    }

    /// Lets others run when there is something worth sending. `before` is where the last frame begins.
    fn end_turn(&mut self, before: usize, after: u32) {
        self.gathered.frames += 1;
        self.gathered.bytes += self.open.len().saturating_sub(before);
        if self.gathered.frames >= after || self.gathered.bytes >= BYTES_TURN {
            self.gathered = Gathered::default();
            turn::end();
        }
    }

    /// What has gathered is a piece.
    fn close(&mut self) {
        if self.frames > 0 {
            let room = self.open.len().min(BUFFER_MAX);
            let frames = std::mem::replace(&mut self.open, Vec::with_capacity(room));
            let (bytes, since) = (frames.len(), std::mem::take(&mut self.since));
            let piece = Piece { frames: Bytes::from(frames), since };
            self.gathered = Gathered::default();
            self.out.push(std::mem::take(&mut self.frames), bytes, piece);
        }
    }
}

/// How urgent the streams of a class are among those of a connection; control comes before all.
pub(super) fn priority(class: Criticality) -> i32 {
    -(class.level() as i32)
}
