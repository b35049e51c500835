//! A node that runs: what it says of itself and of its cluster, and the last errors in its log.

use super::report::{Check, Group};
use super::site::Site;
use crate::date;
use crate::directory::Directory;
use crate::duration::show;
use crate::exit::Failure;
use crate::remote::Remote;
use odeon_actors::management::api::{ClusterStatus, GoneSummary, Links, Members, StandingKind, Status};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;

const GROUP: Group = Group::Node;
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// What `up` writes; of a node that others have started nobody knows where its log goes.
const LOG: &str = "log";
/// As much of the end of it is read.
const LOG_BYTES: u64 = 64 << 10;
const LOG_WITHIN: Duration = Duration::from_secs(2);

/// What a node has said.
pub(super) struct Asked {
    status: Result<Status, Failure>,
    pub(super) links: Option<Links>,
    members: Option<Members>,
    cluster: Option<ClusterStatus>,
}

impl Asked {
    /// Asks the node that runs in the directory.
    pub(super) async fn of(site: &Site) -> Option<Self> {
        site.running()?;
        let remote = match Remote::at(&Directory::at(&site.settings.directory)) {
            Ok(remote) => remote,
            Err(failure) => {
                return Some(Self { status: Err(failure), links: None, members: None, cluster: None });
            }
        };
        let (status, links, members, cluster) = tokio::join!(
            timeout(ANSWER_WITHIN, remote.status()),
            timeout(ANSWER_WITHIN, remote.links()),
            timeout(ANSWER_WITHIN, remote.members()),
            timeout(ANSWER_WITHIN, remote.cluster()),
        );
        let silent = |_| {
            Err(Failure::failed(format_args!("it does not answer within {ANSWER_WITHIN:.0?}")).advice(
                "its process is suspended, overloaded, or a handler blocks an executor: its log may name it",
            ))
        };
        Some(Self {
            status: status.unwrap_or_else(silent),
            links: links.ok().and_then(Result::ok).filter(|links| links.node.is_some()),
            members: members.ok().and_then(Result::ok),
            cluster: cluster.ok().and_then(Result::ok),
        })
    }

    /// Makes all checks of what it has said.
    pub(super) async fn check(&self, site: &Site) -> Vec<Check> {
        let status = match &self.status {
            Ok(status) => status,
            Err(failure) => return vec![GROUP.failure("answer", failure.clone())],
        };
        let mut checks = vec![judge_ready(status)];
        checks.extend(self.members.as_ref().map(judge_standing));
        checks.extend(self.cluster.as_ref().map(judge_group));
        let gone = self.members.as_ref().map_or(&[][..], |members| &members.gone);
        checks.extend(self.links.as_ref().map(|links| judge_links(links, gone)));
        let path = site.settings.directory.join(LOG);
        let since = date::now() - Duration::from_millis(status.uptime_ms);
        let read = site.blocking(LOG_WITHIN, move || end_of(&path)).await;
        checks.push(match read {
            Ok(Ok(end)) => judge_log(&end, &date::show(since)),
            _ => {
                GROUP.skipped("log", "it is not in the node's directory: whoever has started the node has it")
            }
        });
        checks
    }
}

fn judge_ready(status: &Status) -> Check {
    let (name, up) = ("ready", show(Duration::from_millis(status.uptime_ms)));
    if status.stopping {
        return GROUP.warning(name, "it is stopping", "wait until it has ended, then start it anew");
    }
    match status.ready {
        true => {
            GROUP.ok(name, format_args!("{} is ready, up for {up}, version {}", status.node, status.version))
        }
        false if status.withheld.is_empty() => GROUP.failed(
            name,
            format_args!("it is not ready, up for {up}"),
            "`odeon tree` shows what it waits for",
        ),
        false => GROUP.failed(name, status.withheld.join("\n"), "the lines below say more of its cluster"),
    }
}

