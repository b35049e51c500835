//! The program of a node: a member with entities and a singleton, which it calls wherever they are.

use super::board::{Board, KEYS, Life, SINGLETON};
use crate::Machine;
use crate::reach::reached;
use crate::scenario::books::Books;
use crate::scenario::linked::{self, Pass, Tasks};
use odeon::Node;
use odeon::core::membership::Command;
use odeon::core::{NodeId, NodeName};
use odeon::membership::{Membership, MembershipConfig, Standing};
use odeon::prelude::*;
use odeon::service::reply::RawOutcome;
use tokio::time::sleep;

/// How often a node shows what it sees.
const SHOW_EVERY: Duration = Duration::from_millis(20);
/// Between two calls of one key.
const CALL_EVERY: Duration = Duration::from_millis(40);
/// A call is waited for so long.
const CALL_WITHIN: Duration = Duration::from_secs(5);
/// A node that stops has so long for each part of it.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// What a node starts with.
#[derive(Clone)]
pub(super) struct Start {
    pub(super) pass: Pass,
    pub(super) names: Vec<NodeName>,
}

/// Counts, and takes what it has counted along.
#[odeon::contract(name = "tally", version = "1.0")]
trait Tally {
    async fn add(&mut self, cx: &Cx, call: u64) -> u64;
}

struct Counting {
    board: Books<Board>,
    key: String,
    life: Life,
    sum: u64,
}

#[odeon::service]
impl Tally for Counting {
    async fn add(&mut self, cx: &Cx, call: u64) -> u64 {
        self.board.open(|b| b.runs(&self.key, &self.life, call));
        self.sum += 1;
        if let Some(long) = self.board.open(|b| b.takes_long(call)) {
            cx.sleep(long).await;
            // it is still there, or what comes of it does not come from here
            self.board.open(|b| b.goes_on(&self.key, &self.life));
        }
        self.sum
    }

    async fn passivate(&mut self, _: &Cx) -> Vec<u8> {
        self.sum.to_be_bytes().into()
    }
}

impl Counting {
    fn begin(cx: &Cx, board: &Books<Board>, node: &NodeId) -> Self {
        let key = Some(cx.key()).filter(|key| !key.is_empty()).unwrap_or(SINGLETON).to_owned();
        let sum = cx.restored().and_then(|left| Some(u64::from_be_bytes(left.as_ref().try_into().ok()?)));
        let life = board.open(|b| b.lives(&key, node));
        Self { board: board.clone(), key, life, sum: sum.unwrap_or(0) }
    }
}

/// The node's program. A node that is a member no more is started anew, as whoever looks after it would do, and so is one
/// that was asked to leave.
pub(super) async fn serve(machine: Machine, start: Start, board: Books<Board>) {
    linked::live_again(machine, |machine| live(machine, &start, &board)).await;
}

/// One life of a node. True: it is a member no more.
async fn live(machine: Machine, start: &Start, board: &Books<Board>) -> bool {
    let name: NodeName = machine.name.parse().expect("a node name");
    let me = NodeId { name, incarnation: machine.incarnation };
    let make = {
        let (board, me) = (board.clone(), me.clone());
        move |cx: Cx| {
            let counting = Counting::begin(&cx, &board, &me);
            async move { Ok::<_, StartError>(counting) }
        }
    };
    let app = App::new().entity("tally", make.clone()).singleton("clerk", make);
    let (node, links) = linked::start_placed(&machine, &start.pass, linked::port(&machine), app).await;
    board.open(|b| b.begins(&me, links.local_address()));
    let tune = |config: &mut MembershipConfig| config.eligible = start.names.iter().cloned().collect();
    let Some(membership) = linked::join(&machine, (&start.pass, &start.names), (&node, &links), tune).await
    else {
        return false;
    };
    let mut tasks = Tasks::on(&machine);
    tasks.spawn(linked::keep_linked(links.clone(), start.names.clone(), board.clone(), |b| &b.addresses));
    for key in (0..KEYS).map(|key| key.to_string()).chain([SINGLETON.into()]) {
        tasks.spawn(call(node.clone(), me.name.clone(), key, board.clone()));
    }
    loop {
        let standing = membership.standing();
        let is_removed = standing == Standing::Removed;
        let leaves = board.open(|b| b.is_asked_to_leave(me.name.as_str())) && standing == Standing::Member;
        if is_removed {
            reached("members: a node learned that it is none any more");
        }
        if is_removed || leaves {
            if leaves {
                leave(&membership, &me).await;
            }
            tasks.abort();
            node.stop(STOP_WITHIN).await;
            board.open(|b| b.has_left(me.name.as_str()));
            return true;
        }
        board.open(|b| b.sees(&me, membership.view(), standing, membership.holds_lease()));
        sleep(SHOW_EVERY).await;
    }
}

/// Gives away what it has. What becomes of it is told by what others call.
async fn leave(membership: &Membership, me: &NodeId) {
    let drain = Command::Drain { node: me.clone() };
    match membership.propose(&drain, CALL_WITHIN).await {
        Ok(_) if membership.gave_away(STOP_WITHIN).await => {
            reached("places: a node has given away all that it had")
        }
        Ok(_) => reached("places: a node left with what it could not give away"),
        Err(error) => tracing::debug!(%error, "nobody hears that the node drains"),
    }
}

/// Calls one receiver, for ever: by a reference and by its name, as those outside do, in turn.
async fn call(node: Node, me: NodeName, key: String, board: Books<Board>) {
    let tally: TallyRef = match key.as_str() {
        SINGLETON => node.service("clerk").expect("a name"),
        key => node.entity("tally", key).expect("a name and a key"),
    };
    loop {
        let call = board.open(Board::next_call);
        let outcome = match call.is_multiple_of(2) {
            true => tally.add(call).within(CALL_WITHIN).await,
            false => call_by_name(&node, &key, call).await,
        };
        match outcome {
            Ok(sum) => board.open(|b| b.answered(&me, &key, sum)),
            Err(error) => {
                let executed = matches!(error, CallError::NotExecuted(_)).then_some(false);
                board.open(|b| b.failed(&me, &key, call, executed, &error.to_string()));
            }
        }
        sleep(CALL_EVERY).await;
    }
}

/// What a gateway does.
async fn call_by_name(node: &Node, key: &str, call: u64) -> Result<u64, CallError> {
    let (service, key) = match key {
        SINGLETON => ("clerk", None),
        key => ("tally", Some(key)),
    };
    let tally = node.dynamic(&service.parse().expect("a name")).expect("it is registered");
    let request = linked::request("add", key, format!(r#"{{"call":{call}}}"#), CALL_WITHIN);
    match tally.call(request).await {
        RawOutcome::Answered(sum) => Ok(serde_json::from_slice(&sum).expect("a sum")),
        RawOutcome::NotExecuted(refusal) => Err(CallError::NotExecuted(refusal)),
        RawOutcome::Unknown(cause) => Err(CallError::Unknown(cause)),
        other @ (RawOutcome::Accepted | RawOutcome::Failed(_)) => unreachable!("{other:?} of a sum"),
    }
}
