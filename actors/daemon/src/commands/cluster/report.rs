//! What a cluster's directory holds, as all its commands print it.

use super::files::Files;
use crate::date;
use crate::exit::Failure;
use crate::terminal::{Table, Terminal, Tone};
use odeon::remote::trust::{CHAIN_FILE, Certificate};
use odeon::remote::{Authority, Credentials, Subject, Trust};
use serde::Serialize;
use std::path::PathBuf;
use std::time::SystemTime;

/// A cluster and its certificates.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    cluster: String,
    authority: Held,
    /// SHA-256 of the authority's certificate.
    fingerprint: String,
    nodes: Vec<Node>,
    /// Programs outside of the cluster that may call its services.
    clients: Vec<Client>,
}

#[derive(Debug, Serialize)]
struct Node {
    node: String,
    #[serde(flatten)]
    found: Found,
}

#[derive(Debug, Serialize)]
struct Client {
    client: String,
    #[serde(flatten)]
    found: Found,
}

/// What lies in the directory of one of them.
#[derive(Debug, Serialize)]
struct Found {
    directory: PathBuf,
    #[serde(flatten)]
    held: Option<Held>,
    /// Why its owner could not use it.
    problem: Option<String>,
}

/// Until when something holds.
#[derive(Debug, Serialize)]
struct Held {
    until: String,
    days_left: i64,
}

impl Held {
    fn of(certificate: &Certificate, now: SystemTime) -> Self {
        let until = certificate.until;
        Self { until: date::show(until), days_left: date::days_between(now, until) }
    }
}

impl Report {
    pub(super) fn of(files: &Files, authority: &Authority, subjects: &[Subject], now: SystemTime) -> Self {
        let (mut nodes, mut clients) = (Vec::new(), Vec::new());
        for subject in subjects {
            let found = Found::read(files, subject, now);
            match subject {
                Subject::Node(name) => nodes.push(Node { node: name.to_string(), found }),
                Subject::Client(name) => clients.push(Client { client: name.to_string(), found }),
                Subject::Authority => {}
            }
        }
        Self {
            cluster: authority.cluster().to_string(),
            authority: Held::of(authority.certificate(), now),
            fingerprint: authority.certificate().fingerprint(),
            nodes,
            clients,
        }
    }

    /// Whether somebody could not use what it has.
    pub(super) fn has_problems(&self) -> bool {
        self.authority.days_left < 0 || self.rows().any(|(_, _, found)| found.problem.is_some())
    }

    /// All of them: what they are called, in which role, and what they have.
    fn rows(&self) -> impl Iterator<Item = (&str, &'static str, &Found)> {
        let nodes = self.nodes.iter().map(|node| (&*node.node, "node", &node.found));
        nodes.chain(self.clients.iter().map(|client| (&*client.client, "client", &client.found)))
    }

    pub(super) fn print(&self, terminal: &Terminal, json: bool) -> Result<(), Failure> {
        if json {
            return terminal.json(self);
        }
        let left = match self.authority.days_left {
            days if days < 0 => terminal.paint(Tone::Bad, "expired"),
            days => format!("{days} days left"),
        };
        for (name, value) in [
            ("cluster", terminal.paint(Tone::Strong, &self.cluster)),
            ("authority", format!("until {}, {left}", self.authority.until)),
            ("fingerprint", self.fingerprint.clone()),
        ] {
            terminal
                .line(format_args!("{}  {value}", terminal.paint(Tone::Quiet, format_args!("{name:<11}"))))?;
        }
        if self.rows().next().is_none() {
            return Ok(());
        }
        terminal.line("")?;
        let mut table = Table::new()
            .text("name")
            .text("role")
            .text("until")
            .number("days left")
            .text("files")
            .text("problem");
        for (name, role, found) in self.rows() {
            let held = found.held.as_ref();
            table.push([
                name.to_owned(),
                role.to_owned(),
                held.map_or_else(String::new, |held| held.until.clone()),
                held.map_or_else(String::new, |held| held.days_left.to_string()),
                found.directory.display().to_string(),
                found.problem.clone().unwrap_or_default(),
            ]);
        }
        Ok(terminal.table(&table)?)
    }
}

impl Found {
    fn read(files: &Files, subject: &Subject, now: SystemTime) -> Self {
        let directory = files.of(subject);
        let read = Credentials::read(&directory).map_err(|e| e.to_string());
        let held = match &read {
            Ok(credentials) => Certificate::all_of_pem(&credentials.chain).ok(),
            Err(_) => None,
        };
        let problem = read.and_then(|credentials| Self::check(subject, &credentials, now)).err();
        let held = held.as_ref().and_then(|chain| chain.first()).map(|first| Held::of(first, now));
        Self { directory, held, problem }
    }

    /// As its owner will.
    fn check(subject: &Subject, credentials: &Credentials, now: SystemTime) -> Result<(), String> {
        let trust = Trust::new(credentials, now).map_err(|e| e.to_string())?;
        match trust.subject() == subject {
            true => Ok(()),
            false => Err(format!("{CHAIN_FILE} is of {}", trust.subject())),
        }
    }
}
