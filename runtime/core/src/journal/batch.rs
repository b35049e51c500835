//! A batch: what is written and synced at once.

/// Bytes in front of a batch's body.
pub const BATCH_HEAD: usize = 32;
/// Longest body, in bytes.
pub const BODY_MAX: usize = 16 << 20;
/// How a batch begins: "ODJB".
const MAGIC: u32 = u32::from_le_bytes(*b"ODJB");

/// What stands in front of a batch's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHead {
    /// Where it begins, in bytes from the beginning of the journal.
    pub position: u64,
    /// All before this position was durable when it was written.
    pub synced: u64,
    /// The checksum of what comes before it in its segment.
    pub chain: u32,
}

/// A batch that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch<'a> {
    /// Its head.
    pub head: BatchHead,
    /// Its records.
    pub body: &'a [u8],
    /// Its checksum, which the next one contains.
    pub checksum: u32,
}

impl BatchHead {
    /// Makes the bytes of a batch from those of its body, in front of which [`BATCH_HEAD`] bytes are free. Gives back its
    /// checksum.
    ///
    /// # Panics
    /// Nothing is free in front of the body, or that is longer than [`BODY_MAX`].
    pub fn seal(&self, batch: &mut [u8]) -> u32 {
        let length = batch.len().checked_sub(BATCH_HEAD).expect("room for the head is in front of the body");
        assert!(length <= BODY_MAX, "a body of {length} bytes was let in");
        let parts: [&[u8]; 5] = [
            &MAGIC.to_le_bytes(),
            &(length as u32).to_le_bytes(),
            &self.position.to_le_bytes(),
            &self.synced.to_le_bytes(),
            &self.chain.to_le_bytes(),
        ];
        let mut at = 0;
        for part in parts {
            batch[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        let checksum = checksum_of(batch);
        batch[at..BATCH_HEAD].copy_from_slice(&checksum.to_le_bytes());
        checksum
    }
}

impl<'a> Batch<'a> {
    /// The batch with which these bytes begin. None: they do not begin with a whole one.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let head = bytes.get(..BATCH_HEAD)?;
        let four = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
        let eight = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
        let length = four(4) as usize;
        if four(0) != MAGIC || length > BODY_MAX {
            return None;
        }
        let whole = bytes.get(..BATCH_HEAD + length)?;
        let checksum = four(28);
        if checksum_of(whole) != checksum {
            return None;
        }
        let head = BatchHead { position: eight(8), synced: eight(16), chain: four(24) };
        Some(Self { head, body: &whole[BATCH_HEAD..], checksum })
    }

    /// The bytes that it takes.
    pub fn length(&self) -> usize {
        BATCH_HEAD + self.body.len()
    }

    /// Where something may begin that looks like a batch, from `at` on.
    pub(super) fn search(bytes: &[u8], at: usize) -> impl Iterator<Item = usize> + '_ {
        let magic = MAGIC.to_le_bytes();
        let rest = bytes.get(at..).unwrap_or_default();
        rest.windows(magic.len())
            .enumerate()
            .filter(move |(_, found)| **found == magic)
            .map(move |(i, _)| at + i)
    }
}

fn checksum_of(batch: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&batch[..BATCH_HEAD - 4]);
    hasher.update(&batch[BATCH_HEAD..]);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_comes_back_as_it_was_written_and_not_with_any_bit_changed() {
        let head = BatchHead { position: 1 << 40, synced: 7, chain: 0xdead_beef };
        let mut bytes = [vec![0; BATCH_HEAD], b"a body".to_vec()].concat();
        let checksum = head.seal(&mut bytes);
        assert_eq!(Batch::read(&bytes), Some(Batch { head, body: b"a body", checksum }));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                assert_eq!(Batch::read(&bytes), None, "bit {bit} of byte {at}");
                bytes[at] ^= 1 << bit;
            }
            assert_eq!(Batch::read(&bytes[..at]), None, "cut off after {at}");
        }
        bytes.extend_from_slice(b"what comes behind");
        assert_eq!(Batch::read(&bytes).map(|batch| batch.length()), Some(BATCH_HEAD + 6));
    }
}
