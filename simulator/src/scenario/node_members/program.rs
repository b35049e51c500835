//! The program of a node: a member that shows what it sees.

use super::board::Board;
use crate::Machine;
use crate::reach::reached;
use crate::scenario::books::Books;
use crate::scenario::linked::{self, Pass, Tasks};
use odeon::core::{NodeId, NodeName};
use odeon::membership::{MembershipConfig, Standing};
use odeon::prelude::*;
use tokio::time::sleep;

/// How often a node acts as a member.
const ACT_EVERY: Duration = Duration::from_millis(20);

/// What a node starts with.
#[derive(Clone)]
pub(super) struct Start {
    pub(super) pass: Pass,
    pub(super) names: Vec<NodeName>,
}

/// The node's program.
pub(super) async fn serve(machine: Machine, start: Start, board: Books<Board>) {
    linked::live_again(machine, |machine| live(machine, &start, &board)).await;
}

/// One life of a node. True: it is a member no more.
async fn live(machine: Machine, start: &Start, board: &Books<Board>) -> bool {
    let name: NodeName = machine.name.parse().expect("a node name");
    let me = NodeId { name, incarnation: machine.incarnation };
    let (node, links) = linked::start(&machine, &start.pass, linked::port(&machine), App::new()).await;
    board.open(|b| b.begins(&me, links.local_address()));
    let tune = |config: &mut MembershipConfig| {
        config.eligible = start.names.iter().cloned().collect();
        config.snapshot_after = 100;
    };
    let Some(membership) = linked::join(&machine, (&start.pass, &start.names), (&node, &links), tune).await
    else {
        return false;
    };
    let mut tasks = Tasks::on(&machine);
    tasks.spawn(linked::keep_linked(links.clone(), start.names.clone(), board.clone(), |b| &b.addresses));
    tasks.spawn({
        let (me, board, mut views) = (me.clone(), board.clone(), membership.views());
        async move {
            while views.changed().await.is_ok() {
                let view = views.borrow_and_update().clone();
                board.open(|b| b.sees(&me, &view));
            }
        }
    });
    loop {
        let (holds, standing) = (membership.holds_lease(), membership.standing());
        if standing == Standing::Removed {
            reached("members: a node learned that it is none any more");
            tasks.abort();
            node.stop(Duration::from_secs(5)).await;
            return true;
        }
        board.open(|b| b.acts(&me, holds, standing, membership.group()));
        sleep(ACT_EVERY).await;
    }
}
