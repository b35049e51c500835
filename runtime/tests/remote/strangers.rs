//! Each kind of stranger is refused with its reason, at either end, and gets no byte.

use crate::stage::{
    DAY, Odd, Outsider, SECRET, answer, authority, certified, cluster, credentials, endpoint, hear, node,
    odd, shown_by, soon,
};
use odeon::remote::endpoint::{HandshakeError, refused};
use odeon::remote::trust::{PROTOCOL, Reason, Subject};
use odeon::remote::{Authority, Stranger, Trust};
use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use rustls::sign::CertifiedKey;
use std::cell::RefCell;
use std::time::{Duration, SystemTime};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// What a node makes of a dialer that shows this; the dialer must have heard nothing.
async fn dialled_by(authority: &Authority, shows: Option<CertifiedKey>) -> Stranger {
    let node = endpoint(authority, "north");
    let stranger = Outsider::dialer(shows, PROTOCOL);
    let (verdict, heard) = tokio::join!(answer(&node), stranger.dial(node.local_address()));
    assert!(heard.is_err(), "the stranger was told {heard:?}");
    match verdict {
        Err(HandshakeError::Stranger { stranger, .. }) => stranger,
        other => panic!("no stranger: {other:?}"),
    }
}

/// What a node makes of a listener that shows this; the listener must have heard nothing.
async fn dialling(authority: &Authority, shows: CertifiedKey) -> Stranger {
    let node = endpoint(authority, "north");
    let stranger = Outsider::listener(shows);
    let (verdict, heard) = tokio::join!(soon(node.connect(stranger.address())), stranger.answer());
    assert!(heard.is_err(), "the stranger was told {heard:?}");
    match verdict {
        Err(HandshakeError::Stranger { stranger, .. }) => stranger,
        other => panic!("no stranger: {other:?}"),
    }
}

/// Both ways, which must agree. Times may differ by the seconds between.
async fn verdict(authority: &Authority, shows: CertifiedKey) -> Stranger {
    let dialled = dialled_by(authority, Some(shows.clone())).await;
    assert_eq!(dialled.reason(), dialling(authority, shows).await.reason());
    dialled
}

fn member_uri(authority: &Authority, name: &str) -> String {
    format!("spiffe://{}.odeon.internal/node/{name}", authority.cluster())
}

fn ago(span: Duration) -> SystemTime {
    SystemTime::now() - span
}

fn is_about(found: Duration, expected: Duration) -> bool {
    found.abs_diff(expected) < Duration::from_secs(60)
}

#[tokio::test]
async fn a_member_is_let_in_under_its_name_and_told_what_members_are_told() {
    let authority = authority(1);
    let (north, south) = (endpoint(&authority, "north"), endpoint(&authority, "south_1-"));
    let (dialled, dialler) = tokio::join!(answer(&north), soon(south.connect(north.local_address())));
    let (dialled, dialler) = (dialled.expect("a member"), dialler.expect("a member"));
    assert_eq!((dialled.name(), dialler.name()), (&node("south_1-"), &node("north")));
    assert_eq!(hear(&dialler.connection).await.as_deref(), Ok(SECRET));
    // The outsider of the other stories can hear: with a member's credentials it does.
    let insider = Outsider::dialer(Some(shown_by(&credentials(&authority, "west"))), PROTOCOL);
    let (answered, heard) = tokio::join!(answer(&north), insider.dial(north.local_address()));
    assert_eq!(answered.expect("a member").name(), &node("west"));
    assert_eq!(heard.as_deref(), Ok(SECRET));
}

#[tokio::test]
async fn who_shows_no_certificate_gets_nothing() {
    assert_eq!(dialled_by(&authority(1), None).await, Stranger::NoCertificate);
}

#[tokio::test]
async fn who_is_of_a_foreign_authority_gets_nothing_whatever_it_claims() {
    let ours = authority(1);
    for theirs in [authority(2), authority(1)] {
        let found = verdict(&ours, shown_by(&credentials(&theirs, "south"))).await;
        let Stranger::ForeignAuthority { claims: Some(claims) } = &found else { panic!("{found:?}") };
        assert_eq!((&claims.cluster, &claims.subject), (theirs.cluster(), &Subject::Node(node("south"))));
    }
}

