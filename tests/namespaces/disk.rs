//! A small disk for the directory of one node, which can be filled. It is seen in a mount namespace of its own only, and
//! goes with the last process there.

use super::net::Net;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Mounts it, says so, and keeps it until the test closes its end of the pipe or dies.
const KEEP: &str = "mount -t tmpfs -o size=1m tmpfs \"$1\" && echo mounted && exec cat";
/// Runs something where paths lead to it.
const RUN: &str = "cd \"$1\" && shift && exec \"$@\"";
/// What takes up all of its room.
const FILL: &str = "fill";
/// Pages of a tmpfs have as many bytes, or more.
const PAGE: [u8; 4096] = [7; 4096];

/// It is unmounted when its test ends.
pub(crate) struct Disk {
    keeper: Child,
    host: &'static str,
    at: PathBuf,
}

impl Disk {
    /// Mounts an empty one, for a host of the network.
    pub(crate) fn mount(net: &Net, host: &'static str, at: PathBuf) -> Self {
        fs::create_dir_all(&at).expect("the place is writable");
        let mut command = net.command(host, "sh");
        command.args(["-c", KEEP, "sh"]).arg(&at).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = command.spawn().expect("ip runs");
        let mut said = String::new();
        let out = keeper.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut said).expect("a pipe can be read");
        let disk = Self { keeper, host, at };
        assert_eq!(said, "mounted\n", "{} is not mounted", disk.at.display());
        disk
    }

    /// A program at its host that sees it, to be run in this directory.
    pub(crate) fn command(&self, net: &Net, directory: &Path, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.keeper.id()));
        command.arg(format!("--net={}", net.path(self.host).display()));
        command.args(["sh", "-c", RUN, "sh"]).arg(directory).arg(program);
        command
    }

    /// Where it is for those who do not see it.
    pub(crate) fn path(&self) -> PathBuf {
        let below = self.at.strip_prefix("/").expect("a whole path");
        Path::new("/proc").join(self.keeper.id().to_string()).join("root").join(below)
    }

    /// Takes up all of its room.
    pub(crate) fn fill(&self) {
        let mut file = File::create(self.path().join(FILL)).expect("it is writable");
        let full = loop {
            if let Err(error) = file.write_all(&PAGE) {
                break error;
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::StorageFull, "{full}");
    }

    /// Gives the room back.
    pub(crate) fn free(&self) {
        fs::remove_file(self.path().join(FILL)).expect("it was filled");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // one that has ended needs no kill
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
