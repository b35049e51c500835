//! One test for each sentence of docs/GUARANTEES.md, through what authors touch: contracts, references, a node.

#![allow(clippy::disallowed_methods, reason = "callers outside of any node are tasks of the test")]

mod dump;
mod ends;
mod executors;
mod failure;
mod life;
mod mailbox;
mod outcome;
mod stuck;
mod time;
mod topics;
mod traces;
mod watches;

use odeon::core::NodeName;
use odeon::host::{Executor, Host, Inline};
use odeon::prelude::*;
use odeon::{Node, NodeConfig};
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// What a test shares with the services of its node: a log, and gates at which handlers wait.
#[derive(Clone)]
pub struct Lab {
    log: Arc<Mutex<Vec<String>>>,
    gate: Arc<Semaphore>,
}

impl Default for Lab {
    fn default() -> Self {
        Self { log: Arc::default(), gate: Arc::new(Semaphore::new(0)) }
    }
}

impl Lab {
    fn say(&self, text: impl Into<String>) {
        self.log.lock().expect("no panic while it is held").push(text.into());
    }

    fn said(&self) -> Vec<String> {
        self.log.lock().expect("no panic while it is held").clone()
    }

    fn times(&self, text: &str) -> usize {
        self.said().iter().filter(|s| *s == text).count()
    }

    async fn wait_at_gate(&self) {
        self.gate.acquire().await.expect("the gate is never closed").forget();
    }

    fn open_gate(&self, n: usize) {
        self.gate.add_permits(n);
    }

    /// Waits until something was said.
    async fn until_said(&self, text: &str) {
        eventually(&format!("{text:?} is said"), || self.times(text) > 0).await;
    }
}

/// Waits for a fact, with a generous limit.
pub async fn eventually(what: &str, mut fact: impl FnMut() -> bool) {
    let limit = tokio::time::Instant::now() + Duration::from_secs(20);
    while !fact() {
        assert!(tokio::time::Instant::now() < limit, "never: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A node of the app on the current runtime.
pub async fn node(app: App) -> Node {
    let executor = Executor::new(tokio::runtime::Handle::current(), 0);
    let host = Host { executors: vec![executor], blocking: Arc::new(Inline), seed: 7 };
    let name: NodeName = "test".parse().expect("a name");
    Node::start(host, NodeConfig::named(name), app).await.expect("the node starts")
}

/// The contract of most tests.
#[odeon::contract(name = "probe", version = "1.2")]
pub trait Probe {
    /// Says the text at once.
    async fn say(&mut self, cx: &Cx, text: String) -> u32;
    /// The same, without an answer.
    #[cast]
    async fn note(&mut self, cx: &Cx, text: String);
    /// Says that it begins, waits at the gate, says that it ends.
    async fn hold(&mut self, cx: &Cx, text: String);
    /// The same, beside others.
    async fn hold_shared(&self, cx: &Cx, text: String);
    /// How often this activation was used.
    #[read]
    async fn uses(&self, cx: &Cx) -> u32;
    /// Panics.
    async fn panic(&mut self, cx: &Cx);
    /// Starts a timer, or a task that panics at the gate.
    async fn begin(&mut self, cx: &Cx, what: String);
    /// Calls `hold` of another probe with its own 5 s.
    async fn relay(&mut self, cx: &Cx, service: String, key: String) -> String;
    /// Calls `relay_on` of itself under the next key, without end.
    async fn endless(&mut self, cx: &Cx, n: u32) -> String;
    /// Fails.
    async fn fail(&mut self, cx: &Cx) -> Result<u32, ProbeError>;
    /// Waits until the caller has left.
    async fn linger(&self, cx: &Cx);
    /// Watches, or links to, another probe.
    async fn tie(&mut self, cx: &Cx, key: String, link: bool);
    /// What a watch says.
    #[cast]
    async fn ended(&mut self, cx: &Cx, how: String);
    /// Stops itself.
    async fn finish(&mut self, cx: &Cx);
}

/// The error of a probe.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct ProbeError {
    reason: String,
}

impl std::fmt::Display for ProbeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the probe failed: {}", self.reason)
    }
}

impl ContractError for ProbeError {
    fn retry(&self) -> Retry {
        Retry::Later
    }
}

/// The service of most tests: it tells the lab what it does.
pub struct Told {
    lab: Lab,
    uses: u32,
}

impl Told {
    fn make(lab: &Lab) -> impl Fn() -> Told + Send + Sync + 'static {
        let lab = lab.clone();
        move || {
            lab.say("made");
            Told { lab: lab.clone(), uses: 0 }
        }
    }
}

