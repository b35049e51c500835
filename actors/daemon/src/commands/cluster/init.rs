//! `cluster init`: a new authority and the first certificates.

use super::files::Files;
use super::report::Report;
use super::{DAYS_MAX, days};
use crate::date;
use crate::exit::{Code, Failure};
use crate::program::Invocation;
use clap::Args;
use odeon::core::{ClusterId, NodeName};
use odeon::remote::{Authority, Subject};
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon cluster init --name shop --directory shop-cluster
  odeon cluster init --name shop --directory shop-cluster --nodes north,south,west --days 90";

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The cluster's name; its id adds a random part
    #[arg(long)]
    name: String,
    /// Where the authority and the certificates go
    #[arg(long, value_name = "DIR")]
    directory: PathBuf,
    /// Nodes that get certificates at once
    #[arg(long, value_name = "A,B,C", value_delimiter = ',')]
    nodes: Vec<NodeName>,
    /// How long the nodes' certificates hold; the authority holds for ten years
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..=DAYS_MAX))]
    days: u64,
    /// Replace an authority that is there: certificates of the old one are worth nothing any more
    #[arg(long)]
    overwrite: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Makes it.
///
/// # Errors
/// The name is none, there is an authority already, or the files cannot be written.
pub(crate) fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    let random = getrandom::u64()
        .map_err(|e| Failure::failed(format_args!("the operating system gives no random bytes: {e}")))?;
    let cluster =
        ClusterId::new(&arguments.name, random).map_err(|e| Failure::usage(format_args!("--name: {e}")))?;
    let mut nodes = arguments.nodes.clone();
    nodes.sort();
    nodes.dedup();
    let nodes: Vec<Subject> = nodes.into_iter().map(Subject::Node).collect();
    let files = Files::at(&arguments.directory);
    let taken =
        files.occupied().or_else(|| nodes.iter().map(|node| files.of(node)).find(|path| path.exists()));
    if let Some(path) = taken.filter(|_| !arguments.overwrite) {
        return Err(Failure::failed(format_args!("{} exists already", path.display())).advice(
            "choose another --directory, or issue certificates of that cluster with `odeon cluster certificate`; \
             --overwrite ends that cluster",
        ));
    }
    let now = date::now();
    let authority = Authority::create(&cluster, days(DAYS_MAX), now).map_err(Failure::failed)?;
    files.write_authority(&authority)?;
    for node in &nodes {
        let name = node.name().expect("a node has one");
        let credentials = authority.issue(name, days(arguments.days), now).map_err(Failure::failed)?;
        files.write(node, &credentials)?;
    }
    Report::of(&files, &authority, &nodes, now).print(&invocation.terminal, arguments.json)?;
    if !arguments.json {
        invocation.terminal.line(format_args!(
            "\nCopy each directory to the host of its node. {} makes members: keep it elsewhere.",
            files.key().display()
        ))?;
    }
    Ok(Code::Done)
}
