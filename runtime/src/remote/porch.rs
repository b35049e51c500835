//! How many may be on the way in at the same time: whoever dials costs memory before it is known who it is.

use super::endpoint::Incoming;
use crate::reach::reached;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Dialers whose handshakes are under way, at the most; others are refused, and dial again.
const DIALERS_MAX: usize = 512;
/// The same from one address: nobody fills it alone.
const DIALERS_ADDRESS_MAX: usize = 256;
/// From so many on each has to show first that it can be reached where it says that it is.
const DIALERS_TRUSTED: usize = 64;

/// Where dialers wait until they are let in or turned away.
#[derive(Default)]
pub(super) struct Porch(Arc<Mutex<Places>>);

#[derive(Default)]
struct Places {
    taken: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

/// One dialer's place, until this is dropped.
pub(super) struct Place {
    places: Arc<Mutex<Places>>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.places.lock();
        places.taken -= 1;
        if let Some(count) = places.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                places.by_address.remove(&self.address);
            }
        }
    }
}

/// What counts as one address: of IPv6 the network (RFC 4291, 2.5.4), as whoever has one address has them all.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        v4 => v4,
    }
}

impl Porch {
    /// A place for a dialer. None: it was sent away.
    pub(super) fn take(&self, dialer: Incoming) -> Option<(Incoming, Place)> {
        let address = source(dialer.address().ip());
        let mut places = self.0.lock();
        if places.taken >= DIALERS_TRUSTED && !dialer.is_reachable() {
            drop(places);
            reached!(PROVES_ADDRESS);
            dialer.ask_again();
            return None;
        }
        let from_there = places.by_address.get(&address).copied().unwrap_or(0);
        if places.taken >= DIALERS_MAX || from_there >= DIALERS_ADDRESS_MAX {
            drop(places);
            reached!(PORCH_FULL);
            dialer.turn_away();
            return None;
        }
        places.taken += 1;
        places.by_address.insert(address, from_there + 1);
        drop(places);
        Some((dialer, Place { places: self.0.clone(), address }))
    }
}
