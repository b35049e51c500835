//! Odeon beside its peers: the same work in each system, measured in interleaved rounds.
//!
//! Reading order: [`workload`] is what is measured; [`peer`] is the work, written once over what a system must
//! offer; [`systems`] has one file a system; [`links`] is the same between two processes; [`rounds`] interleaves child
//! processes; [`table`] prints. [`cluster`] is about Odeon alone: a cluster of real nodes.

pub mod cluster;
pub mod executors;
pub mod layouts;
pub mod links;
pub mod load;
pub mod machine;
pub mod peer;
pub mod rounds;
pub mod servers;
pub mod services;
pub mod systems;
pub mod table;
pub mod time;
pub mod workload;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
