//! Groups of three in one process, over a network that can be cut. Their elections run on the real clock: each test
//! waits for facts, however long they take.

use super::*;
use crate::host::Inline;
use crate::journal::{Journal, JournalConfig};
use bytes::Bytes;
use odeon_core::journal::GroupId;
use odeon_core::{EntryId, NodeName, ReplicaId};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

const GROUP: GroupId = GroupId(1);
const WITHIN: Duration = Duration::from_secs(20);

/// All that was applied, in order.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn read(&self) -> Vec<String> {
        self.0.lock().clone()
    }
}

impl StateMachine for Lines {
    fn apply(&mut self, at: EntryId, command: &[u8]) -> Result<Bytes, String> {
        let line = String::from_utf8(command.to_vec()).map_err(|error| error.to_string())?;
        self.0.lock().push(line);
        Ok(Bytes::from(at.index.to_string()))
    }

    fn freeze(&self) -> Freeze {
        let lines = self.read();
        Box::new(move || lines.join("\n").into_bytes())
    }

    fn restore(&mut self, _: EntryId, state: &[u8]) -> Result<(), String> {
        let text = String::from_utf8(state.to_vec()).map_err(|error| error.to_string())?;
        *self.0.lock() = text.lines().map(str::to_owned).collect();
        Ok(())
    }
}

/// Who hears what is sent to a node; the nodes that are cut off.
#[derive(Default)]
struct Net {
    nodes: BTreeMap<NodeName, mpsc::UnboundedSender<(NodeName, Bytes)>>,
    cut: BTreeSet<NodeName>,
    /// Those who could not send, once for each message.
    refused: Arc<Mutex<Vec<NodeName>>>,
    came: Arc<Notify>,
}

struct Wire {
    from: NodeName,
    net: Arc<Mutex<Net>>,
}

impl Carrier for Wire {
    fn carry(&self, to: &NodeName, message: Bytes, _: bool) -> Result<(), NotCarried> {
        let net = self.net.lock();
        if net.cut.contains(to) || net.cut.contains(&self.from) {
            net.refused.lock().push(self.from.clone());
            net.came.notify_one();
            return Err(NotCarried::NoConnection);
        }
        let node = net.nodes.get(to).ok_or(NotCarried::NoConnection)?;
        node.send((self.from.clone(), message)).map_err(|_| NotCarried::NoConnection)
    }
}

struct Stage {
    directory: PathBuf,
    net: Arc<Mutex<Net>>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

struct Replica {
    name: NodeName,
    group: Group,
    lines: Lines,
}

fn name(number: u64) -> NodeName {
    format!("node-{number}").parse().expect("a name")
}

impl Stage {
    fn new(test: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("odeon-group-{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        Self { directory, net: Arc::default() }
    }

    /// Starts a replica in the directory of a node, under an id.
    async fn start(&self, number: u64, replica: u64) -> Replica {
        let (name, lines) = (name(number), Lines::default());
        let exchange = Exchange::new(Arc::new(Wire { from: name.clone(), net: self.net.clone() }));
        let (sender, mut heard) = mpsc::unbounded_channel();
        self.net.lock().nodes.insert(name.clone(), sender);
        let hears = exchange.clone();
        #[allow(clippy::disallowed_methods, reason = "the runtime of the test is the executor")]
        tokio::spawn(async move {
            while let Some((from, message)) = heard.recv().await {
                hears.heard(&from, &message);
            }
        });
        let directory = self.directory.join(replica.to_string());
        let config =
            JournalConfig { segment_bytes: 64 << 10, ..JournalConfig::in_directory(directory.join("j")) };
        let journal = Journal::open(config, Arc::new(Inline)).await.expect("opened");
        let config = GroupConfig {
            heartbeat: Duration::from_millis(20),
            election: Duration::from_millis(80)..=Duration::from_millis(200),
            snapshot_after: 100,
            ..GroupConfig::new(GROUP, ReplicaId(replica), name.clone(), directory.join("s"))
        };
        let machine = Box::new(lines.clone());
        let group =
            Group::start(config, &journal, Arc::new(Inline), &exchange, machine).await.expect("started");
        Replica { name, group, lines }
    }

    /// Three that have formed a group.
    async fn three(&self) -> Vec<Replica> {
        let mut replicas = Vec::new();
        for number in 1..=3 {
            replicas.push(self.start(number, number).await);
        }
        let voters = (1..=3).map(|number| (ReplicaId(number), name(number))).collect();
        replicas[0].group.form(voters).await.expect("formed");
        replicas
    }

    fn cut(&self, node: &NodeName) {
        self.net.lock().cut.insert(node.clone());
    }

    /// Waits until a node that was cut off has tried to send so many messages.
    async fn tries(&self, node: &NodeName, count: usize) {
        let (refused, came) = {
            let net = self.net.lock();
            (net.refused.clone(), net.came.clone())
        };
        while refused.lock().iter().filter(|from| *from == node).count() < count {
            came.notified().await;
        }
    }

    /// Cuts off all but the leader.
    async fn leave_alone<'a>(&self, replicas: &'a [Replica]) -> &'a Replica {
        let leads = leader(replicas).await;
        for other in replicas.iter().filter(|each| each.name != leads.name) {
            self.cut(&other.name);
        }
        leads
    }

