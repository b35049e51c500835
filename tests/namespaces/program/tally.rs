//! Keyed entities that count, and take what they have counted along.

use super::diary::Diary;
use odeon::prelude::*;
use odeon_tests::history::{Event, Slip};
use std::sync::Arc;

/// Their service.
pub(crate) const SERVICE: &str = "tally";

/// Counts under a key.
#[odeon::contract(name = "tally", version = "1.0")]
pub(crate) trait Tally {
    /// Adds what the slip says. Answers the sum.
    async fn add(&mut self, cx: &Cx, slip: Slip) -> u64;
}

/// Writes down what it does before it answers.
pub(crate) struct Counting {
    diary: Arc<Diary>,
    life: u64,
    sum: u64,
}

impl Counting {
    /// From where the activation before has left off, or from zero.
    pub(crate) fn begin(cx: &Cx, diary: &Arc<Diary>) -> Result<Self, StartError> {
        let bytes = |left: &[u8]| <[u8; 8]>::try_from(left).map_err(StartError::new);
        let left = cx.restored().map(|left| bytes(&left)).transpose()?.map(u64::from_le_bytes);
        let life = diary.life();
        diary.write(cx, Event::Began { key: cx.key().into(), life, left });
        Ok(Self { diary: diary.clone(), life, sum: left.unwrap_or(0) })
    }
}

#[odeon::service]
impl Tally for Counting {
    async fn add(&mut self, cx: &Cx, slip: Slip) -> u64 {
        self.sum += slip.amount;
        self.diary.write(cx, Event::Ran { key: cx.key().into(), life: self.life, slip, sum: self.sum });
        self.sum
    }

    async fn passivate(&mut self, _: &Cx) -> Vec<u8> {
        self.sum.to_le_bytes().to_vec()
    }
}
