//! The node's certificate, its key and its authority: judged as peers judge them, and until when they hold.

use super::report::{Check, Group};
use super::site::Site;
use crate::cluster;
use crate::date;
use odeon::remote::trust::{
    AUTHORITIES_FILE, CHAIN_FILE, Certificate, CredentialsError, Identity, KEY_FILE, TrustError,
};
use odeon::remote::{Credentials, Stranger, Subject, Trust};
use std::path::Path;
use std::time::{Duration, SystemTime};

const GROUP: Group = Group::Certificates;
const READ_WITHIN: Duration = Duration::from_secs(2);
/// Time enough to renew it.
const DAYS_ENOUGH: i64 = 30;

/// What lies in the directory of credentials.
#[derive(Debug)]
pub(super) struct Held {
    /// The node's own certificate, if it can be read.
    pub(super) own: Option<Certificate>,
    authorities: Vec<Certificate>,
    /// What peers will think of it.
    pub(super) trust: Result<Trust, TrustError>,
}

/// Makes all checks of them, and gives what was read.
pub(super) async fn check(site: &Site) -> (Vec<Check>, Option<Held>) {
    let Some(config) = &site.settings.cluster else {
        return (vec![GROUP.skipped("all of them", "the node is in no cluster: it needs none")], None);
    };
    let directory = config.credentials.clone();
    let now = date::now();
    let read = site.blocking(READ_WITHIN, move || Held::read(&directory, now)).await;
    match read {
        Ok(Ok(held)) => {
            let mut checks = held.judge(&config.credentials, site.settings.name.as_str(), now);
            // all is well with them but whose they are
            if let Ok(trust) = &held.trust
                && *trust.subject() != Subject::Node(site.settings.name.clone())
                && let Err(failure) = cluster::check(&site.settings)
            {
                checks.push(GROUP.failure("owner", failure));
            }
            (checks, Some(held))
        }
        Ok(Err(error)) => (vec![unread(&error)], None),
        Err(problem) => {
            let found = format!("{}: the disk does not answer: {problem}", config.credentials.display());
            (vec![GROUP.failed("files", found, "look at the disk")], None)
        }
    }
}

fn unread(error: &CredentialsError) -> Check {
    let (name, advice) = match error {
        CredentialsError::Exposed { .. } => ("key", "a key that others know lets them in as this node"),
        _ => {
            ("files", "[cluster] credentials, or --credentials DIR, names the directory with the three files")
        }
    };
    GROUP.failed(name, error, advice)
}

impl Held {
    fn read(directory: &Path, now: SystemTime) -> Result<Self, CredentialsError> {
        let credentials = Credentials::read(directory)?;
        let all = |pem: &str| Certificate::all_of_pem(pem).unwrap_or_default();
        Ok(Self {
            own: all(&credentials.chain).into_iter().next(),
            authorities: all(&credentials.authorities),
            trust: Trust::new(&credentials, now),
        })
    }

    fn judge(&self, directory: &Path, node: &str, now: SystemTime) -> Vec<Check> {
        let file = |name: &str| directory.join(name).display().to_string();
        let (chain, key, authority) = (file(CHAIN_FILE), file(KEY_FILE), file(AUTHORITIES_FILE));
        let blamed = self.trust.as_ref().err().map(|error| (blame(error), error));
        let mut checks = Vec::new();
        let mut judge = |part: Part, good: Check| {
            checks.push(match &blamed {
                Some((blamed, error)) if *blamed == part => {
                    GROUP.failed(part.name(), error, advice(error, node))
                }
                _ => good,
            });
        };
        judge(
            Part::Certificate,
            match &self.own {
                Some(own) => {
                    let Identity { cluster, subject } = &own.identity;
                    let what = format!("{chain} is of {subject} in the cluster {cluster}");
                    lasts(Part::Certificate, &what, own.until, (node, now))
                }
                None => GROUP.skipped(Part::Certificate.name(), format_args!("{chain} cannot be read")),
            },
        );
        judge(
            Part::Key,
            match &self.trust {
                Ok(_) => {
                    GROUP.ok(Part::Key.name(), format_args!("{key} is its key, and nobody else may read it"))
                }
                Err(_) => {
                    GROUP.skipped(Part::Key.name(), "whether it fits is seen once the others are right")
                }
            },
        );
        judge(
            Part::Authority,
            match self.authorities.iter().map(|each| each.until).max() {
                Some(until) => lasts(Part::Authority, &authority, until, (node, now)),
                None => GROUP.skipped(Part::Authority.name(), format_args!("{authority} cannot be read")),
            },
        );
        checks
    }
}

/// What is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Certificate,
    Key,
    Authority,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Key => "key",
            Self::Authority => "authority",
        }
    }
}

