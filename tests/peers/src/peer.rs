//! The workloads, written once over what each system must offer.

use crate::machine;
use crate::time::Stopwatch;
use crate::workload::{Metric, Sample, Sizes, Workload};
use anyhow::{Context, Result, ensure};
use std::time::Duration;

/// What a system must offer to be measured.
pub trait Peer: Send + Sync + 'static {
    /// A handle to an actor that adds up what it is told and answers what it is asked.
    type Sink: Clone + Send + Sync + 'static;
    /// A handle to an actor that asks its partner.
    type Player: Send + 'static;

    /// Whether an actor lives only as long as somebody holds its handle.
    const HANDLES_KEEP_ALIVE: bool = true;

    /// An actor of its own for each number: beside the caller or, where the system lets one choose, apart from it.
    fn sink(&self, number: u64, place: Place) -> impl Future<Output = Result<Self::Sink>> + Send;
    /// Sends without an answer, and copes with a full mailbox.
    fn tell(sink: &Self::Sink, value: u64) -> impl Future<Output = ()> + Send;
    /// Asks for `value + 1`.
    fn ask(sink: &Self::Sink, value: u64) -> impl Future<Output = Result<u64>> + Send;
    /// Asks for the sum of what was told so far.
    fn total(sink: &Self::Sink) -> impl Future<Output = Result<u64>> + Send;
    /// One pair of actors.
    fn player(&self, number: u64) -> impl Future<Output = Result<Self::Player>> + Send;
    /// The first of a pair asks the second `calls` times, and tells how often it was answered.
    fn rally(player: Self::Player, calls: u64) -> impl Future<Output = Result<u64>> + Send;
    /// A tree with so many leaves; the sum of their numbers.
    fn skynet(&self, leaves: u64) -> impl Future<Output = Result<u64>> + Send;
    /// Runs a task where senders run.
    fn task<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        tokio::spawn(task)
    }
}

/// Where an actor runs, as seen from who sends to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the sender's thread, where the system lets one choose.
    Beside,
    /// On another thread, where the system lets one choose and has two.
    Apart,
    /// Where the system puts it.
    Anywhere,
}

/// Does one workload and says what came out. It checks that the work was done, never how fast.
pub async fn measure<P: Peer>(peer: &P, workload: Workload, sizes: &Sizes) -> Result<Vec<Sample>> {
    match workload {
        Workload::Tell => tell(peer, sizes.tell).await,
        Workload::FanIn => fan_in(peer, sizes.fan_in).await,
        Workload::PingPong => ping_pong(peer, sizes.rally).await,
        Workload::Ask => ask(peer, sizes.ask).await,
        Workload::Ask64 => ask_64(peer, sizes.ask_each).await,
        Workload::Spawn => spawn(peer, sizes.spawn).await,
        Workload::Skynet => skynet(peer, sizes.leaves).await,
    }
}

fn sum_below(n: u64) -> u64 {
    n * (n - 1) / 2
}

async fn tell<P: Peer>(peer: &P, count: u64) -> Result<Vec<Sample>> {
    let sink = peer.sink(0, Place::Apart).await?;
    ensure!(P::ask(&sink, 1).await? == 2);
    let watch = Stopwatch::start();
    let sender = sink.clone();
    let sent = peer.task(async move {
        for value in 0..count {
            P::tell(&sender, value).await;
            if value % 64 == 63 {
                tokio::task::consume_budget().await;
            }
        }
        P::total(&sender).await
    });
    ensure!(sent.await?? == sum_below(count), "messages were lost");
    Ok(vec![Sample::new(Metric::Tell, watch.millions_per_second(count))])
}

