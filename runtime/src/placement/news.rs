//! What another view of the cluster has that the last one had not, for people.

use odeon_core::membership::{Member, MemberState, View};
use odeon_core::placement::Table;
use odeon_core::{NodeId, ServiceName};

/// What has changed from one view to a later one: the members, in a line, and the slots of a node, in another.
pub(super) fn changes(before: &View, now: &View, node: &NodeId) -> (Option<String>, Option<String>) {
    let (mut changes, mut slots) = (Vec::new(), Vec::new());
    for member in now.members.values() {
        let was = before.member(&member.card.node);
        changes.extend(news_of(was, member));
    }
    for (name, member) in &before.members {
        let is_here = now.member(&member.card.node).is_some();
        let gone = now.gone.get(name).filter(|gone| gone.incarnation >= member.card.node.incarnation);
        let why = gone.map_or_else(|| "it has gone".to_owned(), |gone| gone.reason.to_string());
        changes.extend((!is_here).then(|| format!("{} is a member no more: {why}", member.card.node)));
    }
    if before.level != now.level {
        changes.push(format!("the feature level is {}", now.level));
    }
    for (service, table) in &now.tables {
        slots.extend(moved(service, before.tables.get(service).map(|table| &**table), table, node));
    }
    let ended = before.tables.keys().filter(|service| !now.tables.contains_key(*service));
    slots.extend(ended.map(|service| format!("no member offers {service} any more")));
    let line = |all: Vec<String>| (!all.is_empty()).then(|| all.join("; "));
    (line(changes), line(slots))
}

fn news_of(was: Option<&Member>, member: &Member) -> Option<String> {
    let node = &member.card.node;
    match was {
        None => Some(format!("{node} is a member")),
        Some(was) if was.state != member.state => Some(match member.state {
            MemberState::Up => format!("{node} is up"),
            MemberState::Draining => format!("{node} is draining"),
        }),
        Some(_) => None,
    }
}

/// How many slots of a service have come to this node, were taken from it, or have nobody any more. What it gives away
/// itself is told where it does so.
fn moved(service: &ServiceName, before: Option<&Table>, now: &Table, node: &NodeId) -> Option<String> {
    let (mut came, mut taken, mut lost) = (0, 0, 0);
    for (slot, found) in now.slots() {
        let was = before.and_then(|before| before.slot(slot));
        let (owner, next) = was.map_or((None, None), |was| (was.owner, was.to));
        let (was_here, is_here) = (owner == Some(node), found.owner == Some(node));
        came += usize::from(is_here && !was_here);
        taken += usize::from(was_here && !is_here && found.owner != next);
        lost += usize::from(found.owner.is_none() && owner.is_some());
    }
    let parts = [
        (came > 0).then(|| format!("{came} slots of {service} are here now")),
        (taken > 0).then(|| format!("{taken} slots of {service} were taken from here")),
        (lost > 0).then(|| format!("{lost} slots of {service} have no owner")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use odeon_core::ReplicaId;
    use odeon_core::membership::{Card, Gone, LevelRange, Reason, Since};

    fn member(name: &str, incarnation: u64, state: MemberState) -> Member {
        let node = NodeId { name: name.parse().expect("a name"), incarnation };
        let card = Card {
            node,
            replica: ReplicaId(1),
            address: String::new(),
            host: String::new(),
            zone: String::new(),
            version: String::new(),
            artifact: String::new(),
            levels: LevelRange::READ,
            offers: Vec::new(),
        };
        Member { card, state, since: Since { epoch: 1, at: 0 }, renewals: 0 }
    }

    fn view(epoch: u64, members: Vec<Member>) -> View {
        let members = members.into_iter().map(|member| (member.card.node.name.clone(), member)).collect();
        View { epoch, members, ..View::default() }
    }

    #[test]
    fn who_has_come_who_drains_and_who_has_gone_and_why_is_told() {
        let (up, draining) = (MemberState::Up, MemberState::Draining);
        let before = view(4, vec![member("east", 1, up), member("north", 1, up), member("south", 1, up)]);
        let mut now =
            view(5, vec![member("east", 2, up), member("north", 1, draining), member("west", 1, up)]);
        let gone = |incarnation, reason| Gone { incarnation, reason, since: Since { epoch: 5, at: 0 } };
        now.gone.insert("east".parse().expect("a name"), gone(1, Reason::Restarted));
        now.gone.insert("south".parse().expect("a name"), gone(1, Reason::LeaseEnded));
        let north = NodeId { name: "north".parse().expect("a name"), incarnation: 1 };
        let members = |before: &View, now: &View| changes(before, now, &north).0.expect("there is news");
        assert_eq!(
            members(&before, &now),
            "east@2 is a member; north@1 is draining; west@1 is a member; \
             east@1 is a member no more: it has come back as a later incarnation; \
             south@1 is a member no more: its lease has ended"
        );
        let same = View { epoch: 6, ..now.clone() };
        assert_eq!(changes(&now, &same, &north), (None, None), "slots of others were placed");
    }

    #[test]
    fn slots_that_come_here_are_told_and_those_of_others_are_not() {
        let offer = odeon_core::membership::Offer {
            service: "cart".parse().expect("a name"),
            kind: odeon_core::membership::OfferKind::Entity,
            contract: "cart".into(),
            major: 1,
            minor: 0,
        };
        let offering = |name| {
            let mut member = member(name, 1, MemberState::Up);
            member.card.offers.push(offer.clone());
            member
        };
        let before = view(4, vec![offering("north"), offering("south")]);
        let mut now = before.clone();
        for place in odeon_core::placement::plan(&before) {
            now.apply(5, place);
        }
        let north = &before.members.values().next().expect("two of them").card.node;
        let owned = now.tables.values().next().expect("a table").slots_of(north).count();
        assert!(owned > 0);
        assert_eq!(
            changes(&before, &now, north),
            (None, Some(format!("{owned} slots of cart are here now")))
        );
        let west = NodeId { name: "west".parse().expect("a name"), incarnation: 1 };
        assert_eq!(changes(&before, &now, &west), (None, None));
        assert_eq!(changes(&now, &now.clone(), north), (None, None));
    }
}
