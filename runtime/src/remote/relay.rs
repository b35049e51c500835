//! Passes on what a client asks of services that its node has not: by its bytes, which nobody here reads, to a peer
//! that has them. A peer only looks among its own services, so a message is passed on once and never in a circle.

use super::control::Offer;
use super::core::Core;
use super::providers::Rota;
use super::reply::Left;
use super::target::{Target, Wanted};
use crate::cell::port::Port;
use crate::directory::Inlet;
use crate::service::contract::{Arguments, Encoding};
use crate::service::encode::{Awaiting, Encoded};
use crate::service::message::{Access, Header, Message, Origin};
use crate::service::reference::WITHIN_DEFAULT;
use crate::service::reply::{RawOutcome, RawReply};
use odeon_core::delivery::window::WINDOW_MAX;
use odeon_core::wire::envelope::CallId;
use odeon_core::{Refusal, ServiceName, UnknownCause};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

/// Messages of one receiver that wait for room on the way to a peer; more are refused. A sender that keeps to its
/// window has fewer.
const WAITING_MAX: usize = WINDOW_MAX as usize;
/// Their bytes, after which no others are taken.
const WAITING_BYTES_MAX: usize = 4 << 20;

/// Where messages for a service of other nodes go. `told` is what their sender knows of it.
pub(super) fn inlet(
    core: &Arc<Core>,
    service: ServiceName,
    key: Option<&str>,
    told: Offer,
) -> Arc<dyn Inlet> {
    let (core, key) = (Arc::downgrade(core), key.map(Arc::from));
    Arc::new(Relay(Arc::new(Passage { core, service, key, told, line: Mutex::default() })))
}

/// See [`inlet`].
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
struct Passed {
    header: Header,
    origin: Arc<Origin>,
    letter: Letter,
}

impl Passed {
    /// It will not run.
    fn refuse(self, why: Refusal) {
        settle_cast(&self.origin, Err(&why));
        self.letter.refuse(why);
    }

    /// By what its caller tells that it has left.
    fn left(&self) -> Option<Arc<Left>> {
        self.letter.reply.as_ref()?.left().cloned()
    }
}

/// Tells the sender of a cast what is known of it here: that it went on, or why not.
fn settle_cast(origin: &Origin, outcome: Result<(), &Refusal>) {
    if let Some(receipts) = &origin.receipts {
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

    fn deliver(
        &self,
        method: usize,
        arguments: &Arguments,
        header: Header,
        origin: Arc<Origin>,
        reply: Option<RawReply>,
    ) {
        let passed =
            Passed { header, origin, letter: Letter { method, arguments: arguments.clone(), reply } };
        if arguments.encoding == Encoding::Compact {
            let problem = "compact arguments are not passed on to a third node: write them by name".into();
            return passed.refuse(Refusal::Unencodable { problem });
        }
        self.0.pass(passed);
    }
}

impl Passage {
    /// Sends a message, behind those that wait.
    fn pass(self: &Arc<Self>, passed: Passed) {
        let mut line = self.line.lock();
        let bytes = passed.letter.arguments.body.len();
        let unsent = if line.is_moving { Some(passed) } else { self.send(&mut line, passed) };
        let Some(passed) = unsent else { return };
        if line.waiting.len() >= WAITING_MAX || line.bytes >= WAITING_BYTES_MAX {
            return passed.refuse(Refusal::MailboxFull);
        }
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
            Err(refusal) => {
                passed.refuse(refusal);
                return None;
            }
        };
        let left = passed.left();
        let Passed { header, origin, letter } = passed;
        match target.send(header, Some(&origin), letter) {
            Err((_, Some(letter))) => return Some(Passed { header, origin, letter }),
            Err((refusal, None)) => settle_cast(&origin, Err(&refusal)),
            Ok(call) => sent(&target, &origin, call, left),
        }
        None
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
                line.bytes -= passed.letter.arguments.body.len();
                (self.target(&mut line), passed)
            };
            let left = passed.left();
            if left.as_ref().is_some_and(|left| left.is()) {
                continue;
            }
            let target = match target {
                Ok(target) => target,
                Err(refusal) => {
                    passed.refuse(refusal);
                    continue;
                }
            };
            let Passed { mut header, origin, letter } = passed;
            if header.due().is_never() {
                header = header.with_due(target.due(WITHIN_DEFAULT));
            }
            match target.clone().send_waiting(header, Some(origin.clone()), letter).await {
                Ok(call) => sent(&target, &origin, call, left),
                Err(refusal) => settle_cast(&origin, Err(&refusal)),
            }
        }
    }
}

/// It has gone on. A caller that leaves is told of there, too.
fn sent(target: &Arc<Target>, origin: &Origin, call: Option<CallId>, left: Option<Arc<Left>>) {
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

/// A message that somebody else has written.
struct Letter {
    method: usize,
    arguments: Arguments,
    reply: Option<RawReply>,
}

impl Message for Letter {
    const CONTRACT: &'static str = "what is passed on";

    fn method(&self) -> usize {
        self.method
    }

    fn access(&self) -> Access {
        Access::Shared
    }

    fn weight(&self) -> usize {
        self.arguments.body.len()
    }

    fn refuse(self, why: Refusal) {
        if let Some(reply) = self.reply {
            reply.refuse(why);
        }
    }

    fn encode(self, _: Encoding, into: &mut Vec<u8>) -> Result<Encoded, Refusal> {
        let Arguments { body, encoding } = self.arguments;
        into.extend_from_slice(&body);
        let awaiting = self.reply.map(|reply| Box::new(Answer(Some(reply))) as Box<dyn Awaiting>);
        Ok(Encoded { encoding, awaiting })
    }
}

/// The answering end of a call that was passed on; none once it has been answered.
struct Answer(Option<RawReply>);

impl Awaiting for Answer {
    fn settle(mut self: Box<Self>, outcome: RawOutcome, encoding: Encoding) {
        if let Some(reply) = self.0.take() {
            reply.send_in(outcome, encoding);
        }
    }

    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().map_or(Poll::Pending, |reply| reply.poll_left(cx))
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(reply) = self.0.take() {
            reply.send(RawOutcome::Unknown(UnknownCause::Unanswered));
        }
    }
}
