//! The digest of the running program. Nodes of the same one lay out their messages alike.

use ring::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use std::fs::File;
use std::io::{self, Read};

/// The program as it was started (Linux), whatever lies at its path now.
const RUNNING: &str = "/proc/self/exe";
/// Bytes that are read at once.
const PIECE: usize = 256 << 10;

/// SHA-256 of the program that runs. Blocks.
///
/// # Errors
/// It cannot be read.
pub(super) fn digest() -> io::Result<[u8; SHA256_OUTPUT_LEN]> {
    let program = File::open(RUNNING).or_else(|_| File::open(std::env::current_exe()?))?;
    digest_of(program)
}

fn digest_of(mut from: impl Read) -> io::Result<[u8; SHA256_OUTPUT_LEN]> {
    let mut context = Context::new(&SHA256);
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => context.update(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let mut digest = [0; SHA256_OUTPUT_LEN];
    digest.copy_from_slice(context.finish().as_ref());
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_all_bytes() {
        // FIPS 180-4, example of one million times "a", in reads of all sizes
        let million = io::repeat(b'a').take(1_000_000);
        let hex: String =
            digest_of(million).expect("it is read").iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }

    #[test]
    fn a_program_has_the_same_digest_each_time() {
        assert_eq!(digest().expect("this test runs from a file"), digest().expect("again"));
    }
}
