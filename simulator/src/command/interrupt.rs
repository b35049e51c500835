//! SIGINT and SIGTERM end a long run early: what it knows by then is still told.

use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread;
use tokio::signal::unix::{SignalKind, signal};

/// What a shell adds to the number of the signal that ended a process.
const EXIT_SIGNALLED: u8 = 128;
const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;

/// Whether this process was told to end.
pub(super) struct Interrupt {
    /// Set with the first signal.
    pub(super) stop: Arc<AtomicBool>,
    /// The number of that signal, or 0.
    number: Arc<AtomicU8>,
}

impl Interrupt {
    /// Begins to listen. The first signal is noted, the second one ends the process at once.
    ///
    /// # Errors
    /// The operating system refused.
    #[expect(clippy::disallowed_methods, reason = "whoever asks twice does not wait for seeds that run")]
    pub(super) fn listen() -> io::Result<Self> {
        let own = Self { stop: Arc::default(), number: Arc::default() };
        let (stop, number) = (own.stop.clone(), own.number.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (mut interrupt, mut terminate) = {
            let _entered = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        thread::Builder::new().name("signals".into()).spawn(move || {
            runtime.block_on(async {
                loop {
                    let signal = tokio::select! {
                        _ = interrupt.recv() => SIGINT,
                        _ = terminate.recv() => SIGTERM,
                    };
                    if stop.load(Ordering::SeqCst) {
                        process::exit((EXIT_SIGNALLED + signal).into());
                    }
                    number.store(signal, Ordering::SeqCst);
                    stop.store(true, Ordering::SeqCst);
                }
            });
        })?;
        Ok(own)
    }

    /// The exit code of a process that has ended in order since it was told to.
    pub(super) fn exit_code(&self) -> u8 {
        EXIT_SIGNALLED + self.number.load(Ordering::SeqCst)
    }
}
