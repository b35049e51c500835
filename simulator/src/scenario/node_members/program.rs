//! The program of a node: a member that shows what it sees.

use super::board::Board;
use crate::Machine;
use crate::reach::reached;
use crate::scenario::books::Books;
use crate::scenario::linked::{self, Pass, dial_all};
use odeon::core::{NodeId, NodeName};
use odeon::membership::{Membership, MembershipConfig, Standing};
use odeon::prelude::*;
use tokio::time::sleep;

/// Where a node listens in its first incarnation; in each later one at the next port.
const PORT: u16 = 7_000;
/// How often a node acts as a member.
const ACT_EVERY: Duration = Duration::from_millis(20);
/// How often it dials whom it has no link to.
const DIAL_EVERY: Duration = Duration::from_millis(200);
/// Those who form the cluster.
const FOUNDERS: usize = 3;

/// What a node starts with.
#[derive(Clone)]
pub(super) struct Start {
    pub(super) pass: Pass,
    pub(super) names: Vec<NodeName>,
}

/// The node's program. A node that is a member no more is started anew, as whoever looks after it would do.
pub(super) async fn serve(mut machine: Machine, start: Start, board: Books<Board>) {
    machine.incarnation *= 1_000;
    while live(&machine, &start, &board).await {
        machine.incarnation += 1;
    }
}

/// One life of a node. True: it is a member no more.
async fn live(machine: &Machine, start: &Start, board: &Books<Board>) -> bool {
    let name: NodeName = machine.name.parse().expect("a node name");
    let me = NodeId { name, incarnation: machine.incarnation };
    let port = PORT + (machine.incarnation % 10_000) as u16;
    let (node, links) = linked::start(machine, &start.pass, port, App::new()).await;
    board.open(|b| b.begins(&me, links.local_address()));
    let mut config =
        MembershipConfig::new(machine.directory.join("cluster"), start.names[..FOUNDERS].iter().cloned());
    config.eligible = start.names.iter().cloned().collect();
    config.snapshot_after = 100;
    let membership = match Membership::start(&node, &links, config).await {
        Ok(membership) => membership,
        Err(error) => {
            tracing::info!(%error, "the node cannot be a member: its machine goes down");
            reached("members: a node was cut off while it started");
            return false;
        }
    };
    let dial = {
        let (links, board, names) = (links.clone(), board.clone(), start.names.clone());
        async move {
            loop {
                dial_all(&links, &names, |name| board.open(|b| b.addresses.get(name).copied())).await;
                sleep(DIAL_EVERY).await;
            }
        }
    };
    let executors = &machine.executors;
    let dial = executors[executors.len() - 1].spawn(dial);
    let follow = {
        let (me, board, mut views) = (me.clone(), board.clone(), membership.views());
        async move {
            while views.changed().await.is_ok() {
                let view = views.borrow_and_update().clone();
                board.open(|b| b.sees(&me, &view));
            }
        }
    };
    executors[0].spawn(follow);
    loop {
        let (holds, standing) = (membership.holds_lease(), membership.standing());
        if standing == Standing::Removed {
            reached("members: a node learned that it is none any more");
            dial.abort();
            node.stop(Duration::from_secs(5)).await;
            return true;
        }
        board.open(|b| b.acts(&me, holds, standing, membership.group()));
        sleep(ACT_EVERY).await;
    }
}
