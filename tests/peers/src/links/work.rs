//! What a sender does to receivers in another process, written once over what a system must offer. The program of
//! ractor_cluster, a workspace of its own, takes in this very file.

use crate::time::Stopwatch;
use anyhow::{Result, bail, ensure};
use std::sync::Arc;
use std::time::Duration;

/// Callers at the same time.
const CALLERS: u64 = 64;
/// Receivers in turn.
const RECEIVERS: usize = 100;
/// A sender lets others run after so many messages, if it has used up its time.
const BATCH: u64 = 64;

/// What a system must offer to be measured between two processes.
pub trait Remote: Send + Sync + 'static {
    /// A handle to a receiver in the other process.
    type Sink: Clone + Send + Sync + 'static;

    /// So many receivers, each of its own.
    fn sinks(&self, count: usize) -> impl Future<Output = Result<Vec<Self::Sink>>> + Send;
    /// Sends without an answer; waits where the system says that there is no room.
    fn put(sink: &Self::Sink, text: &str) -> impl Future<Output = Result<()>> + Send;
    /// Asks for the text back.
    fn ask(sink: &Self::Sink, text: &str) -> impl Future<Output = Result<String>> + Send;
    /// How many bytes of text have been handled since this was last asked.
    fn total(sink: &Self::Sink) -> impl Future<Output = Result<u64>> + Send;
}

/// Does one workload and names what came out: a tenth of it to warm up, then all of it. It checks that the work was
/// done, never how fast.
pub async fn measure<R: Remote>(
    remote: &R,
    workload: &str,
    count: u64,
    bytes: usize,
) -> Result<Vec<(&'static str, f64)>> {
    let text: Arc<str> = "x".repeat(bytes).into();
    match workload {
        "cast" => Ok(vec![("cast", cast(remote, 1, count, text).await?)]),
        "cast1k" => Ok(vec![("cast1k", cast(remote, 1, count, text).await?)]),
        "cast-many" => Ok(vec![("cast-many", cast(remote, RECEIVERS, count, text).await?)]),
        "ask" => ask(remote, count, text).await,
        "ask64" => Ok(vec![("link-ask64", ask_64(remote, count, text).await?)]),
        other => bail!("no workload for every system: {other}"),
    }
}

/// Warm-up and measurement.
fn passes(count: u64) -> [u64; 2] {
    [count.div_ceil(10), count]
}

async fn cast<R: Remote>(remote: &R, receivers: usize, count: u64, text: Arc<str>) -> Result<f64> {
    let sinks: Arc<[R::Sink]> = remote.sinks(receivers).await?.into();
    let mut rate = 0.0;
    for count in passes(count) {
        let (sinks, text) = (sinks.clone(), text.clone());
        rate = tokio::spawn(async move { cast_all::<R>(&sinks, &text, count).await }).await??;
    }
    Ok(rate)
}

/// Sends to the receivers in turn until they have handled all; gives back the rate in M/s.
pub async fn cast_all<R: Remote>(sinks: &[R::Sink], text: &str, count: u64) -> Result<f64> {
    let watch = Stopwatch::start();
    for (number, sink) in (0..count).zip(sinks.iter().cycle()) {
        R::put(sink, text).await?;
        if number % BATCH == BATCH - 1 {
            tokio::task::consume_budget().await;
        }
    }
    let mut handled = 0;
    for sink in sinks {
        handled += R::total(sink).await?;
    }
    ensure!(handled == count * text.len() as u64, "{handled} bytes of {count} messages were handled");
    Ok(watch.millions_per_second(count))
}

async fn ask<R: Remote>(remote: &R, count: u64, text: Arc<str>) -> Result<Vec<(&'static str, f64)>> {
    let sink = remote.sinks(1).await?.remove(0);
    let mut times = Vec::new();
    for count in passes(count) {
        let (sink, text) = (sink.clone(), text.clone());
        times = tokio::spawn(async move { ask_all::<R>(&sink, &text, count).await }).await??;
    }
    let micros = |share| percentile(&mut times.clone(), share).as_secs_f64() * 1e6;
    Ok(vec![("link-ask-median", micros(50)), ("link-ask-p99", micros(99))])
}

async fn ask_64<R: Remote>(remote: &R, count: u64, text: Arc<str>) -> Result<f64> {
    let sink = remote.sinks(1).await?.remove(0);
    let mut rate = 0.0;
    for count in passes(count) {
        let each = count / CALLERS;
        let watch = Stopwatch::start();
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (sink, text) = (sink.clone(), text.clone());
                tokio::spawn(async move { ask_all::<R>(&sink, &text, each).await })
            })
            .collect();
        for caller in callers {
            caller.await??;
        }
        rate = watch.millions_per_second(each * CALLERS) * 1e3;
    }
    Ok(rate)
}

async fn ask_all<R: Remote>(sink: &R::Sink, text: &str, count: u64) -> Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(usize::try_from(count)?);
    for _ in 0..count {
        let watch = Stopwatch::start();
        let answer = R::ask(sink, text).await?;
        times.push(watch.elapsed());
        ensure!(answer == text, "another text came back");
    }
    Ok(times)
}

/// The time that so many percent do not exceed; zero of none.
pub fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times.get(times.len() * percent / 100).copied().unwrap_or_default()
}
