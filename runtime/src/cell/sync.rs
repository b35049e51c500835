//! What the mailbox synchronises with. The package `runtime/loom` compiles the same mailbox with loom's versions
//! of these and explores all interleavings.

use spin::mutex::SpinMutex;
pub(crate) use spin::mutex::SpinMutexGuard as MutexGuard;
pub(crate) use std::sync::atomic::{AtomicU32, Ordering};

/// Looks at a lock that is held before others get the processor: a hundred nanoseconds each, more than it is held.
const LOOKS: u32 = 32;

/// A lock that is held for some ten nanoseconds, and is given back by a plain store. Why it spins is told in
/// docs/decisions/0002-why-does-the-lock-of-a-mailbox-spin.md.
pub(crate) struct Mutex<T>(SpinMutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(SpinMutex::new(value))
    }

    #[inline(always)]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.try_lock().unwrap_or_else(|| self.lock_contended())
    }

    #[cold]
    fn lock_contended(&self) -> MutexGuard<'_, T> {
        loop {
            for _ in 0..LOOKS {
                std::hint::spin_loop();
                if !self.0.is_locked()
                    && let Some(guard) = self.0.try_lock()
                {
                    return guard;
                }
            }
            // its holder's thread may have lost the processor
            std::thread::yield_now();
        }
    }
}
