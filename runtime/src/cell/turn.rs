//! When a turn ends although there is more to do: what it has sent to another node is worth a packet, and is not sent
//! before those run who send it.

use std::cell::Cell;

thread_local! {
    static OVER: Cell<bool> = const { Cell::new(false) };
}

/// Whoever runs on this thread shall soon let others run.
pub(crate) fn end() {
    OVER.set(true);
}

/// Whether it shall; said once.
#[inline]
pub(crate) fn is_over() -> bool {
    OVER.replace(false)
}
