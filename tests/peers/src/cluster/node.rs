//! A node as its directory shows it: where it is, what it says of its cluster, and its end by force.

use super::http::{Connection, request};
use anyhow::{Context, Result, bail, ensure};
use odeon::core::membership::MemberState;
use odeon_actors::management::api::{Members, Processes, StandingKind, Status};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// A node that can be asked at all answers within this time.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// The service that is called.
pub const SERVICE: &str = "counter";
/// More activations than a round has keys: those of earlier rounds may still be there.
const LISTED: usize = 1_000;

/// What a node writes into its directory as soon as it can be asked.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Whereabouts {
    /// Its process.
    pub pid: u32,
    /// Where services are called.
    pub http: SocketAddr,
    /// Where it is asked about itself.
    pub management: SocketAddr,
}

/// A node, whether it runs or not.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its own directory.
    pub directory: PathBuf,
}

impl Node {
    /// Where it is, or was if it was killed.
    ///
    /// # Errors
    /// It has not said.
    pub fn whereabouts(&self) -> Result<Whereabouts> {
        let path = self.directory.join("node.json");
        let text = fs::read(&path).with_context(|| path.display().to_string())?;
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    }

    /// For questions.
    ///
    /// # Errors
    /// It has not said where it is.
    pub fn console(&self) -> Result<Console> {
        let token = fs::read_to_string(self.directory.join("token"))?;
        let header = format!("authorization: Bearer {}\r\n", token.trim());
        Ok(Console { address: self.whereabouts()?.management, header, connection: None })
    }

    /// Ends its process at once.
    ///
    /// # Errors
    /// The process is none that was started with this directory, or could not be killed.
    pub async fn kill(&self) -> Result<()> {
        let pid = self.whereabouts()?.pid;
        let told = fs::read(format!("/proc/{pid}/cmdline")).context("the node does not run")?;
        ensure!(
            String::from_utf8_lossy(&told).contains(&*self.directory.to_string_lossy()),
            "process {pid} is not the node of {}",
            self.directory.display()
        );
        run("kill".as_ref(), ["-9".into(), pid.to_string().into()]).await
    }

    /// Stops it in order, by the command line, and waits until it has.
    ///
    /// # Errors
    /// It did not stop in order.
    pub async fn stop(&self, program: &Path) -> Result<()> {
        run(program, ["stop".into(), "--dir".into(), self.directory.clone().into()]).await
    }

    /// Whether it is a member that holds its lease and lists so many members, all of them up.
    pub async fn is_in_cluster_of(&self, count: usize) -> bool {
        let Ok(mut console) = self.console() else { return false };
        let Ok(members) = console.members().await else { return false };
        let is_up = members.members.iter().all(|member| member.state == MemberState::Up);
        members.standing == StandingKind::Member
            && members.holds_lease
            && members.members.len() == count
            && is_up
    }
}

/// Runs a command to its end on a thread of its own: callers go on meanwhile.
async fn run(program: &Path, arguments: impl IntoIterator<Item = OsString>) -> Result<()> {
    let mut command = Command::new(program);
    command.args(arguments);
    let shown = format!("{command:?}");
    let output = tokio::task::spawn_blocking(move || command.output()).await?.context(shown.clone())?;
    if !output.status.success() {
        bail!("{shown}: {}{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Waits until all nodes are members of one cluster, each says so, and each holds its lease.
///
/// # Errors
/// One does not within this time.
pub async fn until_in_cluster(nodes: &[Node], every: Duration, within: Duration) -> Result<()> {
    let all = async {
        for node in nodes {
            while !node.is_in_cluster_of(nodes.len()).await {
                sleep(every).await;
            }
        }
    };
    timeout(within, all).await.with_context(|| {
        let names: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
        format!("{names:?} are no cluster within {within:?}")
    })
}

/// Asks the management interface of a node, over one connection as long as that holds.
#[derive(Debug)]
pub struct Console {
    address: SocketAddr,
    header: String,
    connection: Option<Connection>,
}

/// A link as the node at one end sees it. What is not needed here is left out, so programs of several versions can be
/// asked.
#[derive(Debug, Deserialize)]
pub struct Link {
    /// The peer, `name@incarnation`.
    pub node: String,
    /// There is a connection.
    pub connected: bool,
    /// There if the peer is suspected to have failed, in programs that tell.
    pub suspect_ms: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Links {
    links: Vec<Link>,
}

impl Console {
    async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T> {
        let request = request("GET", self.address, path, &self.header, "");
        let asked = async {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => Connection::open(self.address).await?,
            };
            let answer = connection.exchange(&request).await?;
            self.connection = (!answer.closes).then_some(connection);
            Ok::<_, std::io::Error>(answer)
        };
        let answer =
            timeout(ANSWER_WITHIN, asked).await.with_context(|| format!("{path} is not answered"))??;
        ensure!(answer.status == 200, "{path}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
        Ok(answer.json()?)
    }

    /// The members of its cluster.
    ///
    /// # Errors
    /// It cannot be asked.
    pub async fn members(&mut self) -> Result<Members> {
        self.get("/api/v1/members").await
    }

    /// How long it has been running.
    ///
    /// # Errors
    /// It cannot be asked.
    pub async fn uptime(&mut self) -> Result<Duration> {
        let status: Status = self.get("/api/v1/status").await?;
        Ok(Duration::from_millis(status.uptime_ms))
    }

    /// Its links.
    ///
    /// # Errors
    /// It cannot be asked.
    pub async fn links(&mut self) -> Result<Vec<Link>> {
        Ok(self.get::<Links>("/api/v1/links").await?.links)
    }

    /// Which of these keys it has.
    ///
    /// # Errors
    /// It cannot be asked.
    pub async fn keys(&mut self, among: &[String]) -> Result<BTreeSet<String>> {
        let processes: Processes = self.get(&format!("/api/v1/ps?entities={LISTED}")).await?;
        let cells =
            processes.cells.into_iter().filter(|cell| cell.service == SERVICE && cell.phase != "down");
        Ok(cells.map(|cell| cell.cell).filter(|key| among.contains(key)).collect())
    }
}
