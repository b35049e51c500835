//! Who serves what on this node: names to providers, addresses to mailboxes.

mod active;
mod address;
mod away;
mod delivery;
mod dispatch;
mod dynamic;
mod kept;
mod placed;
mod provider;
mod registry;
mod watch;

pub use address::{Address, Locator};
pub(crate) use address::{Choice, Whereabouts};
pub(crate) use dispatch::{Passing, passes};
pub use dynamic::{Dynamic, RawCall, RawRequest, ServiceDescription, ServiceKind};
pub(crate) use dynamic::{Inlet, is_left};
pub(crate) use placed::Single;
#[cfg(test)]
pub(crate) use provider::Provide;
pub(crate) use provider::{Entities, Instances, check_locator};
pub(crate) use registry::Registry;
#[cfg(test)]
pub(crate) use watch::tie;
pub(crate) use watch::{link, watch};
