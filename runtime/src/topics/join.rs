//! How an activation becomes a member of a group, and how that ends: with the activation, however that does.

use super::{Topic, Topics};
use crate::cell::belongings::Belongings;
use crate::cell::port::Phase;
use crate::node::RefError;
use crate::service::contract::ContractVersion;
use crate::{Contract, Cx, StartError};
use odeon_core::id::NameError;
use odeon_core::topics::{self, JoinRefused, Receiver};
use odeon_core::{Retry, ServiceName};
use std::sync::Arc;

/// Why an activation is no member of a group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The text is no name of a topic.
    #[error("a topic is named as a service is: {0}")]
    Name(#[from] NameError),
    /// The activation does not speak what is published there.
    #[error(
        "{service} speaks {have}, but what is published to {topic} is {want}: join by the reference of its own contract"
    )]
    Contract {
        /// The topic.
        topic: ServiceName,
        /// The service that would have joined.
        service: ServiceName,
        /// What it speaks.
        have: String,
        /// What is published.
        want: String,
    },
    /// There is no room, or the group speaks something else.
    #[error(transparent)]
    Refused(#[from] JoinRefused),
    /// The activation has ended, or its node has.
    #[error("the activation has ended: only one that runs is a member")]
    Ended,
}

impl JoinError {
    /// Whether to try again.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Refused(JoinRefused::TooManyGroups | JoinRefused::TooManyMembers) => Retry::Later,
            Self::Name(_)
            | Self::Contract { .. }
            | Self::Refused(JoinRefused::Speaks { .. })
            | Self::Ended => Retry::Never,
        }
    }
}

impl From<JoinError> for StartError {
    fn from(error: JoinError) -> Self {
        Self::new(error)
    }
}

/// That an activation is a member of a group. It is one no more when this is dropped.
pub(crate) struct Membership {
    topics: Arc<Topics>,
    topic: ServiceName,
    receiver: Receiver,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.topics.leave(&self.topic, &self.receiver);
    }
}

fn written(name: &str, version: ContractVersion) -> topics::Contract {
    topics::Contract { name: name.into(), major: version.major, minor: version.minor }
}

impl Cx {
    /// Has this activation told of all that is published to a topic: it becomes a member of the group. It is one until it
    /// leaves or ends, in whatever way that happens (stop, panic, kill, passivation, a move to another node), so that
    /// each activation joins anew, in its `start` or whenever it likes. To join twice does nothing more.
    ///
    /// An entity or a singleton of a cluster is one member wherever it is. The instances of a stateless service on one
    /// node are one member together, as long as one of them has joined: what is published reaches one of them.
    ///
    /// # Errors
    /// [`JoinError`].
    pub fn join<R: Contract>(&self, topic: &str) -> Result<(), JoinError> {
        let topic: ServiceName = topic.parse()?;
        let port = self.port();
        let kind = port.kind();
        let (have, want) = (kind.version, R::VERSION);
        if kind.contract != R::NAME || !have.serves(want) {
            let written = |name, version| written(name, version).to_string();
            let (have, want) = (written(kind.contract, have), written(R::NAME, want));
            return Err(JoinError::Contract { topic, service: kind.service.clone(), have, want });
        }
        let topics = kind.node.upgrade().ok_or(JoinError::Ended)?.topics.clone();
        let receiver =
            Receiver { service: kind.service.clone(), key: port.key().cloned(), placed: kind.is_placed() };
        let mut belongings = Belongings::of(&**port);
        // looked at under the lock: whoever ends the activation takes what is there after it has said so
        if !matches!(port.status().phase, Phase::Starting | Phase::Running | Phase::Stopping) {
            return Err(JoinError::Ended);
        }
        if belongings.memberships.contains_key(&topic) {
            return Ok(());
        }
        topics.join(&topic, &written(kind.contract, have), &receiver)?;
        belongings.memberships.insert(topic.clone(), Membership { topics, topic, receiver });
        Ok(())
    }

    /// This activation is no member of the group any more. What is under way to it still comes.
    ///
    /// # Errors
    /// The text is no name of a topic.
    pub fn leave(&self, topic: &str) -> Result<(), NameError> {
        let topic: ServiceName = topic.parse()?;
        let left = Belongings::of(&**self.port()).memberships.remove(&topic);
        drop(left);
        Ok(())
    }

    /// A topic, to publish to it and to see who its members are.
    ///
    /// # Errors
    /// The text is no name, or the node has stopped.
    pub fn topic<R: Contract>(&self, name: &str) -> Result<Topic<R>, RefError> {
        self.node().ok_or(RefError::NoNode)?.topic(name)
    }
}
