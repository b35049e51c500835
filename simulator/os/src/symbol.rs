//! How a symbol of libc is replaced: answered from the kernel where this thread has one, else handed on to
//! the real libc, found once by `dlsym(RTLD_NEXT)` (so the vDSO's speed is kept).

use std::ffi::CStr;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A Linux error number, as the kernel's methods return it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

/// What the kernel's methods return: a value, or the error number the symbol reports.
pub(crate) type Outcome<T> = Result<T, Errno>;

/// Turns an outcome into libc's convention: the value, or -1 with `errno` set.
pub(crate) fn reply<T: From<i8>>(outcome: Outcome<T>) -> T {
    outcome.unwrap_or_else(|error| {
        set_errno(error);
        T::from(-1)
    })
}

/// Sets this thread's `errno`.
pub(crate) fn set_errno(error: Errno) {
    // SAFETY: the location is this thread's own and lives as long as the thread.
    unsafe { *libc::__errno_location() = error.0 };
}

/// The next definition of a symbol after ours, which is libc's.
pub(crate) struct Next {
    name: &'static CStr,
    address: AtomicUsize,
}

impl Next {
    /// Nothing is looked up yet.
    pub(crate) const fn new(name: &'static CStr) -> Next {
        Next { name, address: AtomicUsize::new(0) }
    }

    /// The address of the real function.
    #[inline]
    pub(crate) fn address(&self) -> usize {
        match self.address.load(Ordering::Relaxed) {
            0 => self.find(),
            known => known,
        }
    }

    #[cold]
    fn find(&self) -> usize {
        // SAFETY: the name is a C string and dlsym has no other precondition.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) } as usize;
        assert!(found != 0, "libc has no {:?}", self.name);
        self.address.store(found, Ordering::Relaxed);
        found
    }
}

/// Defines symbols that come before libc's.
///
/// The body answers `Some` when the kernel takes the call, `None` to fall through to the real function. The
/// variadic functions of libc (`open`, `fcntl`, `ioctl`, `syscall`) are declared with all their registers,
/// which is the same calling convention on the platforms of the simulator.
macro_rules! interpose {
    ($(
        $(#[$meta:meta])*
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $result:ty $body:block
    )*) => {$(
        $(#[$meta])*
        ///
        /// # Safety
        /// As libc's function of this name.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            let answer: Option<$result> = $body;
            if let Some(answer) = answer {
                return answer;
            }
            const NAME: &std::ffi::CStr =
                match std::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                    Ok(name) => name,
                    Err(_) => panic!("a symbol's name has no inner zero"),
                };
            static REAL: $crate::symbol::Next = $crate::symbol::Next::new(NAME);
            // SAFETY: the next definition of the symbol is libc's, which has this signature; the caller keeps
            // that function's contract.
            unsafe {
                let real: unsafe extern "C" fn($($type),*) -> $result = std::mem::transmute(REAL.address());
                real($($argument),*)
            }
        }
    )*};
}
pub(crate) use interpose;
