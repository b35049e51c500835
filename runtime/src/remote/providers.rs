//! Who on other nodes receives the messages of a reference, where several nodes offer the service.
//!
//! A service of many instances is called at all nodes that can be reached: of the one whose turn it is and another one
//! drawn by chance, at that to which less is under way (two choices: Mitzenmacher, 2001). A node tells which of its services
//! have no instance that is ready; it is called for those only where nobody can be reached that has one. What has a key, and a singleton,
//! is where the cluster group has placed it. On a node that is no member of one it is where rendezvous hashing puts it:
//! nodes that see the same peers agree on that; nodes that do not, because the network is cut or one has just come,
//! may not.

use super::control::{Offer, Services};
use super::core::{Core, Entry};
use super::gossip::Members;
use super::peer::Peer;
use super::receipts::Teller;
use super::target::{Spoken, Target, Wanted};
use crate::placement::{self, Place, Placement, unplaced};
use crate::reach::reached;
use odeon_core::rendezvous::weight;
use odeon_core::{NodeName, Random, Refusal, ServiceName};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a receiver is nowhere that has an owner.
const NO_LINK: &str = "there is no link to its node yet";

/// Counts what may lead messages elsewhere: nodes that come and go, connections, lists of services.
#[derive(Debug, Default)]
pub(super) struct Changes(AtomicU64, Teller);

impl Changes {
    /// Whoever has looked before must look again.
    pub(super) fn note(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
        self.1.remind();
    }

    /// Waits until there was one since the last time. For one waiter.
    pub(super) async fn wait(&self) {
        self.1.wait().await;
    }

    #[inline]
    pub(super) fn number(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// The receivers to whom a reference's messages go, one at least: each has its turn, and may lose it to one to whom less
/// is under way.
pub(crate) struct Rota {
    targets: Vec<Arc<Target>>,
    next: usize,
    random: Random,
    /// The changes that were known when it was made.
    seen: u64,
    /// Whether all of them could be reached and were ready then.
    is_ready: bool,
}

impl Rota {
    /// Whose turn it is. None: something has changed since.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Arc<Target>> {
        self.is_right().then(|| self.next_at_once())
    }

    /// Whether nothing is under way to any of them.
    pub(super) fn is_quiet(&self) -> bool {
        self.targets.iter().all(|target| target.is_quiet())
    }

    /// Whether nothing has changed since.
    #[inline]
    pub(crate) fn is_right(&self) -> bool {
        let target = &self.targets[self.next];
        target.changes() == self.seen && target.is_current()
    }

    /// Whether all of them could be reached and were ready when it was made.
    pub(crate) fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Whose turn it is among those that have this method of the caller's, whatever has changed.
    pub(super) fn next_having(&mut self, method: usize) -> Option<Arc<Target>> {
        let has_it = |target: &Arc<Target>| target.method(method).is_some();
        if self.targets.iter().all(has_it) {
            return Some(self.next_at_once());
        }
        for _ in 0..self.targets.len() {
            let turn = self.turn();
            if has_it(&self.targets[turn]) {
                return Some(self.targets[turn].clone());
            }
        }
        None
    }

    /// Whose turn it is, whatever has changed.
    pub(crate) fn next_at_once(&mut self) -> Arc<Target> {
        let count = self.targets.len();
        if count == 1 {
            return self.targets[0].clone();
        }
        let first = self.turn();
        let other = (first + 1 + self.random.below(count as u64 - 1) as usize) % count;
        let [first, other] = [first, other].map(|at| &self.targets[at]);
        if other.under_way() < first.under_way() {
            reached!(TWO_CHOICES);
            return other.clone();
        }
        first.clone()
    }

    /// That to which least is under way.
    pub(super) fn least(&self) -> &Target {
        let least = self.targets.iter().min_by_key(|target| target.under_way());
        least.unwrap_or(&self.targets[self.next])
    }

    fn turn(&mut self) -> usize {
        let turn = self.next;
        self.next = (turn + 1) % self.targets.len();
        turn
    }
}

/// What is known of a node that offers a service, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// There is a connection.
    Up,
    /// There is none, but others hear of it.
    Alive,
    /// It has no instance of the service that is ready.
    Resting,
    /// Nothing comes from it, or nothing arrives there, or another node says so with which there is no connection.
    Suspect,
    /// Nobody hears of it.
    Silent,
    /// The session with it was given up.
    Gone,
}