    fn heal(&self) {
        self.net.lock().cut.clear();
    }
}

async fn write(replica: &Replica, line: &str) -> Applied {
    replica.group.propose(Bytes::from(line.to_owned()), WITHIN).await.expect("applied")
}

/// Waits until a replica has applied an entry.
async fn applied(replica: &Replica, index: u64) {
    replica.group.until(|status| status.applied.is_some_and(|applied| applied.index >= index)).await;
}

/// The replica that all others of these take for their leader.
async fn leader(replicas: &[Replica]) -> &Replica {
    let agreed = replicas[0].group.until(|status| {
        let Some((id, _)) = status.leader else { return false };
        replicas.iter().any(|each| each.group.status().replica == id)
    });
    let id = agreed.await.leader.expect("it was waited for").0;
    replicas.iter().find(|each| each.group.status().replica == id).expect("it is one of them")
}

#[tokio::test]
async fn what_is_proposed_anywhere_is_applied_everywhere_in_one_order() {
    let stage = Stage::new("order");
    let replicas = stage.three().await;
    let mut last = 0;
    for round in 0..20 {
        for replica in &replicas {
            let done = write(replica, &format!("{} {round}", replica.name)).await;
            assert_eq!(done.answer, done.at.index.to_string());
            assert!(done.at.index > last, "entries grow");
            last = done.at.index;
        }
    }
    for replica in &replicas {
        applied(replica, last).await;
        assert_eq!(replica.lines.read(), replicas[0].lines.read());
        assert_eq!(replica.lines.read().len(), 60);
        replica.group.barrier(WITHIN).await.expect("a majority is there");
    }
}

#[tokio::test]
async fn a_majority_goes_on_without_its_leader_which_catches_up_with_what_its_disk_has() {
    let stage = Stage::new("leader");
    let mut replicas = stage.three().await;
    write(&replicas[1], "before").await;
    let gone = leader(&replicas).await.name.clone();
    let at = replicas.iter().position(|replica| replica.name == gone).expect("it is one of them");
    stage.cut(&gone);
    let old = replicas.remove(at);
    old.group.stop().await;
    for number in 0..300 {
        write(&replicas[0], &format!("while it was away {number}")).await;
    }
    stage.heal();
    let id = old.group.status().replica.0;
    let back = stage.start(id, id).await;
    back.group.barrier(WITHIN).await.expect("it hears of the leader");
    assert_eq!(back.lines.read(), replicas[0].lines.read());
    assert_eq!(back.lines.read().len(), 301);
}

#[tokio::test]
async fn one_that_was_cut_off_does_not_end_the_term_of_those_who_went_on() {
    let stage = Stage::new("prevote");
    let replicas = stage.three().await;
    write(&replicas[0], "before").await;
    let leads = leader(&replicas).await;
    let other = replicas.iter().find(|each| each.name != leads.name).expect("there are three");
    let term = leads.group.status().term;
    stage.cut(&other.name);
    // it has lost its leader, and asks for votes again and again
    stage.tries(&other.name, 6).await;
    let done = write(leads, "without it").await;
    let alone = other.group.propose(Bytes::from_static(b"alone"), Duration::from_millis(300)).await;
    assert!(matches!(alone, Err(ProposeError::NotExecuted(_))), "{alone:?}");
    stage.heal();
    applied(other, done.at.index).await;
    assert_eq!(leads.group.status().term, term);
    assert_eq!(leads.group.status().role, Role::Leader);
    assert!(!other.lines.read().contains(&"alone".to_owned()));
}

