//! What became of the messages of one direction between two incarnations:
//! sent = handled + refused + expired + lost + open.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a receiver has done with messages, counted from the beginning of a session. Receipts are cumulative: a later
/// one says all that an earlier one said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// A handler began.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub handled: u64,
    /// The deadline passed first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub expired: u64,
    /// Refused, by [`Refusal::name`](crate::Refusal::name).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<String, u64>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A receipt takes back what an earlier one said, or speaks of more than was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a receipt for {settled} messages, after one for {before}, of {sent} that were sent")]
pub struct FalseReceipt {
    /// What it accounts for.
    pub settled: u64,
    /// What the last one accounted for.
    pub before: u64,
    /// What was sent.
    pub sent: u64,
}

impl Receipt {
    /// Reasons that are counted by name; what a peer calls otherwise counts as `other`.
    pub const REASONS_MAX: usize = 32;

    /// How many messages it accounts for.
    pub fn settled(&self) -> u64 {
        let refused = self.refused.values().fold(0, |sum: u64, n| sum.saturating_add(*n));
        self.handled.saturating_add(self.expired).saturating_add(refused)
    }

    fn add(&mut self, other: &Self) {
        self.handled += other.handled;
        self.expired += other.expired;
        for (reason, count) in &other.refused {
            self.add_refused_so_often(reason, *count);
        }
    }

    /// One was refused.
    pub fn add_refused(&mut self, reason: &str) {
        self.add_refused_so_often(reason, 1);
    }

    fn add_refused_so_often(&mut self, reason: &str, count: u64) {
        let known = self.refused.len() < Self::REASONS_MAX || self.refused.contains_key(reason);
        let reason = if known { reason } else { "other" };
        match self.refused.get_mut(reason) {
            Some(known) => *known += count,
            None => {
                self.refused.insert(reason.into(), count);
            }
        }
    }
}

/// How a call ended, for the books of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd<'a> {
    /// A handler began with it: that has answered or failed, or is known to have ended without an answer.
    Begun,
    /// It was refused, for this reason: [`Refusal::name`](crate::Refusal::name).
    Refused(&'a str),
    /// Whether a handler began will not be heard: it counts as lost.
    Unknown(Loss),
}

/// Why nothing will be heard of a message. It may have run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// Its session is over: the peer has ended, or did not come back in time.
    Link,
    /// The peer broke the rules, which ended the session.
    Broken,
    /// The cluster has removed the peer.
    Removed,
    /// This node has stopped.
    Stopped,
    /// Whoever called waits no longer: its time was up, or it was dropped.
    CallerLeft,
    /// A call that the peer has passed on was not answered there in time.
    TimedOut,
    /// The peer has passed the call on to a node that it lost.
    LinkLost,
}

impl Loss {
    /// A short name for people and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Broken => "broken",
            Self::Removed => "removed",
            Self::Stopped => "stopped",
            Self::CallerLeft => "caller-left",
            Self::TimedOut => "timed-out",
            Self::LinkLost => "link-lost",
        }
    }
}

/// The sender's books of one lane. What becomes of casts the receiver tells by receipts; of calls, by their outcomes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    casts: u64,
    calls: u64,
    receipt: Receipt,
    outcomes: Receipt,
    lost: BTreeMap<Loss, u64>,
}

impl Books {
    /// A cast was sent.
    #[inline]
    pub fn add_cast(&mut self) {
        self.casts += 1;
    }

    /// A call was sent.
    #[inline]
    pub fn add_call(&mut self) {
        self.calls += 1;
    }

    /// A call has ended.
    #[inline]
    pub fn settle_call(&mut self, end: CallEnd<'_>) {
        match end {
            CallEnd::Begun => self.outcomes.handled += 1,
            CallEnd::Refused("expired") => self.outcomes.expired += 1,
            CallEnd::Refused(reason) => self.outcomes.add_refused(reason),
            CallEnd::Unknown(loss) => *self.lost.entry(loss).or_default() += 1,
        }
    }

    /// The receiver says what it has done with casts so far. Gives back how many more are accounted for.
    ///
    /// # Errors
    /// That cannot be; nothing is entered.
    pub fn settle_casts(&mut self, receipt: Receipt) -> Result<u64, FalseReceipt> {
        let last = &self.receipt;
        let (before, settled, sent) = (last.settled(), receipt.settled(), self.casts);
        let grows = receipt.handled >= last.handled
            && receipt.expired >= last.expired
            && receipt.refused.len() <= Receipt::REASONS_MAX + 1
            && last.refused.iter().all(|(reason, n)| receipt.refused.get(reason).is_some_and(|m| m >= n));
        if !grows || settled > sent {
            return Err(FalseReceipt { settled, before, sent });
        }
        self.receipt = receipt;
        Ok(settled - before)
    }

    /// What is open will not be heard of any more: the session has ended. Gives back how many that are.
    pub fn lose(&mut self, why: Loss) -> u64 {
        let open = self.open();
        if open > 0 {
            *self.lost.entry(why).or_default() += open;
        }
        open
    }

    /// Enters what other books say, of another lane or of an earlier session.
    pub fn add(&mut self, other: &Self) {
        self.casts += other.casts;
        self.calls += other.calls;
        self.receipt.add(&other.receipt);
        self.outcomes.add(&other.outcomes);
        for (why, count) in &other.lost {
            *self.lost.entry(*why).or_default() += count;
        }
    }

    /// What was sent and is not accounted for yet.
    pub fn open(&self) -> u64 {
        let lost: u64 = self.lost.values().sum();
        self.sent()
            .saturating_sub(self.handled() + self.expired() + self.refused().values().sum::<u64>() + lost)
    }

    /// How many were sent.
    pub fn sent(&self) -> u64 {
        self.casts + self.calls
    }

    /// How many a handler began with.
    pub fn handled(&self) -> u64 {
        self.receipt.handled + self.outcomes.handled
    }

    /// How many expired before a handler began.
    pub fn expired(&self) -> u64 {
        self.receipt.expired + self.outcomes.expired
    }

    /// How many were refused, by reason.
    pub fn refused(&self) -> BTreeMap<&str, u64> {
        let mut all: BTreeMap<&str, u64> = BTreeMap::new();
        for (reason, count) in self.receipt.refused.iter().chain(&self.outcomes.refused) {
            *all.entry(reason).or_default() += count;
        }
        all
    }

    /// How many were lost, by reason.
    pub fn lost(&self) -> &BTreeMap<Loss, u64> {
        &self.lost
    }
}
