//! What an activation does between two polls of handlers: chooses the next message, keeps the limits, counts.
//! Nothing here knows the service's type.

use super::Tick;
use super::ambient::{self, Ambient};
use super::crowd::{Beside, Crowd, Waits};
use super::ending;
use super::mailbox::{CROWDED, Hand, Mailbox, URGENT};
use super::port::Port;
use super::shared::{Abandon, DRAIN, FAIL, FENCED, LEAVE, STOP, Shared};
use super::turn;
use super::wheel::{Key, Wheel};
use crate::service::Cx;
use crate::service::message::{Access, Envelope, Message};
use odeon_core::Refusal;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

/// Messages before the cell lets others on its executor run, if they take longer than a tick of the wheel.
const BUDGET: u16 = 128;
/// Messages before it does so however quick they are.
const BUDGET_QUICK: u16 = 1024;
/// It does so after this time at the latest, as far as it is not one handler that takes it all.
const TURN_MAX: Duration = Duration::from_millis(4);
/// Messages between two looks at the clock while they are quick.
const STRIDE: u16 = 32;

/// After how many messages of a turn the clock is looked at next, if they were quick so far: after 1, 3, 7, 15, 31,
/// and then each 32 more. So slow ones are noticed before many have been handled, and quick ones pay little.
fn next_look(served: u16) -> u16 {
    served + (served + 1).min(STRIDE)
}

/// What an activation does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Handle a message that may run beside others.
    Shared,
    /// Handle a message that runs alone.
    Exclusive,
    /// There is nothing to do.
    Wait,
    /// It is the turn of other tasks.
    Yield,
    /// Stop in order.
    Stop,
    /// Stop in order, because nothing came for long.
    Passivate,
    /// End as failed.
    Fail,
}

/// One entry of the wheel for all limits of an activation. It is left where it is when a limit becomes void: the
/// activation is then polled once for nothing, instead of touching the wheel for each message.
struct Alarm {
    due: Tick,
    key: Key,
}

impl Alarm {
    /// Makes sure that the task is polled when this is due.
    fn by(&mut self, wheel: &Wheel, due: Tick, now: Tick, task: &Context<'_>) {
        if !self.key.is_none() && !due.before(self.due) && !self.due.passed(now) {
            return;
        }
        self.cancel(wheel);
        self.due = due;
        self.key = wheel.add(due, task.waker().clone());
    }

    fn cancel(&mut self, wheel: &Wheel) {
        let key = std::mem::replace(&mut self.key, Key::NONE);
        if !key.is_none() {
            wheel.remove(key);
        }
    }
}

/// The course of one activation.
pub(super) struct Run<'a, M: Message> {
    pub(super) shared: &'a Arc<Shared<M>>,
    hand: &'a mut Hand<Envelope<M>>,
    alarm: Alarm,
    /// Messages since others were last let run.
    served: u16,
    /// At how many of them the clock is looked at next.
    look_at: u16,
    /// Handlers that ended and messages that had expired, not yet in the meter.
    handled: u32,
    expired: u32,
    /// When the handler in the activation's own slot began, or the hook; its deadline and method.
    began: Tick,
    due: Tick,
    method: u16,
    /// When an orderly stop has taken too long; never, while nobody asked for one.
    stop_due: Tick,
    /// Since when there has been nothing to do, and what had begun by then.
    idle_since: Tick,
    idle_begun: u32,
    /// What had begun before this activation, with those of its messages that are in the meter.
    settled: u32,
    stride_mask: u8,
}

impl<'a, M: Message> Run<'a, M> {
    pub(super) fn new(shared: &'a Arc<Shared<M>>, hand: &'a mut Hand<Envelope<M>>) -> Self {
        shared.books.abandon.store(Abandon::NOT, Relaxed);
        Self {
            stride_mask: shared.mailbox.stride_mask() as u8,
            settled: hand.begun(),
            shared,
            hand,
            alarm: Alarm { due: Tick::NEVER, key: Key::NONE },
            served: 0,
            look_at: next_look(0),
            handled: 0,
            expired: 0,
            began: Tick::NEVER,
            due: Tick::NEVER,
            method: 0,
            stop_due: Tick::NEVER,
            idle_since: Tick::NEVER,
            idle_begun: 0,
        }
    }

