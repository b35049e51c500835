//! The task of a cell: activation after activation, until its supervisor says that it was the last. What every
//! poll needs is done here, around the activation: kill, panic, clock, accounts.

use super::Tick;
use super::activation::{Constructor, MessageOf, activate};
use super::ambient::{self, Ambient};
use super::ending;
use super::kind::Kind;
use super::mailbox::{Hand, URGENT};
use super::nursery::Birth;
use super::port::{Phase, Port};
use super::run::Run;
use super::shared::{
    Abandon, DRAIN, FAIL, FENCED, GIVE_UP, Handle, KILL, LEAVE, REST, RESTART, STOP, Shared,
};
use crate::reach::reached;
use crate::service::context::panic_text;
use crate::service::contract::Service;
use crate::service::message::{Envelope, Header, Message};
use odeon_core::supervision::{Exit, StopReason};
use odeon_core::{ActivationId, Refusal};
use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

/// One poll in this many is timed, as a mask.
const SAMPLE_MASK: u32 = 7;

/// Starts a cell on an executor of its kind.
pub(crate) fn spawn<S: Service>(
    kind: &Arc<Kind>,
    executor: usize,
    key: Option<Arc<str>>,
    constructor: Constructor<S>,
) -> Handle<MessageOf<S>> {
    // without a node there is nobody left to tell cells apart: its executors are about to go
    let Some(node) = kind.node.upgrade() else {
        return spawn_as(ActivationId(0), kind, executor, key, constructor);
    };
    let shared = conceive(ActivationId(node.next_cell()), kind, executor, key);
    let later = || {
        let (shared, constructor) = (shared.clone(), constructor.clone());
        Box::new(move || bear(shared, constructor)) as Birth
    };
    if node.nurseries[executor].admits(later) {
        bear(shared.clone(), constructor);
    }
    Handle::new(shared)
}

fn conceive<M: Message>(
    id: ActivationId,
    kind: &Arc<Kind>,
    executor: usize,
    key: Option<Arc<str>>,
) -> Arc<Shared<M>> {
    let shared = Arc::new(Shared::new(id, kind.clone(), executor, key));
    kind.overseer.born(shared.clone());
    shared
}

fn bear<S: Service>(shared: Arc<Shared<MessageOf<S>>>, constructor: Constructor<S>) {
    let executor = &shared.kind().executors[shared.executor()];
    executor.spawn(drive(shared.clone(), constructor));
}

/// A cell has begun: another may.
fn begun<M: Message>(shared: &Shared<M>) {
    let node = shared.kind().node.upgrade();
    if let Some(birth) = node.and_then(|node| node.nurseries[shared.executor()].begun()) {
        birth();
    }
}

/// The same with a given id.
pub(super) fn spawn_as<S: Service>(
    id: ActivationId,
    kind: &Arc<Kind>,
    executor: usize,
    key: Option<Arc<str>>,
    constructor: Constructor<S>,
) -> Handle<MessageOf<S>> {
    let shared = conceive(id, kind, executor, key);
    bear(shared.clone(), constructor);
    Handle::new(shared)
}

/// The task of a cell.
#[allow(clippy::manual_async_fn, reason = "the arguments of an async function are kept twice")]
pub(super) fn drive<S: Service>(
    shared: Arc<Shared<MessageOf<S>>>,
    constructor: Constructor<S>,
) -> impl Future<Output = ()> + Send {
    async move {
        poll_fn(|task| {
            // one task for life: its waker never changes
            let _ = shared.waker.set(task.waker().clone());
            begun(&shared);
            Poll::Ready(())
        })
        .await;
        let mut hand = Hand::default();
        let exit = loop {
            let exit = {
                let mut ambient = None;
                let mut activation = pin!(Some(activate(Run::new(&shared, &mut hand), &constructor)));
                let exit = poll_fn(|task| shared.poll(activation.as_mut(), &mut ambient, task)).await;
                // what a killed handler held is dropped here, and may panic too
                let drop_all = || ending::kill(|| activation.set(None));
                let _ = catch_unwind(AssertUnwindSafe(drop_all));
                // boxed: the rare wait for a verdict shall not make every task larger
                Box::new(exit)
            };
            match shared.ended(&exit, &hand) {
                After::Gone => break exit,
                After::Again => {}
                After::Verdict => {
                    if !poll_fn(|_| shared.poll_verdict(&mut hand)).await {
                        break exit;
                    }
                    shared.kind().meter.add_restart();
                }
            }
        };
        shared.gone(&mut hand, &exit);
    }
}

/// What follows the end of an activation.
enum After {
    /// The end of the cell.
    Gone,
    /// Another activation at once: mail came while it was passivated or stopped itself.
    Again,
    /// What the supervisor says.
    Verdict,
}

