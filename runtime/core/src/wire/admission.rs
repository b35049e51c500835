//! Who is let in, decided from the handshake alone. Who is dialed asks [`admit`], who dialed asks [`confirm`]; both
//! hold the other to the same, and come to the same version, features and places to go on at.

use super::duel::{Dial, Held, Stays, which_stays};
use super::handshake::{ArtifactDigest, ClusterId, Expected, Features, Hello, Party, Turned, Welcome};
use super::session::{Received, Resume, SessionId, resume};
use super::version::{Version, VersionRange, agree};
use crate::id::{NodeId, NodeName};
use std::cmp::Ordering;

/// What a node brings to every handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ours {
    /// The cluster that it belongs to.
    pub cluster: ClusterId,
    /// Who it is.
    pub node: NodeId,
    /// Drawn by chance when it started: tells its process from another one that says to be the same. 0: it does not say.
    pub run: u64,
    /// It is a program outside of the cluster, which calls services and is called by nobody.
    pub is_client: bool,
    /// The versions of the protocol that it speaks.
    pub versions: VersionRange,
    /// The binary that it runs, if it knows.
    pub artifact: Option<ArtifactDigest>,
    /// Where it can be dialed, `host:port`; empty if it cannot.
    pub address: String,
    /// What it can do.
    pub features: Features,
    /// What the session with a peer that it has none with is numbered: greater than all before, to whomever.
    pub session_next: u64,
}

/// What a node knows of a peer of some name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its latest incarnation, by whatever way that was learned.
    pub incarnation: u64,
    /// What that has drawn when it started, as [`Ours::run`].
    pub run: u64,
    /// The sessions with that incarnation; what was with an earlier one is over.
    pub sessions: Option<Sessions>,
}

/// The two sessions with a peer, one for each direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sessions {
    /// The number of the one towards it.
    pub sending: u64,
    /// What has come from it; none if nothing ever has.
    pub received: Option<Received>,
}

impl Ours {
    /// What this node tells of itself to a peer.
    fn party(&self, known: Option<&Known>) -> Party {
        let sessions = known.and_then(|known| known.sessions.as_ref());
        Party {
            cluster: self.cluster.clone(),
            node: self.node.clone(),
            run: self.run,
            is_client: self.is_client,
            artifact: self.artifact,
            address: self.address.clone(),
            features: self.features,
            session: sessions.map_or(self.session_next, |sessions| sessions.sending),
            received: sessions.and_then(|sessions| sessions.received.clone()),
        }
    }

    /// The first message of a dial. `attempt` is greater than at each dial to this peer before; `ended` is the latest
    /// of the peer's own dials that this node has seen end.
    pub fn hello(
        &self,
        known: Option<&Known>,
        expects: Expected,
        attempt: u64,
        ended: Option<Dial>,
    ) -> Hello {
        Hello { versions: self.versions, from: self.party(known), expects, attempt, ended }
    }
}

/// What two nodes have come to in a handshake; the same on both sides, seen from each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Met {
    /// The version of the protocol that both speak.
    pub version: Version,
    /// What both can do.
    pub features: Features,
    /// Whether both run the same binary, so that bodies may be compact.
    pub same_artifact: bool,
    /// The incarnation of the peer that is known to be over as of now: pending calls to it have an unknown outcome,
    /// and its connections are closed.
    pub supersedes: Option<u64>,
    /// The session towards the peer.
    pub sending: SessionId,
    /// Where it goes on; never [`Resume::Stale`]. It is the peer's word: hold it against what has been sent.
    pub outgoing: Resume,
    /// Where the session of the peer goes on; never [`Resume::Stale`].
    pub incoming: Resume,
}

/// A peer that is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The answer to it.
    pub welcome: Welcome,
    /// What holds from now on.
    pub met: Met,
    /// The connection that gives way to the new one. It is closed before anything more is read from it: the welcome
    /// tells what has been received.
    pub replaces: Option<Dial>,
}

/// Whether who has dialed is let in. `certificate` is the name in the certificate that it has proved to own; `known`
/// and `held` are what this node knows of, and has as a connection to, the node of that name.
///
/// # Errors
/// The reason, to be sent to it before the connection is closed.
pub fn admit(
    us: &Ours,
    hello: &Hello,
    certificate: &NodeName,
    known: Option<&Known>,
    held: Option<&Held>,
) -> Result<Admitted, Turned> {
    identify(us, &hello.from, certificate)?;
    expected(&hello.expects, &us.node)?;
    let version = agree(us.versions, hello.versions)?;
    let known = current(known, &hello.from)?;
    let from = us.party(known.same);
    let met = meet(&from, &hello.from, version, known.supersedes)?;
    let replaces = match held {
        None => None,
        Some(held) => match which_stays(held, &hello.dial(), hello.ended.as_ref()) {
            Stays::Existing => return Err(Turned::Duplicate { stays: held.dial.clone() }),
            Stays::New => Some(held.dial.clone()),
        },
    };
    Ok(Admitted { welcome: Welcome { version, from }, met, replaces })
}

