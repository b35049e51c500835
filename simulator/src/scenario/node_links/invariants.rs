//! What must hold between nodes, whatever happens to them and to the network. Each gives the sentence of its violation.

use super::board::{End, Pair, Record, Stream, Truth};
use odeon::core::NodeId;
use odeon::core::delivery::Loss;
use odeon::remote::LinkStatus;
use std::collections::BTreeMap;

/// Bytes that wait or are unacknowledged on one link at the most: four MiB and one frame on each of eight lanes.
const QUEUED_MAX: usize = 8 * ((4 << 20) + (256 << 10));

/// What a call is answered with.
pub(super) fn answer(call: u64) -> u64 {
    call.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn told(pair: &Pair) -> String {
    format!("from {} to {}", pair.0, pair.1)
}

/// Casts of one sender to one receiver and class are handled in their order, and none twice.
pub(super) fn in_order(stream: &Stream, last: u64, number: u64) -> Option<String> {
    (number <= last).then(|| format!("cast {number} was handled after cast {last} of the same {stream:?}"))
}

/// A call is handled after the casts that were sent before it, and before those that were sent when it had ended.
pub(super) fn call_in_order(stream: &Stream, last: u64, after: u64) -> Option<String> {
    (last > after).then(|| {
        format!("a call was handled after cast {last} and sent after cast {after} of the same {stream:?}")
    })
}

/// Nobody is told that a call was lost with a session before the books have closed that.
pub(super) fn lost_is_known(me: &NodeId, link: Option<&LinkStatus>, told: u64) -> Option<String> {
    let known = link.map_or(0, |link| lost_and_left(&link.lost).0 + lost_and_left(link.earlier.lost()).0);
    (told > known)
        .then(|| format!("{told} calls of {me} are said to be lost, and the books have {known}: {link:?}"))
}

/// No more casts are handled than were sent, also of those who have crashed since.
pub(super) fn no_cast_from_nowhere(pair: &Pair, truth: &Truth) -> Option<String> {
    (truth.casts_run > truth.casts_sent).then(|| {
        format!("{} {} casts were handled, {} were sent", told(pair), truth.casts_run, truth.casts_sent)
    })
}

/// No handler runs twice for one call, and none after the caller was told that it will not.
pub(super) fn runs_once(call: u64, record: &Record) -> Option<String> {
    if record.runs > 1 {
        return Some(format!("call {call} {} ran {} times", told(&record.pair), record.runs));
    }
    not_executed_never_ran(call, record)
}

/// A call that was not executed has not run.
pub(super) fn not_executed_never_ran(call: u64, record: &Record) -> Option<String> {
    let Some(End::NotExecuted(refusal)) = &record.end else { return None };
    (record.runs > 0).then(|| format!("call {call} {} ran, but was refused: {refusal}", told(&record.pair)))
}

/// A call has one outcome.
pub(super) fn ends_once(call: u64, record: &Record, end: &End) -> Option<String> {
    let before = record.end.as_ref()?;
    Some(format!("call {call} {} ended as {end:?} after it had ended as {before:?}", told(&record.pair)))
}

/// An answer is the answer to this call.
pub(super) fn right_answer(call: u64, value: u64) -> Option<String> {
    (value != answer(call))
        .then(|| format!("call {call} was answered with {value}, which answers another one"))
}

/// What was sent to one incarnation never runs in another one, and its sender is who it says it is.
pub(super) fn of_this_incarnation(pair: &Pair, me: &NodeId, caller: Option<&NodeId>) -> Option<String> {
    if pair.1 != *me {
        return Some(format!("a message {} ran in {me}", told(pair)));
    }
    let expected = Some(&pair.0).filter(|from| from.name != me.name);
    (caller != expected).then(|| format!("a message {} came from {caller:?}", told(pair)))
}

/// No link keeps more than it may, and no more calls than there are.
pub(super) fn bounded(me: &NodeId, link: &LinkStatus, open: u64) -> Option<String> {
    let (bytes, calls) = (link.queued_bytes, link.calls as u64);
    (bytes > QUEUED_MAX || (link.connected && calls > open)).then(|| {
        format!("the link from {me} to {} keeps {bytes} bytes, and {calls} calls of {open}", link.node)
    })
}

/// All that was sent is accounted for.
pub(super) fn closed(link: &LinkStatus) -> bool {
    link.open == 0 && link.calls == 0
}

/// When all has come to rest the books say what happened: nothing is open, what was sent is what was handled, refused,
/// expired and lost, and no more was handled than handlers began with. A call that its caller left, or for which it had
/// no time any more, counts as lost for that reason, unless its end was heard of just before.
pub(super) fn books_are_true(me: &NodeId, link: &LinkStatus, truth: &Truth) -> Option<String> {
    let refused = link.refused.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
    let (lost, left) = lost_and_left(&link.lost);
    let (sent, handled, expired, open) = (link.sent, link.handled, link.expired, link.open);
    let entered = Entered { sent, handled, refused, expired, lost, left, open };
    let problem = entered.compare(truth)?;
    Some(format!(
        "the books of the link from {me} are false: {problem}. They say {link:?}, and {truth:?} is true"
    ))
}

/// The same of what was sent to earlier incarnations of a peer.
pub(super) fn earlier_books_are_true(me: &NodeId, link: &LinkStatus, truth: &Truth) -> Option<String> {
    let books = &link.earlier;
    let (sent, handled, expired, open) = (books.sent(), books.handled(), books.expired(), books.open());
    let (refused, (lost, left)) = (books.refused(), lost_and_left(books.lost()));
    let entered = Entered { sent, handled, refused, expired, lost, left, open };
    let problem = if open > 0 { "something is open" } else { entered.compare(truth)? };
    let peer = &link.node;
    Some(format!(
        "the books of {me} on those before {peer} are false: {problem}. They say {books:?}, and {truth:?} is true"
    ))
}

/// What books say.
struct Entered<'a> {
    sent: u64,
    handled: u64,
    refused: BTreeMap<&'a str, u64>,
    expired: u64,
    /// With their session.
    lost: u64,
    /// Calls whose caller waits no longer.
    left: u64,
    open: u64,
}

