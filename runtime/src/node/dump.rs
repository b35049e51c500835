//! A node from inside, for whoever has to find out why it misbehaves.
//!
//! Nothing here waits for an executor that runs activations: run it on the control executor, and it tells of handlers
//! that block all others. Locks are taken one by one and for as long as it takes to copy what is behind them; what is
//! told is put together of what each part said at its own moment. Nothing is written down for it while nobody asks, but
//! for the events and for what stands beside a handler that waits.

use super::Node;
use crate::cell::port::{CellStatus, Port};
use crate::cell::{Pending, Tick};
use crate::host::Executor;
use crate::membership::Membership;
use crate::remote::Links;
use crate::supervision::{ServiceHost, phase_name};
use crate::telemetry::ServiceMeter;
use crate::telemetry::dump::{
    CellName, DeadlinesDump, Dump, EventDump, ExecutorDump, InPoll, Listed, QueueDump, ServiceDump,
    StuckDump, TasksDump, millis,
};
use futures_util::future::BoxFuture;
use odeon_core::Criticality;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// Of what may be long so many are listed.
const LISTED_MAX: usize = 64;
/// Activations with tasks and timers that are listed.
const TASKS_LISTED_MAX: usize = 16;
/// An executor that takes longer to come to a question is blocked, and so is a poll that lasts longer.
const BLOCKED_AFTER: Duration = Duration::from_millis(100);
/// A handler or hook that has been under way for longer may be stuck.
const LONG_AFTER: Duration = Duration::from_secs(1);
/// How many activations are looked at before others get their turn.
const BATCH: usize = 256;

impl Node {
    /// What is stuck, what waits and where, and what has happened last. Takes a tenth of a second if an executor is
    /// blocked, and time to look at each activation.
    pub fn dump(&self) -> BoxFuture<'_, Dump> {
        Box::pin(async move {
            let inner = &self.0;
            let mut dump = Dump { executors: self.look_at_executors().await, ..Dump::default() };
            let now = inner.wheel.now();
            let mut found = Found::default();
            for host in inner.tree.hosts() {
                dump.services.push(found.look_at(&host, now).await);
            }
            let meters = self
                .services()
                .into_iter()
                .map(|service| (service.description.name.to_string(), service.meter));
            let meters: BTreeMap<_, _> = meters.collect();
            for service in &mut dump.services {
                if let Some(meter) = meters.get(&service.service) {
                    books(service, meter);
                }
            }
            for polled in found.in_poll.into_values() {
                if let Some(executor) = dump.executors.get_mut(polled.cell.executor) {
                    executor.in_poll = Some(polled);
                }
            }
            (dump.stuck, dump.queues, dump.tasks) =
                (found.stuck.listed(), found.queues.listed(), found.tasks.listed());
            if let Some(links) = Links::of(self) {
                dump.peers = first(links.look());
            }
            if let Some(placement) = &inner.placement {
                (dump.lines, dump.giving) = (first(placement.look()), placement.giving());
            }
            dump.journal = Membership::of(self).map(|membership| membership.journal().look());
            dump.blocking = inner.host.blocking.look();
            let (events, total) = inner.events.last();
            dump.events_total = total;
            dump.events = events
                .into_iter()
                .map(|event| EventDump {
                    number: event.number,
                    ago_ms: millis(event.ago),
                    kind: event.kind.into(),
                    text: event.text,
                })
                .collect();
            dump
        })
    }

    /// Asks each executor for a sign of life.
    async fn look_at_executors(&self) -> Vec<ExecutorDump> {
        let inner = &self.0;
        let is_apart = inner.host.executors.iter().all(|executor| executor.index() != inner.control.index());
        let control = is_apart.then_some(&inner.control);
        let executors: Vec<&Executor> = inner.host.executors.iter().chain(control).collect();
        let asked = Instant::now();
        let pulses: Vec<JoinHandle<Duration>> =
            executors.iter().map(|executor| executor.spawn(async move { asked.elapsed() })).collect();
        let pending = inner.wheel.look();
        let mut dumps = Vec::new();
        for (position, (executor, mut pulse)) in executors.iter().zip(pulses).enumerate() {
            let answered = timeout_at(asked + BLOCKED_AFTER, &mut pulse).await;
            // one that is blocked shall not collect them
            pulse.abort();
            let (tasks, woken) = executor.tasks();
            dumps.push(ExecutorDump {
                executor: position,
                control: position == inner.host.executors.len(),
                answered_us: answered.ok().and_then(Result::ok).map(micros),
                in_poll: None,
                tasks,
                woken,
                deadlines: pending.get(position).map(deadlines).unwrap_or_default(),
            });
        }
        dumps
    }
}

/// What was found among activations.
#[derive(Default)]
struct Found {
    stuck: Top<(bool, u64), StuckDump, LISTED_MAX>,
    queues: Top<(u32, u32), QueueDump, LISTED_MAX>,
    tasks: Top<usize, TasksDump, TASKS_LISTED_MAX>,
    /// What has been in its poll for longest, by executor.
    in_poll: BTreeMap<usize, InPoll>,
}

impl Found {
    async fn look_at(&mut self, host: &Arc<ServiceHost>, now: Tick) -> ServiceDump {
        let mut service = ServiceDump { service: host.name().to_string(), ..ServiceDump::default() };
        let cells = host.cells();
        for (position, cell) in cells.iter().enumerate() {
            if position % BATCH == BATCH - 1 {
                tokio::task::yield_now().await;
            }
            let status = cell.status();
            *service.cells.entry(phase_name(status.phase).into()).or_default() += 1;
            service.waiting += u64::from(status.waiting);
            service.waiting_bytes += u64::from(status.waiting_bytes);
            self.take(&**cell, &status, now);
        }
        service
    }

