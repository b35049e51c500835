//! Tests of cells, by theme. This file is their fixture: a contract and a service made by hand, an overseer that
//! writes down what it is told, and a world that has what a node would give.

mod bounds;
mod concurrency;
mod failure;
mod fence;
mod life;
mod order;
mod ring;
mod size;
mod time;

use super::activation::Constructor;
use super::drive::spawn_as;
use super::kind::{Bounds, Kind};
use super::port::{Overseer, Phase, Port};
use super::{Handle, Wheel, turn};
use crate::directory::{Address, Locator, Provide};
use crate::host::Executor;
use crate::service::contract::{Contract, ContractVersion, Encoding, Method, MethodSchema, Service};
use crate::service::message::{Access, Envelope, Header, Message};
use crate::service::reply::RawReply;
use crate::service::{Call, CallError, Cx, Reply, StartError};
use odeon_core::outcome::Overflow;
use odeon_core::supervision::{Exit, StopReason};
use odeon_core::{ActivationId, Criticality, Refusal};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Semaphore;

type Gate = Arc<Semaphore>;

/// No number was written down.
const NOTHING: [u64; 0] = [];

/// How an inner call ended.
type Outcome = Result<u64, Refusal>;

fn outcome<T>(call: Result<T, CallError>) -> Result<T, Refusal> {
    call.map_err(|error| match error {
        CallError::NotExecuted(refusal) => refusal,
        other => panic!("{other}"),
    })
}

fn gate() -> Gate {
    Arc::new(Semaphore::new(0))
}

/// What the probe can be asked to do.
enum Ask {
    /// Writes a number down.
    Note(u64),
    /// Waits for the gate.
    Hold(Gate),
    /// Answers one more.
    Echo(u64, Reply<u64>),
    /// Never ends.
    Hang(Reply<u64>),
    Boom(Reply<u64>),
    /// Asks the first to go `Back` to the second.
    Through(ProbeRef, ProbeRef, Reply<Outcome>),
    /// Asks the other for an echo.
    Back(ProbeRef, Reply<Outcome>),
    /// Only carries bytes.
    Bytes(Vec<u8>),
    /// Beside others: counts itself in, waits for the gate, answers.
    Look(u64, Gate, Reply<u64>),
    LookBoom(Gate),
    /// Beside others: like `Through`, like `Back`.
    LookThrough(ProbeRef, ProbeRef, Reply<Outcome>),
    LookBack(ProbeRef, Reply<Outcome>),
    /// Beside others: answers at once.
    Peek(Reply<u64>),
    /// Starts a task that panics, or that writes a number down behind a gate.
    Task(Option<Gate>),
    StopYourself,
    /// Says that it has written a packet's worth.
    Packet,
}

const METHODS: &[&str] = &[
    "note",
    "hold",
    "echo",
    "hang",
    "boom",
    "through",
    "back",
    "bytes",
    "look",
    "look_boom",
    "look_through",
    "look_back",
    "peek",
    "task",
    "stop_yourself",
    "packet",
];

const fn methods() -> [Method; METHODS.len()] {
    let blank =
        Method { name: "", access: Access::Exclusive, cast: false, read: false, arguments: &[], about: "" };
    let mut all = [blank; METHODS.len()];
    let mut i = 0;
    while i < METHODS.len() {
        all[i].name = METHODS[i];
        all[i].access = if i >= 8 && i <= 12 { Access::Shared } else { Access::Exclusive };
        i += 1;
    }
    all
}

impl Message for Ask {
    const CONTRACT: &'static str = "ask 1.0";

    fn method(&self) -> usize {
        match self {
            Ask::Note(_) => 0,
            Ask::Hold(_) => 1,
            Ask::Echo(..) => 2,
            Ask::Hang(_) => 3,
            Ask::Boom(_) => 4,
            Ask::Through(..) => 5,
            Ask::Back(..) => 6,
            Ask::Bytes(_) => 7,
            Ask::Look(..) => 8,
            Ask::LookBoom(_) => 9,
            Ask::LookThrough(..) => 10,
            Ask::LookBack(..) => 11,
            Ask::Peek(_) => 12,
            Ask::Task(_) => 13,
            Ask::StopYourself => 14,
            Ask::Packet => 15,
        }
    }

