//! How a message gets onto a lane, or behind a large body that goes ahead of it.

use super::held::Held;
use super::write::{self, Apart, Written};
use super::{BYTES_MAX, Lane, REQUESTS_TURN, Receiver, Sending, State, Unsent};
use crate::reach::reached;
use crate::remote::large::Behind;
use crate::remote::pending::{Call, HELD};
use crate::remote::waiters::{Bell, Waiters};
use crate::service::encode::Awaiting;
use crate::service::message::Message;
use odeon_core::NodeId;
use odeon_core::delivery::Window;
use odeon_core::wire::limits;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;

impl Lane {
    /// Writes a request behind the others.
    ///
    /// # Errors
    /// [`Unsent`]. Of a refusal whoever awaits the answer has been told.
    pub(in crate::remote) fn send<M: Message>(
        &self,
        peer: &NodeId,
        sending: &Sending<'_>,
        message: M,
        bell: Option<&Bell>,
    ) -> Result<(), Unsent<M>> {
        let mut state = self.state.lock();
        let state = &mut *state;
        if let Some(refusal) = &state.ended {
            let refusal = refusal.clone();
            message.refuse(refusal.clone());
            return Err(Unsent::Refused(refusal));
        }
        if state.bytes() >= BYTES_MAX {
            reached!(LANE_FULL);
            state.waiting.add(bell);
            return Err(Unsent::Full(message));
        }
        let Some((number, is_new)) = state.receiver(sending) else {
            state.waiting.add(bell);
            return Err(Unsent::Full(message));
        };
        let receiver = &mut state.receivers[number as usize];
        if !receiver.window.try_take() {
            reached!(NO_CREDIT);
            receiver.waiting.add(bell);
            return Err(Unsent::Full(message));
        }
        let written = if receiver.held.is_empty() {
            state.begin(sending);
            let before = state.open.len();
            write::write(&mut state.open, &mut state.chain, peer, sending, (number, is_new), message).map(
                |written| {
                    state.end_turn(before, REQUESTS_TURN);
                    state.sent(self, sending, number, is_new, written);
                },
            )
        } else {
            let mut frame = Vec::new();
            write::write(&mut frame, &mut state.chain, peer, sending, (number, is_new), message)
                .map(|written| state.held(self, sending, number, frame, written))
        };
        written.map_err(|refusal| {
            let receiver = &mut state.receivers[number as usize];
            receiver.window.settle(1);
            if is_new {
                // the peer was not told what the number stands for
                receiver.target = 0;
            }
            Unsent::Refused(refusal)
        })
    }
}

impl State {
    /// The frame is behind the others, or its body goes ahead of it.
    fn sent(&mut self, lane: &Lane, sending: &Sending<'_>, number: u32, is_new: bool, written: Written) {
        if let Some(apart) = written.apart {
            let held = Apart::hold(apart, sending, lane, number, is_new);
            self.hold(lane, sending, number, held, written.awaiting);
        } else {
            let frame = self.out.next() + self.frames;
            self.frames += 1;
            self.enter(lane, sending, number, frame, written.awaiting);
            lane.wake_writer(self);
        }
    }

    /// The frame comes behind one that waits for its body.
    fn held(&mut self, lane: &Lane, sending: &Sending<'_>, number: u32, frame: Vec<u8>, written: Written) {
        reached!(BEHIND);
        let held = match written.apart {
            Some(apart) => Apart::hold(apart, sending, lane, number, false),
            None => Held::new(frame, sending),
        };
        self.hold(lane, sending, number, held, written.awaiting);
    }

    fn hold(
        &mut self,
        lane: &Lane,
        sending: &Sending<'_>,
        number: u32,
        held: Held,
        awaiting: Option<Box<dyn Awaiting>>,
    ) {
        self.held += held.frame.len();
        let receiver = &mut self.receivers[number as usize];
        if held.introduces {
            receiver.introduced_by = HELD;
        }
        receiver.held.push_back(held);
        self.enter(lane, sending, number, HELD, awaiting);
    }

    /// Enters a message into the books, and a call where it waits: before anybody can send it, and so before it can be
    /// answered.
    fn enter(
        &mut self,
        lane: &Lane,
        sending: &Sending<'_>,
        receiver: u32,
        frame: u64,
        awaiting: Option<Box<dyn Awaiting>>,
    ) {
        match (sending.call, awaiting) {
            (Some((id, pending)), Some(awaiting)) => {
                self.books.add_call();
                pending.sent(id, Call { awaiting, lane: usize::from(lane.number), frame, receiver });
            }
            _ => self.books.add_cast(),
        }
    }

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
            reached!(RENUMBERED);
            free?
        };
        let settled = self.receivers.get(number).map_or(0, |last| last.settled);
        let receiver = Receiver {
            target: target.id,
            introduced_by: self.out.next() + self.frames,
            window: Window::default(),
            settled,
            waiting: Waiters::default(),
            held: VecDeque::new(),
        };
        match self.receivers.get_mut(number) {
            Some(old) => *old = receiver,
            None => self.receivers.push(receiver),
        }
        slot.store(number as u32, Ordering::Relaxed);
        Some((number as u32, true))
    }
}

impl Apart {
    /// Sends the body ahead. What waits for it is given back.
    fn hold(self, sending: &Sending<'_>, lane: &Lane, receiver: u32, introduces: bool) -> Held {
        reached!(APART);
        let Apart { frame, large, body } = self;
        let behind = Behind::Request { lane: usize::from(lane.number), receiver };
        sending.large.add(large.id, body, sending.header.criticality(), behind);
        Held { waits_for: Some(large), introduces, ..Held::new(frame, sending) }
    }
}
