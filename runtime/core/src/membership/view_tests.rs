//! What commands make of views.

use super::*;
use crate::{NodeId, NodeName, Random, ReplicaId};

fn id(name: &str, incarnation: u64) -> NodeId {
    NodeId { name: name.parse().expect("a name"), incarnation }
}

fn card(name: &str, incarnation: u64, offers: &[(&str, &str, u16)]) -> Card {
    let offer = |(service, contract, major): &(&str, &str, u16)| Offer {
        service: service.parse().expect("a name"),
        contract: (*contract).into(),
        major: *major,
        minor: 0,
        kind: OfferKind::Entity,
    };
    Card {
        node: id(name, incarnation),
        replica: ReplicaId(incarnation),
        address: "127.0.0.1:7000".into(),
        host: String::new(),
        zone: String::new(),
        version: String::new(),
        artifact: String::new(),
        levels: LevelRange { min: 1, max: 2 },
        offers: offers.iter().map(offer).collect(),
    }
}

fn join(view: &mut View, index: u64, card: Card) -> Outcome {
    view.apply(index, Command::Join { card: Box::new(card) })
}

fn since(epoch: u64) -> Since {
    Since { epoch, at: 0 }
}

fn problems(outcome: Outcome) -> String {
    match outcome {
        Outcome::Refused { problems } => {
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        }
        done => panic!("it was done: {done:?}"),
    }
}

#[test]
fn a_node_joins_once_leaves_and_comes_back_as_a_later_incarnation() {
    let mut view = View::default();
    assert_eq!(join(&mut view, 5, card("a", 1, &[])), Outcome::Done { epoch: 5 });
    assert_eq!(join(&mut view, 6, card("a", 1, &[])), Outcome::Done { epoch: 5 }, "it had been done");
    let drain = Command::Drain { node: id("a", 1) };
    assert_eq!(view.apply(7, drain.clone()), Outcome::Done { epoch: 7 });
    assert_eq!(view.apply(8, drain), Outcome::Done { epoch: 7 });
    let leave = Command::Remove { node: id("a", 1), reason: Reason::Left, renewals: None };
    assert_eq!(view.apply(9, leave.clone()), Outcome::Done { epoch: 9 });
    assert_eq!(view.apply(10, leave), Outcome::Done { epoch: 9 });
    assert!(view.members.is_empty());
    assert_eq!(view.gone[&id("a", 1).name], Gone { incarnation: 1, reason: Reason::Left, since: since(9) });
    assert!(problems(join(&mut view, 11, card("a", 1, &[]))).contains("a@1 is known"));
    assert_eq!(join(&mut view, 12, card("a", 2, &[])), Outcome::Done { epoch: 12 });
    // what it offers may change
    let more = card("a", 2, &[("cart", "cart", 1)]);
    let mut changed = view.clone();
    assert_eq!(join(&mut changed, 13, more), Outcome::Done { epoch: 13 });
    assert_eq!(changed.members[&id("a", 2).name].since, since(12));
    assert_eq!(join(&mut view, 13, card("a", 3, &[])), Outcome::Done { epoch: 13 });
    assert_eq!(
        view.gone[&id("a", 1).name],
        Gone { incarnation: 2, reason: Reason::Restarted, since: since(13) }
    );
    assert!(view.member(&id("a", 2)).is_none() && view.member(&id("a", 3)).is_some());
}

#[test]
fn a_lease_that_was_renewed_meanwhile_is_not_ended() {
    let mut view = View::default();
    join(&mut view, 1, card("a", 1, &[]));
    let end =
        |renewals| Command::Remove { node: id("a", 1), reason: Reason::LeaseEnded, renewals: Some(renewals) };
    let before = view.epoch;
    let renewed = view.apply(2, Command::Renew { nodes: vec![id("a", 1), id("a", 2), id("b", 1)] });
    assert_eq!(renewed, Outcome::Renewed { epoch: before, strangers: vec![id("a", 2), id("b", 1)] });
    assert_eq!((view.epoch, view.member(&id("a", 1)).map(|m| m.renewals)), (before, Some(1)));
    assert!(problems(view.apply(3, end(0))).contains("renewed meanwhile"));
    assert_eq!(view.apply(4, end(1)), Outcome::Done { epoch: 4 });
    assert!(problems(view.apply(5, Command::Drain { node: id("a", 1) })).contains("no member"));
}

