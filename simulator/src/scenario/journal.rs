//! A journal is appended to while its machine crashes, inside its writes above all, or its disk fails to sync. What it
//! confirmed is there when it
//! is opened again, and nothing is that was not appended: what is left is the beginning of what was.

use super::books::Books;
use crate::reach::reached;
use crate::{Crash, DiskOptions, HostId, Machine, Simulation};
use bytes::Bytes;
use odeon::core::Random;
use odeon::core::journal::{GroupId, Record};
use odeon::host::Inline;
use odeon::journal::{AppendError, Journal, JournalConfig, OpenError};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

const GROUPS: u64 = 3;
/// Entries that a group keeps at the most.
const ENTRIES_MAX: usize = 60;
/// Calls that change the disk within which a crash strikes.
const CALLS: u64 = 60;

/// What a journal should say of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Group {
    vote: Option<Bytes>,
    purged: Option<u64>,
    first: u64,
    entries: VecDeque<Bytes>,
}

type State = BTreeMap<GroupId, Group>;

/// One append, and whether it was confirmed.
type Append = (Vec<Record<Bytes>>, bool);

#[derive(Default)]
struct Board {
    /// What was there when the journal was opened last.
    base: State,
    /// All that was appended since.
    appends: Vec<Append>,
    broken: Vec<String>,
}

/// The script.
pub(super) fn run(sim: &mut Simulation) {
    let board = Books::<Board>::default();
    let seed = sim.random();
    let host = sim.host("north", {
        let board = board.clone();
        move |machine| serve(machine, seed, board.clone())
    });
    sim.start(host);
    for _ in 0..10 {
        let calm = Duration::from_millis(1 + sim.random() % 200);
        sim.run_for(calm);
        crash(sim, host);
        sim.start(host);
    }
    let written = board.open(|b| b.appends.len());
    sim.demand("the journal is appended to", Duration::from_secs(10), |_| {
        board.open(|b| b.appends.iter().filter(|(_, done)| *done).count() > written + 10)
    });
    for broken in board.open(|b| std::mem::take(&mut b.broken)) {
        sim.violation(broken);
    }
}

fn crash(sim: &mut Simulation, host: HostId) {
    let how = if sim.random().is_multiple_of(3) { Crash::Process } else { Crash::Power };
    if sim.random().is_multiple_of(5) {
        return sim.crash(host, how);
    }
    if sim.random().is_multiple_of(8) {
        // what was not durable then the system takes for durable, as long as it lives
        let disks = sim.options().disks.clone();
        sim.set_disk(host, &DiskOptions { sync_failure: 1.0, ..disks.clone() });
        let refused = Duration::from_millis(1 + sim.random() % 100);
        sim.run_for(refused);
        sim.set_disk(host, &disks);
        reached("disks: syncs failed before a crash");
        return sim.crash(host, how);
    }
    let calls = sim.random() % CALLS;
    sim.crash_at_file_call(host, calls, how, None);
    sim.run_until(Duration::from_secs(10), |sim| !sim.is_up(host));
    // it may be over, or wait for something
    sim.crash(host, how);
}

fn apply(state: &mut State, record: &Record<Bytes>) {
    if let Record::Forget { group } = record {
        state.remove(group);
        return;
    }
    let group = state.entry(record.group()).or_default();
    match record {
        Record::Entry { content, .. } => group.entries.push_back(content.clone()),
        Record::Vote { content, .. } => group.vote = Some(content.clone()),
        Record::Truncate { index, .. } => group.entries.truncate(index.saturating_sub(group.first) as usize),
        Record::Purge { index, .. } => {
            group.purged = Some(*index);
            let gone = (index + 1 - group.first).min(group.entries.len() as u64);
            group.entries.drain(..gone as usize);
            group.first = index + 1;
        }
        Record::Resume { .. } | Record::Forget { .. } => {}
    }
}

/// What the journal says.
async fn state_of(journal: &Journal) -> Result<State, String> {
    let mut state = State::new();
    for id in journal.groups() {
        let range = journal.entries(id);
        let mut entries = VecDeque::new();
        while entries.len() < (range.end - range.start) as usize {
            let next = range.start + entries.len() as u64;
            let read = journal.read(id, next..range.end, 20_000).await;
            entries.extend(read.map_err(|error| format!("{id} cannot be read: {error}"))?);
        }
        let purged = journal.purged(id).map(|(index, _)| index);
        state.insert(id, Group { vote: journal.vote(id), purged, first: range.start, entries });
    }
    Ok(state)
}

