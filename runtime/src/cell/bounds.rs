//! The bound of a mailbox.

use odeon_core::outcome::Overflow;

/// The bound of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Most messages waiting; zero counts as one.
    pub count_max: u32,
    /// Most bytes waiting; one message larger than this fits an empty mailbox.
    pub bytes_max: u32,
    /// What happens to a message that does not fit.
    pub overflow: Overflow,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { count_max: 1024, bytes_max: 4 << 20, overflow: Overflow::Reject }
    }
}