#[tokio::test]
async fn a_node_of_another_cluster_that_dials_is_a_stranger_to_both() {
    let (ours, theirs) = (endpoint(&authority(1), "north"), endpoint(&authority(2), "south"));
    let (dialled, dialler) = tokio::join!(answer(&ours), soon(theirs.connect(ours.local_address())));
    let reason = |verdict| match verdict {
        Err(HandshakeError::Stranger { stranger, .. }) => stranger.reason(),
        other => panic!("no stranger: {other:?}"),
    };
    assert_eq!(reason(dialler.map(drop)), Reason::ForeignAuthority);
    assert_eq!(
        reason(dialled.map(drop)),
        Reason::Distrustful,
        "it refuses first, and is told of all the same"
    );
}

#[tokio::test]
async fn who_is_of_a_foreign_cluster_gets_nothing_even_if_its_authority_is_believed() {
    let ours = authority(1);
    let elsewhere = "spiffe://shop-0000000000000002.odeon.internal/node/south";
    let shows =
        odd(&ours, Odd { uris: vec![elsewhere.into()], usages: vec![ClientAuth, ServerAuth], valid: DAY });
    assert_eq!(verdict(&ours, shows).await, Stranger::ForeignCluster { cluster: cluster(2) });
}

#[tokio::test]
async fn an_expired_certificate_gets_nothing() {
    let ours = authority(1);
    let old = ours.issue(&node("south"), DAY, ago(31 * DAY)).expect("credentials");
    let found = verdict(&ours, shown_by(&old)).await;
    let Stranger::Expired { ago } = found else { panic!("{found:?}") };
    assert!(is_about(ago, 30 * DAY), "{ago:?}");
    assert!(found.to_string().contains("expired 30 days ago"), "{found}");
}

#[tokio::test]
async fn an_expired_certificate_of_a_foreign_authority_is_foreign_first() {
    let old = authority(2).issue(&node("south"), DAY, ago(31 * DAY)).expect("credentials");
    assert_eq!(verdict(&authority(1), shown_by(&old)).await.reason(), Reason::ForeignAuthority);
}

#[tokio::test]
async fn an_expired_authority_makes_no_members() {
    let short = Authority::create(&cluster(1), 2 * DAY, ago(DAY)).expect("an authority");
    let uris = vec![member_uri(&short, "south")];
    let shows = odd(&short, Odd { uris, usages: vec![ClientAuth, ServerAuth], valid: 30 * DAY });
    let node = endpoint(&short, "north");
    // what holds while the authority does
    let peer = Outsider::dialer(Some(shows.clone()), PROTOCOL);
    let (verdict, heard) = tokio::join!(answer(&node), peer.dial(node.local_address()));
    assert!(verdict.is_ok() && heard.is_ok(), "{verdict:?}");

    let past = Authority::create(&cluster(1), DAY, ago(5 * DAY)).expect("an authority");
    let uris = vec![member_uri(&past, "south")];
    let shows = odd(&past, Odd { uris, usages: vec![ClientAuth, ServerAuth], valid: 30 * DAY });
    // a node of the authority that takes over still believes the old one
    let mut both = credentials(&short, "north");
    both.authorities.push_str(past.certificate_pem());
    let node = crate::stage::bind(Trust::new(&both, SystemTime::now()).expect("trust"));
    let peer = Outsider::dialer(Some(shows), PROTOCOL);
    let (verdict, heard) = tokio::join!(answer(&node), peer.dial(node.local_address()));
    assert!(heard.is_err());
    let Err(HandshakeError::Stranger { stranger: Stranger::Expired { ago }, .. }) = verdict else {
        panic!("{verdict:?}")
    };
    assert!(is_about(ago, 4 * DAY), "{ago:?}");
}

#[tokio::test]
async fn a_clock_that_is_a_year_off_is_named() {
    let ours = authority(1);
    let ahead = ours.issue(&node("south"), DAY, SystemTime::now() + 366 * DAY).expect("credentials");
    let found = verdict(&ours, shown_by(&ahead)).await;
    let Stranger::NotYetValid { ahead } = &found else { panic!("{found:?}") };
    // what is issued holds from an hour before
    assert!(is_about(*ahead, 366 * DAY - Duration::from_secs(3_600)), "{ahead:?}");
    assert!(found.to_string().contains("365 days, so a clock may be wrong"), "{found}");
    assert!(found.advice().contains("clocks of both hosts"), "{}", found.advice());
}

