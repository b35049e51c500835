//! `links`: the links to other nodes, what became of messages, and how many go each second.

use crate::duration::{self, show};
use crate::exit::{Code, Failure};
use crate::program::Invocation;
use crate::remote::{Remote, Target};
use crate::terminal::{Table, Terminal, Tone};
use clap::Args;
use odeon_actors::management::api::{EarlierMessages, LinkSummary, Links};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::sleep;

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon links
  odeon links --watch
  odeon links --over 10s
  odeon links --over 0s --json | jq '.links[] | select(.connected | not)'";

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Rates are taken over this time; 0s shows none, at once
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration::parse)]
    over: Duration,
    /// Look again and again, until Ctrl-C
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// What is printed as JSON: the node's answer, with rates.
#[derive(Debug, Serialize)]
struct Report<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    links: Vec<Line<'a>>,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    link: &'a LinkSummary,
    #[serde(flatten)]
    rates: Option<Rates>,
}

/// Per second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Rates {
    sent_per_second: f64,
    handled_per_second: f64,
}

/// Prints them.
///
/// # Errors
/// The node cannot be asked, or is in no cluster.
pub(crate) async fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    let remote = Remote::find(&arguments.target)?;
    let terminal = invocation.terminal;
    let mut before = remote.links().await?;
    if before.node.is_none() {
        return Err(Failure::failed("the node is in no cluster: it has no links")
            .advice("start it with --credentials DIR, or a section [cluster] in its configuration"));
    }
    loop {
        let mut now = None;
        // rates of nothing are not worth a wait
        if !arguments.over.is_zero() && !before.links.is_empty() {
            sleep(arguments.over).await;
            now = Some(remote.links().await?);
        }
        let report = Report::of(&before, now.as_ref());
        if arguments.json {
            terminal.json(&report)?;
            return Ok(Code::Done);
        }
        if arguments.watch {
            terminal.clear()?;
        }
        report.print(&terminal)?;
        if !arguments.watch {
            return Ok(Code::Done);
        }
        before = match now {
            Some(now) => now,
            None => {
                sleep(WATCH_EVERY).await;
                remote.links().await?
            }
        };
    }
}

/// How often a watch looks that takes no rates.
const WATCH_EVERY: Duration = Duration::from_secs(1);

impl<'a> Report<'a> {
    /// Of the latest sample, with rates since the earlier one.
    fn of(before: &'a Links, now: Option<&'a Links>) -> Self {
        let latest = now.unwrap_or(before);
        let over = Duration::from_millis(latest.uptime_ms.saturating_sub(before.uptime_ms));
        let line = |link: &'a LinkSummary| {
            let earlier = before.links.iter().find(|earlier| earlier.node == link.node);
            Line { link, rates: earlier.and_then(|earlier| Rates::between(earlier, link, over)) }
        };
        Self {
            node: latest.node.as_deref(),
            address: latest.address.as_deref(),
            links: latest.links.iter().map(line).collect(),
        }
    }

    fn print(&self, terminal: &Terminal) -> Result<(), Failure> {
        let (node, address) = (self.node.unwrap_or_default(), self.address.unwrap_or_default());
        let node = terminal.paint(Tone::Strong, node);
        if self.links.is_empty() {
            return Ok(terminal
                .line(format_args!("{node} listens on {address} (UDP). No other node was met yet."))?);
        }
        terminal.line(format_args!("{node} listens on {address} (UDP)."))?;
        terminal.table(&self.table())?;
        for Line { link, .. } in &self.links {
            if let Some(earlier) = &link.earlier {
                terminal.line(told_of(&link.node, earlier))?;
            }
            let gossip = BTreeMap::from([
                ("no-room-or-connection".into(), link.gossip_dropped),
                ("unreadable".into(), link.gossip_bad),
            ]);
            let gossip = gossip.into_iter().filter(|(_, count)| *count > 0).collect();
            for (what, reasons) in
                [("refused", &link.refused), ("lost", &link.lost), ("gossip dropped", &gossip)]
            {
                if !reasons.is_empty() {
                    let text = format!("{}: {what} {}", link.node, by_reason(reasons));
                    terminal.line(terminal.paint(Tone::Warning, text))?;
                }
            }
        }
        Ok(())
    }

    fn table(&self) -> Table {
        let mut table = Table::new().text("peer").text("address").text("state").text("gossip");
        for number in ["sent/s", "handled/s", "sent", "handled", "refused", "expired", "lost", "open"] {
            table = table.number(number);
        }
        table = table.number("queued").number("bytes").number("calls").number("watches").number("rtt");
        for Line { link, rates } in &self.links {
            let rate =
                |read: fn(&Rates) -> f64| rates.as_ref().map_or_else(|| "-".into(), |r| per_second(read(r)));
            let round_trip = link.round_trip_us.map(Duration::from_micros).map(show);
            table.push([
                link.node.clone(),
                link.address.clone().unwrap_or_else(|| "-".into()),
                match (link.connected, link.suspect_ms, link.suspects_us) {
                    (true, Some(_), _) => "silent",
                    (true, None, true) => "deaf",
                    (true, None, false) => "up",
                    (false, ..) => "down",
                }
                .into(),
                link.liveness.clone(),
                rate(|r| r.sent_per_second),
                rate(|r| r.handled_per_second),
                link.sent.to_string(),
                link.handled.to_string(),
                total(&link.refused).to_string(),
                link.expired.to_string(),
                total(&link.lost).to_string(),
                link.open.to_string(),
                link.queued.to_string(),
                link.queued_bytes.to_string(),
                link.calls.to_string(),
                link.watches.to_string(),
                round_trip.unwrap_or_else(|| "-".into()),
            ]);
        }
        table
    }
}

