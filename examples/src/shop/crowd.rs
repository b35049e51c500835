//! `crowd`: a singleton that sends shoppers through the shop, to watch a node under load.

use super::load::{Doors, Shopper, Visits};
use odeon::prelude::*;
use odeon::service::context::Task;
use parking_lot::Mutex;
use serde::Deserialize;
use std::sync::Arc;

/// Shoppers that come again and again.
#[odeon::contract(name = "crowd", version = "1.0")]
pub trait Crowd {
    /// Sends in more shoppers. Answers how many there are then.
    async fn send_in(&mut self, cx: &Cx, shoppers: u32) -> u32;

    /// Sends all shoppers away, in the middle of what they do. Answers how many there were.
    async fn send_away(&mut self, cx: &Cx) -> u32;

    /// How their visits ended so far.
    #[read]
    async fn visits(&self, cx: &Cx) -> Visits;
}

/// What the crowd is told: the table `[services.crowd]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Habits {
    /// How many shoppers there are from the start.
    pub shoppers: u32,
    /// How long a shopper stays away between two visits, on average, in milliseconds.
    pub pause_ms: u64,
}

impl Default for Habits {
    fn default() -> Self {
        Self { shoppers: 8, pause_ms: 20 }
    }
}

/// Most shoppers: each is a task of its own.
const SHOPPERS_MAX: u32 = 100_000;

/// The shoppers.
#[derive(Debug)]
pub struct Street {
    habits: Habits,
    doors: Doors,
    shoppers: Vec<Task>,
    /// Shoppers that have ever been there: no two have the same name.
    named: u64,
    visits: Arc<Mutex<Visits>>,
}

impl Street {
    /// With the shop of this node.
    ///
    /// # Errors
    /// The shop is something else.
    pub async fn start(cx: Cx, habits: Habits) -> Result<Self, StartError> {
        let doors = Doors::of(&cx).map_err(StartError::new)?;
        let shoppers = habits.shoppers;
        let mut street = Self { habits, doors, shoppers: Vec::new(), named: 0, visits: Arc::default() };
        street.admit(&cx, shoppers);
        Ok(street)
    }

    fn admit(&mut self, cx: &Cx, shoppers: u32) {
        let room = u64::from(SHOPPERS_MAX).saturating_sub(self.shoppers.len() as u64);
        for _ in 0..room.min(shoppers.into()) {
            self.named += 1;
            // orders of an earlier activation must not be taken for those of this one
            let name = format!("{:x}-{}", cx.random(|random| random.next_u64()), self.named);
            let shopper = Shopper::new(self.doors.clone(), name, cx.random(|random| random.fork()));
            self.shoppers.push(cx.spawn(come_again(
                cx.clone(),
                shopper,
                self.habits.pause_ms,
                self.visits.clone(),
            )));
        }
    }
}

async fn come_again(cx: Cx, mut shopper: Shopper, pause_ms: u64, visits: Arc<Mutex<Visits>>) {
    loop {
        let pause = cx.random(|random| random.below(2 * pause_ms + 1));
        cx.sleep(Duration::from_millis(pause)).await;
        let visit = shopper.visit().await;
        visits.lock().add(&visit);
    }
}

#[odeon::service]
impl Crowd for Street {
    async fn send_in(&mut self, cx: &Cx, shoppers: u32) -> u32 {
        self.admit(cx, shoppers);
        self.shoppers.len() as u32
    }

    async fn send_away(&mut self, _: &Cx) -> u32 {
        let shoppers = std::mem::take(&mut self.shoppers);
        for shopper in &shoppers {
            shopper.cancel();
        }
        shoppers.len() as u32
    }

    async fn visits(&self, _: &Cx) -> Visits {
        self.visits.lock().clone()
    }
}
