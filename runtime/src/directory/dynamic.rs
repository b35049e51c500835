//! A service as seen by those who have bytes and names instead of types: HTTP, other nodes, the command line.

use super::address::{Address, Choice, Locator};
use super::delivery::push_on;
use super::dispatch::{Passing, passes, told};
use super::provider::{CROWD, Provide, check_locator};
use crate::cell::kind::Kind;
use crate::cell::port::Port;
use crate::cell::{Tick, Wheel};
use crate::placement::Room;
use crate::reach::reached;
use crate::remote::Elsewhere;
use crate::remote::Spoken;
use crate::service::contract::{Arguments, Contract, Method, MethodSchema, method_named};
use crate::service::letter::Unread;
use crate::service::message::{Envelope, Header, Origin};
use crate::service::reference::WITHIN_DEFAULT;
use crate::service::reply::{RawOutcome, RawReply};
use futures_util::future::BoxFuture;
use odeon_core::{Criticality, Refusal, ServiceName, TraceContext, UnknownCause};
use schemars::SchemaGenerator;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A call by names and bytes.
#[derive(Clone, Debug)]
pub struct RawRequest {
    /// The method.
    pub method: Arc<str>,
    /// The key of an entity.
    pub key: Option<Arc<str>>,
    /// The encoded arguments.
    pub arguments: Arguments,
    /// How long the caller waits.
    pub within: Duration,
    /// Its class.
    pub criticality: Criticality,
    /// Its trace; a zero trace id begins none.
    pub trace: TraceContext,
    /// Its id, stable over retries.
    pub request: Uuid,
    /// Who asks.
    pub principal: Option<Arc<str>>,
    /// On whose budget.
    pub tenant: Option<Arc<str>>,
}

impl RawRequest {
    /// The header of its message.
    pub(crate) fn header(&self, due: Tick) -> Header {
        Header::of(self.criticality).with_weight(self.arguments.body.len()).with_due(due)
    }

    /// Where its message comes from.
    pub(crate) fn origin(&self) -> Origin {
        let (principal, tenant) = (self.principal.clone(), self.tenant.clone());
        Origin { principal, tenant, ..Origin::outside(self.trace, self.request) }
    }
}

/// A call under way; dropping it tells the handler that the caller left.
pub type RawCall = BoxFuture<'static, RawOutcome>;

/// How a service is addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceKind {
    /// Any ready instance.
    Stateless,
    /// One activation for each key.
    Entity,
    /// One activation.
    Singleton,
}

/// What a node tells of a service that it provides.
#[derive(Clone, Debug)]
pub struct ServiceDescription {
    /// Its name.
    pub name: ServiceName,
    /// How it is addressed.
    pub kind: ServiceKind,
    /// The contract's name on the wire.
    pub contract: &'static str,
    /// The contract's version.
    pub version: crate::service::contract::ContractVersion,
    /// The contract's methods.
    pub methods: &'static [Method],
}

/// A service by names and bytes.
#[allow(private_interfaces, reason = "what comes from other nodes is no business of others")]
pub trait Dynamic: Send + Sync {
    /// What it is.
    fn describe(&self) -> &ServiceDescription;

    /// The schemas of a method at a position of its description.
    fn schema(&self, method: usize, generator: &mut SchemaGenerator) -> MethodSchema;

    /// Calls it.
    fn call(&self, request: RawRequest) -> RawCall;

    /// Whether it takes messages on this node now. One that is not stateless always does: what waits for an activation is
    /// its supervisor's matter.
    fn is_ready(&self) -> bool {
        true
    }

    /// Where its messages from other nodes go; with a key, those of one entity. `epoch` is what their sender knows of
    /// where the receiver is.
    ///
    /// # Errors
    /// The key does not fit.
    #[doc(hidden)]
    fn inlet(&self, key: Option<&str>, epoch: u64) -> Result<Arc<dyn Inlet>, Refusal> {
        let _ = (key, epoch);
        Err(Refusal::UnknownService { service: self.describe().name.to_string() })
    }
}

/// A service, or one entity of it, for messages that come from other nodes.
pub(crate) trait Inlet: Send + Sync {
    /// Decodes a message and puts it into the mailbox, or passes it on. What becomes of it is told to the reply and to
    /// the receipts of the origin, whatever that is.
    fn deliver(&self, header: Header, origin: Option<Arc<Origin>>, unread: Unread<'_>);

    /// The cell behind it, only if there is one.
    fn port(&self) -> Option<Arc<dyn Port>>;
}

/// The inlet of a contract's service.
struct TypedInlet<C: Contract> {
    address: Address<C::Message>,
    kind: Arc<Kind>,
    /// What senders know of where the receiver is.
    epoch: u64,
}

impl<C: Contract> Inlet for TypedInlet<C> {
    fn port(&self) -> Option<Arc<dyn Port>> {
        Some(self.address.find()?.port())
    }

