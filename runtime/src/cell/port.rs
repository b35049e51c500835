//! What a cell looks like to those that need not know its messages: contexts, supervisors, the tree.

use super::Tick;
use super::kind::Kind;
use odeon_core::supervision::{Exit, StopReason};
use odeon_core::{ActivationId, Refusal};
use parking_lot::Mutex;
use std::sync::Arc;

/// A cell without its message type.
pub(crate) trait Port: Send + Sync {
    /// Which cell.
    fn id(&self) -> ActivationId;
    /// What all cells of its service share.
    fn kind(&self) -> &Arc<Kind>;
    /// The key of an entity.
    fn key(&self) -> Option<&Arc<str>>;
    /// The position of its executor in [`Kind::executors`].
    fn executor(&self) -> usize;
    /// What few activations have; emptied when they end.
    fn rare(&self) -> &Mutex<super::belongings::Rare>;
    /// The time at which the current poll of the cell began.
    fn now(&self) -> Tick;
    /// The method or life-cycle hook that began last and has not ended.
    fn doing(&self) -> Option<&'static str>;

    /// No more messages are let in; what waits is handled, then the activation stops.
    fn drain(&self, reason: StopReason);
    /// No more messages are let in; what waits is refused; the activation stops after the handler that runs.
    fn stop(&self, reason: StopReason);
    /// The activation is dropped at its next await.
    fn kill(&self);
    /// Nothing of the cell runs any more, not even its hooks: its node may not have it. It has not failed.
    fn fence(&self);
    /// The activation ends as failed, before its next message.
    fn fail(&self, exit: Exit);
    /// The supervisor's verdict on an abnormal exit: begin again. Ends a rest.
    fn restart(&self);
    /// The supervisor's verdict on an abnormal exit: that was it.
    fn give_up(&self);
    /// No verdict will come for long. Until it does what waits, inside the mailbox and outside for room, is refused
    /// for this reason, and so is at once what comes. Only for a cell that waits for its verdict; one that is given
    /// up refuses what waits for the reason of its rest, and as stopped what comes later, so that whoever has a
    /// reference to an entity finds its successor. Tells the overseer nothing.
    fn rest(&self, why: Refusal);

    /// For the tree and for metrics.
    fn status(&self) -> CellStatus;
}

/// What a cell does, as seen from outside. Counters wrap.
#[derive(Clone, Debug)]
pub struct CellStatus {
    /// Which cell.
    pub id: ActivationId,
    /// The key of an entity.
    pub key: Option<Arc<str>>,
    /// Where its life-cycle stands.
    pub phase: Phase,
    /// Messages waiting.
    pub waiting: u32,
    /// Bytes waiting.
    pub waiting_bytes: u32,
    /// Messages whose handler began.
    pub begun: u64,
    /// Messages dropped at dequeue because their deadline had passed.
    pub expired: u64,
    /// Messages refused or evicted after they were let in.
    pub lost: u64,
    /// The method whose handler began last and, if it has not ended, how long the cell has been in one poll.
    pub current: Option<&'static str>,
    /// How long the poll that is running now has lasted; none between polls. A sign of a stuck handler.
    pub polling_for: Option<std::time::Duration>,
    /// Longest sampled poll.
    pub poll_max: std::time::Duration,
    /// How long the handler or hook has been under way that waits for longest; none, if none waits, or one is being polled.
    /// Where several run beside each other it may be as of a second ago.
    pub held_for: Option<std::time::Duration>,
    /// Its deadline, if it has one.
    pub due: Tick,
    /// Messages that were not taken yet, by class, the most critical first.
    pub lanes: [u32; 4],
    /// Messages whose senders wait for room.
    pub outside: u32,
}

/// Where the life-cycle of a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its constructor runs, or its `ready` has not said yes.
    Starting,
    /// It takes messages.
    Running,
    /// Its activation ended abnormally; the supervisor decides or lets it wait.
    Waiting,
    /// It ends in order.
    Stopping,
    /// Gone.
    Ended,
}

/// Who decides when an activation ends abnormally, and keeps the list of cells.
pub(crate) trait Overseer: Send + Sync {
    /// Whether a new cell may begin: not while the service stops, or while this entity rests after failures.
    ///
    /// # Errors
    /// Why not.
    fn admits(&self, key: &str) -> Result<(), Refusal> {
        let _ = key;
        Ok(())
    }
    /// A cell exists; nothing of it has run.
    fn born(&self, cell: Arc<dyn Port>);
    /// An activation began and is ready.
    fn started(&self, cell: &dyn Port);
    /// An activation ended. True: a verdict ([`Port::restart`] or [`Port::give_up`]) will come; the cell waits.
    fn ended(&self, cell: &dyn Port, exit: &Exit) -> bool;
    /// Calls back exactly once when the cell's current activation ends, at once if it has none.
    fn watch(&self, cell: &dyn Port, callback: Box<dyn FnOnce(&Exit) + Send>);
    /// What an entity's `passivate` returned, when it was not empty.
    fn passivated(&self, cell: &dyn Port, state: Vec<u8>) {
        let _ = (cell, state);
    }
    /// What the passivated predecessor of this entity left; taken once.
    fn restored(&self, cell: &dyn Port) -> Option<bytes::Bytes> {
        let _ = cell;
        None
    }
    /// The cell itself is gone and refuses everything.
    fn gone(&self, cell: &dyn Port, exit: &Exit);
}
