//! What the rounds of `crash` and `handoff` share: whose turn it is, callers at work on keys that every node has some
//! of, and what the counters say in the end.

use super::Settings;
use super::callers::{Callers, Seen, total};
use super::ledger::{answers, check};
use super::node::Node;
use crate::time::Stopwatch;
use anyhow::{Context, Result, bail};
use odeon_actors::management::api::MemberRole;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Keys that are called in a round, each by a caller of its own. Each round has keys of its own.
const KEYS: usize = 30;
/// Each node has so many of them before something happens to one.
const KEYS_EACH_MIN: usize = 4;
/// Each of them has been answered so often before: enough for what is usual.
const ANSWERS_MIN: usize = 100;
/// Until then it takes less than this.
const SPREAD_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Whose turn it is: every third time whoever leads, else the other one that has waited for longer.
#[derive(Debug, Default)]
pub struct Turns {
    /// Those who had theirs, the last one last.
    had: Vec<String>,
    count: usize,
}

impl Turns {
    /// The index of the next one.
    ///
    /// # Errors
    /// Nobody leads.
    pub async fn next(&mut self, nodes: &[Node]) -> Result<usize> {
        let leader = leader(nodes).await?;
        let waited = |node: &Node| self.had.iter().position(|had| *had == node.name).map_or(0, |at| at + 1);
        let of_others = (0..nodes.len()).filter(|at| *at != leader).min_by_key(|at| waited(&nodes[*at]));
        let turn = if self.count.is_multiple_of(3) { leader } else { of_others.unwrap_or(leader) };
        self.count += 1;
        self.had.retain(|had| *had != nodes[turn].name);
        self.had.push(nodes[turn].name.clone());
        Ok(turn)
    }
}

/// The index of the node that leads the cluster group, as all nodes say.
async fn leader(nodes: &[Node]) -> Result<usize> {
    let agreed = async {
        loop {
            let mut said = BTreeSet::new();
            for node in nodes {
                let members = node.console()?.members().await?.members;
                said.insert(members.into_iter().find(|m| m.role == MemberRole::Leader).map(|m| m.name));
            }
            if let [Some(leader)] = Vec::from_iter(said).as_slice() {
                return nodes.iter().position(|node| node.name == *leader).context("a stranger leads");
            }
            sleep(LOOK_EVERY).await;
        }
    };
    timeout(SPREAD_WITHIN, agreed).await.context("nobody leads")?
}

/// A round under load.
#[derive(Debug)]
pub struct Turn {
    /// Whoever calls.
    pub callers: Callers,
    /// All keys.
    pub keys: Vec<String>,
    /// Those that the node had whose turn it is.
    pub concerned: BTreeSet<String>,
    /// It led.
    pub led: bool,
}

impl Turn {
    /// Lets callers begin at some of the nodes, and waits until each node has enough of their keys and each key was
    /// answered often enough.
    ///
    /// # Errors
    /// That does not become so.
    pub async fn begin(
        nodes: &[Node],
        turn: usize,
        called: &[SocketAddr],
        round: usize,
        clock: Stopwatch,
    ) -> Result<Self> {
        let keys: Vec<String> = (0..KEYS).map(|key| format!("round-{round}-key-{key}")).collect();
        let callers = Callers::start(&keys, called, clock);
        let spread = async {
            while !callers.all(keys.iter(), |seen| answers(seen) >= ANSWERS_MIN) {
                sleep(LOOK_EVERY).await;
            }
            loop {
                let mut had = Vec::new();
                for node in nodes {
                    had.push(node.console()?.keys(&keys).await?);
                }
                let all = had.iter().map(BTreeSet::len).sum::<usize>();
                if all == KEYS && had.iter().all(|keys| keys.len() >= KEYS_EACH_MIN) {
                    return Ok::<_, anyhow::Error>(had.swap_remove(turn));
                }
                sleep(LOOK_EVERY).await;
            }
        };
        let spread = timeout(SPREAD_WITHIN, spread).await;
        let concerned = spread.context("the keys are not spread over all nodes")??;
        let led = leader(nodes).await? == turn;
        Ok(Self { callers, keys, concerned, led })
    }

    /// Ends the callers and asks a node what the counters say.
    ///
    /// # Errors
    /// One has not counted what it should. Those that were concerned may have begun anew, if that is so.
    pub async fn end(self, asked: SocketAddr, may_begin_anew: bool) -> Result<(Seen, BTreeSet<String>)> {
        let Self { callers, concerned, .. } = self;
        let seen = callers.stop().await?;
        let mut wrong = Vec::new();
        for (key, attempts) in &seen {
            let total = total(asked, key).await?;
            if let Err(problem) = check(key, attempts, total, may_begin_anew && concerned.contains(key)) {
                wrong.push(problem.to_string());
            }
        }
        if !wrong.is_empty() {
            bail!("{}", wrong.join("; "));
        }
        Ok((seen, concerned))
    }
}

/// Says how a round went; gives whether the next one makes sense.
pub fn went(settings: &Settings, round: usize, result: &Result<String>) -> bool {
    match result {
        Ok(text) => eprintln!("round {} of {}: {text}", round + 1, settings.rounds),
        Err(problem) => eprintln!("round {} of {} NOT MEASURED: {problem:#}", round + 1, settings.rounds),
    }
    result.is_ok()
}
