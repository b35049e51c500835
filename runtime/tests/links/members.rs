//! Nodes as members: what they offer, and what becomes of those who offer something else under the same name.

use super::stage::{Cluster, Linked, eventually};
use odeon::core::NodeName;
use odeon::core::membership::{Member, Offer, OfferKind};
use odeon::membership::{Membership, MembershipConfig, Standing, StartMembershipError};
use odeon::prelude::*;
use std::path::PathBuf;

mod old {
    #[odeon::contract(name = "cart", version = "1.3")]
    pub trait Cart {
        async fn add(&self, cx: &super::Cx);
    }
}
mod new {
    #[odeon::contract(name = "cart", version = "2.0")]
    pub trait Cart {
        async fn add(&self, cx: &super::Cx);
    }
}

#[derive(Default)]
struct Old;

#[odeon::service]
impl old::Cart for Old {
    async fn add(&self, _: &Cx) {}
}

#[derive(Default)]
struct New;

#[odeon::service]
impl new::Cart for New {
    async fn add(&self, _: &Cx) {}
}

/// An empty directory for a node of a test; left to the system's cleaning of temporary files.
fn directory(test: &str, name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("odeon-members-{}-{test}-{name}", std::process::id()));
    // a former process may have had the same id
    let _ = std::fs::remove_dir_all(&path);
    path
}

async fn start(test: &str, name: &str, linked: &Linked) -> Result<Membership, StartMembershipError> {
    let founder: NodeName = "north".parse().expect("a name");
    let config = MembershipConfig::new(directory(test, name), [founder]);
    Membership::start(&linked.node, &linked.links, config).await
}

/// North, which is a member, and south, which is about to join it.
async fn pair(test: &str, north: App, south: App) -> [(Linked, Membership); 2] {
    let cluster = Cluster::new();
    let (north, south) = (cluster.node("north", north).await, cluster.node("south", south).await);
    let first = start(test, "north", &north).await.expect("it starts");
    first.until(|now| *now == Standing::Member).await;
    south.links.connect(north.links.local_address()).await.expect("it is let in");
    let second = start(test, "south", &south).await.expect("it starts");
    [(north, first), (south, second)]
}

fn member(seen_by: &Membership, name: &str) -> Option<Member> {
    seen_by.view().members.get(&name.parse::<NodeName>().expect("a name")).cloned()
}

fn offers(seen_by: &Membership, name: &str) -> Vec<Offer> {
    member(seen_by, name).map(|member| member.card.offers).unwrap_or_default()
}

#[tokio::test]
async fn a_member_offers_what_it_has_registered_and_what_it_registers_later() {
    let [(north, first), (south, second)] =
        pair("offers", App::new().service("cart", Old::default), App::new()).await;
    second.until(|now| *now == Standing::Member).await;
    south.node.add_services(App::new().singleton("till", New::default)).await.expect("they start");
    eventually("north hears of the till", || !offers(&first, "south").is_empty()).await;
    let offer = |service: &str, major, minor, kind| Offer {
        service: service.parse().expect("a name"),
        contract: "cart".into(),
        major,
        minor,
        kind,
    };
    assert_eq!(offers(&first, "south"), [offer("till", 2, 0, OfferKind::Singleton)]);
    assert_eq!(offers(&first, "north"), [offer("cart", 1, 3, OfferKind::Stateless)]);
    assert_eq!(member(&first, "north").map(|member| member.card.artifact), Some("07".repeat(32)));
    assert!(Membership::of(&north.node).is_some_and(|own| own.node() == first.node()));
    let again = start("offers", "again", &north).await;
    assert!(matches!(again, Err(StartMembershipError::Again)), "{again:?}");
}

#[tokio::test]
async fn a_node_whose_contract_differs_is_refused_with_all_that_differs() {
    let two = |app: App| app.service("cart", New::default).singleton("till", Old::default);
    let other = App::new().service("cart", Old::default).service("till", Old::default);
    let [(_north, first), (_south, second)] = pair("refused", two(App::new()), other).await;
    let Standing::Refused { problems } = second.until(|now| matches!(now, Standing::Refused { .. })).await
    else {
        unreachable!("it was waited for");
    };
    let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0]
            .contains("cart is cart 1, a stateless service here, and cart 2, a stateless service on north")
    );
    assert!(said[1].contains("till is cart 1, a stateless service here, and cart 1, a singleton on north"));
    assert!(member(&first, "south").is_none());
    assert!(!second.holds_lease());
}

#[tokio::test]
async fn a_member_whose_change_is_refused_keeps_its_lease() {
    let [(_north, first), (south, second)] =
        pair("change", App::new().service("cart", Old::default), App::new()).await;
    second.until(|now| *now == Standing::Member).await;
    south.node.add_services(App::new().service("cart", New::default)).await.expect("they start");
    second.until(|now| matches!(now, Standing::Refused { .. })).await;
    let renewals = || member(&first, "south").map(|member| member.renewals);
    let before = renewals().expect("it is a member");
    // for longer than a lease lasts
    eventually("it renews its lease", || renewals().is_some_and(|now| now >= before + 5)).await;
    assert!(second.holds_lease());
    assert!(offers(&first, "south").is_empty(), "nothing has changed for others");
}

/// Three founders, all of which vote, know who leads, and hear from each other.
async fn three(test: &str) -> Vec<(Linked, Membership)> {
    let (cluster, names) = (Cluster::new(), ["north", "south", "east"]);
    let founders: Vec<NodeName> = names.iter().map(|name| name.parse().expect("a name")).collect();
    let mut nodes: Vec<(Linked, Membership)> = Vec::new();
    for name in names {
        let linked = cluster.node(name, App::new()).await;
        for (other, _) in &nodes {
            linked.links.connect(other.links.local_address()).await.expect("it is let in");
        }
        let config = MembershipConfig::new(directory(test, name), founders.clone());
        let membership = Membership::start(&linked.node, &linked.links, config).await.expect("it starts");
        nodes.push((linked, membership));
    }
    for (_, membership) in &nodes {
        membership.until(|now| *now == Standing::Member).await;
    }
    eventually("all three vote and know who leads", || {
        nodes.iter().all(|(_, one)| one.group().voters.len() == 3 && one.group().leader.is_some())
    })
    .await;
    nodes
}

#[tokio::test]
async fn a_leader_of_the_group_that_stops_lets_another_one_lead_before_it_is_gone() {
    let mut nodes = three("gives-way").await;
    let leads = |(_, one): &(Linked, Membership)| {
        let group = one.group();
        group.leader.is_some_and(|(replica, _)| replica == group.replica)
    };
    let (leader, membership) = nodes.remove(nodes.iter().position(leads).expect("one leads"));
    let replica = membership.group().replica;
    leader.node.stop(Duration::from_secs(20)).await;
    let led_by = |(_, one): &(Linked, Membership)| one.group().leader.map(|(replica, _)| replica);
    let leaders: Vec<_> = nodes.iter().map(led_by).collect();
    assert!(leaders.iter().all(|known| known.is_some_and(|known| known != replica)), "{leaders:?}");
}
