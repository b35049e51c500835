//! `[cluster]`: whether and how a node talks to others.

use super::group::{self, Group, GroupError};
use super::{Flags, Settings, listen};
use crate::exit::Failure;
use odeon::core::NodeName;
use odeon::remote::endpoint::{MTU_MAX, MTU_MIN};
use odeon::remote::{Subject, Transport, trust::CHAIN_FILE};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// Where a node listens for others that is not told.
const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// `[cluster]`, as a file says it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Section {
    /// Where other nodes find this one (QUIC, so a UDP port).
    #[serde(deserialize_with = "listen::optional")]
    listen: Option<SocketAddr>,
    /// Where they dial it, if that is elsewhere.
    #[serde(deserialize_with = "advertise")]
    advertise: Option<SocketAddr>,
    /// The directory with ca.pem, node.pem and node.key.
    credentials: Option<PathBuf>,
    /// Nodes by which this one finds all others; one that runs is enough.
    peers: Option<Vec<PeerAddress>>,
    /// The largest packet that is tried.
    #[serde(deserialize_with = "mtu")]
    mtu_max: Option<u16>,
    /// The nodes that form the cluster and are its first voters: with them, its members agree on who is one.
    #[serde(deserialize_with = "group::names")]
    founders: Option<BTreeSet<NodeName>>,
    /// The nodes that may vote.
    #[serde(deserialize_with = "group::names")]
    eligible: Option<BTreeSet<NodeName>>,
    /// How many of them vote.
    voters: Option<usize>,
    /// The machine: nodes of the same one fail together.
    host: Option<String>,
    /// Where that is.
    zone: Option<String>,
}

/// Complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Cluster {
    pub(crate) listen: SocketAddr,
    /// None: where it listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) advertise: Option<SocketAddr>,
    pub(crate) credentials: PathBuf,
    pub(crate) peers: Vec<PeerAddress>,
    /// In bytes of UDP payload.
    pub(crate) mtu_max: u16,
    pub(crate) host: String,
    /// Empty: nobody has said.
    pub(crate) zone: String,
    /// None: the nodes have links, and nobody says who is a member.
    #[serde(flatten)]
    pub(crate) group: Option<Group>,
}

impl Cluster {
    /// From the flags and the section, for the node of this name. None: neither speaks of a cluster.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub(super) fn of(
        flags: &Flags,
        section: Option<Section>,
        node: &NodeName,
    ) -> Result<Option<Self>, ClusterError> {
        let flagged = flags.cluster_listen.is_some()
            || flags.credentials.is_some()
            || flags.zone.is_some()
            || !flags.peers.is_empty()
            || !flags.founders.is_empty();
        if section.is_none() && !flagged {
            return Ok(None);
        }
        let section = section.unwrap_or_default();
        let no_credentials = ClusterError::NoCredentials;
        let credentials = flags.credentials.clone().or(section.credentials).ok_or(no_credentials)?;
        let peers = match flags.peers.is_empty() {
            true => section.peers.unwrap_or_default(),
            false => flags.peers.clone(),
        };
        let founders = match flags.founders.is_empty() {
            true => section.founders.unwrap_or_default(),
            false => flags.founders.iter().cloned().collect(),
        };
        Ok(Some(Self {
            listen: flags.cluster_listen.or(section.listen).unwrap_or(LISTEN_DEFAULT),
            advertise: section.advertise,
            credentials,
            peers,
            mtu_max: section.mtu_max.unwrap_or(Transport::default().mtu_max),
            host: section.host.unwrap_or_else(|| group::host(node)),
            zone: flags.zone.clone().or(section.zone).unwrap_or_default(),
            group: Group::of(founders, section.eligible, section.voters)?,
        }))
    }
}

/// What is said of a cluster that no node can be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ClusterError {
    /// The node has nothing to show.
    #[error(
        "a node of a cluster needs `credentials`: the directory with its ca.pem, node.pem and node.key, which \
         `odeon cluster init` and `odeon cluster certificate` write"
    )]
    NoCredentials,
    /// Its group cannot be one.
    #[error("{0}")]
    Group(#[from] GroupError),
}

impl ClusterError {
    /// The key of the section that is to blame; none: something is missing in it.
    pub(super) fn key(self) -> Option<&'static str> {
        match self {
            Self::NoCredentials => None,
            Self::Group(error) => Some(error.key()),
        }
    }

    /// What to do.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::NoCredentials => {
                "name it there, or with --credentials DIR; `up` makes credentials by itself, and takes no peers"
            }
            Self::Group(error) => error.advice(),
        }
    }
}

/// Where a peer can be dialed: a host's name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerAddress {
    /// Without the brackets of an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// The text is no address of a peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no address of a peer: expected HOST:PORT, such as 10.0.0.2:7000, [fd00::2]:7000 or north.lan:7000"
)]
pub(crate) struct PeerAddressError(String);

