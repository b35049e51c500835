//! However news are cut, lost with a connection, asked for again or told twice: who has heard them knows the list.

use super::{Contract, Heard, Own, Receiver, Took};
use crate::ServiceName;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Step {
    Join(u8, u16),
    Leave(u8, u16),
    /// The listener is told what it lacks.
    Tell,
    /// The same, but only so many pieces come.
    Lose(usize),
    /// The same, but the first piece does not come: a late word of another connection.
    Behead,
    /// It is told what it lacked some changes ago, once more.
    TellAgain(u64),
    /// It is told what somebody lacks who has heard more than it.
    TellAhead,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_u8, 0..700_u16).prop_map(|(topic, key)| Step::Join(topic, key)),
        4 => (0..4_u8, 0..700_u16).prop_map(|(topic, key)| Step::Leave(topic, key)),
        2 => Just(Step::Tell),
        1 => (0..3_usize).prop_map(Step::Lose),
        1 => Just(Step::Behead),
        1 => (0..20_u64).prop_map(Step::TellAgain),
        1 => Just(Step::TellAhead),
    ]
}

fn topic(at: u8) -> ServiceName {
    format!("topic-{at}").parse().expect("a name")
}

fn receiver(key: u16) -> Receiver {
    Receiver { service: "board".parse().expect("a name"), key: Some(key.to_string().into()), placed: false }
}

fn listed<'a>(
    groups: impl Iterator<Item = (&'a ServiceName, &'a Contract)>,
    members: impl Fn(&ServiceName) -> Vec<Receiver>,
) -> BTreeMap<ServiceName, Vec<Receiver>> {
    groups.map(|(topic, _)| (topic.clone(), members(topic))).collect()
}

proptest! {
    #[test]
    fn who_has_heard_all_news_knows_the_list(
        begun in 0..1_500_u16,
        steps in proptest::collection::vec(step(), 1..200),
    ) {
        let contract = Contract { name: "prices".into(), major: 1, minor: 0 };
        let (mut own, mut heard) = (Own::default(), Heard::default());
        for key in 0..begun {
            own.join(&topic(0), &contract, &receiver(key)).expect("there is room");
        }
        for step in steps {
            match step {
                Step::Join(at, key) => drop(own.join(&topic(at), &contract, &receiver(key))),
                Step::Leave(at, key) => {
                    own.leave(&topic(at), &receiver(key));
                }
                Step::Tell => own.since(heard.number()).into_iter().for_each(|news| drop(heard.hear(news))),
                Step::Lose(count) => {
                    own.since(heard.number()).into_iter().take(count).for_each(|news| drop(heard.hear(news)));
                }
                Step::Behead => {
                    own.since(heard.number()).into_iter().skip(1).for_each(|news| drop(heard.hear(news)));
                }
                Step::TellAgain(before) => {
                    let known = heard.number().saturating_sub(before);
                    own.since(known).into_iter().for_each(|news| drop(heard.hear(news)));
                }
                Step::TellAhead if heard.number() + 2 < own.number() => {
                    let known = heard.number();
                    for news in own.since(known + 1) {
                        // of a list that was cut short nobody knows from where it goes on
                        if news.after > 0 {
                            prop_assert_eq!(heard.hear(news), Took::Behind);
                            prop_assert_eq!(heard.number(), known);
                        }
                    }
                }
                Step::TellAhead => {}
            }
        }
        own.since(heard.number()).into_iter().for_each(|news| drop(heard.hear(news)));
        prop_assert_eq!(own.number(), heard.number());
        let told = listed(heard.groups(), |topic| heard.members(topic).cloned().collect());
        prop_assert_eq!(listed(own.groups(), |topic| own.members(topic).cloned().collect()), told);
    }
}
