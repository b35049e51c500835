//! What is small and urgent, beside one sender that fills a lane with large bodies: a critical call, and messages of
//! the control stream.

use super::odeon::{Odeon, PostingRef};
use super::work::{Remote, percentile};
use crate::time::Stopwatch;
use anyhow::{Context, Result, bail};
use odeon::prelude::*;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::{Interval, MissedTickBehavior};

/// How each watch ended, or nothing where none could be begun.
pub(super) type Hears = UnboundedReceiver<Option<Exit>>;

/// What a lane and a mailbox hold has been handled within this time.
const DRAIN_WITHIN: Duration = Duration::from_secs(60);
/// Between two of either.
const PAUSE: Duration = Duration::from_millis(10);
/// A critical call may take so long; a watch is answered within it.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Watches what is on the other node.
#[odeon::contract(name = "observing", version = "1.0")]
pub trait Observing {
    /// Watches the sink with this key. There is none, so that the other node says so at once: two messages of the
    /// control stream, there and back.
    #[cast]
    async fn observe(&mut self, cx: &Cx, key: String);
    /// It has ended.
    #[cast]
    async fn ended(&mut self, cx: &Cx);
}

/// Tells each end that it is told.
#[derive(Debug)]
pub(super) struct Observer(pub(super) UnboundedSender<Option<Exit>>);

#[odeon::service]
impl Observing for Observer {
    async fn observe(&mut self, cx: &Cx, key: String) {
        let (Ok(sink), Ok(me)) = (cx.entity::<PostingRef>("sink", &key), cx.me::<ObservingRef>()) else {
            let _ = self.0.send(None);
            return;
        };
        let told = self.0.clone();
        cx.watch(&sink, me, move |me, exit| {
            let _ = told.send(Some(exit));
            me.ended()
        });
    }

    async fn ended(&mut self, _: &Cx) {}
}

/// One after another, with a pause between them.
fn pauses() -> Interval {
    let mut pauses = tokio::time::interval(PAUSE);
    pauses.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pauses
}

/// How long each of so many critical calls takes.
async fn calls(asked: &PostingRef, count: u64) -> Result<Vec<Duration>> {
    let (mut times, mut pauses) = (Vec::new(), pauses());
    for _ in 0..count {
        pauses.tick().await;
        let watch = Stopwatch::start();
        asked.ask("x".repeat(64)).within(ANSWER_WITHIN).criticality(Criticality::Critical).await?;
        times.push(watch.elapsed());
    }
    Ok(times)
}

/// How long it takes until each of so many watches has told.
async fn watches(observer: &ObservingRef, hears: &mut Hears, count: u64) -> Result<Vec<Duration>> {
    let (mut times, mut pauses) = (Vec::new(), pauses());
    for number in 0..count {
        pauses.tick().await;
        let watch = Stopwatch::start();
        observer.observe(format!("none-{number}")).criticality(Criticality::Critical).await?;
        match tokio::time::timeout(ANSWER_WITHIN, hears.recv()).await {
            Ok(Some(Some(Exit::Stopped { .. }))) => times.push(watch.elapsed()),
            other => bail!("a watch was answered with {other:?}"),
        }
    }
    Ok(times)
}

/// One sender fills a lane with large bodies; beside it goes a critical call every ten milliseconds, and after all of
/// these as many watches.
pub(super) async fn control(
    odeon: &Odeon,
    mut hears: Hears,
    count: u64,
    bytes: usize,
) -> Result<Vec<(&'static str, f64)>> {
    let (flooded, asked) = (odeon.sink("flooded").await?, odeon.sink("asked").await?);
    let observer: ObservingRef = odeon.node.entity("observer", "one")?;
    let (flooding, body) = (flooded.clone(), "x".repeat(bytes));
    let flood = tokio::spawn(async move {
        loop {
            if let Err(problem) = Odeon::put(&flooding, &body).await {
                return problem;
            }
            tokio::task::consume_budget().await;
        }
    });
    let urgent = async move {
        let calls = calls(&asked, count).await?;
        Ok::<_, anyhow::Error>((calls, watches(&observer, &mut hears, count).await?))
    };
    let watch = Stopwatch::start();
    let (calls, watches) = tokio::spawn(urgent).await??;
    if flood.is_finished() {
        bail!("the flood ended: {}", flood.await?);
    }
    flood.abort();
    let handled = flooded.total().within(DRAIN_WITHIN).await.context("what the flood has left")?;
    let rate = watch.millions_per_second(handled / bytes as u64) * 1e3;
    Ok(vec![("control-flood", rate), ("control-p99", p99(calls)), ("control-stream-p99", p99(watches))])
}

/// In milliseconds; the first tenth warms up.
fn p99(mut times: Vec<Duration>) -> f64 {
    let warm = times.len() / 10;
    percentile(&mut times[warm..], 99).as_secs_f64() * 1e3
}
