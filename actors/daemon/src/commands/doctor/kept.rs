//! What a node finds in its data directory when it starts: each file that it would refuse is told of before.

use super::certificates::Held;
use super::directory::{DISK_ADVICE, GROUP};
use super::report::Check;
use super::site::{Occupant, Site};
use crate::at_work;
use crate::cluster;
use crate::directory::{Directory, read_token};
use crate::exit::Failure;
use odeon::core::ClusterId;
use std::path::Path;
use std::time::Duration;

/// A journal of some hundred megabytes is read in as long.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// Makes all checks of them. A node that runs has read them, and writes them.
pub(super) async fn check(site: &Site, held: Option<&Held>) -> Vec<Check> {
    if site.occupant != Occupant::None {
        return Vec::new();
    }
    // whose the directory is to be is known by the certificate
    let cluster = held.and_then(|held| held.trust.as_ref().ok()).map(|trust| trust.cluster().clone());
    let directory = site.settings.directory.clone();
    let looked = site.blocking(READ_WITHIN, move || look(&directory, cluster.as_ref())).await;
    looked.unwrap_or_else(|problem| {
        let found = format!("what a node has kept is not read: {problem}");
        vec![GROUP.warning("files", found, DISK_ADVICE)]
    })
}

fn look(directory: &Path, cluster: Option<&ClusterId>) -> Vec<Check> {
    let mut checks = Vec::new();
    let path = Directory::at(directory).token_path();
    if path.exists() {
        let token = at_work::strong(directory, read_token(&path));
        checks.push(judge("token", "only its owner can read it", token));
    }
    match cluster::starts(directory) {
        Ok(0) => {}
        Ok(last) => {
            let found = format_args!("the last start of the node in its cluster was number {last}");
            checks.push(GROUP.ok("incarnation", found));
        }
        Err(failure) => checks.push(GROUP.failure("incarnation", failure)),
    }
    if let Some(whole) = cluster.and_then(|of| cluster::promises(directory, of)) {
        checks.push(judge("journal", "what the node has promised to the others is whole", whole));
    }
    checks
}

fn judge<T>(name: &str, found: &str, outcome: Result<T, Failure>) -> Check {
    match outcome {
        Ok(_) => GROUP.ok(name, found),
        Err(failure) => GROUP.failure(name, failure),
    }
}
