//! How often a node of a directory has begun: the number by which peers tell its starts apart.
//!
//! The file `incarnation` holds it in decimal digits and a line's end. What is cut off has no end and is refused, for
//! a number that was seen before would let messages for an earlier start reach a later one.

use crate::directory::{DirectoryError, write_whole};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

const FILE: &str = "incarnation";
/// More starts than any node has: what travels as a number of QUIC has 62 bits (RFC 9000, 16).
const INCARNATION_MAX: u64 = (1 << 62) - 1;

/// Why a node does not know which of its starts this is. Never worth a retry before somebody has looked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IncarnationError {
    /// The file holds something else.
    #[error(
        "{} is damaged: it holds {content:?}, not a number and a line's end. Write into it a number that is not below \
         any incarnation of this node that its peers know (`odeon links` shows NAME@INCARNATION there): \
         echo NUMBER > {}",
        path.display(),
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The beginning of what is in it.
        content: String,
    },
    /// The operating system refused.
    #[error("the incarnation of this node cannot be kept: {0}")]
    Directory(#[from] DirectoryError),
}

/// The number of this start: one more than the last one, and on disk before it is known to anybody. Blocks.
///
/// # Errors
/// [`IncarnationError`].
pub(crate) fn next(directory: &Path) -> Result<u64, IncarnationError> {
    let next = last(directory)? + 1;
    let path = directory.join(FILE);
    write_whole(&path, &format!("{next}\n"))?;
    // the name, too, must outlive a loss of power
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|cause| DirectoryError::System { path: directory.into(), cause })?;
    Ok(next)
}

/// The number of the last start, 0 if there was none. Blocks.
///
/// # Errors
/// [`IncarnationError`].
pub(crate) fn last(directory: &Path) -> Result<u64, IncarnationError> {
    let path = directory.join(FILE);
    match fs::read(&path) {
        Ok(content) => read(&content).ok_or_else(|| damaged(&path, &content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(cause) => Err(DirectoryError::System { path, cause }.into()),
    }
}

fn read(content: &[u8]) -> Option<u64> {
    let digits = str::from_utf8(content).ok()?.strip_suffix('\n')?;
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse().ok().filter(|number| plain && *number < INCARNATION_MAX)
}

fn damaged(path: &Path, content: &[u8]) -> IncarnationError {
    let content = String::from_utf8_lossy(&content[..content.len().min(40)]).into_owned();
    IncarnationError::Damaged { path: path.into(), content }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty place for one test; left to the system's cleaning of temporary files.
    fn place(test: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("odeon-incarnation-{}-{test}", std::process::id()));
        // a former process may have had the same id
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("it is writable");
        path
    }

    #[test]
    fn each_start_has_a_greater_number_and_it_is_on_disk() {
        let place = place("grows");
        for start in 1..=12 {
            assert_eq!(next(&place).expect("it is counted"), start);
            let kept = fs::read_to_string(place.join(FILE)).expect("it is there");
            assert_eq!(kept, format!("{start}\n"));
        }
        fs::write(place.join(FILE), "700\n").expect("it is ours");
        assert_eq!(next(&place).expect("an operator may raise it"), 701);
    }

    #[test]
    fn what_a_start_left_half_written_beside_the_file_does_not_count() {
        let place = place("beside");
        assert_eq!(next(&place).expect("it is counted"), 1);
        fs::write(place.join("incarnation.new"), "9").expect("it is ours");
        assert_eq!(next(&place).expect("it is counted"), 2);
    }

    #[test]
    fn a_damaged_number_is_never_taken_for_another_one() {
        let place = place("damaged");
        for content in ["", "\n", "7", "70\n1\n", "0\n", "07\n", "+7\n", "x\n", "4611686018427387903\n"] {
            fs::write(place.join(FILE), content).expect("it is ours");
            let said = next(&place).expect_err(content).to_string();
            assert!(said.contains("is damaged") && said.contains("echo NUMBER > "), "{said}");
            assert_eq!(fs::read_to_string(place.join(FILE)).expect("it is there"), content, "left as it is");
        }
    }

    #[test]
    fn a_number_that_cannot_be_kept_is_not_used() {
        let place = place("readonly").join("missing");
        assert!(matches!(next(&place), Err(IncarnationError::Directory(DirectoryError::System { .. }))));
    }
}
