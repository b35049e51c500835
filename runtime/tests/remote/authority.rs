//! The authority: kept as text, and what it refuses.

use crate::stage::{DAY, answer, authority, cluster, credentials, endpoint, node, soon};
use odeon::remote::trust::{AuthorityError, Certificate, Subject, TrustError};
use odeon::remote::{Authority, Trust};
use std::time::{Duration, SystemTime};

#[tokio::test]
async fn an_authority_that_was_kept_as_text_makes_members_of_the_same_cluster() {
    let first = authority(1);
    let again = Authority::from_pem(first.certificate_pem(), first.key_pem().expose()).expect("the same");
    assert_eq!(again.cluster(), first.cluster());
    assert_eq!(again.certificate().fingerprint(), first.certificate().fingerprint());
    let (north, south) = (endpoint(&first, "north"), endpoint(&again, "south"));
    let (dialled, dialler) = tokio::join!(answer(&north), soon(south.connect(north.local_address())));
    assert_eq!(dialled.expect("a member").name(), &node("south"));
    assert_eq!(dialler.expect("a member").name(), &node("north"));
}

#[test]
fn a_key_or_a_certificate_of_something_else_is_no_authority() {
    let (one, other) = (authority(1), authority(1));
    let south = credentials(&one, "south");
    let key = one.key_pem();
    let refused = |certificate: &str, key: &str| Authority::from_pem(certificate, key).expect_err("refused");
    assert_eq!(refused(one.certificate_pem(), other.key_pem().expose()), AuthorityError::KeyMismatch);
    assert!(matches!(refused(&south.chain, south.key.expose()), AuthorityError::Foreign { .. }));
    let both = format!("{}{}", one.certificate_pem(), other.certificate_pem());
    assert!(matches!(refused(&both, key.expose()), AuthorityError::Foreign { .. }));
    assert!(matches!(refused("nothing", key.expose()), AuthorityError::Certificate(_)));
    assert!(matches!(refused(one.certificate_pem(), "nothing"), AuthorityError::Key { .. }));
}

#[test]
fn what_is_issued_ends_with_its_authority_at_the_latest() {
    let now = SystemTime::now();
    let short = Authority::create(&cluster(1), 10 * DAY, now).expect("an authority");
    let until = |valid: Duration| {
        let issued = short.issue(&node("south"), valid, now).expect("credentials");
        Certificate::all_of_pem(&issued.chain).expect("a certificate")[0].until
    };
    let off = |at: SystemTime, days: u32| {
        let expected = now + days * DAY;
        at.duration_since(expected).or_else(|_| expected.duration_since(at)).expect("one of both")
    };
    assert!(off(until(3 * DAY), 3) < Duration::from_secs(2));
    assert!(off(until(300 * DAY), 10) < Duration::from_secs(2));
    let late = short.issue(&node("south"), DAY, now + 11 * DAY).expect_err("it has expired");
    assert_eq!(late, AuthorityError::Expired);
    let endless = Authority::create(&cluster(1), 4_000_000 * DAY, now).expect_err("beyond the year 9999");
    assert_eq!(endless, AuthorityError::Time);
}

#[test]
fn credentials_that_peers_would_refuse_are_refused_at_home() {
    let now = SystemTime::now();
    let (one, other, foreign) = (authority(1), authority(1), authority(2));
    let good = credentials(&one, "south");
    let trust = |change: &dyn Fn(&mut odeon::remote::Credentials)| {
        let mut credentials = good.clone();
        change(&mut credentials);
        Trust::new(&credentials, now)
    };
    let fine = trust(&|_| ()).expect("trust");
    assert_eq!((fine.name(), fine.cluster()), (&node("south"), one.cluster()));
    assert!(fine.until() > now);
    let key = credentials(&one, "south").key;
    assert_eq!(trust(&|c| c.key = key.clone()).expect_err("two pairs"), TrustError::KeyMismatch);
    let signed_by_another = trust(&|c| c.authorities = other.certificate_pem().into());
    assert!(matches!(signed_by_another, Err(TrustError::Refused(_))), "{signed_by_another:?}");
    let two = trust(&|c| c.authorities.push_str(foreign.certificate_pem()));
    assert!(matches!(two, Err(TrustError::TwoClusters(..))), "{two:?}");
    let node_as_authority = trust(&|c| c.authorities = c.chain.clone());
    assert_eq!(
        node_as_authority.expect_err("no authority"),
        TrustError::NoAuthority(Subject::Node(node("south")))
    );
    assert!(matches!(trust(&|c| c.authorities.clear()), Err(TrustError::Authorities(_))));
    assert!(matches!(trust(&|c| c.chain.clear()), Err(TrustError::Chain(_))));
    let later = Trust::new(&good, now + 2 * DAY).expect_err("expired");
    assert!(later.to_string().contains("node.pem") && later.to_string().contains("expired"), "{later}");
    assert!(!format!("{good:?}").contains("PRIVATE KEY"), "a key is never printed");
}
