//! A node's links at work: what they begin with, whom they dial, how their credentials are replaced.
//!
//! Reading order: [`Prepared`] is read and written before the node starts; [`Cluster`] is what runs. `incarnation`,
//! `artifact` and `credentials` are what a node tells of itself; `peers` is whom it looks for; `member` is what it is to
//! all of them.

mod artifact;
mod credentials;
mod incarnation;
mod member;
mod peers;

use crate::config::{self, Settings};
use crate::date;
use crate::exit::Failure;
use crate::signals::Hangups;
use credentials::{Life, UseError, Warnings};
use odeon::core::ClusterId;
use odeon::host::{Blocking, run_blocking};
use odeon::membership::{Membership, Standing};
use odeon::remote::{Links, LinksConfig, StartLinksError, Subject, Transport, Trust};
use odeon::{Node, PartSpec};
use peers::Peers;
pub(crate) use peers::resolve;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Below a node's directory: what it has promised to the others of its cluster.
const GROUP_DIRECTORY: &str = "cluster";
/// How often somebody looks whether a certificate ends soon.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);

/// How often the node of a directory has started. Blocks.
///
/// # Errors
/// What the node would say at its next start.
pub(crate) fn starts(directory: &Path) -> Result<u64, Failure> {
    incarnation::last(directory).map_err(Failure::failed)
}

/// Whether what the node of a directory has promised to others of this cluster is whole; none if it has not promised
/// anything. Blocks.
pub(crate) fn promises(directory: &Path, cluster: &ClusterId) -> Option<Result<(), Failure>> {
    let directory = directory.join(GROUP_DIRECTORY);
    let inspected = directory.exists().then(|| Membership::inspect(&directory, cluster));
    inspected.map(|inspected| inspected.map_err(|error| member::cannot_start(&error, &directory)))
}

/// What a node of a cluster has read and written before it starts.
pub(crate) struct Prepared {
    config: config::Cluster,
    directory: PathBuf,
    trust: Trust,
    life: Life,
    incarnation: u64,
    artifact: Option<[u8; 32]>,
}

impl Prepared {
    /// For a node with these settings, if it is in a cluster. Its incarnation is on disk from now on.
    ///
    /// # Errors
    /// The credentials cannot be used, or the incarnation cannot be kept.
    pub(crate) async fn of(settings: &Settings, blocking: &dyn Blocking) -> Result<Option<Self>, Failure> {
        let Some(config) = settings.cluster.clone() else { return Ok(None) };
        let loaded = credentials::load(&config.credentials, blocking).await;
        let (trust, life) = usable(settings, &config, loaded)?;
        let directory = settings.directory.clone();
        let incarnation = run_blocking(blocking, move || incarnation::next(&directory))
            .await
            .map_err(Failure::failed)?
            .map_err(Failure::failed)?;
        let artifact = match run_blocking(blocking, artifact::digest).await.map_err(Failure::failed)? {
            Ok(digest) => Some(digest),
            Err(error) => {
                tracing::warn!(%error, "the program cannot be read: nodes of the same one do not know it");
                None
            }
        };
        let directory = settings.directory.join(GROUP_DIRECTORY);
        Ok(Some(Self { config, directory, trust, life, incarnation, artifact }))
    }

    /// Begins to listen and to dial, and to be a member.
    ///
    /// # Errors
    /// There is no port, or what the node has promised to others cannot be read.
    pub(crate) async fn start(self, node: &Node, blocking: &Arc<dyn Blocking>) -> Result<Cluster, Failure> {
        let Self { config, directory, trust, life, incarnation, artifact } = self;
        let transport = Transport { mtu_max: config.mtu_max, ..Transport::default() };
        let (address, advertise) = (config.listen, config.advertise);
        let wanted = LinksConfig { address, advertise, trust, incarnation, artifact, transport };
        let links = Links::start(node, wanted).await.map_err(|e| cannot_start(&e))?;
        let peers = Peers {
            node: node.clone(),
            links: links.clone(),
            addresses: config.peers.into(),
            blocking: blocking.clone(),
            executor: node.executors()[0].clone(),
            seed: node.draw_seed(),
        };
        if !peers.addresses.is_empty() {
            let spec = PartSpec::new("peers").outlives_services();
            node.add_part(&spec, move |running| peers.clone().run(running)).await.map_err(Failure::failed)?;
        }
        let membership = match &config.group {
            Some(group) => {
                let place = (config.host, config.zone);
                Some(member::start(node, &links, group, place, &directory).await?)
            }
            None => None,
        };
        let credentials = config.credentials;
        Ok(Cluster { links, membership, credentials, blocking: blocking.clone(), life })
    }
}

