//! Odeon through its public face: contracts, references, a started node with every default in place.

use crate::executors::Executors;
use crate::peer::{Peer, Place, measure as measure_peer};
use crate::services::{AddingRef, Sink, tell, tell_waiting, total};
use crate::workload::{Sample, Sizes, Workload};
use anyhow::{Context, Result, anyhow, ensure};
use odeon::core::outcome::Overflow;
use odeon::directory::ServiceKind;
use odeon::host::{Host, Inline};
use odeon::prelude::{App, Cx, Duration};
use odeon::{Node, NodeConfig, ServiceOptions};
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// How the node is arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrangement {
    /// One executor.
    One,
    /// Two executors.
    Two,
    /// One executor; a full mailbox lets senders wait.
    Waiting,
    /// Two executors; a full mailbox lets senders wait.
    TwoWaiting,
}

impl Arrangement {
    fn executors(self) -> usize {
        match self {
            Self::One | Self::Waiting => 1,
            Self::Two | Self::TwoWaiting => 2,
        }
    }

    fn waits(self) -> bool {
        matches!(self, Self::Waiting | Self::TwoWaiting)
    }
}

/// Longer than any workload takes: the root of a chain that is no single call.
const WHOLE: Duration = Duration::from_secs(300);

/// Asks a partner of its own again and again.
#[odeon::contract(name = "player", version = "1.0")]
pub trait Playing {
    /// How many of so many calls were answered.
    async fn rally(&mut self, cx: &Cx, calls: u64) -> u64;
}

#[derive(Default)]
struct Player;

#[odeon::service]
impl Playing for Player {
    async fn rally(&mut self, cx: &Cx, calls: u64) -> u64 {
        let Ok(partner) = cx.entity::<AddingRef>("sink", &format!("partner of {}", cx.key())) else {
            return 0;
        };
        let mut answered = 0;
        for value in 0..calls {
            answered += u64::from(partner.ask(value).await.is_ok_and(|a| a == value + 1));
        }
        answered
    }
}

/// A node of the tree.
#[odeon::contract(name = "branch", version = "1.0")]
pub trait Branching {
    /// Grows so many leaves below itself; the sum goes to the parent.
    #[cast]
    async fn grow(&mut self, cx: &Cx, first: u64, leaves: u64, parent: Option<BranchingRef>);
    /// The sum of one child.
    #[cast]
    async fn add(&mut self, cx: &Cx, sum: u64);
}

type Root = Arc<Mutex<Option<oneshot::Sender<u64>>>>;

struct Branch {
    root: Root,
    parent: Option<BranchingRef>,
    missing: u32,
    sum: u64,
}

impl Branch {
    fn finish(&self, cx: &Cx, sum: u64) {
        let told = match &self.parent {
            Some(parent) => parent.add(sum).send().is_ok(),
            None => {
                self.root.lock().is_ok_and(|mut root| root.take().is_some_and(|root| root.send(sum).is_ok()))
            }
        };
        assert!(told, "the sum of a branch was refused");
        cx.stop();
    }
}

#[odeon::service]
impl Branching for Branch {
    async fn grow(&mut self, cx: &Cx, first: u64, leaves: u64, parent: Option<BranchingRef>) {
        self.parent = parent;
        if leaves == 1 {
            return self.finish(cx, first);
        }
        let below = leaves / 10;
        let me = cx.me::<BranchingRef>().expect("it has this contract");
        for child in 0..10 {
            let first = first + child * below;
            let child =
                cx.entity::<BranchingRef>("branch", &format!("{first}+{below}")).expect("it is registered");
            child.grow(first, below, Some(me.clone())).send().expect("a new mailbox has room");
        }
    }

    async fn add(&mut self, cx: &Cx, sum: u64) {
        self.sum += sum;
        self.missing -= 1;
        if self.missing == 0 {
            self.finish(cx, self.sum);
        }
    }
}

/// A sink and how its mailbox treats senders.
#[derive(Clone)]
struct Receiver {
    reference: AddingRef,
    waits: bool,
}

struct Odeon {
    node: Node,
    waits: bool,
    executors: Arc<Executors>,
    root: Root,
}

