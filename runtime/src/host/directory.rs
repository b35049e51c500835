//! Directories that survive a loss of power: their names are synced in what they are in.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Makes a directory, and those that it is in, if they are not there.
pub(crate) fn make_directory(directory: &Path) -> io::Result<()> {
    let missing = directory.ancestors().take_while(|path| *path != Path::new("") && !path.is_dir()).count();
    fs::create_dir_all(directory)?;
    // also of one that is there: whoever made it may have been stopped before this
    for made in directory.ancestors().take(missing.max(1)) {
        match made.parent() {
            Some(parent) if parent != Path::new("") => sync_directory(parent)?,
            _ => {}
        }
    }
    Ok(())
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
