//! One activation, from its constructor to its stop hook. Its state is borrowed in turns: shared by handlers that
//! run beside each other, or exclusive by one that runs alone.

use super::ambient::{self, Ambient};
use super::crowd::Crowd;
use super::port::{Phase, Port};
use super::run::{Next, Run};
use super::shared::{Abandon, DRAIN, Hook, STOP, Shared};
use crate::service::contract::{Contract, Service};
use crate::service::message::{Header, Message};
use crate::service::{Cx, StartError};
use futures_util::future::BoxFuture;
use odeon_core::supervision::{Exit, StopReason};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

pub(super) type MessageOf<S> = <<S as Service>::Contract as Contract>::Message;

/// How often an activation that is not ready is asked again.
const READY_EVERY: Duration = Duration::from_millis(50);

/// Makes the state of an activation, again for each. One word: each cell has one.
pub(crate) struct Constructor<S>(Arc<Making<S>>);

enum Making<S> {
    /// At once.
    Plain(Box<dyn Fn() -> S + Send + Sync>),
    /// With an asynchronous start that may fail.
    #[allow(clippy::type_complexity, reason = "it is written nowhere else")]
    Started(Box<dyn Fn(Cx) -> BoxFuture<'static, Result<S, StartError>> + Send + Sync>),
}

impl<S> Constructor<S> {
    /// At once.
    pub(crate) fn plain(make: impl Fn() -> S + Send + Sync + 'static) -> Self {
        Self(Arc::new(Making::Plain(Box::new(make))))
    }

    /// With an asynchronous start that may fail.
    pub(crate) fn started(
        start: impl Fn(Cx) -> BoxFuture<'static, Result<S, StartError>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Making::Started(Box::new(start))))
    }
}

impl<S> Clone for Constructor<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Runs one activation to its end. It is dropped instead when [`Run::abandon`] says so or when it is killed.
///
/// There are as many of these as there are cells: what only matters for a moment is boxed, and nothing is kept that
/// another thing here knows too.
#[allow(clippy::manual_async_fn, reason = "the arguments of an async function are kept twice")]
pub(super) fn activate<'a, S: Service>(
    mut run: Run<'a, MessageOf<S>>,
    constructor: &'a Constructor<S>,
) -> impl Future<Output = Exit> + Send + 'a {
    async move {
        let mut cx = Cx::of(run.shared.clone());
        doing(run.shared, Phase::Starting, Hook::START);
        let mut state = match &*constructor.0 {
            Making::Plain(make) => make(),
            Making::Started(start) => {
                let mut start = start(cx.fork(Header::default(), None));
                match Box::pin(before_limit(&mut run, start.as_mut())).await {
                    Ok(state) => state,
                    Err(error) => return Exit::StartFailed { problem: error.to_string() },
                }
            }
        };
        doing(run.shared, Phase::Starting, Hook::READY);
        if !before_limit(&mut run, pin!(state.ready(&cx))).await {
            Box::pin(become_ready(&mut run, &state, &cx)).await;
        }
        serving(run.shared);
        // one round for each message that runs alone, and for those in between that do not
        let last = loop {
            let mut next = run.next();
            if next != Next::Exclusive {
                let state = &state;
                let mut crowd = Crowd::new();
                let alone = loop {
                    match next {
                        Next::Shared if crowd.len() < run.shared.kind().concurrency as usize => {
                            // the message must not be a variable: it would be kept in this future as well
                            let mut handler = pin!({
                                let message = run.begin(&mut cx);
                                state.shared(&cx, message)
                            });
                            poll_fn(|task| {
                                let make = |cx: Cx, message| async move { state.shared(&cx, message).await };
                                run.poll_first(task, handler.as_mut(), &mut crowd, &cx, make)
                            })
                            .await;
                            run.ended();
                        }
                        next @ (Next::Exclusive | Next::Stop | Next::Passivate | Next::Fail)
                            if crowd.len() == 0 =>
                        {
                            break next;
                        }
                        next => {
                            let mut waited = false;
                            poll_fn(|task| run.poll_wait(task, &mut crowd, next, &mut waited)).await;
                        }
                    }
                    next = run.next();
                };
                if alone != Next::Exclusive {
                    break alone;
                }
            }
            let mut handler = pin!({
                let message = run.begin(&mut cx);
                state.exclusive(&cx, message)
            });
            poll_fn(|task| run.poll_alone(task, handler.as_mut())).await;
            run.ended();
        };
        run.flush();
        match last {
            Next::Fail => run.shared.take_failure().unwrap_or(Exit::Killed),
            // boxed: most of an activation's life is spent without it
            _ => Box::pin(finish(&mut run, &mut state, &mut cx, last == Next::Passivate)).await,
        }
    }
}

