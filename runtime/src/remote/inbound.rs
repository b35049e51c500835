//! The receiving side of a session: frames become messages in mailboxes, answers reach those who wait.

use super::control::LaneReceipt;
use super::core::Core;
use super::lane::encoding_of;
use super::large::Incoming;
use super::peer::Peer;
use super::pending::CALLS_MAX;
use super::receipts::{LaneReceipts, News, Receipts, Teller};
use super::reply::{Answering, Left};
use super::target::LANES;
use crate::cell::Wheel;
use crate::directory::Inlet;
use crate::reach::reached;
use crate::service::letter::Unread;
use crate::service::message::{Header, Origin};
use crate::service::reply::{RawFailure, RawOutcome, RawReply};
use bytes::Bytes;
use odeon_core::delivery::Inbound as Counting;
use odeon_core::delivery::window::WINDOW_MAX;
use odeon_core::wire::chain::{Chain, Place};
use odeon_core::wire::envelope::{CallId, Content, Head, Introduction, Request};
use odeon_core::wire::frame::{self, FrameError};
use odeon_core::wire::limits;
use odeon_core::wire::session::SessionId;
use odeon_core::{NodeId, Refusal, TraceId};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

/// Bytes of frames after which the sender is told that it need not keep them.
const TOLD_EVERY: usize = 128 << 10;

/// The receiving side of a session.
pub(super) struct Inbound {
    /// Each is made when its stream begins: most lanes of most links are never used.
    lanes: [OnceLock<Box<InLane>>; LANES],
    teller: Arc<Teller>,
    /// Calls whose handlers may want to know that their caller left.
    calls: Mutex<BTreeMap<u64, Weak<Left>>>,
    /// The peer's session that this belongs to; none before the first handshake.
    pub(super) session: Mutex<Option<SessionId>>,
    /// Frames have come that the sender need not keep; it may learn of them with the next that is to be told.
    news: AtomicBool,
    arrived: Notify,
    /// Large bodies that have come.
    pub(super) bodies: Incoming,
}

struct InLane {
    state: Mutex<State>,
    receipts: Arc<LaneReceipts>,
    /// How many frames the sender knows to be here.
    told: AtomicU64,
}

impl InLane {
    fn new(teller: &Arc<Teller>) -> Self {
        let receipts = LaneReceipts::new(teller.clone());
        Self { state: Mutex::default(), receipts, told: AtomicU64::new(0) }
    }
}

#[derive(Default)]
struct State {
    counting: Counting,
    receivers: Vec<Option<Receiver>>,
    /// Bytes since the sender was last reminded of.
    untold: usize,
}

/// What a receiver number stands for.
struct Receiver {
    inlet: Result<Arc<dyn Inlet>, Refusal>,
    receipts: Arc<Receipts>,
    /// Casts that have come under this number, whatever it stood for.
    casts: u64,
    /// So many of them may have come, as far as was looked.
    casts_max: u64,
    /// What the last cast came with: most come with the same.
    last: Option<Arc<Origin>>,
}

impl Receiver {
    /// Another cast has come. False: more are under way than a sender has credit for.
    fn has_credit(&mut self) -> bool {
        self.casts += 1;
        if self.casts > self.casts_max {
            // whoever handles them writes what this reads: not for each cast
            self.casts_max = self.receipts.settled().1 + u64::from(WINDOW_MAX);
        }
        self.casts <= self.casts_max
    }
}

/// Why a connection must end: what came on a lane makes no sense.
#[derive(Debug, thiserror::Error)]
pub(super) enum Nonsense {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Gap(#[from] odeon_core::delivery::inbound::Gap),
    #[error("a message for receiver {0}, which was not introduced")]
    Unintroduced(u32),
    #[error("a stream for lane {0}, which is none")]
    Lane(u64),
    #[error("the frame of body {0}, which has not come")]
    NoBody(u64),
    #[error("more casts for receiver {0} than there is credit for")]
    Credit(u32),
    #[error("more than {CALLS_MAX} calls under way")]
    Calls,
    #[error("calls without end whose answers it does not read")]
    Flood,
}

impl Inbound {
    pub(super) fn new(teller: &Arc<Teller>) -> Self {
        Self {
            lanes: Default::default(),
            teller: teller.clone(),
            calls: Mutex::default(),
            session: Mutex::new(None),
            news: AtomicBool::new(false),
            arrived: Notify::new(),
            bodies: Incoming::default(),
        }
    }

