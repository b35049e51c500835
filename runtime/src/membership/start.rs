//! What membership needs, and how it begins and ends.

use super::machine::Views;
use super::store::StoreError;
use super::{Membership, Shared, Standing, leader, member, offers, store};
use crate::host::{Blocking, run_blocking};
use crate::journal::{Journal, JournalConfig, OpenError};
use crate::node::Node;
use crate::placement::{self, Placement, Takeover};
use crate::remote::Links;
use crate::replication::{Group, GroupConfig, StartGroupError};
use crate::supervision::{AddPartError, PartSpec, Running};
use futures_util::future::BoxFuture;
use odeon_core::journal::GroupId;
use odeon_core::membership::{Card, Lease, LevelRange, Times, TimesError};
use odeon_core::{ClusterId, NodeName, ReplicaId};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

/// The group that agrees on the members.
const CLUSTER: GroupId = GroupId(0);
/// The directory of the journal, in that of the membership.
const JOURNAL: &str = "journal";
/// Others hear within this time where receivers are that this node had.
const QUIET_FOR: Duration = Duration::from_millis(300);
/// A node that leaves passes messages on for so long at the most.
const QUIET_WITHIN: Duration = Duration::from_secs(2);
/// A node that stops tells the others within this time.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// What a node's membership needs to know.
#[derive(Clone, Debug)]
pub struct MembershipConfig {
    /// Where the journal and the snapshots are. Made if it is not there.
    pub directory: PathBuf,
    /// Those who form the cluster, once all of them are there, and are its first voters. The same on all nodes.
    pub founders: BTreeSet<NodeName>,
    /// Those who may vote; none: the founders.
    pub eligible: BTreeSet<NodeName>,
    /// How many vote: odd. Default 3.
    pub voters: usize,
    /// All times. The same on all nodes.
    pub times: Times,
    /// The machine that it is on.
    pub host: String,
    /// Where that is; empty: nobody has said.
    pub zone: String,
    /// After so many entries another snapshot is taken. Default 5,000.
    pub snapshot_after: u64,
    /// Where its files are written. Default: where the node's blocking work runs, services' jobs included, which may hold
    /// it up until the node loses its lease.
    pub blocking: Option<Arc<dyn Blocking>>,
}

impl MembershipConfig {
    /// All else as by default.
    pub fn new(directory: impl Into<PathBuf>, founders: impl IntoIterator<Item = NodeName>) -> Self {
        Self {
            directory: directory.into(),
            founders: founders.into_iter().collect(),
            eligible: BTreeSet::new(),
            voters: 3,
            times: Times::default(),
            host: String::new(),
            zone: String::new(),
            snapshot_after: 5_000,
            blocking: None,
        }
    }
}