fn doing<M: Message>(shared: &Shared<M>, phase: Phase, hook: u32) {
    shared.set_phase(phase);
    shared.books.doing.store(hook, Relaxed);
}

/// From now on what is sent is sent by handlers.
fn serving<M: Message>(shared: &Arc<Shared<M>>) {
    ambient::swap(&mut Some(Ambient::of(shared.clone(), Header::default(), None)));
    doing(shared, Phase::Running, Hook::NOTHING);
    shared.kind().meter.add_activation();
    shared.kind().overseer.started(&**shared);
}

/// Awaits a part of the start; the activation is dropped when that takes too long, or when a stop is asked for and
/// nothing waits that it would handle before.
async fn before_limit<M: Message, T>(
    run: &mut Run<'_, M>,
    mut start: Pin<&mut (impl Future<Output = T> + ?Sized)>,
) -> T {
    let shared = run.shared;
    let due = shared.now().plus(shared.kind().start_within);
    run.begin_hook();
    poll_fn(|task| {
        let polled = start.as_mut().poll(task);
        if polled.is_pending() {
            let signal = shared.signal();
            if signal & STOP != 0 || (signal & DRAIN != 0 && !run.has_mail()) {
                run.abandon(Abandon::UNSTARTED);
            } else if signal & DRAIN != 0 && run.stop_due().before(due) {
                let stop_due = run.stop_due();
                run.limit_hook(task, stop_due, Abandon::UNSTARTED);
            } else {
                run.limit_hook(task, due, Abandon::START_LATE);
            }
        }
        polled
    })
    .await
}

/// It has said that it is not ready yet.
async fn become_ready<S: Service>(run: &mut Run<'_, MessageOf<S>>, state: &S, cx: &Cx) {
    let wheel = run.shared.kind().wheel.clone();
    let ready = async {
        loop {
            wheel.sleep_until(wheel.due(READY_EVERY)).await;
            if state.ready(cx).await {
                return;
            }
        }
    };
    before_limit(run, pin!(ready)).await;
}

/// The orderly end.
async fn finish<S: Service>(
    run: &mut Run<'_, MessageOf<S>>,
    state: &mut S,
    cx: &mut Cx,
    passivate: bool,
) -> Exit {
    let shared = run.shared;
    let reason = if passivate { StopReason::Passivated } else { shared.stop_reason() };
    let due = run.stop_due();
    run.begin_hook();
    cx.rearm(Header::default(), None);
    ambient::swap(&mut Some(Ambient::beside(shared.clone(), Header::default(), None)));
    let mut hooks = pin!(async {
        if reason == StopReason::Passivated {
            doing(shared, Phase::Stopping, Hook::PASSIVATE);
            let left = state.passivate(cx).await;
            if !left.is_empty() {
                shared.kind().overseer.passivated(&**shared, left);
            }
        }
        doing(shared, Phase::Stopping, Hook::STOP);
        state.stop(cx, reason).await;
    });
    poll_fn(|task| {
        let polled = hooks.as_mut().poll(task);
        if polled.is_pending() {
            run.limit_hook(task, due, Abandon::STOP_LATE);
        }
        polled
    })
    .await;
    doing(shared, Phase::Stopping, Hook::NOTHING);
    Exit::Stopped { reason }
}
