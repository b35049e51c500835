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
use std::sync::{Arc, Weak};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

/// Messages of one receiver that wait for room on the way to a peer; more are refused. A sender that keeps to its
/// window has fewer.
const WAITING_MAX: usize = WINDOW_MAX as usize;
/// Their bytes, after which no others are taken.
const WAITING_BYTES_MAX: usize = 4 << 20;

/// How often somebody looks where a receiver is that is nowhere.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The passages of one sender. There is one for all that it sends to a receiver over a lane, whatever number that has
/// there and in whichever session: nothing is overtaken.
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
        let mut known = self.0.lock();
        let Known { passages, look_at } = &mut *known;
        if passages.len() >= *look_at {
            passages.retain(|_, passage| !passage.is_idle());
            *look_at = PASSAGES_SPARE.max(2 * passages.len());
        }
        let passage = passages.entry((lane, service.clone(), key.clone())).or_insert_with(|| {
            let (core, told) = (Arc::downgrade(core), told.clone());
            Arc::new(Passage { core, service, key, told, line: Mutex::default() })
        });
        if passage.told != told {
            // it numbers methods otherwise now
            let Passage { service, key, .. } = &**passage;
            let (core, service, key) = (Arc::downgrade(core), service.clone(), key.clone());
            *passage = Arc::new(Passage { core, service, key, told, line: Mutex::default() });
        }
        Arc::new(Relay(passage.clone()))
    }
}

/// See [`Passages::inlet`].
struct Relay(Arc<Passage>);

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
    waiting: VecDeque<Passed>,
    bytes: usize,
    /// Somebody sends those that wait, one after the other.
    is_moving: bool,
}

/// A message on its way, with all that goes along.
type Passed = Envelope<Letter>;

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
        self.0.pass(Envelope { header, origin, message: unread.letter() });
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
    fn pass(self: &Arc<Self>, passed: Passed) {
        let mut line = self.line.lock();
        let bytes = passed.message.weight();
        let unsent = if line.is_moving { Some(passed) } else { self.send(&mut line, passed) };
        let Some(passed) = unsent else { return };
        if line.waiting.len() >= WAITING_MAX || line.bytes >= WAITING_BYTES_MAX {
            return passed.refuse(Refusal::MailboxFull);
        }
        reached!(RELAY_WAITED);
        line.bytes += bytes;
        line.waiting.push_back(passed);
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
    async fn wait(&self, mut passed: Passed, refusal: Refusal) {
        let Some(core) = self.core.upgrade() else { return passed.refuse(Refusal::Stopped) };
        if passed.header.due().is_never() {
            passed.header = passed.header.with_due(core.wheel.due(WITHIN_DEFAULT));
        }
        if passed.header.due().passed(core.wheel.now()) {
            return passed.refuse(refusal);
        }
        core.wheel.sleep(LOOK_EVERY).await;
        let mut line = self.line.lock();
        line.bytes += passed.message.weight();
        line.waiting.push_front(passed);
    }

    /// Sends those that wait, each as soon as there is room.
    async fn empty(self: Arc<Self>) {
        loop {
            let (target, passed) = {
                let mut line = self.line.lock();
                let Some(passed) = line.waiting.pop_front() else {
                    line.is_moving = false;
                    return;
                };
                line.bytes -= passed.message.weight();
                (self.target(&mut line), passed)
            };
            let left = left(&passed);
            if left.as_ref().is_some_and(|left| left.is()) {
                continue;
            }
            let target = match target {
                Ok(target) => target,
                Err(refusal) if passes(&refusal) => {
                    self.wait(passed, refusal).await;
                    continue;
                }
                Err(refusal) => {
                    passed.refuse(refusal);
                    continue;
                }
            };
            let Envelope { mut header, origin, message } = passed;
            if header.due().is_never() {
                header = header.with_due(target.due(WITHIN_DEFAULT));
            }
            match target.clone().send_waiting(header, origin.clone(), message).await {
                Ok(call) => sent(&target, origin.as_deref(), call, left),
                Err(refusal) => settle_cast(origin.as_deref(), Err(&refusal)),
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
