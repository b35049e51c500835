//! What links weigh that have nothing to do: one node with a link to each of many peers, which a few other processes
//! host.

use super::odeon::{authority, node};
use super::pair::{Receiver, end_with_starter};
use crate::executors::Executors;
use crate::machine;
use crate::rounds::run_child;
use anyhow::{Context, Result, ensure};
use odeon::prelude::App;
use odeon::remote::Transport;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// Nodes in one process.
const PER_PROCESS: usize = 250;
/// Longer than a connection lives on which nothing comes: what is weighed is kept alive.
const SETTLE: Duration = Duration::from_secs(15);
/// A link that is in use is probed; here a packet stands for that.
const KEEP_ALIVE: Duration = Duration::from_secs(3);
/// Making all links takes less.
const WITHIN: Duration = Duration::from_secs(300);
/// Where the node that is weighed finds its peers.
const PEERS: &str = "peers";

/// What came out.
#[derive(Clone, Copy, Debug)]
pub struct Weight {
    /// Links.
    pub links: usize,
    /// Resident bytes of the node before the first one.
    pub before: u64,
    /// The same with all of them.
    pub after: u64,
}

impl Weight {
    /// Bytes for each link.
    pub fn each(&self) -> f64 {
        self.after.saturating_sub(self.before) as f64 / self.links as f64
    }
}

/// Starts the peers, and a node that links itself to all of them.
///
/// # Errors
/// A process failed, or a link was gone in the end.
pub fn weigh(folder: &Path, links: usize) -> Result<Weight> {
    let program = std::env::current_exe()?;
    let (mut hosts, mut addresses) = (Vec::new(), Vec::new());
    for first in (0..links).step_by(PER_PROCESS) {
        let count = PER_PROCESS.min(links - first);
        let mut command = Command::new(&program);
        command.arg("host").arg(folder).args([first.to_string(), count.to_string()]);
        let (host, said) = Receiver::start(command, count)?;
        hosts.push(host);
        addresses.extend(said);
    }
    std::fs::write(folder.join(PEERS), addresses.join("\n"))?;
    let mut command = Command::new(&program);
    command.arg("hub").arg(folder);
    let printed = run_child(command, WITHIN)?;
    let (before, after) = printed.trim().split_once(' ').context("two numbers")?;
    Ok(Weight { links, before: before.parse()?, after: after.parse()? })
}

fn transport() -> Transport {
    Transport { keep_alive: Some(KEEP_ALIVE), ..Transport::default() }
}

/// Runs so many nodes and prints where each listens.
///
/// # Errors
/// One cannot start.
pub fn host(folder: &Path, first: usize, count: usize) -> Result<()> {
    end_with_starter();
    let executors = Arc::new(Executors::start(1)?);
    let (ours, authority) = (executors.clone(), authority(folder)?);
    executors.run(0, async move {
        let mut nodes = Vec::with_capacity(count);
        for number in first..first + count {
            let name = format!("peer-{number}");
            let (node, links) = node(&name, &authority, &ours, Transport::default(), App::new()).await?;
            println!("{}", links.local_address());
            nodes.push((node, links));
        }
        std::future::pending::<Result<()>>().await
    })
}

/// Links itself to all peers and prints its resident bytes before and after.
///
/// # Errors
/// A peer cannot be reached, or was lost.
pub fn hub(folder: &Path) -> Result<()> {
    let addresses = std::fs::read_to_string(folder.join(PEERS))?;
    let addresses: Vec<SocketAddr> = addresses.lines().map(str::parse).collect::<Result<_, _>>()?;
    let executors = Arc::new(Executors::start(1)?);
    let (ours, authority) = (executors.clone(), authority(folder)?);
    let (before, after) = executors.run(0, async move {
        let (_node, links) = node("hub", &authority, &ours, transport(), App::new()).await?;
        let before = machine::resident()?;
        for address in &addresses {
            links.connect(*address).await?;
        }
        tokio::time::sleep(SETTLE).await;
        let up = links.status().iter().filter(|link| link.connected).count();
        ensure!(up == addresses.len(), "{up} of {} links are up", addresses.len());
        Ok((before, machine::resident()?))
    })?;
    println!("{before} {after}");
    std::process::exit(0)
}
