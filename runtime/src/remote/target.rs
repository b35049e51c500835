//! One receiver on another node, as a reference sees it.

use super::control::Offer;
use super::lane::Lane;
use super::peer::Peer;
use crate::service::compact::{Compact, Compactness, Compacts};
use crate::service::contract::{Contract, ContractVersion, Encoding, Method};
use odeon_core::wire::envelope::{MethodNumber, ServiceNumber};
use odeon_core::{Criticality, Refusal};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Lanes of a session for each class.
const SPREAD: usize = 2;
/// Lanes of a session in one direction.
pub(super) const LANES: usize = Criticality::ALL.len() * SPREAD;

/// As many messages that wait here are as bad as one that is under way to another node.
const ABROAD_WEIGHS: u32 = 2;

/// The contract that a caller was compiled with.
#[derive(Clone, Copy)]
pub(crate) struct Spoken {
    pub(crate) name: &'static str,
    pub(crate) version: ContractVersion,
    pub(crate) methods: &'static [Method],
    compactness: fn(&Compacts) -> Arc<Compactness>,
}

impl Spoken {
    pub(crate) fn of<C: Contract>() -> Self {
        Self { name: C::NAME, version: C::VERSION, methods: C::METHODS, compactness: Compacts::of::<C> }
    }
}

/// What a caller knows of a service's contract.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'a> {
    /// It was compiled with it.
    Spoken(Spoken),
    /// It passes on what others write who were told this.
    Told(&'a Offer),
    /// The same, and the peer must have this method.
    Having(&'a Offer, &'a str),
}

impl Wanted<'_> {
    /// # Errors
    /// A peer offers the service under another contract.
    pub(super) fn check(&self, offer: &Offer) -> Result<(), Refusal> {
        let have = ContractVersion { major: offer.major, minor: offer.minor };
        let (name, want) = match self {
            Self::Spoken(spoken) => (spoken.name, spoken.version),
            // methods go by name: what the peer does not have is refused when it is called
            Self::Told(told) | Self::Having(told, _) => {
                (&*told.contract, ContractVersion { major: told.major, minor: 0 })
            }
        };
        if let Self::Having(_, method) = self
            && !offer.methods.iter().any(|name| &**name == *method)
        {
            let (service, method) = (offer.name.clone(), (*method).to_owned());
            return Err(Refusal::UnknownMethod { service, method });
        }
        if offer.contract == name && have.serves(want) {
            return Ok(());
        }
        let (have, want) = (format!("{} {have}", offer.contract), format!("{name} {want}"));
        Err(Refusal::WrongContract { service: offer.name.clone(), have, want })
    }

    /// Where the methods that a caller numbers so are in what a peer offers.
    fn methods(&self, offer: &Offer) -> Box<[Option<u16>]> {
        let at = |method: &str| {
            let at = offer.methods.iter().position(|name| name == method)?;
            u16::try_from(at).ok()
        };
        match self {
            Self::Spoken(spoken) => spoken.methods.iter().map(|method| at(method.name)).collect(),
            Self::Told(told) | Self::Having(told, _) => {
                told.methods.iter().map(|method| at(method)).collect()
            }
        }
    }

    fn compactness(&self, peer: &Peer, offer: &Offer) -> Option<Arc<Compactness>> {
        match self {
            Self::Spoken(spoken) if peer.is_of_our_artifact() && !offer.relayed => {
                Some((spoken.compactness)(&peer.compacts))
            }
            Self::Spoken(_) | Self::Told(_) | Self::Having(..) => None,
        }
    }
}

/// One receiver on a peer.
pub(crate) struct Target {
    /// Never zero, and never given to another one.
    pub(super) id: u64,
    pub(super) peer: Arc<Peer>,
    service: u32,
    /// Since when it is there, as the cluster group says; 0: it is not placed.
    pub(super) epoch: u64,
    pub(super) key: Option<Arc<str>>,
    /// What the peer calls our methods; none for one that it does not have.
    methods: Box<[Option<u16>]>,
    compactness: Option<Arc<Compactness>>,
    /// Which of the lanes of a class it is on.
    spread: usize,
    /// Its number on the lane of each class, as far as that still stands for it.
    pub(super) numbers: [AtomicU32; Criticality::ALL.len()],
}

