//! What happens to messages that come while an activation ends or begins.

use super::{Lab, eventually, node};
use odeon::ServiceOptions;
use odeon::directory::ServiceKind;
use odeon::prelude::*;

/// A service whose beginnings and ends take as long as a test wants.
#[odeon::contract(name = "leaver", version = "1.0")]
pub trait Leaver {
    /// Says the text; how often this activation was used.
    async fn say(&mut self, cx: &Cx, text: String) -> u32;
    /// The same, without an answer.
    #[cast]
    async fn note(&mut self, cx: &Cx, text: String);
    /// Stops itself, then waits at the gate.
    async fn leave(&mut self, cx: &Cx);
    /// Waits at the gate, beside others.
    async fn wait(&self, cx: &Cx);
    /// Panics beside others, at once or when it is let through the gate.
    async fn burst(&self, cx: &Cx, at_once: bool);
}

/// Where a [`Slow`] waits at the gate.
#[derive(Clone, Copy, PartialEq)]
enum At {
    Start,
    Passivate,
    Stop,
    /// Nowhere, but the second start fails.
    FailsOnce,
}

struct Slow {
    lab: Lab,
    uses: u32,
    at: At,
}

impl Slow {
    async fn start(cx: Cx, lab: Lab, at: At) -> Result<Self, StartError> {
        lab.say("made");
        let left: Option<[u8; 4]> = cx.restored().and_then(|left| left[..].try_into().ok());
        if at == At::Start {
            lab.wait_at_gate().await;
        }
        if at == At::FailsOnce && lab.times("made") == 2 {
            return Err(StartError::new("on purpose"));
        }
        Ok(Self { lab, uses: left.map_or(0, u32::from_be_bytes), at })
    }

    async fn end(&self, how: &str, at: At) {
        self.lab.say(format!("{how} begins"));
        if self.at == at {
            self.lab.wait_at_gate().await;
        }
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.lab.say("over");
    }
}

#[odeon::service]
impl Leaver for Slow {
    async fn say(&mut self, _: &Cx, text: String) -> u32 {
        self.uses += 1;
        self.lab.say(text);
        self.uses
    }
    async fn note(&mut self, _: &Cx, text: String) {
        self.lab.say(text);
    }
    async fn leave(&mut self, cx: &Cx) {
        cx.stop();
        self.lab.say("leaves");
        self.lab.wait_at_gate().await;
    }
    async fn wait(&self, _: &Cx) {
        self.lab.say("waits");
        self.lab.wait_at_gate().await;
    }
    async fn burst(&self, _: &Cx, at_once: bool) {
        self.lab.say("bursts");
        if !at_once {
            self.lab.wait_at_gate().await;
        }
        panic!("on purpose");
    }
    async fn stop(&mut self, _: &Cx, _: StopReason) {
        self.end("stop", At::Stop).await;
    }
    async fn passivate(&mut self, _: &Cx) -> Vec<u8> {
        self.end("passivate", At::Passivate).await;
        self.uses.to_be_bytes().to_vec()
    }
}

/// A node whose entities wait there, and one of them.
async fn slow(lab: &Lab, at: At, passivate_after: Option<Duration>) -> (odeon::Node, LeaverRef) {
    let options =
        ServiceOptions { passivate_after, concurrency: 2, ..ServiceOptions::of(ServiceKind::Entity) };
    let make = lab.clone();
    let app = App::new().entity_with("leaver", options, move |cx: Cx| Slow::start(cx, make.clone(), at));
    let node = node(app).await;
    let a = node.entity("leaver", "a").expect("an entity");
    (node, a)
}

/// Lets the node stop; waits until it lets nothing in.
async fn stopping(node: &odeon::Node, a: &LeaverRef) -> tokio::task::JoinHandle<usize> {
    let node = node.clone();
    let stopping = tokio::spawn(async move { node.stop(Duration::from_secs(30)).await });
    eventually("nothing more is let in", || a.note("late".into()).send().is_err()).await;
    stopping
}

