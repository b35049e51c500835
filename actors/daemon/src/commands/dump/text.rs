//! A dump for people: what is wrong first, what has happened last at the end. Sections of which there is nothing are
//! left out.

use crate::date;
use crate::duration::show;
use crate::shown;
use crate::terminal::{Table, Terminal, Tone};
use odeon_actors::management::api::inside::{
    CellName, ExecutorDump, Listed, PeerDump, StuckDump, WindowDump,
};
use odeon_actors::management::api::{Dump, Members, StandingKind};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Of a cell with a longer key the middle is not shown.
const CELL_CHARACTERS_MAX: usize = 64;

/// All of it, line by line.
pub(crate) fn of(dump: &Dump, terminal: Terminal) -> Vec<String> {
    let mut page = Page { terminal, lines: Vec::new() };
    page.head(dump);
    page.executors(dump);
    page.stuck(dump);
    page.queues(dump);
    page.services(dump);
    page.tasks(dump);
    page.peers(dump);
    page.lines(dump);
    page.disk(dump);
    page.events(dump);
    page.lines
}

struct Page {
    terminal: Terminal,
    lines: Vec<String>,
}

fn time(ms: u64) -> String {
    show(Duration::from_millis(ms))
}

/// `-`, if there is none.
fn or_dash(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

fn cell(cell: &CellName) -> String {
    cell.key.as_ref().map_or_else(|| format!("#{}", cell.cell), |key| shown::within(key, CELL_CHARACTERS_MAX))
}

/// `critical 2, normal 40`
fn counts<N: Display>(counts: &BTreeMap<String, N>) -> String {
    let counts: Vec<String> = counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
    if counts.is_empty() { "-".into() } else { counts.join(", ") }
}

impl Page {
    fn line(&mut self, text: impl Into<String>) {
        self.lines.push(text.into());
    }

    fn section(&mut self, title: impl Display) {
        self.line("");
        self.line(self.terminal.paint(Tone::Strong, format_args!("{title}:")));
    }

    fn table(&mut self, table: &Table) {
        self.lines.extend(table.lines(&self.terminal));
    }

    fn more<T>(&mut self, listed: &Listed<T>) {
        if listed.unlisted > 0 {
            self.line(format!("and {} more", listed.unlisted));
        }
    }

    fn head(&mut self, dump: &Dump) {
        let status = &dump.status;
        let state = match (status.stopping, status.ready) {
            (true, _) => self.terminal.paint(Tone::Warning, "stopping"),
            (false, true) => self.terminal.paint(Tone::Good, "ready"),
            (false, false) => self.terminal.paint(Tone::Bad, "not ready"),
        };
        let node = dump.identity.as_ref().unwrap_or(&status.node);
        let mut rows = vec![
            ("node", format!("{} {state}", self.terminal.paint(Tone::Strong, node))),
            ("taken", date::show(taken(dump, 0))),
            ("uptime", time(status.uptime_ms)),
            ("version", status.version.clone()),
        ];
        rows.extend(dump.artifact.as_ref().map(|digest| ("program", digest.clone())));
        rows.extend(status.resident_bytes.map(|bytes| ("memory", format!("{:.1} MB", bytes as f64 / 1e6))));
        rows.extend(status.withheld.iter().map(|why| ("not ready", self.terminal.paint(Tone::Bad, why))));
        rows.extend(dump.links.address.as_ref().map(|address| ("links", format!("{address} (UDP)"))));
        if let Some(gateway) = &status.gateway {
            rows.push(("http", format!("{}, {} connections", gateway.address, gateway.connections)));
        }
        if let Some(members) = &dump.members {
            rows.push(("cluster", self.standing(members)));
            rows.extend(members.reasons.iter().map(|why| ("", self.terminal.paint(Tone::Warning, why))));
        }
        rows.extend(dump.cluster.iter().map(|group| {
            let leader = group.leader.as_deref().unwrap_or("nobody that is known");
            let at = |index: Option<u64>| or_dash(index);
            let (last, committed, applied) = (at(group.last), at(group.committed), at(group.applied));
            let heard = group.quorum_heard_ms.map(|ms| format!(", a majority was heard {} ago", time(ms)));
            let text = format!(
                "{leader} leads in term {}; entries: last {last}, committed {committed}, applied {applied}{}",
                group.term,
                heard.unwrap_or_default()
            );
            ("group", text)
        }));
        for (name, value) in rows {
            let name = self.terminal.paint(Tone::Quiet, format_args!("{name:<9}"));
            self.line(format!("{name}  {value}"));
        }
    }

    fn standing(&self, members: &Members) -> String {
        let (tone, standing) = match (members.standing, members.holds_lease) {
            (StandingKind::Joining, _) => (Tone::Warning, "it joins"),
            (StandingKind::Refused, _) => (Tone::Bad, "it is refused"),
            (StandingKind::Member, true) => (Tone::Good, "a member, and holds its lease"),
            (StandingKind::Member, false) => (Tone::Bad, "a member, and holds no lease"),
            (StandingKind::Removed, _) => (Tone::Bad, "a member no more"),
            (StandingKind::Left, _) => (Tone::Warning, "it has left"),
        };
        let standing = self.terminal.paint(tone, standing);
        format!("{standing}; epoch {}, {} members", members.epoch, members.members.len())
    }

    fn executors(&mut self, dump: &Dump) {
        self.section("Executors");
        let mut table =
            Table::new().text("executor").text("state").text("by").number("tasks").number("woken");
        table = table.number("deadlines").number("overdue").number("late").number("next");
        for executor in &dump.inside.executors {
            let due = &executor.deadlines;
            table.push([
                if executor.control { "control".into() } else { executor.executor.to_string() },
                match executor.answered_us {
                    Some(us) => format!("answered in {}", show(Duration::from_micros(us))),
                    None => "blocked".into(),
                },
                blocker(executor),
                executor.tasks.to_string(),
                executor.woken.to_string(),
                due.pending.to_string(),
                due.overdue.to_string(),
                or_dash(due.overdue_ms.map(time)),
                or_dash(due.next_ms.map(time)),
            ]);
        }
        self.table(&table);
    }

    fn stuck(&mut self, dump: &Dump) {
        let stuck = &dump.inside.stuck;
        if stuck.count() == 0 {
            self.line("\nNo handler blocks its executor, and none has been under way for longer than 1s.");
            return;
        }
        self.section(format_args!("Stuck, or under way for long ({})", stuck.count()));
        let mut table = Table::new().text("service").text("cell").text("method").text("state").number("for");
        table = table.text("deadline").number("waiting");
        for StuckDump { cell: of, method, blocks, for_ms, deadline_ms, waiting } in &stuck.listed {
            table.push([
                of.service.clone(),
                cell(of),
                method.clone(),
                if *blocks { format!("blocks executor {}", of.executor) } else { "waits".into() },
                time(*for_ms),
                or_dash(deadline_ms.map(|left| match left {
                    0.. => format!("in {}", time(left.unsigned_abs())),
                    _ => format!("{} ago", time(left.unsigned_abs())),
                })),
                waiting.to_string(),
            ]);
        }
        self.table(&table);
        self.more(stuck);
    }

    fn queues(&mut self, dump: &Dump) {
        let queues = &dump.inside.queues;
        if queues.count() == 0 {
            return self.line("No mailbox has messages waiting.");
        }
        self.section(format_args!("Mailboxes with messages waiting ({})", queues.count()));
        let mut table =
            Table::new().text("service").text("cell").text("phase").number("waiting").number("most");
        table = table.number("bytes").text("of them").number("senders").number("begun").number("expired");
        table = table.number("lost");
        for queue in &queues.listed {
            table.push([
                queue.cell.service.clone(),
                cell(&queue.cell),
                queue.phase.clone(),
                queue.waiting.to_string(),
                queue.waiting_max.to_string(),
                queue.waiting_bytes.to_string(),
                counts(&queue.by_class),
                queue.senders.to_string(),
                queue.begun.to_string(),
                queue.expired.to_string(),
                queue.lost.to_string(),
            ]);
        }
        self.table(&table);
        self.more(queues);
    }

    fn services(&mut self, dump: &Dump) {
        self.section("Services");
        let mut table = Table::new().text("service").text("activations").number("waiting").number("handled");
        table =
            table.number("expired").number("lost").number("cut short").number("panics").number("restarts");
        table = table.text("refused");
        for service in &dump.inside.services {
            table.push([
                service.service.clone(),
                counts(&service.cells),
                service.waiting.to_string(),
                service.handled.to_string(),
                service.expired.to_string(),
                service.lost.to_string(),
                service.cut_short.to_string(),
                service.panics.to_string(),
                service.restarts.to_string(),
                counts(&service.refused),
            ]);
        }
        self.table(&table);
    }

    fn tasks(&mut self, dump: &Dump) {
        let tasks = &dump.inside.tasks;
        if tasks.count() == 0 {
            return;
        }
        self.section(format_args!("Activations with tasks and timers ({})", tasks.count()));
        let mut table = Table::new().text("service").text("cell").number("tasks");
        for of in &tasks.listed {
            table.push([of.cell.service.clone(), cell(&of.cell), of.tasks.to_string()]);
        }
        self.table(&table);
        self.more(tasks);
    }

    fn peers(&mut self, dump: &Dump) {
        if dump.links.links.is_empty() {
            return;
        }
        self.section("Links");
        let mut table =
            Table::new().text("peer").text("state").text("gossip").number("open").number("queued");
        table = table.number("bytes").number("calls").number("watches").number("rtt");
        for link in &dump.links.links {
            table.push([
                link.node.clone(),
                if link.connected { "up" } else { "down" }.into(),
                link.liveness.clone(),
                link.open.to_string(),
                link.queued.to_string(),
                link.queued_bytes.to_string(),
                link.calls.to_string(),
                link.watches.to_string(),
                or_dash(link.round_trip_us.map(|us| show(Duration::from_micros(us)))),
            ]);
        }
        self.table(&table);
        let peers = &dump.inside.peers;
        if peers.count() > 0 {
            self.section("Lanes to peers with something under way");
            self.lanes(&peers.listed);
            self.more(peers);
        }
    }

    fn lanes(&mut self, peers: &[PeerDump]) {
        let mut table = Table::new().text("peer").number("lane").text("class").number("unsent");
        table = table.number("unacknowledged").number("bytes").number("senders").text("windows");
        for (peer, lane) in peers.iter().flat_map(|peer| peer.lanes.iter().map(move |lane| (peer, lane))) {
            let window = |window: &WindowDump| {
                let senders = (window.senders > 0).then(|| format!(", {} wait", window.senders));
                format!("{} of {}{}", window.under_way, window.limit, senders.unwrap_or_default())
            };
            let mut windows: Vec<String> = lane.windows.listed.iter().map(window).collect();
            if lane.windows.unlisted > 0 {
                windows.push(format!("and {} more", lane.windows.unlisted));
            }
            table.push([
                peer.node.clone(),
                lane.lane.to_string(),
                lane.class.clone(),
                lane.unsent.to_string(),
                lane.unacknowledged.to_string(),
                lane.bytes.to_string(),
                lane.senders.to_string(),
                if windows.is_empty() { "-".into() } else { windows.join("; ") },
            ]);
        }
        self.table(&table);
    }

    fn lines(&mut self, dump: &Dump) {
        let lines = &dump.inside.lines;
        if lines.count() > 0 {
            self.section(format_args!("Slots whose messages wait ({})", lines.count()));
            let mut table = Table::new().text("service").number("slot").number("messages").number("bytes");
            table = table.number("for").text("why");
            for line in &lines.listed {
                table.push([
                    line.service.clone(),
                    line.slot.to_string(),
                    line.messages.to_string(),
                    line.bytes.to_string(),
                    time(line.for_ms),
                    line.why.clone(),
                ]);
            }
            self.table(&table);
            self.more(lines);
        }
        if !dump.inside.giving.is_empty() {
            self.line(format!("Slots being given to other nodes: {}.", counts(&dump.inside.giving)));
        }
    }

    fn disk(&mut self, dump: &Dump) {
        let mut said = Vec::new();
        if let Some(journal) = &dump.inside.journal {
            let synced = journal.synced_ms.map_or_else(|| "never".into(), |ms| format!("{} ago", time(ms)));
            let writing = journal.writing_ms.map(|ms| format!(" for {}", time(ms))).unwrap_or_default();
            said.push(format!(
                "journal: synced {synced}; {} appends are being written{writing}, {} wait ({} bytes)",
                journal.writing, journal.waiting, journal.waiting_bytes
            ));
            said.extend(
                journal
                    .failure
                    .iter()
                    .map(|why| self.terminal.paint(Tone::Bad, format_args!("journal: {why}"))),
            );
        }
        said.extend(dump.inside.blocking.map(|blocking| {
            format!(
                "blocking work: {} of {} threads are busy, {} jobs wait ({} may)",
                blocking.busy, blocking.threads, blocking.waiting, blocking.waiting_max
            )
        }));
        if !said.is_empty() {
            self.section("Disk and blocking work");
            self.lines.extend(said);
        }
    }

    fn events(&mut self, dump: &Dump) {
        let events = &dump.inside.events;
        let total = dump.inside.events_total;
        self.section(format_args!("Last events ({} of {total})", events.len()));
        for event in events {
            let time = self.terminal.paint(Tone::Quiet, date::show(taken(dump, event.ago_ms)));
            let text = shown::line(&event.text).into_owned();
            self.line(format!("{time}  {:<17}  {text}", event.kind));
        }
    }
}

/// By the clock of the node, so long before it was taken.
fn taken(dump: &Dump, ago_ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(dump.taken_ms.saturating_sub(ago_ms))
}

/// What an executor has in its poll, or what may block it.
fn blocker(executor: &ExecutorDump) -> String {
    match (&executor.in_poll, executor.answered_us) {
        (Some(polled), _) => {
            let name = format!("{} {}", polled.cell.service, cell(&polled.cell));
            format!("{name} in {} for {}", polled.method, time(polled.for_ms))
        }
        (None, None) => "no handler: a task, a timer, or the node itself".into(),
        (None, Some(_)) => "-".into(),
    }
}
