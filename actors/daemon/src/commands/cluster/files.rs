//! The directory of a cluster: what lies where, and how it is read and written.

use crate::exit::Failure;
use odeon::core::{ClusterId, NodeName};
use odeon::remote::trust::{CredentialsError, read_secret, write, write_secret};
use odeon::remote::{Authority, Credentials, Subject};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const NODES: &str = "nodes";
const CLIENTS: &str = "clients";

/// ```text
/// ca.pem                the authority's certificate
/// ca.key                its private key, for the owner alone
/// cluster               the cluster's id
/// nodes/NAME/           what goes to the host of a node: ca.pem, node.pem, node.key
/// clients/NAME/         the same three for a program outside of the cluster
/// ```
pub(crate) struct Files {
    root: PathBuf,
}

impl Files {
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.root.join("ca.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.root.join("ca.key")
    }

    fn cluster(&self) -> PathBuf {
        self.root.join("cluster")
    }

    /// What goes to whom a certificate names.
    pub(crate) fn of(&self, subject: &Subject) -> PathBuf {
        match subject {
            Subject::Authority => self.root.clone(),
            Subject::Node(name) => self.root.join(NODES).join(name.as_str()),
            Subject::Client(name) => self.root.join(CLIENTS).join(name.as_str()),
        }
    }

    /// The first file of an authority that is there already.
    pub(crate) fn occupied(&self) -> Option<PathBuf> {
        [self.certificate(), self.key(), self.cluster()].into_iter().find(|path| path.exists())
    }

    pub(crate) fn write_authority(&self, authority: &Authority) -> Result<(), Failure> {
        fs::create_dir_all(&self.root)
            .map_err(|e| Failure::failed(format_args!("{} cannot be made: {e}", self.root.display())))?;
        write_secret(&self.key(), &authority.key_pem()).map_err(|e| failed(&e))?;
        write(&self.certificate(), authority.certificate_pem()).map_err(|e| failed(&e))?;
        write(&self.cluster(), &format!("{}\n", authority.cluster())).map_err(|e| failed(&e))
    }

    pub(crate) fn read_authority(&self) -> Result<Authority, Failure> {
        let path = self.certificate();
        let pem = fs::read_to_string(&path).map_err(|e| {
            let failure = Failure::failed(format_args!("{} cannot be read: {e}", path.display()));
            match e.kind() {
                io::ErrorKind::NotFound => failure.advice("make a cluster there with `odeon cluster init`"),
                _ => failure,
            }
        })?;
        let key = read_secret(&self.key()).map_err(|e| failed(&e))?;
        let authority = Authority::from_pem(&pem, key.expose())
            .map_err(|e| Failure::failed(format_args!("{}: {e}", self.root.display())))?;
        let told =
            fs::read_to_string(self.cluster()).ok().and_then(|text| text.trim().parse::<ClusterId>().ok());
        if told.is_some_and(|told| told != *authority.cluster()) {
            return Err(Failure::failed(format_args!(
                "{} names another cluster than {}",
                self.cluster().display(),
                path.display()
            ))
            .advice("bring the files of one cluster together"));
        }
        Ok(authority)
    }

    pub(crate) fn write(&self, subject: &Subject, credentials: &Credentials) -> Result<(), Failure> {
        credentials.write(&self.of(subject)).map_err(|e| failed(&e))
    }

    /// The nodes and clients that have a directory, by name, the nodes first.
    pub(crate) fn list(&self) -> Result<Vec<Subject>, Failure> {
        let nodes = self.list_names(NODES)?.into_iter().map(Subject::Node);
        Ok(nodes.chain(self.list_names(CLIENTS)?.into_iter().map(Subject::Client)).collect())
    }

    fn list_names(&self, kind: &str) -> Result<Vec<NodeName>, Failure> {
        let path = self.root.join(kind);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            // a cluster without them yet
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Failure::failed(format_args!("{} cannot be read: {e}", path.display()))),
        };
        let found = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<NodeName> = found.filter_map(|name| name.parse().ok()).collect();
        names.sort();
        Ok(names)
    }
}

fn failed(error: &CredentialsError) -> Failure {
    Failure::failed(error)
}
