//! Who serves what on this node: names to providers, addresses to mailboxes.

mod active;
mod address;
mod dynamic;
mod provider;
mod registry;

pub use address::{Address, Locator};
pub(crate) use address::{Delivery, Whereabouts, link, watch};
pub use dynamic::{Dynamic, RawCall, RawRequest, ServiceDescription, ServiceKind};
#[cfg(test)]
pub(crate) use provider::Provide;
pub(crate) use provider::{Entities, Instances};
pub(crate) use registry::Registry;
