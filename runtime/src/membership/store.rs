//! Which replica a data directory holds: drawn once, when it is made.

use crate::host::{make_directory, sync_directory};
use odeon_core::ReplicaId;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

const FILE: &str = "replica";

/// The replica of a directory. `drawn` is its id if it has none yet.
pub(super) fn replica(directory: &Path, drawn: ReplicaId) -> io::Result<ReplicaId> {
    make_directory(directory)?;
    let path = directory.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => parse(&text).ok_or_else(|| {
            let problem = format!("{} does not name a replica: {text:?}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, problem)
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // one that was half written is not read: it gets its name last
            let new = directory.join("replica.new");
            let mut file = File::create(&new)?;
            file.write_all(format!("{drawn}\n").as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            sync_directory(directory)?;
            Ok(drawn)
        }
        Err(error) => Err(error),
    }
}

fn parse(text: &str) -> Option<ReplicaId> {
    let text = text.trim_end();
    (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok()).flatten().map(ReplicaId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_its_replica_and_nonsense_is_refused() {
        let directory = std::env::temp_dir().join(format!("odeon-store-{}", uuid::Uuid::now_v7()));
        let inner = directory.join("cluster/deep");
        assert_eq!(replica(&inner, ReplicaId(7)).expect("drawn"), ReplicaId(7));
        assert_eq!(replica(&inner, ReplicaId(8)).expect("kept"), ReplicaId(7));
        for nonsense in ["", "7", "000000000000000g\n", "00000000000000007\n"] {
            fs::write(inner.join(FILE), nonsense).expect("written");
            let error = replica(&inner, ReplicaId(8)).expect_err("it is nonsense").to_string();
            assert!(error.contains("does not name a replica"), "{error}");
        }
        fs::remove_dir_all(directory).expect("removed");
    }
}
