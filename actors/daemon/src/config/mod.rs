//! What a node is told: flags beat the file, the file beats the defaults.

mod bounds;
mod cluster;
mod file;
mod group;
mod listen;
mod place;
mod show;

use crate::directory::DIRECTORY_DEFAULT;
use crate::executors::executors_default;
use crate::exit::Failure;
use crate::log;
use clap::Args;
pub(crate) use cluster::{Cluster, PeerAddress};
use file::File;
pub(crate) use group::Group;
use odeon::core::{NodeName, ServiceName};
use odeon::node::{ConfigError, NodeConfig, StartNodeError};
use odeon_actors::gateway::GatewayConfig;
use place::{Part, Source};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the command line asks that is not told.
const MANAGEMENT_DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8081);
const NAME_DEFAULT: &str = "local";
const BLOCKING_THREADS_DEFAULT: usize = 4;
const STOP_WITHIN_DEFAULT: Duration = Duration::from_secs(30);

/// The flags of a node.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Flags {
    /// Where the node keeps its files [default: .odeon]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// The name of the node, unique in its cluster [default: local]
    #[arg(long)]
    pub(crate) name: Option<NodeName>,
    /// Where services are called; port 0 picks a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", value_parser = listen::parse)]
    pub(crate) http: Option<SocketAddr>,
    /// Where the command line and monitoring ask; port 0 picks a free one [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDR", value_parser = listen::parse)]
    pub(crate) management: Option<SocketAddr>,
    /// Where other nodes of the cluster find this one (UDP) [default: 127.0.0.1:0, when it is in a cluster]
    #[arg(long, value_name = "ADDR", value_parser = listen::parse)]
    pub(crate) cluster_listen: Option<SocketAddr>,
    /// The directory with this node's ca.pem, node.pem and node.key: it is in that cluster
    #[arg(long, value_name = "DIR")]
    pub(crate) credentials: Option<PathBuf>,
    /// A node by which this one finds all others, one that runs is enough; may be repeated
    #[arg(long = "peer", value_name = "HOST:PORT")]
    pub(crate) peers: Vec<PeerAddress>,
    /// A node that begins the cluster and votes on its members, the same ones on all nodes; may be repeated
    #[arg(long = "founder", value_name = "NAME")]
    pub(crate) founders: Vec<NodeName>,
    /// Where the machine of this node is, for people and for placement
    #[arg(long, value_name = "NAME")]
    pub(crate) zone: Option<String>,
    /// How many threads run services and their I/O [default: one for each core]
    #[arg(long, value_name = "N", value_parser = bounds::executors)]
    pub(crate) executors: Option<NonZeroUsize>,
    /// Which log lines are written, such as info or warn,odeon=debug (also: ODEON_LOG)
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

/// What a node is told, complete.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) directory: PathBuf,
    pub(crate) name: NodeName,
    pub(crate) executors: usize,
    pub(crate) blocking_threads: usize,
    pub(crate) stop_within: Duration,
    /// What the file says about logging; the flag is not in here.
    pub(crate) log: Option<String>,
    pub(crate) http: GatewayConfig,
    pub(crate) management: SocketAddr,
    /// None: the node is alone.
    pub(crate) cluster: Option<Cluster>,
    pub(crate) services: BTreeMap<ServiceName, toml::Table>,
    pub(crate) bindings: BTreeMap<ServiceName, ServiceName>,
    source: Option<Source>,
}

