//! Those who call all entities of the cluster from this node, one for each, until they are told to end.

use super::diary::{self, Diary};
use super::tally::{SERVICE, TallyRef};
use odeon::prelude::*;
use odeon_tests::history::{End, Event, Slip, TALLIES};
use std::sync::Arc;

/// A call is waited for so long.
const CALL_WITHIN: Duration = Duration::from_secs(5);
/// The longest time between two calls of one caller.
const PAUSE_MAX: Duration = Duration::from_millis(200);
/// The largest amount that one call adds.
const AMOUNT_MAX: u64 = 9;
/// How often it is looked whether the node runs.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// So much later than that is a stand-still.
const LATE: Duration = Duration::from_millis(100);

/// What a node calls.
#[odeon::contract(name = "callers", version = "1.0")]
pub(crate) trait Callers {
    /// They begin.
    async fn begin(&self, cx: &Cx) -> Result<(), NoTally>;
    /// All of them come to an end.
    async fn end(&self, cx: &Cx);
}

/// An entity cannot be called.
#[derive(Clone, Debug, thiserror::Error, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[error("{key} cannot be called: {problem}")]
pub(crate) struct NoTally {
    key: String,
    problem: String,
}

impl ContractError for NoTally {}

/// They begin when they are told to.
pub(crate) struct Crowd(Arc<Diary>);

impl Crowd {
    pub(crate) fn new(diary: Arc<Diary>) -> Self {
        Self(diary)
    }
}

#[odeon::service]
impl Callers for Crowd {
    async fn begin(&self, cx: &Cx) -> Result<(), NoTally> {
        let keys = (0..TALLIES).map(|number| format!("k{number}"));
        let caller = |key: String| {
            let tally = cx.entity(SERVICE, &key);
            let tally = tally.map_err(|e| NoTally { key: key.clone(), problem: e.to_string() })?;
            Ok(Caller { cx: cx.clone(), diary: self.0.clone(), key, tally })
        };
        for caller in keys.map(caller).collect::<Result<Vec<_>, _>>()? {
            self.0.enter();
            cx.spawn(caller.call_until_the_end());
        }
        cx.spawn(look_at_the_clock(cx.clone(), self.0.clone()));
        Ok(())
    }

    async fn end(&self, _: &Cx) {
        self.0.end();
    }
}

/// Who calls one entity.
struct Caller {
    cx: Cx,
    diary: Arc<Diary>,
    key: String,
    tally: TallyRef,
}

impl Caller {
    async fn call_until_the_end(self) {
        let me = diary::node(&self.cx);
        while !self.diary.is_over() {
            let (amount, pause) =
                self.cx.random(|random| (1 + random.below(AMOUNT_MAX), PAUSE_MAX.mul_f64(random.fraction())));
            self.cx.sleep(pause).await;
            let call = self.diary.call();
            let slip = Slip { caller: me.clone(), call, amount };
            let end = match self.tally.add(slip).within(CALL_WITHIN).await {
                Ok(sum) => End::Answered(sum),
                Err(CallError::NotExecuted(refusal)) => End::Refused(refusal.name().into()),
                Err(CallError::Unknown(cause)) => End::Unknown(cause.name().into()),
                Err(CallError::Failed(never)) => match never {},
            };
            self.diary.write(&self.cx, Event::Ended { key: self.key.clone(), call, end });
        }
        self.diary.leave(&self.cx);
    }
}

/// What a machine had in its hands when it stood still it may do, before it looks at its clock: so it is written down.
async fn look_at_the_clock(cx: Cx, diary: Arc<Diary>) {
    while !diary.is_over() {
        let before = cx.now();
        cx.sleep(LOOK_EVERY).await;
        let late = cx.now().since(before).saturating_sub(LOOK_EVERY);
        if late > LATE {
            diary.write(&cx, Event::StoodStill { ms: late.as_millis() as u64 });
        }
    }
}
