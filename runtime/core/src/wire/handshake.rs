//! What is said before any frame: the dialer's `Hello`, and the answer to it. MessagePack, maps by name; what a later
//! version adds has a default, and what an earlier one does not know it skips.

use super::duel::Dial;
use super::limits::ADDRESS_MAX;
use super::session::{Received, SessionId};
use super::version::{NoCommonVersion, Version, VersionRange};
pub use crate::cluster::ClusterId;
use crate::id::{NodeId, NodeName};
use crate::outcome::Retry;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::fmt;

/// SHA-256 of a binary. Nodes with the same one agree on the layout of every type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ArtifactDigest(pub [u8; 32]);

impl fmt::Display for ArtifactDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ArtifactDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a node can do beyond its version of the protocol, a bit each. Both can what both have set; bits without a
/// meaning are set by nobody and looked at by nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Features(pub u64);

impl Features {
    /// It tells of the members that it has of groups, and listens to others telling of theirs.
    pub const TOPICS: Self = Self(1);

    /// Whether it can do all of this.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What both can do.
    #[must_use]
    pub const fn shared_with(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// What each side tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// The cluster that it belongs to.
    pub cluster: ClusterId,
    /// Who it is. The name must be that of its certificate.
    pub node: NodeId,
    /// Drawn by chance when it started; 0: it does not say.
    #[serde(default)]
    pub run: u64,
    /// It is no node but a program outside of the cluster, which calls services. The name is that of a client then, and
    /// the incarnation only tells one run of it from another.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_client: bool,
    /// The binary that it runs, if it knows.
    #[serde(default)]
    pub artifact: Option<ArtifactDigest>,
    /// Where it can be dialed, `host:port`; empty if it cannot.
    #[serde(default, deserialize_with = "address")]
    pub address: String,
    /// What it can do.
    #[serde(default)]
    pub features: Features,
    /// The session of what it sends.
    #[serde(default)]
    pub session: u64,
    /// What it has of what the other sends; none if it remembers nothing.
    #[serde(default)]
    pub received: Option<Received>,
}

impl Party {
    /// The session of what it sends.
    pub const fn session(&self) -> SessionId {
        SessionId { incarnation: self.node.incarnation, number: self.session }
    }
}

/// Whom the dialer means to reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Its name; none: whoever answers, as at an address to join by.
    #[serde(default)]
    pub name: Option<NodeName>,
    /// Its incarnation; none: any.
    #[serde(default)]
    pub incarnation: Option<u64>,
}

impl Expected {
    /// Whether this is it.
    pub fn is(&self, node: &NodeId) -> bool {
        self.name.as_ref().is_none_or(|name| *name == node.name)
            && self.incarnation.is_none_or(|incarnation| incarnation == node.incarnation)
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => name.fmt(f)?,
            None => f.write_str("any node")?,
        }
        self.incarnation.map_or(Ok(()), |incarnation| write!(f, "@{incarnation}"))
    }
}

/// The first message of a connection, from who dialed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The versions of the protocol that it speaks.
    pub versions: VersionRange,
    /// Who it is.
    pub from: Party,
    /// Whom it means to reach.
    #[serde(default)]
    pub expects: Expected,
    /// Which of its dials to this peer this is, counted up within its incarnation.
    #[serde(default)]
    pub attempt: u64,
    /// The latest of the peer's own dials that it has seen end, so that the peer does not keep that connection.
    #[serde(default)]
    pub ended: Option<Dial>,
}

impl Hello {
    /// The connection that it came on.
    pub fn dial(&self) -> Dial {
        Dial { dialer: self.from.node.clone(), attempt: self.attempt }
    }
}

/// The answer that lets the dialer in. From here on there are frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version of the protocol that both speak from now on.
    pub version: Version,
    /// Who answers.
    pub from: Party,
}

/// The answer to a `Hello`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// Come in.
    Welcome(Welcome),
    /// No; the connection is closed behind this.
    Turned(Turned),
}

