//! The write-ahead log of a node: what its bytes say, where each entry is, and what is left of it after a crash.
//!
//! All replicated groups of a node share one. It is a row of segments (files); a segment is a row of batches, each
//! written and synced at once; a batch is a row of records. Checksums are chained, so that none can be missing in the
//! middle, and each batch says how much was durable when it was written: so what a crash has torn, which nobody was
//! told of, is told from what has rotted, which somebody relies on. A log of which a part has rotted must not vote
//! (Alagappan et al., Protocol-Aware Recovery for Consensus-Based Storage, FAST 2018).

mod batch;
mod index;
mod record;
mod segment;

pub use batch::{BATCH_HEAD, BODY_MAX, Batch, BatchHead};
pub use index::{Contradiction, Fitting, Index, Missing, Place};
pub use record::{ENTRY_MAX, GroupId, Located, Record, RecordError, records};
pub use segment::{SEGMENT_HEAD, Scan, SegmentError, SegmentHead, Tail, scan};
