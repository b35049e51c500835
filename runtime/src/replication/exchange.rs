//! How the replicas of a node and those of other nodes ask each other: messages with numbers over whatever carries them.

use super::message::{Answer, Ask, Message, decode, encode};
use super::serve::Seat;
use bytes::Bytes;
use odeon_core::journal::GroupId;
use odeon_core::{NodeName, ReplicaId};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Questions of a node that wait for their answers.
const ASKED_MAX: usize = 4_096;
/// Questions of others that it works on.
const SERVED_MAX: usize = 4_096;

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCarried {
    /// There is no connection to the node.
    #[error("there is no connection to it")]
    NoConnection,
    /// As many bytes as may wait for the node do.
    #[error("too much waits to be sent to it")]
    NoRoom,
}

/// What carries messages to other nodes: in order, each once at the most, until the connection is lost.
pub trait Carrier: Send + Sync + 'static {
    /// Takes a message. Never waits. One that is urgent is short, and goes before those that are not.
    ///
    /// # Errors
    /// [`NotCarried`]: it will not arrive.
    fn carry(&self, to: &NodeName, message: Bytes, urgent: bool) -> Result<(), NotCarried>;
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AskError {
    /// The question was not sent.
    #[error("{0}")]
    NotSent(NotCarried),
    /// As many questions as may wait for answers do.
    #[error("too many questions wait for their answers")]
    TooMany,
    /// It may have been read.
    #[error("the connection was lost")]
    Lost,
    /// It may have been read, or be read yet.
    #[error("there was no answer in time")]
    Late,
}

/// The questions and answers of one node. Clones are handles.
#[derive(Clone)]
pub struct Exchange(Arc<Shared>);

pub(super) struct Shared {
    carrier: Arc<dyn Carrier>,
    asked: Mutex<Asked>,
    seats: Mutex<BTreeMap<GroupId, Arc<Seat>>>,
    served: AtomicUsize,
    /// What nodes hand over to each other, if this one takes anything.
    taker: OnceLock<Taker>,
}

/// Takes what another node hands over.
type Taker = Box<dyn Fn(&NodeName, &[u8]) -> Result<(), String> + Send + Sync>;

struct Asked {
    last: u64,
    open: BTreeMap<u64, (NodeName, oneshot::Sender<Answer>)>,
}

/// Forgets a question when nobody waits for its answer any more.
struct Open {
    exchange: Weak<Shared>,
    id: u64,
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.upgrade() {
            exchange.asked.lock().open.remove(&self.id);
        }
    }
}

impl Exchange {
    /// One whose messages are carried so. Whoever carries them hands in what comes by [`Exchange::heard`], and tells of
    /// lost connections by [`Exchange::lost`].
    pub fn new(carrier: Arc<dyn Carrier>) -> Self {
        // an answer to a question of an earlier run of this node answers none of this one
        let last = crate::remote::random().unwrap_or(0);
        let asked = Mutex::new(Asked { last, open: BTreeMap::new() });
        let (served, taker) = (AtomicUsize::new(0), OnceLock::new());
        Self(Arc::new(Shared { carrier, asked, seats: Mutex::default(), served, taker }))
    }

    pub(super) fn seat(&self, group: GroupId, seat: Option<Arc<Seat>>) {
        let mut seats = self.0.seats.lock();
        match seat {
            Some(seat) => seats.insert(group, seat),
            None => seats.remove(&group),
        };
    }

    /// From now on this node takes what others hand over, so.
    pub(crate) fn set_taker(
        &self,
        take: impl Fn(&NodeName, &[u8]) -> Result<(), String> + Send + Sync + 'static,
    ) {
        let _ = self.0.taker.set(Box::new(take));
    }

