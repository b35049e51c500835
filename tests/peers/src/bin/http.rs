//! A small JSON request and answer over HTTP: Odeon's gateway and a service behind it, bare hyper, nginx.

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use odeon_peers::load::{CONNECTIONS, Posted, Wrk};
use odeon_peers::rounds::Numbers;
use odeon_peers::servers::{DAEMON, Running, Server, daemon, nginx, nginx_is_there};
use odeon_peers::workload::Sample;
use odeon_peers::{machine, table};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Measures servers against each other and prints a table. wrk shares the machine's cores with them.
#[derive(Debug, Parser)]
struct Options {
    /// Rounds: each measures every server once.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Seconds of load for each measurement, after one second that does not count.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// One round of one second: only to see that all runs.
    #[arg(long)]
    quick: bool,
    /// Only these servers.
    #[arg(long, value_delimiter = ',')]
    servers: Vec<Server>,
    /// The program of the row `odeon-daemon`.
    #[arg(long, default_value = DAEMON)]
    daemon: PathBuf,
    /// All numbers as JSON.
    #[arg(long)]
    json: bool,
    /// Begins the order of the servers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Serve in this process.
    #[arg(long, hide = true)]
    serve: Option<SocketAddr>,
}

impl Options {
    fn all(&self) -> Vec<Server> {
        if self.servers.is_empty() { Server::value_variants().to_vec() } else { self.servers.clone() }
    }

    /// Why a server cannot take part.
    fn absent(&self, server: Server) -> Option<String> {
        match server {
            Server::OdeonDaemon if !self.daemon.exists() => Some(format!(
                "{} is not there: cargo build --release in the main workspace",
                self.daemon.display()
            )),
            Server::Nginx | Server::Nginx1 if !nginx_is_there() => Some("apt install nginx-light".into()),
            _ => None,
        }
    }

    fn command(&self, server: Server, address: SocketAddr, folder: &Path) -> Result<Command> {
        Ok(match server {
            Server::Nginx => nginx(2, address, folder)?,
            Server::Nginx1 => nginx(1, address, folder)?,
            Server::OdeonDaemon => daemon(&self.daemon, address, folder),
            _ => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["--servers", &server.name(), "--serve", &address.to_string()]);
                command
            }
        })
    }

    fn measure(&self, server: Server, wrk: &Wrk) -> Result<Vec<Sample>> {
        let running = Running::start(|address, folder| self.command(server, address, folder))?;
        wrk.post(&running.url(), Posted::Service, Duration::from_secs(1))?;
        let before = machine::cpu_time(running.id())?;
        let time = Duration::from_secs(if self.quick { 1 } else { self.seconds });
        let report = wrk.post(&running.url(), Posted::Service, time)?;
        let used = machine::cpu_time(running.id())?.saturating_sub(before);
        Ok(report.samples(used))
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    if let Some(address) = options.serve {
        return options.servers.first().context("which server?")?.serve(address);
    }
    let wrk = Wrk::prepare()?;
    let mut servers = options.all();
    servers.retain(|server| {
        let absent = options.absent(*server);
        if let Some(problem) = &absent {
            eprintln!("{} IS SKIPPED: {problem}", server.name().to_uppercase());
        }
        absent.is_none()
    });
    let machine = machine::describe();
    let rounds = if options.quick { 1 } else { options.rounds };
    let mut numbers = Numbers::default();
    let mut chance = fastrand::Rng::with_seed(options.seed);
    for round in 0..rounds {
        let mut order = servers.clone();
        chance.shuffle(&mut order);
        for server in order {
            eprintln!("round {} of {rounds}: {}", round + 1, server.name());
            match options.measure(server, &wrk) {
                Ok(samples) => numbers.add(round, &server.name(), &samples),
                Err(problem) => eprintln!("NOT MEASURED: {problem:#}"),
            }
        }
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&numbers.all())?);
        return Ok(());
    }
    println!(
        "{machine}, shared with wrk -t1 -c{CONNECTIONS}; medians of {rounds} rounds, in brackets the median"
    );
    println!("of the ratios to nginx\n");
    let names: Vec<_> = servers.iter().map(|s| s.name()).collect();
    println!("{}", table::by_metric(&numbers, &names, "nginx"));
    for server in servers.iter().filter(|s| s.name().starts_with("odeon")) {
        println!("{}", table::ratios(&numbers, &server.name(), "nginx"));
    }
    Ok(())
}