    fn access(&self) -> Access {
        ProbeRef::METHODS[self.method()].access
    }

    fn weight(&self) -> usize {
        match self {
            Ask::Bytes(bytes) => bytes.len(),
            _ => 1,
        }
    }

    fn refuse(self, why: Refusal) {
        match self {
            Ask::Echo(_, reply)
            | Ask::Hang(reply)
            | Ask::Boom(reply)
            | Ask::Look(_, _, reply)
            | Ask::Peek(reply) => reply.refuse(why),
            Ask::Through(_, _, reply)
            | Ask::Back(_, reply)
            | Ask::LookThrough(_, _, reply)
            | Ask::LookBack(_, reply) => reply.refuse(why),
            Ask::Note(_)
            | Ask::Hold(_)
            | Ask::Bytes(_)
            | Ask::LookBoom(_)
            | Ask::Task(_)
            | Ask::StopYourself
            | Ask::Packet => {}
        }
    }
}

#[derive(Clone)]
struct ProbeRef(Address<Ask>);

impl Contract for ProbeRef {
    type Message = Ask;
    const NAME: &'static str = "probe";
    const VERSION: ContractVersion = ContractVersion { major: 1, minor: 0 };
    const METHODS: &'static [Method] = &methods();

    fn bind(address: Address<Ask>) -> Self {
        Self(address)
    }

    fn address(&self) -> &Address<Ask> {
        &self.0
    }

    fn decode(method: usize, _: &[u8], _: Encoding, reply: RawReply) -> Result<Ask, (Refusal, RawReply)> {
        let method = Self::METHODS[method].name.into();
        Err((Refusal::UnknownMethod { service: Self::NAME.into(), method }, reply))
    }

    fn schema(_: usize, generator: &mut schemars::SchemaGenerator) -> MethodSchema {
        MethodSchema { arguments: generator.subschema_for::<()>(), answer: None, error: None }
    }
}

/// Provides one cell, whatever happens.
struct Only(Handle<Ask>);

impl Provide<Ask> for Only {
    fn pick(&self, _: Option<&Arc<str>>) -> Result<Handle<Ask>, Refusal> {
        Ok(self.0.clone())
    }

    fn find(&self, _: Option<&Arc<str>>) -> Option<Handle<Ask>> {
        Some(self.0.clone())
    }

    fn keyed(&self) -> bool {
        false
    }

    fn wheel(&self) -> &Arc<Wheel> {
        &self.0.kind().wheel
    }
}

impl ProbeRef {
    fn of(handle: &Handle<Ask>) -> Self {
        let locator = Locator { service: "probe".parse().expect("a name"), key: None };
        Self(Address::to_provider(locator, Arc::new(Only(handle.clone())), None))
    }

    fn echo(&self, n: u64) -> Call<'_, ProbeRef, u64> {
        Call::once(self, move |reply| Ask::Echo(n, reply))
    }
}

/// What all activations of the probe share with the test.
#[derive(Default)]
struct Seen {
    notes: Mutex<Vec<u64>>,
    /// `Look`s that run, and the most that did at once.
    looking: AtomicU32,
    looking_max: AtomicU32,
    /// States that were dropped.
    dropped: AtomicU32,
    stops: Mutex<Vec<StopReason>>,
    /// What `ready` says; what `passivate` returns; what `stop` waits for.
    ready: AtomicBool,
    asked_ready: AtomicU32,
    kept: Mutex<Vec<u8>>,
    stop_gate: Mutex<Option<Gate>>,
}

struct Probe(Arc<Seen>);

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, SeqCst);
    }
}

impl Service for Probe {
    type Contract = ProbeRef;

