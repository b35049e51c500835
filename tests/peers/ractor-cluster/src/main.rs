//! ractor_cluster between two processes, as its documentation uses it: one has the receivers, one does a workload to
//! them and prints a metric and a value on each line.

#[path = "../../src/time.rs"]
mod time;
#[path = "../../src/links/work.rs"]
mod work;

use anyhow::{Context, Result, anyhow, bail};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, pg};
use ractor_cluster::{NodeServer, NodeServerMessage, RactorClusterMessage};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The group in which receivers are found on other nodes.
const GROUP: &str = "sinks";
/// Receivers there are: as many as any workload wants.
const SINKS: usize = 100;
/// What one node has in its group, another knows within this time.
const KNOWN_WITHIN: Duration = Duration::from_secs(20);
/// The deadline of each call, as Odeon's by default.
const TIMEOUT_MS: u64 = 5_000;

/// Counts what it is sent, answers what it is asked.
struct Sink;

#[derive(RactorClusterMessage)]
enum SinkMessage {
    Put(String),
    #[rpc]
    Ask(String, RpcReplyPort<String>),
    #[rpc]
    Total(RpcReplyPort<u64>),
}

impl Actor for Sink {
    type Msg = SinkMessage;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<SinkMessage>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(
        &self,
        _: ActorRef<SinkMessage>,
        message: SinkMessage,
        bytes: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SinkMessage::Put(text) => *bytes += text.len() as u64,
            SinkMessage::Ask(text, reply) => drop(reply.send(text)),
            SinkMessage::Total(reply) => drop(reply.send(std::mem::take(bytes))),
        }
        Ok(())
    }
}

/// A node on loopback.
async fn node(name: &str, port: u16) -> Result<ActorRef<NodeServerMessage>> {
    let server = NodeServer::new(port, "bench".into(), name.into(), "localhost".into(), None, None)
        .with_listen_addr(Ipv4Addr::LOCALHOST.into());
    let (server, _) = Actor::spawn(None, server, ()).await.map_err(|e| anyhow!("{e}"))?;
    Ok(server)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

async fn receive() -> Result<()> {
    let port = free_port()?;
    let _server = node("receiver", port).await?;
    for _ in 0..SINKS {
        let (sink, _) = Actor::spawn(None, Sink, ()).await.map_err(|e| anyhow!("{e}"))?;
        pg::join(GROUP.into(), vec![sink.get_cell()]);
    }
    println!("{port}");
    std::future::pending().await
}

struct Cluster;

impl work::Remote for Cluster {
    type Sink = ActorRef<SinkMessage>;

    async fn sinks(&self, count: usize) -> Result<Vec<Self::Sink>> {
        let known = async {
            loop {
                let members = pg::get_members(&GROUP.into());
                if members.len() == SINKS {
                    break members;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let members = tokio::time::timeout(KNOWN_WITHIN, known).await.context("no receivers are known")?;
        Ok(members.into_iter().take(count).map(ActorRef::from).collect())
    }

    async fn put(sink: &Self::Sink, text: &str) -> Result<()> {
        sink.cast(SinkMessage::Put(text.into())).map_err(|e| anyhow!("{e}"))
    }

    async fn ask(sink: &Self::Sink, text: &str) -> Result<String> {
        ractor::call_t!(sink, SinkMessage::Ask, TIMEOUT_MS, text.into()).map_err(|e| anyhow!("{e}"))
    }

    async fn total(sink: &Self::Sink) -> Result<u64> {
        // queues have no bound: the answer comes behind all that was put
        ractor::call!(sink, SinkMessage::Total).map_err(|e| anyhow!("{e}"))
    }
}

async fn send(port: &str, workload: &str, count: u64, bytes: usize) -> Result<()> {
    let server = node("sender", free_port()?).await?;
    ractor_cluster::client_connect(&server, (Ipv4Addr::LOCALHOST, port.parse::<u16>()?)).await?;
    for (metric, value) in work::measure(&Cluster, workload, count, bytes).await? {
        println!("{metric} {value:.3}");
    }
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ended = runtime.block_on(async {
        match arguments[..] {
            ["receive"] => {
                std::thread::spawn(|| {
                    // whoever has started this one has ended, or wants it to end
                    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
                    std::process::exit(0)
                });
                receive().await
            }
            ["send", port, workload, count, bytes] => {
                send(port, workload, count.parse()?, bytes.parse()?).await
            }
            _ => bail!("receive, or send PORT WORKLOAD COUNT BYTES"),
        }
    });
    ended?;
    // what is still running need not end in order
    std::process::exit(0)
}
