//! Supervisors and hosts against parts and cells that are made by hand.

mod service;
mod supervisor;
mod tree;
mod watching;

use super::alarm::Clock;
use super::part::{Part, Running};
use super::supervisor::Surroundings;
use crate::cell::belongings::Rare;
use crate::cell::kind::Kind;
use crate::cell::port::{CellStatus, Overseer, Phase, Port};
use crate::cell::{Bounds, Tick, Wheel};
use crate::host::Executor;
use crate::service::contract::ContractVersion;
use crate::telemetry::events::Events;
use odeon_core::supervision::{Backoff, Exit, RestartLimits, StopReason};
use odeon_core::{ActivationId, Random, Refusal};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

/// Longer than anything here takes on the slowest machine.
const LONG: Duration = Duration::from_secs(20);

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, what: impl Into<String>) {
        self.0.lock().push(what.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }

    /// Waits until so much has happened, and takes it.
    async fn after(&self, count: usize) -> Vec<String> {
        eventually(|| self.0.lock().len() >= count).await;
        self.take()
    }
}

/// Waits for a fact.
async fn eventually(fact: impl Fn() -> bool) {
    let waiting = async {
        while !fact() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.expect("it comes true");
}

fn executor() -> Executor {
    Executor::new(tokio::runtime::Handle::current(), 0)
}

fn surroundings() -> Surroundings {
    (Clock::start(), executor(), Random::seeded(1), Events::default())
}

/// Quick, so that tests wait for milliseconds.
fn quick_limits(restarts_max: u32) -> RestartLimits {
    let backoff = Backoff { min: Duration::from_millis(1), max: Duration::from_millis(4) };
    RestartLimits { restarts_max, window: LONG, backoff, quiet: Duration::from_millis(500) }
}

/// A part that logs, and ends in order when told to.
fn polite(name: &'static str, log: &Log) -> Part {
    let log = log.clone();
    Part::new(name, executor(), move |mut running: Running| {
        let log = log.clone();
        async move {
            log.add(format!("start {name}"));
            running.ready();
            running.stopping().await;
            log.add(format!("stop {name}"));
            Ok(())
        }
    })
}

/// What a fake cell shares with nobody.
fn kind(overseer: Arc<dyn Overseer>) -> Kind {
    Kind {
        service: "fake".parse().expect("a name"),
        contract: "fake",
        version: ContractVersion { major: 1, minor: 0 },
        methods: &[],
        fence: None,
        node: Weak::new(),
        wheel: Wheel::new(1),
        executors: vec![executor()],
        bounds: Bounds::default(),
        concurrency: 1,
        grace: LONG,
        start_within: LONG,
        stop_within: LONG,
        passivate_after: None,
        overseer,
        meter: Arc::default(),
    }
}

/// A cell without messages. It does as it is told at once, if it is polite.
struct FakeCell {
    id: ActivationId,
    key: Option<Arc<str>>,
    overseer: Arc<dyn Overseer>,
    log: Log,
    polite: AtomicBool,
    breaks_its_host: AtomicBool,
    last_exit: Mutex<Exit>,
    phase: Mutex<Phase>,
    waiting: u32,
    rare: Mutex<Rare>,
    kind: OnceLock<Arc<Kind>>,
}

impl FakeCell {
    fn born(id: u64, key: Option<&str>, overseer: &Arc<dyn Overseer>, log: &Log) -> Arc<Self> {
        let cell = Arc::new(Self {
            id: ActivationId(id),
            key: key.map(Arc::from),
            overseer: overseer.clone(),
            log: log.clone(),
            polite: AtomicBool::new(true),
            breaks_its_host: AtomicBool::new(false),
            last_exit: Mutex::new(Exit::Stopped { reason: StopReason::Own }),
            phase: Mutex::new(Phase::Starting),
            waiting: u32::try_from(id).expect("a small id"),
            rare: Mutex::default(),
            kind: OnceLock::new(),
        });
        overseer.born(cell.clone());
        cell.begin();
        cell
    }

    fn begin(&self) {
        if *self.phase.lock() == Phase::Starting {
            *self.phase.lock() = Phase::Running;
            self.overseer.started(self);
        }
    }

    fn hears(&self, what: &str) {
        self.log.add(format!("{what} {}", self.id));
    }

    /// The activation ends; the cell too, unless a verdict will come.
    fn ends(&self, exit: Exit) {
        drop(std::mem::take(&mut *self.rare.lock()));
        *self.phase.lock() = Phase::Waiting;
        *self.last_exit.lock() = exit.clone();
        if !self.overseer.ended(self, &exit) {
            self.is_gone(&exit);
        }
    }

    fn is_gone(&self, exit: &Exit) {
        *self.phase.lock() = Phase::Ended;
        self.overseer.gone(self, exit);
    }

    fn panics(&self) {
        self.ends(Exit::Panicked { text: "on purpose".into(), method: "test".into() });
    }

    fn cannot_start(&self, problem: &str) {
        self.ends(Exit::StartFailed { problem: problem.into() });
    }

    fn is(&self, phase: Phase) -> bool {
        *self.phase.lock() == phase
    }

    fn obeys(&self) -> bool {
        self.polite.load(SeqCst) && !self.is(Phase::Ended)
    }
}

impl Port for FakeCell {
    fn fence(&self) {
        self.kill();
    }

    fn id(&self) -> ActivationId {
        self.id
    }

    fn kind(&self) -> &Arc<Kind> {
        self.kind.get_or_init(|| Arc::new(kind(self.overseer.clone())))
    }

    fn key(&self) -> Option<&Arc<str>> {
        self.key.as_ref()
    }

    fn executor(&self) -> usize {
        (self.id.0 % 3) as usize
    }

    fn rare(&self) -> &Mutex<Rare> {
        &self.rare
    }

    fn now(&self) -> Tick {
        Tick::NEVER
    }

    fn doing(&self) -> Option<&'static str> {
        Some("test")
    }

    fn drain(&self, reason: StopReason) {
        self.hears("drain");
        if self.obeys() {
            self.ends(Exit::Stopped { reason });
        }
    }

    fn stop(&self, reason: StopReason) {
        self.hears("stop");
        if self.obeys() {
            self.ends(Exit::Stopped { reason });
        }
    }

    fn kill(&self) {
        self.hears("kill");
        if self.obeys() {
            self.ends(Exit::Killed);
        }
    }

    fn fail(&self, exit: Exit) {
        self.hears("fail");
        if self.obeys() {
            self.ends(exit);
        }
    }

    fn restart(&self) {
        self.hears("restart");
        assert!(!self.breaks_its_host.swap(false, SeqCst), "a fault of the runtime");
        *self.phase.lock() = Phase::Starting;
        self.begin();
    }

    fn rest(&self, why: Refusal) {
        self.log.add(format!("{} rests: {why}", self.id));
    }

    fn give_up(&self) {
        self.hears("give up");
        let exit = self.last_exit.lock().clone();
        self.is_gone(&exit);
    }

    fn status(&self) -> CellStatus {
        CellStatus {
            id: self.id,
            key: self.key.clone(),
            phase: *self.phase.lock(),
            waiting: self.waiting,
            waiting_bytes: 10 * self.waiting,
            begun: 1,
            expired: 0,
            lost: 0,
            current: self.doing(),
            polling_for: None,
            poll_max: Duration::from_micros(self.id.0),
            held_for: None,
            due: Tick::NEVER,
            lanes: [0; 4],
            outside: 0,
        }
    }
}
