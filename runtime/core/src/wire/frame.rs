//! The frames of a lane: how one is found in a stream of bytes, read, and written.
//!
//! A frame is its length, a variable-length integer, and so many bytes: a head and a body. The first byte has the kind,
//! the class and the encoding; in all but a cast the id of the call follows. A request goes on with flags (two bytes,
//! network order), receiver, method, and what the flags announce, in the order of their bits; the others with what
//! their kind needs: see [`Content`](super::envelope::Content).
//!
//! Size: with a known receiver, a sender, a deadline and a method among the first 64, a cast takes 24 bytes at the most
//! including the length, and a call with a request id 40, as long as the node has counted fewer than 2^30 calls.

mod read;
#[cfg(test)]
mod tests;
mod write;

use super::envelope::{Encoding, Head};
use super::varint::{self, EndsEarly, Reader};
use super::{layout, limits};
use std::time::Duration;

/// Bytes that the length of a written frame takes: always four, since it is not known when they are left free.
const LENGTH_WIDTH: usize = 4;
/// The greatest length that four bytes hold.
const LENGTH_MAX: usize = (1 << 30) - 1;

/// Why bytes are no frame, or a head cannot be made one. The same frame would be refused again: the lane has lost its
/// place, so the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than allowed.
    #[error("a frame of {length} bytes: {max} are allowed")]
    TooLong {
        /// Its length in bytes.
        length: u64,
        /// The most bytes allowed.
        max: usize,
    },
    /// The frame ends too early.
    #[error("the frame ends within its {part}")]
    Truncated {
        /// What was being read.
        part: &'static str,
    },
    /// There is more than a frame of its kind has.
    #[error("{bytes} bytes follow a frame that has no body")]
    Trailing {
        /// How many bytes.
        bytes: usize,
    },
    /// The highest bit of the first byte is set.
    #[error("a reserved bit is set")]
    ReservedBit,
    /// No encoding has this number.
    #[error("there is no encoding {0}")]
    UnknownEncoding(u8),
    /// No advice about retries has this number.
    #[error("there is no advice about retries {0}")]
    UnknownRetry(u8),
    /// No cause of an unknown outcome has this number.
    #[error("there is no cause of an unknown outcome {0}")]
    UnknownCause(u8),
    /// A flag that means nothing yet.
    #[error("flags without a meaning: {0:#06x}")]
    UnknownFlags(u16),
    /// A flag that means something only together with another one.
    #[error("the flag {flag} without the flag {needs}")]
    FlagAlone {
        /// Which is set.
        flag: &'static str,
        /// Which is not.
        needs: &'static str,
    },
    /// A number is greater than it may be.
    #[error("{part} {value}: {max} at the most")]
    OutOfRange {
        /// What it counts.
        part: &'static str,
        /// What it is.
        value: u64,
        /// What it may be.
        max: u64,
    },
    /// A text is empty where it may not be, or too long.
    #[error("the {part} has {length} bytes: {min} to {max} are allowed")]
    TextLength {
        /// What it says.
        part: &'static str,
        /// Its length in bytes.
        length: u64,
        /// The least it may be.
        min: usize,
        /// The most it may be.
        max: usize,
    },
    /// A text is not UTF-8.
    #[error("the {part} is not UTF-8")]
    NotText {
        /// What it should say.
        part: &'static str,
    },
    /// A chain of no hops, which is left out instead, or of too many.
    #[error("a chain of {hops} hops: 1 to {max} are allowed", max = limits::HOPS_MAX)]
    ChainLength {
        /// How many.
        hops: usize,
    },
    /// A chain that lists more nodes than it can have hops.
    #[error("a chain over {nodes} nodes: {max} at the most", max = limits::HOPS_MAX)]
    ChainNodes {
        /// How many.
        nodes: usize,
    },
    /// A hop at a node that the chain does not list.
    #[error("a hop of the chain is at node {place}, and {nodes} are listed")]
    ChainPlace {
        /// Where, counted as in the frame.
        place: u8,
        /// How many are listed.
        nodes: u8,
    },
    /// What should name a node of the chain is no name.
    #[error("a node of the chain has no valid name")]
    NodeName,
}

/// A frame among other bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// What [`read`] takes.
    pub bytes: &'a [u8],
    /// How many bytes of the lane it takes with its length.
    pub consumed: usize,
}

/// The first frame of what has come on a lane; none when it has not come whole.
///
/// # Errors
/// [`FrameError::TooLong`] when it has more than `max` bytes: known as soon as its length is.
#[inline]
pub fn next(bytes: &[u8], max: usize) -> Result<Option<Found<'_>>, FrameError> {
    let mut reader = Reader::new(bytes);
    let Ok(length) = reader.varint() else { return Ok(None) };
    let fits = usize::try_from(length).ok().filter(|length| *length <= max);
    let fits = fits.ok_or(FrameError::TooLong { length, max })?;
    let Ok(frame) = reader.take(fits) else { return Ok(None) };
    Ok(Some(Found { bytes: frame, consumed: bytes.len() - reader.rest().len() }))
}

/// A frame that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it says.
    pub head: Head<'a>,
    /// What is encoded behind it; empty when there is none, or when it has a stream of its own.
    pub body: &'a [u8],
}

