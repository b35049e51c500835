//! What a node shows of itself, and whom it believes: three files in one directory.

use crate::host::{Blocking, run_blocking};
use crate::service::context::BlockingError;
use std::fmt;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The authorities that a node believes, one or more: two while one takes over from the other.
pub const AUTHORITIES_FILE: &str = "ca.pem";
/// The node's certificate, with what lies between it and its authority, if anything does.
pub const CHAIN_FILE: &str = "node.pem";
/// The node's private key.
pub const KEY_FILE: &str = "node.key";
/// For the owner alone.
const PRIVATE: u32 = 0o600;

/// A private key in PEM form. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// A key that is known as text.
    pub fn new(pem: impl Into<Box<str>>) -> Self {
        Self(pem.into())
    }

    /// The text. Whoever reads it can be the node.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A node's certificate and key, and the authorities that it believes, in PEM form. Nothing of it is checked before it
/// becomes a [`Trust`](super::Trust).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Believed authorities, one or more.
    pub authorities: String,
    /// The node's own certificate first.
    pub chain: String,
    /// The key of the first certificate of the chain.
    pub key: Secret,
}

/// Why credentials cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file cannot be read. Worth a retry once there is one.
    #[error("{} cannot be read: {error}; `odeon cluster init` and `odeon cluster certificate` write it", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// A file cannot be written.
    #[error("{} cannot be written: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// Others on this host can read the key: it may be known to whoever it should keep out.
    #[error("{} can be read by others (mode {mode:04o}): run `chmod 600 {}`, and issue a new one if the host has other users", path.display(), path.display())]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Blocking work did not run; worth a retry later.
    #[error("the credentials were not read: {0}")]
    Blocking(#[from] BlockingError),
}

impl Credentials {
    /// Reads them in a job of a node's seam for blocking work.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub async fn load(directory: &Path, blocking: &dyn Blocking) -> Result<Self, CredentialsError> {
        let directory = directory.to_path_buf();
        run_blocking(blocking, move || Self::read(&directory)).await?
    }

    /// Reads them at once, for whoever may block. A node uses [`Credentials::load`].
    ///
    /// While they are being replaced it may see the key of one and the certificate of the other: such a pair is no
    /// [`Trust`](super::Trust), and reading again helps.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn read(directory: &Path) -> Result<Self, CredentialsError> {
        let authorities = read(&directory.join(AUTHORITIES_FILE))?;
        let chain = read(&directory.join(CHAIN_FILE))?;
        let key = read_secret(&directory.join(KEY_FILE))?;
        Ok(Self { authorities, chain, key })
    }

    /// Writes them, the key for the owner alone. What is there is replaced file by file, never left half written.
    /// Blocks: in a node this belongs into a job.
    ///
    /// # Errors
    /// [`CredentialsError::Write`].
    pub fn write(&self, directory: &Path) -> Result<(), CredentialsError> {
        fs::create_dir_all(directory)
            .map_err(|error| CredentialsError::Write { path: directory.to_path_buf(), error })?;
        write_secret(&directory.join(KEY_FILE), &self.key)?;
        write(&directory.join(CHAIN_FILE), &self.chain)?;
        write(&directory.join(AUTHORITIES_FILE), &self.authorities)
    }
}

fn read(path: &Path) -> Result<String, CredentialsError> {
    fs::read_to_string(path).map_err(|error| CredentialsError::Read { path: path.to_path_buf(), error })
}

/// Reads a private key, unless others can.
///
/// # Errors
/// [`CredentialsError::Exposed`], [`CredentialsError::Read`].
pub fn read_secret(path: &Path) -> Result<Secret, CredentialsError> {
    let unreadable = |error| CredentialsError::Read { path: path.to_path_buf(), error };
    let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(CredentialsError::Exposed { path: path.to_path_buf(), mode });
    }
    Ok(Secret::new(read(path)?))
}

/// Writes a private key that nobody but the owner can read, at no time.
///
/// # Errors
/// [`CredentialsError::Write`].
pub fn write_secret(path: &Path, secret: &Secret) -> Result<(), CredentialsError> {
    replace(path, secret.expose(), PRIVATE)
}

/// Writes a file that is no secret, whole or not at all.
///
/// # Errors
/// [`CredentialsError::Write`].
pub fn write(path: &Path, text: &str) -> Result<(), CredentialsError> {
    replace(path, text, 0o644)
}

/// Writes beside it and takes its place.
fn replace(path: &Path, text: &str, mode: u32) -> Result<(), CredentialsError> {
    let beside = path.with_added_extension("new");
    let written = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
        // one that was left behind may have other permissions
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    written().map_err(|error| CredentialsError::Write { path: path.to_path_buf(), error })
}
