//! What the operating system says: memory and CPU time of processes, and which machine this is.

use anyhow::{Context, Result};
use std::fs;
use std::time::Duration;

/// Ticks a second of the times in `/proc/PID/stat`: fixed by the kernel's interface (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;

fn status_bytes(pid: &str, field: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix(field))
        .with_context(|| format!("{path} has no {field}"))?;
    let kilobytes: u64 = line.trim_matches([':', '\t', ' ']).trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}

/// Resident bytes of this process.
pub fn resident() -> Result<u64> {
    status_bytes("self", "VmRSS")
}

/// Resident bytes of a process.
pub fn resident_of(pid: u32) -> Result<u64> {
    status_bytes(&pid.to_string(), "VmRSS")
}

/// Those of them that no file is behind: what a process has written, which others cannot share.
pub fn anonymous_of(pid: u32) -> Result<u64> {
    status_bytes(&pid.to_string(), "RssAnon")
}

/// Most resident bytes that this process ever had.
pub fn resident_max() -> Result<u64> {
    status_bytes("self", "VmHWM")
}

/// CPU time, user and system, that a process and its direct children have used so far.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let mut ticks = ticks_of(pid)?;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let children = fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            ticks += ticks_of(child.parse()?)?;
        }
    }
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Fields 14 and 15 of `/proc/PID/stat`, counted behind the command's name, which may contain anything.
fn ticks_of(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| path.clone())?;
    let (_, behind) = stat.rsplit_once(')').with_context(|| format!("{path} has no command"))?;
    let fields: Vec<&str> = behind.split_whitespace().collect();
    let tick = |i: usize| -> Result<u64> { Ok(fields.get(i).context("too few fields")?.parse()?) };
    Ok(tick(11)? + tick(12)?)
}

/// One line: processor, cores, load. Numbers without it mean nothing.
pub fn describe() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find(|l| l.starts_with("model name")).and_then(|l| l.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?");
    format!("{}, {cores} cores, load {load} at the start", model.unwrap_or("unknown processor"))
}