    /// Frames have come.
    pub(super) fn arrived(&self) {
        if !self.news.load(Ordering::Relaxed) && !self.news.swap(true, Ordering::AcqRel) {
            self.arrived.notify_one();
        }
    }

    /// Ends this long after frames have come: by then the sender shall know.
    pub(super) async fn arrivals(&self, wheel: &Arc<Wheel>, after: Duration) {
        while !self.news.load(Ordering::Acquire) {
            self.arrived.notified().await;
        }
        wheel.sleep(after).await;
        self.news.store(false, Ordering::Release);
    }

    /// How many frames of each lane have come.
    pub(super) fn received(&self) -> Vec<u64> {
        let received = |lane: &InLane| lane.state.lock().counting.received();
        self.lanes.iter().map(|lane| lane.get().map_or(0, |lane| received(lane))).collect()
    }

    fn used(&self) -> impl Iterator<Item = (usize, &InLane)> {
        self.lanes.iter().enumerate().filter_map(|(number, lane)| Some((number, &**lane.get()?)))
    }

    /// Whether calls of the peer wait for their answers.
    pub(super) fn is_busy(&self) -> bool {
        self.calls.lock().values().any(|call| call.strong_count() > 0)
    }

    /// The session is over: nobody wants the answers to its calls.
    pub(super) fn end(&self) {
        let calls = std::mem::take(&mut *self.calls.lock());
        for left in calls.into_values().filter_map(|call| call.upgrade()) {
            left.mark();
        }
    }

    /// All that the peer is to be told.
    pub(super) fn receipts(&self) -> Vec<LaneReceipt> {
        let mut all = Vec::new();
        for (number, lane) in self.used() {
            let received = {
                let mut state = lane.state.lock();
                state.untold = 0;
                state.counting.received()
            };
            let News { casts, settled, full } = lane.receipts.read();
            if received > lane.told.swap(received, Ordering::Relaxed) || !settled.is_empty() {
                all.push(LaneReceipt { lane: number as u8, received, casts, settled, full });
            }
        }
        all
    }

    /// All that ever became of casts, lane by lane: what was told over a connection that broke may not have arrived.
    pub(super) fn all_receipts(&self) -> Vec<LaneReceipt> {
        let lanes = self.used().map(|(number, lane)| {
            // what is settled from here on is told anew
            let News { casts, full, .. } = lane.receipts.read();
            let state = lane.state.lock();
            let settled = state.receivers.iter().flatten().map(|receiver| receiver.receipts.settled());
            let settled = settled.filter(|(_, count)| *count > 0).collect();
            let received = state.counting.received();
            LaneReceipt { lane: number as u8, received, casts, settled, full }
        });
        lanes.filter(|lane| lane.received > 0).collect()
    }

    /// Whether a connection may go on with a lane at this frame.
    pub(super) fn begin(&self, lane: u64, first: u64) -> Result<usize, Nonsense> {
        let index = usize::try_from(lane).ok().filter(|lane| *lane < LANES).ok_or(Nonsense::Lane(lane))?;
        let lane = self.lanes[index].get_or_init(|| Box::new(InLane::new(&self.teller)));
        lane.state.lock().counting.begin(first)?;
        Ok(index)
    }

    /// Takes whole frames from the beginning of `bytes`; gives back how many bytes they were. The rest is the
    /// beginning of a frame.
    pub(super) fn take(
        &self,
        core: &Arc<Core>,
        peer: &Arc<Peer>,
        lane: usize,
        bytes: &Bytes,
    ) -> Result<usize, Nonsense> {
        let mut at = 0;
        let inlane = self.lanes[lane].get().expect("its stream has begun");
        let mut state = inlane.state.lock();
        while let Some(found) = frame::next(&bytes[at..], limits::FRAME_MAX)? {
            at += found.consumed;
            if !state.counting.take() {
                reached!(KNOWN_FRAME);
                continue;
            }
            let frame = frame::read(found.bytes)?;
            let mut one = One { core, peer, lane, receipts: &inlane.receipts, inbound: self };
            match frame.head.content.large() {
                None => one.frame(&mut state, frame.head, frame.body, bytes)?,
                Some(large) => {
                    let body = self.bodies.take(large.id, large.length);
                    let body = body.ok_or(Nonsense::NoBody(large.id))?;
                    one.frame(&mut state, frame.head, &body, &body)?;
                }
            }
        }
        state.untold += at;
        if state.untold >= TOLD_EVERY {
            peer.teller.remind();
        }
        drop(state);
        // those that it has taken back in other lanes may not be known yet
        if self.calls.lock().len() > 2 * CALLS_MAX {
            return Err(Nonsense::Calls);
        }
        if peer.lanes.made_at(lane).is_some_and(|lane| lane.is_flooded()) {
            return Err(Nonsense::Flood);
        }
        Ok(at)
    }

