//! A part of a node that is no service, such as a listener: one future that runs until it is told to stop.

use super::child::{Child, Reports};
use super::node::{TreeNode, TreeNodeKind};
use crate::host::Executor;
use futures_util::future::BoxFuture;
use odeon_core::supervision::{ChildSpec, Exit, Restart, StopReason};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Acquire};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinError};

type Run = Arc<dyn Fn(Running) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// A part of a node that is no service, such as a listener: what its supervisor knows of it.
#[derive(Clone, Debug)]
pub struct PartSpec {
    pub(super) name: String,
    pub(super) stop_within: Duration,
    pub(super) outlives_services: bool,
    pub(crate) apart: bool,
}

impl PartSpec {
    /// A part that starts after the services and stops before them, within 5 s.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            stop_within: ChildSpec::STOP_WITHIN,
            outlives_services: false,
            apart: false,
        }
    }

    /// Longest orderly stop; then it is dropped.
    #[must_use]
    pub fn stop_within(mut self, time: Duration) -> Self {
        self.stop_within = time;
        self
    }

    /// It stops after the services: for what tells about the node.
    #[must_use]
    pub fn outlives_services(mut self) -> Self {
        self.outlives_services = true;
        self
    }

    /// It runs on the node's control executor, if the node has one: for what has to work whatever handlers do.
    #[must_use]
    pub fn apart(mut self) -> Self {
        self.apart = true;
        self
    }

    pub(super) fn child(&self) -> ChildSpec {
        // one that ends in order has done what it was for
        ChildSpec::permanent(&self.name)
            .restarted(Restart::Transient)
            .within(ChildSpec::START_WITHIN, self.stop_within)
    }
}

/// Why a part was not added: there is one of that name, it could not start, or the node is stopping.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a part of the node cannot run: {0}")]
pub struct AddPartError(pub(crate) String);

/// What a part is handed each time it starts.
#[derive(Clone, Debug)]
pub struct Running {
    reports: Reports,
    ready: Arc<AtomicBool>,
    stopping: watch::Receiver<bool>,
}

impl Running {
    /// The part does its work from now on. What depends on it starts only after this.
    pub fn ready(&self) {
        if !self.ready.swap(true, AcqRel) {
            self.reports.started();
        }
    }

    /// Waits until the part is told to stop. It then ends in order as soon as it can.
    pub async fn stopping(&mut self) {
        // A part whose supervisor is gone is to stop too.
        let _ = self.stopping.wait_for(|stopping| *stopping).await;
    }
}

/// A part as a child of a supervisor.
pub(crate) struct Part {
    name: String,
    executor: Executor,
    run: Run,
    current: Option<(watch::Sender<bool>, AbortHandle)>,
}

impl Part {
    /// `run` is called for each start. An error after it was ready is a failure, one before it a failed start.
    pub(crate) fn new<F>(
        name: &str,
        executor: Executor,
        run: impl Fn(Running) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let run: Run = Arc::new(move |running| Box::pin(run(running)));
        Self { name: name.into(), executor, run, current: None }
    }
}

impl Child for Part {
    fn start(&mut self, reports: Reports) {
        let (stop, stopping) = watch::channel(false);
        let ready = Arc::new(AtomicBool::new(false));
        let running = Running { reports: reports.clone(), ready: ready.clone(), stopping: stopping.clone() };
        let run = self.run.clone();
        // called in the task, so that a panic in it is the part's own
        let task = self.executor.spawn(async move { run(running).await });
        self.current = Some((stop, task.abort_handle()));
        self.executor.spawn(async move {
            let exit = match task.await {
                Ok(Ok(())) => {
                    let asked = *stopping.borrow();
                    Exit::Stopped { reason: if asked { StopReason::Shutdown } else { StopReason::Own } }
                }
                Ok(Err(problem)) if ready.load(Acquire) => Exit::Failed { problem },
                Ok(Err(problem)) => Exit::StartFailed { problem },
                Err(error) => aborted(error),
            };
            reports.ended(exit);
        });
    }

    fn stop(&mut self, _: Duration) {
        if let Some((stop, _)) = &self.current {
            stop.send_replace(true);
        }
    }

    fn kill(&mut self) {
        if let Some((_, abort)) = &self.current {
            abort.abort();
        }
    }

    fn describe(&self, _: usize) -> BoxFuture<'static, TreeNode> {
        let node = TreeNode { name: self.name.clone(), kind: TreeNodeKind::Part, ..TreeNode::default() };
        Box::pin(std::future::ready(node))
    }
}

fn aborted(error: JoinError) -> Exit {
    match error.try_into_panic() {
        Ok(payload) => {
            let text = payload
                .downcast_ref::<&str>()
                .map(ToString::to_string)
                .or_else(|| payload.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "(no text)".to_owned());
            Exit::Panicked { text, method: "run".to_owned() }
        }
        Err(_) => Exit::Killed,
    }
}