impl Rates {
    /// None: no time has passed, or counting began anew in between.
    fn between(earlier: &LinkSummary, later: &LinkSummary, over: Duration) -> Option<Self> {
        let rate = |from: u64, to: u64| {
            let more = to.checked_sub(from)?;
            (!over.is_zero()).then(|| more as f64 / over.as_secs_f64())
        };
        Some(Self {
            sent_per_second: rate(earlier.sent, later.sent)?,
            handled_per_second: rate(earlier.handled, later.handled)?,
        })
    }
}

/// `north@2: of 12 messages to earlier incarnations 9 were handled; lost: 3 link`.
fn told_of(node: &str, earlier: &EarlierMessages) -> String {
    let EarlierMessages { sent, handled, refused, expired, lost } = earlier;
    let mut text = format!("{node}: of {sent} messages to earlier incarnations {handled} were handled");
    if *expired > 0 {
        text += &format!("; expired: {expired}");
    }
    for (what, reasons) in [("refused", refused), ("lost", lost)] {
        if !reasons.is_empty() {
            text += &format!("; {what}: {}", by_reason(reasons));
        }
    }
    text
}

fn total(reasons: &BTreeMap<String, u64>) -> u64 {
    reasons.values().sum()
}

/// `3 mailbox-full, 1 unknown-method`.
fn by_reason(reasons: &BTreeMap<String, u64>) -> String {
    reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect::<Vec<_>>().join(", ")
}

fn per_second(rate: f64) -> String {
    if rate >= 100.0 || rate == 0.0 { format!("{rate:.0}") } else { format!("{rate:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(uptime_ms: u64, node: &str, sent: u64) -> Links {
        let link = LinkSummary {
            node: node.into(),
            address: Some("127.0.0.1:7000".into()),
            connected: true,
            has_dialed: false,
            sent,
            handled: sent / 2,
            refused: BTreeMap::from([("mailbox-full".into(), 2), ("stopped".into(), 1)]),
            expired: 0,
            lost: BTreeMap::new(),
            open: 0,
            earlier: None,
            queued: 0,
            queued_bytes: 0,
            calls: 0,
            watches: 0,
            round_trip_us: Some(120),
            suspect_ms: None,
            suspects_us: false,
            suspected_by: Vec::new(),
            liveness: "alive".into(),
            gossip_sent: 7,
            gossip_dropped: 0,
            gossip_bad: 0,
        };
        Links {
            node: Some("north@1".into()),
            address: None,
            uptime_ms,
            gossip_to_strangers: 0,
            links: vec![link],
        }
    }

    fn rates(before: &Links, now: &Links) -> Option<(f64, f64)> {
        let rates = Report::of(before, Some(now)).links[0].rates;
        rates.map(|rates| (rates.sent_per_second, rates.handled_per_second))
    }

    #[test]
    fn rates_are_of_the_time_between_two_answers() {
        let first = sample(1_000, "south@1", 100);
        assert_eq!(rates(&first, &sample(3_000, "south@1", 500)), Some((200.0, 100.0)));
        assert_eq!(rates(&first, &sample(1_000, "south@1", 500)), None, "no time has passed");
        assert_eq!(rates(&first, &sample(3_000, "south@1", 50)), None, "the session began anew");
        assert_eq!(rates(&first, &sample(3_000, "south@2", 500)), None, "the peer began anew");
        assert_eq!(Report::of(&first, None).links[0].rates, None);
    }

    #[test]
    fn what_became_of_messages_to_earlier_incarnations_is_told() {
        let mut earlier = EarlierMessages {
            sent: 12,
            handled: 8,
            refused: BTreeMap::new(),
            expired: 0,
            lost: BTreeMap::from([("link".into(), 4)]),
        };
        let before = "north@2: of 12 messages to earlier incarnations 8 were handled";
        assert_eq!(told_of("north@2", &earlier), format!("{before}; lost: 4 link"));
        (earlier.expired, earlier.lost) = (4, BTreeMap::new());
        assert_eq!(told_of("north@2", &earlier), format!("{before}; expired: 4"));
    }

    #[test]
    fn reasons_are_told_with_their_counts() {
        let links = sample(0, "south@1", 0);
        assert_eq!(by_reason(&links.links[0].refused), "2 mailbox-full, 1 stopped");
        assert_eq!(total(&links.links[0].refused), 3);
        assert_eq!(
            (per_second(0.0), per_second(2.25), per_second(1234.5)),
            ("0".into(), "2.2".into(), "1234".into())
        );
    }
}