    fn take(&mut self, cell: &dyn Port, status: &CellStatus, now: Tick) {
        let name = || CellName {
            service: cell.kind().service.to_string(),
            key: status.key.as_deref().map(Into::into),
            cell: status.id.0,
            executor: cell.executor(),
        };
        let method = || status.current.unwrap_or("the activation").to_owned();
        let waiting = status.waiting;
        if let Some(lasted) = status.polling_for {
            let for_ms = millis(lasted);
            let polled = InPoll { cell: name(), method: method(), for_ms };
            let longest = self.in_poll.entry(cell.executor()).or_insert_with(|| polled.clone());
            if longest.for_ms < for_ms {
                *longest = polled;
            }
            if lasted > BLOCKED_AFTER {
                let (cell, method) = (name(), method());
                let stuck = StuckDump { cell, method, blocks: true, for_ms, deadline_ms: None, waiting };
                self.stuck.push((true, for_ms), stuck);
            }
        }
        if let Some(lasted) = status.held_for.filter(|lasted| *lasted > LONG_AFTER) {
            let (cell, method, for_ms) = (name(), method(), millis(lasted));
            let deadline_ms = deadline(status.due, now);
            let stuck = StuckDump { cell, method, blocks: false, for_ms, deadline_ms, waiting };
            self.stuck.push((false, for_ms), stuck);
        }
        if waiting > 0 || status.outside > 0 {
            self.queues.push((waiting, status.outside), queue(name(), cell, status));
        }
        let tasks = cell.rare().lock().belongings.as_ref().map_or(0, |belongings| belongings.tasks.len());
        if tasks > 0 {
            self.tasks.push(tasks, TasksDump { cell: name(), tasks });
        }
    }
}

fn books(service: &mut ServiceDump, meter: &ServiceMeter) {
    service.handled = meter.handled();
    service.expired = meter.expired();
    service.lost = meter.lost();
    service.cut_short = meter.cut_short();
    service.panics = meter.panics();
    service.restarts = meter.restarts();
    service.refused = meter.refused().into_iter().map(|(why, count)| (why.into(), count)).collect();
}

fn queue(name: CellName, cell: &dyn Port, status: &CellStatus) -> QueueDump {
    let by_class = Criticality::ALL.iter().zip(status.lanes).filter(|(_, count)| *count > 0);
    QueueDump {
        cell: name,
        phase: phase_name(status.phase).into(),
        waiting: status.waiting,
        waiting_max: cell.kind().bounds.count_max,
        waiting_bytes: status.waiting_bytes,
        by_class: by_class.map(|(class, count)| (class.name().into(), count)).collect(),
        senders: status.outside,
        begun: status.begun,
        expired: status.expired,
        lost: status.lost,
    }
}

/// Milliseconds until a deadline; negative when it has passed.
fn deadline(due: Tick, now: Tick) -> Option<i64> {
    let signed = |time| i64::try_from(millis(time)).unwrap_or(i64::MAX);
    match due.passed(now) {
        _ if due.is_never() => None,
        true => Some(-signed(now.until(due))),
        false => Some(signed(due.until(now))),
    }
}

fn deadlines(pending: &Pending) -> DeadlinesDump {
    DeadlinesDump {
        pending: pending.count,
        overdue: pending.overdue,
        overdue_ms: pending.overdue_by.map(millis),
        next_ms: pending.next.map(millis),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The first of what is in its order already.
fn first<T>(mut all: Vec<T>) -> Listed<T> {
    let unlisted = all.len().saturating_sub(LISTED_MAX);
    all.truncate(LISTED_MAX);
    Listed { listed: all, unlisted }
}

/// Those with the greatest ranks of all that are shown to it, and how many they were.
struct Top<R, T, const MAX: usize> {
    kept: BTreeMap<(Reverse<R>, usize), T>,
    seen: usize,
}

impl<R: Ord, T, const MAX: usize> Default for Top<R, T, MAX> {
    fn default() -> Self {
        Self { kept: BTreeMap::new(), seen: 0 }
    }
}

impl<R: Ord, T, const MAX: usize> Top<R, T, MAX> {
    /// Of equal ones the first is kept.
    fn push(&mut self, rank: R, what: T) {
        self.seen += 1;
        self.kept.insert((Reverse(rank), self.seen), what);
        if self.kept.len() > MAX {
            self.kept.pop_last();
        }
    }

    fn listed(self) -> Listed<T> {
        Listed { unlisted: self.seen - self.kept.len(), listed: self.kept.into_values().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_the_greatest_are_listed_and_the_others_counted() {
        let mut top = Top::<u32, &str, 2>::default();
        for (rank, what) in [(1, "a"), (3, "b"), (2, "c"), (3, "d")] {
            top.push(rank, what);
        }
        let listed = top.listed();
        assert_eq!((&listed.listed[..], listed.unlisted, listed.count()), (&["b", "d"][..], 2, 4));
    }

    #[test]
    fn a_deadline_that_has_passed_is_negative() {
        let at = |ms| Tick::at(Duration::from_millis(ms));
        let near = |due, now, ms: i64| deadline(due, now).is_some_and(|left| left.abs_diff(ms) <= 2);
        assert!(near(at(5_000), at(2_000), 3_000) && near(at(2_000), at(5_000), -3_000));
        assert_eq!(deadline(Tick::NEVER, at(1)), None);
    }
}