/// Whether a node with these settings could use its credentials. Blocks.
///
/// # Errors
/// Why it could not.
pub(crate) fn check(settings: &Settings) -> Result<(), Failure> {
    let Some(config) = &settings.cluster else { return Ok(()) };
    usable(settings, config, credentials::read(&config.credentials)).map(drop)
}

fn usable(
    settings: &Settings,
    config: &config::Cluster,
    loaded: Result<(Trust, Life), UseError>,
) -> Result<(Trust, Life), Failure> {
    let (trust, life) = loaded.map_err(|e| {
        let failure = Failure::usage(format_args!("the credentials in {}: {e}", config.credentials.display()));
        match e.is_unreadable() {
            true => failure.advice(format_args!(
                "expected PEM as `odeon cluster certificate {0}` writes it; with --overwrite it issues node.pem and \
                 node.key anew",
                settings.name
            )),
            false => failure,
        }
    })?;
    match *trust.subject() == Subject::Node(settings.name.clone()) {
        true => Ok((trust, life)),
        false => Err(settings.misnamed(config, trust.subject())),
    }
}

fn cannot_start(error: &StartLinksError) -> Failure {
    let failure = Failure::failed(format_args!("the links to other nodes did not start: {error}"));
    match error {
        StartLinksError::Bind(_) => failure.advice(
            "another address is chosen with --cluster-listen ADDR; --cluster-listen 127.0.0.1:0 picks a free port",
        ),
        StartLinksError::Name { .. }
        | StartLinksError::Part(_)
        | StartLinksError::Services(_)
        | StartLinksError::Again => failure,
    }
}

/// The links of a running node.
pub(crate) struct Cluster {
    links: Links,
    membership: Option<Membership>,
    credentials: PathBuf,
    blocking: Arc<dyn Blocking>,
    life: Life,
}

impl Cluster {
    /// Where other nodes find this one.
    pub(crate) fn address(&self) -> SocketAddr {
        self.links.local_address()
    }

    /// What the node is called among others: name and incarnation.
    pub(crate) fn identity(&self) -> String {
        self.links.node().to_string()
    }

    /// Ends once the cluster has removed the node; never, if it has no group, or if the node drained before: whoever had
    /// it take no more work does not want the next incarnation to.
    pub(crate) async fn removed(&self, node: &Node) {
        if let Some(membership) = &self.membership {
            membership.until(|now| *now == Standing::Removed).await;
            if !member::is_draining(node) {
                return;
            }
            tracing::warn!(
                "the node was drained when it was removed: it stays away until somebody starts it anew"
            );
        }
        std::future::pending().await
    }

    /// The node takes no more work, and the others are told, if they can be within this time.
    /// True: they were.
    pub(crate) async fn drain(&self, node: &Node, within: Duration) -> bool {
        match &self.membership {
            Some(membership) => member::drain(node, membership, within).await,
            None => false,
        }
    }

    /// Others take over what a node has that drains, as far as they can within this time.
    pub(crate) async fn give_away(&self, within: Duration) {
        if let Some(membership) = &self.membership {
            member::give_away(membership, within).await;
        }
    }

    /// Replaces the credentials whenever somebody asks for it, and tells when they end soon. Never returns.
    pub(crate) async fn tend(&self, hangups: Option<&mut Hangups>) -> Infallible {
        let mut warnings = Warnings::of(self.life);
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut hangups = hangups;
        loop {
            tokio::select! {
                () = Hangups::next(&mut hangups) => match self.renew().await {
                    Ok(life) => warnings = Warnings::of(life),
                    Err(problem) => tracing::error!(
                        directory = %self.credentials.display(),
                        %problem,
                        "the new credentials are refused; the node goes on with the old ones"
                    ),
                },
                _ = looks.tick() => {}
            }
            if warnings.is_due(date::now()) {
                tracing::warn!(
                    until = date::show(warnings.until()),
                    directory = %self.credentials.display(),
                    "the certificate of this node ends soon: issue a new one with `odeon cluster certificate`, put it \
                     there and send SIGHUP"
                );
            }
        }
    }

    async fn renew(&self) -> Result<Life, UseError> {
        let (trust, life) = credentials::load(&self.credentials, &*self.blocking).await?;
        self.links.renew(trust)?;
        tracing::info!(
            directory = %self.credentials.display(),
            until = date::show(life.until()),
            "the credentials were replaced: new connections use them"
        );
        Ok(life)
    }
}
