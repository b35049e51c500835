//! Passes on what a client asks of services that its node has not: by its bytes, which nobody here reads, to a peer
//! that has them. A peer only looks among its own services, so a message is passed on once and never in a circle.

use super::control::Offer;
use super::core::Core;
use super::providers::Rota;
use super::reply::Left;
use super::target::{Target, Wanted};
use crate::cell::port::Port;
use crate::directory::{Inlet, passes};
use crate::reach::reached;
use crate::service::letter::{Letter, Unread};
use crate::service::message::{Envelope, Header, Message, Origin};
use crate::service::reference::WITHIN_DEFAULT;
use odeon_core::delivery::window::WINDOW_MAX;
use odeon_core::wire::envelope::CallId;
use odeon_core::{Refusal, ServiceName};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Messages under one receiver number that wait for room on the way to a peer; more are refused. A sender that keeps to
/// its window has fewer.
const WAITING_MAX: usize = WINDOW_MAX as usize;
/// Bytes of all that waits on one way, after which no others are taken: as a mailbox has.
const WAITING_BYTES_MAX: usize = 4 << 20;

/// How often somebody looks where a receiver is that is nowhere.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The passages of one sender. There is one for all that it sends to an entity or a singleton over a lane, whatever
/// number that has there and in whichever session: nothing is overtaken.
#[derive(Default)]
pub(super) struct Passages(Mutex<Known>);

#[derive(Default)]
struct Known {
    passages: BTreeMap<Way, Arc<Passage>>,
    /// With so many it is time to look which are not wanted any more.
    look_at: usize,
}

/// The number of a lane, and the receiver at its end.
type Way = (usize, ServiceName, Option<Arc<str>>);

/// Passages that are kept though nobody may need them.
const PASSAGES_SPARE: usize = 64;

impl Passages {
    /// Where what comes over a lane goes on. `told` is what its sender knows of the service.
    pub(super) fn inlet(
        &self,
        core: &Arc<Core>,
        lane: usize,
        service: ServiceName,
        key: Option<&str>,
        told: Offer,
    ) -> Arc<dyn Inlet> {
        let key: Option<Arc<str>> = key.map(Arc::from);
        let passage = |service, key, told| {
            Arc::new(Passage { core: Arc::downgrade(core), service, key, told, line: Mutex::default() })
        };
        if !told.keyed && !told.single {
            // among many instances there is no order
            return Relay::to(passage(service, key, told));
        }
        let mut known = self.0.lock();
        let Known { passages, look_at } = &mut *known;
        if passages.len() >= *look_at {
            passages.retain(|_, passage| !passage.is_idle());
            *look_at = PASSAGES_SPARE.max(2 * passages.len());
        }
        let way = (lane, service.clone(), key.clone());
        let there =
            passages.entry(way).or_insert_with(|| passage(service.clone(), key.clone(), told.clone()));
        if there.told != told {
            // it numbers methods otherwise now
            *there = passage(service, key, told);
        }
        Relay::to(there.clone())
    }
}

/// See [`Passages::inlet`].
struct Relay {
    passage: Arc<Passage>,
    /// How many of its messages wait there.
    waiting: Arc<AtomicUsize>,
}

impl Relay {
    fn to(passage: Arc<Passage>) -> Arc<dyn Inlet> {
        Arc::new(Self { passage, waiting: Arc::default() })
    }
}

struct Passage {
    core: Weak<Core>,
    service: ServiceName,
    key: Option<Arc<str>>,
    told: Offer,
    line: Mutex<Line>,
}

/// What keeps messages in the order in which they have come.
#[derive(Default)]
struct Line {
    rota: Option<Rota>,
    waiting: VecDeque<Waiting>,
    bytes: usize,
    /// Somebody sends those that wait, one after the other.
    is_moving: bool,
}

/// A message on its way, with all that goes along.
type Passed = Envelope<Letter>;

/// One that waits, and how many of the same receiver number do. Counted by who holds the line.
struct Waiting {
    passed: Passed,
    among: Arc<AtomicUsize>,
}

impl Line {
    fn push_back(&mut self, waiting: Waiting) {
        self.count(&waiting);
        self.waiting.push_back(waiting);
    }

    fn push_front(&mut self, waiting: Waiting) {
        self.count(&waiting);
        self.waiting.push_front(waiting);
    }

    fn count(&mut self, waiting: &Waiting) {
        self.bytes += waiting.passed.message.weight();
        waiting.among.fetch_add(1, Ordering::Relaxed);
    }

    fn pop_front(&mut self) -> Option<Waiting> {
        let first = self.waiting.pop_front()?;
        self.bytes -= first.passed.message.weight();
        first.among.fetch_sub(1, Ordering::Relaxed);
        Some(first)
    }
}

/// By what the caller of a message tells that it has left.
fn left(passed: &Passed) -> Option<Arc<Left>> {
    passed.message.reply.as_ref()?.left().cloned()
}

/// Tells the sender of a cast what is known of it here: that it went on, or why not.
fn settle_cast(origin: Option<&Origin>, outcome: Result<(), &Refusal>) {
    if let Some(receipts) = origin.and_then(|origin| origin.receipts.as_ref()) {
        match outcome {
            Ok(()) => receipts.handled(),
            Err(why) => receipts.refused(why),
        }
    }
}

impl Inlet for Relay {
    fn port(&self) -> Option<Arc<dyn Port>> {
        // clients do not watch
        None
    }

    fn deliver(&self, header: Header, origin: Option<Arc<Origin>>, unread: Unread<'_>) {
        self.passage.pass(Envelope { header, origin, message: unread.letter() }, &self.waiting);
    }
}

