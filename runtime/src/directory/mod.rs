//! Who serves what on this node: names to providers, addresses to mailboxes.

mod active;
mod address;
mod dynamic;
mod provider;
mod registry;
mod watch;

pub use address::{Address, Locator};
pub(crate) use address::{Choice, Whereabouts};
pub(crate) use dynamic::Inlet;
pub use dynamic::{Dynamic, RawCall, RawRequest, ServiceDescription, ServiceKind};
#[cfg(test)]
pub(crate) use provider::Provide;
pub(crate) use provider::{Entities, Instances, check_locator};
pub(crate) use registry::Registry;
#[cfg(test)]
pub(crate) use watch::tie;
pub(crate) use watch::{link, watch};