    /// Hands something over to another node; it has it when this is fine.
    ///
    /// # Errors
    /// For people: it may not have it.
    pub(crate) async fn hand(&self, to: &NodeName, body: Bytes, within: Duration) -> Result<(), String> {
        // it is for the node, whatever groups it has
        let ask = self.ask(to, (GroupId(0), None), Ask::Take { body }, within);
        match ask.await {
            Ok(Answer::Taken) => Ok(()),
            Ok(Answer::Refused { problem }) => Err(problem),
            Ok(_) => Err("it answers something else".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Asks a replica of another node. The question is on its way, behind those before it, when this returns.
    pub(super) fn ask(
        &self,
        node: &NodeName,
        (group, to): (GroupId, Option<ReplicaId>),
        ask: Ask,
        within: Duration,
    ) -> impl Future<Output = Result<Answer, AskError>> + Send + use<> {
        let urgent = ask.is_urgent();
        self.ask_so(node, (group, to), ask, urgent, within)
    }

    /// Asks, urgently or not: what is urgent may overtake what is not.
    pub(super) fn ask_so(
        &self,
        node: &NodeName,
        (group, to): (GroupId, Option<ReplicaId>),
        ask: Ask,
        urgent: bool,
        within: Duration,
    ) -> impl Future<Output = Result<Answer, AskError>> + Send + use<> {
        let sent = self.send(node, (group, to), ask, urgent);
        async move {
            let (answer, _open) = sent?;
            match timeout(within, answer).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(_)) => Err(AskError::Lost),
                Err(_) => Err(AskError::Late),
            }
        }
    }

    fn send(
        &self,
        node: &NodeName,
        (group, to): (GroupId, Option<ReplicaId>),
        ask: Ask,
        urgent: bool,
    ) -> Result<(oneshot::Receiver<Answer>, Open), AskError> {
        let (sender, answer) = oneshot::channel();
        let id = {
            let mut asked = self.0.asked.lock();
            if asked.open.len() >= ASKED_MAX {
                return Err(AskError::TooMany);
            }
            asked.last = asked.last.wrapping_add(1);
            let id = asked.last;
            asked.open.insert(id, (node.clone(), sender));
            id
        };
        let open = Open { exchange: Arc::downgrade(&self.0), id };
        let message = encode(&Message::Ask { id, group, to, ask });
        self.0.carrier.carry(node, message, urgent).map_err(AskError::NotSent)?;
        Ok((answer, open))
    }

    /// A message has come from another node.
    pub fn heard(&self, from: &NodeName, message: &[u8]) {
        match decode::<Message>(message) {
            Ok(Message::Answer { id, answer }) => {
                let open = self.0.asked.lock().open.remove(&id);
                // from another node than was asked it is nobody's answer
                if let Some((_, waiting)) = open.filter(|(node, _)| node == from) {
                    // who has left does not want it
                    let _ = waiting.send(answer);
                }
            }
            Ok(Message::Ask { id, group, to, ask }) => self.serve(from, id, (group, to), ask),
            Err(error) => tracing::warn!(%from, %error, "a message between replicas makes no sense"),
        }
    }

    /// The connection to a node was lost: what was asked over it is not answered any more.
    pub fn lost(&self, node: &NodeName) {
        self.0.asked.lock().open.retain(|_, (asked, _)| asked != node);
    }

    fn serve(&self, from: &NodeName, id: u64, (group, to): (GroupId, Option<ReplicaId>), ask: Ask) {
        let refuse = |problem: String| self.answer(from, id, Answer::Refused { problem });
        if let Ask::Take { body } = &ask {
            let taken = self.0.taker.get().map(|take| take(from, body));
            return match taken.unwrap_or_else(|| Err("nothing is taken here".into())) {
                Ok(()) => self.answer(from, id, Answer::Taken),
                Err(problem) => refuse(problem),
            };
        }
        let seat = self.0.seats.lock().get(&group).cloned();
        let Some(seat) = seat else {
            return refuse(format!("there is no replica of {group} here"));
        };
        if to.is_some_and(|to| to != seat.replica()) {
            return refuse(format!("the replica of {group} here is {}, another one", seat.replica()));
        }
        if self.0.served.fetch_add(1, Ordering::Relaxed) >= SERVED_MAX {
            self.0.served.fetch_sub(1, Ordering::Relaxed);
            return refuse("too many questions wait here".into());
        }
        let (exchange, node) = (self.clone(), from.clone());
        seat.serve(from, ask, move |answer| {
            exchange.0.served.fetch_sub(1, Ordering::Relaxed);
            if let Some(answer) = answer {
                exchange.answer(&node, id, answer);
            }
        });
    }

    fn answer(&self, to: &NodeName, id: u64, answer: Answer) {
        let urgent = answer.is_urgent();
        let message = encode(&Message::Answer { id, answer });
        if let Err(error) = self.0.carrier.carry(to, message, urgent) {
            // whoever asked learns of the lost connection, or waits for its time
            tracing::debug!(%to, %error, "an answer is not sent");
        }
    }
}

impl Ask {
    /// Whether it is short, and others' patience depends on it.
    fn is_urgent(&self) -> bool {
        match self {
            Self::Vote { .. } | Self::PreVote { .. } | Self::Lead { .. } | Self::Barrier | Self::Who => true,
            // those of one pipe must not overtake each other
            Self::Append { .. } | Self::Install { .. } | Self::Propose { .. } | Self::Take { .. } => false,
        }
    }
}

impl Answer {
    fn is_urgent(&self) -> bool {
        !matches!(self, Self::Proposed { .. })
    }
}