#[tokio::test]
async fn a_leader_without_its_majority_does_not_know_what_becomes_of_a_command() {
    let stage = Stage::new("unknown");
    let replicas = stage.three().await;
    write(&replicas[0], "before").await;
    let leads = stage.leave_alone(&replicas).await;
    let alone = leads.group.propose(Bytes::from_static(b"alone"), Duration::from_millis(60)).await;
    assert!(matches!(alone, Err(ProposeError::Unknown(_))), "{alone:?}");
    assert!(leads.group.barrier(Duration::from_millis(60)).await.is_err(), "nobody confirms that it leads");
    assert!(!leads.lines.read().contains(&"alone".to_owned()), "nothing was committed");
}

#[tokio::test]
async fn a_leader_that_has_been_alone_for_long_says_in_time_that_it_has_done_nothing() {
    let stage = Stage::new("alone");
    let replicas = stage.three().await;
    write(&replicas[0], "before").await;
    let leads = stage.leave_alone(&replicas).await;
    // heartbeats to two others each 20 ms: for longer than any election takes
    stage.tries(&leads.name, 60).await;
    let alone = leads.group.propose(Bytes::from_static(b"alone"), Duration::from_millis(100)).await;
    assert!(matches!(alone, Err(ProposeError::NotExecuted(_))), "{alone:?}");
}

#[tokio::test]
async fn a_new_replica_is_given_a_snapshot_in_pieces_and_may_vote_then() {
    let stage = Stage::new("snapshot");
    let replicas = stage.three().await;
    // more than one piece, and more entries than are kept
    let long = "x".repeat(4_000);
    for number in 0..250 {
        write(&replicas[0], &format!("{number} {long}")).await;
    }
    let leads = leader(&replicas).await;
    leads.group.until(|status| status.snapshot.is_some_and(|index| index > 100)).await;
    let new = stage.start(4, 4).await;
    leads.group.add_learner(ReplicaId(4), name(4)).await.expect("added");
    let last = write(leads, "the last").await.at.index;
    applied(&new, last).await;
    assert_eq!(new.group.status().role, Role::Learner);
    assert_eq!(new.lines.read(), leads.lines.read());

    let gone = replicas.iter().find(|each| each.name != leads.name).expect("there are three");
    let gone_id = gone.group.status().replica;
    let voters: BTreeSet<_> = (1..=4).map(ReplicaId).filter(|id| *id != gone_id).collect();
    leads.group.set_voters(voters.clone()).await.expect("changed");
    leads.group.remove([gone_id].into()).await.expect("it is a learner now");
    stage.cut(&gone.name);
    let status = new.group.until(|status| status.voters.keys().copied().eq(voters.iter().copied())).await;
    assert_eq!((status.role, status.learners.len()), (Role::Follower, 0));
    write(&new, "with another majority").await;
}

#[tokio::test]
async fn the_lead_is_given_to_another_voter() {
    let stage = Stage::new("transfer");
    let replicas = stage.three().await;
    write(&replicas[0], "before").await;
    let first = leader(&replicas).await;
    let next = replicas.iter().find(|each| each.name != first.name).expect("there are three");
    let mut leads = first;
    while leads.name != next.name {
        // it is asked for again, as long as another one is elected in its place
        leads.group.transfer(next.group.status().replica).await.expect("it runs");
        let leading = next.group.until(|status| status.role == Role::Leader);
        let _ = tokio::time::timeout(Duration::from_secs(1), leading).await;
        leads = leader(&replicas).await;
    }
    write(first, "after").await;
}

#[tokio::test]
async fn a_replica_whose_disk_was_replaced_is_another_one_and_is_not_asked_for_its_vote() {
    let stage = Stage::new("replaced");
    let mut replicas = stage.three().await;
    write(&replicas[0], "before").await;
    let old = replicas.remove(2);
    old.group.stop().await;
    // the same node, an empty disk
    let new = stage.start(3, 33).await;
    let last = write(&replicas[0], "two of three").await.at.index;
    assert!(!new.group.is_formed(), "it takes no entries in place of the old one");
    // without one more of the old ones there is no majority, whatever the new one says
    let other = replicas.remove(1);
    other.group.stop().await;
    let alone = replicas[0].group.propose(Bytes::from_static(b"alone"), Duration::from_millis(400)).await;
    assert!(alone.is_err(), "{alone:?}");
    assert_eq!(new.lines.read(), Vec::<String>::new());
    assert!(last > 0);
}
