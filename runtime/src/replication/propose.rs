//! What is proposed to a group, or asked of it, wherever its leader is.

use super::exchange::AskError;
use super::group::{Group, Inner};
use super::message::{Answer, Ask};
use super::serve;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use odeon_core::{EntryId, NodeName, ReplicaId};
use std::future::Future;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What could not be done for want of a leader is tried again after this time.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// What has become of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its entry.
    pub at: EntryId,
    /// What the state machine said.
    pub answer: Bytes,
}

/// Why a command was not applied, or is not known to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// There was no leader to make an entry of it in time. It will not be applied.
    #[error("{0}")]
    NotExecuted(String),
    /// It may have been applied, or be applied yet.
    #[error("it is not known whether it will be applied: {0}")]
    Unknown(String),
}

/// The leader, as far as it is known, did not tell how far one has to read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no majority has said in time how far one has to read: {0}")]
pub struct ReadError(pub String);

/// The outcome of one try.
enum Tried<T> {
    Done(T),
    /// Nothing was done; worth another try.
    Again(String),
    Unknown(String),
}

impl Group {
    /// Has the leader, wherever it is, make an entry of a command, and waits until that is applied there.
    ///
    /// # Errors
    /// [`ProposeError`]; whether it will be applied is known only for [`ProposeError::NotExecuted`].
    pub fn propose(&self, command: Bytes, within: Duration) -> BoxFuture<'_, Result<Applied, ProposeError>> {
        Box::pin(async move {
            let outcome = self.try_until(within, |left| self.try_propose(command.clone(), left)).await;
            match outcome {
                Tried::Done(applied) => Ok(applied),
                Tried::Again(problem) => Err(ProposeError::NotExecuted(problem)),
                Tried::Unknown(problem) => Err(ProposeError::Unknown(problem)),
            }
        })
    }

    /// Waits until all that was committed anywhere before this was called is applied here (linearizable reads).
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn barrier(&self, within: Duration) -> BoxFuture<'_, Result<(), ReadError>> {
        Box::pin(async move {
            let deadline = Instant::now() + within;
            let index = match self.try_until(within, |left| self.try_barrier(left)).await {
                Tried::Done(index) => index,
                Tried::Again(problem) | Tried::Unknown(problem) => return Err(ReadError(problem)),
            };
            let applied = self.until(|status| status.applied.is_some_and(|applied| applied.index >= index));
            let late = |_| ReadError(format!("entry {index} is not applied here yet"));
            timeout_at(deadline, applied).await.map(drop).map_err(late)
        })
    }

    async fn try_until<T, F>(&self, within: Duration, mut attempt: impl FnMut(Duration) -> F) -> Tried<T>
    where
        F: Future<Output = Tried<T>>,
    {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let problem = match attempt(left).await {
                Tried::Again(problem) => problem,
                outcome => return outcome,
            };
            let before = self.status().leader;
            let later = Instant::now() + RETRY_AFTER;
            if later > deadline {
                return Tried::Again(problem);
            }
            // until there is another leader, or a while has passed
            let _ = timeout_at(later, self.until(|status| status.leader != before)).await;
        }
    }

    async fn try_propose(&self, command: Bytes, within: Duration) -> Tried<Applied> {
        let ask = Ask::Propose { command, within: within.as_millis().try_into().unwrap_or(u32::MAX) };
        let answer = self.ask_leader(within, ask).await;
        answer.and_then(|answer| match answer {
            Answer::Proposed { at, answer } => Tried::Done(Applied { at, answer }),
            other => Tried::Unknown(format!("an answer to something else: {other:?}")),
        })
    }

    async fn try_barrier(&self, within: Duration) -> Tried<u64> {
        let answer = self.ask_leader(within, Ask::Barrier).await;
        answer.and_then(|answer| match answer {
            Answer::Barrier { index } => Tried::Done(index),
            other => Tried::Unknown(format!("an answer to something else: {other:?}")),
        })
    }

    /// Asks a replica that is said to lead, or one that may know which does.
    async fn ask_other(
        &self,
        node: &NodeName,
        replica: Option<ReplicaId>,
        within: Duration,
        ask: Ask,
    ) -> Tried<Answer> {
        match self.0.exchange.ask(node, (self.0.group, replica), ask, within).await {
            Ok(answer) => {
                if let Answer::NotLeader { leader: Some((_, said)) } = &answer {
                    let known = self.status().leader.map(|(leader, _)| leader);
                    *self.0.said.lock() = Some((said.clone(), known));
                }
                Tried::of(answer)
            }
            Err(error @ (AskError::NotSent(_) | AskError::TooMany)) => {
                Tried::Again(format!("{node} was asked: {error}"))
            }
            Err(error @ (AskError::Lost | AskError::Late)) => {
                Tried::Unknown(format!("{node} was asked: {error}"))
            }
        }
    }

    /// The next one of those that may know the leader.
    fn contact(&self) -> Option<NodeName> {
        let (contacts, turn) = (self.0.contacts.lock(), self.0.turn.fetch_add(1, Ordering::Relaxed));
        contacts.get(turn % contacts.len().max(1)).cloned()
    }

    async fn ask_leader(&self, within: Duration, ask: Ask) -> Tried<Answer> {
        let Inner { group, replica, raft, said, .. } = &*self.0;
        let known = self.status().leader;
        // whoever is no replica any more, or not yet, does not hear who leads by itself
        let told = said.lock().take();
        if let Some((node, since)) = told
            && since == known.as_ref().map(|(leader, _)| *leader)
        {
            return self.ask_other(&node, None, within, ask).await;
        }
        let Some((leader, node)) = known else {
            let Some(node) = self.contact() else {
                return Tried::Again(format!("{group} has no leader that is known here"));
            };
            return self.ask_other(&node, None, within, ask).await;
        };
        if leader != *replica {
            let tried = self.ask_other(&node, Some(leader), within, ask).await;
            if matches!(tried, Tried::Again(_)) {
                // it may lead no more, and this replica may be none that is told who does
                let next = self.contact().map(|node| (node, Some(leader)));
                let mut said = said.lock();
                *said = said.take().or(next);
            }
            return tried;
        }
        let answered = async {
            match ask {
                Ask::Propose { command, within } => serve::propose(raft, command, within).await,
                _ => serve::barrier(raft).await,
            }
        };
        match timeout_at(Instant::now() + within, answered).await {
            Ok(Ok(answer)) => Tried::of(answer),
            Ok(Err(serve::Ended(problem))) => Tried::Unknown(problem),
            Err(_) => Tried::Unknown("no majority has confirmed it in time".into()),
        }
    }
}

impl<T> Tried<T> {
    fn and_then<U>(self, then: impl FnOnce(T) -> Tried<U>) -> Tried<U> {
        match self {
            Self::Done(done) => then(done),
            Self::Again(problem) => Tried::Again(problem),
            Self::Unknown(problem) => Tried::Unknown(problem),
        }
    }
}

impl Tried<Answer> {
    fn of(answer: Answer) -> Self {
        match answer {
            Answer::NotLeader { leader: Some((_, node)) } => Self::Again(format!("the leader is on {node}")),
            Answer::NotLeader { leader: None } => Self::Again("there is no leader".into()),
            Answer::Refused { problem } => Self::Again(problem),
            Answer::Unknown { problem } => Self::Unknown(problem),
            answer => Self::Done(answer),
        }
    }
}
