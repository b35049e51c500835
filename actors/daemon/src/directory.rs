//! The directory of a node: what keeps two nodes apart, and how the command line finds a running one.
//!
//! `lock` is held while a node runs; `token` opens the management interface and is readable by its owner alone;
//! `node.json` says where the node listens and exists only while it runs.

use crate::exit::{Code, Failure};
use crate::launched::Launcher;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where a node keeps its files that is not told.
pub(crate) const DIRECTORY_DEFAULT: &str = ".odeon";

/// Random bytes in a token.
const TOKEN_BYTES: usize = 32;

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    /// Another node runs in it.
    #[error("another node runs in {}{}", path.display(), process(.pid))]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The process of that node, if it said.
        pid: Option<u32>,
    },
    /// No node runs in it.
    #[error("no node runs in {}", .0.display())]
    NoNode(PathBuf),
    /// The token can be read by others than its owner, so it is no secret.
    #[error("the token file {} can be read by others (mode {mode:o}), so it is no secret", path.display())]
    TokenOpen {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is none, or the operating system refuses it.
    #[error("the node's directory {} cannot be used: {cause}", path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// The reason.
        cause: io::Error,
    },
    /// The token cannot be read, or is none.
    #[error("the token file {} cannot be used: {problem}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Where the node listens cannot be read.
    #[error("{}, which tells where the node listens, is damaged: {problem}", path.display())]
    Whereabouts {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The operating system refused.
    #[error("{}, a file of the node, cannot be read or written: {cause}", path.display())]
    System {
        /// The file or directory.
        path: PathBuf,
        /// Its reason.
        cause: io::Error,
    },
}

impl DirectoryError {
    /// For people, with what to do.
    pub(crate) fn failure(&self, code: Code) -> Failure {
        let failure = Failure::new(code, self);
        match self {
            Self::Locked { .. } => failure.advice(
                "stop it with the command `stop`, or give this one a directory of its own with --dir DIR",
            ),
            Self::NoNode(_) => failure.advice(
                "start one with the command `up`, or say which one is meant with --dir DIR or --node URL",
            ),
            Self::TokenOpen { path, .. } => failure.advice(format_args!(
                "remove it, so that the next node draws a new one, or chmod 600 {}",
                path.display()
            )),
            Self::Unusable { .. } => failure.advice(
                "name one with --dir DIR, or [node] directory: it is made if needed, and the node's user writes there",
            ),
            Self::Token { .. } => failure.advice(
                "a node draws one at its start when DIR/token is not there; --token-file FILE names another file",
            ),
            Self::Whereabouts { .. } => {
                failure.advice("start the node anew, which writes it, or say where it listens with --node URL")
            }
            Self::System { .. } => failure,
        }
    }
}

fn process(pid: &Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

/// Where a running node listens: the content of `node.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Whereabouts {
    /// Its name.
    pub(crate) name: String,
    /// Its process.
    pub(crate) pid: u32,
    /// Where services are called.
    pub(crate) http: SocketAddr,
    /// Where the command line asks.
    pub(crate) management: SocketAddr,
    /// Where other nodes find it (UDP), if it is in a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) links: Option<SocketAddr>,
}

/// The directory of a node.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    path: PathBuf,
}

/// Held by the node that runs in a directory; the operating system lets go of it however the process ends.
#[derive(Debug)]
pub(crate) struct Occupied {
    directory: Directory,
    _lock: File,
}

impl Directory {
    /// At a path. It need not exist.
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file with the token.
    pub(crate) fn token_path(&self) -> PathBuf {
        self.path.join("token")
    }

    fn whereabouts_path(&self) -> PathBuf {
        self.path.join("node.json")
    }

    /// Takes it for a node of this process; makes it if needed.
    ///
    /// # Errors
    /// [`DirectoryError::Locked`] when another node runs in it.
    pub(crate) fn occupy(&self) -> Result<Occupied, DirectoryError> {
        let mut builder = DirBuilder::new();
        let unusable = |cause| DirectoryError::Unusable { path: self.path.clone(), cause };
        if self.path.exists() && !self.path.is_dir() {
            return Err(unusable(io::ErrorKind::NotADirectory.into()));
        }
        builder.recursive(true).mode(0o700).create(&self.path).map_err(unusable)?;
        let path = self.path.join("lock");
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false).mode(0o600).open(&path);
        let lock = lock.map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = self.read_whereabouts().ok().flatten().map(|w| w.pid);
                let pid = pid.or_else(|| Launcher::of(&self.path).map(|launcher| launcher.pid));
                return Err(DirectoryError::Locked { path: self.path.clone(), pid });
            }
            Err(TryLockError::Error(cause)) => return Err(DirectoryError::System { path, cause }),
        }
        let occupied = Occupied { directory: self.clone(), _lock: lock };
        // left by what could not end in order
        occupied.withdraw()?;
        Launcher::withdraw(&self.path)?;
        Ok(occupied)
    }

    /// Whether a node runs in it, be it starting or stopping.
    pub(crate) fn is_occupied(&self) -> bool {
        let lock = File::open(self.path.join("lock"));
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Where the node that runs in it listens.
    ///
    /// # Errors
    /// [`DirectoryError::NoNode`] when none runs, or it is still starting.
    pub(crate) fn whereabouts(&self) -> Result<Whereabouts, DirectoryError> {
        self.read_whereabouts()?.ok_or_else(|| DirectoryError::NoNode(self.path.clone()))
    }

    fn read_whereabouts(&self) -> Result<Option<Whereabouts>, DirectoryError> {
        let path = self.whereabouts_path();
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|e| DirectoryError::Whereabouts { path, problem: e.to_string() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(DirectoryError::System { path, cause }),
        }
    }
}