async fn fan_in<P: Peer>(peer: &P, each: u64) -> Result<Vec<Sample>> {
    let sink = peer.sink(0, Place::Apart).await?;
    ensure!(P::ask(&sink, 1).await? == 2);
    let watch = Stopwatch::start();
    let senders: Vec<_> = (0..Sizes::SENDERS)
        .map(|_| {
            let sink = sink.clone();
            peer.task(async move {
                for value in 0..each {
                    P::tell(&sink, value).await;
                    if value % 64 == 63 {
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await?;
    }
    ensure!(P::total(&sink).await? == Sizes::SENDERS * sum_below(each), "messages were lost");
    Ok(vec![Sample::new(Metric::FanIn, watch.millions_per_second(Sizes::SENDERS * each))])
}

async fn ping_pong<P: Peer>(peer: &P, calls: u64) -> Result<Vec<Sample>> {
    let pairs = [peer.player(0).await?, peer.player(1).await?];
    let watch = Stopwatch::start();
    let rallies = pairs.map(|pair| peer.task(P::rally(pair, calls)));
    for rally in rallies {
        ensure!(rally.await?? == calls, "calls were lost");
    }
    Ok(vec![Sample::new(Metric::PingPong, watch.millions_per_second(2 * 2 * calls))])
}

async fn ask<P: Peer>(peer: &P, calls: u64) -> Result<Vec<Sample>> {
    let sink = peer.sink(0, Place::Beside).await?;
    ensure!(P::ask(&sink, 1).await? == 2);
    let asker = async move {
        let mut times = Vec::with_capacity(usize::try_from(calls)?);
        for value in 0..calls {
            let watch = Stopwatch::start();
            let answer = P::ask(&sink, value).await?;
            times.push(watch.elapsed());
            ensure!(answer == value + 1);
        }
        Ok(times)
    };
    let mut times = peer.task(asker).await??;
    times.sort_unstable();
    let nanos = |d: Duration| d.as_nanos() as f64;
    Ok(vec![
        Sample::new(Metric::AskMedian, nanos(times[times.len() / 2])),
        Sample::new(Metric::AskP99, nanos(times[times.len() * 99 / 100])),
    ])
}

async fn ask_64<P: Peer>(peer: &P, each: u64) -> Result<Vec<Sample>> {
    let sink = peer.sink(0, Place::Beside).await?;
    ensure!(P::ask(&sink, 1).await? == 2);
    let watch = Stopwatch::start();
    let callers: Vec<_> = (0..Sizes::CALLERS)
        .map(|_| {
            let sink = sink.clone();
            peer.task(async move {
                for value in 0..each {
                    ensure!(P::ask(&sink, value).await? == value + 1);
                }
                Ok(())
            })
        })
        .collect();
    for caller in callers {
        caller.await??;
    }
    Ok(vec![Sample::new(Metric::Ask64, watch.millions_per_second(Sizes::CALLERS * each))])
}

async fn spawn<P: Peer>(peer: &P, count: u64) -> Result<Vec<Sample>> {
    let first = peer.sink(u64::MAX, Place::Anywhere).await?;
    ensure!(P::ask(&first, 1).await? == 2);
    let capacity = if P::HANDLES_KEEP_ALIVE { usize::try_from(count)? } else { 0 };
    let mut handles = Vec::with_capacity(capacity);
    let before = machine::resident()?;
    let watch = Stopwatch::start();
    for number in 0..count {
        let sink = peer.sink(number, Place::Anywhere).await?;
        ensure!(P::ask(&sink, number).await? == number + 1);
        if P::HANDLES_KEEP_ALIVE {
            handles.push(sink);
        }
    }
    let rate = watch.millions_per_second(count);
    // what is freed or counted with a delay has time to be
    tokio::time::sleep(Duration::from_millis(300)).await;
    let grown = machine::resident()?.checked_sub(before).context("memory shrank")?;
    let held = (handles.len() * size_of::<P::Sink>()) as u64;
    let bytes = grown.saturating_sub(held) as f64 / count as f64;
    Ok(vec![Sample::new(Metric::Spawn, rate), Sample::new(Metric::IdleBytes, bytes)])
}

async fn skynet<P: Peer>(peer: &P, leaves: u64) -> Result<Vec<Sample>> {
    let watch = Stopwatch::start();
    ensure!(peer.skynet(leaves).await? == sum_below(leaves), "leaves were lost");
    let milliseconds = watch.elapsed().as_secs_f64() * 1e3;
    let peak = machine::resident_max()? as f64 / 1e6;
    Ok(vec![Sample::new(Metric::Skynet, milliseconds), Sample::new(Metric::SkynetPeak, peak)])
}
