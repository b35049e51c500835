//! Calls under way to a peer: who waits for what.

use super::waiters::{Bell, Waiters};
use crate::reach::reached;
use crate::service::contract::Encoding;
use crate::service::encode::Awaiting;
use crate::service::reply::RawOutcome;
use odeon_core::UnknownCause;
use odeon_core::wire::envelope::CallId;
use parking_lot::Mutex;

/// Most calls under way to one peer.
pub(super) const CALLS_MAX: usize = 1 << 16;
const INDEX_BITS: u32 = 16;
/// Stands for the number of a frame that has none yet: it waits for a large body.
pub(super) const HELD: u64 = u64::MAX;

/// Calls under way to a peer.
#[derive(Default)]
pub(super) struct Pending(Mutex<Table>);

#[derive(Default)]
struct Table {
    slots: Vec<Slot>,
    free: Vec<u16>,
    /// Senders that wait because there are as many as there may be.
    waiting: Waiters,
}

struct Slot {
    /// How often the slot was used: an answer that comes too late finds another number.
    generation: u64,
    call: Option<Call>,
}

/// A call that was sent.
pub(super) struct Call {
    pub(super) awaiting: Box<dyn Awaiting>,
    pub(super) lane: usize,
    pub(super) frame: u64,
    pub(super) receiver: u32,
}

impl Pending {
    /// A number for a call that is about to be sent. None: too many are under way; `bell` is rung when there is room.
    pub(super) fn reserve(&self, bell: Option<&Bell>) -> Option<CallId> {
        let mut table = self.0.lock();
        let index = match table.free.pop() {
            Some(index) => usize::from(index),
            None if table.slots.len() < CALLS_MAX => {
                table.slots.push(Slot { generation: 0, call: None });
                table.slots.len() - 1
            }
            None => {
                reached!(CALLS_FULL);
                table.waiting.add(bell);
                return None;
            }
        };
        let slot = &mut table.slots[index];
        slot.generation += 1;
        Some(CallId(slot.generation << INDEX_BITS | index as u64))
    }

    /// It is sent. Lanes end before their calls do, so this one will.
    pub(super) fn sent(&self, id: CallId, call: Call) {
        self.0.lock().slots[index_of(id)].call = Some(call);
    }

    /// Its frame has got a number: it is behind the others of its lane.
    pub(super) fn numbered(&self, id: CallId, frame: u64) {
        let mut table = self.0.lock();
        let slot = table.slots.get_mut(index_of(id)).filter(|slot| slot.generation == id.0 >> INDEX_BITS);
        if let Some(call) = slot.and_then(|slot| slot.call.as_mut()) {
            call.frame = frame;
        }
    }

    /// It was not sent after all.
    pub(super) fn unreserve(&self, id: CallId) {
        let mut table = self.0.lock();
        table.free.push(index_of(id) as u16);
        let waiting = table.waiting.take();
        drop(table);
        waiting.wake();
    }

    /// Takes a call out: it has ended, or nobody waits any more.
    pub(super) fn take(&self, id: CallId) -> Option<Call> {
        let mut table = self.0.lock();
        let index = index_of(id);
        let slot = table.slots.get_mut(index).filter(|slot| slot.generation == id.0 >> INDEX_BITS)?;
        let call = slot.call.take()?;
        table.free.push(index as u16);
        let waiting = table.waiting.take();
        drop(table);
        waiting.wake();
        Some(call)
    }

    /// The session has ended: those that were never sent did not run, of the others nobody knows.
    pub(super) fn end(&self, untold: impl Fn(usize) -> u64, unsent: &odeon_core::Refusal) {
        let (calls, waiting): (Vec<Call>, _) = {
            let mut table = self.0.lock();
            let Table { slots, free, waiting } = &mut *table;
            let ended = slots.iter_mut().enumerate().filter_map(|(index, slot)| {
                let call = slot.call.take()?;
                free.push(index as u16);
                Some(call)
            });
            (ended.collect(), waiting.take())
        };
        waiting.wake();
        for call in calls {
            let outcome = if call.frame >= untold(call.lane) {
                reached!(NEVER_SENT);
                RawOutcome::NotExecuted(unsent.clone())
            } else {
                reached!(LINK_LOST);
                RawOutcome::Unknown(UnknownCause::LinkLost)
            };
            call.awaiting.settle(outcome, Encoding::Named);
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        let table = self.0.lock();
        table.slots.len() - table.free.len()
    }
}

fn index_of(id: CallId) -> usize {
    (id.0 & ((1 << INDEX_BITS) - 1)) as usize
}
