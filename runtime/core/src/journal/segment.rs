//! A segment: a head, and batches behind it. What is left of one after a crash.

use super::batch::Batch;

/// Bytes in front of a segment's first batch.
pub const SEGMENT_HEAD: usize = 32;
/// How a segment begins.
const MAGIC: [u8; 8] = *b"odeon-jr";
/// The form of all that is described in this folder.
const VERSION: u32 = 1;

/// What stands in front of a segment's batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHead {
    /// Where the segment begins, in bytes from the beginning of the journal. Segments are named by it.
    pub position: u64,
    /// The checksum of what comes before it.
    pub chain: u32,
}

/// Bytes that are no segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// Too few for a head.
    #[error("it is shorter than its head")]
    Short,
    /// They are something else.
    #[error("it does not begin as a segment does")]
    Foreign,
    /// Another version has written it.
    #[error("it is of version {0}, and this one reads {VERSION}")]
    Version(u32),
    /// The head has rotted.
    #[error("the checksum of its head is wrong")]
    Checksum,
}

impl SegmentHead {
    /// Its bytes, and its checksum, which the first batch contains.
    pub fn write(&self) -> ([u8; SEGMENT_HEAD], u32) {
        let mut bytes = [0; SEGMENT_HEAD];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.position.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.chain.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..28]);
        bytes[28..].copy_from_slice(&checksum.to_le_bytes());
        (bytes, checksum)
    }

    /// The head of the segment that begins with these bytes, and its checksum.
    ///
    /// # Errors
    /// [`SegmentError`].
    pub fn read(bytes: &[u8]) -> Result<(Self, u32), SegmentError> {
        let head = bytes.get(..SEGMENT_HEAD).ok_or(SegmentError::Short)?;
        if head[..8] != MAGIC {
            return Err(SegmentError::Foreign);
        }
        let four = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
        let (version, checksum) = (four(8), four(28));
        if crc32fast::hash(&head[..28]) != checksum {
            return Err(SegmentError::Checksum);
        }
        if version != VERSION {
            return Err(SegmentError::Version(version));
        }
        let position = u64::from_le_bytes(head[12..20].try_into().expect("eight bytes"));
        Ok((Self { position, chain: four(20) }, checksum))
    }
}

/// How a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// With a whole batch.
    Whole,
    /// With bytes that are no whole batch. Nobody was told that they are kept: they may be cut off.
    Torn,
    /// They were durable, and are wrong now: what was relied upon is lost.
    Rotten,
}

/// What was found in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Where its last whole batch ends, in bytes from the beginning of the journal.
    pub end: u64,
    /// The checksum of that.
    pub chain: u32,
    /// All before this was durable when its last whole batch was written; not before the segment begins.
    pub synced: u64,
    /// What is behind.
    pub tail: Tail,
}

