//! Whether a node would take its configuration: by the code that a node does it with.

use super::directory::DISK_ADVICE;
use super::report::{Check, Group};
use super::site::Occupant;
use crate::config::{Flags, Settings};
use crate::directory::DIRECTORY_DEFAULT;
use crate::exit::Failure;
use crate::launched;
use crate::log;
use odeon::App;
use std::path::{Path, PathBuf};

const GROUP: Group = Group::Configuration;
/// What `up` writes into the directory of each node.
const FILE: &str = "odeon.toml";

/// Which configuration is meant.
#[derive(Debug)]
pub(super) struct Meant {
    flags: Flags,
    file: Option<PathBuf>,
}

impl Meant {
    /// What was typed. Without a file it is the one in the directory, if there is one; of several nodes that `up` has
    /// started it is the first that runs.
    pub(super) fn by(flags: &Flags, file: Option<&Path>) -> Self {
        let mut flags = flags.clone();
        if let Some(file) = file {
            return Self { flags, file: Some(file.into()) };
        }
        let named = flags.dir.clone().unwrap_or_else(|| DIRECTORY_DEFAULT.into());
        if let Some(first) = launched::first_running(&named) {
            flags.dir = Some(first.path().into());
        }
        let there = flags.dir.as_ref().unwrap_or(&named).join(FILE);
        let file = there.is_file().then_some(there);
        if file.is_some() {
            // wherever the file was written for
            flags.dir.get_or_insert(named);
        }
        Self { flags, file }
    }

    /// Reads it.
    ///
    /// # Errors
    /// As a node would say.
    pub(super) fn read(&self) -> Result<Settings, Failure> {
        Settings::load(&self.flags, self.file.as_deref())
    }

    /// A node would not take it.
    pub(super) fn unread(&self, failure: Failure) -> Vec<Check> {
        let name = match &self.file {
            Some(_) => "file",
            None => "flags",
        };
        nothing_else(GROUP.failure(name, failure))
    }

    /// What a node would say of it.
    pub(super) fn check(&self, settings: &Settings, app: App) -> Vec<Check> {
        let from = match &self.file {
            Some(file) => format!("{} is valid", file.display()),
            None => "no file, only flags and defaults".into(),
        };
        let directory = settings.directory.display();
        let mut checks =
            vec![GROUP.ok("file", format_args!("{from}: the node {} in {directory}", settings.name))];
        checks.push(match app.check(&settings.node()) {
            Ok(()) => GROUP.ok("services", "their sections and bindings fit"),
            Err(error) => GROUP.failure("services", settings.explain(&error)),
        });
        if let Err(failure) = log::check(self.flags.log.as_deref(), settings.log.as_deref()) {
            checks.push(GROUP.failure("log", failure));
        }
        checks
    }
}

/// Whether the node that runs was told the same.
pub(super) fn check_running(settings: &Settings, occupant: &Occupant) -> Option<Check> {
    let Occupant::Node(running) = occupant else { return None };
    let different = match (settings.cluster.is_some(), running.links.is_some()) {
        _ if running.name != settings.name.as_str() => {
            format!("it is {}, not {}", running.name, settings.name)
        }
        (true, false) => "it is in no cluster".into(),
        (false, true) => "it is in a cluster".into(),
        _ => return None,
    };
    let name = "running node";
    let advice =
        "call `doctor` with the flags of that node, --config above all: checks are of what it is told";
    Some(GROUP.warning(name, format_args!("it was told something else than this: {different}"), advice))
}

/// It is on a disk that does not answer.
pub(super) fn unanswered(file: Option<&Path>, problem: &str) -> Vec<Check> {
    let what = match file {
        Some(file) => file.display().to_string(),
        None => format!("{FILE} of the data directory"),
    };
    let found = format!("{what} cannot be read: {problem}");
    nothing_else(GROUP.failed("file", found, DISK_ADVICE))
}

/// Without a configuration nobody knows what to look at.
fn nothing_else(check: Check) -> Vec<Check> {
    vec![check, GROUP.skipped("all others", "without a configuration nobody knows what to look at")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Whereabouts;

    #[test]
    fn a_node_that_runs_with_another_configuration_is_told_of() {
        let settings = Settings::load(&Flags::default(), None).expect("the defaults are valid");
        let running = |name: &str, links: Option<&str>| {
            Occupant::Node(Whereabouts {
                name: name.into(),
                pid: 1,
                http: ([127, 0, 0, 1], 1).into(),
                management: ([127, 0, 0, 1], 2).into(),
                links: links.map(|links| links.parse().expect("an address")),
            })
        };
        let found = |occupant: Occupant| check_running(&settings, &occupant).map(|check| check.found);
        assert_eq!(found(Occupant::None), None);
        assert_eq!(found(running("local", None)), None);
        assert!(found(running("north", None)).is_some_and(|found| found.contains("it is north, not local")));
        let linked = found(running("local", Some("127.0.0.1:7000")));
        assert!(linked.is_some_and(|found| found.contains("it is in a cluster")));
    }
}
