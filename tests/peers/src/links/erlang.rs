//! Erlang distribution on loopback, without a port mapper: both nodes know the port, and touch no `epmd` that may run.

use crate::systems::Erlang;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Both ends of one measurement.
#[derive(Debug)]
pub struct Ends {
    folder: PathBuf,
    cookie: String,
    port: u16,
    tls: bool,
}

impl Ends {
    /// On a port that is free now.
    ///
    /// # Errors
    /// There is none, or no certificate can be made.
    pub fn new(erlang: &Erlang, tls: bool) -> Result<Self> {
        let folder = erlang.folder().to_owned();
        if tls {
            certify(&folder)?;
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        Ok(Self { folder, cookie: format!("{:x}", fastrand::u128(..)), port, tls })
    }

    /// The node with the receivers. It says when it is ready.
    pub fn receive(&self) -> Command {
        let mut command = self.node("receiver");
        command.args(["-run", "links", "serve"]);
        command
    }

    /// The node that does a workload. It prints a metric and a value on each line.
    pub fn send(&self, work: &[String]) -> Command {
        let mut command = self.node("sender");
        command.args(["-dist_listen", "false", "-run", "links", "send"]).args(work);
        command
    }

    fn node(&self, name: &str) -> Command {
        let mut command = Command::new("erl");
        // nothing is read from, nor left in, anybody's home
        command.current_dir(&self.folder).env("HOME", &self.folder);
        command.args(["-noshell", "-name", &format!("{name}@127.0.0.1"), "-setcookie", &self.cookie]);
        command.args(["-start_epmd", "false", "-erl_epmd_port", &self.port.to_string()]);
        command.args(["-kernel", "inet_dist_use_interface", "{127,0,0,1}"]);
        if self.tls {
            command.args(["-proto_dist", "inet_tls", "-ssl_dist_optfile"]).arg(self.folder.join(OPTIONS));
        } else {
            command.args(["-proto_dist", "inet_tcp"]);
        }
        command
    }
}

const OPTIONS: &str = "tls.conf";

/// Whether Erlang has its TLS.
///
/// # Errors
/// What is missing.
pub fn has_tls() -> Result<()> {
    let asks = "case code:lib_dir(ssl) of {error, _} -> halt(1); _ -> halt(0) end.";
    let there = Command::new("erl").args(["-noshell", "-eval", asks]).status().context("erl")?;
    ensure!(there.success(), "it has no ssl: apt install erlang-ssl");
    let openssl = Command::new("openssl").arg("version").output();
    ensure!(openssl.is_ok_and(|o| o.status.success()), "openssl, which makes its certificate, is not there");
    Ok(())
}

/// One certificate that signs itself, for both ends. What is measured is encryption: the client could not verify the
/// name 127.0.0.1 anyway, and a handshake is no part of a workload.
fn certify(folder: &Path) -> Result<()> {
    if folder.join(OPTIONS).exists() {
        return Ok(());
    }
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
    command.args(["-days", "2", "-subj", "/CN=bench", "-keyout", "key.pem", "-out", "cert.pem"]);
    let made = command.current_dir(folder).output().context("openssl")?;
    ensure!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
    let end =
        "{certfile, \"cert.pem\"}, {keyfile, \"key.pem\"}, {verify, verify_none}, {versions, ['tlsv1.3']}";
    Ok(std::fs::write(folder.join(OPTIONS), format!("[{{server, [{end}]}}, {{client, [{end}]}}].\n"))?)
}