struct Provider {
    node: NodeName,
    incarnation: u64,
    number: u32,
    offer: Offer,
    standing: Standing,
}

impl Core {
    /// Receivers on the peers that offer a service. Those of `last`, if they are still right, are kept: so are the
    /// order of messages to them and what they know already.
    ///
    /// # Errors
    /// No peer offers it, or none under this contract.
    pub(crate) fn find(
        self: &Arc<Self>,
        service: &ServiceName,
        key: Option<&Arc<str>>,
        spoken: Spoken,
        last: Option<&Rota>,
    ) -> Result<Rota, Refusal> {
        self.find_for(service, key, Wanted::Spoken(spoken), last)
    }

    /// The same for a caller of either kind.
    ///
    /// # Errors
    /// No peer offers it, or none under this contract.
    pub(super) fn find_for(
        self: &Arc<Self>,
        service: &ServiceName,
        key: Option<&Arc<str>>,
        wanted: Wanted<'_>,
        last: Option<&Rota>,
    ) -> Result<Rota, Refusal> {
        if self.is_closed() {
            return Err(Refusal::Stopped);
        }
        // what changes from here on is looked at again
        let seen = self.changes.number();
        let members = self.gossip.members();
        let mut refused = Refusal::UnknownService { service: service.to_string() };
        let mut entries = self.peers.lock();
        let mut found = providers(entries.iter(), &members, &service.to_string());
        found.retain(|provider| match wanted.check(&provider.offer) {
            Ok(()) => true,
            Err(refusal) => {
                refused = refusal;
                false
            }
        });
        let placement = self.node.upgrade().and_then(|node| node.placement.clone());
        if found.is_empty() {
            let is_placed = placement.is_some_and(|placement| placement.has_table(service));
            let unlinked = is_placed && matches!(refused, Refusal::UnknownService { .. });
            return Err(if unlinked { unplaced(service, NO_LINK) } else { refused });
        }
        let placement = placement.filter(|_| found.iter().any(Provider::is_one));
        let (chosen, epoch) = match &placement {
            Some(placement) => owner(placement, found, service, key)?,
            None => (self.choose(found, service, key.map_or("", |key| key)), 0),
        };
        let is_ready = chosen.iter().all(|provider| provider.standing == Standing::Up);
        let mut targets = Vec::with_capacity(chosen.len());
        for provider in chosen {
            let Some(entry) = entries.get_mut(&provider.node) else { continue };
            let gone = entry.peer.as_ref().is_none_or(|peer| peer.is_gone());
            let peer = if gone { self.begin_anew(entry) } else { entry.peer.clone() };
            let Some(peer) = peer else { continue };
            let is_same = |target: &&Arc<Target>| target.is_on(&peer) && target.epoch == epoch;
            let kept = last.and_then(|rota| rota.targets.iter().find(is_same));
            targets.push(match kept {
                Some(target) => target.clone(),
                None => {
                    let target = Target::new(&peer, provider.number, &provider.offer, wanted, key)?;
                    Arc::new(target.since(epoch))
                }
            });
        }
        drop(entries);
        if targets.is_empty() {
            return Err(refused);
        }
        if placement.is_some()
            && let Some(last) = last
            && last.targets.iter().any(|target| !targets[0].is_beside(target) && !target.is_quiet())
        {
            // they shall not be overtaken
            return Err(unplaced(service, "earlier messages are on their way to the node that had it"));
        }
        let next = self.draw(targets.len());
        Ok(Rota { targets, next, random: self.fork_random(), seen, is_ready })
    }