impl<M: Message> Shared<M> {
    /// One poll of the activation.
    #[inline]
    fn poll<F: Future<Output = Exit>>(
        self: &Arc<Self>,
        activation: Pin<&mut Option<F>>,
        ambient: &mut Option<Ambient>,
        task: &mut Context<'_>,
    ) -> Poll<Exit> {
        let signal = self.signal();
        if signal & FENCED != 0 {
            return Poll::Ready(self.fenced());
        }
        if signal & KILL != 0 {
            return Poll::Ready(Exit::Killed);
        }
        let Some(activation) = activation.as_pin_mut() else { return Poll::Ready(Exit::Killed) };
        let books = &self.books;
        let polls = books.polls.load(Relaxed).wrapping_add(1);
        books.polls.store(polls, Relaxed);
        // the clock is read once for each poll: deadlines need it
        let began = self.kind().wheel.elapsed();
        let now = Tick::at(began);
        if !self.kind().may_act_at(now) {
            return Poll::Ready(self.fenced());
        }
        let now = now.raw();
        books.now.store(now, Relaxed);
        books.polling.store(now, Relaxed);
        if ambient.is_none() {
            *ambient = Some(Ambient::beside(self.clone(), Header::default(), None));
        }
        ambient::swap(ambient);
        let polled = catch_unwind(AssertUnwindSafe(|| activation.poll(task)));
        ambient::swap(ambient);
        books.polling.store(Tick::NEVER.raw(), Relaxed);
        if polls & SAMPLE_MASK == 0 {
            let took = self.kind().wheel.elapsed().saturating_sub(began);
            self.kind().meter.add_busy(took * (SAMPLE_MASK + 1));
            let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
            books.poll_max.store(books.poll_max.load(Relaxed).max(micros), Relaxed);
        }
        match polled {
            Ok(Poll::Pending) if books.abandon.load(Relaxed) != Abandon::NOT => {
                Poll::Ready(self.abandoned(books.abandon.load(Relaxed)))
            }
            Ok(polled) => polled,
            Err(panic) => {
                ending::caught();
                Poll::Ready(self.panicked(&*panic))
            }
        }
    }

    /// Nothing of it runs any more: others may have it by now. It has not failed.
    #[cold]
    fn fenced(&self) -> Exit {
        reached!(FENCED);
        self.fence();
        Exit::Stopped { reason: StopReason::Shutdown }
    }

    #[cold]
    fn abandoned(&self, why: u32) -> Exit {
        self.books.abandon.store(Abandon::NOT, Relaxed);
        match why {
            Abandon::STOP_LATE => Exit::Killed,
            Abandon::START_LATE => {
                let problem = format!("it was not ready within {:?}", self.kind().start_within);
                Exit::StartFailed { problem }
            }
            Abandon::UNSTARTED => Exit::Stopped { reason: self.stop_reason() },
            overran => {
                let method = self.name_of(overran - Abandon::OVERRAN).unwrap_or_default().into();
                Exit::Overran { method }
            }
        }
    }

    #[cold]
    fn panicked(&self, panic: &(dyn Any + Send)) -> Exit {
        let method = self.name_of(self.books.doing.load(Relaxed)).unwrap_or("the activation");
        Exit::Panicked { text: panic_text(panic), method: method.into() }
    }

    /// An activation ended.
    fn ended(&self, exit: &Exit, hand: &Hand<Envelope<M>>) -> After {
        if matches!(exit, Exit::Panicked { .. }) {
            self.kind().meter.add_panic();
        }
        // whoever finds it running has done so before its belongings are gone
        self.set_phase(Phase::Waiting);
        // tasks and timers die with it
        let rare = std::mem::take(&mut *self.rare().lock());
        // outside of the lock: what tasks held is dropped, and may come back to it
        drop(rare);
        let left = self.signal() & LEAVE != 0;
        self.lower(KILL | FAIL | REST | RESTART | GIVE_UP | LEAVE);
        if self.kind().overseer.ended(self, exit) {
            return After::Verdict;
        }
        let passivated = matches!(exit, Exit::Stopped { reason: StopReason::Passivated });
        // a drain handles what waits, whatever the activation was about to do when it came
        let again = (passivated || (left && exit.is_normal())) && self.signal() & STOP == 0;
        if again && !self.mailbox.close_if_empty(hand) { After::Again } else { After::Gone }
    }

    /// Whether to begin again. Whoever stops or kills the cell meanwhile decides too.
    fn poll_verdict(&self, hand: &mut Hand<Envelope<M>>) -> Poll<bool> {
        let signal = self.signal();
        if signal & REST != 0 {
            self.lower(REST);
            let waiting = self.mailbox.take_all(hand, &self.pace);
            self.refuse(waiting, &self.why_resting());
        }
        if signal & (GIVE_UP | KILL | DRAIN | STOP) != 0 {
            Poll::Ready(false)
        } else if signal & RESTART != 0 {
            self.lower(RESTART);
            self.wake_up();
            Poll::Ready(true)
        } else {
            Poll::Pending
        }
    }

    /// The end of the cell: nobody will handle what is left.
    fn gone(&self, hand: &mut Hand<Envelope<M>>, exit: &Exit) {
        let rest = self.mailbox.clear(hand, &self.pace);
        self.lower(URGENT);
        self.refuse(rest, &Refusal::Stopped);
        self.set_phase(Phase::Ended);
        self.kind().overseer.gone(self, exit);
    }
}
