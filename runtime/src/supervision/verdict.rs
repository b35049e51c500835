//! The actor of a service's host: it decides about cells that failed, and ends the rest when it is told to.

use super::alarm::Alarm;
use super::cells;
use super::child::Reports;
use super::policy::OnFailure;
use super::resting;
use super::service::{BATCH, Failed, ServiceHost};
use crate::cell::port::Port;
use crate::telemetry::events::{Event, Then};
use odeon_core::supervision::{Exit, Judge, StopReason, Verdict};
use odeon_core::{ActivationId, Refusal, Timestamp};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::collections::BTreeSet;
use std::sync::atomic::{Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How long killed cells may take to be gone. One that never comes to an await cannot be waited for.
const KILL_WITHIN: Duration = Duration::from_secs(1);

/// What the actor is told.
pub(super) enum Message {
    /// Somebody waits at the desk.
    Failed,
    /// The last cell is gone.
    Empty,
    Stop,
    Kill,
    Timer,
}

/// Whom a verdict is about: an entity has a past beyond its cell.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Entity(Arc<str>),
    Instance(ActivationId),
}

fn subject(cell: &dyn Port) -> Subject {
    match cell.key() {
        Some(key) => Subject::Entity(key.clone()),
        None => Subject::Instance(cell.id()),
    }
}

/// The actor.
pub(super) struct Verdicts(pub(super) Arc<ServiceHost>);

/// What the actor knows besides the desk.
pub(super) struct Memory {
    judge: Judge<Subject>,
    /// When it no longer waits for killed cells.
    abandon_at: Option<Timestamp>,
    alarm: Alarm,
}

impl Verdicts {
    fn judge_failed(&self, myself: &ActorRef<Message>, memory: &mut Memory) {
        // One after the other: if a verdict goes wrong, those behind it still wait at the desk.
        for _ in 0..BATCH {
            let Some(Failed { cell, exit }) = self.next_failed() else { return };
            if let Some(port) = cell.upgrade() {
                self.judge(myself, memory, &port, exit);
            }
        }
        // Many at once: others get their turn, whoever stops the service first of all. An actor that ends leaves the
        // desk to the next one.
        let _ = myself.send_message(Message::Failed);
    }

    /// Once the host has escalated, those that failed wait for its next beginning.
    fn next_failed(&self) -> Option<Failed> {
        let mut desk = self.0.desk.lock();
        if desk.down { None } else { desk.failed.pop_front() }
    }

    fn judge(&self, myself: &ActorRef<Message>, memory: &mut Memory, port: &Arc<dyn Port>, exit: Exit) {
        let host = &*self.0;
        let cell = Arc::downgrade(port);
        if !host.cells.lives(&**port) {
            // It was told to stop while it waited, and is gone.
            return;
        }
        if let Exit::GaveUp { .. } = exit {
            // The host ended it for the failure of another. That is not its own.
            return host.restart(&cell);
        }
        let (now, subject) = (host.clock.now(), subject(&**port));
        let verdict = memory.judge.failed(&subject, now, &mut host.random.lock());
        let note = |then| {
            let (service, cell) = (host.name.clone(), cells::name(&**port));
            host.events.note(&Event::Failed { service, cell, exit: exit.clone(), then });
        };
        match verdict {
            Verdict::RestartNow => {
                note(Then::Again);
                host.restart(&cell);
            }
            Verdict::RestartAfter(wait) => {
                note(Then::After(wait));
                host.desk.lock().due.insert((now + wait, port.id()), cell);
            }
            Verdict::GiveUp { until } => {
                note(Then::Rests(until.since(now)));
                let why = resting::reason(&exit);
                port.rest(why.clone());
                match (host.policy.on_failure, subject) {
                    (OnFailure::Escalate, _) => self.escalate(myself, port, &exit),
                    (OnFailure::Restart | OnFailure::End, Subject::Entity(key)) => {
                        host.resting.begin(key, until, why, now);
                        port.give_up();
                    }
                    (OnFailure::Restart | OnFailure::End, Subject::Instance(id)) => {
                        host.desk.lock().due.insert((until, id), cell);
                    }
                }
            }
        }
    }