impl Settings {
    /// From the flags and the file, if one is named.
    ///
    /// # Errors
    /// The file cannot be read or used; names file, line and column.
    pub(crate) fn load(flags: &Flags, path: Option<&Path>) -> Result<Self, Failure> {
        let source = path.map(read).transpose()?;
        let file = match &source {
            Some(source) => File::parse(source).map_err(Failure::usage)?,
            None => File::default(),
        };
        let name_default = || NAME_DEFAULT.parse().expect("the constant is a name");
        let name = flags.name.clone().or(file.node.name).unwrap_or_else(name_default);
        let cluster = Cluster::of(flags, file.cluster, &name).map_err(|error| {
            let part =
                |path, part| source.as_ref().and_then(|source| Some((source, source.key(path, part)?)));
            let at = match error.key() {
                Some(key) => part(&["cluster", key], Part::Value),
                None => part(&["cluster"], Part::Name),
            };
            let failure = match at {
                Some((source, at)) => Failure::usage(source.place(at, error)),
                None => Failure::usage(error),
            };
            failure.advice(error.advice())
        })?;
        let default = || executors_default().min(bounds::EXECUTORS_MAX);
        let settings = Self {
            directory: flags
                .dir
                .clone()
                .or(file.node.directory)
                .unwrap_or_else(|| PathBuf::from(DIRECTORY_DEFAULT)),
            name,
            executors: flags.executors.map(NonZeroUsize::get).or(file.node.executors).unwrap_or_else(default),
            blocking_threads: file.node.blocking_threads.unwrap_or(BLOCKING_THREADS_DEFAULT),
            stop_within: file.node.stop_within.unwrap_or(STOP_WITHIN_DEFAULT),
            log: file.node.log,
            http: match flags.http {
                Some(address) => GatewayConfig { address, ..file.http.gateway() },
                None => file.http.gateway(),
            },
            management: flags.management.or(file.management.address).unwrap_or(MANAGEMENT_DEFAULT),
            cluster,
            services: file.services,
            bindings: file.bindings,
            source,
        };
        settings.check()?;
        if let Some(text) = log::configured(flags.log.as_deref(), settings.log.as_deref()) {
            let at = |problem| settings.failure_at("node", "log", format_args!("node.log: {problem}"));
            log::parse(&text).map_err(|problem| at(problem).advice(log::ADVICE))?;
        }
        Ok(settings)
    }

    /// The part that the node itself wants.
    pub(crate) fn node(&self) -> NodeConfig {
        NodeConfig {
            services: self.services.clone(),
            bindings: self.bindings.clone(),
            placed: self.cluster.as_ref().is_some_and(|cluster| cluster.group.is_some()),
            ..NodeConfig::named(self.name.clone())
        }
    }

    /// Whether the file has this key.
    pub(crate) fn says(&self, section: &str, key: &str) -> bool {
        self.source.as_ref().is_some_and(|source| source.key(&[section, key], Part::Name).is_some())
    }

    /// A problem with a key of a section, at its place when the file has it.
    fn failure_at(&self, section: &str, key: &str, problem: impl fmt::Display) -> Failure {
        let place = |source| Some((source, Source::key(source, &[section, key], Part::Value)?));
        match self.source.as_ref().and_then(place) {
            Some((source, at)) => Failure::usage(source.place(at, problem)),
            None => Failure::usage(problem),
        }
    }

    /// Why the node did not start, with the place in the file when that is to blame.
    pub(crate) fn explain(&self, error: &StartNodeError) -> Failure {
        let StartNodeError::Config(config) = error else {
            return Failure::failed(format_args!("the node did not start: {error}"));
        };
        let (service, field, part) = match config {
            // what serde says of a name that it does not know
            ConfigError::Section { service, field, problem } if problem.starts_with("unknown field") => {
                (service, field.as_str(), Part::Name)
            }
            ConfigError::Section { service, field, .. } => (service, field.as_str(), Part::Value),
            ConfigError::Unused { service, .. } => (service, "", Part::Name),
        };
        let place = |source| Some((source, Source::locate(source, service, field, part)?));
        let place = self.source.as_ref().and_then(place);
        match place {
            Some((source, at)) => Failure::usage(source.place(at, config)),
            None => Failure::usage(config),
        }
    }
}

fn read(path: &Path) -> Result<Source, Failure> {
    let bytes = std::fs::read(path).map_err(|e| {
        Failure::usage(format_args!("the configuration file {} cannot be read: {e}", path.display()))
            .advice("the command `config` prints one that says all defaults")
    })?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let good = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        let path = path.display();
        Failure::usage(format_args!("{path}:{line}: the configuration file is not UTF-8, as TOML has to be"))
    })?;
    Ok(Source { path: path.into(), text })
}