impl FromStr for PeerAddress {
    type Err = PeerAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || PeerAddressError(text.into());
        if let Ok(address) = text.parse::<SocketAddr>() {
            let (host, port) = (address.ip().to_string(), address.port());
            return (port > 0).then_some(Self { host, port }).ok_or_else(wrong);
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
        // RFC 1123; the underscore is in use, too. What looks like a number is a mistyped address.
        let named = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        let letters = host.bytes().any(|b| b.is_ascii_alphabetic());
        (named && letters).then(|| Self { host: host.into(), port }).ok_or_else(wrong)
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        match host.contains(':') {
            true => write!(f, "[{host}]:{port}"),
            false => write!(f, "{host}:{port}"),
        }
    }
}

impl<'de> Deserialize<'de> for PeerAddress {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for PeerAddress {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// One address that others can dial.
fn advertise<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    let can_be_dialed = |address: &SocketAddr| !address.ip().is_unspecified() && address.port() > 0;
    let wrong = |text: String| {
        let text = format!(
            "{text:?} is no address that others can dial: expected IP:PORT of this node, as they see it"
        );
        de::Error::custom(text)
    };
    text.map(|text| text.parse().ok().filter(can_be_dialed).ok_or_else(|| wrong(text))).transpose()
}

fn mtu<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u16>, D::Error> {
    let told = Option::<u64>::deserialize(from)?;
    let fits = |told: u64| u16::try_from(told).ok().filter(|mtu| (MTU_MIN..=MTU_MAX).contains(mtu));
    told.map(|told| {
        let wrong = || format!("packets of {told} bytes do not work: expected {MTU_MIN} to {MTU_MAX}");
        fits(told).ok_or_else(|| de::Error::custom(wrong()))
    })
    .transpose()
}

impl Settings {
    /// The node is not the one that its certificate names.
    pub(crate) fn misnamed(&self, cluster: &Cluster, certificate: &Subject) -> Failure {
        let problem = format!(
            "this node is {}, but {} is the certificate of {certificate}",
            self.name,
            cluster.credentials.join(CHAIN_FILE).display()
        );
        let failure = self.failure_at("node", "name", problem);
        let issue = format!("issue a certificate for {0} with `odeon cluster certificate {0}`", self.name);
        match certificate {
            Subject::Node(name) => {
                failure.advice(format_args!("set [node] name = \"{name}\" (or --name {name}), or {issue}"))
            }
            Subject::Client(_) | Subject::Authority => failure.advice(issue),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_a_host_and_a_port() {
        for text in ["10.0.0.2:7000", "[fd00::2]:7000", "north.lan:7000", "node_1:1", "7eleven:65535"] {
            let read = text.parse::<PeerAddress>().map(|address| address.to_string());
            assert_eq!(read, Ok(text.into()));
        }
        for wrong in [
            "",
            "north",
            ":7000",
            "north:",
            "north:0",
            "1.2.3.4:0",
            "north:70000",
            "10.0.0:1",
            "http://a:1",
            "fd00::2:7000",
        ] {
            assert_eq!(wrong.parse::<PeerAddress>(), Err(PeerAddressError(wrong.into())));
        }
    }

    #[test]
    fn what_is_advertised_can_be_dialed() {
        let read = |address: &str| toml::from_str::<Section>(&format!("advertise = \"{address}\""));
        let good = read("203.0.113.7:7000").expect("it can be dialed");
        assert_eq!(good.advertise, "203.0.113.7:7000".parse().ok());
        for wrong in ["0.0.0.0:7000", "[::]:7000", "203.0.113.7:0", "203.0.113.7", "north.lan:7000"] {
            let error = read(wrong).expect_err(wrong).to_string();
            assert!(error.contains("no address that others can dial"), "{error}");
        }
    }

    #[test]
    fn flags_beat_the_section_and_without_both_there_is_no_cluster() {
        let of = |flags: &Flags, section| Cluster::of(flags, section, &"one".parse().expect("a name"));
        let missing = Err(ClusterError::NoCredentials);
        assert_eq!(of(&Flags::default(), None), Ok(None));
        let peer = |text: &str| text.parse::<PeerAddress>().expect("an address");
        let alone = Flags { peers: vec![peer("a:1")], ..Flags::default() };
        assert_eq!(of(&alone, None), missing);
        assert_eq!(of(&Flags::default(), Some(Section::default())), missing);
        let founders = Flags { founders: vec!["one".parse().expect("a name")], ..Flags::default() };
        assert_eq!(of(&founders, None), missing);
        let section = || {
            let (credentials, peers) = (Some("there".into()), Some(vec![peer("b:2")]));
            Some(Section { credentials, peers, mtu_max: Some(1_300), ..Section::default() })
        };
        let said = of(&Flags::default(), section()).ok().flatten().expect("it is complete");
        assert_eq!((said.listen, said.credentials, said.mtu_max), (LISTEN_DEFAULT, "there".into(), 1_300));
        assert_eq!(said.peers, [peer("b:2")]);
        let flags = Flags { credentials: Some("here".into()), ..alone };
        let said = of(&flags, section()).ok().flatten().expect("it is complete");
        assert_eq!((said.credentials, said.peers, said.group), ("here".into(), vec![peer("a:1")], None));
    }
}