/// Why a node cannot be a member.
#[derive(Debug, thiserror::Error)]
pub enum StartMembershipError {
    /// Its times do not fit to each other.
    #[error("{0}")]
    Times(#[from] TimesError),
    /// Nobody would form the cluster, or a number of voters that is even.
    #[error("{0}")]
    Config(&'static str),
    /// Its directory cannot be used.
    #[error("the directory {} cannot be used: {problem}", directory.display())]
    Directory {
        /// Which.
        directory: PathBuf,
        /// Why.
        problem: String,
    },
    /// Its directory was made for a node of another cluster.
    #[error("the directory {} cannot be used: {problem}", directory.display())]
    OtherCluster {
        /// Which.
        directory: PathBuf,
        /// Whose it is.
        problem: String,
    },
    /// What is written down cannot be used.
    #[error("{0}")]
    Journal(#[from] OpenError),
    /// Its replica does not start.
    #[error("{0}")]
    Group(#[from] StartGroupError),
    /// It cannot run as a part of the node.
    #[error("{0}")]
    Part(#[from] AddPartError),
    /// It is one already.
    #[error("the node has a membership already")]
    Again,
}

impl Membership {
    /// Begins to be a member of the cluster: opens what the disk has of it, and goes on in the background. What the node
    /// offers is what it has registered by now, and what it registers later.
    ///
    /// # Errors
    /// [`StartMembershipError`]. Whether it becomes a member is told by [`Membership::standing`].
    pub fn start<'a>(
        node: &'a Node,
        links: &'a Links,
        config: MembershipConfig,
    ) -> BoxFuture<'a, Result<Self, StartMembershipError>> {
        Box::pin(async move {
            config.times.check()?;
            if config.founders.is_empty() {
                return Err(StartMembershipError::Config("a cluster needs founders: name one node at least"));
            }
            if config.voters.is_multiple_of(2) {
                return Err(StartMembershipError::Config("the number of voters has to be odd"));
            }
            if Membership::of(node).is_some() {
                return Err(StartMembershipError::Again);
            }
            // whatever it spawns belongs to the executor of the links
            let executor = node.inner().host.executors[0].clone();
            let (node, links) = (node.clone(), links.clone());
            let span = tracing::Span::current();
            let started = executor.spawn(tracing::Instrument::instrument(start(node, links, config), span));
            started.await.unwrap_or_else(|error| {
                // a panic is reported by the hook
                Err(StartGroupError::Ended(error.to_string()).into())
            })
        })
    }
}

impl Membership {
    /// Whether a node of this cluster could begin with what a directory of its membership has, while no node runs there:
    /// reads it and changes nothing. Snapshots are not looked into. Blocks.
    ///
    /// # Errors
    /// What [`Membership::start`] would say.
    pub fn inspect(directory: &Path, cluster: &ClusterId) -> Result<(), StartMembershipError> {
        let found = replica(directory, cluster)?;
        Ok(Journal::inspect(&directory.join(JOURNAL), found.is_some())?)
    }
}

fn unusable(directory: &Path, problem: impl std::fmt::Display) -> StartMembershipError {
    StartMembershipError::Directory { directory: directory.into(), problem: problem.to_string() }
}

/// The replica that a directory has, if it has one.
fn replica(directory: &Path, cluster: &ClusterId) -> Result<Option<ReplicaId>, StartMembershipError> {
    store::read(directory, cluster).map_err(|error| match error {
        StoreError::OtherCluster { .. } => {
            StartMembershipError::OtherCluster { directory: directory.into(), problem: error.to_string() }
        }
        error => unusable(directory, error),
    })
}

/// The replica of a directory, and its journal. `drawn` is its id if it has none yet.
async fn open(
    directory: &Path,
    cluster: &ClusterId,
    drawn: ReplicaId,
    blocking: &Arc<dyn Blocking>,
) -> Result<(ReplicaId, Journal), StartMembershipError> {
    let (place, ours) = (directory.to_owned(), cluster.clone());
    let found = run_blocking(&**blocking, move || replica(&place, &ours)).await;
    let found = found.map_err(|error| unusable(directory, error))??;
    // a replica that has made promises has a journal: it is begun before the replica has its id
    let journal =
        JournalConfig { must_exist: found.is_some(), ..JournalConfig::in_directory(directory.join(JOURNAL)) };
    let journal = Journal::open(journal, blocking.clone()).await?;
    if found.is_none() {
        let (place, ours) = (directory.to_owned(), cluster.clone());
        let written = run_blocking(&**blocking, move || store::write(&place, drawn, &ours)).await;
        let written = written.map_err(|error| unusable(directory, error))?;
        written.map_err(|error| unusable(directory, error))?;
    }
    Ok((found.unwrap_or(drawn), journal))
}

async fn start(
    node: Node,
    links: Links,
    config: MembershipConfig,
) -> Result<Membership, StartMembershipError> {
    let MembershipConfig {
        directory,
        founders,
        eligible,
        voters,
        times,
        host,
        zone,
        snapshot_after,
        blocking,
    } = config;
    let blocking = blocking.unwrap_or_else(|| node.inner().host.blocking.clone());
    let drawn = ReplicaId(crate::remote::random().unwrap_or_else(|| node.draw_seed()));
    let (replica, journal) = open(&directory, links.cluster(), drawn, &blocking).await?;
    let me = links.node().clone();
    let group = GroupConfig {
        heartbeat: times.heartbeat,
        election: times.election_min..=times.election_max,
        snapshot_after,
        events: node.inner().events.clone(),
        ..GroupConfig::new(CLUSTER, replica, me.name.clone(), directory.join("snapshots"))
    };
    let views = Views::new();
    let (view, renewals) = (views.views(), views.renewals());
    let group = Group::start(group, &journal, blocking, &links.exchange(), Box::new(views)).await?;
    let card = Card {
        node: me.clone(),
        replica,
        address: links.advertised().to_string(),
        host,
        zone,
        version: env!("CARGO_PKG_VERSION").into(),
        artifact: links.artifact().map(|digest| digest.to_string()).unwrap_or_default(),
        levels: LevelRange::READ,
        offers: offers::offers(node.inner()),
    };
    let waits_for = "the cluster group".to_owned();
    let shared = Arc::new(Shared {
        node: me,
        replica,
        group,
        journal: journal.clone(),
        events: node.inner().events.clone(),
        view,
        renewals,
        standing: watch::Sender::new(Standing::Joining { waits_for }),
        lease: Mutex::new(Lease::new(times.lease, times.drift)),
        lapses: AtomicU64::new(0),
        fence: node.inner().placement.as_ref().map(|placement| placement.fence.clone()),
        wheel: node.inner().wheel.clone(),
        eligible: if eligible.is_empty() { founders.clone() } else { eligible },
        founders,
        voters_wanted: voters,
        times,
        card: watch::Sender::new(card),
        origin: Instant::now(),
    });
    let membership = Membership(shared.clone());
    node.inner().membership.set(membership.clone()).map_err(|_| StartMembershipError::Again)?;
    // what was registered in between
    membership.offer(node.inner());
    let spec = PartSpec::new("membership").stop_within(2 * LEAVE_WITHIN + QUIET_WITHIN).outlives_services();
    place(&node, &membership, &links).await?;
    node.add_part(&spec, move |part| run(shared.clone(), links.clone(), journal.clone(), part)).await?;
    Ok(membership)
}

/// Has what the cluster group places follow it, if it places anything on this node.
async fn place(node: &Node, membership: &Membership, links: &Links) -> Result<(), AddPartError> {
    let Some(placement) = node.inner().placement.clone() else { return Ok(()) };
    let takeover = Takeover::new(&placement);
    links.exchange().set_taker(move |from, body| takeover.take(from, body, Instant::now()));
    placement.follow(membership.clone());
    let spec = PartSpec::new("placement").outlives_services().apart();
    let (member, links) = (membership.clone(), links.clone());
    node.add_part(&spec, move |part| follow(placement.clone(), member.clone(), links.clone(), part)).await
}

/// Has what the cluster group places begin, move and end, until the node stops.
async fn follow(
    placement: Arc<Placement>,
    membership: Membership,
    links: Links,
    mut running: Running,
) -> Result<(), String> {
    running.ready();
    tokio::select! {
        biased;
        () = running.stopping() => {}
        () = placement::run(placement, membership, links) => {}
    }
    Ok(())
}

async fn run(
    shared: Arc<Shared>,
    links: Links,
    journal: Journal,
    mut running: Running,
) -> Result<(), String> {
    running.ready();
    let mut replica = Replica { shared: Some(shared.clone()), executor: Handle::current() };
    tokio::select! {
        biased;
        () = running.stopping() => {}
        why = journal.failed() => return Err(format!("the node cannot write down what it agrees to: {why}")),
        why = ended(&shared) => return Err(why),
        () = member::run(&shared, &links) => {}
        () = leader::run(&shared) => {}
    }
    leader::leave(&shared).await;
    let membership = Membership(shared);
    // services have stopped, but messages of others are passed on to where their receivers are by now
    if membership.standing() == Standing::Member && !links.quiet(QUIET_FOR, QUIET_WITHIN).await {
        tracing::info!("the node leaves although something is under way between it and others");
    }
    if membership.standing() == Standing::Member
        && let Err(error) = membership.leave(LEAVE_WITHIN).await
    {
        tracing::warn!(%error, "the cluster does not hear that the node leaves: its lease has to end");
    }
    close(&membership.0).await;
    replica.shared = None;
    Ok(())
}

/// Ends the replica, and lets others open its journal.
async fn close(shared: &Shared) {
    shared.group.stop().await;
    shared.journal.close().await;
}

/// Ends it, too, if the part is dropped before it has: whoever takes too long to stop is.
struct Replica {
    shared: Option<Arc<Shared>>,
    executor: Handle,
}

impl Drop for Replica {
    fn drop(&mut self) {
        // after a panic it is begun again, with the replica that is there
        if let Some(shared) = self.shared.take().filter(|_| !std::thread::panicking()) {
            self.executor.spawn(async move { close(&shared).await });
        }
    }
}

/// Waits until the replica has ended by itself.
async fn ended(shared: &Shared) -> String {
    let status = shared.group.until(|status| status.failure.is_some()).await;
    status.failure.unwrap_or_default()
}