    fn deliver(&self, mut header: Header, origin: Option<Arc<Origin>>, unread: Unread<'_>) {
        let Unread { method, body, encoding, mut reply, .. } = unread;
        // a cast has no answer: whoever waits for one learns that it was let in
        let is_cast = C::METHODS.get(method).is_some_and(|method| method.cast);
        let accepting = if is_cast { reply.take() } else { None };
        let reply = reply.unwrap_or_else(RawReply::nobody);
        if is_cast {
            header = header.with_awaited(false);
        }
        let message = match C::decode(method, body, encoding, reply) {
            Ok(message) => message,
            Err((refusal, reply)) => {
                self.kind.meter.add_refused(&refusal);
                if let Some(receipts) = origin.as_ref().and_then(|origin| origin.receipts.as_ref()) {
                    receipts.refused(&refusal);
                }
                return accepting.unwrap_or(reply).refuse(refusal);
            }
        };
        let envelope = Envelope { header, origin, message };
        let waiting = match self.push(envelope) {
            Ok(None) => return told(accepting, Ok(())),
            Ok(Some(waiting)) => Box::pin(async move { told(accepting, waiting.await) }) as Room,
            Err(NotPut::Refused(refusal)) => return told(accepting, Err(refusal)),
            Err(NotPut::Elsewhere(envelope)) => {
                let (address, epoch) = (self.address.clone(), self.epoch);
                match (Passing { address, envelope, accepting, epoch }).go() {
                    Some(room) => room,
                    None => return,
                }
            }
        };
        // the first poll takes its place in the line: those behind it stay behind it
        let mut waiting = waiting;
        if waiting.as_mut().poll(&mut noop_context()).is_pending() {
            self.kind.executors[0].spawn(waiting);
        }
    }
}

/// Why a message is not in the mailbox of a cell.
enum NotPut<M> {
    /// The message has been told.
    Refused(Refusal),
    /// Its receiver is not here, or not yet.
    Elsewhere(Envelope<M>),
}

/// Waits for room in a mailbox; ends with why there was none.
type Waiting = BoxFuture<'static, Result<(), Refusal>>;

impl<C: Contract> TypedInlet<C> {
    /// Puts a message into the mailbox, now or as soon as there is room.
    fn push(&self, envelope: Envelope<C::Message>) -> Result<Option<Waiting>, NotPut<C::Message>> {
        let picked;
        let whereabouts = self.address.whereabouts();
        let delivery = match whereabouts.known() {
            Some(delivery) => delivery,
            None => match whereabouts.pick(false) {
                Ok(Choice::Here(here)) => {
                    picked = here;
                    picked.delivery()
                }
                Ok(Choice::There(_)) => return Err(NotPut::Elsewhere(envelope)),
                Err(refusal) if passes(&refusal) => return Err(NotPut::Elsewhere(envelope)),
                Err(refusal) => {
                    self.kind.meter.add_refused(&refusal);
                    envelope.refuse(refusal.clone());
                    return Err(NotPut::Refused(refusal));
                }
            },
        };
        match delivery.push(envelope) {
            Ok(()) => Ok(None),
            Err((Refusal::MailboxFull, mut envelope)) if delivery.waits() => {
                if envelope.header.due().is_never() {
                    let due = delivery.wheel().due(WITHIN_DEFAULT);
                    envelope.header = envelope.header.with_due(due);
                }
                Ok(Some(delivery.push_waiting(envelope)))
            }
            Err((refusal, envelope)) if passes(&refusal) => Err(NotPut::Elsewhere(envelope)),
            Err((refusal, envelope)) => {
                envelope.refuse(refusal.clone());
                Err(NotPut::Refused(refusal))
            }
        }
    }
}

fn noop_context() -> std::task::Context<'static> {
    std::task::Context::from_waker(std::task::Waker::noop())
}

/// Whether it expects no answer.
fn is_cast<C: Contract>(method: &str) -> bool {
    method_named::<C>(method).is_some_and(|method| C::METHODS[method].cast)
}

/// The dynamic face of a provider.
pub(crate) struct ByName<C: Contract> {
    pub(crate) description: ServiceDescription,
    pub(crate) kind: Arc<Kind>,
    pub(crate) provider: Arc<dyn Provide<C::Message>>,
}

