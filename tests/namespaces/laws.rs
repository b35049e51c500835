//! What must hold of the history of a cluster, whatever has happened to its members.

use odeon_tests::history::{End, Event, Line, Slip};
use std::collections::BTreeMap;

/// A machine that stood still at most so long before or after has had something in its hands.
const STOOD_STILL_WITHIN_MS: u64 = 1_000;

/// An activation.
struct Life {
    node: String,
    number: u64,
    sum: u64,
}

#[derive(Default)]
struct Laws<'a> {
    /// Nodes that were lost, and what they had in memory with them.
    lost: &'a [String],
    /// When machines stood still.
    still: Vec<(&'a str, u64)>,
    /// The activations of each key, in the order in which they began.
    lives: BTreeMap<&'a str, Vec<Life>>,
    /// What each call made of which key.
    ran: BTreeMap<(&'a str, u64), (&'a str, u64)>,
    /// Calls that have come to their end.
    ended: BTreeMap<(&'a str, u64), &'a End>,
    broken: Vec<String>,
}

/// What is broken, once all has come to rest: each call has one outcome, which is true; none runs twice; no activation
/// does anything after a later one of its key has begun, but for what a machine that stood still had in its hands; what
/// is counted goes along, but for what nodes that were lost had in memory.
pub(crate) fn broken(lines: &[Line], lost: &[String]) -> Vec<String> {
    let mut laws = Laws { lost, ..Laws::default() };
    let still = |line: &'_ Line| matches!(line.event, Event::StoodStill { .. });
    laws.still = lines.iter().filter(|l| still(l)).map(|line| (line.node.as_str(), line.at_ms)).collect();
    for line in lines {
        match &line.event {
            Event::Began { key, life, left } => laws.begins(key, &line.node, *life, *left),
            Event::Ran { key, life, slip, sum } => laws.runs(line, key, *life, slip, *sum),
            Event::Ended { key, call, end } => laws.ends(&line.node, key, *call, end),
            Event::Rested { calls } => laws.rests(&line.node, *calls),
            Event::StoodStill { .. } => {}
        }
    }
    laws.broken
}

impl<'a> Laws<'a> {
    fn begins(&mut self, key: &'a str, node: &str, number: u64, left: Option<u64>) {
        let lives = self.lives.entry(key).or_default();
        let complaint = match (lives.last(), left) {
            (Some(last), Some(left)) if last.sum != left => {
                Some(format!("with {left}, and {} had counted {}", last.node, last.sum))
            }
            (Some(last), None) if !self.lost.contains(&last.node) => {
                Some(format!("with nothing, and {}, which was not lost, had counted {}", last.node, last.sum))
            }
            (None, Some(left)) => Some(format!("with {left}, and nobody had counted")),
            _ => None,
        };
        self.broken.extend(complaint.map(|told| format!("{key} of {node} begins {told}")));
        lives.push(Life { node: node.into(), number, sum: left.unwrap_or(0) });
    }

    fn runs(&mut self, line: &'a Line, key: &'a str, number: u64, slip: &'a Slip, sum: u64) {
        let node = &line.node;
        let (caller, call) = (slip.caller.as_str(), slip.call);
        let told = format!("call {call} of {caller} to {key} of {node}");
        let was_still =
            |(of, at): &(&str, u64)| of == node && at.abs_diff(line.at_ms) <= STOOD_STILL_WITHIN_MS;
        let is_excused = self.still.iter().any(was_still);
        let lives = self.lives.entry(key).or_default();
        let latest = lives.last().map(|life| (life.node.clone(), life.number));
        match lives.iter_mut().find(|life| life.node == *node && life.number == number) {
            None => self.broken.push(format!("{told} runs, and nothing had begun")),
            Some(life) => {
                if life.sum + slip.amount != sum {
                    let (before, amount) = (life.sum, slip.amount);
                    self.broken.push(format!("{told} makes {sum} of {before} and {amount}"));
                }
                life.sum = sum;
            }
        }
        if latest.as_ref().is_some_and(|(of, last)| (of, *last) != (node, number)) && !is_excused {
            self.broken.push(format!("{told} runs after a later one has begun: {latest:?}"));
        }
        if self.ran.insert((caller, call), (key, sum)).is_some() {
            self.broken.push(format!("{told} runs again"));
        }
        if let Some(End::Refused(why)) = self.ended.get(&(caller, call)) {
            self.broken.push(format!("{told} runs, and was not executed: {why}"));
        }
    }

    fn ends(&mut self, caller: &'a str, key: &str, call: u64, end: &'a End) {
        let ran = self.ran.get(&(caller, call));
        let complaint = match (end, ran) {
            (End::Answered(sum), Some(ran)) if *ran == (key, *sum) => None,
            (End::Answered(_), _) | (End::Refused(_), Some(_)) => {
                Some(format!("ends {end:?}, and ran: {ran:?}"))
            }
            (End::Refused(_), None) | (End::Unknown(_), _) => None,
        };
        let again =
            self.ended.insert((caller, call), end).map(|before| format!("ends {end:?}, and {before:?}"));
        let told = [complaint, again].into_iter().flatten();
        self.broken.extend(told.map(|told| format!("call {call} of {caller} to {key} {told}")));
    }

    fn rests(&mut self, caller: &str, calls: u64) {
        let ended = self.ended.range((caller, 0)..=(caller, u64::MAX)).count() as u64;
        if ended != calls {
            self.broken.push(format!("{caller} has made {calls} calls, and {ended} have come to their end"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(node: &str, at_ms: u64, event: Event) -> Line {
        Line { node: node.into(), at_ms, event }
    }

    fn began(node: &str, life: u64, left: Option<u64>) -> Line {
        line(node, 0, Event::Began { key: "k".into(), life, left })
    }

    fn ran(node: &str, life: u64, call: u64, sum: u64) -> Line {
        let slip = Slip { caller: "west@1".into(), call, amount: 2 };
        line(node, 5_000, Event::Ran { key: "k".into(), life, slip, sum })
    }

    fn ended(call: u64, end: End) -> Line {
        line("west@1", 0, Event::Ended { key: "k".into(), call, end })
    }

    fn refused() -> End {
        End::Refused("stopped".into())
    }

    /// The complaints about a history, each of which has these words.
    #[track_caller]
    fn check(history: &[Line], words: &[&str]) {
        let broken = broken(history, &["south@1".into()]);
        assert_eq!(broken.len(), words.len(), "{broken:#?}");
        for (complaint, words) in broken.iter().zip(words) {
            assert!(complaint.contains(words), "{words:?} is missing in {complaint}");
        }
    }

    #[test]
    fn a_history_in_which_all_is_well_is_accepted() {
        check(
            &[
                began("north@1", 0, None),
                ran("north@1", 0, 0, 2),
                ended(0, End::Answered(2)),
                ended(1, refused()),
                began("south@1", 7, Some(2)),
                ran("south@1", 7, 2, 4),
                ended(2, End::Unknown("link-lost".into())),
                began("north@1", 3, None),
                ran("north@1", 3, 3, 2),
                ended(3, End::Answered(2)),
                line("west@1", 0, Event::Rested { calls: 4 }),
            ],
            &[],
        );
    }

    #[test]
    fn what_is_not_true_of_a_call_is_found() {
        let begun = began("north@1", 0, None);
        check(&[begun.clone(), ran("north@1", 0, 0, 3)], &["makes 3 of 0 and 2"]);
        check(&[begun.clone(), ran("north@1", 0, 0, 2), ran("north@1", 0, 0, 4)], &["runs again"]);
        check(&[begun.clone(), ended(0, refused()), ran("north@1", 0, 0, 2)], &["was not executed: stopped"]);
        check(&[begun.clone(), ran("north@1", 0, 0, 2), ended(0, refused())], &["Refused(\"stopped\")"]);
        check(&[begun.clone(), ran("north@1", 0, 0, 2), ended(0, End::Answered(3))], &["ends Answered(3)"]);
        check(&[begun, ended(0, End::Answered(2))], &["and ran: None"]);
        check(&[ended(0, refused()), ended(0, refused())], &["and Refused"]);
        check(
            &[ended(0, refused()), line("west@1", 0, Event::Rested { calls: 2 })],
            &["made 2 calls, and 1"],
        );
        check(&[ran("north@1", 0, 0, 2)], &["nothing had begun"]);
    }

    #[test]
    fn an_activation_that_does_not_know_that_it_is_over_is_found_unless_its_machine_stood_still() {
        let history = [
            began("south@1", 0, None),
            ran("south@1", 0, 0, 2),
            began("north@1", 0, None),
            ran("south@1", 0, 1, 4),
        ];
        check(&history, &["runs after a later one has begun"]);
        let stood_still =
            |node, at_ms| [&history[..], &[line(node, at_ms, Event::StoodStill { ms: 300 })]].concat();
        check(&stood_still("south@1", 5_200), &[]);
        check(&stood_still("south@1", 7_000), &["runs after a later one"]);
        check(&stood_still("north@1", 5_200), &["runs after a later one"]);
    }

    #[test]
    fn what_was_counted_and_did_not_go_along_is_found_unless_its_node_was_lost() {
        let counted = |node| [began(node, 0, None), ran(node, 0, 0, 2)];
        let then = |node, left| [&counted(node)[..], &[began("west@1", 0, left)]].concat();
        check(&then("south@1", None), &[]);
        check(&then("north@1", Some(2)), &[]);
        check(&then("north@1", None), &["was not lost, had counted 2"]);
        check(&then("south@1", Some(1)), &["had counted 2"]);
        check(&[began("west@1", 0, Some(1))], &["nobody had counted"]);
    }
}
