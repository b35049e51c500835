//! The directory of several nodes that `up` has started: who they are, where each has its own, which process keeps them.
//!
//! `lock` is held by that process, as a node holds the one of its directory; `up.json` names it and exists only while it
//! runs; `nodes/NAME` are the directories of the nodes.

use crate::directory::{Directory, DirectoryError, write_whole};
use odeon::core::NodeName;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What the nodes are called, in the order in which there come more of them.
const NAMES: [&str; NODES_MAX] = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
/// Most nodes that `up` starts.
pub(crate) const NODES_MAX: usize = 9;
const NODES: &str = "nodes";
const FILE: &str = "up.json";

/// The names of the first nodes.
pub(crate) fn names(count: usize) -> impl Iterator<Item = NodeName> {
    NAMES.into_iter().take(count).map(|name| name.parse().expect("the constants are names"))
}

/// The directory of one of the nodes.
pub(crate) fn directory_of(root: &Path, name: &str) -> PathBuf {
    root.join(NODES).join(name)
}

/// The first node that runs and can be asked, when this is the directory of several.
pub(crate) fn first_running(root: &Path) -> Option<Directory> {
    let mut directories = NAMES.into_iter().map(|name| Directory::at(directory_of(root, name)));
    directories.find(|node| node.is_occupied() && node.whereabouts().is_ok())
}

/// The process that keeps the nodes: the content of `up.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Launcher {
    /// Its process.
    pub(crate) pid: u32,
}

impl Launcher {
    /// The one that says that it is at work there. None: there is none, or it cannot be read.
    pub(crate) fn of(root: &Path) -> Option<Self> {
        let text = fs::read(root.join(FILE)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Lets the command line find it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn publish(self, root: &Path) -> Result<(), DirectoryError> {
        write_whole(&root.join(FILE), &format!("{{\"pid\":{}}}\n", self.pid))
    }

    /// There is none any more.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub(crate) fn withdraw(root: &Path) -> Result<(), DirectoryError> {
        let path = root.join(FILE);
        match fs::remove_file(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(DirectoryError::System { path, cause })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_nodes_the_first_that_runs_is_asked() {
        let root = std::env::temp_dir().join(format!("odeon-launched-{}", std::process::id()));
        // a former process may have had the same id
        let _ = fs::remove_dir_all(&root);
        assert!(first_running(&root).is_none());
        let all: Vec<NodeName> = names(3).collect();
        let occupied: Vec<_> =
            all.iter().map(|name| Directory::at(directory_of(&root, name.as_str())).occupy()).collect();
        assert!(first_running(&root).is_none(), "none can be asked yet");
        for (name, node) in all.iter().zip(&occupied).skip(1) {
            let (http, management) = (([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
            let here = crate::directory::Whereabouts {
                name: name.to_string(),
                pid: 7,
                http,
                management,
                links: None,
            };
            node.as_ref().expect("free").publish(&here).expect("written");
        }
        let found = || first_running(&root).map(|node| node.whereabouts().expect("it is there").name);
        assert_eq!(found().as_deref(), Some("two"));
        drop(occupied);
        assert_eq!(found(), None);
        fs::remove_dir_all(&root).expect("it is ours");
    }

    #[test]
    fn a_launcher_is_found_until_it_takes_that_back() {
        let root = std::env::temp_dir().join(format!("odeon-launcher-{}", std::process::id()));
        fs::create_dir_all(&root).expect("a place");
        let here = Launcher { pid: 7 };
        here.publish(&root).expect("written");
        assert_eq!(Launcher::of(&root), Some(here));
        Launcher::withdraw(&root).expect("removed");
        assert_eq!(Launcher::of(&root), None);
        Launcher::withdraw(&root).expect("there is nothing to remove");
        fs::remove_dir_all(&root).expect("it is ours");
    }
}