fn judge_standing(members: &Members) -> Check {
    let name = "membership";
    let node = &members.node;
    let reasons = members.reasons.join("; ");
    match (members.standing, members.holds_lease) {
        (StandingKind::Member, true) => GROUP.ok(
            name,
            format_args!("{node} is a member and holds its lease; {} members", members.members.len()),
        ),
        (StandingKind::Member, false) => GROUP.failed(
            name,
            format_args!(
                "{node} holds no lease: it has not heard of the group that agrees on members for seconds"
            ),
            "more than half of the voters have to run and reach each other: `odeon cluster voters`",
        ),
        (StandingKind::Joining, _) => GROUP.failed(
            name,
            format_args!("{node} joins: it waits for {reasons}"),
            "start what it waits for; founders all have to run once, and find each other by `peers`",
        ),
        (StandingKind::Refused, _) => GROUP.failed(
            name,
            format_args!("{node} is refused: {reasons}"),
            "it tries again: put right what is said",
        ),
        (StandingKind::Removed, _) => GROUP.failed(
            name,
            format_args!("{node} is a member no more"),
            "start it anew: it joins by itself",
        ),
        (StandingKind::Left, _) => {
            GROUP.warning(name, format_args!("{node} has left"), "start it anew to join")
        }
    }
}

fn judge_group(cluster: &ClusterStatus) -> Check {
    let name = "cluster group";
    let voters = cluster.replicas.iter().filter(|replica| replica.votes).count();
    let wanted = cluster.voters_wanted.min(cluster.eligible.len());
    match (&cluster.failure, &cluster.leader) {
        (Some(failure), _) => GROUP.failed(
            name,
            format_args!("the replica of this node has ended: {failure}"),
            "look at its disk and its log, and start it anew",
        ),
        (None, None) => GROUP.failed(
            name,
            format_args!("no leader is known here; {voters} voters"),
            "more than half of the voters have to run and reach each other: `odeon cluster voters`",
        ),
        (None, Some(leader)) if voters < wanted => GROUP.warning(
            name,
            format_args!("{leader} leads; {voters} vote, and {wanted} could"),
            "start the nodes that may vote (`eligible`, by default the founders): until then fewer may be lost",
        ),
        (None, Some(leader)) => GROUP.ok(name, format_args!("{leader} leads; {voters} vote")),
    }
}

fn judge_links(links: &Links, gone: &[GoneSummary]) -> Check {
    let name = "links";
    if links.links.is_empty() {
        return GROUP.skipped(name, "no other node was met yet");
    }
    // who is known to be dead has no link and needs none, and others hear of one that has left for a while
    let is_gone = |node: &str| gone.iter().any(|gone| format!("{}@{}", gone.name, gone.incarnation) == node);
    let down: Vec<&str> = links
        .links
        .iter()
        .filter(|link| !link.connected && link.liveness == "alive" && !is_gone(&link.node))
        .map(|link| link.node.as_str())
        .collect();
    let up = links.links.iter().filter(|link| link.connected).count();
    match down.is_empty() {
        true => GROUP.ok(name, format_args!("{up} up")),
        false => GROUP.warning(
            name,
            format_args!("{up} up; down, though others hear of them: {}", down.join(", ")),
            "the way between is broken, or one of both refuses the other: `odeon links` and the logs of both",
        ),
    }
}

/// The end of a file.
fn end_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES)))?;
    let mut end = Vec::new();
    file.take(LOG_BYTES).read_to_end(&mut end)?;
    Ok(String::from_utf8_lossy(&end).into_owned())
}

