//! What each of several nodes is told, and the files that say it: an authority, credentials, a configuration for each.
//! What is there is taken up again.

use super::ports::{Ports, Protocol};
use crate::commands::cluster::files::Files;
use crate::config::{Flags, PeerAddress, Settings};
use crate::date;
use crate::executors::executors_default;
use crate::exit::Failure;
use crate::launched::{NODES_MAX, directory_of, names};
use odeon::core::{ClusterId, NodeName};
use odeon::remote::{Authority, Subject};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The configuration of a node, in its directory.
const FILE: &str = "odeon.toml";
const HEAD: &str = "# Written by `up`, which takes it up again: change what you like.\n\n";
/// Which log lines a node writes: all of what Odeon tells, and not each step of the library that agrees on a log.
const LOG: &str = "info,openraft=warn";
/// What the cluster is called. Another one's authority is left alone.
const CLUSTER: &str = "up";
/// Its authority is thrown away with the directory; the nodes get new certificates with each start.
const AUTHORITY_HOLDS: Duration = Duration::from_secs(3_650 * 86_400);
const CERTIFICATES_HOLD: Duration = Duration::from_secs(365 * 86_400);

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Where the first node listens when nobody says.
const HTTP_DEFAULT: SocketAddr = SocketAddr::new(HERE, 8080);
const MANAGEMENT_DEFAULT: SocketAddr = SocketAddr::new(HERE, 8081);
const ANY: SocketAddr = SocketAddr::new(HERE, 0);

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan<'a> {
    /// The directory of all of them.
    pub(super) root: &'a Path,
    /// What a single node would be told.
    pub(super) settings: &'a Settings,
    pub(super) flags: &'a Flags,
    pub(super) config: Option<&'a Path>,
    pub(super) count: usize,
}

/// A node that is to run.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: NodeName,
    /// Its own directory, in which is all that it has.
    pub(super) directory: PathBuf,
    pub(super) settings: Settings,
}

impl Member {
    /// Its configuration.
    pub(super) fn config(&self) -> PathBuf {
        self.directory.join(FILE)
    }
}

/// How many nodes a directory has.
pub(super) fn count(root: &Path) -> usize {
    names(NODES_MAX).take_while(|name| directory_of(root, name.as_str()).join(FILE).exists()).count()
}

