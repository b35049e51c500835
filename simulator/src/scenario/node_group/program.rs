//! The program of a node: its replica, who proposes and reads, and who looks after the group when it leads.

use super::board::{Board, Disk};
use crate::Machine;
use crate::reach::reached;
use crate::scenario::books::Books;
use crate::scenario::linked::{self, Pass, Tasks};
use bytes::Bytes;
use odeon::core::journal::GroupId;
use odeon::core::{EntryId, NodeName, Random, ReplicaId};
use odeon::host::Inline;
use odeon::journal::{Journal, JournalConfig};
use odeon::prelude::*;
use odeon::replication::{Freeze, Group, GroupConfig, ProposeError, Role, StateMachine};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::time::sleep;

const GROUP: GroupId = GroupId(7);
/// How often a node shows how it sees the group, and dials whom it has no link to.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long whoever proposes waits.
const PATIENCE: Duration = Duration::from_secs(3);
/// Those who form the group.
const FIRST_VOTERS: usize = 3;

/// What a node starts with.
#[derive(Clone)]
pub(super) struct Start {
    pub(super) pass: Pass,
    pub(super) names: Vec<NodeName>,
    pub(super) seed: u64,
}

/// All commands, in their order.
struct Commands {
    node: NodeName,
    commands: Vec<u64>,
    board: Books<Board>,
}

impl StateMachine for Commands {
    fn apply(&mut self, at: EntryId, command: &[u8]) -> Result<Bytes, String> {
        let command = command.try_into().map_err(|_| "it is not of the scenario")?;
        let command = u64::from_le_bytes(command);
        self.commands.push(command);
        self.board.open(|b| b.applies(&self.node, at, command));
        Ok(Bytes::from(at.index.to_le_bytes().to_vec()))
    }

    fn freeze(&self) -> Freeze {
        let commands = self.commands.clone();
        Box::new(move || {
            reached("group: a snapshot was taken");
            commands.iter().flat_map(|command| command.to_le_bytes()).collect()
        })
    }

    fn restore(&mut self, at: EntryId, state: &[u8]) -> Result<(), String> {
        reached("group: a snapshot was restored");
        let words = state.chunks_exact(8);
        self.commands = words.map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes"))).collect();
        self.board.open(|b| b.restores(&self.node, at, self.commands.clone()));
        Ok(())
    }
}

/// Tells what a journal has: as long as this is there whenever it is asked, and from then on what it had last.
struct Kept {
    journal: Journal,
    replica: ReplicaId,
    board: Books<Board>,
}

/// The entry behind the last one of the group that is durable.
fn end_of(journal: &Journal) -> u64 {
    let purged = journal.purged(GROUP).map_or(0, |(index, _)| index + 1);
    journal.entries(GROUP).end.max(purged)
}

impl Kept {
    fn show(journal: &Journal, replica: ReplicaId, board: &Books<Board>) -> Self {
        let (journal, board) = (journal.clone(), board.clone());
        let asked = journal.clone();
        board.open(|b| b.keeps(replica, Disk::Now(Box::new(move || end_of(&asked)))));
        Self { journal, replica, board }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let end = end_of(&self.journal);
        self.board.open(|b| b.keeps(self.replica, Disk::Last(end)));
    }
}

/// The replica of a disk: another one on each disk that a machine is given.
fn replica(machine: &Machine, names: &[NodeName]) -> ReplicaId {
    let file = machine.directory.join("replica");
    let known = std::fs::read_to_string(&file).ok().and_then(|text| text.parse().ok());
    let id = known.unwrap_or_else(|| {
        let at = names.iter().position(|name| name.as_str() == machine.name).unwrap_or(0) as u64;
        (at + 1) * 1_000 + machine.incarnation
    });
    if known.is_none() {
        let write = || {
            let file = std::fs::File::create(&file)?;
            std::io::Write::write_all(&mut &file, id.to_string().as_bytes())?;
            file.sync_all()?;
            std::fs::File::open(&machine.directory)?.sync_all()
        };
        // a machine that goes down meanwhile begins anew
        let _ = write();
    }
    ReplicaId(id)
}

