//! Five nodes that are started at the same time become a cluster; and what each of them costs that has nothing to do.

use super::Settings;
use super::report::{Report, Row, Wanted};
use super::started::{FORMED_WITHIN, LOOK_EVERY, Own};
use crate::machine;
use crate::time::Stopwatch;
use anyhow::{Context, Result};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Nodes of the cluster.
const NODES: usize = 5;
/// After it has formed: voters are chosen, tables are told.
const SETTLE: Duration = Duration::from_secs(10);
/// How long nodes are watched that do nothing.
const IDLE: Duration = Duration::from_secs(30);

/// From the start of the first process until each node lists all of them and holds its lease.
///
/// # Errors
/// They are no cluster in time.
pub async fn formation(settings: &Settings) -> Result<Report> {
    let mut times = Vec::new();
    for round in 0..settings.rounds {
        let mut cluster = Own::prepare(&settings.daemon, NODES)?;
        let clock = Stopwatch::start();
        cluster.start_all()?;
        let mut waits = JoinSet::new();
        for node in cluster.nodes.clone() {
            waits.spawn(async move {
                while !node.is_in_cluster_of(NODES).await {
                    sleep(LOOK_EVERY).await;
                }
                clock.elapsed()
            });
        }
        let formed = timeout(FORMED_WITHIN, waits.join_all()).await;
        let formed =
            formed.context("five nodes do not form a cluster")?.into_iter().max().unwrap_or_default();
        eprintln!("round {} of {}: formed in {formed:.2?}", round + 1, settings.rounds);
        times.push(formed);
    }
    let row = Row::seconds("five nodes started at once form a cluster, s", Wanted::Each(3.0), &times);
    Ok(Report { rows: vec![row], notes: Vec::new() })
}

/// Memory and CPU time of each of five nodes that nobody calls.
///
/// # Errors
/// They are no cluster in time.
pub async fn idle(settings: &Settings) -> Result<Report> {
    let mut cluster = Own::prepare(&settings.daemon, NODES)?;
    cluster.start_all()?;
    cluster.until_whole().await?;
    let (settle, time) = match settings.quick {
        true => (Duration::ZERO, Duration::from_secs(2)),
        false => (SETTLE, IDLE),
    };
    sleep(settle).await;
    let processes: Vec<u32> =
        cluster.nodes.iter().map(|node| Ok(node.whereabouts()?.pid)).collect::<Result<_>>()?;
    let used = || processes.iter().map(|pid| machine::cpu_time(*pid)).collect::<Result<Vec<_>>>();
    let before = used()?;
    sleep(time).await;
    let share = |(before, after): (&Duration, Duration)| {
        100.0 * after.saturating_sub(*before).as_secs_f64() / time.as_secs_f64()
    };
    let shares: Vec<f64> = before.iter().zip(used()?).map(share).collect();
    let megabytes = |of: fn(u32) -> Result<u64>| {
        processes.iter().map(|pid| Ok(of(*pid)? as f64 / 1e6)).collect::<Result<Vec<_>>>()
    };
    let (resident, anonymous) = (megabytes(machine::resident_of)?, megabytes(machine::anonymous_of)?);
    eprintln!("idle: {resident:.1?} MB, {shares:.2?} % of a core in {time:?}");
    let rows = vec![
        Row::new("each of five idle nodes, resident, MB", Wanted::Each(30.0), 1, resident),
        Row::new("– of that no file is behind, MB", Wanted::Nothing, 1, anonymous),
        Row::new("– CPU, % of a core", Wanted::Each(1.0), 2, shares),
    ];
    Ok(Report { rows, notes: Vec::new() })
}