/// Why a connection was turned away, by who was dialed or by who dialed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum Turned {
    /// No version that both speak.
    #[error("no version of the protocol in common: {spoken} are spoken here, {offered} were offered")]
    NoCommonVersion {
        /// What the one who turns away speaks.
        spoken: VersionRange,
        /// What the other speaks.
        offered: VersionRange,
    },
    /// The other belongs to another cluster. It is not told to which this one belongs.
    #[error("this node belongs to another cluster")]
    ForeignCluster,
    /// The name is not that of the certificate.
    #[error("the certificate is for {certificate}, but the node calls itself {claimed}")]
    NameMismatch {
        /// The name in the certificate.
        certificate: NodeName,
        /// The name in the message.
        claimed: NodeName,
    },
    /// The certificate is that of a client, but it says to be a node; or the other way round.
    #[error("the certificate is that of {}, but it says to be {}", role(*client), role(!*client))]
    RoleMismatch {
        /// Whether the certificate is that of a client.
        client: bool,
    },
    /// A later incarnation of the same node is known: this one is dead to the cluster.
    #[error("incarnation {claimed} is over: {known} is known")]
    StaleIncarnation {
        /// What was claimed.
        claimed: u64,
        /// The latest that is known.
        known: u64,
    },
    /// Another process has said to be the same incarnation of the same node.
    #[error("another process is {node}, or was")]
    Twin {
        /// Who both say to be.
        node: NodeId,
    },
    /// The one who turns away is an earlier incarnation of the same node, and has learned so just now.
    #[error("this is incarnation {ours} of the node that has just come as {claimed}")]
    Superseded {
        /// The incarnation of who turns away.
        ours: u64,
        /// That of the other.
        claimed: u64,
    },
    /// Not the node that was meant.
    #[error("this is {actual}, expected was {expected}")]
    NotExpected {
        /// Who was meant.
        expected: Expected,
        /// Who answers.
        actual: NodeId,
    },
    /// A node has dialed itself.
    #[error("the node has dialed itself")]
    SelfConnect,
    /// Another connection between the two stays. Who is turned away waits for it, for longer than a dial takes to time
    /// out, before it dials again: if that connection is dead, the other side has noticed by then.
    #[error("the connection dialed as {stays} stays")]
    Duplicate {
        /// Which.
        stays: Dial,
    },
    /// The sender has begun a later session since: this connection is a belated one.
    #[error("session {session} is over: {later} is known")]
    StaleSession {
        /// What this connection would go on with.
        session: SessionId,
        /// The latest that is known.
        later: SessionId,
    },
    /// The `Hello` could not be read.
    #[error("the message could not be read: {problem}")]
    Unreadable {
        /// What was wrong with it.
        problem: String,
    },
    /// It has as many connections as it can have.
    #[error("the node has as many connections as it can have")]
    Busy,
    /// It is stopping.
    #[error("the node is stopping")]
    Stopping,
    /// A reason of a later version than this.
    #[error("the node gave a reason that this version does not know")]
    #[serde(other)]
    Other,
}

impl Turned {
    /// Whether dialing again may help.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::NoCommonVersion { .. }
            | Self::ForeignCluster
            | Self::NameMismatch { .. }
            | Self::RoleMismatch { .. }
            | Self::StaleIncarnation { .. }
            | Self::Twin { .. }
            | Self::SelfConnect
            | Self::Unreadable { .. } => Retry::Never,
            Self::NotExpected { .. } | Self::Superseded { .. } => Retry::Elsewhere,
            Self::StaleSession { .. } => Retry::Now,
            Self::Duplicate { .. } | Self::Busy | Self::Stopping | Self::Other => Retry::Later,
        }
    }

    /// What the one who was turned away, or its operator, should do.
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::NoCommonVersion { .. } | Self::Unreadable { .. } => {
                "upgrade the older of the two nodes, one minor version at a time"
            }
            Self::ForeignCluster => "look at the addresses to join by: they lead into another cluster",
            Self::NameMismatch { .. } => "start the node under the name that its certificate was issued for",
            Self::RoleMismatch { .. } => {
                "issue a certificate of the right kind with `odeon cluster certificate`"
            }
            Self::StaleIncarnation { .. } => {
                "come back with the next incarnation; if the node's directory was copied or restored from a backup, \
                 write a greater number into its file `incarnation`"
            }
            Self::Twin { .. } => {
                "stop the other process; if the node's directory was copied or restored from a backup, write a greater \
                 number into its file `incarnation`"
            }
            Self::Superseded { .. } => "dial other members: this one ends",
            Self::NotExpected { .. } => "look its address up again",
            Self::SelfConnect => "leave this address out",
            Self::Duplicate { .. } => {
                "use the other connection, which is here or on its way; dial again only if it does not come"
            }
            Self::StaleSession { .. } => "dial again with the latest session",
            Self::Busy | Self::Other => "dial again later",
            Self::Stopping => "dial again when it is back",
        }
    }
}

impl From<NoCommonVersion> for Turned {
    fn from(none: NoCommonVersion) -> Self {
        Self::NoCommonVersion { spoken: none.ours, offered: none.theirs }
    }
}

const fn role(is_client: bool) -> &'static str {
    if is_client { "a client" } else { "a node" }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_false(flag: &bool) -> bool {
    !flag
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let address = String::deserialize(deserializer)?;
    if address.len() > ADDRESS_MAX {
        let problem = format!("an address of {} bytes: {ADDRESS_MAX} at the most", address.len());
        return Err(de::Error::custom(problem));
    }
    Ok(address)
}