fn blame(error: &TrustError) -> Part {
    match error {
        TrustError::Authorities(_) | TrustError::NoAuthority(_) | TrustError::TwoClusters(..) => {
            Part::Authority
        }
        TrustError::Chain(_) | TrustError::Refused(_) => Part::Certificate,
        TrustError::Key { .. } | TrustError::KeyMismatch => Part::Key,
    }
}

fn advice(error: &TrustError, node: &str) -> String {
    match error {
        TrustError::Authorities(_) | TrustError::NoAuthority(_) | TrustError::TwoClusters(..) => {
            "bring the cluster's own ca.pem, as `odeon cluster init` has written it".into()
        }
        TrustError::Refused(Stranger::ForeignAuthority { .. }) => format!(
            "ca.pem and node.pem are of two authorities: issue node.pem with this cluster's, `odeon cluster certificate {node}`"
        ),
        TrustError::Refused(stranger) => stranger.advice().into(),
        TrustError::Chain(_) | TrustError::Key { .. } | TrustError::KeyMismatch => {
            format!("issue node.pem and node.key anew: `odeon cluster certificate {node} --overwrite`")
        }
    }
}

/// Whether something holds for long enough.
fn lasts(part: Part, what: &str, until: SystemTime, (node, now): (&str, SystemTime)) -> Check {
    let name = part.name();
    let advice: String = match part {
        Part::Authority => {
            "make a new authority, and put both into the ca.pem of all nodes until each has a certificate of the new one".into()
        }
        Part::Certificate | Part::Key => {
            format!("issue a new one: `odeon cluster certificate {node} --overwrite`; a node that runs reads it on SIGHUP")
        }
    };
    let (days, shown) = (date::days_between(now, until), date::show(until));
    match days {
        ..0 => GROUP.failed(name, format_args!("{what}: it held until {shown} only"), advice),
        0..DAYS_ENOUGH => {
            GROUP.warning(name, format_args!("{what}, until {shown}: {days} days are left"), advice)
        }
        _ => GROUP.ok(name, format_args!("{what}, until {shown}: {days} days")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Outcome;
    use super::*;
    use odeon::core::ClusterId;
    use odeon::remote::Authority;
    use std::time::UNIX_EPOCH;

    const DAY: Duration = Duration::from_secs(86_400);

    fn now() -> SystemTime {
        UNIX_EPOCH + 20_000 * DAY
    }

    #[test]
    fn what_ends_soon_is_told_of_and_what_has_ended_fails() {
        let outcome =
            |days: u32| lasts(Part::Certificate, "it", now() + days * DAY, ("north", now())).outcome;
        assert_eq!((outcome(30), outcome(29), outcome(0)), (Outcome::Ok, Outcome::Warning, Outcome::Warning));
        assert_eq!(lasts(Part::Authority, "it", now() - DAY, ("north", now())).outcome, Outcome::Failed);
    }

    #[test]
    fn each_problem_is_told_of_at_the_file_that_has_it() {
        let cluster = ClusterId::new("shop", 7).expect("a cluster");
        let make = || Authority::create(&cluster, 400 * DAY, now()).expect("it is made");
        let (authority, other) = (make(), make());
        let north = "north".parse().expect("a name");
        let issue = |by: &Authority| by.issue(&north, 40 * DAY, now()).expect("it is issued");
        let (good, foreign) = (issue(&authority), issue(&other));
        let judged = |credentials: &Credentials, at: SystemTime| {
            let all = |pem: &str| Certificate::all_of_pem(pem).expect("certificates");
            let held = Held {
                own: all(&credentials.chain).into_iter().next(),
                authorities: all(&credentials.authorities),
                trust: Trust::new(credentials, at),
            };
            held.judge(Path::new("c"), "north", at).iter().map(|check| check.outcome).collect::<Vec<_>>()
        };
        use Outcome::{Failed, Ok, Skipped, Warning};
        assert_eq!(judged(&good, now()), [Ok, Ok, Ok]);
        assert_eq!(judged(&good, now() + 20 * DAY), [Warning, Ok, Ok]);
        assert_eq!(judged(&good, now() + 41 * DAY), [Failed, Skipped, Ok], "expired");
        let mixed = Credentials { authorities: foreign.authorities.clone(), ..good.clone() };
        assert_eq!(judged(&mixed, now()), [Failed, Skipped, Ok], "a foreign authority");
        let mixed = Credentials { key: foreign.key.clone(), ..good.clone() };
        assert_eq!(judged(&mixed, now()), [Ok, Failed, Ok], "another key");
        let mixed = Credentials { authorities: good.chain.clone(), ..good.clone() };
        assert_eq!(judged(&mixed, now()), [Ok, Skipped, Failed], "no authority");
    }
}