    /// All activations end. They begin again when the supervisor starts this host again.
    fn escalate(&self, myself: &ActorRef<Message>, port: &Arc<dyn Port>, why: &Exit) {
        let host = &*self.0;
        let limits = host.policy.limits;
        let exit = Exit::GaveUp {
            child: cells::name(&**port),
            restarts: limits.restarts_max,
            window: limits.window,
            why: why.to_string(),
        };
        let waiting = {
            let mut desk = host.desk.lock();
            let due = std::mem::take(&mut desk.due).into_values();
            desk.held.push(Arc::downgrade(port));
            desk.held.extend(due);
            desk.outcome = Some(exit.clone());
            desk.down = true;
            desk.actor = None;
            let failed = desk.failed.iter().map(|failed| &failed.cell);
            desk.held.iter().chain(failed).filter_map(Weak::upgrade).collect::<Vec<_>>()
        };
        waiting.iter().filter(|cell| cell.id() != port.id()).for_each(|cell| cell.rest(Refusal::Restarting));
        let waiting: BTreeSet<ActivationId> = waiting.iter().map(|cell| cell.id()).collect();
        for cell in host.cells.all().iter().rev().filter(|cell| !waiting.contains(&cell.id())) {
            cell.fail(exit.clone());
        }
        myself.stop(None);
    }

    /// Those whose wait is over begin again.
    fn restart_due(&self) {
        let now = self.0.clock.now();
        // Those behind are due as well: the alarm rings again at once.
        std::iter::from_fn(|| self.next_due(now)).take(BATCH).for_each(|cell| self.0.restart(&cell));
    }

    fn next_due(&self, now: Timestamp) -> Option<Weak<dyn Port>> {
        let mut desk = self.0.desk.lock();
        let entry = desk.due.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    async fn drain(&self) {
        for batch in self.0.cells.all().rchunks(BATCH) {
            batch.iter().rev().for_each(|cell| cell.drain(StopReason::Shutdown));
            tokio::task::yield_now().await;
        }
    }

    async fn kill(&self, memory: &mut Memory) {
        for batch in self.0.cells.all().rchunks(BATCH) {
            batch.iter().rev().for_each(|cell| cell.kill());
            tokio::task::yield_now().await;
        }
        memory.abandon_at = Some(self.0.clock.now() + KILL_WITHIN);
    }

    fn end_if_empty(&self, myself: &ActorRef<Message>, memory: &Memory) {
        let left = self.0.cells.count();
        let abandoned = memory.abandon_at.is_some_and(|at| at <= self.0.clock.now());
        if !self.0.stopping.load(SeqCst) || (left > 0 && !abandoned) {
            return;
        }
        if left > 0 {
            self.0.killed.fetch_add(left, Relaxed);
            self.0.events.note(&Event::LeftBehind { service: self.0.name.clone(), left });
        }
        let stopped = Exit::Stopped { reason: StopReason::Shutdown };
        self.0.desk.lock().outcome.get_or_insert(stopped);
        myself.stop(None);
    }

    fn set_alarm(&self, myself: &ActorRef<Message>, memory: &mut Memory) {
        let restart = self.0.desk.lock().due.first_key_value().map(|((at, _), _)| *at);
        let due = restart.into_iter().chain(memory.abandon_at).min();
        let actor = myself.clone();
        memory.alarm.set(due, self.0.clock, &self.0.executor, move || {
            // An actor that has ended needs no waking.
            let _ = actor.send_message(Message::Timer);
        });
    }
}

impl Actor for Verdicts {
    type Msg = Message;
    type State = Memory;
    type Arguments = Reports;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        reports: Reports,
    ) -> Result<Memory, ActorProcessingErr> {
        let judge = Judge::new(self.0.policy.limits);
        let mut memory = Memory { judge, abandon_at: None, alarm: Alarm::default() };
        let (held, stop) = {
            let mut desk = self.0.desk.lock();
            desk.actor = Some(myself.clone());
            desk.outcome = None;
            desk.down = false;
            (std::mem::take(&mut desk.held), std::mem::take(&mut desk.stop_early))
        };
        held.iter().for_each(|cell| self.0.restart(cell));
        self.judge_failed(&myself, &mut memory);
        self.set_alarm(&myself, &mut memory);
        reports.started();
        if stop {
            // Behind what is in the mailbox, which is nothing.
            let _ = myself.send_message(Message::Stop);
        }
        Ok(memory)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        memory: &mut Memory,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Failed => self.judge_failed(&myself, memory),
            Message::Empty => {}
            Message::Stop => {
                self.0.close();
                self.drain().await;
            }
            Message::Kill => {
                self.0.close();
                self.kill(memory).await;
            }
            Message::Timer => {
                memory.alarm.rang();
                self.restart_due();
            }
        }
        self.end_if_empty(&myself, memory);
        self.set_alarm(&myself, memory);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Message>,
        _: SupervisionEvent,
        _: &mut Memory,
    ) -> Result<(), ActorProcessingErr> {
        // Cells are no ractor actors: they report their ends to the desk.
        Ok(())
    }
}