/// Whether who has answered is taken for a peer. `hello` is what was sent to it; the rest is as for [`admit`].
///
/// # Errors
/// The reason to close the connection.
pub fn confirm(
    us: &Ours,
    hello: &Hello,
    welcome: &Welcome,
    certificate: &NodeName,
    known: Option<&Known>,
) -> Result<Met, Turned> {
    identify(us, &welcome.from, certificate)?;
    expected(&hello.expects, &welcome.from.node)?;
    let only = VersionRange { oldest: welcome.version, newest: welcome.version };
    let version = agree(us.versions, only)?;
    let known = current(known, &welcome.from)?;
    // what was said in the hello, even where more is known by now: the peer has decided by the same
    meet(&hello.from, &welcome.from, version, known.supersedes)
}

/// That who has dialed says to be what its certificate makes it: a node, or a client. Whoever is dialed has shown
/// already that it is a node.
///
/// # Errors
/// The reason, to be sent to it before the connection is closed.
pub fn check_role(hello: &Hello, is_client: bool) -> Result<(), Turned> {
    if hello.from.is_client == is_client { Ok(()) } else { Err(Turned::RoleMismatch { client: is_client }) }
}

/// That the other belongs here and is who it says it is, and not we ourselves.
fn identify(us: &Ours, them: &Party, certificate: &NodeName) -> Result<(), Turned> {
    if them.cluster != us.cluster {
        return Err(Turned::ForeignCluster);
    }
    if them.node.name != *certificate {
        let (certificate, claimed) = (certificate.clone(), them.node.name.clone());
        return Err(Turned::NameMismatch { certificate, claimed });
    }
    // a client may be called as a node is
    if them.node.name != us.node.name || them.is_client != us.is_client {
        return Ok(());
    }
    let (ours, claimed) = (us.node.incarnation, them.node.incarnation);
    Err(match claimed.cmp(&ours) {
        Ordering::Less => Turned::StaleIncarnation { claimed, known: ours },
        Ordering::Equal if are_two(us.run, them.run) => Turned::Twin { node: them.node.clone() },
        Ordering::Equal => Turned::SelfConnect,
        Ordering::Greater => Turned::Superseded { ours, claimed },
    })
}

fn expected(expects: &Expected, actual: &NodeId) -> Result<(), Turned> {
    if expects.is(actual) {
        return Ok(());
    }
    Err(Turned::NotExpected { expected: expects.clone(), actual: actual.clone() })
}

/// What is known of a peer, as far as it is still true.
struct Current<'a> {
    /// None if it was of an earlier incarnation.
    same: Option<&'a Known>,
    supersedes: Option<u64>,
}

fn current<'a>(known: Option<&'a Known>, them: &Party) -> Result<Current<'a>, Turned> {
    let claimed = them.node.incarnation;
    match known.map(|known| (known.incarnation.cmp(&claimed), known)) {
        None => Ok(Current { same: None, supersedes: None }),
        Some((Ordering::Equal, known)) if are_two(known.run, them.run) => {
            Err(Turned::Twin { node: them.node.clone() })
        }
        Some((Ordering::Equal, known)) => Ok(Current { same: Some(known), supersedes: None }),
        Some((Ordering::Less, known)) => Ok(Current { same: None, supersedes: Some(known.incarnation) }),
        Some((Ordering::Greater, known)) => {
            Err(Turned::StaleIncarnation { claimed, known: known.incarnation })
        }
    }
}

/// Whether two starts are not the same.
fn are_two(one: u64, other: u64) -> bool {
    one != other && one != 0 && other != 0
}

fn meet(ours: &Party, theirs: &Party, version: Version, supersedes: Option<u64>) -> Result<Met, Turned> {
    Ok(Met {
        version,
        features: ours.features.shared_with(theirs.features),
        same_artifact: ours.artifact.is_some() && ours.artifact == theirs.artifact,
        supersedes,
        sending: ours.session(),
        outgoing: goes_on(theirs.received.as_ref(), ours.session())?,
        incoming: goes_on(ours.received.as_ref(), theirs.session())?,
    })
}

fn goes_on(received: Option<&Received>, session: SessionId) -> Result<Resume, Turned> {
    match resume(received, session) {
        Resume::Stale { later } => Err(Turned::StaleSession { session, later }),
        goes_on @ (Resume::Fresh | Resume::Continue { .. }) => Ok(goes_on),
    }
}
