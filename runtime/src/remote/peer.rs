//! A peer: one incarnation of another node, and the session with it, which outlives connections.

use super::control::{LaneReceipt, Services};
use super::core::Core;
use super::gossip::Outbox;
use super::inbound::Inbound;
use super::lane::{Lane, Lanes, Sending, Unsent};
use super::large::{Behind, Outgoing};
use super::pending::Pending;
use super::probes::Suspicion;
use super::providers::Changes;
use super::receipts::Teller;
use super::relay::Passages;
use super::replication;
use super::target::{LANES, Target, class_of};
use super::topics::Groups;
use super::waiters::Bell;
use super::watches::{Wanted, Watched};
use crate::cell::{Tick, Wheel};
use crate::reach::reached;
use crate::service::compact::Compacts;
use crate::service::contract::Encoding;
use crate::service::message::{Header, Message, Origin};
use crate::service::reply::RawOutcome;
use crate::telemetry::dump::PeerDump;
use odeon_core::delivery::{Books, CallEnd, Loss};
use odeon_core::supervision::Exit;
use odeon_core::wire::envelope::{CallId, Content, Head};
use odeon_core::wire::limits;
use odeon_core::{NodeId, Refusal, UnknownCause};
use parking_lot::Mutex;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;

/// One incarnation of another node.
pub(crate) struct Peer {
    pub(super) node: Arc<NodeId>,
    /// The name of a client, if it is no node: all that comes from it is on behalf of that client.
    client: Option<Arc<str>>,
    pub(super) wheel: Arc<Wheel>,
    /// The number of the session towards it.
    pub(super) session: u64,
    pub(super) lanes: Lanes,
    pub(super) pending: Pending,
    pub(super) large: Outgoing,
    /// What replicas here say to those there.
    pub(super) replication: replication::Outgoing,
    /// What this node wants to know of its activations.
    pub(super) wanted_watches: Wanted,
    /// What it wants to know of ours.
    pub(super) watched: Watched,
    pub(super) inbound: Inbound,
    /// Where goes what it sends to other nodes by way of this one.
    pub(super) passages: Arc<Passages>,
    pub(super) teller: Arc<Teller>,
    /// What it offers.
    services: Mutex<Arc<Services>>,
    /// What it and we say of members of groups.
    pub(super) groups: Groups,
    same_artifact: AtomicBool,
    targets: AtomicU64,
    gone: OnceLock<Refusal>,
    /// The cluster has removed it: it may say what replicas say, and nothing else.
    outcast: AtomicBool,
    /// There is a connection.
    up: AtomicBool,
    /// Nothing comes from it.
    pub(super) suspicion: Suspicion,
    /// Something waits for one.
    pub(super) wanted: Teller,
    pub(super) outbox: Arc<Outbox>,
    pub(super) changes: Arc<Changes>,
    pub(super) compacts: Arc<Compacts>,
    /// The books of earlier sessions with it.
    past: Books,
    /// Those of earlier incarnations.
    pub(super) earlier: Books,
}

impl Peer {
    /// `last` is the one before it of this name, whose session is over.
    pub(super) fn new(
        node: NodeId,
        client: Option<Arc<str>>,
        session: u64,
        core: &Arc<Core>,
        last: Option<&Self>,
    ) -> Arc<Self> {
        let teller = Arc::new(Teller::default());
        if let Some(last) = last {
            // whoever has ended it may still be about to: nothing may be open in books that go on in others
            last.lanes.end(&last.unreachable("its session is over"), Loss::Link);
        }
        let mut earlier = last.map(|last| last.earlier.clone()).unwrap_or_default();
        let (last, other) = match last {
            Some(last) if *last.node == node => (Some(last), None),
            last => (None, last),
        };
        let past = last.map(Self::books).unwrap_or_default();
        earlier.add(&other.map(Self::books).unwrap_or_default());
        let outcast = AtomicBool::new(core.is_outcast(&node));
        // a client may be called as a node is, and speaks for none
        let groups = Groups::new(&core.topics, &node, client.is_some() || core.is_outcast(&node));
        Arc::new(Self {
            node: Arc::new(node),
            client,
            wheel: core.wheel.clone(),
            session,
            lanes: Lanes::default(),
            pending: Pending::default(),
            large: Outgoing::default(),
            replication: replication::Outgoing::default(),
            wanted_watches: Wanted::default(),
            watched: Watched::default(),
            inbound: Inbound::new(&teller),
            passages: last.map(|last| last.passages.clone()).unwrap_or_default(),
            teller,
            services: Mutex::default(),
            groups,
            same_artifact: AtomicBool::new(false),
            targets: AtomicU64::new(1),
            gone: OnceLock::new(),
            outcast,
            up: AtomicBool::new(false),
            suspicion: Suspicion::default(),
            wanted: Teller::default(),
            outbox: last.map(|last| last.outbox.clone()).unwrap_or_default(),
            changes: core.changes.clone(),
            compacts: core.compacts.clone(),
            past,
            earlier,
        })
    }

