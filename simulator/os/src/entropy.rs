//! Chance: the one generator that every seeded stream of a simulation uses, and (in the symbols) what the
//! operating system answers when a program asks for random bytes.

use crate::kernel::{self, Kernel};
use crate::symbol::interpose;
use libc::c_int;

/// A seeded stream of pseudo-random numbers: xoshiro256++ (Blackman and Vigna, 2019), seeded by splitmix64.
///
/// Streams with different labels are independent, so that drawing more in one place (say, the network) does
/// not shift what another place (say, a disk) draws.
#[derive(Clone, Debug)]
pub struct Stream {
    state: [u64; 4],
}

/// One step of splitmix64, used to spread a seed over the generator's state.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

impl Stream {
    /// The stream of `seed` for the purpose named by `label`.
    pub fn new(seed: u64, label: &str) -> Stream {
        let mut start =
            label.bytes().fold(seed ^ 0x0DE0_2026, |mixed, byte| splitmix(&mut { mixed ^ u64::from(byte) }));
        Stream { state: std::array::from_fn(|_| splitmix(&mut start)) }
    }

    /// The next 64 bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let state = &mut self.state;
        let result = state[0].wrapping_add(state[3]).rotate_left(23).wrapping_add(state[0]);
        let shifted = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = state[3].rotate_left(45);
        result
    }

    /// A number in `low..=high`; `low` when the range is empty.
    #[inline]
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        if high <= low {
            return low;
        }
        match (high - low).checked_add(1) {
            // The bias of multiply-and-shift is below 2^-32 for every range used here.
            Some(width) => low + ((u128::from(self.next_u64()) * u128::from(width)) >> 64) as u64,
            None => self.next_u64(),
        }
    }

    /// A number in `0.0..1.0`.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with this probability. Draws nothing when the answer is certain.
    #[inline]
    pub fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && (probability >= 1.0 || self.unit() < probability)
    }

    /// Fills a buffer with random bytes.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

impl Kernel {
    /// Random bytes for the running host, or for the script between turns.
    fn random_bytes(&mut self, buffer: &mut [u8]) {
        self.counters.random_reads += 1;
        match self.turn.seat {
            Some(seat) => self.host_mut(seat.host).entropy.fill(buffer),
            None => self.entropy.fill(buffer),
        }
    }
}

/// Fills the caller's buffer when this thread has a kernel.
///
/// # Safety
/// `buffer` must be valid for writes of `length` bytes.
pub(crate) unsafe fn fill(buffer: *mut u8, length: usize) -> Option<()> {
    kernel::with(|kernel| {
        if length > 0 {
            // SAFETY: the caller promises the buffer; zero length (possibly null) is excluded.
            kernel.random_bytes(unsafe { std::slice::from_raw_parts_mut(buffer, length) });
        }
    })
}

interpose! {
    /// Random bytes (std, getrandom 0.3 and later).
    fn getrandom(buffer: *mut u8, length: usize, flags: u32) -> isize {
        // SAFETY: the contract of getrandom.
        unsafe { fill(buffer, length) }.map(|()| length as isize)
    }

    /// Random bytes, the BSD way.
    fn getentropy(buffer: *mut u8, length: usize) -> c_int {
        // SAFETY: the contract of getentropy.
        unsafe { fill(buffer, length) }.map(|()| 0)
    }
}
