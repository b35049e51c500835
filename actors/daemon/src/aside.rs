//! What is printed while a node runs: on a thread of its own, for a terminal may stand still (Ctrl-S, a full pipe), and
//! the node shall hear signals all the same.

use crate::exit::Failure;
use std::io::{self, Write};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long the last words wait for a reader.
const PATIENCE: Duration = Duration::from_secs(1);

/// Prints in the order in which it is told, whenever there is room.
#[derive(Debug)]
pub(crate) struct Aside(Sender<(String, oneshot::Sender<io::Result<()>>)>);

impl Aside {
    /// Starts the thread. It ends with this, and with the process at the latest.
    ///
    /// # Errors
    /// The operating system refused a thread.
    pub(crate) fn start(mut out: impl Write + Send + 'static) -> io::Result<Self> {
        let (to, texts) = channel::<(String, oneshot::Sender<_>)>();
        thread::Builder::new().name("terminal".into()).spawn(move || {
            for (text, done) in texts {
                let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
                // most do not wait for it
                let _ = done.send(written);
            }
        })?;
        Ok(Self(to))
    }

    /// Prints a line. What it answers ends when that was done; it need not be awaited.
    ///
    /// # Errors
    /// As for whatever is written to the terminal.
    pub(crate) fn line(&self, text: &str) -> impl Future<Output = Result<(), Failure>> + use<> {
        self.text(format!("{text}\n"))
    }

    /// Prints just that, as [`Self::line`] does.
    ///
    /// # Errors
    /// As for whatever is written to the terminal.
    pub(crate) fn text(&self, text: String) -> impl Future<Output = Result<(), Failure>> + use<> {
        let (done, written) = oneshot::channel();
        // without its thread, which may only have panicked, nobody prints
        let _ = self.0.send((text, done));
        async move { Ok(written.await.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))?) }
    }

    /// Prints a line before the process ends; a reader that stands still misses it.
    ///
    /// # Errors
    /// As for whatever is written to the terminal.
    pub(crate) fn last(&self, text: &str) -> Result<(), Failure> {
        let line = self.line(text);
        crate::commands::block_on(async move {
            let written = tokio::time::timeout(PATIENCE, line).await;
            written.unwrap_or(Ok(()))
        })
    }
}

/// Prints a problem on standard error before the process ends; a reader that stands still misses it.
pub(crate) fn complain(text: &str) {
    // nobody is left to tell when standard error is gone
    let _ = Aside::start(io::stderr()).map_err(Failure::from).and_then(|aside| aside.last(text));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::Receiver;

    /// Takes a text whenever it is told to.
    struct Slow(Receiver<()>, Vec<u8>, Sender<String>);

    impl Write for Slow {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.1.extend(text);
            Ok(text.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            self.0.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            let text = String::from_utf8(std::mem::take(&mut self.1)).expect("text");
            let _ = self.2.send(text);
            Ok(())
        }
    }

    #[tokio::test]
    async fn who_prints_waits_only_if_it_wants_to() {
        let ((go_on, wait), (show, shown)) = (channel(), channel());
        let aside = Aside::start(Slow(wait, Vec::new(), show)).expect("a thread");
        drop(aside.line("first"));
        let second = aside.line("second");
        assert!(shown.try_recv().is_err(), "nobody reads yet");
        (0..2).for_each(|_| go_on.send(()).expect("it waits"));
        assert_eq!(second.await, Ok(()));
        assert_eq!(shown.try_iter().collect::<Vec<_>>(), ["first\n", "second\n"]);
        drop(go_on);
        assert_eq!(aside.line("third").await, Err(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe))));
    }
}
