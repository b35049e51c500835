//! One of three nodes is killed while callers go on at the other two: when its keys answer again, what became of
//! requests, and when the others notice. `up` starts it again.

use super::Settings;
use super::ledger::{Outcomes, first_answer, gap_longest};
use super::node::Node;
use super::report::{Report, Row, Wanted};
use super::started::Up;
use super::turns::{Turn, Turns, went};
use super::watch::Watch;
use crate::time::Stopwatch;
use anyhow::{Context, Result};
use std::time::Duration;
use tokio::time::{sleep, timeout};

const NODES: usize = 3;
/// Keys answer again within this time.
const AGAIN_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks at whether they do.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// `up` gives up a node that has ended three times within 10 s of its start: none is killed that early.
const LIVED_MIN: Duration = Duration::from_secs(12);
/// Callers go on for so long when all is over.
const AFTERWARDS: Duration = Duration::from_secs(1);

/// What all kills gave.
#[derive(Debug, Default)]
pub struct Kills {
    turns: Turns,
    /// Of nodes that led the cluster group.
    leaders: usize,
    /// Of others.
    followers: usize,
    /// Until keys of the killed node answer.
    again: Vec<Duration>,
    /// The longest time without an answer of keys of the others.
    others: Vec<Duration>,
    /// Until others go round it.
    avoided: Vec<Duration>,
    /// How many of these have said that they suspect it.
    suspected: usize,
    /// Until it is a member no more at others.
    removed: Vec<Duration>,
    /// Requests to its keys that were under way when it was killed.
    under_way: Outcomes,
    /// Requests to its keys that began later.
    later: Outcomes,
    /// Requests to keys of other nodes that ended after it was killed.
    elsewhere: Outcomes,
}

/// Kills nodes in turn.
///
/// # Errors
/// There is no cluster to begin with.
pub async fn kills(settings: &Settings) -> Result<Kills> {
    let up = Up::start(&settings.daemon, NODES).await?;
    let mut kills = Kills::default();
    for round in 0..settings.rounds {
        let result = kills.one(&up, round).await;
        if !went(settings, round, &result) {
            break;
        }
    }
    Ok(kills)
}

impl Kills {
    /// Gives what a person who waits may want to read.
    async fn one(&mut self, up: &Up, round: usize) -> Result<String> {
        up.until_whole().await?;
        let at = self.turns.next(&up.nodes).await?;
        let (killed, others): (&Node, Vec<&Node>) =
            (&up.nodes[at], up.nodes.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, n)| n).collect());
        let lived = killed.console()?.uptime().await?;
        sleep(LIVED_MIN.saturating_sub(lived)).await;
        let mut called = Vec::new();
        for node in &others {
            called.push(node.whereabouts()?.http);
        }
        let clock = Stopwatch::start();
        let turn = Turn::begin(&up.nodes, at, &called, round, clock).await?;
        let mut watches = Vec::new();
        for node in &others {
            watches.push(Watch::begin(node, killed, clock).await?);
        }
        // it dies between the two
        let before = clock.elapsed();
        killed.kill().await?;
        let after = clock.elapsed();
        let answer_again = async {
            while !turn.callers.all(turn.concerned.iter(), |seen| first_answer(seen, after).is_some()) {
                sleep(LOOK_EVERY).await;
            }
        };
        timeout(AGAIN_WITHIN, answer_again)
            .await
            .context("keys of the killed node do not answer any more")?;
        let mut noticed = Vec::new();
        for watch in watches {
            noticed.push(watch.noticed().await?);
        }
        sleep(AFTERWARDS).await;
        let (end, led) = (clock.elapsed(), turn.led);
        let (seen, concerned) = turn.end(called[0], true).await?;

        let mut again = Vec::new();
        for (key, attempts) in &seen {
            if concerned.contains(key) {
                let first = first_answer(attempts, after).context("it has answered")?;
                again.push(first.saturating_sub(before));
                self.under_way +=
                    Outcomes::of(attempts.iter().filter(|a| a.began <= after && a.ended > before));
                self.later += Outcomes::of(attempts.iter().filter(|a| a.began > after));
            } else {
                self.others.push(gap_longest(attempts, before, end));
                self.elsewhere += Outcomes::of(attempts.iter().filter(|a| a.ended > before));
            }
        }
        for seen in &noticed {
            self.avoided.push(seen.avoided.saturating_sub(before));
            self.removed.push(seen.removed.saturating_sub(before));
            self.suspected += usize::from(seen.suspected);
        }
        *(if led { &mut self.leaders } else { &mut self.followers }) += 1;
        let (last, gone) = (again.iter().max().copied(), self.removed.last().copied());
        let what = if led { "the leader" } else { "another one" };
        let said = format!(
            "{} was killed, {what}; its {} keys answer again in {:.2?}, removed in {:.2?}",
            killed.name,
            again.len(),
            last.unwrap_or_default(),
            gone.unwrap_or_default()
        );
        self.again.extend(again);
        Ok(said)
    }

    /// How callers fared.
    pub fn of_callers(&self) -> Report {
        let mut report = Report::default();
        report.rows.push(Row::seconds(
            "keys of a killed node: until the first answer, s",
            Wanted::P99(5.0),
            &self.again,
        ));
        report.rows.push(Row::milliseconds(
            "– keys of the others: longest time without an answer, ms",
            Wanted::Nothing,
            &self.others,
        ));
        let kills = format!("{} of the leader, {} of others", self.leaders, self.followers);
        report.note("kills", kills);
        report.note("requests to its keys under way at the kill", self.under_way.to_string());
        report.note("requests to its keys that began later", self.later.to_string());
        report.note("requests to keys of the others since then", self.elsewhere.to_string());
        report
    }

    /// When others noticed.
    pub fn of_others(&self) -> Report {
        let mut report = Report::default();
        let avoided = "a killed node: until another one suspects it, s";
        if self.suspected > 0 {
            report.rows.push(Row::seconds(avoided, Wanted::P99(2.0), &self.avoided));
        } else {
            report.rows.push(Row::seconds(avoided, Wanted::P99(2.0), &[]));
            let no_link =
                "– until another one has no link to it, s (the program does not tell what it suspects)";
            report.rows.push(Row::seconds(no_link, Wanted::Nothing, &self.avoided));
        }
        report.rows.push(Row::seconds(
            "– until it is a member no more at another one, s",
            Wanted::Nothing,
            &self.removed,
        ));
        let (suspected, all) = (self.suspected, self.avoided.len());
        report.note(
            "nodes that suspected the killed one before they lost the link",
            format!("{suspected} of {all}"),
        );
        report
    }
}
