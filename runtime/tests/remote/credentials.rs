//! Credentials in files.

use crate::stage::{authority, credentials};
use odeon::host::{Inline, Threads};
use odeon::remote::trust::CredentialsError;
use odeon::remote::{Credentials, Trust};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::SystemTime;

/// A directory of this test's own, empty.
fn directory(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("credentials-{name}"));
    // it may be left from an earlier run
    let _ = fs::remove_dir_all(&path);
    path
}

#[tokio::test]
async fn credentials_come_back_from_their_files_through_the_seam_for_blocking_work() {
    let place = directory("back");
    let written = credentials(&authority(1), "north");
    written.write(&place).expect("a directory");
    let threads = Threads::start("blocking", 1, 4).expect("a thread");
    assert_eq!(Credentials::load(&place, &threads).await.expect("they are there"), written);
    assert_eq!(Credentials::load(&place, &Inline).await.expect("they are there"), written);
    Trust::new(&written, SystemTime::now()).expect("trust");
}

#[test]
fn a_key_is_written_for_its_owner_alone_and_refused_when_others_can_read_it() {
    let place = directory("exposed");
    let written = credentials(&authority(1), "north");
    written.write(&place).expect("a directory");
    let key = place.join("node.key");
    let mode = fs::metadata(&key).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for wrong in [0o644, 0o640, 0o604, 0o610] {
        fs::set_permissions(&key, Permissions::from_mode(wrong)).expect("it is ours");
        let refused = Credentials::read(&place).expect_err("others can read it");
        assert!(matches!(refused, CredentialsError::Exposed { mode, .. } if mode == wrong), "{refused:?}");
        let said = refused.to_string();
        assert!(said.contains("chmod 600") && said.contains("node.key"), "{said}");
    }
    // writing again makes it right, whatever was there
    fs::write(place.join("node.key.new"), "left over").expect("it is ours");
    written.write(&place).expect("they can be replaced");
    assert_eq!(Credentials::read(&place).expect("for the owner alone"), written);
    assert!(!place.join("node.key.new").exists());
}

#[test]
fn a_missing_file_is_named_with_what_writes_it() {
    let place = directory("missing");
    let said = Credentials::read(&place).expect_err("there is nothing").to_string();
    assert!(said.contains("ca.pem") && said.contains("odeon cluster init"), "{said}");
    credentials(&authority(1), "north").write(&place).expect("a directory");
    fs::remove_file(place.join("node.key")).expect("it is there");
    let said = Credentials::read(&place).expect_err("there is no key").to_string();
    assert!(said.contains("node.key"), "{said}");
}
