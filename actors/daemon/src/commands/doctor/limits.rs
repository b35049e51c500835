//! What the system lets a node have: descriptors, and room for packets that it has not read yet.

use super::report::{Check, Group};
use super::site::Site;
use super::sockets;
use crate::config::Settings;
use rustix::net::sockopt::{socket_recv_buffer_size, socket_send_buffer_size};
use rustix::process::{Resource, getrlimit};
use std::fs;
use std::io;
use std::net::UdpSocket;
use std::time::Duration;

const GROUP: Group = Group::Limits;
/// Descriptors of a node without connections to its gateway: listeners, files of the journal, the log, names that are
/// being looked up, some who ask the management interface; and what each executor has.
const DESCRIPTORS_OWN: u64 = 96;
const DESCRIPTORS_FOR_EXECUTOR: u64 = 4;
/// With fewer connections than these a node is of no use.
const CONNECTIONS_LEAST: u64 = 16;
/// Linux's default. The endpoint asks for no more: it reads as packets come, and what is lost is sent again.
const BUFFER_ENOUGH: usize = 212_992;
const PROC_WITHIN: Duration = Duration::from_secs(2);

/// Makes all checks of them.
pub(super) async fn check(site: &Site) -> Vec<Check> {
    let pid = site.running().map(|node| node.pid);
    let descriptors = site.blocking(PROC_WITHIN, move || Descriptors::of(pid)).await.ok().flatten();
    let mut checks = vec![match descriptors {
        Some(descriptors) => judge_descriptors(&descriptors, &needs(&site.settings)),
        None => GROUP.skipped("descriptors", "the system does not say how many the node's process may have"),
    }];
    if site.settings.cluster.is_some() {
        let port = site.running().and_then(|node| node.links).map(|links| links.port());
        let dropped =
            site.blocking(PROC_WITHIN, move || port.and_then(sockets::dropped)).await.ok().flatten();
        checks.push(match Buffers::measure() {
            Ok(buffers) => judge_buffers(&Buffers { dropped, ..buffers }),
            Err(error) => GROUP.skipped("UDP buffers", format_args!("no socket can be made: {error}")),
        });
    }
    checks
}

/// Of a process.
#[derive(Clone, Copy, Debug)]
struct Descriptors {
    /// None: there is no limit.
    limit: Option<u64>,
    /// To what it may be raised.
    limit_max: Option<u64>,
    in_use: Option<u64>,
}

/// How many a node needs.
#[derive(Clone, Copy, Debug)]
struct Needs {
    /// Without connections to its gateway.
    own: u64,
    connections: u64,
}

fn needs(settings: &Settings) -> Needs {
    let executors = DESCRIPTORS_FOR_EXECUTOR.saturating_mul(settings.executors as u64);
    Needs { own: DESCRIPTORS_OWN + executors, connections: settings.http.connections.connections_max as u64 }
}

impl Descriptors {
    /// Of a process that runs, as far as the system tells; without one, of what is started from here.
    fn of(pid: Option<u32>) -> Option<Self> {
        let Some(pid) = pid else {
            let limits = getrlimit(Resource::Nofile);
            return Some(Self { limit: limits.current, limit_max: limits.maximum, in_use: None });
        };
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
        let (limit, limit_max) = limit_of_files(&limits)?;
        let in_use = fs::read_dir(format!("/proc/{pid}/fd")).ok().map(|found| found.count() as u64);
        Some(Self { limit, limit_max, in_use })
    }
}

/// The soft and the hard one of `/proc/PID/limits` (proc(5)).
fn limit_of_files(limits: &str) -> Option<(Option<u64>, Option<u64>)> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let mut numbers = line.split_whitespace().map(|number| match number {
        "unlimited" => Some(None),
        number => number.parse().ok().map(Some),
    });
    Some((numbers.next()??, numbers.next()??))
}

fn judge_descriptors(found: &Descriptors, needs: &Needs) -> Check {
    let name = "descriptors";
    let used = found.in_use.map_or_else(String::new, |used| format!(", {used} of them in use"));
    let Some(limit) = found.limit else {
        return GROUP.ok(name, format_args!("there is no limit{used}"));
    };
    let (all, connections) = (needs.own.saturating_add(needs.connections), limit.saturating_sub(needs.own));
    let found_words = format!("{limit} are allowed{used}");
    let raise = match found.limit_max {
        Some(most) if most < all => format!("LimitNOFILE={all} in its systemd unit, or in limits.conf"),
        _ => format!("`ulimit -n {all}` before it starts, or LimitNOFILE={all} in its systemd unit"),
    };
    if connections < CONNECTIONS_LEAST {
        let found = format!("{found_words}: a node needs {} for itself", needs.own);
        return GROUP.failed(name, found, format_args!("allow more: {raise}"));
    }
    if limit < all {
        let found = format!(
            "{found_words}: enough for {connections} connections, and http.connections_max is {}",
            needs.connections
        );
        let advice = format!("allow more: {raise}; or set connections_max = {connections}");
        return GROUP.warning(name, found, advice);
    }
    GROUP.ok(name, format_args!("{found_words}: enough for http.connections_max = {}", needs.connections))
}