/// Goes through the bytes of a segment whose head has this position and checksum, from one batch to the next.
///
/// # Errors
/// What `visit` says of a batch; then nothing more is looked at.
pub fn scan<E>(
    bytes: &[u8],
    (head, checksum): (&SegmentHead, u32),
    mut visit: impl FnMut(&Batch<'_>) -> Result<(), E>,
) -> Result<Scan, E> {
    let (mut at, mut chain, mut synced) = (SEGMENT_HEAD, checksum, head.position);
    let position_of = |at: usize| head.position + at as u64;
    while let Some(batch) = Batch::read(bytes.get(at..).unwrap_or_default()) {
        if batch.head.chain != chain || batch.head.position != position_of(at) {
            break;
        }
        visit(&batch)?;
        synced = synced.max(batch.head.synced);
        (at, chain) = (at + batch.length(), batch.checksum);
    }
    let end = position_of(at);
    // a later batch that was written when this place was durable: a crash cannot have torn it
    let relied_upon = Batch::search(bytes, at).any(|later| {
        let batch = Batch::read(&bytes[later..]);
        batch.is_some_and(|batch| batch.head.position == position_of(later) && batch.head.synced > end)
    });
    let tail = match bytes.len() <= at {
        true => Tail::Whole,
        false if relied_upon => Tail::Rotten,
        false => Tail::Torn,
    };
    Ok(Scan { end, chain, synced, tail })
}

#[cfg(test)]
mod tests {
    use super::super::batch::{BATCH_HEAD, BatchHead};
    use super::*;

    /// A segment of batches with these bodies, each written when all before was durable; and where each begins.
    fn segment(bodies: &[&[u8]]) -> (Vec<u8>, SegmentHead, Vec<usize>) {
        let head = SegmentHead { position: 1_000, chain: 77 };
        let (bytes, mut chain) = head.write();
        let (mut bytes, mut begins) = (bytes.to_vec(), Vec::new());
        for body in bodies {
            begins.push(bytes.len());
            let position = head.position + bytes.len() as u64;
            let mut batch = [&[0; BATCH_HEAD], *body].concat();
            chain = BatchHead { position, synced: position, chain }.seal(&mut batch);
            bytes.extend_from_slice(&batch);
        }
        (bytes, head, begins)
    }

    fn look(bytes: &[u8]) -> (Vec<Vec<u8>>, Scan) {
        let (head, checksum) = SegmentHead::read(bytes).expect("the head is whole");
        let mut bodies = Vec::new();
        let scan = scan(bytes, (&head, checksum), |batch| {
            bodies.push(batch.body.to_vec());
            Ok::<_, std::convert::Infallible>(())
        });
        (bodies, scan.expect("nothing is refused"))
    }

    #[test]
    fn a_segment_comes_back_as_it_was_written() {
        let (bytes, head, begins) = segment(&[b"one", b"", b"three"]);
        let (bodies, scan) = look(&bytes);
        assert_eq!(bodies, [&b"one"[..], b"", b"three"]);
        assert_eq!((scan.end, scan.tail), (head.position + bytes.len() as u64, Tail::Whole));
        assert_eq!(scan.synced, head.position + begins[2] as u64, "each says what was durable before it");
        assert_eq!(SegmentHead::read(&bytes).map(|(read, _)| read), Ok(head));
    }

    #[test]
    fn what_a_crash_has_torn_is_told_from_what_has_rotted() {
        let (bytes, head, begins) = segment(&[b"one", b"two", b"three"]);
        for cut in begins[2] + 1..bytes.len() {
            let (bodies, scan) = look(&bytes[..cut]);
            assert_eq!((bodies.len(), scan.tail), (2, Tail::Torn), "cut off after {cut}");
            assert_eq!(scan.end, head.position + begins[2] as u64);
        }
        for at in SEGMENT_HEAD..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 4;
            let (bodies, scan) = look(&wrong);
            let which = begins.iter().rposition(|begin| *begin <= at).expect("it is in a batch");
            // of the last batch nobody has written yet that it is durable
            let expected = if which == 2 { Tail::Torn } else { Tail::Rotten };
            assert_eq!((bodies.len(), scan.tail), (which, expected), "byte {at}");
        }
    }

    #[test]
    fn a_batch_that_is_missing_in_the_middle_is_noticed() {
        let (bytes, _, begins) = segment(&[b"same", b"same", b"same"]);
        let without = [&bytes[..begins[1]], &bytes[begins[2]..]].concat();
        let (bodies, _) = look(&without);
        assert_eq!(bodies.len(), 1);
        // at its place, with what is before it replaced
        let (other, _, _) = segment(&[b"else", b"same", b"same"]);
        let mixed = [&other[..begins[1]], &bytes[begins[1]..]].concat();
        assert_eq!((look(&mixed).0.len(), look(&mixed).1.tail), (1, Tail::Rotten));
    }

    #[test]
    fn what_is_no_segment_is_refused() {
        let (bytes, _) = SegmentHead { position: 5, chain: 0 }.write();
        let refused = |bytes: &[u8]| SegmentHead::read(bytes).expect_err("it is none");
        assert_eq!(refused(&bytes[..31]), SegmentError::Short);
        let mut wrong = bytes;
        wrong[0] = b'O';
        assert_eq!(refused(&wrong), SegmentError::Foreign);
        let mut wrong = bytes;
        wrong[13] ^= 1;
        assert_eq!(refused(&wrong), SegmentError::Checksum);
        let mut wrong = bytes;
        wrong[8] = 9;
        let checksum = crc32fast::hash(&wrong[..28]);
        wrong[28..].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(refused(&wrong), SegmentError::Version(9));
    }
}