impl Occupied {
    /// The token of the management interface; drawn from the operating system when there is none yet.
    ///
    /// # Errors
    /// It cannot be read or made, or others can read it.
    pub(crate) fn token(&self) -> Result<String, DirectoryError> {
        let path = self.directory.token_path();
        if path.exists() {
            return read_token(&path);
        }
        let mut bytes = [0; TOKEN_BYTES];
        getrandom::fill(&mut bytes)
            .map_err(|e| DirectoryError::Token { path: path.clone(), problem: e.to_string() })?;
        let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        write_whole(&path, &format!("{token}\n"))?;
        Ok(token)
    }

    /// Lets the command line find the node.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn publish(&self, whereabouts: &Whereabouts) -> Result<(), DirectoryError> {
        let path = self.directory.whereabouts_path();
        let text = serde_json::to_string_pretty(whereabouts)
            .map_err(|e| DirectoryError::Whereabouts { path: path.clone(), problem: e.to_string() })?;
        write_whole(&path, &format!("{text}\n"))
    }

    /// The node is no longer to be found.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub(crate) fn withdraw(&self) -> Result<(), DirectoryError> {
        let path = self.directory.whereabouts_path();
        match fs::remove_file(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(DirectoryError::System { path, cause })
            }
            _ => Ok(()),
        }
    }
}

/// Reads a token from a file that only its owner can read.
///
/// # Errors
/// It cannot be read, others can read it, or it is empty.
pub(crate) fn read_token(path: &Path) -> Result<String, DirectoryError> {
    let unusable = |problem: &dyn std::fmt::Display| DirectoryError::Token {
        path: path.into(),
        problem: problem.to_string(),
    };
    let found = fs::metadata(path).map_err(|e| unusable(&e))?;
    if !found.is_file() {
        return Err(unusable(&"it is no file"));
    }
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(DirectoryError::TokenOpen { path: path.into(), mode });
    }
    let token = fs::read_to_string(path).map_err(|e| unusable(&e))?.trim().to_string();
    if token.is_empty() {
        return Err(unusable(&"it is empty"));
    }
    Ok(token)
}

/// Writes beside and renames, so that a reader sees all of it or nothing. Others than the owner cannot read it.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<(), DirectoryError> {
    let beside = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(system(path))
}

fn system(path: &Path) -> impl FnOnce(io::Error) -> DirectoryError {
    let path = path.to_path_buf();
    move |cause| DirectoryError::System { path, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty place for one test; left to the system's cleaning of temporary files.
    fn place(test: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("odeon-directory-{}-{test}", std::process::id()));
        // a former process may have had the same id
        let _ = fs::remove_dir_all(&path);
        Directory::at(path)
    }

    #[test]
    fn a_directory_has_one_node_at_a_time() {
        let directory = place("one");
        let first = directory.occupy().expect("free");
        assert!(matches!(directory.occupy(), Err(DirectoryError::Locked { pid: None, .. })));
        assert!(directory.is_occupied());
        drop(first);
        assert!(!directory.is_occupied());
        directory.occupy().expect("free again");
    }

    #[test]
    fn a_token_is_drawn_once_and_readable_by_its_owner_alone() {
        let directory = place("token");
        let node = directory.occupy().expect("free");
        let token = node.token().expect("drawn");
        assert_eq!(token.len(), 2 * TOKEN_BYTES);
        assert_eq!(node.token().expect("read"), token);
        let path = directory.token_path();
        let mode = fs::metadata(&path).expect("it exists").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("it is ours");
        assert!(matches!(read_token(&path), Err(DirectoryError::TokenOpen { mode: 0o644, .. })));
    }

    #[test]
    fn a_node_is_found_while_it_runs_and_what_a_lost_one_left_is_removed() {
        let directory = place("found");
        let node = directory.occupy().expect("free");
        assert!(matches!(directory.whereabouts(), Err(DirectoryError::NoNode(_))));
        let here = Whereabouts {
            name: "one".into(),
            pid: 7,
            http: ([127, 0, 0, 1], 1).into(),
            management: ([127, 0, 0, 1], 2).into(),
            links: None,
        };
        node.publish(&here).expect("written");
        assert_eq!(directory.whereabouts().expect("published"), here);
        assert!(matches!(directory.occupy(), Err(DirectoryError::Locked { pid: Some(7), .. })));
        drop(node);
        let _next = directory.occupy().expect("free");
        assert!(matches!(directory.whereabouts(), Err(DirectoryError::NoNode(_))));
    }
}
