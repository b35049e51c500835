//! What is proposed to the cluster group, and what it answers. Each has a name by which later versions know it.

use super::card::{Card, LevelRange, OfferKind};
use super::view::Reason;
use crate::placement::{Share, SlotId, Slots};
use crate::{NodeId, NodeName, ServiceName};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is proposed. One that a version does not know it cannot apply: which ones may be proposed is the matter of the
/// feature level, which all members can read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// A node becomes a member, or a member says something else of itself.
    Join {
        /// What it says of itself.
        card: Box<Card>,
    },
    /// Members that live: their leases go on.
    Renew {
        /// Which.
        nodes: Vec<NodeId>,
    },
    /// A member takes no more work and will leave.
    Drain {
        /// Which.
        node: NodeId,
    },
    /// A member has left, or its lease has ended.
    Remove {
        /// Which.
        node: NodeId,
        /// Why.
        reason: Reason,
        /// How often its lease was renewed, as far as whoever removes it knows. It stays if it was renewed since.
        #[serde(default)]
        renewals: Option<u64>,
    },
    /// All members can read a higher feature level: from now on what it allows may be proposed.
    Raise {
        /// The level.
        level: u32,
    },
    /// Who should have which slots of a service. A slot without an owner is owned at once, any other one is to be handed
    /// over. What is wanted of a node that takes no slots of the service (any more) is left out: whoever has planned it
    /// may have seen an older view.
    Place {
        /// Of which service.
        service: ServiceName,
        /// What nodes should have; no more than [`SLOTS`](crate::placement::SLOTS) in all. Other slots stay as they are.
        shares: Vec<Share>,
    },
    /// The owner of slots has ended its activations there, and the one to which they are handed over has what they left.
    Handed {
        /// Of which service.
        service: ServiceName,
        /// Which, each with its epoch as the owner knows it.
        slots: Vec<(SlotId, u64)>,
        /// Who has owned them.
        from: NodeId,
        /// Who owns them from now on.
        to: NodeId,
    },
}

/// A command as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// How it is written: [`Proposal::VERSION`].
    pub version: u32,
    /// When it was proposed, in milliseconds since 1970 by the clock of whoever did; 0 if that is not known. People are
    /// told; nothing is decided by it.
    pub at: u64,
    /// What is proposed.
    pub command: Command,
}

impl Proposal {
    /// How this version writes.
    pub const VERSION: u32 = 1;
}

impl From<Command> for Proposal {
    fn from(command: Command) -> Self {
        Self { version: Self::VERSION, at: 0, command }
    }
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It was done, or had been.
    Done {
        /// The epoch of the view that has it.
        epoch: u64,
    },
    /// The leases of all but these go on: they are no members.
    Renewed {
        /// The epoch of the view.
        epoch: u64,
        /// Who is none.
        strangers: Vec<NodeId>,
    },
    /// These slots were handed over, or had been. Those that are missing here are somebody else's matter by now: whoever
    /// has proposed it looks at the view.
    Handed {
        /// The epoch of the view that has it.
        epoch: u64,
        /// Which.
        done: Slots,
    },
    /// Nothing has changed, for all of these reasons.
    Refused {
        /// What is wrong.
        problems: Vec<Problem>,
    },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done { .. } | Self::Handed { .. } => f.write_str("done"),
            Self::Renewed { strangers, .. } if strangers.is_empty() => f.write_str("renewed"),
            Self::Renewed { strangers, .. } => {
                let strangers: Vec<_> = strangers.iter().map(NodeId::to_string).collect();
                write!(f, "no members: {}", strangers.join(", "))
            }
            Self::Refused { problems } => {
                let problems: Vec<_> = problems.iter().map(Problem::to_string).collect();
                write!(f, "refused: {}", problems.join("; "))
            }
        }
    }
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "problem", rename_all = "kebab-case")]
pub enum Problem {
    /// A later incarnation is known.
    #[error("{name}@{known} is known: this one is over, it has to come back as a later incarnation")]
    Over {
        /// Whose.
        name: NodeName,
        /// The latest incarnation.
        known: u64,
    },
    /// It is no member.
    #[error("{node} is no member")]
    Stranger {
        /// Who.
        node: NodeId,
    },
    /// Its lease was renewed meanwhile.
    #[error("the lease of {node} was renewed meanwhile")]
    Renewed {
        /// Whose.
        node: NodeId,
    },
    /// It cannot read the level.
    #[error("feature level {level} cannot be read by {node}, which reads {} to {}", reads.min, reads.max)]
    Level {
        /// The level.
        level: u32,
        /// Who cannot read it.
        node: NodeName,
        /// What it reads.
        reads: LevelRange,
    },
    /// Levels rise one by one.
    #[error("feature level {level} does not follow {current}")]
    LevelOrder {
        /// The level that was wanted.
        level: u32,
        /// The one that there is.
        current: u32,
    },
    /// A service of this name is something else on another node.
    #[error(
        "{service} is {ours} here, and {theirs} on {node}: rename one, or stop the nodes that have the other first"
    )]
    Contract {
        /// Which.
        service: ServiceName,
        /// What it is on the node that joins.
        ours: String,
        /// What it is there.
        theirs: String,
        /// Where.
        node: NodeName,
    },
    /// It offers a name twice.
    #[error("{service} is offered twice")]
    Twice {
        /// Which.
        service: ServiceName,
    },
    /// It has more than a node may.
    #[error("{count} services: a node offers {max} at the most")]
    TooMany {
        /// How many it has.
        count: usize,
        /// The most.
        max: usize,
    },
    /// It names more slots than there are.
    #[error("{count} slots of {service} at once: a service has {max} at the most")]
    TooManySlots {
        /// Of which service.
        service: ServiceName,
        /// How many it names.
        count: usize,
        /// The most.
        max: usize,
    },
    /// There are as many members as there may be.
    #[error("the cluster has {max} members, the most that it may have")]
    Full {
        /// The most.
        max: usize,
    },
}

/// A contract, for people.
pub(super) fn described(contract: &str, major: u16, kind: OfferKind) -> String {
    let kind = match kind {
        OfferKind::Stateless => "a stateless service",
        OfferKind::Entity => "an entity",
        OfferKind::Singleton => "a singleton",
    };
    format!("{contract} {major}, {kind}")
}