impl Odeon {
    /// Where senders and callers run: the last executor.
    fn senders(&self) -> usize {
        self.executors.list.len() - 1
    }

    async fn start(arrangement: Arrangement, executors: Arc<Executors>) -> Result<Self> {
        let host = Host { executors: executors.list.clone(), blocking: Arc::new(Inline), seed: 1 };
        let mut options = ServiceOptions::of(ServiceKind::Entity);
        if arrangement.waits() {
            options.mailbox.overflow = Overflow::Wait;
        }
        let root = Root::default();
        let top = root.clone();
        let app = App::new()
            .entity_with("sink", options, Sink::default)
            .entity("player", Player::default)
            .entity("branch", move || Branch { root: top.clone(), parent: None, missing: 10, sum: 0 });
        let node = Node::start(host, NodeConfig::named("bench".parse()?), app).await?;
        Ok(Self { node, waits: arrangement.waits(), executors, root })
    }
}

impl Peer for Odeon {
    type Sink = Receiver;
    type Player = PlayingRef;

    // an entity stays until it has been idle for two minutes, whoever holds a reference
    const HANDLES_KEEP_ALIVE: bool = false;

    async fn sink(&self, number: u64, place: Place) -> Result<Receiver> {
        let waits = self.waits;
        if self.executors.list.len() == 1 || place == Place::Anywhere {
            return Ok(Receiver { reference: self.node.entity("sink", &number.to_string())?, waits });
        }
        // an entity that is called from outside is placed by its key: try some until one is where it should be
        let wanted = match place {
            Place::Beside | Place::Anywhere => self.senders(),
            Place::Apart => 0,
        };
        let wanted = Executors::thread_name(wanted);
        for attempt in 0..100 {
            let reference: AddingRef = self.node.entity("sink", &format!("{number}.{attempt}"))?;
            if reference.thread().await? == wanted {
                return Ok(Receiver { reference, waits });
            }
        }
        Err(anyhow!("no key leads to {wanted}"))
    }

    async fn tell(sink: &Receiver, value: u64) {
        let sent = if sink.waits {
            tell_waiting(&sink.reference, value).await
        } else {
            tell(&sink.reference, value).await
        };
        sent.expect("a sink takes what there is room for");
    }

    async fn ask(sink: &Receiver, value: u64) -> Result<u64> {
        Ok(sink.reference.ask(value).await?)
    }

    async fn total(sink: &Receiver) -> Result<u64> {
        total(&sink.reference).await
    }

    async fn player(&self, number: u64) -> Result<PlayingRef> {
        Ok(self.node.entity("player", &number.to_string())?)
    }

    async fn rally(player: PlayingRef, calls: u64) -> Result<u64> {
        Ok(player.rally(calls).within(WHOLE).await?)
    }

    async fn skynet(&self, leaves: u64) -> Result<u64> {
        let (root, sum) = oneshot::channel();
        let before = self.root.lock().map_err(|_| anyhow!("a branch panicked"))?.replace(root);
        ensure!(before.is_none(), "one tree at a time");
        let top: BranchingRef = self.node.entity("branch", "root")?;
        // the first ten come from outside: so they are spread over the executors, and their children stay with them
        let below = leaves / 10;
        for child in 0..10 {
            let first = child * below;
            let child: BranchingRef = self.node.entity("branch", &format!("{first}+{below}"))?;
            child.grow(first, below, Some(top.clone())).send()?;
        }
        sum.await.context("the tree ended without a sum")
    }

    fn task<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.executors.list[self.senders()].spawn(task)
    }
}

pub(super) fn measure(arrangement: Arrangement, workload: Workload, sizes: &Sizes) -> Result<Vec<Sample>> {
    let count = arrangement.executors();
    let executors = Arc::new(Executors::start(count)?);
    let sizes = *sizes;
    let measurement = {
        let executors = executors.clone();
        async move {
            let odeon = Odeon::start(arrangement, executors).await?;
            measure_peer(&odeon, workload, &sizes).await
        }
    };
    let samples = executors.run(count - 1, measurement);
    // a million cells need not be taken down in order
    std::mem::forget(executors);
    samples
}
