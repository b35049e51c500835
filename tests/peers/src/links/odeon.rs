//! Odeon between two processes: typed, through references, over mutual TLS, with every default in place.

use super::control::{Observer, control};
use super::work::{self, Remote};
use super::{System, Workload};
use crate::executors::Executors;
use anyhow::{Context, Result, ensure};
use odeon::core::{ClusterId, NodeName};
use odeon::host::{Host, Inline};
use odeon::prelude::*;
use odeon::remote::{Authority, Links, LinksConfig, Transport, Trust};
use odeon::{Node, NodeConfig};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::mpsc;

/// Longer than any run takes.
pub(super) const VALID: Duration = Duration::from_secs(3_600);
/// A node that was dialed has told what it offers within this time.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);
/// Receivers that never return: enough for each lane of a class to have one.
const STUCK: usize = 4;
/// Until their senders get no message through any more.
const BEFORE: Duration = Duration::from_millis(500);
/// The largest packet of the arrangement for loopback and jumbo frames.
const MTU_JUMBO: u16 = 6_500;

/// Counts what it is sent, answers what it is asked.
#[odeon::contract(name = "posting", version = "1.0")]
pub trait Posting {
    /// Counts.
    #[cast]
    async fn put(&mut self, cx: &Cx, text: String);
    /// The same text.
    async fn ask(&mut self, cx: &Cx, text: String) -> String;
    /// Bytes that were put since this was last asked.
    async fn total(&mut self, cx: &Cx) -> u64;
    /// Never returns.
    #[cast]
    async fn hang(&mut self, cx: &Cx, text: String);
}

/// An entity that counts.
#[derive(Debug, Default)]
pub struct Sink(u64);

#[odeon::service]
impl Posting for Sink {
    async fn put(&mut self, _: &Cx, text: String) {
        self.0 += text.len() as u64;
    }

    async fn ask(&mut self, _: &Cx, text: String) -> String {
        text
    }

    async fn total(&mut self, _: &Cx) -> u64 {
        std::mem::take(&mut self.0)
    }

    async fn hang(&mut self, _: &Cx, _text: String) {
        std::future::pending::<()>().await;
    }
}

/// Writes an authority into a folder. Every process makes its own credentials with it.
///
/// # Errors
/// The folder cannot be written.
pub fn authorize(folder: &Path) -> Result<()> {
    let authority = Authority::create(&ClusterId::new("bench", 1)?, VALID, SystemTime::now())?;
    std::fs::write(folder.join("ca.pem"), authority.certificate_pem())?;
    std::fs::write(folder.join("ca.key"), authority.key_pem().expose())?;
    Ok(())
}

/// Reads it.
///
/// # Errors
/// It is not there.
pub fn authority(folder: &Path) -> Result<Authority> {
    let read = |name| std::fs::read_to_string(folder.join(name));
    Ok(Authority::from_pem(&read("ca.pem")?, &read("ca.key")?)?)
}

/// A node that listens on loopback, its cells and links on these executors.
///
/// # Errors
/// It cannot start.
pub async fn node(
    name: &str,
    authority: &Authority,
    executors: &Executors,
    transport: Transport,
    app: App,
) -> Result<(Node, Links)> {
    let name: NodeName = name.parse()?;
    let host = Host { executors: executors.list.clone(), blocking: Arc::new(Inline), seed: 1 };
    let node = Node::start(host, NodeConfig::named(name.clone()), app).await?;
    let now = SystemTime::now();
    let credentials = authority.issue(&name, VALID, now)?;
    let config = LinksConfig {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        advertise: None,
        trust: Trust::new(&credentials, now)?,
        incarnation: 1,
        // both processes are the same program
        artifact: Some([1; 32]),
        transport,
    };
    let links = Links::start(&node, config).await?;
    Ok((node, links))
}

fn executors(system: System) -> std::io::Result<Arc<Executors>> {
    Executors::start(if system == System::Odeon2 { 2 } else { 1 }).map(Arc::new)
}

fn transport(system: System) -> Transport {
    let mut transport = Transport::default();
    if system == System::OdeonJumbo {
        transport.mtu_max = MTU_JUMBO;
    }
    transport
}