impl<C: Contract> ByName<C> {
    /// Whether the receiver is at this node, if receivers of this service are placed.
    fn admits(&self, key: Option<&str>) -> Result<(), Refusal> {
        let is_placed = self.description.kind != ServiceKind::Stateless;
        let node = self.kind.node.upgrade().filter(|_| is_placed);
        let placement = node.and_then(|node| node.placement.clone());
        placement.map_or(Ok(()), |placement| placement.admits(&self.description.name, key))
    }

    /// Where a call goes instead, and whether it may come back: to instances that are ready and can be reached, while none
    /// here is ready, or while those here are crowded and they are not.
    fn others(&self, method: &str) -> Option<(Elsewhere, bool)> {
        if self.description.kind != ServiceKind::Stateless {
            return None;
        }
        let waiting = self.provider.least_crowded().map(|(_, waiting)| waiting);
        if waiting.is_some_and(|waiting| waiting < CROWD || is_cast::<C>(method)) {
            return None;
        }
        let others = self.ready_elsewhere(method, waiting)?;
        Some((others, waiting.is_some()))
    }

    #[cold]
    fn ready_elsewhere(&self, method: &str, waiting: Option<u32>) -> Option<Elsewhere> {
        self.kind.node.upgrade()?.links.get()?.ready_elsewhere(&self.description, method, waiting)
    }

    /// Decodes and sends; what comes back is how to wait for the answer.
    fn begin(&self, request: &RawRequest) -> Result<Begun, Refusal> {
        let service = &self.description.name;
        let locator = Locator { service: service.clone(), key: request.key.clone() };
        check_locator(&locator, self.provider.keyed())?;
        let method = method_named::<C>(&request.method).ok_or_else(|| Refusal::UnknownMethod {
            service: service.to_string(),
            method: request.method.to_string(),
        })?;
        let Arguments { body, encoding } = &request.arguments;
        let (reply, answer) = RawReply::channel(*encoding);
        let message = C::decode(method, body, *encoding, reply).map_err(|(refusal, _)| refusal)?;
        let mut handle = self.provider.pick(request.key.as_ref())?;
        let cast = C::METHODS[method].cast;
        if !cast
            && self.description.kind == ServiceKind::Stateless
            && handle.waiting() >= CROWD
            && let Some((least, _)) = self.provider.least_crowded()
        {
            handle = least;
        }
        let due = self.kind.wheel.due(request.within);
        let header = request.header(due).with_awaited(!cast);
        let envelope = Envelope { header, origin: Some(Arc::new(request.origin())), message };
        let pushed = handle.push(envelope).or_else(|(refusal, envelope)| {
            // its slot may be another node's by now, or about to be
            if refusal == Refusal::Stopped
                && let Err(elsewhere) = self.admits(request.key.as_deref())
            {
                return Err((elsewhere, envelope));
            }
            // passivated, perhaps, since it was picked
            let key = request.key.as_ref();
            let (successor, outcome) = push_on(&*self.provider, key, &handle, refusal, envelope);
            handle = successor.unwrap_or_else(|| handle.clone());
            outcome
        });
        let room = match pushed {
            Ok(()) => None,
            Err((Refusal::MailboxFull, envelope))
                if handle.overflow() == odeon_core::outcome::Overflow::Wait =>
            {
                let handle = handle.clone();
                let wait = async move { handle.push_waiting(envelope).await.map_err(|(r, _)| r) };
                Some(Box::pin(wait) as Waiting)
            }
            // nobody is told: it is sent again
            Err((refusal, _)) if passes(&refusal) => return Err(refusal),
            Err((refusal, envelope)) => {
                envelope.refuse(refusal.clone());
                return Err(refusal);
            }
        };
        Ok(Begun { room, answer: (!cast).then_some(answer), due })
    }
}

struct Begun {
    room: Option<Waiting>,
    answer: Option<tokio::sync::oneshot::Receiver<RawOutcome>>,
    due: Tick,
}

impl<C: Contract> Dynamic for ByName<C> {
    fn describe(&self) -> &ServiceDescription {
        &self.description
    }

    fn schema(&self, method: usize, generator: &mut SchemaGenerator) -> MethodSchema {
        C::schema(method, generator)
    }

