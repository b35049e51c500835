//! What waits for a large body that goes ahead of it, or behind such a message, so that messages for one receiver stay
//! in order. Others of the lane pass by.

use super::{AGE_MIN, Lane, Sending, State};
use crate::cell::{Tick, Wheel};
use crate::remote::large::Outgoing;
use crate::remote::pending::{HELD, Pending};
use odeon_core::wire::envelope::{CallId, Head, LargeBody};
use odeon_core::wire::frame;

/// A frame that waits.
pub(super) struct Held {
    pub(super) frame: Vec<u8>,
    /// What the peer must have first.
    pub(super) waits_for: Option<LargeBody>,
    /// It tells what the number of its receiver stands for.
    pub(super) introduces: bool,
    pub(super) call: Option<CallId>,
    /// Since when it waits; never, if it has no deadline.
    pub(super) since: Tick,
    /// How many bytes its body has, if the peer has that already.
    pub(super) large: u64,
}

impl Held {
    pub(super) fn new(frame: Vec<u8>, sending: &Sending<'_>) -> Self {
        let since = sending.remaining.map_or(Tick::NEVER, |_| sending.now);
        let call = sending.call.map(|(id, _)| id);
        Self { frame, waits_for: None, introduces: false, call, since, large: 0 }
    }
}

impl Lane {
    /// The peer has the body of a request.
    pub(in crate::remote) fn release(&self, receiver: u32, body: u64, pending: &Pending, wheel: &Wheel) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let Some(waiting) = state.receivers.get_mut(receiver as usize) else { return };
        let held = waiting.held.iter_mut().find(|held| held.waits_for.is_some_and(|large| large.id == body));
        if let Some(held) = held {
            held.large = held.waits_for.take().map_or(0, |large| large.length);
        }
        state.pass(receiver, pending, wheel);
        self.wake_writer(state);
    }

    /// An answer whose large body the peer has.
    pub(in crate::remote) fn answer(&self, frame: &[u8], large: u64) {
        let mut state = self.state.lock();
        let state = &mut *state;
        if state.ended.is_none() {
            state.large.push_back((state.out.next() + state.frames, large));
            state.open.extend_from_slice(frame);
            state.frames += 1;
            self.wake_writer(state);
        }
    }

    /// Takes back a call that no writer has taken yet. Not one that tells what the number of its receiver stands for, as
    /// long as others rely on it.
    pub(in crate::remote) fn take_back(
        &self,
        (call, frame): (CallId, u64),
        receiver: u32,
        (large, pending, wheel): (&Outgoing, &Pending, &Wheel),
    ) -> bool {
        let mut state = self.state.lock();
        let state = &mut *state;
        if frame == HELD {
            let taken = state.take_held(call, receiver, large);
            state.pass(receiver, pending, wheel);
            self.wake_writer(state);
            return taken;
        }
        let introducer = state.receivers.get_mut(receiver as usize).filter(|r| r.introduced_by == frame);
        if introducer.as_ref().is_some_and(|receiver| receiver.window.out() > 1) {
            return false;
        }
        let taken = match frame.checked_sub(state.out.next()) {
            Some(position) => frame::take_back(&mut state.open, position),
            None => state
                .out
                .unsent(frame)
                .is_some_and(|(piece, position)| piece.change(|frames| frame::take_back(frames, position))),
        };
        if let Some(receiver) = introducer.filter(|_| taken) {
            // the peer will not be told what the number stands for
            receiver.target = 0;
        }
        taken
    }

    /// Tells that a call is cancelled: behind that call.
    pub(in crate::remote) fn cancel(&self, head: &Head<'_>, receiver: u32) {
        {
            let mut state = self.state.lock();
            let state = &mut *state;
            let waiting = state.receivers.get_mut(receiver as usize).filter(|r| !r.held.is_empty());
            if let Some(receiver) = waiting {
                let Ok(frame) = super::alone(head) else { return };
                state.held += frame.len();
                let held = Held {
                    frame,
                    waits_for: None,
                    introduces: false,
                    call: None,
                    since: Tick::NEVER,
                    large: 0,
                };
                receiver.held.push_back(held);
                return;
            }
        }
        let _ = self.reply(head, &[]);
    }
}

impl State {
    /// What waits for nothing more is put behind the others of the lane.
    fn pass(&mut self, receiver: u32, pending: &Pending, wheel: &Wheel) {
        let Some(waiting) = self.receivers.get_mut(receiver as usize) else { return };
        let mut now = None;
        while let Some(held) = waiting.held.pop_front_if(|held| held.waits_for.is_none()) {
            self.held -= held.frame.len();
            let frame = self.out.next() + self.frames;
            let at = self.open.len();
            self.open.extend_from_slice(&held.frame);
            self.frames += 1;
            if held.introduces {
                waiting.introduced_by = frame;
            }
            if let Some(call) = held.call {
                pending.numbered(call, frame);
            }
            if held.large > 0 {
                self.large.push_back((frame, held.large));
            }
            if !held.since.is_never() {
                let now = *now.get_or_insert_with(|| wheel.now());
                let waited = now.until(held.since);
                if waited >= AGE_MIN {
                    frame::shorten(&mut self.open[at..], waited);
                }
                self.since = self.since.earlier(now);
            }
        }
    }

    /// Takes back a call that waits. False: its body is on the way, or others rely on it.
    fn take_held(&mut self, call: CallId, receiver: u32, large: &Outgoing) -> bool {
        let Some(receiver) = self.receivers.get_mut(receiver as usize) else { return false };
        let Some(at) = receiver.held.iter().position(|held| held.call == Some(call)) else { return false };
        let held = &receiver.held[at];
        let is_alone = receiver.window.out() == 1;
        if held.introduces && !is_alone || held.large > 0 {
            return false;
        }
        if held.waits_for.is_some_and(|body| !large.forget(body.id)) {
            return false;
        }
        if held.introduces {
            receiver.target = 0;
        }
        self.held -= held.frame.len();
        receiver.held.remove(at);
        true
    }
}
