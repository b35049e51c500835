//! Clusters of real nodes: by `odeon up`, or each node by a command of its own. All end with their measurement.

use super::node::{Node, until_in_cluster};
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// What the nodes are called: as `up` calls them.
const NAMES: [&str; 5] = ["one", "two", "three", "four", "five"];
/// Nodes that form a cluster, or come back to one, have this time.
pub const FORMED_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks at whether they have.
pub const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Below the ports that operating systems hand out by themselves: a node comes back to where it was.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A process, and what ends it: its standard input, which ends with this process.
#[derive(Debug)]
struct Running(Child);

impl Running {
    /// In a group of its own, so that Ctrl-C comes to this process alone. What it says goes to a file.
    fn start(mut command: Command, log: &Path) -> Result<Self> {
        let log = File::options().append(true).create(true).open(log)?;
        command.process_group(0).stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        Ok(Self(command.spawn().with_context(|| format!("{command:?}"))?))
    }
}

/// A cluster that `odeon up` keeps: it starts again what ends.
#[derive(Debug)]
pub struct Up {
    /// Its nodes.
    pub nodes: Vec<Node>,
    keeper: Running,
    folder: TempDir,
}

impl Up {
    /// Starts it and waits until all nodes are members.
    ///
    /// # Errors
    /// They do not become ones in time.
    pub async fn start(program: &Path, count: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let root = folder.path().join("cluster");
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("keep").arg(fs::canonicalize(program)?);
        command.args(["up", "--http", "127.0.0.1:0", "--nodes", &count.to_string(), "--dir"]).arg(&root);
        let keeper = Running::start(command, &folder.path().join("log"))?;
        let up = Self { nodes: nodes(&root, count), keeper, folder };
        up.until_whole().await?;
        Ok(up)
    }

    /// Waits until all nodes are members.
    ///
    /// # Errors
    /// They do not become ones in time; with what `up` has said.
    pub async fn until_whole(&self) -> Result<()> {
        let whole = until_in_cluster(&self.nodes, LOOK_EVERY, FORMED_WITHIN).await;
        whole.with_context(|| {
            fs::read_to_string(self.folder.path().join("log")).unwrap_or_else(|error| error.to_string())
        })
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // then it stops `up`, which stops the nodes
        drop(self.keeper.0.stdin.take());
        let _ = self.keeper.0.wait();
    }
}

/// A cluster of nodes that were started one by one. Dropping it kills them: nothing of them is kept.
#[derive(Debug)]
pub struct Own {
    /// Its nodes.
    pub nodes: Vec<Node>,
    program: PathBuf,
    commands: Vec<Vec<String>>,
    running: Vec<Option<Running>>,
    _folder: TempDir,
}

impl Own {
    /// Makes the certificates and writes down what each node is told. Nothing runs yet.
    ///
    /// # Errors
    /// The program fails, or there are no ports.
    pub fn prepare(program: &Path, count: usize) -> Result<Self> {
        let (folder, program) = (tempfile::tempdir()?, fs::canonicalize(program)?);
        let root = folder.path();
        let nodes = nodes(root, count);
        let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
        let authority = root.join("authority");
        let made = Command::new(&program)
            .args(["cluster", "init", "--name", "bench", "--nodes", &names.join(","), "--directory"])
            .arg(&authority)
            .output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut ports = Ports::begin();
        let mut addresses = Vec::new();
        for _ in &nodes {
            addresses.push([ports.free()?, ports.free()?, ports.free()?]);
        }
        let mut commands = Vec::new();
        for (node, [http, management, links]) in nodes.iter().zip(&addresses) {
            fs::create_dir_all(&node.directory)?;
            let credentials = authority.join("nodes").join(&node.name);
            let mut command: Vec<String> = ["node", "--ends-with-stdin"].map(Into::into).into();
            let mut tell = |flag: &str, value: String| command.extend([flag.to_owned(), value]);
            tell("--name", node.name.clone());
            tell("--dir", node.directory.display().to_string());
            tell("--credentials", credentials.display().to_string());
            tell("--http", http.clone());
            tell("--management", management.clone());
            tell("--cluster-listen", links.clone());
            // as many as `up` gives to each of several nodes on two cores, and what it lets them log
            tell("--executors", "1".into());
            tell("--log", "info,openraft=warn".into());
            for name in &names {
                tell("--founder", (*name).into());
            }
            for [_, _, peer] in addresses.iter().filter(|address| address[2] != *links) {
                tell("--peer", peer.clone());
            }
            commands.push(command);
        }
        let running = nodes.iter().map(|_| None).collect();
        Ok(Self { nodes, program, commands, running, _folder: folder })
    }

    /// Starts a node, for the first time or again.
    ///
    /// # Errors
    /// The operating system refused.
    pub fn start(&mut self, index: usize) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.args(&self.commands[index]);
        let running = Running::start(command, &self.nodes[index].directory.join("log"))?;
        if let Some(mut former) = self.running[index].replace(running) {
            // it has ended, or is to now
            let _ = former.0.kill();
            former.0.wait()?;
        }
        Ok(())
    }

    /// Starts all of them at once.
    ///
    /// # Errors
    /// The operating system refused.
    pub fn start_all(&mut self) -> Result<()> {
        (0..self.nodes.len()).try_for_each(|index| self.start(index))
    }

    /// Waits until all nodes are members.
    ///
    /// # Errors
    /// They do not become ones in time.
    pub async fn until_whole(&self) -> Result<()> {
        until_in_cluster(&self.nodes, LOOK_EVERY, FORMED_WITHIN).await
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // all at once, and then each is waited for
        self.running.iter_mut().flatten().for_each(|node| drop(node.0.kill()));
        self.running.iter_mut().flatten().for_each(|node| drop(node.0.wait()));
    }
}

fn nodes(root: &Path, count: usize) -> Vec<Node> {
    let node = |name: &str| Node { name: name.into(), directory: root.join("nodes").join(name) };
    NAMES.into_iter().take(count).map(node).collect()
}

/// Looks for free ports, each once.
struct Ports(std::iter::Skip<std::iter::Cycle<std::ops::Range<u16>>>);

impl Ports {
    /// Somewhere: measurements that run after one another do not meet what the last one has left.
    fn begin() -> Self {
        Self(PORTS.cycle().skip(fastrand::usize(..PORTS.len())))
    }

    fn free(&mut self) -> Result<String> {
        let is_free = |port: &u16| {
            let at = (Ipv4Addr::LOCALHOST, *port);
            TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok()
        };
        let free = self.0.by_ref().take(PORTS.len()).find(is_free).context("there is no free port")?;
        Ok(format!("127.0.0.1:{free}"))
    }
}
