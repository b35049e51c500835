//! The clocks: one that only goes on, by which leases and deadlines go, and the time of day, by which certificates hold.

use super::certificates::Held;
use super::report::{Check, Group};
use super::site::Site;
use crate::date;
use crate::duration::show;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

const GROUP: Group = Group::Clock;
/// A clock that stands still for so long does not go.
const STEP_WITHIN: Duration = Duration::from_millis(100);
const STEPS: usize = 1_000;
/// The wheel of a node turns in milliseconds.
const STEP_MAX: Duration = Duration::from_millis(1);
/// 2026-01-01: no node was made before.
const EARLIEST: Duration = Duration::from_secs(1_767_225_600);
/// Files of other machines' disks may have been written by another clock.
const AHEAD_MAX: Duration = Duration::from_secs(60);
const FILES_MAX: usize = 64;
const FILES_WITHIN: Duration = Duration::from_secs(2);

/// Makes all checks of them. What is known of the node's certificate says something of the clock, too.
pub(super) async fn check(site: &Site, held: Option<&Held>) -> Vec<Check> {
    let directory = site.settings.directory.clone();
    let written = site.blocking(FILES_WITHIN, move || newest(&directory)).await.ok().flatten();
    let times =
        Times { now: date::now(), written, certified: held.and_then(|held| Some(held.own.as_ref()?.from)) };
    let mut checks = vec![judge_steps(smallest_step()), times.judge()];
    if site.settings.cluster.is_some() {
        checks.push(GROUP.skipped(
            "time of peers",
            "nodes do not tell each other the time of day: leases do not need it, and certificates forgive an hour",
        ));
    }
    checks
}

/// The smallest step of the clock that only goes on; none: it stands still.
fn smallest_step() -> Option<Duration> {
    let begun = Instant::now();
    let (mut last, mut smallest) = (begun, None);
    for _ in 0..STEPS {
        let next = loop {
            let now = Instant::now();
            if now > last {
                break now;
            }
            if now.duration_since(begun) > STEP_WITHIN || begun.elapsed() > STEP_WITHIN {
                return smallest;
            }
        };
        let step = next.duration_since(last);
        smallest = Some(smallest.map_or(step, |smallest: Duration| smallest.min(step)));
        last = next;
    }
    smallest
}

fn judge_steps(smallest: Option<Duration>) -> Check {
    let name = "monotonic";
    let advice = "choose another clock source of the system: /sys/devices/system/clocksource/clocksource0";
    match smallest {
        None => GROUP.failed(name, "it stands still", advice),
        Some(step) if step > STEP_MAX => GROUP.warning(
            name,
            format_args!("it goes in steps of {}: deadlines are as coarse", show(step)),
            advice,
        ),
        Some(step) if step < Duration::from_micros(1) => GROUP.ok(name, "it goes in steps of less than 1us"),
        Some(step) => GROUP.ok(name, format_args!("it goes in steps of {}", show(step))),
    }
}

/// Times that must come in an order.
#[derive(Clone, Copy, Debug)]
struct Times {
    now: SystemTime,
    /// When a file of the node was last written.
    written: Option<SystemTime>,
    /// From when on its certificate holds.
    certified: Option<SystemTime>,
}

impl Times {
    fn judge(&self) -> Check {
        let name = "time of day";
        let shown = date::show(self.now);
        let advice =
            "set the clock, and keep it right with NTP (chrony, systemd-timesyncd): certificates hold by it";
        let before = |time: &SystemTime| *time > self.now.checked_add(AHEAD_MAX).unwrap_or(self.now);
        if self.now < UNIX_EPOCH + EARLIEST {
            return GROUP.failed(name, format_args!("it is {shown}, before there was Odeon"), advice);
        }
        if let Some(from) = self.certified.filter(before) {
            let from = date::show(from);
            let found =
                format!("it is {shown}, but the node's certificate holds from {from} on: a clock is wrong");
            return GROUP.failed(name, found, advice);
        }
        if let Some(written) = self.written.filter(before) {
            let written = date::show(written);
            let found =
                format!("it is {shown}, but a file of the node was written at {written}: it has gone back");
            return GROUP.warning(name, found, advice);
        }
        GROUP.ok(name, format_args!("it is {shown}; whether that is right the node cannot know"))
    }
}

/// When the last of the files in a directory was written, if there are any.
fn newest(directory: &Path) -> Option<SystemTime> {
    let files = fs::read_dir(directory).ok()?.filter_map(Result::ok).take(FILES_MAX);
    files.filter_map(|file| file.metadata().ok()?.modified().ok()).max()
}

#[cfg(test)]
mod tests {
    use super::super::report::Outcome;
    use super::*;

    #[test]
    fn a_clock_that_stands_still_or_is_coarse_is_told_of() {
        assert_eq!(judge_steps(None).outcome, Outcome::Failed);
        assert_eq!(judge_steps(Some(Duration::from_millis(4))).outcome, Outcome::Warning);
        assert_eq!(judge_steps(Some(Duration::from_nanos(30))).outcome, Outcome::Ok);
        assert!(smallest_step().is_some_and(|step| !step.is_zero()));
    }

    #[test]
    fn a_time_of_day_that_cannot_be_is_told_of() {
        let at = |seconds: u64| UNIX_EPOCH + EARLIEST + Duration::from_secs(seconds);
        let times = Times { now: at(1_000), written: Some(at(1_030)), certified: Some(at(1_060)) };
        assert_eq!(times.judge().outcome, Outcome::Ok);
        assert_eq!(Times { written: Some(at(1_061)), ..times }.judge().outcome, Outcome::Warning);
        let check = Times { certified: Some(at(1_061)), ..times }.judge();
        assert!(
            check.outcome == Outcome::Failed && check.found.contains("a clock is wrong"),
            "{}",
            check.found
        );
        assert_eq!(Times { now: UNIX_EPOCH, ..times }.judge().outcome, Outcome::Failed);
    }
}