    async fn shared(&self, cx: &Cx, message: Ask) {
        match message {
            Ask::Look(n, gate, reply) => {
                let seen = &self.0;
                let now = seen.looking.fetch_add(1, SeqCst) + 1;
                seen.looking_max.fetch_max(now, SeqCst);
                reply
                    .serve(cx, async {
                        gate.acquire().await.expect("no gate is ever closed").forget();
                        Ok(n)
                    })
                    .await;
                seen.looking.fetch_sub(1, SeqCst);
            }
            Ask::LookBoom(gate) => {
                gate.acquire().await.expect("no gate is ever closed").forget();
                panic!("bang");
            }
            Ask::LookThrough(to, me, reply) => {
                let back = Call::once(&to, move |reply| Ask::LookBack(me, reply));
                reply.send(Ok(outcome(back.await).and_then(|inner| inner)));
            }
            Ask::LookBack(to, reply) => reply.send(Ok(outcome(to.echo(1).await))),
            Ask::Peek(reply) => reply.send(Ok(u64::from(self.0.looking.load(SeqCst)))),
            _ => unreachable!("exclusive"),
        }
    }

    async fn exclusive(&mut self, cx: &Cx, message: Ask) {
        match message {
            Ask::Note(n) => self.0.notes.lock().push(n),
            Ask::Hold(gate) => gate.acquire().await.expect("no gate is ever closed").forget(),
            Ask::Echo(n, reply) => reply.send(Ok(n + 1)),
            Ask::Hang(reply) => reply.serve(cx, std::future::pending()).await,
            Ask::Boom(reply) => {
                tokio::task::yield_now().await;
                reply.serve(cx, async { panic!("boom") }).await;
            }
            Ask::Through(to, me, reply) => {
                let back = Call::once(&to, move |reply| Ask::Back(me, reply));
                reply.send(Ok(outcome(back.await).and_then(|inner| inner)));
            }
            Ask::Back(to, reply) => reply.send(Ok(outcome(to.echo(1).await))),
            Ask::Task(gate) => {
                let seen = self.0.clone();
                cx.spawn(async move {
                    let Some(gate) = gate else { panic!("a task of it") };
                    gate.acquire().await.expect("no gate is ever closed").forget();
                    seen.notes.lock().push(77);
                });
            }
            Ask::StopYourself => cx.stop(),
            Ask::Packet => turn::end(),
            _ => {}
        }
    }

    async fn ready(&self, _: &Cx) -> bool {
        self.0.asked_ready.fetch_add(1, SeqCst);
        self.0.ready.load(SeqCst)
    }

    async fn stop(&mut self, _: &Cx, reason: StopReason) {
        let gate = self.0.stop_gate.lock().clone();
        if let Some(gate) = gate {
            gate.acquire().await.expect("no gate is ever closed").forget();
        }
        self.0.stops.lock().push(reason);
    }

    async fn passivate(&mut self, _: &Cx) -> Vec<u8> {
        self.0.kept.lock().clone()
    }
}

/// What an overseer was told, and what it says.
#[derive(Default)]
struct Recorder {
    started: AtomicU32,
    ended: Mutex<Vec<Exit>>,
    gone: Mutex<Vec<Exit>>,
    passivated: Mutex<Vec<Vec<u8>>>,
    /// Abnormal ends are followed by another activation.
    restarts: AtomicBool,
    /// A verdict will come, but not from here.
    waits: AtomicBool,
}

impl Overseer for Recorder {
    fn born(&self, _: Arc<dyn Port>) {}

    fn started(&self, _: &dyn Port) {
        self.started.fetch_add(1, SeqCst);
    }

    fn ended(&self, cell: &dyn Port, exit: &Exit) -> bool {
        self.ended.lock().push(exit.clone());
        if self.restarts.load(SeqCst) && !exit.is_normal() {
            cell.restart();
            return true;
        }
        self.waits.load(SeqCst)
    }

    fn watch(&self, _: &dyn Port, callback: Box<dyn FnOnce(&Exit) + Send>) {
        drop(callback);
    }