    fn inlet(&self, key: Option<&str>, epoch: u64) -> Result<Arc<dyn Inlet>, Refusal> {
        let locator = Locator { service: self.description.name.clone(), key: key.map(Arc::from) };
        check_locator(&locator, self.provider.keyed())?;
        let node = self.kind.node.upgrade().ok_or(Refusal::Stopped)?;
        let away = node.registry.away(&locator.service, &self.kind.node, Spoken::of::<C>());
        let address = Address::to_provider(locator, self.provider.clone(), away);
        Ok(Arc::new(TypedInlet::<C> { address, kind: self.kind.clone(), epoch }))
    }

    fn is_ready(&self) -> bool {
        self.description.kind != ServiceKind::Stateless || self.provider.is_ready()
    }

    fn call(&self, request: RawRequest) -> RawCall {
        match self.others(&request.method) {
            Some((others, true)) => return Box::pin(call_less_crowded(self.kind.clone(), others, request)),
            Some((others, false)) => return others.call(request),
            None => {}
        }
        match self.begin(&request) {
            Ok(begun) => Box::pin(begun.end(self.kind.wheel.clone())),
            Err(refusal) if passes(&refusal) => {
                let kind = self.kind.clone();
                Box::pin(async move { call_placed(&kind, request, refusal).await })
            }
            Err(refusal) => {
                self.kind.meter.add_refused(&refusal);
                Box::pin(std::future::ready(RawOutcome::NotExecuted(refusal)))
            }
        }
    }
}

impl Begun {
    async fn end(self, wheel: Arc<Wheel>) -> RawOutcome {
        if let Some(room) = self.room
            && let Err(refusal) = room.await
        {
            return RawOutcome::NotExecuted(refusal);
        }
        let Some(answer) = self.answer else { return RawOutcome::Accepted };
        tokio::select! {
            biased;
            outcome = answer => outcome.unwrap_or(RawOutcome::Unknown(UnknownCause::Unanswered)),
            () = wheel.sleep_until(self.due) => RawOutcome::Unknown(UnknownCause::TimedOut),
        }
    }
}

/// How often somebody looks who waits for a receiver that is nowhere.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Whether the node that was to take a message could not: its receiver may come to another one.
pub(crate) fn is_left(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Stopped | Refusal::Unreachable { .. })
}

/// Whether another instance may take what this one has refused.
fn comes_back(refusal: &Refusal) -> bool {
    let is_full = matches!(refusal, Refusal::MailboxFull | Refusal::Shed);
    is_left(refusal) || is_full || matches!(refusal, Refusal::Restarting | Refusal::StartFailed { .. })
}

/// A call that need not leave this node: it comes back if the other one cannot take it.
async fn call_less_crowded(kind: Arc<Kind>, others: Elsewhere, mut request: RawRequest) -> RawOutcome {
    let due = kind.wheel.due(request.within);
    let outcome = others.call_once(request.clone()).await;
    let now = kind.wheel.now();
    match outcome {
        RawOutcome::NotExecuted(refusal) if comes_back(&refusal) && !due.passed(now) => {
            request.within = due.until(now);
            let here = kind.node.upgrade().and_then(|node| node.registry.dynamic(&kind.service));
            match here {
                Some(here) => here.call(request).await,
                None => RawOutcome::NotExecuted(refusal),
            }
        }
        outcome => outcome,
    }
}

/// A call whose receiver is not at this node, or not at the moment.
async fn call_placed(kind: &Kind, mut request: RawRequest, mut refusal: Refusal) -> RawOutcome {
    let due = kind.wheel.due(request.within);
    loop {
        let Some(node) = kind.node.upgrade() else { return RawOutcome::NotExecuted(Refusal::Stopped) };
        if matches!(refusal, Refusal::Moved { .. }) {
            let elsewhere = node.links.get().and_then(|links| links.elsewhere(&kind.service));
            if let Some(elsewhere) = elsewhere {
                match elsewhere.call(request.clone()).await {
                    // it has come here before it was begun there
                    RawOutcome::NotExecuted(again) if passes(&again) || is_left(&again) => refusal = again,
                    outcome => return outcome,
                }
            }
        }
        let now = kind.wheel.now();
        if due.passed(now) {
            kind.meter.add_refused(&refusal);
            return RawOutcome::NotExecuted(refusal);
        }
        reached!(HELD);
        kind.wheel.sleep(LOOK_EVERY).await;
        request.within = due.until(kind.wheel.now());
        let placement = node.placement.as_ref();
        let admitted = placement.map_or(Ok(()), |p| p.admits(&kind.service, request.key.as_deref()));
        if let Err(again) = admitted {
            refusal = again;
            continue;
        }
        let Some(here) = node.registry.dynamic(&kind.service) else {
            return RawOutcome::NotExecuted(refusal);
        };
        return here.call(request).await;
    }
}