/// What was lost with its session, and what was left by its caller.
fn lost_and_left(lost: &BTreeMap<Loss, u64>) -> (u64, u64) {
    let left = lost.get(&Loss::CallerLeft).copied().unwrap_or(0);
    (lost.values().sum::<u64>() - left, left)
}

impl Entered<'_> {
    /// What is wrong with it, if anything is.
    fn compare(self, truth: &Truth) -> Option<&'static str> {
        let false_reason = self.refused.iter().any(|(reason, count)| *count > Self::at_most(reason, truth));
        let Self { sent, handled: entered, refused, expired, lost, left, open } = self;
        let elsewhere = refused.values().sum::<u64>() + expired + lost;
        let handled = truth.casts_run + truth.answered + truth.unknown;
        let known = truth.casts_sent + truth.answered + truth.unknown + truth.timed_out + truth.lost;
        // a lost message may have run, and counts as lost all the same
        let at_least = handled.saturating_sub(lost);
        if sent != entered + elsewhere + left + open {
            Some("they do not balance")
        } else if sent < known || sent > known + truth.left + 3 * (truth.moved + truth.not_executed) {
            Some("they tell of another number of messages")
        } else if entered < at_least || entered > truth.casts_run + truth.calls_run + truth.moved {
            Some("handlers began with another number of messages")
        } else if left > truth.timed_out + truth.left + truth.moved {
            Some("fewer callers have left")
        } else if truth.casts_passed > elsewhere
            || truth.casts_sent.saturating_sub(truth.casts_run) > elsewhere
        {
            Some("casts are missing of which they do not tell")
        } else if false_reason {
            Some("more was refused for a reason than callers were told, and casts did not run")
        } else {
            None
        }
    }

    /// How many messages can have been refused for this reason: the calls of which their callers were told so, the
    /// casts that did not run, and calls of which nobody was told, or that were made again.
    fn at_most(reason: &str, truth: &Truth) -> u64 {
        let told = truth.reasons.get(reason).copied().unwrap_or(0);
        let casts = truth.casts_sent.saturating_sub(truth.casts_run);
        told + casts + truth.left + 3 * (truth.moved + truth.not_executed_again)
    }
}
