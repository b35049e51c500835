//! How much may be under way to one receiver. It begins small and doubles while the receiver keeps up, as the slow
//! start of TCP does (RFC 5681, section 3.1); a receiver that has no room halves it.

/// Messages for one receiver without an acknowledgement: at the beginning, and at least.
pub const WINDOW_MIN: u32 = 32;
/// The same at the most: a mailbox that nobody configured holds 1,024, and may count some that it has handed out as
/// waiting, a batch of 32 and what two executors do not know of each other yet.
pub const WINDOW_MAX: u32 = 960;

/// What a sender may have under way to one receiver on one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    limit: u32,
    out: u32,
    /// Acknowledged since the window was last widened, or found to be too small.
    calm: u32,
    /// It kept a message back since then.
    wanted: bool,
}

impl Default for Window {
    fn default() -> Self {
        Self { limit: WINDOW_MIN, out: 0, calm: 0, wanted: false }
    }
}

impl Window {
    /// Another message, if it may go.
    #[inline]
    pub fn try_take(&mut self) -> bool {
        let fits = self.out < self.limit;
        if fits {
            self.out += 1;
        } else {
            self.wanted = true;
        }
        fits
    }

    /// So many have been dealt with. Those that were not under way do not count.
    #[inline]
    pub fn settle(&mut self, count: u32) {
        let count = count.min(self.out);
        self.out -= count;
        self.calm = self.calm.saturating_add(count);
        if self.wanted && self.calm >= self.limit {
            self.limit = (self.limit * 2).min(WINDOW_MAX);
            self.calm = 0;
            self.wanted = false;
        }
    }

    /// The receiver had no room for a message.
    pub fn narrow(&mut self) {
        self.limit = (self.limit / 2).max(WINDOW_MIN);
        self.calm = 0;
    }

    /// Messages under way.
    pub fn out(&self) -> u32 {
        self.out
    }

    /// How many may be.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Whether another one may go.
    pub fn has_room(&self) -> bool {
        self.out < self.limit
    }
}