#[tokio::test]
async fn a_certificate_that_is_not_made_for_a_node_gets_nothing() {
    let ours = authority(1);
    let (south, west) = (member_uri(&ours, "south"), member_uri(&ours, "west"));
    let of_authority = format!("spiffe://{}.odeon.internal", ours.cluster());
    let both = || vec![ClientAuth, ServerAuth];
    for (uris, words) in [
        (vec![], "names no member"),
        (vec![south.clone(), west], "names no member"),
        (vec![of_authority], "names no member"),
        (vec![south.to_uppercase()], "names no member"),
    ] {
        let found = verdict(&ours, odd(&ours, Odd { uris, usages: both(), valid: DAY })).await;
        assert!(matches!(&found, Stranger::Malformed { why } if why.contains(words)), "{found:?}");
    }
    let dials_only = odd(&ours, Odd { uris: vec![south.clone()], usages: vec![ClientAuth], valid: DAY });
    assert_eq!(dialling(&ours, dials_only).await.reason(), Reason::Malformed);
    let listens_only = odd(&ours, Odd { uris: vec![south], usages: vec![ServerAuth], valid: DAY });
    assert_eq!(dialled_by(&ours, Some(listens_only)).await.reason(), Reason::Malformed);
}

#[tokio::test]
async fn a_certificate_without_its_key_gets_nothing() {
    let ours = authority(1);
    let (stolen, own) = (credentials(&ours, "south"), credentials(&ours, "south"));
    let shows = certified(&stolen.chain, own.key.expose());
    assert_eq!(verdict(&ours, shows).await, Stranger::WrongKey);
}

#[tokio::test]
async fn another_protocol_is_no_stranger_but_gets_nothing_either() {
    let ours = authority(1);
    let node = endpoint(&ours, "north");
    let other = Outsider::dialer(Some(shown_by(&credentials(&ours, "south"))), b"odeon/2");
    let (verdict, heard) = tokio::join!(answer(&node), other.dial(node.local_address()));
    assert!(heard.is_err());
    assert!(matches!(verdict, Err(HandshakeError::Foreign { .. })), "{verdict:?}");
}

#[tokio::test]
async fn a_node_that_is_refused_learns_why() {
    let ours = authority(1);
    let old = ours.issue(&node("south"), DAY, ago(31 * DAY)).expect("credentials");
    // it has run since then and nobody renewed its credentials
    let south = crate::stage::bind(Trust::new(&old, ago(31 * DAY)).expect("they held then"));
    let north = endpoint(&ours, "north");
    let address = north.local_address();
    let (verdict, dialled) = tokio::join!(answer(&north), soon(south.connect(address)));
    assert!(matches!(verdict, Err(HandshakeError::Stranger { .. })), "{verdict:?}");
    let said = match dialled {
        Ok(member) => refused(address, &soon(member.connection.closed()).await),
        Err(error) => Some(error),
    };
    let Some(HandshakeError::Refused { why, .. }) = said else { panic!("{said:?}") };
    assert!(why.contains("Expired"), "{why}");
}

thread_local! {
    /// What was warned of on this thread, which is this test's alone.
    static WARNINGS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Keeps warnings by thread. It is the subscriber of the whole process: one that is put in place for a thread may be
/// overlooked when another thread reaches a place of logging first.
struct Warnings;

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN && metadata.target().starts_with("odeon")
    }

    fn event(&self, event: &Event<'_>) {
        let mut words = Words(String::new());
        event.record(&mut words);
        WARNINGS.with_borrow_mut(|warnings| warnings.push(words.0));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!("{field}={value:?} "));
    }
}

#[tokio::test]
async fn each_stranger_is_logged_once_with_the_reason_and_what_to_do() {
    tracing::subscriber::set_global_default(Warnings).expect("no other test has one");
    let ours = authority(1);
    let north = endpoint(&ours, "north");
    let old = ours.issue(&node("south"), DAY, ago(31 * DAY)).expect("credentials");
    for (shows, told) in [(Some(shown_by(&old)), 1), (Some(shown_by(&old)), 1), (None, 2), (None, 2)] {
        let stranger = Outsider::dialer(shows, PROTOCOL);
        let (verdict, _) = tokio::join!(answer(&north), stranger.dial(north.local_address()));
        assert!(matches!(verdict, Err(HandshakeError::Stranger { .. })), "{verdict:?}");
        let warnings = WARNINGS.with_borrow(Vec::clone);
        assert_eq!(warnings.len(), told, "{warnings:?}");
        for word in ["peer=127.0.0.1:", "reason=it", "advice=", "odeon cluster certificate"] {
            assert!(warnings[told - 1].contains(word), "{word} is missing: {warnings:?}");
        }
    }
}
