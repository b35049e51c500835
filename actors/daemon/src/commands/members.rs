//! `members`: who is in the cluster, who was, and what this node is to it.

use crate::date;
use crate::duration::show;
use crate::exit::{Code, Failure};
use crate::program::Invocation;
use crate::remote::{Remote, Target};
use crate::terminal::{Table, Terminal, Tone};
use clap::Args;
use odeon::core::membership::MemberState;
use odeon_actors::management::api::{MemberRole, MemberSummary, Members, StandingKind};
use std::time::{Duration, UNIX_EPOCH};
use tokio::time::sleep;

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon members
  odeon members --watch
  odeon members --json | jq -r '.members[] | select(.state == \"up\") | .name'";

/// How often a watch looks.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Look again and again, until Ctrl-C
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Prints them.
///
/// # Errors
/// The node cannot be asked, or has no cluster group.
pub(crate) async fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    let remote = Remote::find(&arguments.target)?;
    let terminal = invocation.terminal;
    loop {
        let members = remote.members().await?;
        if arguments.json {
            terminal.json(&members)?;
            return Ok(Code::Done);
        }
        if arguments.watch {
            terminal.clear()?;
        }
        print(&terminal, &members)?;
        if !arguments.watch {
            return Ok(Code::Done);
        }
        sleep(WATCH_EVERY).await;
    }
}

fn print(terminal: &Terminal, members: &Members) -> Result<(), Failure> {
    let node = terminal.paint(Tone::Strong, &members.node);
    let colon = if members.reasons.is_empty() { "." } else { ":" };
    terminal.line(format_args!("{node} {}{colon}", standing(terminal, members)))?;
    for reason in &members.reasons {
        terminal.line(format_args!("  {}", terminal.paint(Tone::Warning, reason)))?;
    }
    if members.epoch == 0 {
        return Ok(terminal.line("It has not heard of any members yet.")?);
    }
    terminal.line(format_args!("Members of epoch {}, feature level {}:", members.epoch, members.level))?;
    terminal.table(&table(members))?;
    for member in &members.members {
        if let Some(suspicion) = suspicion(members, member) {
            terminal.line(terminal.paint(Tone::Warning, suspicion))?;
        }
    }
    if !members.gone.is_empty() {
        terminal.line("\nMembers no more:")?;
        let mut gone = Table::new().text("node").text("why").text("since");
        for node in &members.gone {
            let name = format!("{}@{}", node.name, node.incarnation);
            gone.push([name, node.reason.to_string(), since(node.since_ms)]);
        }
        terminal.table(&gone)?;
    }
    Ok(())
}

/// How the node stands to its cluster, for people.
fn standing(terminal: &Terminal, members: &Members) -> String {
    match (members.standing, members.holds_lease) {
        (StandingKind::Joining, _) => terminal.paint(Tone::Warning, "joins the cluster. It waits for"),
        (StandingKind::Refused, _) => terminal.paint(Tone::Bad, "is refused and tries again, because"),
        (StandingKind::Member, true) => terminal.paint(Tone::Good, "is a member and holds its lease"),
        (StandingKind::Member, false) => terminal
            .paint(Tone::Bad, "was a member when it last heard of the cluster group; it holds no lease"),
        (StandingKind::Removed, _) => terminal.paint(
            Tone::Bad,
            "is a member no more: others have its work. It comes back as its next incarnation",
        ),
        (StandingKind::Left, _) => terminal.paint(Tone::Warning, "has left"),
    }
}

fn table(members: &Members) -> Table {
    let mut table = Table::new().text("node").text("state").text("group").text("address").text("host");
    table = table.text("zone").text("version").number("services").text("since");
    for member in &members.members {
        table.push([
            format!("{}@{}", member.name, member.incarnation),
            match member.state {
                MemberState::Up if is_suspect(member) => "suspect",
                MemberState::Up => "up",
                MemberState::Draining => "draining",
            }
            .into(),
            role(member.role).into(),
            member.address.clone(),
            member.host.clone(),
            if member.zone.is_empty() { "-".into() } else { member.zone.clone() },
            member.version.clone(),
            member.services.len().to_string(),
            since(member.since_ms),
        ]);
    }
    table
}

/// A time of day, for people.
fn since(ms: u64) -> String {
    match ms {
        0 => "-".into(),
        ms => date::show(UNIX_EPOCH + Duration::from_millis(ms)),
    }
}

fn is_suspect(member: &MemberSummary) -> bool {
    member.suspect_ms.is_some() || !member.suspected_by.is_empty()
}

/// Who suspects a member, for people: it stays one as long as it renews its lease.
fn suspicion(members: &Members, member: &MemberSummary) -> Option<String> {
    if !is_suspect(member) {
        return None;
    }
    let own = member.suspect_ms.map(|ms| {
        let (name, _) = members.node.split_once('@').unwrap_or((&members.node, ""));
        format!("{name} (for {})", show(Duration::from_millis(ms)))
    });
    let by: Vec<String> = own.into_iter().chain(member.suspected_by.iter().cloned()).collect();
    let (name, incarnation) = (&member.name, member.incarnation);
    Some(format!("{name}@{incarnation} is suspect: nothing comes from it to {}", by.join(", ")))
}

fn role(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Leader => "leader",
        MemberRole::Voter => "voter",
        MemberRole::Learner => "learner",
        MemberRole::None => "-",
    }
}