impl Passage {
    /// Whether nobody has it, and nothing is on its way.
    fn is_idle(self: &Arc<Self>) -> bool {
        if Arc::strong_count(self) > 1 {
            return false;
        }
        let line = self.line.lock();
        line.waiting.is_empty() && !line.is_moving && line.rota.as_ref().is_none_or(Rota::is_quiet)
    }

    /// Sends a message, behind those that wait.
    fn pass(self: &Arc<Self>, passed: Passed, among: &Arc<AtomicUsize>) {
        let mut line = self.line.lock();
        let unsent = if line.is_moving { Some(passed) } else { self.send(&mut line, passed) };
        let Some(passed) = unsent else { return };
        if among.load(Ordering::Relaxed) >= WAITING_MAX || line.bytes >= WAITING_BYTES_MAX {
            return passed.refuse(Refusal::MailboxFull);
        }
        reached!(RELAY_WAITED);
        line.push_back(Waiting { passed, among: among.clone() });
        if !line.is_moving
            && let Some(core) = self.core.upgrade()
        {
            line.is_moving = true;
            core.executor.spawn(self.clone().empty());
        }
    }

    /// Who is next to get one.
    fn target(&self, line: &mut Line) -> Result<Arc<Target>, Refusal> {
        if let Some(target) = line.rota.as_mut().and_then(Rota::next) {
            return Ok(target);
        }
        let core = self.core.upgrade().ok_or(Refusal::Stopped)?;
        let wanted = Wanted::Told(&self.told);
        let mut rota = core.find_for(&self.service, self.key.as_ref(), wanted, line.rota.as_ref())?;
        let target = rota.next_at_once();
        line.rota = Some(rota);
        Ok(target)
    }

    /// Sends a message at once. Gives it back if there is no room for it.
    fn send(&self, line: &mut Line, passed: Passed) -> Option<Passed> {
        let target = match self.target(line) {
            Ok(target) => target,
            Err(refusal) if passes(&refusal) => return Some(passed),
            Err(refusal) => {
                passed.refuse(refusal);
                return None;
            }
        };
        let left = left(&passed);
        let Envelope { header, origin, message } = passed;
        match target.send(header, origin.as_deref(), message) {
            Err((_, Some(message))) => return Some(Envelope { header, origin, message }),
            Err((refusal, None)) => settle_cast(origin.as_deref(), Err(&refusal)),
            Ok(call) => sent(&target, origin.as_deref(), call, left),
        }
        None
    }

    /// Its receiver is at no node at the moment: it is the next one again, while its time lasts.
    async fn wait(&self, Waiting { mut passed, among }: Waiting, refusal: Refusal) {
        let Some(core) = self.core.upgrade() else { return passed.refuse(Refusal::Stopped) };
        if passed.header.due().is_never() {
            passed.header = passed.header.with_due(core.wheel.due(WITHIN_DEFAULT));
        }
        if passed.header.due().passed(core.wheel.now()) {
            return passed.refuse(refusal);
        }
        core.wheel.sleep(LOOK_EVERY).await;
        self.line.lock().push_front(Waiting { passed, among });
    }

    /// Sends those that wait, each as soon as there is room.
    async fn empty(self: Arc<Self>) {
        loop {
            let (target, first) = {
                let mut line = self.line.lock();
                let Some(first) = line.pop_front() else {
                    line.is_moving = false;
                    return;
                };
                (self.target(&mut line), first)
            };
            let left = left(&first.passed);
            if left.as_ref().is_some_and(|left| left.is()) {
                continue;
            }
            let target = match target {
                Ok(target) => target,
                Err(refusal) if passes(&refusal) => {
                    self.wait(first, refusal).await;
                    continue;
                }
                Err(refusal) => {
                    first.passed.refuse(refusal);
                    continue;
                }
            };
            let Envelope { mut header, origin, message } = first.passed;
            if header.due().is_never() {
                header = header.with_due(target.due(WITHIN_DEFAULT));
            }
            let mut sending = pin!(target.clone().send_waiting(header, origin.clone(), message));
            // one whose caller leaves holds up nobody
            let outcome = poll_fn(|cx| match sending.as_mut().poll(cx) {
                Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
                Poll::Pending => match &left {
                    Some(left) => left.poll(cx).map(|()| None),
                    None => Poll::Pending,
                },
            });
            match outcome.await {
                Some(Ok(call)) => sent(&target, origin.as_deref(), call, left),
                Some(Err(refusal)) => settle_cast(origin.as_deref(), Err(&refusal)),
                None => reached!(LEFT_IN_LINE),
            }
        }
    }
}

/// It has gone on. A caller that leaves is told of there, too.
fn sent(target: &Arc<Target>, origin: Option<&Origin>, call: Option<CallId>, left: Option<Arc<Left>>) {
    reached!(RELAYED);
    match (call, left) {
        (Some(call), Some(left)) => {
            let leaver = Leaver { left: Arc::downgrade(&left), target: target.clone(), call };
            let waker = Waker::from(Arc::new(leaver));
            if left.poll(&mut Context::from_waker(&waker)).is_ready() {
                waker.wake();
            }
        }
        (Some(_), None) => {}
        (None, _) => settle_cast(origin, Ok(())),
    }
}

/// Takes a call back when its caller has left.
struct Leaver {
    left: Weak<Left>,
    target: Arc<Target>,
    call: CallId,
}

impl Wake for Leaver {
    fn wake(self: Arc<Self>) {
        if self.left.upgrade().is_some_and(|left| left.is()) {
            self.target.cancel(self.call);
        }
    }
}