/// The errors of this start, which began at that time (RFC 3339, UTC).
fn judge_log(end: &str, since: &str) -> Check {
    let name = "log";
    let text = |line: &serde_json::Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let lines = end.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let errors: Vec<(String, String)> = lines
        .filter(|line| line["level"] == "ERROR")
        .map(|line| (text(&line, "timestamp"), text(&line, "message")))
        .filter(|(at, _)| at.as_str() >= since.trim_end_matches('Z'))
        .collect();
    match errors.last() {
        None => GROUP.ok(name, "no errors lately"),
        Some((at, message)) => GROUP.warning(
            name,
            format_args!("{} errors lately, the last one at {at}: {message}", errors.len()),
            "its lines say what to do: they are in the file `log` of the node's directory",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Outcome;
    use super::*;
    use serde_json::json;

    fn members(standing: &str, holds_lease: bool) -> Members {
        let said = json!({
            "node": "north@1", "standing": standing, "reasons": ["the founder south"], "holds_lease": holds_lease,
            "epoch": 3, "level": 1, "members": [],
        });
        serde_json::from_value(said).expect("members")
    }

    #[test]
    fn all_but_a_member_with_a_lease_is_told_of() {
        let outcome = |standing, lease| judge_standing(&members(standing, lease)).outcome;
        assert_eq!(outcome("member", true), Outcome::Ok);
        assert_eq!(outcome("member", false), Outcome::Failed);
        assert_eq!(outcome("refused", false), Outcome::Failed);
        assert_eq!(outcome("removed", false), Outcome::Failed);
        assert_eq!(outcome("left", false), Outcome::Warning);
        let joins = judge_standing(&members("joining", false));
        assert!(
            joins.outcome == Outcome::Failed && joins.found.ends_with("the founder south"),
            "{}",
            joins.found
        );
    }

    #[test]
    fn a_group_needs_a_leader_and_its_voters() {
        let group = |leader: Option<&str>, votes: bool| {
            let replica = json!({ "node": "north", "replica": "1", "votes": votes, "is_member": true });
            let said = json!({
                "node": "north@1", "replica": "1", "role": "follower", "term": 1, "leader": leader,
                "replicas": [replica], "founders": [], "eligible": ["north"], "voters_wanted": 3,
            });
            judge_group(&serde_json::from_value(said).expect("a group")).outcome
        };
        assert_eq!(group(Some("north"), true), Outcome::Ok);
        assert_eq!(group(Some("north"), false), Outcome::Warning);
        assert_eq!(group(None, true), Outcome::Failed);
    }

    #[test]
    fn a_link_that_is_down_is_told_of_while_its_node_is_heard_of_and_has_not_left() {
        let link = |connected: bool, liveness: &str| {
            json!({
                "node": "south@2", "connected": connected, "liveness": liveness, "sent": 0, "handled": 0, "refused": {},
                "expired": 0, "lost": {}, "open": 0, "queued": 0, "queued_bytes": 0, "calls": 0,
            })
        };
        let outcome = |connected, liveness, left: &[u64]| {
            let links = json!({ "uptime_ms": 1, "links": [link(connected, liveness)] });
            let gone = |incarnation: &u64| {
                let gone =
                    json!({ "name": "south", "incarnation": incarnation, "reason": "left", "since": 7 });
                serde_json::from_value(gone).expect("one that has left")
            };
            let gone: Vec<GoneSummary> = left.iter().map(gone).collect();
            judge_links(&serde_json::from_value(links).expect("links"), &gone).outcome
        };
        assert_eq!(outcome(true, "alive", &[]), Outcome::Ok);
        assert_eq!(outcome(false, "dead", &[]), Outcome::Ok);
        assert_eq!(outcome(false, "alive", &[]), Outcome::Warning);
        assert_eq!(outcome(false, "alive", &[1]), Outcome::Warning);
        assert_eq!(outcome(false, "alive", &[2]), Outcome::Ok);
    }

    #[test]
    fn errors_of_this_start_are_told_of_and_others_are_not() {
        let line = |at: &str, level: &str| {
            json!({ "timestamp": at, "level": level, "message": "it broke" }).to_string()
        };
        let (early, late) = ("2026-11-26T10:00:00.5Z", "2026-11-26T11:00:00.000001Z");
        let log = [line(early, "ERROR"), line(late, "WARN"), "cut off".into()].join("\n");
        let since = "2026-11-26T11:00:00Z";
        assert_eq!(judge_log(&log, since).outcome, Outcome::Ok);
        let log = format!("{log}\n{}", line(late, "ERROR"));
        let check = judge_log(&log, since);
        assert_eq!(check.outcome, Outcome::Warning);
        assert!(
            check.found.starts_with("1 errors lately") && check.found.ends_with("it broke"),
            "{}",
            check.found
        );
    }
}
