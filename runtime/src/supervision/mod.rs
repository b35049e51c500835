//! Keeps what should run running. (First form: every abnormal end is followed by a restart at once; the tree on
//! ractor replaces this behind the same names.)

use crate::cell::port::{CellStatus, Overseer, Port};
use crate::directory::ServiceKind;
use crate::host::Executor;
use odeon_core::ServiceName;
use odeon_core::supervision::Exit;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// What happens when an activation ends.
#[derive(Clone, Debug, Default)]
pub struct RestartPolicy {}

/// The supervision tree at one moment.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct TreeNode {
    /// Its name.
    pub name: String,
    /// Below it.
    pub children: Vec<TreeNode>,
}

/// The supervision tree of a node.
pub(crate) struct Tree {
    hosts: Mutex<Vec<Arc<ServiceHost>>>,
}

impl Tree {
    /// An empty tree whose supervisors run on the executor.
    pub(crate) async fn start(executor: &Executor, seed: u64) -> Result<Tree, String> {
        let _ = (executor, seed);
        Ok(Tree { hosts: Mutex::default() })
    }

    /// A host for the cells of a service. It starts last and stops first.
    pub(crate) async fn add_service(
        &self,
        name: &ServiceName,
        kind: ServiceKind,
        restart: &RestartPolicy,
    ) -> Arc<dyn Overseer> {
        let _ = (kind, restart);
        let host = Arc::new(ServiceHost { name: name.clone(), cells: Mutex::default() });
        self.hosts.lock().push(host.clone());
        host
    }

    /// The tree now, with the busiest cells of each service.
    pub(crate) async fn snapshot(&self, entities_max: usize) -> TreeNode {
        let hosts = self.hosts.lock().clone();
        let children = hosts.iter().map(|host| host.describe(entities_max)).collect();
        TreeNode { name: "node".into(), children }
    }

    /// Whether every service has an activation that runs, or is made of entities.
    pub(crate) fn is_ready(&self) -> bool {
        true
    }

    /// Stops everything in reverse order; returns how many activations had to be killed.
    pub(crate) async fn stop(&self, within: Duration) -> usize {
        let _ = within;
        for host in self.hosts.lock().iter().rev() {
            for cell in host.cells.lock().values().filter_map(Weak::upgrade) {
                cell.drain(odeon_core::supervision::StopReason::Shutdown);
            }
        }
        0
    }
}

struct ServiceHost {
    name: ServiceName,
    cells: Mutex<BTreeMap<odeon_core::ActivationId, Weak<dyn Port>>>,
}

impl ServiceHost {
    fn describe(&self, most: usize) -> TreeNode {
        let cells: Vec<CellStatus> =
            self.cells.lock().values().filter_map(Weak::upgrade).map(|c| c.status()).take(most).collect();
        let leaf = |c: CellStatus| TreeNode { name: c.id.to_string(), children: vec![] };
        TreeNode { name: self.name.to_string(), children: cells.into_iter().map(leaf).collect() }
    }
}

impl Overseer for ServiceHost {
    fn born(&self, cell: Arc<dyn Port>) {
        self.cells.lock().insert(cell.id(), Arc::downgrade(&cell));
    }
    fn started(&self, _: &dyn Port) {}
    fn ended(&self, cell: &dyn Port, exit: &Exit) -> bool {
        if !exit.is_normal() {
            cell.restart();
        }
        !exit.is_normal()
    }
    fn watch(&self, _: &dyn Port, callback: Box<dyn FnOnce(&Exit) + Send>) {
        drop(callback);
    }
    fn gone(&self, cell: &dyn Port, _: &Exit) {
        self.cells.lock().remove(&cell.id());
    }
}