    /// Somebody awaits the answer to a call: it is told here when its caller leaves.
    fn expect_leave(&self, call: CallId, left: &Arc<Left>) {
        self.calls.lock().insert(call.0, Arc::downgrade(left));
    }

    /// A call was answered.
    pub(super) fn answered(&self, call: CallId) {
        self.calls.lock().remove(&call.0);
    }
}

/// One frame and what it needs to get to where it belongs.
struct One<'a> {
    core: &'a Arc<Core>,
    peer: &'a Arc<Peer>,
    lane: usize,
    receipts: &'a Arc<LaneReceipts>,
    inbound: &'a Inbound,
}

impl One<'_> {
    /// `body` is a part of these bytes.
    fn frame(
        &mut self,
        state: &mut State,
        head: Head<'_>,
        body: &[u8],
        part_of: &Bytes,
    ) -> Result<(), Nonsense> {
        let encoding = encoding_of(head.encoding);
        match head.content {
            Content::Cast(request) => self.request(state, &head, &request, None, (body, part_of)),
            Content::Call(call, request) => self.request(state, &head, &request, Some(call), (body, part_of)),
            Content::Answer { call, .. } => {
                // no encoding has a value without bytes: it was a cast
                let outcome = match body.is_empty() {
                    true => RawOutcome::Accepted,
                    false => RawOutcome::Answered(part_of.slice_ref(body)),
                };
                self.peer.settle(call, outcome, encoding);
                Ok(())
            }
            Content::Failed { call, failure, .. } => {
                let (status, retry) = (failure.status, failure.retry);
                let body = part_of.slice_ref(body);
                let failure = RawFailure { body, text: failure.text.into(), status, retry };
                self.peer.settle(call, RawOutcome::Failed(failure), encoding);
                Ok(())
            }
            Content::NotExecuted { call } => {
                let outcome = match rmp_serde::from_slice(body) {
                    Ok(refusal) => RawOutcome::NotExecuted(refusal),
                    // a later version's reason: that it did not run is known all the same
                    Err(_) => RawOutcome::NotExecuted(Refusal::Unreachable {
                        node: self.peer.node.to_string(),
                        problem: "it was refused there for a reason that is not known here".into(),
                    }),
                };
                self.peer.settle(call, outcome, encoding);
                Ok(())
            }
            Content::Unknown { call, cause } => {
                self.peer.settle(call, RawOutcome::Unknown(cause), encoding);
                Ok(())
            }
            Content::Cancel { call } => {
                let left = self.inbound.calls.lock().remove(&call.0).and_then(|call| call.upgrade());
                if let Some(left) = left {
                    reached!(CANCELLED);
                    left.mark();
                }
                Ok(())
            }
            Content::Void => Ok(()),
        }
    }

    fn request(
        &mut self,
        state: &mut State,
        head: &Head<'_>,
        request: &Request<'_>,
        call: Option<CallId>,
        (body, part_of): (&[u8], &Bytes),
    ) -> Result<(), Nonsense> {
        let vouched = self.peer.vouched(request);
        let request = vouched.as_ref().unwrap_or(request);
        let number = request.target.receiver.0;
        let at = number as usize;
        if let Some(introduction) = request.target.introduces {
            let Introduction { service, key, epoch } = introduction;
            let inlet = self.core.inlet((self.peer, self.lane), service.0, key, epoch);
            if state.receivers.len() <= at {
                state.receivers.resize_with(at + 1, || None);
            }
            let last = state.receivers[at].take();
            let (casts, casts_max) = last.as_ref().map_or((0, 0), |last| (last.casts, last.casts_max));
            let receipts =
                Receipts::new(number, self.receipts.clone(), last.as_ref().map(|last| &*last.receipts));
            state.receivers[at] = Some(Receiver { inlet, receipts, casts, casts_max, last: None });
        }
        let receiver = state.receivers.get_mut(at).and_then(Option::as_mut);
        let receiver = receiver.ok_or(Nonsense::Unintroduced(number))?;
        if call.is_none() && !receiver.has_credit() {
            return Err(Nonsense::Credit(number));
        }
        let encoding = encoding_of(head.encoding);
        let reply = call.map(|call| {
            let left = Arc::new(Left::default());
            self.inbound.expect_leave(call, &left);
            let lane = self.lane;
            RawReply::elsewhere(Answering::new(self.peer.clone(), lane, call, encoding, left))
        });
        let origin = self.origin(receiver, request, call.is_none());
        let outcast = self.peer.is_outcast().then(|| Refusal::Unreachable {
            node: self.core.us().to_string(),
            problem: format!("the cluster has removed {}: others have its work", self.peer.node),
        });
        let inlet = match (&outcast, &receiver.inlet) {
            (None, Ok(inlet)) => inlet,
            (Some(refusal), _) | (None, Err(refusal)) => {
                match reply {
                    Some(reply) => reply.refuse(refusal.clone()),
                    None => receiver.receipts.refused(refusal),
                }
                return Ok(());
            }
        };
        let due = request.remaining.map(|left| self.peer.wheel.due(left));
        let mut header = Header::of(head.criticality).with_weight(body.len()).with_awaited(call.is_some());
        if let Some(due) = due {
            header = header.with_due(due);
        }
        let unread = Unread { method: usize::from(request.method.0), body, part_of, encoding, reply };
        inlet.deliver(header, Some(origin), unread);
        Ok(())
    }

    /// Where a message comes from.
    fn origin(&self, receiver: &mut Receiver, request: &Request<'_>, is_cast: bool) -> Arc<Origin> {
        if is_cast
            && let Some(last) = &receiver.last
            && is_same(last, request)
        {
            return last.clone();
        }
        // a client is no node, whatever it is called: what it sends comes from outside
        let node = self.peer.client().is_none().then(|| self.peer.node.clone());
        let id = Uuid::from_u128(request.request.unwrap_or(0));
        let mut up = None;
        for hop in request.chain.hops() {
            let node = match hop.place {
                Place::Sender => Some(self.peer.node.clone()),
                Place::Receiver => None,
                Place::Third(node) => Some(self.third(node.to_id())),
            };
            let hops = up.as_ref().map_or(1, |o: &Arc<Origin>| o.hops.saturating_add(1));
            up = Some(Arc::new(Origin {
                activation: Some(hop.activation),
                node,
                holds: hop.holds,
                up,
                hops,
                ..Origin::outside(Default::default(), id)
            }));
        }
        let hops = up.as_ref().map_or(0, |o| o.hops) + u8::from(request.sender.is_some());
        let trace = request.trace.unwrap_or_default();
        let named = if request.trace.is_some() { trace.trace } else { TraceId(id.as_u128()) };
        let origin = Arc::new(Origin {
            activation: request.sender.map(|sender| sender.activation),
            node,
            holds: request.sender.is_some_and(|sender| sender.holds),
            up,
            hops,
            trace: named,
            sampled: trace.sampled,
            span: trace.parent,
            request: id,
            principal: request.principal.map(Arc::from),
            tenant: request.tenant.map(Arc::from),
            receipts: is_cast.then(|| receiver.receipts.clone()),
        });
        if is_cast {
            receiver.last = Some(origin.clone());
        }
        origin
    }

    fn third(&self, node: NodeId) -> Arc<NodeId> {
        Arc::new(node)
    }
}

impl Peer {
    /// The request of a client, without what it cannot vouch for: it speaks for itself, and has no activations.
    fn vouched<'a>(&'a self, request: &Request<'a>) -> Option<Request<'a>> {
        let principal = Some(&**self.client()?);
        Some(Request { sender: None, chain: Chain::EMPTY, tenant: None, principal, ..*request })
    }
}

/// Whether a cast comes with the same as an earlier one.
fn is_same(last: &Origin, request: &Request<'_>) -> bool {
    request.chain.is_empty()
        && last.up.is_none()
        && request.sender.map(|s| (s.activation, s.holds)) == last.activation.map(|a| (a, last.holds))
        && request.request.unwrap_or(0) == last.request.as_u128()
        && request.trace.is_none()
        && !last.sampled
        && request.tenant == last.tenant.as_deref()
        && request.principal == last.principal.as_deref()
}
