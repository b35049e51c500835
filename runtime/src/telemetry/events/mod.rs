//! The last events of a node's life, for whoever asks afterwards what has happened.
//!
//! Each is a line of the log, too: [`Events::note`] is the one call for both. They are kept by the node itself, not by a
//! layer of its log: many nodes may share a process and its log, a filter may let nothing of it through, and what
//! handlers log may be anybody's data, which has no place in a dump.

mod event;

pub(crate) use event::{Event, Then};

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How many events of each sort are kept: a service that fails again and again, or slots on the move, shall not push out
/// what has happened to the links.
const KEPT: usize = 256;
/// Bytes of the text of an event; of a longer one the end is not kept.
const TEXT_MAX: usize = 1_024;

/// The last events of a node, each of which is a line of its log, too. Clones are handles. Any thread may read them at any time: nobody holds the lock for
/// longer than it takes to put one in.
#[derive(Clone)]
pub struct Events(Arc<Ring>);

struct Ring {
    origin: Instant,
    shelves: Mutex<Shelves>,
}

#[derive(Default)]
struct Shelves {
    /// Of all that were ever noted.
    count: u64,
    of: [VecDeque<Noted>; Sort::COUNT],
}

/// Sorts of events, of which each has a place of its own.
#[derive(Clone, Copy)]
enum Sort {
    /// Failures of activations.
    Failure,
    /// Slots that go from one node to another.
    Slots,
    /// All else.
    Other,
}

impl Sort {
    const COUNT: usize = 3;
}

/// An event that was noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Noted {
    /// Counts the events of the node, from 1.
    pub(crate) number: u64,
    /// Since when it is so.
    pub(crate) ago: Duration,
    /// What kind of event it is, in a word or two.
    pub(crate) kind: &'static str,
    /// For people.
    pub(crate) text: String,
}

impl Default for Events {
    fn default() -> Self {
        Self(Arc::new(Ring { origin: Instant::now(), shelves: Mutex::default() }))
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("count", &self.0.shelves.lock().count).finish_non_exhaustive()
    }
}

impl Events {
    /// It has happened: writes it to the log, and keeps it.
    pub(crate) fn note(&self, event: &Event) {
        event.log();
        let mut text = event.to_string();
        if text.len() > TEXT_MAX {
            text.truncate(text.floor_char_boundary(TEXT_MAX));
            text.push('…');
            text.shrink_to_fit();
        }
        let at = self.0.origin.elapsed();
        let mut shelves = self.0.shelves.lock();
        shelves.count += 1;
        let noted = Noted { number: shelves.count, ago: at, kind: event.kind(), text };
        let shelf = &mut shelves.of[event.sort() as usize];
        if shelf.len() >= KEPT {
            shelf.pop_front();
        }
        shelf.push_back(noted);
    }

    /// Those that are kept, the oldest first, and how many there were ever.
    pub(crate) fn last(&self) -> (Vec<Noted>, u64) {
        let now = self.0.origin.elapsed();
        let (mut last, count) = {
            let shelves = self.0.shelves.lock();
            (shelves.of.iter().flatten().cloned().collect::<Vec<_>>(), shelves.count)
        };
        last.sort_unstable_by_key(|noted| noted.number);
        for noted in &mut last {
            noted.ago = now.saturating_sub(noted.ago);
        }
        (last, count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use odeon_core::supervision::Exit;

    fn failure(text: &str) -> Event {
        Event::Failed {
            service: "shop".parse().expect("a name"),
            cell: "ada".into(),
            exit: Exit::Panicked { text: text.into(), method: "add".into() },
            then: Then::Again,
        }
    }

    fn texts(events: &Events) -> Vec<String> {
        events.last().0.into_iter().map(|noted| noted.text).collect()
    }

    #[test]
    fn events_are_told_in_their_order_with_how_long_ago_they_were() {
        let events = Events::default();
        events.note(&failure("one"));
        events.note(&Event::Stopping);
        let (last, count) = events.last();
        let told: Vec<_> = last.iter().map(|noted| (noted.number, noted.kind)).collect();
        assert_eq!((told, count), (vec![(1, "activation-failed"), (2, "stopping")], 2));
        assert!(last[0].ago >= last[1].ago && last[0].ago < Duration::from_secs(60), "{last:?}");
        assert_eq!(last[0].text, "ada of shop panicked in add: one; it begins again");
    }

    #[test]
    fn failures_of_activations_push_out_no_other_event() {
        let events = Events::default();
        events.note(&Event::Stopping);
        for number in 0..3 * KEPT {
            events.note(&failure(&number.to_string()));
        }
        let (last, count) = events.last();
        assert_eq!((last.len(), count), (KEPT + 1, 3 * KEPT as u64 + 1));
        assert_eq!((last[0].kind, last[1].number), ("stopping", 2 * KEPT as u64 + 2));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let events = Events::default();
        events.note(&failure(&"ä".repeat(TEXT_MAX)));
        let texts = texts(&events);
        assert!(texts[0].len() <= TEXT_MAX + '…'.len_utf8() && texts[0].ends_with("ä…"), "{}", texts[0]);
    }
}