impl Plan<'_> {
    /// What each node is told. Nothing is written.
    ///
    /// # Errors
    /// It contradicts itself or what is there, or a file that is there cannot be used.
    pub(super) fn members(&self) -> Result<Vec<Member>, Failure> {
        self.is_about_several()?;
        let random = getrandom::u64().map_err(|e| {
            Failure::failed(format_args!("the operating system gives no random numbers: {e}"))
        })?;
        let mut ports = Ports::beginning(random);
        let former: Vec<Settings> =
            names(count(self.root)).map(|name| self.former(&name)).collect::<Result<_, _>>()?;
        let mut links = Vec::new();
        for index in 0..self.count {
            let cluster = former.get(index).and_then(|settings| settings.cluster.as_ref());
            links.push(ports.or_free(cluster.map_or(ANY, |cluster| cluster.listen), Protocol::Udp)?);
        }
        // whoever comes later joins those who were the first
        let founders =
            former.first().and_then(|first| Some(first.cluster.as_ref()?.group.as_ref()?.founders.clone()));
        let founders: Vec<NodeName> = match founders {
            Some(founders) => founders.into_iter().collect(),
            None => names(self.count).collect(),
        };
        let mut members = Vec::new();
        for (index, name) in names(self.count).enumerate() {
            let directory = directory_of(self.root, name.as_str());
            let (http, management) = self.addresses(&mut ports, &former, index)?;
            let own = directory.join(FILE);
            let base = self.config.or_else(|| own.exists().then_some(&*own));
            // in a file these hold wherever they are read
            let whole = std::path::absolute(&directory)
                .map_err(|e| Failure::failed(format_args!("{}: {e}", directory.display())))?;
            let flags = Flags {
                dir: Some(whole.clone()),
                name: Some(name.clone()),
                http: Some(http),
                management: Some(management),
                cluster_listen: Some(links[index]),
                credentials: Some(whole),
                peers: links.iter().filter(|peer| **peer != links[index]).map(peer).collect(),
                founders: founders.clone(),
                executors: self.executors(former.get(index)),
                ..Flags::default()
            };
            let mut settings = Settings::load(&flags, base)?;
            settings.log.get_or_insert_with(|| LOG.into());
            members.push(Member { name, directory, settings });
        }
        Ok(members)
    }

    /// Flags and sections that are about one node of a cluster that somebody else has made.
    fn is_about_several(&self) -> Result<(), Failure> {
        let flag = match self.flags {
            Flags { name: Some(_), .. } => "--name is",
            _ if self.settings.cluster.is_some() => "[cluster], with its flags, is",
            _ => return Ok(()),
        };
        Err(Failure::usage(format_args!(
            "{flag} about one node, and `up` starts {} in a cluster of its own",
            self.count
        ))
        .advice("--nodes 1 starts one, also in a cluster that is there"))
    }

    /// What a node was told that is there already.
    fn former(&self, name: &NodeName) -> Result<Settings, Failure> {
        Settings::load(&Flags::default(), Some(&directory_of(self.root, name.as_str()).join(FILE)))
    }

    /// Where a node listens: as asked for now, as before, or as is usual.
    fn addresses(
        &self,
        ports: &mut Ports,
        former: &[Settings],
        index: usize,
    ) -> Result<(SocketAddr, SocketAddr), Failure> {
        let Self { settings, flags, .. } = self;
        let http_asked =
            (flags.http.is_some() || settings.says("http", "address")).then_some(settings.http.address);
        let management_asked = (flags.management.is_some() || settings.says("management", "address"))
            .then_some(settings.management)
            // beside the other one
            .or(http_asked.map(|http| {
                SocketAddr::new(HERE, if http.port() > 0 { http.port().saturating_add(1) } else { 0 })
            }));
        let mut address = |asked: Option<SocketAddr>, usual: SocketAddr, of: fn(&Settings) -> SocketAddr| {
            match (asked, former.get(index), former.is_empty()) {
                (Some(first), _, _) => ports.in_row(first, index),
                (None, Some(settings), _) => Ok(of(settings)),
                (None, None, true) => ports.in_row(usual, index),
                // one more than there were
                (None, None, false) => {
                    let usual = ports.in_row(usual, index)?;
                    ports.or_free(usual, Protocol::Tcp)
                }
            }
        };
        let http = address(http_asked, HTTP_DEFAULT, |settings| settings.http.address)?;
        let management = address(management_asked, MANAGEMENT_DEFAULT, |settings| settings.management)?;
        Ok((http, management))
    }

    /// The cores are shared, unless somebody has said how many executors a node has.
    fn executors(&self, former: Option<&Settings>) -> Option<NonZeroUsize> {
        let said = self.settings.says("node", "executors") || (self.config.is_none() && former.is_some());
        let shared =
            (!said).then(|| NonZeroUsize::new(executors_default() / self.count).unwrap_or(NonZeroUsize::MIN));
        self.flags.executors.or(shared)
    }

    /// Whether all ports can be used. Nothing runs yet, so whatever listens is none of them.
    ///
    /// # Errors
    /// The first that is taken, whose it is, and what to do.
    pub(super) fn check_ports(&self, members: &[Member]) -> Result<(), Failure> {
        let mut held = Vec::new();
        for member in members {
            let settings = &member.settings;
            for (address, what, flag) in [
                (settings.http.address, "HTTP", "--http"),
                (settings.management, "management", "--management"),
            ] {
                held.push(std::net::TcpListener::bind(address).map_err(|e| {
                    Failure::failed(format_args!("node {} cannot listen on {address} ({what}): {e}", member.name)).advice(
                        format_args!(
                            "stop what listens there, or choose the ports of all nodes anew with {flag} ADDR, that of the \
                             first one: {flag} {ANY} picks free ones"
                        ),
                    )
                })?);
            }
        }
        Ok(())
    }

    /// Writes what the nodes need. What is there and still right is left alone.
    ///
    /// # Errors
    /// The authority is of another cluster, or a file cannot be written.
    pub(super) fn write(&self, members: &[Member]) -> Result<ClusterId, Failure> {
        let files = Files::at(self.root);
        let now = date::now();
        let authority = match files.occupied() {
            Some(_) => files.read_authority()?,
            None => {
                let random = getrandom::u64().map_err(|e| {
                    Failure::failed(format_args!("the operating system gives no random numbers: {e}"))
                })?;
                let cluster = ClusterId::new(CLUSTER, random).expect("the constant is a name");
                let authority = Authority::create(&cluster, AUTHORITY_HOLDS, now).map_err(Failure::failed)?;
                files.write_authority(&authority)?;
                authority
            }
        };
        let cluster = authority.cluster();
        if cluster.name() != CLUSTER {
            return Err(Failure::usage(format_args!(
                "{} has the authority of {cluster}",
                self.root.display()
            ))
            .advice(
                "`up` has not made it, and makes no nodes of it: choose another directory with --dir DIR",
            ));
        }
        for member in members {
            let issued = authority.issue(&member.name, CERTIFICATES_HOLD, now).map_err(Failure::failed)?;
            files.write(&Subject::Node(member.name.clone()), &issued)?;
            self.write_config(member)?;
        }
        Ok(cluster.clone())
    }

    fn write_config(&self, member: &Member) -> Result<(), Failure> {
        let (path, text) = (member.config(), member.settings.to_toml()?);
        let is_right = path.exists() && self.former(&member.name)?.to_toml()? == text;
        if is_right {
            return Ok(());
        }
        fs::write(&path, format!("{HEAD}{text}"))
            .map_err(|e| Failure::failed(format_args!("{} cannot be written: {e}", path.display())))
    }
}

fn peer(address: &SocketAddr) -> PeerAddress {
    PeerAddress { host: address.ip().to_string(), port: address.port() }
}
