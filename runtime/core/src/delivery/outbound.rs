//! What goes out on one lane: kept until the receiver has it, and sent again from there after a reconnect.

use std::collections::VecDeque;

/// A receiver says that it has frames which were never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer has received {claimed} frames of a lane that has sent {sent}")]
pub struct NeverSent {
    /// How many it claims to have.
    pub claimed: u64,
    /// How many were sent.
    pub sent: u64,
}

/// Frames of one lane that the receiver does not have yet, in batches of whole frames. Frames are counted from 0
/// within a session.
#[derive(Debug)]
pub struct Outbound<B> {
    batches: VecDeque<Batch<B>>,
    /// The number of the first frame in `batches`.
    first: u64,
    /// The number of the next frame to be added.
    next: u64,
    /// How many of `batches` were handed to the current connection, and the number of the first frame behind them.
    handed: usize,
    handed_end: u64,
    /// The number of the first frame that no connection ever got.
    untold: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Batch<B> {
    frames: u64,
    bytes: usize,
    content: B,
}

/// Where a lane goes on after a reconnect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resumption {
    /// The number of the first frame that will be sent: the receiver has all before it, and perhaps some after it.
    pub first: u64,
    /// How many batches will be sent again.
    pub again: usize,
}

impl<B> Default for Outbound<B> {
    fn default() -> Self {
        Self { batches: VecDeque::new(), first: 0, next: 0, handed: 0, handed_end: 0, untold: 0, bytes: 0 }
    }
}

impl<B> Outbound<B> {
    /// Adds a batch of whole frames behind the others.
    pub fn push(&mut self, frames: u64, bytes: usize, content: B) {
        self.next += frames;
        self.bytes += bytes;
        self.batches.push_back(Batch { frames, bytes, content });
    }

    /// The next batch for the current connection. It counts as sent from now on: whether it arrives is unknown.
    pub fn hand_over(&mut self) -> Option<&mut B> {
        let batch = self.batches.get_mut(self.handed)?;
        self.handed += 1;
        self.handed_end += batch.frames;
        self.untold = self.untold.max(self.handed_end);
        Some(&mut batch.content)
    }

    /// The batch with a frame that no connection ever got, and its position there.
    pub fn unsent(&mut self, frame: u64) -> Option<(&mut B, u64)> {
        let mut first = self.first;
        if frame < self.untold {
            return None;
        }
        for batch in &mut self.batches {
            if frame < first + batch.frames {
                return Some((&mut batch.content, frame - first));
            }
            first += batch.frames;
        }
        None
    }

    /// The receiver has so many frames in all: what it has need not be kept. Gives back the bytes that are free now.
    ///
    /// # Errors
    /// It cannot have that many.
    pub fn received(&mut self, count: u64) -> Result<usize, NeverSent> {
        if count > self.untold {
            return Err(NeverSent { claimed: count, sent: self.untold });
        }
        let before = self.bytes;
        while let Some(batch) = self.batches.front()
            && self.first + batch.frames <= count
        {
            self.first += batch.frames;
            self.bytes -= batch.bytes;
            // one that was received over an earlier connection need not be handed to this one
            self.handed = self.handed.saturating_sub(1);
            self.handed_end = self.handed_end.max(self.first);
            self.batches.pop_front();
        }
        Ok(before - self.bytes)
    }

    /// A new connection, whose other end has so many frames in all: what it lacks will be handed over again.
    ///
    /// # Errors
    /// It cannot have that many.
    pub fn resume(&mut self, count: u64) -> Result<Resumption, NeverSent> {
        self.received(count)?;
        let again = std::mem::take(&mut self.handed);
        self.handed_end = self.first;
        Ok(Resumption { first: self.first, again })
    }

    /// The number that the next frame will have.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Frames from this number on were never handed to any connection: they certainly did not arrive.
    pub fn untold(&self) -> u64 {
        self.untold
    }

    /// Frames that are kept.
    pub fn kept(&self) -> u64 {
        self.next - self.first
    }

    /// Bytes that are kept.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the receiver has everything.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }
}