/// Says so when a handler is dropped before its end.
struct Tattle(Lab, String, bool);

impl Drop for Tattle {
    fn drop(&mut self) {
        if !self.2 {
            self.0.say(format!("{} dropped", self.1));
        }
    }
}

#[odeon::service]
impl Probe for Told {
    async fn say(&mut self, _: &Cx, text: String) -> u32 {
        self.uses += 1;
        self.lab.say(text);
        self.uses
    }
    async fn note(&mut self, _: &Cx, text: String) {
        self.uses += 1;
        self.lab.say(text);
    }
    async fn hold(&mut self, _: &Cx, text: String) {
        let mut tattle = Tattle(self.lab.clone(), text.clone(), false);
        self.lab.say(format!("{text} begins"));
        self.lab.wait_at_gate().await;
        tattle.2 = true;
        self.lab.say(format!("{text} ends"));
    }
    async fn hold_shared(&self, _: &Cx, text: String) {
        self.lab.say(format!("{text} begins"));
        self.lab.wait_at_gate().await;
        self.lab.say(format!("{text} ends"));
    }
    async fn uses(&self, _: &Cx) -> u32 {
        self.uses
    }
    async fn panic(&mut self, _: &Cx) {
        self.lab.say("panics");
        panic!("on purpose");
    }
    async fn begin(&mut self, cx: &Cx, what: String) {
        match what.as_str() {
            "timer" => {
                let me: ProbeRef = cx.me().expect("its own contract");
                cx.after(Duration::from_millis(80), me.note("timer".into()));
            }
            "ticks" => {
                let me: ProbeRef = cx.me().expect("its own contract");
                cx.every(Duration::from_millis(5), me, |me| me.note("tick".into()));
            }
            _ => {
                let lab = self.lab.clone();
                cx.spawn(async move {
                    lab.wait_at_gate().await;
                    panic!("a task, on purpose");
                });
            }
        }
    }
    async fn relay(&mut self, cx: &Cx, service: String, key: String) -> String {
        let other: ProbeRef = cx.entity(&service, &key).expect("a probe");
        match other.hold("relayed".into()).await {
            Ok(()) => "ok".into(),
            Err(error) => error.to_string(),
        }
    }
    async fn endless(&mut self, cx: &Cx, n: u32) -> String {
        let next: ProbeRef = cx.entity("probe", &format!("key-{n}")).expect("a probe");
        match next.endless(n + 1).await {
            Ok(text) => text,
            Err(error) => error.to_string(),
        }
    }
    async fn fail(&mut self, _: &Cx) -> Result<u32, ProbeError> {
        Err(ProbeError { reason: "on purpose".into() })
    }
    async fn linger(&self, cx: &Cx) {
        self.lab.say("lingers");
        cx.cancelled().await;
        self.lab.say("left alone");
    }
    async fn tie(&mut self, cx: &Cx, key: String, link: bool) {
        let other: ProbeRef = cx.entity("probe", &key).expect("a probe");
        if link {
            cx.link(&other);
        } else {
            let me: ProbeRef = cx.me().expect("its own contract");
            cx.watch(&other, me, |me, exit| me.ended(exit.to_string()));
        }
    }
    async fn ended(&mut self, _: &Cx, how: String) {
        self.lab.say(format!("ended: {how}"));
    }
    async fn finish(&mut self, cx: &Cx) {
        cx.stop();
    }
    async fn stop(&mut self, _: &Cx, reason: StopReason) {
        self.lab.say(format!("stop hook: {reason:?}"));
    }
    async fn passivate(&mut self, _: &Cx) -> Vec<u8> {
        self.lab.say("passivated");
        self.uses.to_be_bytes().to_vec()
    }
}

/// A node with told probes as entities under `probe`.
pub async fn probes(lab: &Lab) -> Node {
    node(App::new().entity("probe", Told::make(lab))).await
}

/// A reference to a probe.
pub fn probe(node: &Node, key: &str) -> ProbeRef {
    node.entity("probe", key).expect("a probe")
}

/// A probe that is busy with a call until the gate opens; the call goes on beside the test.
pub async fn hold(lab: &Lab, probe: &ProbeRef, text: &str) -> JoinHandle<Result<(), CallError>> {
    let (probe, said) = (probe.clone(), text.to_owned());
    let held = tokio::spawn(async move { probe.hold(said).within(Duration::from_secs(60)).await });
    lab.until_said(&format!("{text} begins")).await;
    held
}
