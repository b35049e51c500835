//! What the books of a link must say when all has come to rest, beside what its two ends have written down.

use super::daemon::Link;
use odeon_tests::traffic::{Received, Runs, Sent};
use std::collections::{BTreeMap, BTreeSet};

/// How many messages were lost with their session.
pub(crate) fn lost(link: &Link) -> u64 {
    link.lost.get("link").copied().unwrap_or(0)
}

/// Whether nothing is under way any more.
pub(crate) fn are_closed(link: &Link) -> bool {
    link.open == 0 && link.calls == 0 && link.queued == 0
}

fn all(by_reason: &BTreeMap<String, Runs>) -> Vec<u64> {
    by_reason.values().flat_map(Runs::numbers).collect()
}

/// Calls that ended without an answer.
pub(crate) fn unanswered(sent: &Sent) -> usize {
    all(&sent.refused).len() + all(&sent.unknown).len()
}

/// Each call has one outcome, and the outcome is true.
///
/// # Errors
/// The one that is not.
pub(crate) fn outcomes_are_true(sent: &Sent, received: &Received) -> Result<(), String> {
    let (refused, unknown) = (all(&sent.refused), all(&sent.unknown));
    let (answered, ran) = (sent.answered.numbers(), received.calls.numbers());
    let mut ended: Vec<u64> = answered.iter().chain(&refused).chain(&unknown).copied().collect();
    ended.sort_unstable();
    let mistaken = sent.mistaken.numbers();
    if !mistaken.is_empty() {
        return Err(format!("calls were answered with answers to others: {mistaken:?}"));
    }
    if !ended.iter().copied().eq(0..sent.begun) {
        return Err(format!("{} calls have {} outcomes, not one each", sent.begun, ended.len()));
    }
    let told: [(&str, BTreeSet<u64>); 4] = [
        ("ran twice", received.repeated.numbers()),
        ("were answered and did not run", answered.difference(&ran).copied().collect()),
        ("were not executed and ran", refused.into_iter().filter(|number| ran.contains(number)).collect()),
        ("ran that nobody made", ran.range(sent.begun..).copied().collect()),
    ];
    match told.into_iter().find(|(_, calls)| !calls.is_empty()) {
        Some((what, calls)) => Err(format!("calls {what}: {calls:?}")),
        None => Ok(()),
    }
}

/// The books balance, and say what happened.
///
/// Each cast that was accepted is in them, and each call but those that were refused before they were sent. A call whose
/// time was up counts as left by its caller, unless it was lost or its end was heard of just before. What was lost may
/// have been handled.
///
/// # Errors
/// What they should say.
pub(crate) fn are_true(link: &Link, sent: &Sent, received: &Received) -> Result<(), String> {
    let refused: u64 = link.refused.values().sum();
    let (lost, all_lost) = (lost(link), link.lost.values().sum::<u64>());
    let count = |runs: &Runs| runs.numbers().len() as u64;
    let answered = count(&sent.answered);
    let lost_calls = sent.unknown.get("link-lost").map_or(0, count);
    let unknown = all(&sent.unknown).len() as u64 - lost_calls;
    let refused_calls = all(&sent.refused).len() as u64;
    // of these some were refused where they were made
    let doubtful = ["congested", "expired", "unknown-service", "unreachable"].iter();
    let doubtful: u64 = doubtful.filter_map(|reason| sent.refused.get(*reason)).map(count).sum();
    let (at_least, ran) = (received.casts + answered, received.casts + count(&received.calls));
    let told = sent.casts + answered + unknown + lost_calls;
    let problem = if link.sent != link.handled + refused + link.expired + all_lost {
        "they do not balance".into()
    } else if !(at_least.saturating_sub(lost)..=ran).contains(&link.handled) {
        format!("handlers began with {ran}, and {at_least} of those are known")
    } else if all_lost - lost > unknown {
        format!("{unknown} callers waited no longer")
    } else if !(told + refused_calls - doubtful..=told + refused_calls).contains(&link.sent) {
        format!("{told} messages and some of {refused_calls} refused calls were sent")
    } else if received.overtaken > 0 {
        format!("{} casts came out of order", received.overtaken)
    } else {
        return Ok(());
    };
    Err(format!("{problem}, but they say {link:?}"))
}
