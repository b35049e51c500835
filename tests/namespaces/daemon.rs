//! A node as a process of its own at a host of the network, and what it tells of itself by the command line.

use super::disk::Disk;
use super::net::Net;
use odeon_tests::history::{HISTORY_VARIABLE, callers_of};
use odeon_tests::traffic::{NODE_VARIABLE, Report};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::rc::Rc;

/// The command line, with the services that make traffic.
const PROGRAM: &str = env!("CARGO_BIN_EXE_traffic");
/// Where each node listens at its address.
const PORT: u16 = 7_100;
/// What members of a cluster write together.
pub(crate) const HISTORY: &str = "history";
/// The book of the bank that their shop charges with.
pub(crate) const BOOK: &str = "book";
/// What the shop is told.
const SHOP: &str = "[services.crowd]\nshoppers = 6\npause_ms = 100\n[services.payment]\nbook = \"book\"\n";
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

/// What `members --json` says.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Members {
    pub(crate) node: String,
    pub(crate) standing: String,
    pub(crate) holds_lease: bool,
    pub(crate) members: Vec<Member>,
    #[serde(default)]
    pub(crate) gone: Vec<Gone>,
}

/// A member there.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) incarnation: u64,
    pub(crate) role: String,
    pub(crate) suspect_ms: Option<u64>,
    #[serde(default)]
    pub(crate) suspected_by: Vec<String>,
}

/// One that is a member no more.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Gone {
    pub(crate) name: String,
    pub(crate) incarnation: u64,
    pub(crate) reason: String,
}

#[derive(Deserialize)]
struct Processes {
    cells: Vec<Activation>,
}

#[derive(Deserialize)]
struct Activation {
    restarts: u64,
}

#[derive(Deserialize)]
struct Here {
    pid: u32,
}

/// An empty directory for one test.
pub(crate) fn place(test: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("namespaces").join(test);
    // there is nothing to remove the first time
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("the target directory is writable");
    path
}

/// What nodes are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bond {
    /// They have links.
    Links,
    /// They agree on who is a member, and write down what happens in the file [`HISTORY`]. They have a shop, whose charges
    /// are in the file [`BOOK`].
    Membership,
}

/// Where the nodes of a cluster are started, each at the host of its name.
pub(crate) struct Site {
    pub(crate) net: Rc<Net>,
    pub(crate) place: PathBuf,
    names: Vec<&'static str>,
    bond: Bond,
}

impl Site {
    /// Makes a cluster of these nodes.
    pub(crate) fn prepare(net: &Rc<Net>, place: PathBuf, names: &[&'static str], bond: Bond) -> Self {
        let nodes = names.join(",");
        let init = ["cluster", "init", "--name", "freight", "--directory", "cluster", "--nodes", &nodes];
        let made = Command::new(PROGRAM).args(init).current_dir(&place).output().expect("the program runs");
        assert!(made.status.success(), "{made:?}");
        let site = Self { net: net.clone(), place, names: names.to_vec(), bond };
        for name in names {
            let config = site.config(name);
            std::fs::write(site.place.join(format!("{name}.toml")), config).expect("the place is writable");
        }
        site
    }

    fn config(&self, name: &str) -> String {
        let listen = |name: &str| SocketAddr::from((self.net.address(name), PORT));
        let peers = self.names.iter().filter(|peer| **peer != name);
        let peers: Vec<_> = peers.map(|peer| listen(peer).to_string()).collect();
        let members = match self.bond {
            Bond::Links => String::new(),
            Bond::Membership => format!("founders = {:?}\n{SHOP}", self.names),
        };
        format!(
            "[node]\nname = \"{name}\"\ndirectory = \"{name}\"\n[http]\naddress = \"127.0.0.1:0\"\n\
             [management]\naddress = \"127.0.0.1:0\"\n\
             [cluster]\nlisten = \"{}\"\ncredentials = \"cluster/nodes/{name}\"\npeers = {peers:?}\n{members}",
            listen(name)
        )
    }

    /// Starts all of them.
    pub(crate) fn start_all(&self) -> Vec<Daemon> {
        self.names.iter().map(|name| self.start(name, None)).collect()
    }

    /// Starts one, which may have its directory on a disk of its own.
    pub(crate) fn start(&self, name: &'static str, disk: Option<&Disk>) -> Daemon {
        let log = File::options().append(true).create(true).open(self.place.join(format!("{name}.log")));
        let mut command = match disk {
            Some(disk) => disk.command(&self.net, &self.place, PROGRAM),
            None => self.net.command(name, PROGRAM),
        };
        command.args(["node", "--config", &format!("{name}.toml")]).current_dir(&self.place);
        if self.bond == Bond::Membership {
            command.env(HISTORY_VARIABLE, self.place.join(HISTORY));
        }
        command.env(NODE_VARIABLE, name).env_remove("ODEON_LOG").stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(log.expect("the place is writable"));
        let child = command.spawn().expect("ip runs");
        let directory = disk.map_or_else(|| PathBuf::from(name), Disk::path);
        Daemon { name, child, place: self.place.clone(), directory, net: self.net.clone() }
    }
}

/// A node that runs. It is killed, by its own id, when its test ends.
pub(crate) struct Daemon {
    pub(crate) name: &'static str,
    child: Child,
    place: PathBuf,
    /// As it is found from there.
    directory: PathBuf,
    net: Rc<Net>,
}

impl Daemon {
    /// Asks the node by the command line. None: it does not answer.
    fn ask(&self, arguments: &[&str]) -> Option<String> {
        let mut command = self.net.command(self.name, PROGRAM);
        command.args(arguments).arg("--dir").arg(&self.directory).current_dir(&self.place);
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

    /// Who is a member, as far as it knows. None: it is not up.
    pub(crate) fn members(&self) -> Option<Members> {
        self.read(&["members", "--json"])
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.place.join(format!("{}.log", self.name))).unwrap_or_default()
    }

    /// The id of the process that was started, if that still runs.
    pub(crate) fn process(&mut self) -> Option<u32> {
        self.ended().is_none().then(|| self.child.id())
    }

    /// How it has ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is ours")
    }

    /// The process that runs in its directory, by its own word.
    pub(crate) fn announced(&self) -> Option<u32> {
        let text = std::fs::read(self.place.join(&self.directory).join("node.json")).ok()?;
        let here: Here = serde_json::from_slice(&text).ok()?;
        Some(here.pid)
    }

    /// Those who call entities from there begin, or end.
    pub(crate) fn tell_callers(&self, order: &str) -> Option<String> {
        self.ask(&["call", &callers_of(self.name), order])
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
        if let Some(status) = self.ended() {
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
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
            let _ = writeln!(std::io::stderr(), "the last of {}:\n{last}", self.name);
        }
    }
}
