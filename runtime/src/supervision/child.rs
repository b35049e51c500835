//! What a supervisor can supervise.

use super::node::TreeNode;
use futures_util::future::BoxFuture;
use odeon_core::supervision::Exit;
use ractor::{Actor, ActorCell, SpawnErr};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What can be a child: a host of cells, another supervisor, or a part such as a listener.
///
/// After each `start` it reports that it has started, if it comes to that, and in any case exactly one end. It may
/// be started again after that.
pub(crate) trait Child: Send {
    /// Begins in the background.
    fn start(&mut self, reports: Reports);
    /// Ends in order, in the background. It may still be starting.
    fn stop(&mut self, within: Duration);
    /// Ends as soon as it can.
    fn kill(&mut self);
    /// Itself and what is below it, as they are now. `cells_max` bounds how many cells of each service are listed.
    fn describe(&self, cells_max: usize) -> BoxFuture<'static, TreeNode>;
}

/// What a child tells its supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// It runs.
    Started,
    /// It has ended.
    Ended(Exit),
}

/// To whom a child reports about one start of it.
#[derive(Clone)]
pub(crate) struct Reports {
    to: Arc<dyn Fn(Report) + Send + Sync>,
    supervisor: Option<ActorCell>,
}

impl Reports {
    /// To whoever wants to know.
    pub(crate) fn to(receive: impl Fn(Report) + Send + Sync + 'static) -> Self {
        Self { to: Arc::new(receive), supervisor: None }
    }

    /// The same, for a child of this actor.
    pub(crate) fn below(self, supervisor: ActorCell) -> Self {
        Self { supervisor: Some(supervisor), ..self }
    }

    /// The child runs.
    pub(crate) fn started(&self) {
        (self.to)(Report::Started);
    }

    /// The child has ended.
    pub(crate) fn ended(&self, exit: Exit) {
        (self.to)(Report::Ended(exit));
    }

    /// Runs a ractor actor below the supervisor's, until it ends. It has no name: names are process-wide.
    ///
    /// The link makes ractor end it when the supervisor's actor dies by a fault of its own. The reason of an end
    /// does not travel by it: the actor reports that itself.
    pub(crate) async fn run<A: Actor>(&self, actor: A, arguments: A::Arguments) -> Result<(), SpawnErr> {
        let (_, end) = match self.supervisor.clone() {
            Some(supervisor) => Actor::spawn_linked(None, actor, arguments, supervisor).await?,
            None => Actor::spawn(None, actor, arguments).await?,
        };
        // A panic is caught by ractor; whoever called looks whether an end was reported.
        let _ = end.await;
        Ok(())
    }
}

impl fmt::Debug for Reports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reports").field("supervisor", &self.supervisor).finish_non_exhaustive()
    }
}
