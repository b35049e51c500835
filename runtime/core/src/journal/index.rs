//! What all records together come to: for each group its vote, what it has purged, and where its entries are.

use super::record::{GroupId, Record};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

/// Where the content of an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// In bytes from the beginning of the journal.
    pub position: u64,
    /// Its length, in bytes.
    pub length: u32,
    /// Its checksum (CRC-32).
    pub checksum: u32,
}

/// The state of all groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index(BTreeMap<GroupId, Group>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Group {
    vote: Option<Vec<u8>>,
    /// The last entry that was purged, and what is remembered of it.
    purged: Option<(u64, Vec<u8>)>,
    /// The number of the first of the entries.
    first: u64,
    entries: VecDeque<Place>,
}

/// A record that does not fit to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{group} has entry {index} where {expected} should be")]
pub struct Contradiction {
    /// Whose.
    pub group: GroupId,
    /// The number that it has.
    pub index: u64,
    /// The number of the next entry.
    pub expected: u64,
}

/// Entries that should be there: a segment is gone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entries {} to {} of {group} are missing", entries.start, entries.end.saturating_sub(1))]
pub struct Missing {
    /// Whose.
    pub group: GroupId,
    /// Which.
    pub entries: Range<u64>,
}

impl Group {
    fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// The number of the first entry that was not purged.
    fn needed(&self) -> u64 {
        self.purged.as_ref().map_or(0, |(last, _)| last + 1)
    }
}

impl Index {
    /// Another record. `position` is where its content begins.
    ///
    /// # Errors
    /// [`Contradiction`]; nothing has changed.
    pub fn apply<B: AsRef<[u8]>>(&mut self, record: &Record<B>, position: u64) -> Result<(), Contradiction> {
        let content = record.content();
        let known = self.0.contains_key(&record.group());
        self.ends(record.group()).after(record)?;
        let group = self.0.entry(record.group()).or_default();
        match record {
            Record::Entry { .. } => {
                let (length, checksum) = (content.len() as u32, crc32fast::hash(content));
                group.entries.push_back(Place { position, length, checksum });
            }
            Record::Vote { .. } => group.vote = Some(content.to_vec()),
            Record::Truncate { index, .. } => {
                let end = group.needed().max(*index);
                let keep = end.saturating_sub(group.first);
                group.entries.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
                // entries in earlier segments, which may be gone by now, do not count either
                group.first = group.first.min(end);
            }
            Record::Purge { index, .. } => {
                group.purged = Some((*index, content.to_vec()));
                while group.first <= *index && group.entries.pop_front().is_some() {
                    group.first += 1;
                }
                // a snapshot may be ahead of the log
                group.first = group.first.max(index.saturating_add(1));
            }
            Record::Resume { index, .. } => {
                if !known {
                    group.first = *index;
                }
            }
            Record::Forget { group } => {
                self.0.remove(group);
            }
        }
        Ok(())
    }

    fn ends(&self, id: GroupId) -> Ends {
        match self.0.get(&id) {
            Some(group) => Ends { is_new: false, needed: group.needed(), next: group.next() },
            None => Ends { is_new: true, needed: 0, next: 0 },
        }
    }