    /// Looks at each service that a peer offers, and at what is known of that peer.
    pub(super) fn each_offer(&self, mut look: impl FnMut(ServiceName, &Offer, &Peer, Standing)) {
        let members = self.gossip.members();
        for peer in self.peers.lock().values().filter_map(|entry| entry.peer.as_ref()) {
            let standing = standing(peer, &members);
            let services = peer.services();
            for (number, offer) in services.services.iter().enumerate() {
                // what cannot be a name is none that anybody asks for
                if let Ok(name) = offer.name.parse() {
                    look(name, offer, peer, standing_for(&services, number, standing));
                }
            }
        }
    }

    fn choose(&self, mut found: Vec<Provider>, service: &ServiceName, key: &str) -> Vec<Provider> {
        let Some(best) = found.iter().map(|provider| provider.standing).min() else { return found };
        let one = found.iter().any(Provider::is_one);
        if one {
            // not the connected ones alone: a connection that flickers must not move what has a state
            let live = found.iter().any(|provider| provider.standing <= Standing::Suspect);
            found.retain(|provider| !live || provider.standing <= Standing::Suspect);
            let has_it = found.into_iter().max_by_key(|p| (weight(&p.node, service, key), p.node.clone()));
            return has_it.into_iter().collect();
        }
        found.retain(|provider| provider.standing == best);
        if best > Standing::Up {
            // each that is not connected would be dialed
            return vec![found.swap_remove(self.draw(found.len()))];
        }
        found
    }
}

impl Provider {
    /// Whether there is one activation of a receiver.
    fn is_one(&self) -> bool {
        self.offer.keyed || self.offer.single
    }
}

/// The provider that the cluster group has chosen, and since when.
fn owner(
    placement: &Placement,
    found: Vec<Provider>,
    service: &ServiceName,
    key: Option<&Arc<str>>,
) -> Result<(Vec<Provider>, u64), Refusal> {
    match placement.place(service, placement::slot(key.map(|key| &**key))) {
        Place::There(owner, epoch) => {
            let is_owner = |provider: &Provider| {
                provider.node == owner.name && provider.incarnation == owner.incarnation
            };
            match found.into_iter().find(is_owner) {
                Some(provider) => Ok((vec![provider], epoch)),
                None => Err(unplaced(service, NO_LINK)),
            }
        }
        // it was about to become so when this was asked
        Place::Here => Err(unplaced(service, "it has just come to this node")),
        Place::Nowhere(problem) => Err(unplaced(service, problem)),
    }
}

fn providers<'a>(
    entries: impl Iterator<Item = (&'a NodeName, &'a Entry)>,
    members: &Members,
    wanted: &str,
) -> Vec<Provider> {
    let provider = |(node, entry): (&'a NodeName, &'a Entry)| {
        let peer = entry.peer.as_ref().filter(|peer| !peer.is_outcast())?;
        let services = peer.services();
        let number = services.services.iter().rposition(|offer| offer.name == wanted)?;
        let standing = standing_for(&services, number, standing(peer, members));
        let (offer, number) = (services.services[number].clone(), u32::try_from(number).ok()?);
        let incarnation = peer.node.incarnation;
        Some(Provider { node: node.clone(), incarnation, number, offer, standing })
    };
    entries.filter_map(provider).collect()
}

/// What is known of a node that has a service at a place of its list.
fn standing_for(services: &Services, number: usize, standing: Standing) -> Standing {
    if u32::try_from(number).is_ok_and(|number| services.resting.contains(&number)) {
        reached!(PASSED_BY);
        return standing.max(Standing::Resting);
    }
    standing
}

fn standing(peer: &Peer, members: &Members) -> Standing {
    if peer.is_gone() {
        Standing::Gone
    } else if peer.is_up() {
        let is_suspect = peer.suspicion.is_there() || members.suspects_us(&peer.node);
        if is_suspect { Standing::Suspect } else { Standing::Up }
    } else if members.is_alive(&peer.node) {
        let is_suspect = peer.suspicion.is_there() || members.suspected_by(&peer.node).next().is_some();
        if is_suspect { Standing::Suspect } else { Standing::Alive }
    } else {
        Standing::Silent
    }
}
