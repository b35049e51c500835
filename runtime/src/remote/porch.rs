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

/// What counts as one address: of IPv6 the network (RFC 4291, 2.5.4), as whoever has one address has them all.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        v4 => v4,
    }
}

/// What becomes of a dialer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It has a place.
    Waits,
    /// It has to show first where it is.
    Proves,
    /// There is no place for it.
    Goes,
}

impl Places {
    /// Somebody dials from there, who has shown so or not.
    fn judge(&mut self, address: IpAddr, is_reachable: bool) -> Verdict {
        if self.taken >= DIALERS_TRUSTED && !is_reachable {
            return Verdict::Proves;
        }
        let from_there = self.by_address.get(&address).copied().unwrap_or(0);
        if self.taken >= DIALERS_MAX || from_there >= DIALERS_ADDRESS_MAX {
            return Verdict::Goes;
        }
        self.taken += 1;
        self.by_address.insert(address, from_there + 1);
        Verdict::Waits
    }

    fn leave(&mut self, address: IpAddr) {
        self.taken -= 1;
        if let Some(count) = self.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().leave(self.address);
    }
}

impl Porch {
    /// A place for a dialer. None: it was sent away.
    pub(super) fn take(&self, dialer: Incoming) -> Option<(Incoming, Place)> {
        let address = source(dialer.address().ip());
        let verdict = self.0.lock().judge(address, dialer.is_reachable());
        match verdict {
            Verdict::Waits => return Some((dialer, Place { places: self.0.clone(), address })),
            Verdict::Proves => {
                reached!(PROVES_ADDRESS);
                dialer.ask_again();
            }
            Verdict::Goes => {
                reached!(PORCH_FULL);
                dialer.turn_away();
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> IpAddr {
        source(address.parse().expect("an address"))
    }

    #[test]
    fn no_more_dialers_wait_than_may_nor_from_one_address_and_who_leaves_makes_room() {
        let mut places = Places::default();
        let (one, other, third) = (from("10.0.0.1"), from("10.0.0.2"), from("10.0.0.3"));
        for _ in 0..DIALERS_TRUSTED {
            assert_eq!(places.judge(one, false), Verdict::Waits);
        }
        assert_eq!(places.judge(one, false), Verdict::Proves);
        for _ in DIALERS_TRUSTED..DIALERS_ADDRESS_MAX {
            assert_eq!(places.judge(one, true), Verdict::Waits);
        }
        assert_eq!(places.judge(one, true), Verdict::Goes, "one address has its share");
        for _ in DIALERS_ADDRESS_MAX..DIALERS_MAX {
            assert_eq!(places.judge(other, true), Verdict::Waits);
        }
        assert_eq!(places.judge(third, true), Verdict::Goes, "all places are taken");
        places.leave(one);
        assert_eq!(places.judge(third, true), Verdict::Waits);
        (1..DIALERS_ADDRESS_MAX).for_each(|_| places.leave(one));
        (0..DIALERS_MAX - DIALERS_ADDRESS_MAX).for_each(|_| places.leave(other));
        places.leave(third);
        assert!(places.taken == 0 && places.by_address.is_empty(), "nothing is left of them");
    }

    #[test]
    fn whoever_has_one_address_of_a_network_has_them_all() {
        assert_eq!(from("2001:db8::1"), from("2001:db8::ffff:1"));
        assert_ne!(from("2001:db8:0:1::1"), from("2001:db8:0:2::1"));
        assert_eq!(from("::ffff:10.0.0.1"), from("10.0.0.1"));
        assert_ne!(from("10.0.0.1"), from("10.0.0.2"));
    }
}