    fn passivated(&self, _: &dyn Port, state: Vec<u8>) {
        self.passivated.lock().push(state);
    }

    fn gone(&self, _: &dyn Port, exit: &Exit) {
        self.gone.lock().push(exit.clone());
    }
}

/// What a node would give, on the test's own executor.
struct World {
    wheel: Arc<Wheel>,
    seen: Arc<Seen>,
    overseer: Arc<Recorder>,
    ids: AtomicU64,
    kind: Kind,
}

impl World {
    fn new() -> World {
        let wheel = Wheel::new(1);
        let executors = vec![Executor::new(tokio::runtime::Handle::current(), 0)];
        drop(executors[0].spawn(wheel.clone().run(0)));
        let overseer = Arc::new(Recorder::default());
        overseer.restarts.store(true, SeqCst);
        let seen = Arc::new(Seen { ready: AtomicBool::new(true), ..Seen::default() });
        let kind = Kind {
            service: "probe".parse().expect("a name"),
            contract: ProbeRef::NAME,
            version: ProbeRef::VERSION,
            methods: ProbeRef::METHODS,
            fence: None,
            node: Weak::new(),
            wheel: wheel.clone(),
            executors,
            bounds: Bounds::default(),
            concurrency: 1,
            grace: Duration::from_secs(60),
            start_within: Duration::from_secs(60),
            stop_within: Duration::from_secs(60),
            passivate_after: None,
            overseer: overseer.clone(),
            meter: Arc::default(),
        };
        World { wheel, seen, overseer, ids: AtomicU64::new(1), kind }
    }

    fn bounded(mut self, count_max: u32, bytes_max: u32, overflow: Overflow) -> World {
        self.kind.bounds = Bounds { count_max, bytes_max, overflow };
        self
    }

    fn concurrent(mut self, concurrency: u32) -> World {
        self.kind.concurrency = concurrency;
        self
    }

    /// A kind of its own for each cell, as set up by now.
    fn kind(&self) -> Arc<Kind> {
        Arc::new(Kind {
            service: self.kind.service.clone(),
            executors: self.kind.executors.clone(),
            wheel: self.wheel.clone(),
            node: Weak::new(),
            overseer: self.overseer.clone(),
            meter: self.kind.meter.clone(),
            fence: self.kind.fence.clone(),
            ..self.kind
        })
    }

    fn spawn(&self) -> Handle<Ask> {
        let seen = self.seen.clone();
        self.spawn_with(Constructor::plain(move || Probe(seen.clone())))
    }

    fn spawn_with(&self, constructor: Constructor<Probe>) -> Handle<Ask> {
        let id = ActivationId(self.ids.fetch_add(1, SeqCst));
        spawn_as(id, &self.kind(), 0, None, constructor)
    }

    /// What was written down since the last look.
    fn notes(&self) -> Vec<u64> {
        std::mem::take(&mut *self.seen.notes.lock())
    }

    fn ended(&self) -> Vec<Exit> {
        self.overseer.ended.lock().clone()
    }

    fn gone(&self) -> Vec<Exit> {
        self.overseer.gone.lock().clone()
    }
}

fn tell(to: &Handle<Ask>, message: Ask) -> Result<(), Refusal> {
    tell_as(to, Header::default(), message)
}

fn tell_as(to: &Handle<Ask>, header: Header, message: Ask) -> Result<(), Refusal> {
    to.push(Envelope { header, origin: None, message }).map_err(|(why, _)| why)
}

fn class(criticality: Criticality) -> Header {
    Header::of(criticality)
}

/// Runs something beside the test.
fn aside<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
    tokio::runtime::Handle::current().spawn(task)
}

/// Lets all others run until none has anything to do but wait.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// Awaits a fact.
async fn until(what: &str, fact: impl Fn() -> bool) {
    let limit = tokio::time::Instant::now() + Duration::from_secs(20);
    while !fact() {
        assert!(tokio::time::Instant::now() < limit, "never: {what}");
        tokio::task::yield_now().await;
    }
}

/// An answer that must come.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it ends")
}