impl Board {
    /// The journal was opened: what it says must be the beginning of what was appended, with all that was confirmed.
    fn opened(&mut self, found: State) {
        let promised = self.appends.iter().rposition(|(_, confirmed)| *confirmed).map_or(0, |last| last + 1);
        let mut state = std::mem::replace(&mut self.base, found);
        let mut is_right = promised == 0 && state == self.base;
        for (count, (records, _)) in (1..).zip(&self.appends) {
            records.iter().for_each(|record| apply(&mut state, record));
            is_right |= count >= promised && state == self.base;
        }
        if !is_right {
            let appended = self.appends.len();
            self.broken
                .push(format!("{promised} of {appended} appends were confirmed; what is left is not that"));
        }
        if promised < self.appends.len() {
            reached("journal: appends were not confirmed before a crash");
        }
        self.appends.clear();
    }
}

async fn serve(machine: Machine, seed: u64, board: Books<Board>) {
    let config =
        JournalConfig { segment_bytes: 0, ..JournalConfig::in_directory(machine.directory.join("j")) };
    let journal = match Journal::open(config, Arc::new(Inline)).await {
        Ok(journal) => journal,
        // the machine goes down in the midst of it
        Err(OpenError::Io { .. }) => return reached("journal: it was cut off while it was opened"),
        Err(error) => return board.open(|b| b.broken.push(format!("it is not opened: {error}"))),
    };
    match state_of(&journal).await {
        Ok(state) => board.open(|b| b.opened(state)),
        Err(problem) => return board.open(|b| b.broken.push(problem)),
    }
    reached("journal: it was opened");
    let writers = (0..GROUPS).map(|id| {
        let random = Random::seeded(seed ^ (machine.incarnation << 8) ^ id);
        machine.executors[0].spawn(write(journal.clone(), GroupId(id), random, board.clone()))
    });
    for writer in writers.collect::<Vec<_>>() {
        // one that panics is reported by the world
        let _ = writer.await;
    }
}

/// Appends to a group, several at once now and then.
async fn write(journal: Journal, id: GroupId, mut random: Random, board: Books<Board>) {
    let mut group = board.open(|b| b.base.get(&id).cloned().unwrap_or_default());
    loop {
        let mut waiting = Vec::new();
        for _ in 0..=random.below(4) {
            let records: Vec<_> = (0..=random.below(3)).map(|_| next(id, &mut group, &mut random)).collect();
            let number = board.open(|b| {
                b.appends.push((records.clone(), false));
                b.appends.len() - 1
            });
            match journal.append(records) {
                Ok(appending) => waiting.push((number, appending)),
                Err(AppendError::Failed(_)) => return reached("journal: it failed with its machine"),
                Err(error) => {
                    return board.open(|b| b.broken.push(format!("it does not take more: {error}")));
                }
            }
        }
        for (number, appending) in waiting {
            match appending.await {
                Ok(()) => board.open(|b| b.appends[number].1 = true),
                Err(AppendError::Failed(_)) => return reached("journal: it failed with its machine"),
                Err(error) => return board.open(|b| b.broken.push(format!("append {number}: {error}"))),
            }
        }
        // with a slow disk all that goes on without a pause is one turn
        tokio::time::sleep(Duration::from_millis(50 + random.below(200))).await;
    }
}

/// Something that fits to what the group has.
fn next(id: GroupId, group: &mut Group, random: &mut Random) -> Record<Bytes> {
    let content = |random: &mut Random, max| {
        let mark = random.below(256) as u8;
        Bytes::from(vec![mark; random.below(max) as usize])
    };
    let end = group.first + group.entries.len() as u64;
    let record = match random.below(12) {
        0 => Record::Vote { group: id, content: content(random, 40) },
        1 => {
            Record::Truncate { group: id, index: group.first + random.below(1 + group.entries.len() as u64) }
        }
        2 => Record::Purge { group: id, index: end + random.below(3), content: content(random, 20) },
        3 if random.chance(0.1) => Record::Forget { group: id },
        _ if group.entries.len() >= ENTRIES_MAX => {
            let index = group.first + random.below(ENTRIES_MAX as u64);
            Record::Purge { group: id, index, content: content(random, 20) }
        }
        _ => Record::Entry { group: id, index: end, content: content(random, 4_000) },
    };
    let mut state = State::from([(id, std::mem::take(group))]);
    apply(&mut state, &record);
    *group = state.remove(&id).unwrap_or_default();
    record
}
