//! Who is a member, as the cluster group agrees on it: what nodes say of themselves (`card`), what is proposed and what
//! comes of it (`command`, `view`), how long a node may act as the member that it is (`lease`), who votes
//! (`voters`), who suspects whom (`detector`), and all times (`times`).
//!
//! Architecture invariant: the epoch of a view is the index of the entry that made it; the same epoch has the same content
//! on each node.

mod card;
mod command;
mod detector;
mod lease;
mod times;
mod view;
#[cfg(test)]
mod view_tests;
mod voters;

pub use card::{Card, LevelRange, OFFERS_MAX, Offer, OfferKind};
pub use command::{Command, Outcome, Problem, Proposal};
pub use detector::{Detector, Finding, Health};
pub use lease::{Grants, Lease};
pub use times::{MOVED_WITHIN, Times, TimesError};
pub use view::{GONE_MAX, Gone, MEMBERS_MAX, Member, MemberState, Reason, Since, View};
pub use voters::{Change, Seat, Seats, next_change};
