//! Two processes for one measurement: a receiver, which lives until its standard input ends, and a sender.

use crate::rounds::run_child;
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

/// A process is ready within this time.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A process that serves; dropping this ends it.
#[derive(Debug)]
pub struct Receiver {
    child: Child,
    said: std::sync::mpsc::Receiver<std::io::Result<String>>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Receiver {
    /// Starts it and waits for so many lines, in which it says where it is.
    ///
    /// # Errors
    /// It ends before, or takes too long.
    pub fn start(mut command: Command, lines: usize) -> Result<(Self, Vec<String>)> {
        let shown = format!("{command:?}");
        // its standard input ends with this process, however that ends
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| shown.clone())?;
        let stdout = child.stdout.take().context("it is piped")?;
        let (report, said) = channel();
        std::thread::spawn(move || {
            let _ = BufReader::new(stdout).lines().try_for_each(|line| report.send(line));
        });
        let receiver = Self { child, said };
        let said: Result<_> = (0..lines).map(|_| receiver.line(READY_WITHIN)).collect();
        Ok((receiver, said.with_context(|| format!("not ready: {shown}"))?))
    }

    /// The next line that it prints.
    ///
    /// # Errors
    /// It has ended, or takes longer than this.
    pub fn line(&self, within: Duration) -> Result<String> {
        Ok(self.said.recv_timeout(within)??)
    }
}

/// Runs a receiver, and a sender that is told where it is, until the sender has ended. Gives what the sender printed.
///
/// # Errors
/// One of the two failed, or took too long.
pub fn run(receive: Command, send: impl FnOnce(&str) -> Command, within: Duration) -> Result<String> {
    let (_receiver, at) = Receiver::start(receive, 1)?;
    run_child(send(at.first().context("it said where it is")?), within)
}

/// Waits until whoever started this process has ended, or wants it to end; then ends it.
pub fn end_with_starter() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0)
    });
}
