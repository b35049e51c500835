//! What a batch says: records, one behind the other.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest content of a record, in bytes.
pub const ENTRY_MAX: usize = 8 << 20;
/// Kind, group, index and length.
const HEAD: usize = 1 + 8 + 8 + 4;

/// A replicated group that keeps its log here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupId(pub u64);

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {}", self.0)
    }
}

/// One thing that is written down. What the contents mean is the business of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<B> {
    /// Another entry of the group's log, behind the last one.
    Entry {
        /// Whose.
        group: GroupId,
        /// Its number: one more than that of the entry before it.
        index: u64,
        /// What it says.
        content: B,
    },
    /// For whom the group's replica here has voted; replaces what was said before.
    Vote {
        /// Whose.
        group: GroupId,
        /// For whom.
        content: B,
    },
    /// The entries from this one on do not count.
    Truncate {
        /// Whose.
        group: GroupId,
        /// The first of them.
        index: u64,
    },
    /// The entries up to this one are not needed any more.
    Purge {
        /// Whose.
        group: GroupId,
        /// The last of them.
        index: u64,
        /// What the group wants to remember of it.
        content: B,
    },
    /// The next entry of the group has this number; those before it are in earlier segments, or not needed.
    Resume {
        /// Whose.
        group: GroupId,
        /// The number.
        index: u64,
    },
    /// The group has no replica here any more: nothing of it is needed.
    Forget {
        /// Which.
        group: GroupId,
    },
}

const ENTRY: u8 = 1;
const VOTE: u8 = 2;
const TRUNCATE: u8 = 3;
const PURGE: u8 = 4;
const RESUME: u8 = 5;
const FORGET: u8 = 6;

impl<B> Record<B> {
    /// The group that it belongs to.
    pub fn group(&self) -> GroupId {
        match self {
            Self::Entry { group, .. }
            | Self::Vote { group, .. }
            | Self::Truncate { group, .. }
            | Self::Purge { group, .. }
            | Self::Resume { group, .. }
            | Self::Forget { group } => *group,
        }
    }
}

impl<B: AsRef<[u8]>> Record<B> {
    /// The bytes that it takes.
    pub fn length(&self) -> usize {
        HEAD + self.content().len()
    }

    /// What it says besides numbers.
    pub fn content(&self) -> &[u8] {
        match self {
            Self::Entry { content, .. } | Self::Vote { content, .. } | Self::Purge { content, .. } => {
                content.as_ref()
            }
            Self::Truncate { .. } | Self::Resume { .. } | Self::Forget { .. } => &[],
        }
    }

    /// Writes it behind others.
    ///
    /// # Panics
    /// Its content is longer than [`ENTRY_MAX`].
    pub fn write(&self, out: &mut Vec<u8>) {
        let (kind, index) = match self {
            Self::Entry { index, .. } => (ENTRY, *index),
            Self::Vote { .. } => (VOTE, 0),
            Self::Truncate { index, .. } => (TRUNCATE, *index),
            Self::Purge { index, .. } => (PURGE, *index),
            Self::Resume { index, .. } => (RESUME, *index),
            Self::Forget { .. } => (FORGET, 0),
        };
        let content = self.content();
        assert!(content.len() <= ENTRY_MAX, "a record of {} bytes was let in", content.len());
        out.push(kind);
        out.extend_from_slice(&self.group().0.to_le_bytes());
        out.extend_from_slice(&index.to_le_bytes());
        out.extend_from_slice(&(content.len() as u32).to_le_bytes());
        out.extend_from_slice(content);
    }
}

/// Bytes that are no records, although their checksum is right: another version has written them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// They end in the midst of one.
    #[error("a batch ends in the midst of a record")]
    Short,
    /// The kind is not known.
    #[error("a record of kind {0}, which this version does not know")]
    Kind(u8),
    /// It is longer than any may be.
    #[error("a record of {0} bytes; {ENTRY_MAX} are the most")]
    Long(u32),
}

