//! Which replica of which cluster a data directory holds: written once, when the directory is made.

use crate::host::{make_directory, sync_directory};
use odeon_core::{ClusterId, ReplicaId};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const FILE: &str = "replica";

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{path} does not name a replica: {text:?}", path = path.display())]
    Nonsense { path: PathBuf, text: String },
    #[error("it belongs to the cluster {theirs}, and this node to {ours}")]
    OtherCluster { theirs: String, ours: ClusterId },
}

/// The replica of a directory, if it has one. It was made for this cluster.
pub(super) fn read(directory: &Path, cluster: &ClusterId) -> Result<Option<ReplicaId>, StoreError> {
    let path = directory.join(FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // the process that gave it its name may have died before it synced that
    sync_directory(directory)?;
    let (id, of) = text.split_once('\n').unwrap_or((&text, ""));
    let Some(id) = parse(id) else { return Err(StoreError::Nonsense { path, text }) };
    // the first directories did not say whose they are
    match of.trim_end() {
        "" => Ok(Some(id)),
        theirs if theirs == cluster.to_string() => Ok(Some(id)),
        theirs => Err(StoreError::OtherCluster { theirs: theirs.into(), ours: cluster.clone() }),
    }
}

/// The directory has this replica of this cluster from now on.
pub(super) fn write(directory: &Path, replica: ReplicaId, cluster: &ClusterId) -> io::Result<()> {
    make_directory(directory)?;
    // one that was half written is not read: it gets its name last
    let new = directory.join("replica.new");
    let mut file = File::create(&new)?;
    file.write_all(format!("{replica}\n{cluster}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, directory.join(FILE))?;
    sync_directory(directory)
}

fn parse(text: &str) -> Option<ReplicaId> {
    (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok()).flatten().map(ReplicaId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_its_replica_and_its_cluster_and_nonsense_is_refused() {
        let directory = std::env::temp_dir().join(format!("odeon-store-{}", uuid::Uuid::now_v7()));
        let inner = directory.join("cluster/deep");
        let [ours, other] = ["shop", "garden"].map(|name| ClusterId::new(name, 1).expect("a name"));
        assert_eq!(read(&inner, &ours).expect("there is none"), None);
        write(&inner, ReplicaId(7), &ours).expect("written");
        assert_eq!(read(&inner, &ours).expect("kept"), Some(ReplicaId(7)));
        let error = read(&inner, &other).expect_err("it is of another cluster").to_string();
        assert!(error.contains(&ours.to_string()) && error.contains(&other.to_string()), "{error}");
        fs::write(inner.join(FILE), "0000000000000007\n").expect("written");
        assert_eq!(read(&inner, &other).expect("it does not say whose it is"), Some(ReplicaId(7)));
        for nonsense in ["", "7", "000000000000000g\n", "00000000000000007\n"] {
            fs::write(inner.join(FILE), nonsense).expect("written");
            let error = read(&inner, &ours).expect_err("it is nonsense").to_string();
            assert!(error.contains("does not name a replica"), "{error}");
        }
        fs::remove_dir_all(directory).expect("removed");
    }
}