    /// Looks at the signal, then at what is in hand, then into the mailbox.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Next {
        let signal = self.shared.signal();
        if signal != 0
            && let Some(next) = self.interrupted(signal)
        {
            return next;
        }
        loop {
            if self.served >= self.look_at && self.look() {
                return Next::Yield;
            }
            let Some(envelope) = self.hand.front() else {
                if self.shared.mailbox.take(self.hand, &self.shared.pace) {
                    continue;
                }
                return if signal & DRAIN == 0 { self.nothing() } else { Next::Stop };
            };
            if envelope.header.due().passed(self.shared.now()) {
                self.drop_expired();
                continue;
            }
            return match envelope.message.access() {
                Access::Shared => Next::Shared,
                Access::Exclusive => Next::Exclusive,
            };
        }
    }

    /// Reads the clock in the middle of a turn: messages expire meanwhile. While they are slow, that is done for each
    /// of them. True: it is the turn of others, after many messages, or fewer that took long or have made
    /// a good packet for another node.
    #[inline(never)]
    fn look(&mut self) -> bool {
        let (before, now) = (self.shared.now(), self.shared.kind().wheel.now());
        self.shared.books.now.store(now.raw(), Relaxed);
        self.look_at = if before == now { next_look(self.served) } else { self.served + 1 };
        let began = Tick::from_raw(self.shared.books.polling.load(Relaxed));
        let long = began != now;
        let is_fenced = !self.shared.kind().may_act_at(now);
        if is_fenced {
            self.shared.fence();
        }
        is_fenced
            || self.served >= BUDGET_QUICK
            || (long && (self.served >= BUDGET || now.until(began) >= TURN_MAX))
            || turn::is_over()
    }

    /// Others were let run.
    fn begin_turn(&mut self) {
        self.served = 0;
        self.look_at = next_look(0);
    }

    /// What cannot wait for the batch in hand.
    #[cold]
    fn interrupted(&mut self, signal: u32) -> Option<Next> {
        if signal & FENCED != 0 {
            // its driver ends it; not even its hooks run
            return Some(Next::Yield);
        }
        if signal & FAIL != 0 {
            return Some(Next::Fail);
        }
        if signal & (STOP | LEAVE) != 0 {
            return Some(Next::Stop);
        }
        if signal & URGENT != 0 {
            self.shared.mailbox.put_back(self.hand, &self.shared.pace);
        }
        if signal & DRAIN != 0 && self.stop_due().passed(self.shared.now()) {
            self.abandon(Abandon::STOP_LATE);
            return Some(Next::Yield);
        }
        None
    }

    #[cold]
    fn drop_expired(&mut self) {
        self.served += 1;
        if let Some(envelope) = self.hand.begin() {
            let expired = &self.shared.books.expired;
            expired.store(expired.load(Relaxed).wrapping_add(1), Relaxed);
            self.expired += 1;
            envelope.refuse(Refusal::Expired);
        }
    }

    /// The mailbox is empty: has it been so for long?
    fn nothing(&mut self) -> Next {
        let now = self.shared.now();
        match self.shared.kind().passivate_after {
            Some(after)
                if !self.idle_since.is_never()
                    && self.idle_begun == self.hand.begun()
                    && self.idle_since.plus(after).passed(now) =>
            {
                if !self.shared.is_busy_aside() {
                    return Next::Passivate;
                }
                // looked at again after the same time
                self.idle_since = now;
                Next::Wait
            }
            _ => Next::Wait,
        }
    }

    /// Takes the message that [`Run::next`] spoke of.
    #[inline(always)]
    fn take(&mut self) -> Envelope<M> {
        self.served += 1;
        // without this one, which is about to begin
        let stride_mask = u32::from(self.stride_mask);
        if self.hand.begun() & stride_mask == stride_mask {
            self.publish();
        }
        let envelope = self.hand.begin().expect("next() has seen it");
        envelope.begins();
        envelope
    }

    /// Tells senders what has begun, and lets in those who wait for room.
    fn publish(&mut self) {
        Mailbox::publish(self.hand, &self.shared.pace);
        if self.shared.signal() & CROWDED != 0 {
            self.shared.mailbox.make_room(&self.shared.pace);
        }
    }

    /// Begins the next message in the activation's own slot.
    #[inline(always)]
    pub(super) fn begin(&mut self, cx: &mut Cx) -> M {
        let Envelope { header, origin, message } = self.take();
        self.began = self.shared.now();
        self.due = header.due();
        self.method = message.method() as u16;
        self.shared.books.doing.store(u32::from(self.method), Relaxed);
        ambient::rearm(header, origin.as_ref());
        cx.rearm(header, origin);
        message
    }

    /// A handler in the own slot ended.
    #[inline]
    pub(super) fn ended(&mut self) {
        self.handled += 1;
    }

    /// Polls a handler that runs alone.
    #[inline]
    pub(super) fn poll_alone(
        &mut self,
        task: &mut Context<'_>,
        handler: Pin<&mut impl Future<Output = ()>>,
    ) -> Poll<()> {
        if handler.poll(task).is_ready() {
            return Poll::Ready(());
        }
        self.hold(task, Ok(Tick::NEVER), None);
        Poll::Pending
    }

    /// Polls a handler that others may run beside; begins some when it waits.
    #[inline]
    pub(super) fn poll_first<F: Future<Output = ()>>(
        &mut self,
        task: &mut Context<'_>,
        handler: Pin<&mut impl Future<Output = ()>>,
        crowd: &mut Crowd<'a, F>,
        cx: &Cx,
        make: impl Fn(Cx, M) -> F,
    ) -> Poll<()> {
        if crowd.len() > 0 {
            self.shared.books.doing.store(u32::from(self.method), Relaxed);
        }
        if ending::alone_in_panic(|| handler.poll(task)).is_ready() {
            return Poll::Ready(());
        }
        if self.shared.kind().concurrency > 1 {
            self.crowd(task, crowd, cx, make);
        }
        let now = self.shared.now();
        self.hold(task, crowd.limit(now), crowd.eldest(now));
        Poll::Pending
    }

    /// Begins messages beside the first handler and polls them, as long as that leads to anything.
    fn crowd<F: Future<Output = ()>>(
        &mut self,
        task: &mut Context<'_>,
        crowd: &mut Crowd<'a, F>,
        cx: &Cx,
        make: impl Fn(Cx, M) -> F,
    ) {
        let most = self.shared.kind().concurrency as usize - 1;
        loop {
            while crowd.len() < most {
                match self.next() {
                    Next::Shared => crowd.push(self.beside(cx, &make)),
                    Next::Yield => {
                        self.begin_turn();
                        task.waker().wake_by_ref();
                        self.handled += crowd.poll(task);
                        return;
                    }
                    // the mailbox is empty, or what comes next must wait for those that run
                    _ => break,
                }
            }
            let ended = crowd.poll(task);
            self.handled += ended;
            if ended == 0 {
                return;
            }
        }
    }

    fn beside<F>(&mut self, cx: &Cx, make: impl Fn(Cx, M) -> F) -> Beside<'a, F> {
        let Envelope { header, origin, message } = self.take();
        let ambient = Ambient::of(self.shared.clone(), header, origin.clone());
        let waits = Waits { since: self.shared.now(), due: header.due(), method: message.method() as u32 };
        let handler = make(cx.fork(header, origin), message);
        Beside::new(handler, ambient, &self.shared.books, self.limit_of(waits.due), waits)
    }

    /// When a handler with this deadline has run too long.
    fn limit_of(&self, due: Tick) -> Tick {
        if due.is_never() { due } else { due.plus(self.shared.kind().grace) }
    }

    /// Something waits: is it within its limits?
    fn hold(&mut self, task: &Context<'_>, crowd: Result<Tick, u32>, eldest: Option<Waits>) {
        let now = self.shared.now();
        let signal = self.shared.signal();
        self.publish();
        self.flush();
        self.show(eldest);
        if signal & (DRAIN | STOP | LEAVE) != 0 {
            let stop_due = self.stop_due();
            self.limit(task, stop_due, Abandon::STOP_LATE);
        }
        let own = self.limit_of(self.due);
        match crowd {
            Err(method) => self.abandon(Abandon::OVERRAN + method),
            Ok(_) if own.passed(now) => self.abandon(Abandon::OVERRAN + u32::from(self.method)),
            Ok(theirs) => {
                let limit = own.earlier(theirs);
                if !limit.is_never() {
                    self.alarm.by(&self.shared.kind().wheel, limit, now, task);
                }
            }
        }
    }

    /// A hook of the activation begins.
    pub(super) fn begin_hook(&mut self) {
        (self.began, self.due) = (self.shared.now(), Tick::NEVER);
    }

    /// Tells whoever looks what waits for longest.
    fn show(&self, beside: Option<Waits>) {
        let own = Waits { since: self.began, due: self.due, method: u32::from(self.method) };
        let books = &self.shared.books;
        let shown = match beside {
            Some(beside) if own.since.is_never() || beside.since.before(own.since) => beside,
            _ => own,
        };
        if beside.is_some() {
            books.doing.store(shown.method, Relaxed);
        }
        books.due.store(shown.due.raw(), Relaxed);
        books.held.store(shown.since.raw(), Relaxed);
    }

    /// Drops the activation once this is due, unless what it waits for ends before.
    pub(super) fn limit(&mut self, task: &Context<'_>, due: Tick, why: u32) {
        let now = self.shared.now();
        if due.passed(now) {
            self.abandon(why);
        } else {
            self.alarm.by(&self.shared.kind().wheel, due, now, task);
        }
    }

    /// The same for a hook, which waits alone.
    pub(super) fn limit_hook(&mut self, task: &Context<'_>, due: Tick, why: u32) {
        self.show(None);
        self.limit(task, due, why);
    }

    /// Whether messages wait that were let in.
    pub(super) fn has_mail(&self) -> bool {
        Mailbox::publish(self.hand, &self.shared.pace);
        self.shared.mailbox.load(&self.shared.pace).count > 0
    }

    /// Lets the driver drop the activation after this poll.
    pub(super) fn abandon(&self, why: u32) {
        self.shared.books.abandon.store(why, Relaxed);
    }

    /// When the orderly stop has taken too long. It counts from the first look.
    pub(super) fn stop_due(&mut self) -> Tick {
        if self.stop_due.is_never() {
            self.stop_due = self.shared.now().plus(self.shared.kind().stop_within);
        }
        self.stop_due
    }

    /// Waits until something happens. Ready at the second poll, or when one of the crowd ended.
    pub(super) fn poll_wait<F: Future<Output = ()>>(
        &mut self,
        task: &mut Context<'_>,
        crowd: &mut Crowd<'a, F>,
        next: Next,
        waited: &mut bool,
    ) -> Poll<()> {
        let ended = crowd.poll(task);
        self.handled += ended;
        self.begin_turn();
        if ended > 0 || std::mem::replace(waited, true) {
            return Poll::Ready(());
        }
        (self.began, self.due) = (Tick::NEVER, Tick::NEVER);
        self.shared.books.held.store(Tick::NEVER.raw(), Relaxed);
        self.flush();
        if next == Next::Yield {
            task.waker().wake_by_ref();
        }
        if crowd.len() > 0 {
            self.idle_since = Tick::NEVER;
            let now = self.shared.now();
            self.hold(task, crowd.limit(now), crowd.eldest(now));
        } else if next == Next::Wait {
            self.idle(task);
        }
        Poll::Pending
    }

    /// There is nothing to do at all.
    fn idle(&mut self, task: &Context<'_>) {
        let Some(after) = self.shared.kind().passivate_after else { return };
        let now = self.shared.now();
        if self.idle_since.is_never() || self.idle_begun != self.hand.begun() {
            self.idle_since = now;
            self.idle_begun = self.hand.begun();
        }
        self.alarm.by(&self.shared.kind().wheel, self.idle_since.plus(after), now, task);
    }

    /// Writes what has been counted into the books of the service.
    pub(super) fn flush(&mut self) {
        let meter = &self.shared.kind().meter;
        self.settled = self.settled.wrapping_add(self.handled).wrapping_add(self.expired);
        if self.handled > 0 {
            meter.add_handled(u64::from(std::mem::take(&mut self.handled)));
        }
        if self.expired > 0 {
            meter.add_expired(u64::from(std::mem::take(&mut self.expired)));
        }
    }
}

impl<M: Message> Drop for Run<'_, M> {
    fn drop(&mut self) {
        self.flush();
        let cut_short = self.hand.begun().wrapping_sub(self.settled);
        if cut_short > 0 {
            self.shared.kind().meter.add_cut_short(u64::from(cut_short));
        }
        self.shared.books.held.store(Tick::NEVER.raw(), Relaxed);
        self.alarm.cancel(&self.shared.kind().wheel);
    }
}
