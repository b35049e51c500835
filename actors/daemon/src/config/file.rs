//! The configuration file: its sections and keys. What it does not know it refuses.

use super::place::{Placed, Source};
use super::{cluster, listen};
use crate::duration;
use odeon::core::{NodeName, ServiceName};
use odeon_actors::gateway::GatewayConfig;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that a file can say.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct File {
    /// The node itself.
    pub(crate) node: NodeSection,
    /// Where services are called from outside.
    pub(crate) http: HttpSection,
    /// Where the command line and monitoring ask.
    pub(crate) management: ManagementSection,
    /// Other nodes; without it there are none.
    pub(crate) cluster: Option<cluster::Section>,
    /// What each service is told; its constructor says what it wants.
    pub(crate) services: BTreeMap<ServiceName, toml::Table>,
    /// Names that stand for others.
    pub(crate) bindings: BTreeMap<ServiceName, ServiceName>,
}

/// `[node]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NodeSection {
    /// Its name.
    pub(crate) name: Option<NodeName>,
    /// Where it keeps its files.
    pub(crate) directory: Option<PathBuf>,
    /// How many executors: threads that run services and their I/O. One for each core by default.
    pub(crate) executors: Option<usize>,
    /// How many threads for blocking work.
    pub(crate) blocking_threads: Option<usize>,
    /// Longest orderly stop.
    #[serde(deserialize_with = "duration::optional")]
    pub(crate) stop_within: Option<Duration>,
    /// Which log lines are written.
    pub(crate) log: Option<String>,
}

/// `[http]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HttpSection {
    /// Where it listens.
    #[serde(deserialize_with = "listen::optional")]
    pub(crate) address: Option<SocketAddr>,
    /// Most bytes of a request's body.
    pub(crate) body_bytes_max: Option<usize>,
    /// Most bytes of a request's head.
    pub(crate) head_bytes_max: Option<usize>,
    /// Most connections at the same time.
    pub(crate) connections_max: Option<usize>,
    /// How long a client waits that does not say.
    #[serde(deserialize_with = "duration::optional")]
    pub(crate) within: Option<Duration>,
    /// Longest wait for the next request of a connection.
    #[serde(deserialize_with = "duration::optional")]
    pub(crate) timeout_idle: Option<Duration>,
    /// Longest wait for the rest of a request's head.
    #[serde(deserialize_with = "duration::optional")]
    pub(crate) timeout_head: Option<Duration>,
    /// Longest wait for a whole body.
    #[serde(deserialize_with = "duration::optional")]
    pub(crate) timeout_body: Option<Duration>,
    /// Longest wait for a client that does not take its answer.
    #[serde(deserialize_with = "duration::optional")]
    pub(crate) timeout_write: Option<Duration>,
}

impl HttpSection {
    /// Where the section is silent, the gateway's own defaults.
    pub(crate) fn gateway(&self) -> GatewayConfig {
        let mut config = GatewayConfig::default();
        let connections = &mut config.connections;
        replace(&mut connections.head_bytes_max, self.head_bytes_max);
        replace(&mut connections.connections_max, self.connections_max);
        replace(&mut connections.timeout_idle, self.timeout_idle);
        replace(&mut connections.timeout_head, self.timeout_head);
        replace(&mut connections.timeout_body, self.timeout_body);
        replace(&mut connections.timeout_write, self.timeout_write);
        replace(&mut config.address, self.address);
        replace(&mut config.body_bytes_max, self.body_bytes_max);
        replace(&mut config.within, self.within);
        config
    }
}

fn replace<T>(default: &mut T, said: Option<T>) {
    if let Some(said) = said {
        *default = said;
    }
}

/// `[management]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ManagementSection {
    /// Where it listens.
    #[serde(deserialize_with = "listen::optional")]
    pub(crate) address: Option<SocketAddr>,
}

impl File {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub(crate) fn parse(source: &Source) -> Result<Self, Box<Placed>> {
        toml::from_str(&source.text)
            .map_err(|error| Box::new(source.place(error.span().unwrap_or(0..0), error.message())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<File, String> {
        let source = Source { path: "odeon.toml".into(), text: text.into() };
        File::parse(&source).map_err(|placed| placed.to_string())
    }

    #[test]
    fn a_file_may_say_nothing() {
        assert_eq!(read(""), Ok(File::default()));
    }

    #[test]
    fn a_file_says_what_a_node_needs() {
        let file = read(
            "[node]\nname = \"one\"\nexecutors = 2\nstop_within = \"5s\"\n\
             [http]\naddress = \"127.0.0.1:0\"\n\
             [services.greeter]\ngreeting = \"Hi\"\n\
             [bindings]\npayment = \"shop/payment\"\n",
        )
        .expect("it is well formed");
        assert_eq!(file.node.executors, Some(2));
        assert_eq!(file.node.stop_within, Some(Duration::from_secs(5)));
        assert_eq!(file.services.len(), 1);
        assert_eq!(file.bindings.len(), 1);
    }

    #[test]
    fn each_error_says_where_and_what_was_expected() {
        let cases = [
            ("[node]\nexectors = 2\n", "odeon.toml:2:1", "unknown field `exectors`, expected"),
            ("[noed]\n", "odeon.toml:1:2", "unknown field `noed`, expected"),
            ("[node]\nexecutors = \"two\"\n", "odeon.toml:2:13", "string \"two\", expected"),
            ("[node]\nname = \"Node One\"\n", "odeon.toml:2:8", "'N' at position 1 is not allowed"),
            ("[node]\nstop_within = \"5\"\n", "odeon.toml:2:15", "expected a number with a unit"),
            (
                "[http]\naddress = \"localhost\"\n",
                "odeon.toml:2:11",
                "expected IP:PORT, such as 127.0.0.1:8080",
            ),
            ("[node\n", "odeon.toml:1:6", "expected `]`"),
            ("[cluster]\nlisten = \"7000\"\n", "odeon.toml:2:10", "names are not looked up"),
            (
                "[cluster]\npeers = [\"a:1\", \"b\"]\n",
                "odeon.toml:2:9",
                "\"b\" is no address of a peer: expected HOST:PORT",
            ),
            ("[cluster]\nmtu_max = 900\n", "odeon.toml:2:11", "expected 1200 to 6500"),
            ("[cluster]\nfounders = [\"a\", \"a\"]\n", "odeon.toml:2:12", "a is named twice"),
            ("[cluster]\neligible = [\"A\"]\n", "odeon.toml:2:12", "'A' at position 1"),
            ("[cluster]\nvoters = -1\n", "odeon.toml:2:10", "expected usize"),
            ("[cluster]\nseeds = []\n", "odeon.toml:2:1", "unknown field `seeds`, expected"),
            ("[bindings]\n\"a b\" = \"c\"\n", "odeon.toml:2:1", "' ' at position 2"),
        ];
        for (text, place, problem) in cases {
            let error = read(text).expect_err(text);
            assert!(error.starts_with(place) && error.contains(problem), "{text:?} gave\n{error}");
        }
    }
}
