//! A node as a process of its own at a host of the network, and what it tells of itself by the command line.

use super::net::Net;
use odeon_tests::traffic::{NODE_VARIABLE, Report};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

/// The command line, with the services that make traffic.
const PROGRAM: &str = env!("CARGO_BIN_EXE_traffic");
/// Where each node listens at its address.
const PORT: u16 = 7_100;
/// Lines of its log that are shown when a test fails.
const LINES: usize = 30;

/// What `links --json` says.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Links {
    pub(crate) node: String,
    pub(crate) links: Vec<Link>,
}

/// One link there.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Link {
    pub(crate) node: String,
    pub(crate) connected: bool,
    pub(crate) sent: u64,
    pub(crate) handled: u64,
    pub(crate) refused: BTreeMap<String, u64>,
    pub(crate) expired: u64,
    pub(crate) lost: BTreeMap<String, u64>,
    pub(crate) open: u64,
    pub(crate) queued: u64,
    pub(crate) calls: u64,
}

#[derive(Deserialize)]
struct Processes {
    cells: Vec<Activation>,
}

#[derive(Deserialize)]
struct Activation {
    restarts: u64,
}

/// An empty directory for one test.
pub(crate) fn place(test: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("namespaces").join(test);
    // there is nothing to remove the first time
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("the target directory is writable");
    path
}

/// A node that runs. It is killed, by its own id, when its test ends.
pub(crate) struct Daemon {
    pub(crate) name: &'static str,
    child: Child,
    place: PathBuf,
    net: Rc<Net>,
}

impl Daemon {
    /// Makes a cluster of these nodes, and starts each at the host of its name.
    pub(crate) fn start_all(net: &Rc<Net>, place: &Path, names: &[&'static str]) -> Vec<Self> {
        let nodes = names.join(",");
        let init = ["cluster", "init", "--name", "freight", "--directory", "cluster", "--nodes", &nodes];
        let made = Command::new(PROGRAM).args(init).current_dir(place).output().expect("the program runs");
        assert!(made.status.success(), "{made:?}");
        names.iter().map(|name| Self::start(net, place, name, names)).collect()
    }

    fn start(net: &Rc<Net>, place: &Path, name: &'static str, all: &[&str]) -> Self {
        let listen = |name: &str| SocketAddr::from((net.address(name), PORT));
        let peers: Vec<_> =
            all.iter().filter(|peer| **peer != name).map(|peer| listen(peer).to_string()).collect();
        let config = format!(
            "[node]\nname = \"{name}\"\ndirectory = \"{name}\"\n[http]\naddress = \"127.0.0.1:0\"\n\
             [management]\naddress = \"127.0.0.1:0\"\n\
             [cluster]\nlisten = \"{}\"\ncredentials = \"cluster/nodes/{name}\"\npeers = {peers:?}\n",
            listen(name)
        );
        std::fs::write(place.join(format!("{name}.toml")), config).expect("the place is writable");
        let log = File::create(place.join(format!("{name}.log"))).expect("the place is writable");
        let mut command = net.command(name, PROGRAM);
        command.args(["node", "--config", &format!("{name}.toml")]).current_dir(place);
        command.env(NODE_VARIABLE, name).env_remove("ODEON_LOG").stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(log);
        let child = command.spawn().expect("ip runs");
        Self { name, child, place: place.to_owned(), net: net.clone() }
    }

    /// Asks the node by the command line. None: it does not answer.
    fn ask(&self, arguments: &[&str]) -> Option<String> {
        let mut command = self.net.command(self.name, PROGRAM);
        command.args(arguments).args(["--dir", self.name]).current_dir(&self.place);
        let ran = command.env_remove("ODEON_LOG").output().expect("ip runs");
        ran.status.success().then(|| String::from_utf8(ran.stdout).expect("people read text"))
    }

    fn read<T: for<'de> Deserialize<'de>>(&self, arguments: &[&str]) -> Option<T> {
        let text = self.ask(arguments)?;
        Some(serde_json::from_str(&text).unwrap_or_else(|e| panic!("{arguments:?} ({e}): {text}")))
    }

    /// Its links. None: it is not up.
    pub(crate) fn links(&self) -> Option<Links> {
        self.read(&["links", "--over", "0s", "--json"])
    }

    /// Its link to another node, if it has met that one.
    pub(crate) fn link(&self, peer: &str) -> Option<Link> {
        let node = format!("{peer}@1");
        self.links()?.links.into_iter().find(|link| link.node == node)
    }

    /// How its messages fare.
    pub(crate) fn report(&self) -> Report {
        self.read(&["call", "traffic", "report"]).expect("the node answers")
    }

    /// It begins to send to others, and they can be called.
    pub(crate) fn begin(&self, nodes: &[&str]) {
        let arguments = serde_json::json!({ "nodes": nodes }).to_string();
        self.ask(&["call", "traffic", "begin", &arguments]).expect("the node answers");
    }

    /// It begins nothing new.
    pub(crate) fn end(&self) {
        self.ask(&["call", "traffic", "end"]).expect("the node answers");
    }

    /// Whether it is the process that was started, and so are all of its activations.
    pub(crate) fn has_run_through(&mut self) -> Result<(), String> {
        if let Some(status) = self.child.try_wait().expect("it is ours") {
            return Err(format!("{} has ended: {status}", self.name));
        }
        let identity = self.links().map(|links| links.node);
        let processes: Option<Processes> = self.read(&["ps", "--json"]);
        let restarts = processes.map(|all| all.cells.iter().map(|cell| cell.restarts).collect::<Vec<_>>());
        match (identity, restarts) {
            (Some(node), Some(restarts)) if node == format!("{}@1", self.name) => {
                match !restarts.is_empty() && restarts.iter().all(|count| *count == 0) {
                    true => Ok(()),
                    false => Err(format!("activations of {node} began anew: {restarts:?}")),
                }
            }
            (identity, _) => Err(format!("{} is now {identity:?}", self.name)),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // one that has ended needs no kill
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log =
                std::fs::read_to_string(self.place.join(format!("{}.log", self.name))).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
            let _ = writeln!(std::io::stderr(), "the last of {}:\n{last}", self.name);
        }
    }
}
