//! One of three nodes is stopped in order while callers go on at all of them: how long its keys are silent beyond what
//! is usual, and whether a request fails. It is started again for the next round.

use super::Settings;
use super::ledger::{Outcomes, gap_longest, gap_usual};
use super::report::{Report, Row, Wanted};
use super::started::Own;
use super::turns::{Turn, Turns, went};
use crate::time::Stopwatch;
use anyhow::Result;
use std::time::Duration;
use tokio::time::sleep;

const NODES: usize = 3;
/// Callers go on for so long when the node has stopped.
const AFTERWARDS: Duration = Duration::from_secs(1);

/// What all stops gave.
#[derive(Debug, Default)]
struct Stops {
    turns: Turns,
    leaders: usize,
    others: usize,
    /// How long each stop took.
    took: Vec<Duration>,
    /// What keys that moved waited beyond what is usual.
    moved: Vec<Duration>,
    /// The same for keys that stayed where they were.
    stayed: Vec<Duration>,
    /// The median time between two answers.
    usual: Vec<Duration>,
    outcomes: Outcomes,
}

/// Stops nodes in turn.
///
/// # Errors
/// There is no cluster to begin with.
pub async fn handoff(settings: &Settings) -> Result<Report> {
    let mut cluster = Own::prepare(&settings.daemon, NODES)?;
    cluster.start_all()?;
    let mut stops = Stops::default();
    for round in 0..settings.rounds {
        let result = stops.one(&mut cluster, settings, round).await;
        if !went(settings, round, &result) {
            break;
        }
    }
    Ok(stops.report())
}

impl Stops {
    /// Gives what a person who waits may want to read.
    async fn one(&mut self, cluster: &mut Own, settings: &Settings, round: usize) -> Result<String> {
        cluster.until_whole().await?;
        let at = self.turns.next(&cluster.nodes).await?;
        let mut called = Vec::new();
        for node in &cluster.nodes {
            called.push(node.whereabouts()?.http);
        }
        let clock = Stopwatch::start();
        let turn = Turn::begin(&cluster.nodes, at, &called, round, clock).await?;
        let begun = clock.elapsed();
        cluster.nodes[at].stop(&settings.daemon).await?;
        let took = clock.elapsed() - begun;
        sleep(AFTERWARDS).await;
        let (end, led) = (clock.elapsed(), turn.led);
        let (seen, concerned) = turn.end(called[(at + 1) % NODES], false).await?;
        cluster.start(at)?;

        for (key, attempts) in &seen {
            let usual = gap_usual(attempts, begun);
            let waited = gap_longest(attempts, begun, end).saturating_sub(usual);
            self.usual.push(usual);
            if concerned.contains(key) { &mut self.moved } else { &mut self.stayed }.push(waited);
            self.outcomes += Outcomes::of(attempts.iter().filter(|attempt| attempt.ended > begun));
        }
        self.took.push(took);
        *(if led { &mut self.leaders } else { &mut self.others }) += 1;
        let recent = &self.moved[self.moved.len() - concerned.len()..];
        let most = recent.iter().max().copied().unwrap_or_default();
        let what = if led { "the leader" } else { "another one" };
        Ok(format!(
            "{} was stopped in {took:.2?}, {what}; its {} keys were silent for {most:.1?} more than usual",
            cluster.nodes[at].name,
            recent.len()
        ))
    }

    fn report(&self) -> Report {
        let mut report = Report::default();
        report.rows.push(Row::milliseconds(
            "keys of a node that stops in order: longest wait beyond the usual, ms",
            Wanted::P99(50.0),
            &self.moved,
        ));
        report.rows.push(Row::milliseconds("– keys of the others, ms", Wanted::Nothing, &self.stayed));
        report.rows.push(Row::milliseconds(
            "– usual time between two answers, ms",
            Wanted::Nothing,
            &self.usual,
        ));
        report.rows.push(Row::seconds("– the stop, s", Wanted::Nothing, &self.took));
        report.note("stops in order", format!("{} of the leader, {} of others", self.leaders, self.others));
        let failures = match self.outcomes.failures() {
            0 => "none failed, as wanted".to_owned(),
            count => format!("{count} FAILED, none was wanted"),
        };
        report.note("requests since then", format!("{failures}; {}", self.outcomes));
        report
    }
}