#[tokio::test]
async fn an_entity_that_stops_itself_has_no_second_activation_beside_it() {
    let lab = Lab::default();
    let (_node, a) = slow(&lab, At::Stop, None).await;
    let leaving = tokio::spawn({
        let a = a.clone();
        async move { a.leave().await }
    });
    lab.until_said("leaves").await;
    // in the handler, and in the stop hook
    let ask = |text: &str| {
        let (a, text) = (a.clone(), text.to_owned());
        tokio::spawn(async move { a.say(text).within(Duration::from_secs(30)).await })
    };
    let during_handler = ask("during the handler");
    tokio::task::yield_now().await;
    lab.open_gate(1);
    leaving.await.expect("no panic").expect("it ends");
    lab.until_said("stop begins").await;
    let during_hook = ask("during the hook");
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(lab.times("made"), 1, "{:?}", lab.said());
    lab.open_gate(1);
    assert_eq!(during_handler.await.expect("no panic"), Ok(1));
    assert_eq!(during_hook.await.expect("no panic"), Ok(2));
    let story = ["made", "leaves", "stop begins", "over", "made", "during the handler", "during the hook"];
    assert_eq!(lab.said(), story);
}

#[tokio::test]
async fn an_orderly_stop_handles_what_came_during_a_passivation() {
    let lab = Lab::default();
    let (node, a) = slow(&lab, At::Passivate, Some(Duration::from_millis(2))).await;
    assert_eq!(a.say("first".into()).await, Ok(1));
    lab.until_said("passivate begins").await;
    a.note("let in".into()).send().expect("room");
    let stopping = stopping(&node, &a).await;
    lab.open_gate(2);
    assert_eq!(stopping.await.expect("no panic"), 0, "nothing was killed");
    assert_eq!(lab.times("let in"), 1, "{:?}", lab.said());
}

#[tokio::test]
async fn an_orderly_stop_handles_what_waits_for_a_start() {
    let lab = Lab::default();
    let (node, a) = slow(&lab, At::Start, None).await;
    a.note("let in".into()).send().expect("room");
    lab.until_said("made").await;
    let stopping = stopping(&node, &a).await;
    lab.open_gate(1);
    assert_eq!(stopping.await.expect("no panic"), 0, "nothing was killed");
    assert_eq!(lab.times("let in"), 1, "{:?}", lab.said());
}

#[tokio::test]
async fn what_a_passivation_left_outlives_a_start_that_fails() {
    let lab = Lab::default();
    let (_node, a) = slow(&lab, At::FailsOnce, Some(Duration::from_millis(50))).await;
    assert_eq!(a.say("before".into()).await, Ok(1));
    lab.until_said("over").await;
    assert_eq!(a.say("after".into()).within(Duration::from_secs(30)).await, Ok(2));
    assert_eq!(lab.times("made"), 3);
}

#[tokio::test]
async fn who_runs_beside_a_panic_is_killed() {
    for panic_first in [false, true] {
        let lab = Lab::default();
        let (_node, a) = slow(&lab, At::Stop, None).await;
        let wait = async {
            if panic_first {
                lab.until_said("bursts").await;
            }
            a.wait().within(Duration::from_secs(30)).await
        };
        let burst = async {
            if !panic_first {
                lab.until_said("waits").await;
            }
            a.burst(!panic_first).within(Duration::from_secs(30)).await
        };
        let open = async {
            if panic_first {
                lab.until_said("waits").await;
                lab.open_gate(1);
            }
        };
        let (wait, burst, ()) = tokio::join!(wait, burst, open);
        assert_eq!(burst, Err(CallError::Unknown(UnknownCause::Panicked)));
        assert_eq!(wait, Err(CallError::Unknown(UnknownCause::Killed)));
    }
}

#[test]
fn a_node_that_was_never_stopped_leaves_nothing_behind() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let meter = runtime.block_on(async {
        let (node, a) = slow(&Lab::default(), At::Stop, None).await;
        assert_eq!(a.say("alive".into()).await, Ok(1));
        std::sync::Arc::downgrade(&node.services()[0].meter)
    });
    drop(runtime);
    assert!(meter.upgrade().is_none(), "entities keep their service, and it keeps them");
}