    /// The name of the client that this is; none for a node.
    pub(super) fn client(&self) -> Option<&Arc<str>> {
        self.client.as_ref()
    }

    /// What became of all that was ever sent to it.
    pub(super) fn books(&self) -> Books {
        let mut all = self.past.clone();
        all.add(&self.lanes.books());
        all
    }

    pub(super) fn next_target(&self) -> u64 {
        self.targets.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn is_of_our_artifact(&self) -> bool {
        self.same_artifact.load(Ordering::Relaxed)
    }

    pub(super) fn set_artifact(&self, is_ours: bool) {
        self.same_artifact.store(is_ours, Ordering::Relaxed);
    }

    pub(super) fn services(&self) -> Arc<Services> {
        self.services.lock().clone()
    }

    pub(super) fn offers(&self, services: Services) {
        let mut known = self.services.lock();
        if services.number > known.number {
            *known = Arc::new(services);
            drop(known);
            self.changes.note();
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// There is a connection, or there is none any more. Gives back its number, for what replicas say.
    pub(super) fn set_up(&self, up: bool) -> u64 {
        self.up.store(up, Ordering::Release);
        let connection = self.replication.set_up(up);
        self.changes.note();
        if !up && self.has_work() {
            self.wanted.remind();
        }
        connection
    }

    /// Whether anything waits for the peer, or for word from it.
    pub(super) fn has_work(&self) -> bool {
        let has_large = self.large.queue().0 > 0;
        has_large
            || !self.wanted_watches.is_empty()
            || self.lanes.used().any(Lane::has_work)
            || self.pending.len() > 0
            || self.services().number == 0
    }

    /// Whether messages or answers are under way to it, or from it.
    pub(super) fn is_busy(&self) -> bool {
        let unsettled = self.lanes.used().any(Lane::has_work);
        unsettled || self.pending.len() > 0 || self.inbound.is_busy() || self.large.queue().0 > 0
    }

    /// What waits for it, and what is under way, if anything is.
    pub(super) fn look(&self) -> Option<PeerDump> {
        self.is_busy().then(|| PeerDump {
            node: self.node.to_string(),
            connected: self.is_up(),
            calls: self.pending.len(),
            lanes: self.lanes.used().map(Lane::look).collect(),
        })
    }

    /// Whether the session with it is over.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.get().is_some()
    }

    /// The session is over. What was under way is lost, each call learns what is known of it.
    pub(super) fn end(&self, problem: &str, why: Loss) {
        let refusal = self.unreachable(problem);
        if self.gone.set(refusal.clone()).is_err() {
            return;
        }
        self.changes.note();
        self.end_session(&refusal, problem, why);
        // whoever keeps it up learns that there is nothing more to do
        self.wanted.remind();
    }

    fn end_session(&self, refusal: &Refusal, problem: &str, why: Loss) {
        let untold = self.lanes.end(refusal, why);
        self.pending.end(|lane| untold[lane], refusal);
        self.large.end();
        let down = Exit::NodeDown { node: self.node.to_string(), problem: problem.into() };
        self.wanted_watches.end(&down);
        self.watched.end(&down);
        self.inbound.end();
        self.groups.end();
    }

    /// The cluster has removed it: what was under way is lost, and nothing that it asks for is done. Replicas still hear
    /// each other, so that it learns of it.
    pub(super) fn cast_out(&self) {
        if !self.outcast.swap(true, Ordering::AcqRel) {
            reached!(CAST_OUT);
            let problem = "the cluster has removed it";
            self.changes.note();
            self.end_session(&self.unreachable(problem), problem, Loss::Removed);
        }
    }

    /// Whether the cluster has removed it.
    #[inline]
    pub(super) fn is_outcast(&self) -> bool {
        self.outcast.load(Ordering::Acquire)
    }

    /// Sends a message, or tells why it does not go. `bell` is rung when there may be room.
    fn send<M: Message>(
        &self,
        target: &Target,
        header: Header,
        origin: Option<&Origin>,
        message: M,
        bell: Option<&Bell>,
    ) -> Result<Option<CallId>, Unsent<M>> {
        let method = message.method();
        let Some(number) = target.method(method) else {
            let refusal = Refusal::UnknownMethod {
                service: format!("{} on {}", M::CONTRACT, self.node),
                method: format!("at position {method}"),
            };
            message.refuse(refusal.clone());
            return Err(Unsent::Refused(refusal));
        };
        if message.weight() > limits::INLINE_MAX && self.large.is_full(bell) {
            return Err(Unsent::Full(message));
        }
        let due = header.due();
        let now = if due.is_never() { Tick::NEVER } else { self.wheel.now() };
        let remaining = (!due.is_never()).then(|| due.until(now));
        if remaining.is_some_and(|left| left.is_zero()) {
            message.refuse(Refusal::Expired);
            return Err(Unsent::Refused(Refusal::Expired));
        }
        let call = match header.awaited() {
            false => None,
            true => match self.pending.reserve(bell) {
                Some(id) => Some(id),
                None => return Err(Unsent::Full(message)),
            },
        };
        let encoding = target.encoding(method);
        let sending = Sending {
            target,
            method: number,
            encoding,
            header,
            remaining,
            origin,
            now,
            large: &self.large,
            call: call.map(|id| (id, &self.pending)),
        };
        let lane = self.lanes.get(target.lane(header.criticality()));
        match lane.send(&self.node, &sending, message, bell) {
            Ok(()) => {
                if !self.is_up() {
                    self.wanted.remind();
                }
                Ok(call)
            }
            Err(unsent) => {
                if let Some(call) = call {
                    self.pending.unreserve(call);
                }
                Err(unsent)
            }
        }
    }

    /// A call has ended.
    pub(super) fn settle(&self, id: CallId, outcome: RawOutcome, encoding: Encoding) {
        let Some(call) = self.pending.take(id) else {
            reached!(LATE_ANSWER);
            return;
        };
        self.lanes.get(call.lane).settle_call(call.receiver, end_of(&outcome));
        call.awaiting.settle(outcome, encoding);
    }

    /// Nobody waits for the call any more: the handler learns of it. True: it was never sent, and will not be.
    pub(crate) fn cancel(&self, id: CallId) -> bool {
        let Some(call) = self.pending.take(id) else { return false };
        let lane = self.lanes.get(call.lane);
        let (large, pending) = (&self.large, &self.pending);
        if lane.take_back((id, call.frame), call.receiver, (large, pending, &self.wheel)) {
            let refusal = self.unreachable("there was no connection in time");
            lane.settle_call(call.receiver, CallEnd::Refused(refusal.name()));
            reached!(TAKEN_BACK);
            return true;
        }
        // it may have run, or yet run
        lane.settle_call(call.receiver, CallEnd::Unknown(Loss::CallerLeft));
        let head = Head {
            criticality: class_of(call.lane),
            encoding: Default::default(),
            content: Content::Cancel { call: id },
        };
        lane.cancel(&head, call.receiver);
        false
    }

    pub(super) fn unreachable(&self, problem: &str) -> Refusal {
        Refusal::Unreachable { node: self.node.to_string(), problem: problem.into() }
    }

    /// What the peer has said of our messages.
    pub(super) fn settle_casts(&self, receipts: Vec<LaneReceipt>) -> Result<(), String> {
        for receipt in receipts {
            let lane = usize::from(receipt.lane);
            if lane >= LANES {
                return Err("a receipt for a lane that is none".into());
            }
            let read = self.lanes.get(lane).settle(&receipt)?;
            self.large.read(read);
        }
        Ok(())
    }

    /// The peer has a large body: what waits for it may go.
    pub(super) fn stored(&self, id: u64) {
        match self.large.stored(id) {
            Some((Behind::Request { lane, receiver }, _)) => {
                self.lanes.get(lane).release(receiver, id, &self.pending, &self.wheel);
            }
            Some((Behind::Answer { lane, frame }, length)) => self.lanes.get(lane).answer(&frame, length),
            None => {}
        }
    }
}

impl Target {
    /// Sends a message without waiting for room.
    ///
    /// # Errors
    /// Gives it back as congested, or tells why it cannot go; then whoever awaits an answer has been told.
    pub(crate) fn send<M: Message>(
        &self,
        header: Header,
        origin: Option<&Origin>,
        message: M,
    ) -> Result<Option<CallId>, (Refusal, Option<M>)> {
        self.peer.send(self, header, origin, message, None).map_err(|unsent| match unsent {
            Unsent::Full(message) => (self.congested(), Some(message)),
            Unsent::Refused(refusal) => (refusal, None),
        })
    }

    fn congested(&self) -> Refusal {
        Refusal::Congested { node: self.peer.node.to_string() }
    }

    /// Sends a message as soon as there is room, until its deadline.
    ///
    /// # Errors
    /// Why it did not go. Whoever awaits an answer has been told.
    pub(crate) async fn send_waiting<M: Message>(
        self: Arc<Self>,
        header: Header,
        origin: Option<Arc<Origin>>,
        message: M,
    ) -> Result<Option<CallId>, Refusal> {
        let mut message = Some(message);
        let mut late = std::pin::pin!(self.peer.wheel.sleep_until(header.due()));
        // who finds room at once needs none
        let mut bell: Option<Bell> = None;
        let sent = poll_fn(|task| {
            loop {
                if let Some(bell) = &bell {
                    bell.register(task.waker());
                }
                let Some(next) = message.take() else { return Poll::Ready(Err(Refusal::Expired)) };
                match self.peer.send(&self, header, origin.as_deref(), next, bell.as_ref()) {
                    Ok(call) => return Poll::Ready(Ok(call)),
                    Err(Unsent::Refused(refusal)) => return Poll::Ready(Err(refusal)),
                    Err(Unsent::Full(back)) => message = Some(back),
                }
                if bell.is_some() {
                    break;
                }
                bell = Some(Bell::default());
            }
            match late.as_mut().poll(task) {
                Poll::Ready(()) => Poll::Ready(Err(self.congested())),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        if let (Err(refusal), Some(message)) = (&sent, message) {
            message.refuse(refusal.clone());
        }
        sent
    }

    /// Nobody waits for the call any more. Gives back why it did not run, if it was never sent, and will not be.
    pub(crate) fn cancel(&self, id: CallId) -> Option<Refusal> {
        self.peer.cancel(id).then(|| self.peer.unreachable("there was no connection in time"))
    }

    pub(crate) fn wheel(&self) -> &Arc<Wheel> {
        &self.peer.wheel
    }

    /// The deadline of a message that may wait for so long.
    pub(crate) fn due(&self, within: std::time::Duration) -> Tick {
        self.peer.wheel.due(within)
    }
}

/// What the books say of a call with this outcome.
fn end_of(outcome: &RawOutcome) -> CallEnd<'_> {
    match outcome {
        RawOutcome::NotExecuted(why) => CallEnd::Refused(why.name()),
        // where it was passed on to
        RawOutcome::Unknown(UnknownCause::TimedOut) => CallEnd::Unknown(Loss::TimedOut),
        RawOutcome::Unknown(UnknownCause::LinkLost) => CallEnd::Unknown(Loss::LinkLost),
        RawOutcome::Answered(_) | RawOutcome::Accepted | RawOutcome::Failed(_) | RawOutcome::Unknown(_) => {
            CallEnd::Begun
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn a_call_of_which_whom_it_was_passed_on_to_tells_nothing_is_lost_and_not_handled() {
        let unknown = |cause| RawOutcome::Unknown(cause);
        assert_eq!(end_of(&unknown(UnknownCause::TimedOut)), CallEnd::Unknown(Loss::TimedOut));
        assert_eq!(end_of(&unknown(UnknownCause::LinkLost)), CallEnd::Unknown(Loss::LinkLost));
        // in these a handler is known to have begun
        let begun = [UnknownCause::Panicked, UnknownCause::Killed, UnknownCause::Unanswered];
        for cause in begun {
            assert_eq!(end_of(&unknown(cause)), CallEnd::Begun, "{cause:?}");
        }
        assert_eq!(end_of(&RawOutcome::Answered(Bytes::new())), CallEnd::Begun);
        assert_eq!(end_of(&RawOutcome::NotExecuted(Refusal::Shed)), CallEnd::Refused("shed"));
    }
}