    /// For records that are about to be written.
    pub fn fitting(&self) -> Fitting<'_> {
        Fitting { index: self, groups: BTreeMap::new() }
    }

    /// Whether all is there that was not purged.
    ///
    /// # Errors
    /// [`Missing`].
    pub fn check(&self) -> Result<(), Missing> {
        let missing = self.0.iter().find(|(_, group)| group.first > group.needed());
        missing
            .map_or(Ok(()), |(id, group)| Err(Missing { group: *id, entries: group.needed()..group.first }))
    }

    /// What says all of this but for the entries: with it at its beginning a segment needs none before it but for them.
    pub fn summary(&self) -> Vec<Record<Vec<u8>>> {
        let mut summary = Vec::new();
        for (id, group) in &self.0 {
            // first, for what is known is held against it
            summary.push(Record::Resume { group: *id, index: group.next() });
            if let Some((index, content)) = &group.purged {
                summary.push(Record::Purge { group: *id, index: *index, content: content.clone() });
            }
            if let Some(content) = &group.vote {
                summary.push(Record::Vote { group: *id, content: content.clone() });
            }
        }
        summary
    }

    /// Where the first entry is that is needed; none if none is.
    pub fn oldest(&self) -> Option<u64> {
        self.0.values().filter_map(|group| Some(group.entries.front()?.position)).min()
    }

    /// All groups.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> + '_ {
        self.0.keys().copied()
    }

    /// What a group has said of its vote last.
    pub fn vote(&self, group: GroupId) -> Option<&[u8]> {
        self.0.get(&group)?.vote.as_deref()
    }

    /// The last entry that a group has purged, and what it remembers of that.
    pub fn purged(&self, group: GroupId) -> Option<(u64, &[u8])> {
        let (index, content) = self.0.get(&group)?.purged.as_ref()?;
        Some((*index, content))
    }

    /// The numbers of the entries of a group.
    pub fn entries(&self, group: GroupId) -> Range<u64> {
        self.0.get(&group).map_or(0..0, |group| group.first..group.next())
    }

    /// Where an entry is.
    pub fn place(&self, group: GroupId, index: u64) -> Option<Place> {
        let group = self.0.get(&group)?;
        let at = usize::try_from(index.checked_sub(group.first)?).ok()?;
        group.entries.get(at).copied()
    }
}

/// Tells whether records fit to an index and to each other, before they are written.
pub struct Fitting<'a> {
    index: &'a Index,
    /// Of the groups of which there was a record.
    groups: BTreeMap<GroupId, Ends>,
}

/// Where the log of a group begins and ends.
#[derive(Clone, Copy)]
struct Ends {
    /// Nothing is known of the group.
    is_new: bool,
    needed: u64,
    next: u64,
}

impl Ends {
    /// What they are once there is this record, too.
    fn after<B>(self, record: &Record<B>) -> Result<Self, Contradiction> {
        let Self { is_new, needed, next } = self;
        let (needed, next) = match record {
            Record::Entry { index, .. } if *index == next => (needed, next + 1),
            Record::Resume { index, .. } if is_new || *index == next => (needed, *index),
            Record::Entry { group, index, .. } | Record::Resume { group, index } => {
                return Err(Contradiction { group: *group, index: *index, expected: next });
            }
            Record::Truncate { index, .. } => (needed, next.min(needed.max(*index))),
            Record::Purge { index, .. } => {
                let after = index.saturating_add(1);
                (after, next.max(after))
            }
            Record::Vote { .. } => (needed, next),
            Record::Forget { .. } => (0, 0),
        };
        Ok(Self { is_new: matches!(record, Record::Forget { .. }), needed, next })
    }
}