/// The node's program.
pub(super) async fn serve(machine: Machine, start: Start, board: Books<Board>) {
    let name: NodeName = machine.name.parse().expect("a node name");
    let replica = replica(&machine, &start.names);
    let (_node, links) = linked::start(&machine, &start.pass, linked::port(&machine), App::new()).await;
    board.open(|b| b.begins(&name, replica, links.local_address()));
    let config =
        JournalConfig { segment_bytes: 0, ..JournalConfig::in_directory(machine.directory.join("journal")) };
    let journal = match Journal::open(config, Arc::new(Inline)).await {
        Ok(journal) => journal,
        Err(error) => {
            tracing::info!(%error, "the journal is not opened: the machine goes down");
            return reached("group: a journal was cut off while it was opened");
        }
    };
    let _kept = Kept::show(&journal, replica, &board);
    let config = GroupConfig {
        snapshot_after: 40,
        ..GroupConfig::new(GROUP, replica, name.clone(), machine.directory.join("snapshots"))
    };
    let commands = Commands { node: name.clone(), commands: Vec::new(), board: board.clone() };
    let started =
        Group::start(config, &journal, Arc::new(Inline), &links.exchange(), Box::new(commands)).await;
    let group = match started {
        Ok(group) => group,
        Err(error) => {
            tracing::info!(%error, "the replica does not start: its machine goes down");
            return reached("group: a replica was cut off while it started");
        }
    };
    let random = Random::seeded(start.seed ^ replica.0 ^ (machine.incarnation << 32));
    let mut tasks = Tasks::on(&machine);
    tasks.spawn(linked::keep_linked(links.clone(), start.names.clone(), board.clone(), |b| &b.addresses));
    tasks.spawn(propose(group.clone(), name.clone(), random.clone(), board.clone()));
    tasks.spawn(read(group.clone(), name.clone(), board.clone()));
    tasks.spawn(look_after(group.clone(), name.clone(), start.names.clone(), random, board.clone()));
    loop {
        board.open(|b| b.shows(&name, group.status()));
        if let Some(error) = journal.failure() {
            tracing::info!(%error, "the journal has failed: the node ends");
            return reached("group: a node ended with its journal");
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn propose(group: Group, name: NodeName, mut random: Random, board: Books<Board>) {
    while !board.open(|b| b.is_over) {
        let command = board.open(Board::next);
        let within = Duration::from_millis(200 + random.below(PATIENCE.as_millis() as u64));
        match group.propose(Bytes::from(command.to_le_bytes().to_vec()), within).await {
            Ok(applied) => {
                assert_eq!(applied.answer[..], applied.at.index.to_le_bytes());
                board.open(|b| b.confirms(&name, command, applied.at));
            }
            Err(ProposeError::NotExecuted(_)) => {
                reached("group: a command was not executed");
                board.open(|b| b.refuses(command));
            }
            Err(ProposeError::Unknown(_)) => reached("group: the outcome of a command is unknown"),
        }
        sleep(Duration::from_millis(20 + random.below(400))).await;
    }
}

async fn read(group: Group, name: NodeName, board: Books<Board>) {
    loop {
        let confirmed = board.open(|b| b.confirmed_until());
        match group.barrier(PATIENCE).await {
            Ok(()) => {
                reached("group: a barrier was passed");
                board.open(|b| confirmed.into_iter().for_each(|last| b.passes(&name, last, &group.status())));
            }
            Err(_) => reached("group: nobody told how far to read"),
        }
        sleep(Duration::from_millis(300)).await;
    }
}

/// Forms the group, seats new replicas, takes the place of those whose disk is gone, and changes who votes and leads.
async fn look_after(
    group: Group,
    name: NodeName,
    names: Vec<NodeName>,
    mut random: Random,
    board: Books<Board>,
) {
    loop {
        sleep(Duration::from_millis(200 + random.below(1_500))).await;
        let (current, is_formed) = board.open(|b| (b.current(), b.is_formed));
        let status = group.status();
        let may_form = !is_formed && name == names[0] && status.voters.is_empty();
        if may_form && names[..FIRST_VOTERS].iter().all(|name| current.contains_key(name)) {
            let voters = current.iter().filter(|(name, _)| names[..FIRST_VOTERS].contains(name));
            let voters = voters.map(|(name, replica)| (*replica, name.clone())).collect();
            if let Err(error) = group.form(voters).await {
                tracing::info!(%error, "the group is not formed");
            }
        }
        if status.role == Role::Leader {
            seat(&group, &current, &mut random, &board).await;
        }
    }
}

async fn seat(
    group: &Group,
    current: &BTreeMap<NodeName, ReplicaId>,
    random: &mut Random,
    board: &Books<Board>,
) {
    let status = group.status();
    let seated: BTreeSet<ReplicaId> = status.voters.keys().chain(status.learners.keys()).copied().collect();
    for (name, replica) in current.iter().filter(|(_, replica)| !seated.contains(replica)) {
        if let Err(error) = group.add_learner(*replica, name.clone()).await {
            tracing::info!(%error, "a replica is not seated");
        }
    }
    let living: BTreeSet<ReplicaId> = current.values().copied().collect();
    let is_gone = |replica: &ReplicaId| !living.contains(replica);
    if status.voters.keys().any(is_gone) {
        let stay: BTreeSet<_> = status.voters.keys().filter(|id| !is_gone(id)).copied().collect();
        let next = living.iter().filter(|id| seated.contains(id) && !stay.contains(id)).copied().next();
        set_voters(group, stay.into_iter().chain(next).collect()).await;
        return;
    }
    let gone: BTreeSet<_> = status.learners.keys().filter(|id| is_gone(id)).copied().collect();
    if !gone.is_empty() {
        if let Err(error) = group.remove(gone).await {
            tracing::info!(%error, "a replica that is gone keeps its seat");
        }
        return;
    }
    if board.open(|b| b.is_over) {
        return;
    }
    let seated: Vec<_> = seated.iter().copied().collect();
    match random.below(4) {
        0 => {
            let to = seated[random.below(seated.len() as u64) as usize];
            reached("group: the lead was to be passed on");
            if status.voters.contains_key(&to) && group.transfer(to).await.is_err() {
                reached("group: the lead was not passed on");
            }
        }
        1 => {
            // three of all: with two none may lose its disk
            let mut voters = seated;
            while voters.len() > FIRST_VOTERS {
                let at = random.below(voters.len() as u64) as usize;
                voters.remove(at);
            }
            set_voters(group, voters.into_iter().collect()).await;
        }
        _ => {}
    }
}

async fn set_voters(group: &Group, voters: BTreeSet<ReplicaId>) {
    match group.set_voters(voters).await {
        Ok(()) => reached("group: the voters were replaced"),
        Err(error) => {
            reached("group: the voters were not replaced");
            tracing::info!(%error, "the voters are not replaced");
        }
    }
}