/// Serves in this process until its starter has ended.
///
/// # Errors
/// It cannot listen.
pub fn receive(system: System, folder: &Path) -> Result<()> {
    super::pair::end_with_starter();
    let executors = executors(system)?;
    let (ours, authority) = (executors.clone(), authority(folder)?);
    executors.run(0, async move {
        let app = App::new().entity("sink", Sink::default);
        let (_node, links) = node("receiver", &authority, &ours, transport(system), app).await?;
        println!("{}", links.local_address());
        std::future::pending::<Result<()>>().await
    })
}

/// Does a workload to the receiver at an address and prints what came out.
///
/// # Errors
/// The work was not done as it should be.
pub fn send(
    system: System,
    folder: &Path,
    address: SocketAddr,
    workload: Workload,
    (count, bytes): (u64, usize),
) -> Result<()> {
    let executors = executors(system)?;
    let (ours, authority) = (executors.clone(), authority(folder)?);
    // links live on the first executor, senders on the last
    let samples = executors.run(executors.list.len() - 1, async move {
        let (told, hears) = mpsc::unbounded_channel();
        let app = App::new().entity("observer", move || Observer(told.clone()));
        let (node, links) = node("sender", &authority, &ours, transport(system), app).await?;
        links.connect(address).await?;
        let odeon = Odeon { node };
        let samples = match workload {
            Workload::Control => control(&odeon, hears, count, bytes).await,
            Workload::Blocked => blocked(&odeon, count, bytes).await,
            other => work::measure(&odeon, &other.name(), count, bytes).await,
        };
        samples.with_context(|| format!("{:?}", links.status()))
    })?;
    for (metric, value) in samples {
        println!("{metric} {value:.3}");
    }
    // what is still running need not end in order
    std::process::exit(0)
}

/// The sender's node.
pub(super) struct Odeon {
    pub(super) node: Node,
}

impl Odeon {
    /// A receiver on the other node, once it is known what that one offers.
    pub(super) async fn sink(&self, key: &str) -> Result<PostingRef> {
        let sink: PostingRef = self.node.entity("sink", key)?;
        let known = async {
            while sink.total().await.is_err() {
                tokio::task::yield_now().await
            }
        };
        tokio::time::timeout(KNOWN_WITHIN, known).await.context("the receiver offers no sink")?;
        Ok(sink)
    }
}

impl Remote for Odeon {
    type Sink = PostingRef;

    async fn sinks(&self, count: usize) -> Result<Vec<PostingRef>> {
        let mut sinks = Vec::with_capacity(count);
        for number in 0..count {
            sinks.push(self.sink(&format!("sink-{number}")).await?);
        }
        Ok(sinks)
    }

    async fn put(sink: &PostingRef, text: &str) -> Result<()> {
        Ok(sink.put(text.into()).await?)
    }

    async fn ask(sink: &PostingRef, text: &str) -> Result<String> {
        Ok(sink.ask(text.into()).await?)
    }

    async fn total(sink: &PostingRef) -> Result<u64> {
        Ok(sink.total().await?)
    }
}

/// How much slower casts to one receiver are while others on the same node are blocked and are sent to all the same.
async fn blocked(odeon: &Odeon, count: u64, bytes: usize) -> Result<Vec<(&'static str, f64)>> {
    let free = [odeon.sink("free").await?];
    let mut stuck = Vec::new();
    for number in 0..STUCK {
        stuck.push(odeon.sink(&format!("stuck-{number}")).await?);
    }
    let text: Arc<str> = "x".repeat(bytes).into();
    let rate = |count| {
        let (free, text) = (free.clone(), text.clone());
        tokio::spawn(async move { work::cast_all::<Odeon>(&free, &text, count).await })
    };
    rate(count).await??;
    // links and processors rest as long before either
    tokio::time::sleep(BEFORE).await;
    let alone = rate(count).await??;
    let senders: Vec<_> = stuck
        .into_iter()
        .map(|sink| {
            let text = text.clone();
            tokio::spawn(async move {
                loop {
                    // it waits for room as long as a cast may, and then tries again
                    let _ = sink.hang(text.to_string()).await;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    // until none of them gets a message through any more
    tokio::time::sleep(BEFORE).await;
    let beside = rate(count).await??;
    ensure!(
        senders.iter().all(|sender: &tokio::task::JoinHandle<()>| !sender.is_finished()),
        "a sender ended"
    );
    senders.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(vec![("blocked-loss", 100.0 * (1.0 - beside / alone))])
}
