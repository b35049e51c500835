//! A service as seen by those who have bytes and names instead of types: HTTP, other nodes, the command line.

use super::address::{Address, Choice, Locator, push_on};
use super::provider::{Provide, check_locator};
use crate::cell::Tick;
use crate::cell::kind::Kind;
use crate::cell::port::Port;
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

    /// Where its messages from other nodes go; with a key, those of one entity.
    ///
    /// # Errors
    /// The key does not fit.
    #[doc(hidden)]
    fn inlet(&self, key: Option<&str>) -> Result<Arc<dyn Inlet>, Refusal> {
        let _ = key;
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
        match self.push(Envelope { header, origin, message }) {
            Ok(None) => told(accepting, Ok(())),
            Ok(Some(waiting)) => {
                let mut waiting = Box::pin(async move { told(accepting, waiting.await) });
                // the first poll takes its place in the line: those behind it stay behind it
                if waiting.as_mut().poll(&mut noop_context()).is_pending() {
                    self.kind.executors[0].spawn(waiting);
                }
            }
            Err(refusal) => told(accepting, Err(refusal)),
        }
    }
}

/// Waits for room in a mailbox; ends with why there was none.
type Waiting = BoxFuture<'static, Result<(), Refusal>>;

impl<C: Contract> TypedInlet<C> {
    /// Puts a message into the mailbox, now or as soon as there is room. Of a refusal the message knows already.
    fn push(&self, envelope: Envelope<C::Message>) -> Result<Option<Waiting>, Refusal> {
        let picked;
        let whereabouts = self.address.whereabouts();
        let delivery = match whereabouts.known() {
            Some(delivery) => delivery,
            None => match whereabouts.pick() {
                Ok(Choice::Here(here)) => {
                    picked = here;
                    picked.delivery()
                }
                Ok(Choice::There(_)) => unreachable!("it is provided here"),
                Err(refusal) => {
                    self.kind.meter.add_refused(&refusal);
                    envelope.refuse(refusal.clone());
                    return Err(refusal);
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
            Err((refusal, envelope)) => {
                envelope.refuse(refusal.clone());
                Err(refusal)
            }
        }
    }
}

/// Tells whoever waits to hear whether a cast was let in.
fn told(accepting: Option<RawReply>, outcome: Result<(), Refusal>) {
    if let Some(reply) = accepting {
        match outcome {
            Ok(()) => reply.send(RawOutcome::Accepted),
            Err(refusal) => reply.refuse(refusal),
        }
    }
}

fn noop_context() -> std::task::Context<'static> {
    std::task::Context::from_waker(std::task::Waker::noop())
}

/// The dynamic face of a provider.
pub(crate) struct ByName<C: Contract> {
    pub(crate) description: ServiceDescription,
    pub(crate) kind: Arc<Kind>,
    pub(crate) provider: Arc<dyn Provide<C::Message>>,
}

impl<C: Contract> ByName<C> {
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
        let due = self.kind.wheel.due(request.within);
        let header = request.header(due).with_awaited(!cast);
        let envelope = Envelope { header, origin: Some(Arc::new(request.origin())), message };
        let pushed = handle.push(envelope).or_else(|(refusal, envelope)| {
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

    fn inlet(&self, key: Option<&str>) -> Result<Arc<dyn Inlet>, Refusal> {
        let locator = Locator { service: self.description.name.clone(), key: key.map(Arc::from) };
        check_locator(&locator, self.provider.keyed())?;
        let address = Address::to_provider(locator, self.provider.clone());
        Ok(Arc::new(TypedInlet::<C> { address, kind: self.kind.clone() }))
    }

    fn call(&self, request: RawRequest) -> RawCall {
        let begun = match self.begin(&request) {
            Ok(begun) => begun,
            Err(refusal) => {
                self.kind.meter.add_refused(&refusal);
                return Box::pin(std::future::ready(RawOutcome::NotExecuted(refusal)));
            }
        };
        let wheel = self.kind.wheel.clone();
        Box::pin(async move {
            if let Some(room) = begun.room
                && let Err(refusal) = room.await
            {
                return RawOutcome::NotExecuted(refusal);
            }
            let Some(answer) = begun.answer else { return RawOutcome::Accepted };
            tokio::select! {
                biased;
                outcome = answer => outcome.unwrap_or(RawOutcome::Unknown(UnknownCause::Unanswered)),
                () = wheel.sleep_until(begun.due) => RawOutcome::Unknown(UnknownCause::TimedOut),
            }
        })
    }
}
