//! Answers that are not read where they were asked for.

use super::stage::{Cluster, at_last, eventually};
use futures_util::future::join_all;
use odeon::ServiceOptions;
use odeon::directory::ServiceKind;
use odeon::prelude::*;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;

/// Gives much, once it may.
#[odeon::contract(name = "hoard", version = "1.0")]
pub trait Hoard {
    async fn take(&self, cx: &Cx) -> String;
    #[read]
    async fn is_there(&self, cx: &Cx) -> bool;
}

#[derive(Clone)]
struct Gate {
    waiting: Arc<AtomicUsize>,
    open: Arc<Semaphore>,
    given: Arc<AtomicUsize>,
}

struct Keeper(Gate);

/// As much as fits a frame.
const LENGTH: usize = 60_000;

#[odeon::service]
impl Hoard for Keeper {
    async fn take(&self, _: &Cx) -> String {
        self.0.waiting.fetch_add(1, SeqCst);
        let _closed = self.0.open.acquire().await;
        self.0.given.fetch_add(1, SeqCst);
        "x".repeat(LENGTH)
    }
    async fn is_there(&self, _: &Cx) -> bool {
        true
    }
}

/// Passes packets on between whoever sends it some and a node, both ways, while it may.
struct Relay {
    address: SocketAddr,
    passes: Arc<AtomicBool>,
}

impl Relay {
    async fn to(node: SocketAddr) -> Self {
        let near = Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("a free port"));
        let far = Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("a free port"));
        let (address, passes) = (near.local_addr().expect("bound"), Arc::new(AtomicBool::new(true)));
        let asker = Arc::new(Mutex::new(None));
        tokio::spawn({
            let (near, far, asker, passes) = (near.clone(), far.clone(), asker.clone(), passes.clone());
            async move {
                let mut packet = vec![0; 65_536];
                while let Ok((length, from)) = near.recv_from(&mut packet).await {
                    *asker.lock() = Some(from);
                    if passes.load(SeqCst) {
                        let _ = far.send_to(&packet[..length], node).await;
                    }
                }
            }
        });
        tokio::spawn({
            let passes = passes.clone();
            async move {
                let mut packet = vec![0; 65_536];
                while let Ok(length) = far.recv(&mut packet).await {
                    let to = *asker.lock();
                    if let Some(to) = to.filter(|_| passes.load(SeqCst)) {
                        let _ = near.send_to(&packet[..length], to).await;
                    }
                }
            }
        });
        Self { address, passes }
    }
}

#[tokio::test]
async fn answers_that_are_not_read_take_no_more_memory_than_they_may_and_each_call_still_ends() {
    const RECEIVERS: usize = 50;
    const CALLS: usize = 20;
    /// What answers of one lane may take, and a little; there are two lanes of a class.
    const MEMORY: usize = 2 * (17 << 20);
    let cluster = Cluster::new();
    let gate = Gate { waiting: Arc::default(), open: Arc::new(Semaphore::new(0)), given: Arc::default() };
    let app = {
        let gate = gate.clone();
        let options = ServiceOptions { concurrency: CALLS as u32, ..ServiceOptions::of(ServiceKind::Entity) };
        App::new().entity_with("hoard", options, move || Keeper(gate.clone()))
    };
    let mars = cluster.node("mars", app).await;
    let venus = cluster.node("venus", App::new()).await;
    let relay = Relay::to(mars.links.local_address()).await;
    venus.links.connect(relay.address).await.expect("a link");
    let hoards: Vec<HoardRef> =
        (0..RECEIVERS).map(|n| venus.node.entity("hoard", &n.to_string()).expect("names")).collect();
    at_last("mars is reached", async || hoards[0].is_there().await).await;
    let calls: Vec<_> = hoards
        .iter()
        .flat_map(|hoard| std::iter::repeat_n(hoard, CALLS))
        .map(|hoard| {
            let hoard = hoard.clone();
            tokio::spawn(async move { hoard.take().within(Duration::from_secs(60)).await })
        })
        .collect();
    let all = RECEIVERS * CALLS;
    at_last("all are being handled", async || match gate.waiting.load(SeqCst) {
        waiting if waiting == all => Ok(()),
        waiting => Err(format!(
            "{waiting} are; {} calls have ended",
            calls.iter().filter(|call| call.is_finished()).count()
        )),
    })
    .await;
    relay.passes.store(false, SeqCst);
    gate.open.close();
    eventually("all are handled", || gate.given.load(SeqCst) == all).await;
    let queued = || mars.links.status()[0].queued_bytes;
    eventually("what they gave waits", || queued() > MEMORY / 2).await;
    assert!(queued() < MEMORY, "{} bytes", queued());
    relay.passes.store(true, SeqCst);
    let (mut answered, mut unknown) = (0, 0);
    for outcome in join_all(calls).await {
        match outcome.expect("no panic") {
            Ok(much) => {
                assert_eq!(much.len(), LENGTH);
                answered += 1;
            }
            Err(CallError::Unknown(UnknownCause::Unanswered)) => unknown += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(answered > 0 && unknown > 0, "{answered} answered, {unknown} unknown");
}
