//! What the other nodes notice of one that has died, and when: each is asked again and again.

use super::node::{Console, Link, Node};
use crate::time::Stopwatch;
use anyhow::{Context, Result, ensure};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Between two questions of a kind to a node.
const ASK_EVERY: Duration = Duration::from_millis(10);
/// All notice within this time.
const NOTICED_WITHIN: Duration = Duration::from_secs(30);

/// When one node has noticed that another one had died.
#[derive(Clone, Copy, Debug)]
pub struct Noticed {
    /// It suspects the other one, or has no connection to it any more: it prefers others.
    pub avoided: Duration,
    /// Its links said that they suspect. Programs that do not tell have nothing but the connection.
    pub suspected: bool,
    /// The other one is a member no more.
    pub removed: Duration,
}

/// Begins to ask a node about another one, which runs yet.
#[derive(Debug)]
pub struct Watch {
    links: JoinHandle<Result<(Duration, bool)>>,
    members: JoinHandle<Result<Duration>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.links.abort();
        self.members.abort();
    }
}

impl Watch {
    /// Begins.
    ///
    /// # Errors
    /// The node cannot be asked, or thinks already that the other one has died.
    pub async fn begin(by: &Node, of: &Node, clock: Stopwatch) -> Result<Self> {
        let (mut links, mut members) = (by.console()?, by.console()?);
        let who = members.members().await?.members.into_iter().find(|member| member.name == of.name);
        let who = who.with_context(|| format!("{} does not know {}", by.name, of.name))?;
        let (name, incarnation) = (who.name, who.incarnation);
        let peer = format!("{name}@{incarnation}");
        ensure!(avoids(&links.links().await?, &peer).is_none(), "{} avoids {peer} already", by.name);
        let until_avoided = async move { until_avoided(&mut links, &peer, clock).await };
        let until_removed = async move {
            let mut asks = asks();
            loop {
                asks.tick().await;
                let seen = members.members().await?.members;
                if !seen.iter().any(|member| member.name == name && member.incarnation == incarnation) {
                    return Ok(clock.elapsed());
                }
            }
        };
        Ok(Self { links: tokio::spawn(until_avoided), members: tokio::spawn(until_removed) })
    }

    /// Waits until the node has noticed.
    ///
    /// # Errors
    /// It does not, or could not be asked.
    pub async fn noticed(mut self) -> Result<Noticed> {
        let both = async { tokio::try_join!(&mut self.links, &mut self.members) };
        let (avoided, removed) = timeout(NOTICED_WITHIN, both).await.context("nobody notices")??;
        let ((avoided, suspected), removed) = (avoided?, removed?);
        Ok(Noticed { avoided, suspected, removed })
    }
}

fn asks() -> tokio::time::Interval {
    let mut asks = interval(ASK_EVERY);
    asks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    asks
}

async fn until_avoided(links: &mut Console, peer: &str, clock: Stopwatch) -> Result<(Duration, bool)> {
    let mut asks = asks();
    loop {
        asks.tick().await;
        if let Some(suspected) = avoids(&links.links().await?, peer) {
            return Ok((clock.elapsed(), suspected));
        }
    }
}

/// Whether a node goes round a peer, by these links of it, and whether it says that it suspects it.
fn avoids(links: &[Link], peer: &str) -> Option<bool> {
    let link = links.iter().find(|link| link.node == peer);
    let suspects = link.is_some_and(|link| link.suspect_ms.is_some());
    (suspects || link.is_none_or(|link| !link.connected)).then_some(suspects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_avoided_that_is_suspected_or_not_connected() {
        let read = |text: &str| serde_json::from_str::<Link>(text).expect("a link");
        let [up, down, suspected] = [
            r#"{"node":"two@1","connected":true,"sent":3}"#,
            r#"{"node":"two@1","connected":false,"suspect_ms":null}"#,
            r#"{"node":"two@1","connected":true,"suspect_ms":120}"#,
        ];
        for (link, expected) in [(up, None), (down, Some(false)), (suspected, Some(true))] {
            assert_eq!(avoids(&[read(link)], "two@1"), expected, "{link}");
        }
        assert_eq!(avoids(&[read(up)], "two@2"), Some(false));
    }
}
