//! A process between a measurement and `odeon up`, which is for people and ends by their Ctrl-C: it stops `up` as soon
//! as its own standard input ends, and that ends with the measurement, however that ends.

use anyhow::{Context, Result};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Between two looks at whether the program has ended by itself.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A program that was asked to stop has this time. Nodes whose `up` is killed then stop by themselves.
const STOP_LOOKS: u32 = 400;

/// Runs a program until it ends, or until standard input does.
///
/// # Errors
/// It cannot be started, or did not end well by itself.
pub fn keep(program: &str, arguments: &[String]) -> Result<()> {
    let mut child =
        Command::new(program).args(arguments).stdin(Stdio::null()).spawn().context("the program")?;
    let (report, input_ended) = channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = report.send(());
    });
    loop {
        if let Some(status) = child.try_wait()? {
            anyhow::ensure!(status.success(), "{program} has ended: {status}");
            return Ok(());
        }
        match input_ended.recv_timeout(LOOK_EVERY) {
            Ok(()) => return stop(&mut child),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return stop(&mut child),
        }
    }
}

/// As Ctrl-C does; by force if that does not do.
fn stop(child: &mut Child) -> Result<()> {
    Command::new("kill").args(["-INT", &child.id().to_string()]).status()?;
    for _ in 0..STOP_LOOKS {
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    child.kill()?;
    child.wait()?;
    Ok(())
}
