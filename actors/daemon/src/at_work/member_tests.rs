//! Nodes as members of a cluster.

use super::*;
use crate::config::Flags;
use odeon::core::{ClusterId, NodeName};
use odeon::prelude::*;
use odeon::remote::Authority;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Something that is called a till.
#[odeon::contract(name = "till", version = "1.0")]
pub trait Till {
    /// Nothing.
    async fn open(&self, cx: &Cx);
}

#[derive(Default)]
struct Drawer;

#[odeon::service]
impl Till for Drawer {
    async fn open(&self, _: &Cx) {}
}

const LIMIT: Duration = Duration::from_secs(60);

/// A directory with the credentials of these nodes.
fn place(test: &str, names: &[&str]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("odeon-member-{test}-{}", std::process::id()));
    // a former process may have had the same id
    let _ = std::fs::remove_dir_all(&path);
    let (day, now) = (Duration::from_secs(86_400), crate::date::now());
    let id = ClusterId::new("test", 7).expect("a name");
    let authority = Authority::create(&id, day, now).expect("an authority");
    for name in names {
        let node: NodeName = name.parse().expect("a name");
        let credentials = authority.issue(&node, day, now).expect("credentials");
        std::fs::create_dir_all(path.join(name)).expect("it is writable");
        credentials.write(&path.join(name)).expect("it is writable");
    }
    path
}

async fn start(place: &Path, name: &str, peer: Option<SocketAddr>, app: App) -> AtWork {
    let free = "127.0.0.1:0".parse().ok();
    let flags = Flags {
        dir: Some(place.join(format!("{name}-files"))),
        name: name.parse().ok(),
        http: free,
        management: free,
        credentials: Some(place.join(name)),
        peers: peer.iter().map(|peer| peer.to_string().parse().expect("an address")).collect(),
        founders: vec!["north".parse().expect("a name")],
        ..Flags::default()
    };
    let settings = Settings::load(&flags, None).expect("they can be used");
    AtWork::start(&settings, &Lines::to_nobody(), app).await.expect("it starts")
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            sleep(READY_EVERY).await;
        }
    };
    timeout(LIMIT, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test]
async fn a_node_whose_services_differ_is_not_ready_and_says_why_and_what_to_do() {
    let place = place("differs", &["north", "south"]);
    let north = start(&place, "north", None, App::new().service("till", Drawer::default)).await;
    until("north is ready", || north.node.is_ready()).await;
    let app = App::new().singleton("till", Drawer::default);
    let south = start(&place, "south", north.whereabouts.links, app).await;
    assert!(!south.node.is_ready(), "it is no member yet");
    let refused = |reason: &String| {
        reason.contains(
            "till is till 1, a singleton here, and till 1, a stateless service on north: rename one",
        )
    };
    until("it is refused", || south.node.withheld().iter().any(refused)).await;
    assert!(!south.node.is_ready());
    assert_eq!(south.stop(LIMIT).await, Ended::with(Code::Done, 0));
    assert_eq!(north.stop(LIMIT).await, Ended::with(Code::Done, 0));
}

#[tokio::test]
async fn a_member_that_stops_is_not_ready_as_it_is_draining_before_it_takes_no_requests_any_more() {
    let place = place("drains", &["north"]);
    let north = start(&place, "north", None, App::new()).await;
    until("it is ready", || north.node.is_ready()).await;
    let membership = odeon::membership::Membership::of(&north.node).expect("it has founders");
    let me = membership.node().clone();
    let cluster = north.cluster.as_ref().expect("it is in one");
    assert!(cluster.drain(&north.node, LIMIT).await);
    until("its cluster knows it", || {
        let view = membership.view();
        view.member(&me).is_some_and(|me| me.state == odeon::core::membership::MemberState::Draining)
    })
    .await;
    assert!(!north.node.is_ready() && !north.node.is_stopping());
    assert!(north.node.withheld().iter().all(|reason| reason.contains("draining")));
    assert_eq!(north.stop(LIMIT).await, Ended::with(Code::Done, 0));
    assert!(membership.view().member(&me).is_none(), "it has left");
}