#[test]
fn a_node_that_cannot_do_what_it_claims_is_refused_with_all_that_is_wrong() {
    let mut view = View::default();
    join(&mut view, 1, card("a", 1, &[("cart", "cart", 1), ("till", "till", 1)]));
    let wrong =
        card("b", 1, &[("cart", "basket", 1), ("till", "till", 2), ("new", "new", 1), ("new", "new", 1)]);
    let told = problems(join(&mut view, 2, wrong));
    assert!(told.contains("cart is basket 1, an entity here, and cart 1, an entity on a"), "{told}");
    assert!(told.contains("till 2, an entity here, and till 1, an entity on a"), "{told}");
    assert!(told.contains("new is offered twice"), "{told}");
    let mut old = card("b", 1, &[]);
    assert!(matches!(view.apply(3, Command::Raise { level: 2 }), Outcome::Done { epoch: 3 }));
    old.levels = LevelRange { min: 1, max: 1 };
    assert!(problems(join(&mut view, 4, old)).contains("feature level 2 cannot be read by b"));
    let many = card("c", 1, &[]);
    let offer = |n: usize| (format!("s{n}"), "c".to_owned(), 1);
    let offers: Vec<_> = (0..=1_024).map(offer).collect();
    let offers: Vec<_> = offers.iter().map(|(s, c, m)| (s.as_str(), c.as_str(), *m)).collect();
    let many = Card { offers: card("c", 1, &offers).offers, ..many };
    assert!(problems(join(&mut view, 5, many)).contains("1025 services"));
}

#[test]
fn the_level_rises_one_by_one_once_all_members_can_read_it() {
    let mut view = View::default();
    let mut old = card("old", 1, &[]);
    old.levels = LevelRange { min: 1, max: 1 };
    join(&mut view, 1, old);
    join(&mut view, 2, card("new", 1, &[]));
    let told = problems(view.apply(3, Command::Raise { level: 2 }));
    assert!(told.contains("cannot be read by old, which reads 1 to 1"), "{told}");
    assert!(problems(view.apply(4, Command::Raise { level: 3 })).contains("does not follow 1"));
    view.apply(5, Command::Remove { node: id("old", 1), reason: Reason::Ordered, renewals: None });
    assert_eq!(view.apply(6, Command::Raise { level: 2 }), Outcome::Done { epoch: 6 });
    assert_eq!(view.apply(7, Command::Raise { level: 2 }), Outcome::Done { epoch: 6 });
}

#[test]
fn whatever_is_proposed_epochs_grow_with_each_change_and_incarnations_never_fall() {
    let mut random = Random::seeded(11);
    for _ in 0..200 {
        let mut view = View::default();
        for index in 1..200 {
            let (name, incarnation) = (["a", "b", "c"][random.below(3) as usize], 1 + random.below(6));
            let command = match random.below(5) {
                0 | 1 => Command::Join { card: Box::new(card(name, incarnation, &[])) },
                2 => Command::Renew { nodes: vec![id(name, incarnation)] },
                3 => Command::Drain { node: id(name, incarnation) },
                _ => Command::Remove {
                    node: id(name, incarnation),
                    reason: Reason::LeaseEnded,
                    renewals: random.chance(0.5).then(|| random.below(3)),
                },
            };
            let before = view.clone();
            let outcome = view.apply(index, command);
            let content = |view: &View| {
                let members = view.members.values().map(|m| (m.card.clone(), m.state, m.since));
                (members.collect::<Vec<_>>(), view.gone.clone(), view.level)
            };
            assert_eq!(content(&before) == content(&view), before.epoch == view.epoch);
            assert!(view.epoch == before.epoch || view.epoch == index);
            if matches!(outcome, Outcome::Refused { .. }) {
                assert_eq!(before, view, "nothing has changed");
            }
            for name in ["a", "b", "c"].map(|name| name.parse::<NodeName>().expect("a name")) {
                assert!(view.incarnation(&name) >= before.incarnation(&name));
            }
        }
    }
}

#[test]
fn of_those_who_are_gone_the_last_ones_are_remembered() {
    let mut view = View::default();
    for number in 1..=200 {
        let name = format!("n{number}");
        join(&mut view, 2 * number, card(&name, 1, &[]));
        view.apply(
            2 * number + 1,
            Command::Remove { node: id(&name, 1), reason: Reason::Left, renewals: None },
        );
    }
    assert_eq!(view.gone.len(), GONE_MAX);
    assert!(view.gone.contains_key(&id("n200", 1).name) && !view.gone.contains_key(&id("n1", 1).name));
}
