//! What comes in on one lane: each frame once, without a gap.

/// A connection begins a lane behind what was received: frames are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer begins a lane at frame {first}, but only {received} have been received")]
pub struct Gap {
    /// The first frame that it sends.
    pub first: u64,
    /// How many have been received.
    pub received: u64,
}

/// What a receiver knows of one lane of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inbound {
    received: u64,
    /// Frames of the current connection that are to be dropped, because an earlier one brought them.
    known: u64,
}

impl Inbound {
    /// A connection goes on with this frame.
    ///
    /// # Errors
    /// Frames before it have not been received.
    pub fn begin(&mut self, first: u64) -> Result<(), Gap> {
        if first > self.received {
            return Err(Gap { first, received: self.received });
        }
        self.known = self.received - first;
        Ok(())
    }

    /// A frame has come: whether it is to be taken. False: it was taken before.
    pub fn take(&mut self) -> bool {
        if self.known > 0 {
            self.known -= 1;
            return false;
        }
        self.received += 1;
        true
    }

    /// How many frames have been taken in all.
    pub fn received(&self) -> u64 {
        self.received
    }
}