/// A record, and where in its batch's body the content begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located<'a> {
    /// The record.
    pub record: Record<&'a [u8]>,
    /// In bytes from the beginning of the body.
    pub at: usize,
}

/// The records of a batch.
pub fn records(body: &[u8]) -> impl Iterator<Item = Result<Located<'_>, RecordError>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= body.len() {
            return None;
        }
        let read = read(body, at);
        at = match &read {
            Ok(located) => located.at + located.record.content().len(),
            Err(_) => body.len(),
        };
        Some(read)
    })
}

fn read(body: &[u8], at: usize) -> Result<Located<'_>, RecordError> {
    let rest = &body[at..];
    let (head, rest) = rest.split_at_checked(HEAD).ok_or(RecordError::Short)?;
    let number = |range: std::ops::Range<usize>| {
        u64::from_le_bytes(head[range].try_into().expect("the ranges span eight bytes"))
    };
    let (group, index) = (GroupId(number(1..9)), number(9..17));
    let length = u32::from_le_bytes(head[17..21].try_into().expect("it spans four bytes"));
    if length as usize > ENTRY_MAX {
        return Err(RecordError::Long(length));
    }
    let content = rest.get(..length as usize).ok_or(RecordError::Short)?;
    let record = match head[0] {
        ENTRY => Record::Entry { group, index, content },
        VOTE => Record::Vote { group, content },
        TRUNCATE => Record::Truncate { group, index },
        PURGE => Record::Purge { group, index, content },
        RESUME => Record::Resume { group, index },
        FORGET => Record::Forget { group },
        kind => return Err(RecordError::Kind(kind)),
    };
    // those without a content have none
    match record.content().len() == content.len() {
        true => Ok(Located { record, at: at + HEAD }),
        false => Err(RecordError::Long(length)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(super) fn any_record() -> impl Strategy<Value = Record<Vec<u8>>> {
        let (group, content) = (any::<u64>().prop_map(GroupId), prop::collection::vec(any::<u8>(), 0..40));
        (0..6_u8, group, any::<u64>(), content).prop_map(|(kind, group, index, content)| match kind {
            0 => Record::Entry { group, index, content },
            1 => Record::Vote { group, content },
            2 => Record::Truncate { group, index },
            3 => Record::Purge { group, index, content },
            4 => Record::Resume { group, index },
            _ => Record::Forget { group },
        })
    }

    proptest! {
        #[test]
        fn records_come_back_as_they_were_written(written in prop::collection::vec(any_record(), 0..20)) {
            let mut body = Vec::new();
            for record in &written {
                let before = body.len();
                record.write(&mut body);
                prop_assert_eq!(body.len() - before, record.length());
            }
            let read: Result<Vec<_>, _> = records(&body).collect();
            let read = read.expect("they were written by us");
            prop_assert_eq!(read.len(), written.len());
            for (located, record) in read.iter().zip(&written) {
                prop_assert_eq!(located.record.group(), record.group());
                prop_assert_eq!(located.record.content(), record.content());
                let at = located.at..located.at + record.content().len();
                prop_assert_eq!(&body[at], record.content());
            }
        }

        #[test]
        fn any_bytes_are_read_to_their_end(body in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(records(&body).count() <= body.len() / HEAD + 1);
        }
    }

    #[test]
    fn what_another_version_may_have_written_is_refused() {
        let mut body = Vec::new();
        Record::<&[u8]>::Forget { group: GroupId(1) }.write(&mut body);
        let read = |body: &[u8]| records(body).last().expect("there is one").map(|l| l.at);
        assert_eq!(read(&body), Ok(HEAD));
        assert_eq!(read(&body[..HEAD - 1]), Err(RecordError::Short));
        body[0] = 77;
        assert_eq!(read(&body), Err(RecordError::Kind(77)));
        body[0] = FORGET;
        body[17] = 1;
        assert_eq!(read(&body), Err(RecordError::Short));
        body.push(0);
        assert_eq!(read(&body), Err(RecordError::Long(1)), "it has no content");
    }
}
