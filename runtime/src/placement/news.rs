//! What another view of the cluster has that the last one had not, for people.

use odeon_core::ServiceName;
use odeon_core::membership::{Member, MemberState, View};
use odeon_core::placement::{Slot, Table};

/// What has changed from one view to a later one, in a line.
pub(super) fn changes(before: &View, now: &View) -> String {
    let mut changes = Vec::new();
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
        changes.extend(moved(service, before.tables.get(service).map(|table| &**table), table));
    }
    let ended = before.tables.keys().filter(|service| !now.tables.contains_key(*service));
    changes.extend(ended.map(|service| format!("no member offers {service} any more")));
    if changes.is_empty() { "a member says something else of itself".into() } else { changes.join("; ") }
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

/// How many slots of a service have other owners, and how many are to have.
fn moved(service: &ServiceName, before: Option<&Table>, now: &Table) -> Option<String> {
    let count = |differs: &dyn Fn(Option<&Slot<'_>>, &Slot<'_>) -> bool| {
        let was = |slot| before.and_then(|before| before.slot(slot));
        now.slots().filter(|(slot, found)| differs(was(*slot).as_ref(), found)).count()
    };
    let owned = count(&|was, now| was.map(|was| was.owner) != Some(now.owner));
    let lost = count(&|was, now| now.owner.is_none() && was.is_some_and(|was| was.owner.is_some()));
    let to_move = count(&|was, now| now.to.is_some() && was.map(|was| was.to) != Some(now.to));
    let parts = [
        (owned > lost).then(|| format!("{} slots of {service} have another owner", owned - lost)),
        (lost > 0).then(|| format!("{lost} slots of {service} have none")),
        (to_move > 0).then(|| format!("{to_move} slots of {service} shall go to another node")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use odeon_core::membership::{Card, Gone, LevelRange, Reason};
    use odeon_core::{NodeId, ReplicaId};

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
        Member { card, state, since: 1, renewals: 0 }
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
        let gone = |incarnation, reason| Gone { incarnation, reason, since: 5 };
        now.gone.insert("east".parse().expect("a name"), gone(1, Reason::Restarted));
        now.gone.insert("south".parse().expect("a name"), gone(1, Reason::LeaseEnded));
        assert_eq!(
            changes(&before, &now),
            "east@2 is a member; north@1 is draining; west@1 is a member; \
             east@1 is a member no more: it has come back as a later incarnation; \
             south@1 is a member no more: its lease has ended"
        );
        assert_eq!(
            changes(&now, &View { epoch: 6, ..now.clone() }),
            "a member says something else of itself"
        );
    }
}