impl Fitting<'_> {
    /// More records, all or none of them.
    ///
    /// # Errors
    /// [`Contradiction`]; then it is as if there had been none.
    pub fn take<B>(&mut self, records: &[Record<B>]) -> Result<(), Contradiction> {
        let mut groups = BTreeMap::new();
        for record in records {
            let id = record.group();
            let ends = groups.get(&id).or_else(|| self.groups.get(&id)).copied();
            groups.insert(id, ends.unwrap_or_else(|| self.index.ends(id)).after(record)?);
        }
        self.groups.append(&mut groups);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: GroupId = GroupId(1);

    fn index(records: &[Record<&[u8]>]) -> Index {
        let mut index = Index::default();
        for (at, record) in records.iter().enumerate() {
            index.apply(record, at as u64 * 100).expect("they fit");
        }
        index
    }

    fn entry(index: u64) -> Record<&'static [u8]> {
        Record::Entry { group: A, index, content: b"entry" }
    }

    #[test]
    fn entries_are_found_until_they_are_truncated_or_purged() {
        let mut index = index(&[entry(0), entry(1), entry(2), entry(3)]);
        assert_eq!(index.entries(A), 0..4);
        assert_eq!(index.place(A, 2).map(|place| (place.position, place.length)), Some((200, 5)));
        let contradiction = index.apply(&entry(5), 0).expect_err("4 is missing");
        assert_eq!((contradiction.index, contradiction.expected), (5, 4));
        index.apply(&Record::<&[u8]>::Truncate { group: A, index: 2 }, 0).expect("it fits");
        assert_eq!((index.entries(A), index.place(A, 2)), (0..2, None));
        index.apply(&entry(2), 900).expect("it fits");
        index.apply(&Record::Purge { group: A, index: 1, content: b"term 7" }, 0).expect("it fits");
        assert_eq!((index.entries(A), index.oldest()), (2..3, Some(900)));
        assert_eq!(index.purged(A), Some((1, &b"term 7"[..])));
        assert_eq!(index.check(), Ok(()));
        index.apply(&Record::Purge { group: A, index: 9, content: b"" }, 0).expect("a snapshot is ahead");
        assert_eq!((index.entries(A), index.oldest(), index.check()), (10..10, None, Ok(())));
        index.apply(&Record::<&[u8]>::Forget { group: A }, 0).expect("it fits");
        assert_eq!(index, Index::default());
    }

    #[test]
    fn a_summary_stands_for_all_before_it_but_entries() {
        let before = [
            entry(0),
            entry(1),
            Record::Vote { group: A, content: b"for 3" },
            Record::Purge { group: A, index: 0, content: b"t" },
            Record::Vote { group: GroupId(2), content: b"for 1" },
        ];
        let whole = index(&before);
        let mut again = whole.clone();
        let mut late = Index::default();
        for record in whole.summary() {
            again.apply(&record, 0).expect("it says what is known");
            late.apply(&record, 0).expect("nothing is known");
        }
        assert_eq!(again, whole);
        let missing = late.check().expect_err("entry 1 is in an earlier segment");
        assert_eq!((missing.group, missing.entries), (A, 1..2));
        assert_eq!((late.vote(A), late.purged(A)), (whole.vote(A), whole.purged(A)));
        late.apply(&entry(2), 5).expect("it goes on");
        late.apply(&Record::Purge { group: A, index: 1, content: b"t" }, 0).expect("it fits");
        assert_eq!((late.check(), late.entries(A)), (Ok(()), 2..3), "it was purged after all");
    }

    #[test]
    fn what_is_truncated_may_be_in_a_segment_that_is_gone() {
        let resume = |index| Record::<&[u8]>::Resume { group: A, index };
        let truncate = |index| Record::<&[u8]>::Truncate { group: A, index };
        let purge = |index| Record::Purge { group: A, index, content: &b""[..] };
        let mut index = index(&[resume(7), purge(2), truncate(5), entry(5), entry(6), truncate(0)]);
        assert_eq!(index.entries(A), 3..3, "what was purged stays purged");
        for record in [entry(3), purge(3)] {
            index.apply(&record, 0).expect("it fits");
        }
        assert_eq!((index.entries(A), index.check()), (4..4, Ok(())));
    }

    #[test]
    fn records_are_held_against_those_that_are_to_be_written_before_them() {
        let index = index(&[entry(0), entry(1), Record::Purge { group: A, index: 0, content: b"" }]);
        let forget = Record::<&[u8]>::Forget { group: A };
        let truncate = |index| Record::<&[u8]>::Truncate { group: A, index };
        let mut fitting = index.fitting();
        assert_eq!(fitting.take(&[forget, entry(0), truncate(0), entry(0)]), Ok(()));
        assert!(fitting.take(&[entry(1), entry(3)]).is_err());
        assert_eq!(fitting.take(&[entry(1), truncate(0), entry(0)]), Ok(()), "as if there had been none");
    }

    #[test]
    fn a_summary_that_contradicts_what_is_known_is_noticed() {
        let mut index = index(&[entry(0)]);
        let resume = Record::<&[u8]>::Resume { group: A, index: 7 };
        assert!(index.apply(&resume, 0).is_err());
    }
}
