//! What belongs to the driver of a mailbox: the batch that it has taken, and what it tells its senders.

use super::queue::Letter;
use super::ring::Ring;
use super::sync::{AtomicU32, Ordering};

/// Set in [`Pace::signal`]: something more critical has come than what is in hand.
pub(crate) const URGENT: u32 = 1;
/// Set in [`Pace::signal`]: somebody waits for room.
pub(crate) const CROWDED: u32 = 2;

/// What the driver and its senders tell each other outside the lock. Written by the driver, hardly ever by others:
/// it belongs on another cache line than the mailbox.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Looked at by the driver between two letters; normal traffic never writes it. The bits above [`CROWDED`] are
    /// the cell's own.
    pub(crate) signal: AtomicU32,
    /// Letters begun, wrapping; published now and then. Senders look only when they would refuse.
    pub(super) begun: AtomicU32,
    pub(super) begun_bytes: AtomicU32,
}

impl Pace {
    /// Letters begun, wrapping, as of the last publication.
    pub(crate) fn begun(&self) -> u32 {
        self.begun.load(Ordering::Relaxed)
    }
}

/// What the driver has taken and not begun.
#[derive(Debug)]
pub(crate) struct Hand<T> {
    pub(super) batch: Ring<T>,
    pub(super) begun: u32,
    pub(super) begun_bytes: u32,
    /// The largest batch since the driver last slept.
    pub(super) largest: u32,
    pub(super) level: u8,
}

impl<T> Default for Hand<T> {
    fn default() -> Self {
        Self { batch: Ring::default(), begun: 0, begun_bytes: 0, largest: 0, level: 0 }
    }
}

impl<T: Letter> Hand<T> {
    /// The next letter.
    #[inline]
    pub(crate) fn front(&self) -> Option<&T> {
        self.batch.front()
    }

    /// Takes the next letter for good: it no longer counts against the bound, from the next publication on.
    #[inline]
    pub(crate) fn begin(&mut self) -> Option<T> {
        let letter = self.batch.pop_front()?;
        self.begun = self.begun.wrapping_add(1);
        self.begun_bytes = self.begun_bytes.wrapping_add(letter.weight());
        Some(letter)
    }

    /// Letters begun, wrapping.
    #[inline]
    pub(crate) fn begun(&self) -> u32 {
        self.begun
    }

    /// Gives back buffers that the last burst does not explain: what is sent after a large one frees them. An entity
    /// that nothing is sent to any more is passivated with them.
    pub(super) fn tidy(&mut self, lane: &mut Ring<T>) {
        let most = std::mem::take(&mut self.largest).saturating_mul(4).max(4) as usize;
        let keeps = |buffer: &Ring<T>| buffer.capacity() <= most;
        if !keeps(&self.batch) {
            self.batch = Ring::default();
        }
        if !keeps(lane) {
            *lane = Ring::default();
        }
    }
}