impl Target {
    /// # Errors
    /// The peer offers the service under another contract.
    pub(super) fn new(
        peer: &Arc<Peer>,
        service: u32,
        offer: &Offer,
        wanted: Wanted<'_>,
        key: Option<&Arc<str>>,
    ) -> Result<Self, Refusal> {
        wanted.check(offer)?;
        // FNV-1a
        let hash = key
            .map_or("", |key| key)
            .bytes()
            .chain(offer.name.bytes())
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        Ok(Self {
            id: peer.next_target(),
            peer: peer.clone(),
            service,
            epoch: 0,
            key: key.cloned(),
            methods: wanted.methods(offer),
            compactness: wanted.compactness(peer, offer),
            spread: (hash % SPREAD as u64) as usize,
            numbers: Default::default(),
        })
    }

    /// It is there since this epoch.
    pub(super) fn since(self, epoch: u64) -> Self {
        Self { epoch, ..self }
    }

    /// Whether both are on the same peer.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.peer, &other.peer)
    }

    /// Whether nothing is under way to it.
    pub(super) fn is_quiet(&self) -> bool {
        self.peer.is_gone() || self.used().all(|(number, lane)| lane.is_quiet(self.id, number))
    }

    /// Messages of this node that are under way to it, or wait for it.
    pub(super) fn under_way(&self) -> u32 {
        self.used().map(|(number, lane)| lane.under_way(self.id, number)).sum()
    }

    /// Whether a message is better sent there than put behind so many that wait here. What goes to another node costs both
    /// of them more, so there must be far less under way.
    pub(crate) fn is_less_crowded(&self, waiting: u32) -> bool {
        self.under_way().saturating_mul(ABROAD_WEIGHS) < waiting
    }

    /// The lanes on which it may have a number, with that.
    fn used(&self) -> impl Iterator<Item = (u32, &Lane)> {
        let lanes = Criticality::ALL.into_iter().map(|class| (class, self.lane(class)));
        let number = |class: Criticality| self.numbers[class.level()].load(Ordering::Relaxed);
        lanes.filter_map(move |(class, lane)| Some((number(class), self.peer.lanes.made_at(lane)?)))
    }

    /// Whether it is on this peer, in this session.
    pub(super) fn is_on(&self, peer: &Arc<Peer>) -> bool {
        Arc::ptr_eq(&self.peer, peer)
    }

    /// The number of changes by now of where messages should go.
    #[inline]
    pub(super) fn changes(&self) -> u64 {
        self.peer.changes.number()
    }

    pub(super) fn service_number(&self) -> ServiceNumber {
        ServiceNumber(self.service)
    }

    /// The lane of a class.
    #[inline]
    pub(super) fn lane(&self, class: Criticality) -> usize {
        class.level() * SPREAD + self.spread
    }

    /// What the peer calls a method of ours.
    #[inline]
    pub(super) fn method(&self, method: usize) -> Option<MethodNumber> {
        self.methods.get(method).copied().flatten().map(MethodNumber)
    }

    /// How arguments of a method of ours go there.
    #[inline]
    pub(super) fn encoding(&self, method: usize) -> Encoding {
        match self.compactness.as_ref().map(|c| c.method(method)) {
            Some(Compact::Safe) => Encoding::Compact,
            Some(Compact::Unsafe(_)) | None => Encoding::Named,
        }
    }

    /// Whether it may still be sent to.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        !self.peer.is_gone()
    }
}

/// The class whose frames a lane carries.
pub(super) fn class_of(lane: usize) -> Criticality {
    Criticality::from_level(lane / SPREAD)
}
