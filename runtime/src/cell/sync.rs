//! What the mailbox synchronises with. The package `runtime/loom` compiles the same mailbox with loom's versions
//! of these and explores all interleavings.

pub(crate) use parking_lot::{Mutex, MutexGuard};
pub(crate) use std::sync::atomic::{AtomicU32, Ordering};
