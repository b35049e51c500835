//! What a cluster's directory holds, as all its commands print it.

use super::files::Files;
use crate::date;
use crate::exit::Failure;
use crate::terminal::{Table, Terminal, Tone};
use odeon::core::NodeName;
use odeon::remote::trust::{CHAIN_FILE, Certificate};
use odeon::remote::{Authority, Credentials, Trust};
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
}

#[derive(Debug, Serialize)]
struct Node {
    node: String,
    directory: PathBuf,
    #[serde(flatten)]
    held: Option<Held>,
    /// Why the node could not use it.
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
    pub(super) fn of(files: &Files, authority: &Authority, nodes: &[NodeName], now: SystemTime) -> Self {
        Self {
            cluster: authority.cluster().to_string(),
            authority: Held::of(authority.certificate(), now),
            fingerprint: authority.certificate().fingerprint(),
            nodes: nodes.iter().map(|node| Node::read(files, node, now)).collect(),
        }
    }

    /// Whether a node could not use what it has.
    pub(super) fn has_problems(&self) -> bool {
        self.authority.days_left < 0 || self.nodes.iter().any(|node| node.problem.is_some())
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
        if self.nodes.is_empty() {
            return Ok(());
        }
        terminal.line("")?;
        let mut table =
            Table::new().text("node").text("until").number("days left").text("files").text("problem");
        for node in &self.nodes {
            let held = node.held.as_ref();
            table.push([
                node.node.clone(),
                held.map_or_else(String::new, |held| held.until.clone()),
                held.map_or_else(String::new, |held| held.days_left.to_string()),
                node.directory.display().to_string(),
                node.problem.clone().unwrap_or_default(),
            ]);
        }
        Ok(terminal.table(&table)?)
    }
}

impl Node {
    fn read(files: &Files, node: &NodeName, now: SystemTime) -> Self {
        let directory = files.node(node);
        let read = Credentials::read(&directory).map_err(|e| e.to_string());
        let held = match &read {
            Ok(credentials) => Certificate::all_of_pem(&credentials.chain).ok(),
            Err(_) => None,
        };
        let problem = read.and_then(|credentials| Self::check(node, &credentials, now)).err();
        let held = held.as_ref().and_then(|chain| chain.first()).map(|first| Held::of(first, now));
        Self { node: node.to_string(), directory, held, problem }
    }

    /// As the node itself will.
    fn check(node: &NodeName, credentials: &Credentials, now: SystemTime) -> Result<(), String> {
        let trust = Trust::new(credentials, now).map_err(|e| e.to_string())?;
        match trust.node() == node {
            true => Ok(()),
            false => Err(format!("{CHAIN_FILE} is of {}", trust.subject())),
        }
    }
}
