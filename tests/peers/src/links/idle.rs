//! What links weigh that have nothing to do: one node that many programs are linked to, which a few other processes
//! host.

use super::odeon::{VALID, authority, node};
use super::pair::{Receiver, end_with_starter};
use crate::executors::Executors;
use crate::machine;
use anyhow::{Result, bail, ensure};
use odeon::prelude::App;
use odeon::remote::{Links, Transport, Trust};
use odeon::{Client, ClientConfig};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Programs in one process, as it were.
const PER_PROCESS: usize = 250;
/// Longer than a connection lives on which nothing comes: what is weighed is kept alive.
const SETTLE: Duration = Duration::from_secs(15);
/// A link that is in use is probed; here a packet stands for that.
const KEEP_ALIVE: Duration = Duration::from_secs(3);
/// Making all links takes less.
const WITHIN: Duration = Duration::from_secs(300);
/// Between two looks at how many are linked.
const LOOK_EVERY: Duration = Duration::from_millis(100);

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

/// Starts a node, and programs that link themselves to it.
///
/// # Errors
/// A process failed, or a link was gone in the end.
pub fn weigh(folder: &Path, links: usize) -> Result<Weight> {
    let program = std::env::current_exe()?;
    let mut command = Command::new(&program);
    command.arg("hub").arg(folder).arg(links.to_string());
    let (hub, said) = Receiver::start(command, 2)?;
    let [address, before] = said.as_slice() else { bail!("it said {said:?}") };
    let mut hosts = Vec::new();
    for first in (0..links).step_by(PER_PROCESS) {
        let count = PER_PROCESS.min(links - first);
        let mut command = Command::new(&program);
        command.arg("host").arg(folder).args([address, &first.to_string(), &count.to_string()]);
        hosts.push(Receiver::start(command, count)?.0);
    }
    let after = hub.line(WITHIN)?;
    Ok(Weight { links, before: before.parse()?, after: after.parse()? })
}

fn transport() -> Transport {
    Transport { keep_alive: Some(KEEP_ALIVE), ..Transport::default() }
}

/// Runs so many clients of the node at an address and prints a line for each that is linked. They are clients and no
/// nodes: a thousand nodes that gossip with each other are more than one machine can host, and no idle links.
///
/// # Errors
/// One is not let in.
pub fn host(folder: &Path, address: SocketAddr, first: usize, count: usize) -> Result<()> {
    end_with_starter();
    let executors = Executors::start(1)?;
    let authority = authority(folder)?;
    executors.run(0, async move {
        let mut clients = Vec::with_capacity(count);
        for number in first..first + count {
            let now = SystemTime::now();
            let credentials = authority.issue_client(&format!("client-{number}").parse()?, VALID, now)?;
            let (addresses, trust) = (vec![address], Trust::new(&credentials, now)?);
            let config = ClientConfig { addresses, trust, transport: transport() };
            clients.push(Client::connect(config).await?);
            println!("linked");
        }
        std::future::pending::<Result<()>>().await
    })
}

fn up(links: &Links) -> usize {
    links.clients().iter().filter(|client| client.connected).count()
}

/// Prints where it listens and its resident bytes before any link and, once so many have been up for a while, with them.
///
/// # Errors
/// A link was lost.
pub fn hub(folder: &Path, links_wanted: usize) -> Result<()> {
    end_with_starter();
    let executors = Arc::new(Executors::start(1)?);
    let (ours, authority) = (executors.clone(), authority(folder)?);
    executors.run(0, async move {
        let (_node, links) = node("hub", &authority, &ours, transport(), App::new()).await?;
        println!("{}\n{}", links.local_address(), machine::resident()?);
        while up(&links) < links_wanted {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        tokio::time::sleep(SETTLE).await;
        let up = up(&links);
        ensure!(up == links_wanted, "{up} of {links_wanted} links are up");
        println!("{}", machine::resident()?);
        std::future::pending::<Result<()>>().await
    })
}