/// Reads a frame without its length, as [`next`] gives it. Nothing is copied or allocated.
///
/// # Errors
/// Any [`FrameError`] but [`FrameError::TooLong`]: what is wrong with the bytes.
#[inline]
pub fn read(bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
    read::frame(bytes)
}

/// Begins a frame at the end of `out`: its head is written and room left for its length. The body is appended by the
/// caller, and [`Open::finish`] ends the frame.
///
/// # Errors
/// A [`FrameError`] when a limit is passed or parts do not go together; `out` is as it was then.
#[inline]
pub fn begin(out: &mut Vec<u8>, head: &Head<'_>) -> Result<Open, FrameError> {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH_WIDTH]);
    if let Err(error) = write::head(out, head) {
        out.truncate(start);
        return Err(error);
    }
    Ok(Open { start, body: out.len(), bodiless: write::is_bodiless(head) })
}

/// Takes back a frame that was not sent yet: the one at a position among the whole frames of `lane`. It stays where it
/// is and says nothing. False: there is no such frame.
pub fn take_back(lane: &mut [u8], position: u64) -> bool {
    let mut at = 0;
    for left in (0..=position).rev() {
        let Ok(Some(found)) = next(&lane[at..], usize::MAX) else { return false };
        let (begin, end) = (at + found.consumed - found.bytes.len(), at + found.consumed);
        match lane.get_mut(begin) {
            Some(first) if left == 0 && begin < end => {
                *first |= layout::KIND;
                return true;
            }
            _ => at = end,
        }
    }
    false
}

/// Takes time off what is left to the requests among whole frames: so long they have waited here. A request that has
/// less left has none.
pub fn shorten(mut lane: &mut [u8], by: Duration) {
    let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
    while let Ok(Some(found)) = next(lane, usize::MAX) {
        let (end, begin) = (found.consumed, found.consumed - found.bytes.len());
        if let Ok(Some((at, left))) = read::remaining(found.bytes) {
            let replaced = varint::replace(&mut lane[begin + at..end], left.saturating_sub(by));
            debug_assert!(replaced.is_ok(), "a smaller number needs no more bytes");
        }
        lane = &mut lane[end..];
    }
}

/// A frame whose body is being written.
#[derive(Debug)]
#[must_use = "a frame without its length makes the rest of the lane unreadable"]
pub struct Open {
    start: usize,
    body: usize,
    bodiless: bool,
}

impl Open {
    /// Ends the frame with what has been appended to `out`, and tells how many bytes it takes with its length.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] when it has more than `max` bytes behind its length, [`FrameError::Trailing`] when it
    /// has a body and cannot have one. `out` is as it was before the frame then.
    ///
    /// # Panics
    /// When `out` has lost a part of the head meanwhile.
    #[inline]
    pub fn finish(self, out: &mut Vec<u8>, max: usize) -> Result<usize, FrameError> {
        assert!(out.len() >= self.body, "a body is appended, nothing else");
        let length = out.len() - self.start - LENGTH_WIDTH;
        let max = max.min(LENGTH_MAX);
        let fault = if length > max {
            Some(FrameError::TooLong { length: length as u64, max })
        } else if self.bodiless && out.len() > self.body {
            Some(FrameError::Trailing { bytes: out.len() - self.body })
        } else {
            None
        };
        if let Some(fault) = fault {
            out.truncate(self.start);
            return Err(fault);
        }
        let width = (length as u32 | 0x8000_0000).to_be_bytes();
        out[self.start..self.start + LENGTH_WIDTH].copy_from_slice(&width);
        Ok(out.len() - self.start)
    }

    /// Changes what the head says of the body's encoding.
    pub fn set_encoding(&self, out: &mut [u8], encoding: Encoding) {
        const MASK: u8 = 0b11 << layout::ENCODING_AT;
        let first = &mut out[self.start + LENGTH_WIDTH];
        *first = *first & !MASK | (encoding as u8) << layout::ENCODING_AT;
    }

    /// Where in the vector the body begins.
    pub const fn body(&self) -> usize {
        self.body
    }

    /// Gives the frame up, as when its body cannot be encoded: `out` is as it was before.
    pub fn abandon(self, out: &mut Vec<u8>) {
        out.truncate(self.start);
    }
}

/// Names what was being read when the bytes ended.
#[inline]
pub(super) fn part<T>(read: Result<T, EndsEarly>, part: &'static str) -> Result<T, FrameError> {
    read.map_err(|_| FrameError::Truncated { part })
}

/// Reads a number that has a limit.
#[inline]
pub(super) fn number(reader: &mut Reader<'_>, what: &'static str, max: u64) -> Result<u64, FrameError> {
    let value = part(reader.varint(), what)?;
    if value > max {
        return Err(FrameError::OutOfRange { part: what, value, max });
    }
    Ok(value)
}

/// Appends a number.
#[inline]
pub(super) fn put_number(out: &mut Vec<u8>, what: &'static str, value: u64) -> Result<(), FrameError> {
    varint::put(out, value).map_err(|_| FrameError::OutOfRange { part: what, value, max: varint::MAX })
}
