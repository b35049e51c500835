//! What a group replicates: its state, and how commands change it.

use super::message::{Meta, entry_id};
use super::raft::{Command, LogId, Payload, Snapshot, SnapshotMeta, StoredMembers, Types};
use super::snapshot::Snapshots;
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use odeon_core::EntryId;
use openraft::OptionalSend;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use std::io;

/// Writes a state as it was when this was made.
pub type Freeze = Box<dyn FnOnce() -> Vec<u8> + Send + Sync>;

/// The state that replicas agree on: a deterministic function of the commands, in their order.
pub trait StateMachine: Send + Sync + 'static {
    /// Takes the next command. The answer goes to whoever has proposed it. What is refused is answered so: all replicas
    /// must come to the same.
    ///
    /// # Errors
    /// For people: this version cannot read it. The replica ends, for others may have come to something else.
    fn apply(&mut self, at: EntryId, command: &[u8]) -> Result<Bytes, String>;

    /// What writes the state down as it is now, while later commands are applied. It must be quick; what it gives back
    /// may take its time.
    fn freeze(&self) -> Freeze;

    /// Takes a state that was written down, in place of its own. `at` is the last entry that is in it.
    ///
    /// # Errors
    /// For people: another version has written it.
    fn restore(&mut self, at: EntryId, state: &[u8]) -> Result<(), String>;
}

/// A state machine, and how far it has come.
pub(super) struct Applier {
    machine: Box<dyn StateMachine>,
    applied: Option<LogId>,
    members: StoredMembers,
    snapshots: Snapshots,
}

impl Applier {
    /// Goes on where the newest snapshot has stopped.
    ///
    /// # Errors
    /// For people: the snapshot cannot be used.
    pub(super) async fn open(
        mut machine: Box<dyn StateMachine>,
        snapshots: Snapshots,
    ) -> Result<Self, String> {
        let newest = snapshots.newest().await.map_err(|error| error.to_string())?;
        let (mut applied, mut members) = (None, StoredMembers::default());
        if let Some((meta, state)) = newest {
            if let Some(last) = meta.last {
                machine.restore(last, &state)?;
            }
            let meta = meta.raft()?;
            (applied, members) = (meta.last_log_id, meta.last_membership);
        }
        Ok(Self { machine, applied, members, snapshots })
    }
}

impl RaftStateMachine<Types> for Applier {
    type SnapshotData = Bytes;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembers), io::Error> {
        Ok((self.applied, self.members.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some((entry, proposer)) = entries.try_next().await? {
            let answer = match entry.payload {
                Payload::Blank => Bytes::new(),
                Payload::Normal(Command(command)) => {
                    let at = entry_id(&entry.log_id);
                    let applied = self.machine.apply(at, &command);
                    applied.map_err(|why| io::Error::other(format!("entry {at} cannot be applied: {why}")))?
                }
                Payload::Membership(members) => {
                    self.members = StoredMembers::new(Some(entry.log_id), members);
                    Bytes::new()
                }
            };
            self.applied = Some(entry.log_id);
            if let Some(proposer) = proposer {
                proposer.send(answer);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            freeze: Some(self.machine.freeze()),
            meta: SnapshotMeta { last_log_id: self.applied, last_membership: self.members.clone() },
            snapshots: self.snapshots.clone(),
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, state: Bytes) -> Result<(), io::Error> {
        // on the disk first: what it stands for is purged from the log next
        self.snapshots.keep(Meta::from(meta), state.clone()).await?;
        if let Some(last) = &meta.last_log_id {
            self.machine.restore(entry_id(last), &state).map_err(io::Error::other)?;
        }
        (self.applied, self.members) = (meta.last_log_id, meta.last_membership.clone());
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        let newest = self.snapshots.newest().await?;
        let snapshot = newest.map(|(meta, snapshot)| Ok(Snapshot { meta: meta.raft()?, snapshot }));
        snapshot.transpose().map_err(|error: String| io::Error::other(error))
    }
}

/// Writes one snapshot.
pub(super) struct Builder {
    freeze: Option<Freeze>,
    meta: SnapshotMeta,
    snapshots: Snapshots,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let freeze = self.freeze.take().ok_or_else(|| io::Error::other("a snapshot is built once"))?;
        let snapshot = self.snapshots.take(freeze, Meta::from(&self.meta)).await?;
        Ok(Snapshot { meta: self.meta.clone(), snapshot })
    }
}