/// Of a socket for packets.
#[derive(Clone, Copy, Debug)]
struct Buffers {
    /// Bytes, with what the system needs for its own books.
    receive: usize,
    send: usize,
    /// What a socket may ask for at the most.
    receive_max: Option<usize>,
    /// Packets for which the node's socket had no room.
    dropped: Option<u64>,
}

impl Buffers {
    fn measure() -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let receive_max = fs::read_to_string("/proc/sys/net/core/rmem_max").ok();
        Ok(Self {
            receive: socket_recv_buffer_size(&socket)?,
            send: socket_send_buffer_size(&socket)?,
            receive_max: receive_max.and_then(|text| text.trim().parse().ok()),
            dropped: None,
        })
    }
}

fn judge_buffers(found: &Buffers) -> Check {
    let name = "UDP buffers";
    let kib = |bytes: usize| format!("{} KiB", bytes >> 10);
    let most = found.receive_max.map_or_else(String::new, |most| format!(" (rmem_max {})", kib(most)));
    let words = format!(
        "a socket has {} to receive{most} and {} to send; the endpoint asks for no more",
        kib(found.receive),
        kib(found.send)
    );
    let advice = format!(
        "sysctl -w net.core.rmem_default={0} net.core.wmem_default={0} before the node starts: what finds no room is sent \
         again, which costs time",
        4 * BUFFER_ENOUGH
    );
    match found.dropped {
        Some(dropped @ 1..) => {
            let words = format!("{words}; {dropped} packets found no room at the node's port since it runs");
            GROUP.warning(name, words, advice)
        }
        _ if found.receive.min(found.send) < BUFFER_ENOUGH => GROUP.warning(name, words, advice),
        _ => GROUP.ok(name, words),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Outcome;
    use super::*;

    #[test]
    fn descriptors_are_judged_by_the_connections_that_are_allowed() {
        let needs = Needs { own: 100, connections: 1_000 };
        let judged =
            |limit| judge_descriptors(&Descriptors { limit, limit_max: Some(4_096), in_use: None }, &needs);
        assert_eq!(judged(None).outcome, Outcome::Ok);
        assert_eq!(judged(Some(1_100)).outcome, Outcome::Ok);
        let few = judged(Some(1_024));
        assert_eq!(few.outcome, Outcome::Warning);
        assert_eq!(
            few.found,
            "1024 are allowed: enough for 924 connections, and http.connections_max is 1000"
        );
        assert!(few.advice.is_some_and(|advice| advice.contains("ulimit -n 1100")));
        assert_eq!(judged(Some(115)).outcome, Outcome::Failed);
        assert_eq!(judged(Some(8)).outcome, Outcome::Failed);
        let hard = Descriptors { limit: Some(512), limit_max: Some(512), in_use: Some(40) };
        let hard = judge_descriptors(&hard, &needs);
        assert!(hard.found.starts_with("512 are allowed, 40 of them in use"), "{}", hard.found);
        assert!(hard.advice.is_some_and(|advice| !advice.contains("ulimit")), "this user cannot raise it");
    }

    #[test]
    fn the_limits_of_a_process_are_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max open files            1024                 unlimited            files     \n";
        assert_eq!(limit_of_files(limits), Some((Some(1_024), None)));
        assert_eq!(limit_of_files("Max open files  x y files"), None);
        assert_eq!(limit_of_files(""), None);
    }

    #[test]
    fn small_buffers_and_lost_packets_are_told_of() {
        let buffers =
            Buffers { receive: 212_992, send: 212_992, receive_max: Some(4 << 20), dropped: Some(0) };
        let check = judge_buffers(&buffers);
        assert_eq!(check.outcome, Outcome::Ok);
        assert!(
            check
                .found
                .starts_with("a socket has 208 KiB to receive (rmem_max 4096 KiB) and 208 KiB to send")
        );
        assert_eq!(judge_buffers(&Buffers { send: 65_536, ..buffers }).outcome, Outcome::Warning);
        let lost = judge_buffers(&Buffers { dropped: Some(7), ..buffers });
        assert!(lost.outcome == Outcome::Warning && lost.found.contains("7 packets"), "{}", lost.found);
    }
}
