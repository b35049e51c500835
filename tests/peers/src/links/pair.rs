//! Two processes for one measurement: a receiver, which lives until its standard input ends, and a sender.

use crate::rounds::run_child;
use anyhow::{Context, Result, ensure};
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
        let receiver = Self { child };
        let (report, reported) = channel();
        std::thread::spawn(move || {
            let said: Result<Vec<String>, _> = BufReader::new(stdout).lines().take(lines).collect();
            let _ = report.send(said);
        });
        let said = reported.recv_timeout(READY_WITHIN).with_context(|| format!("not ready: {shown}"))??;
        ensure!(said.len() == lines, "it ended before it was ready: {shown}");
        Ok((receiver, said))
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
