//! `dump`: all that tells why a node misbehaves, in one file.

pub(crate) mod text;

use crate::directory::Directory;
use crate::exit::{Code, Failure};
use crate::launched;
use crate::program::Invocation;
use crate::remote::{Remote, Target};
use crate::terminal::Terminal;
use clap::Args;
use odeon::core::NodeName;
use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon dump
  odeon dump two --output two.txt
  odeon dump --json | jq '.inside.stuck.listed[]'
  odeon dump --node http://127.0.0.1:8081 --token-file /var/lib/odeon/token";

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The node, by its name, of several that `up` has started [default: the node of the directory]
    #[arg(value_name = "NODE")]
    name: Option<NodeName>,
    /// Write it to this file, which only its owner can read, instead of printing it
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Prints it, or writes it to a file.
///
/// # Errors
/// The node cannot be asked, or the file cannot be written.
pub(crate) async fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    let remote = match &arguments.name {
        Some(name) => named(name, &arguments.target).await?,
        None => Remote::find(&arguments.target)?,
    };
    let dump = remote.dump().await?;
    let terminal = if arguments.output.is_some() { Terminal::plain() } else { invocation.terminal };
    let said = match arguments.json {
        true => serde_json::to_string_pretty(&dump)
            .map_err(|e| Failure::failed(format_args!("the dump cannot be written as JSON: {e}")))?,
        false => text::of(&dump, terminal).join("\n"),
    };
    match &arguments.output {
        Some(path) => {
            write(path, &said)?;
            let node = dump.identity.unwrap_or(dump.status.node);
            invocation.terminal.line(format_args!("The dump of {node} is in {}.", path.display()))?;
        }
        None => invocation.terminal.line(said)?,
    }
    Ok(Code::Done)
}

/// A node by its name: the one of the directory, or of several that `up` has started there.
///
/// # Errors
/// No such node can be asked from here.
async fn named(name: &NodeName, target: &Target) -> Result<Remote, Failure> {
    if target.is_remote() {
        return Err(Failure::usage("NODE and --node both say which node is meant")
            .advice("--node URL asks a node wherever it is; NODE one of the directory, see --dir"));
    }
    let own = Directory::at(launched::directory_of(&target.dir, name.as_str()));
    let single = Directory::at(&target.dir);
    let is_meant = |directory: &Directory| {
        directory.is_occupied() && directory.whereabouts().is_ok_and(|here| here.name == name.as_str())
    };
    match [own, single].into_iter().find(is_meant) {
        Some(directory) => Remote::at(&directory),
        None => Err(not_here(name, target).await),
    }
}

/// Where a node is that cannot be asked from here, as far as its peers know.
async fn not_here(name: &NodeName, target: &Target) -> Failure {
    let place = target.dir.display();
    let unknown = Failure::new(Code::Unreachable, format_args!("no node {name} runs in {place}"));
    let members = match Remote::find(target) {
        Ok(peer) => peer.members().await.ok(),
        Err(_) => None,
    };
    let known = members.and_then(|all| all.members.into_iter().find(|member| member.name == name.as_str()));
    let Some(member) = known else {
        return unknown
            .advice("say which directory is meant with --dir DIR, or where it listens with --node URL");
    };
    let node = format!("{name}@{}", member.incarnation);
    Failure::new(
        Code::Unreachable,
        format_args!("{node} is a member of the cluster, on the host {}, and does not run in {place}", member.host),
    )
    .advice(format_args!(
        "management interfaces listen on the loopback of their host: run `odeon dump --dir DIR` there, or forward its \
         port (ssh -L 8081:127.0.0.1:8081 {}) and use --node http://127.0.0.1:8081 --token-file FILE",
        member.host
    ))
}

/// Others need not read it: keys of entities are in it.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        if file.metadata()?.is_file() {
            // the mode counts for new files only
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        writeln!(file, "{text}")
    };
    write().map_err(|e| Failure::failed(format_args!("{} cannot be written: {e}", path.display())))
}
