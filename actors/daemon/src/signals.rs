//! Signals to a node: SIGINT and SIGTERM end it; SIGHUP ends a node for people, and asks one for machines to read its
//! credentials again. A node that `up` has started ends with `up`, too.

use std::fs::File;
use std::future::pending;
use std::io;
use std::os::fd::AsFd;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end this process from now on. Their default action no longer happens.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// Its end is heard once.
    input: Option<pipe::Receiver>,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// The operating system refused.
    pub(crate) fn listen() -> io::Result<Self> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, input: None })
    }

    /// The end of standard input ends this process, too. Whoever holds the other end of that pipe can end in any way:
    /// the operating system closes it.
    ///
    /// # Errors
    /// Standard input is no pipe.
    pub(crate) fn and_end_of_input(mut self) -> io::Result<Self> {
        let input = io::stdin().as_fd().try_clone_to_owned()?;
        self.input = Some(pipe::Receiver::from_file(File::from(input))?);
        Ok(self)
    }

    /// The name of the next one.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            () = end_of(&mut self.input) => "the end of standard input",
        }
    }
}

/// Waits until nobody can write there any more; what is written is not heard.
async fn end_of(input: &mut Option<pipe::Receiver>) {
    let Some(open) = input else { return pending().await };
    let mut written = [0; 64];
    while open.read(&mut written).await.is_ok_and(|bytes| bytes > 0) {}
    *input = None;
}

/// Who has started a node: what ends it besides SIGINT and SIGTERM, and what SIGHUP does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartedBy {
    /// SIGHUP ends the process, for its terminal has gone.
    Person,
    /// SIGHUP asks for new credentials.
    System,
    /// The same, and the end of standard input ends the process, for whoever started it has gone.
    Launcher,
}

/// SIGHUP from now on. Its default action, to end the process, no longer happens.
#[derive(Debug)]
pub(crate) struct Hangups(Signal);

impl Hangups {
    /// Begins to listen.
    ///
    /// # Errors
    /// The operating system refused.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self(signal(SignalKind::hangup())?))
    }

    /// The next one; never, when nobody listens.
    pub(crate) async fn next(listening: &mut Option<&mut Self>) {
        let heard = match listening {
            Some(hangups) => hangups.0.recv().await,
            None => None,
        };
        if heard.is_none() {
            pending::<()>().await;
        }
    }
}

/// The ends of child processes from now on.
#[derive(Debug)]
pub(crate) struct Children(Signal);

impl Children {
    /// Begins to listen.
    ///
    /// # Errors
    /// The operating system refused.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self(signal(SignalKind::child())?))
    }

    /// One of them has ended, or several.
    pub(crate) async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            pending::<()>().await;
        }
    }
}
