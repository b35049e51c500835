//! Who is no member, and why; and the record by which each is told of once.

use super::certificate::Identity;
use indexmap::IndexSet;
use odeon_core::ClusterId;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Strangers that are remembered; beyond them the oldest is forgotten, and told of again when it comes back.
pub const STRANGERS_MAX: usize = 1_024;

/// Why a peer is no member of this cluster. It gets nothing; asking again helps only once the cause is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// It showed no certificate.
    NoCertificate,
    /// An authority signed its certificate that this cluster does not believe.
    ForeignAuthority {
        /// Whom the certificate names, which nobody has verified.
        claims: Option<Identity>,
    },
    /// It is a member of another cluster whose authority is believed here.
    ForeignCluster {
        /// That cluster.
        cluster: ClusterId,
    },
    /// Its certificate, or its authority's, held until some time ago.
    Expired {
        /// How long ago, by the clock of this host.
        ago: Duration,
    },
    /// Its certificate, or its authority's, will hold only after some time.
    NotYetValid {
        /// How far ahead, by the clock of this host.
        ahead: Duration,
    },
    /// Its certificate cannot be read, or is not made for a node.
    Malformed {
        /// What is wrong with it.
        why: String,
    },
    /// It does not have the key of the certificate that it showed.
    WrongKey,
    /// It has dialed this node and refuses its certificate, before it has shown its own.
    Distrustful {
        /// What it says.
        why: String,
    },
}

/// A [`Stranger`] without the particulars: what strangers are counted and remembered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// [`Stranger::NoCertificate`].
    NoCertificate,
    /// [`Stranger::ForeignAuthority`].
    ForeignAuthority,
    /// [`Stranger::ForeignCluster`].
    ForeignCluster,
    /// [`Stranger::Expired`].
    Expired,
    /// [`Stranger::NotYetValid`].
    NotYetValid,
    /// [`Stranger::Malformed`].
    Malformed,
    /// [`Stranger::WrongKey`].
    WrongKey,
    /// [`Stranger::Distrustful`].
    Distrustful,
}

impl Stranger {
    /// Why, without the particulars.
    pub fn reason(&self) -> Reason {
        match self {
            Self::NoCertificate => Reason::NoCertificate,
            Self::ForeignAuthority { .. } => Reason::ForeignAuthority,
            Self::ForeignCluster { .. } => Reason::ForeignCluster,
            Self::Expired { .. } => Reason::Expired,
            Self::NotYetValid { .. } => Reason::NotYetValid,
            Self::Malformed { .. } => Reason::Malformed,
            Self::WrongKey => Reason::WrongKey,
            Self::Distrustful { .. } => Reason::Distrustful,
        }
    }

    /// What whoever runs the cluster can do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NoCertificate => {
                "nothing, if it is no node; else give it a certificate with `odeon cluster certificate`"
            }
            Self::ForeignAuthority { .. } => {
                "nothing, if it is of another cluster; else issue its certificate with this cluster's authority, \
                 or put its authority into the ca.pem of all nodes"
            }
            Self::ForeignCluster { .. } => "correct the address by which the two clusters found each other",
            Self::Expired { .. } => {
                "renew its certificate with `odeon cluster certificate`; if it is new, look at the clocks of both hosts"
            }
            Self::NotYetValid { .. } => {
                "look at the clocks of both hosts and of the host that issued the certificate"
            }
            Self::Malformed { .. } => "issue its certificate with `odeon cluster certificate`",
            Self::WrongKey => {
                "bring node.pem and node.key of the peer together; if they belong, somebody poses as it"
            }
            Self::Distrustful { .. } => {
                "nothing, if it is of another cluster; else put the authority of this node's certificate into its ca.pem, \
                 or look at the clocks of both hosts and renew this node's with `odeon cluster certificate`"
            }
        }
    }
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate => f.write_str("it showed no certificate"),
            Self::ForeignAuthority { claims: None } => {
                f.write_str("its certificate is not signed by an authority of this cluster")
            }
            Self::ForeignAuthority { claims: Some(claims) } => {
                write!(
                    f,
                    "its certificate is not signed by an authority of this cluster; it says to be {claims}"
                )
            }
            Self::ForeignCluster { cluster } => write!(f, "it is a member of the cluster {cluster}"),
            Self::Expired { ago } => write!(f, "its certificate expired {} ago", spoken(*ago)),
            Self::NotYetValid { ahead } => write!(
                f,
                "its certificate is not valid yet: it will be in {}, so a clock may be wrong by as much",
                spoken(*ahead)
            ),
            Self::Malformed { why } => write!(f, "its certificate cannot be used: {why}"),
            Self::WrongKey => f.write_str("it does not have the key of the certificate that it showed"),
            Self::Distrustful { why } => write!(f, "it refuses the certificate of this node: {why}"),
        }
    }
}

impl std::error::Error for Stranger {}

/// In the largest unit of which there are two or more.
fn spoken(span: Duration) -> String {
    let seconds = span.as_secs();
    [(86_400, "days"), (3_600, "hours"), (60, "minutes")]
        .into_iter()
        .find(|(unit, _)| seconds >= 2 * unit)
        .map_or_else(|| format!("{seconds} seconds"), |(unit, name)| format!("{} {name}", seconds / unit))
}

/// Remembers strangers, so that each is told of once and a busy one does not fill the log.
#[derive(Debug, Default)]
pub struct Strangers {
    seen: IndexSet<(IpAddr, Reason)>,
}

impl Strangers {
    /// Whether this one is new and should be told of. It is remembered from now on.
    pub fn is_new(&mut self, address: IpAddr, reason: Reason) -> bool {
        if !self.seen.insert((address, reason)) {
            return false;
        }
        if self.seen.len() > STRANGERS_MAX {
            self.seen.shift_remove_index(0);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn address(number: usize) -> IpAddr {
        Ipv4Addr::from(u32::try_from(number).expect("it is small")).into()
    }

    #[test]
    fn each_stranger_is_told_of_once_for_each_reason() {
        let mut strangers = Strangers::default();
        assert!(strangers.is_new(address(1), Reason::Expired));
        assert!(!strangers.is_new(address(1), Reason::Expired));
        assert!(strangers.is_new(address(1), Reason::WrongKey));
        assert!(strangers.is_new(address(2), Reason::Expired));
    }

    #[test]
    fn the_record_of_strangers_is_bounded_and_forgets_the_oldest() {
        let mut strangers = Strangers::default();
        for number in 0..=STRANGERS_MAX {
            assert!(strangers.is_new(address(number), Reason::NoCertificate));
        }
        assert_eq!(strangers.seen.len(), STRANGERS_MAX);
        assert!(!strangers.is_new(address(1), Reason::NoCertificate), "the second is still known");
        assert!(strangers.is_new(address(0), Reason::NoCertificate), "the first was forgotten");
    }

    #[test]
    fn a_wrong_clock_is_named_with_how_wrong_it_may_be() {
        let ahead = Duration::from_secs(365 * 86_400);
        let said = Stranger::NotYetValid { ahead }.to_string();
        assert!(said.contains("365 days") && said.contains("clock may be wrong"), "{said}");
        for (seconds, words) in
            [(1, "1 seconds"), (119, "119 seconds"), (120, "2 minutes"), (7_200, "2 hours")]
        {
            assert_eq!(spoken(Duration::from_secs(seconds)), words);
        }
    }
}
