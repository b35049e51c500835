//! A receiver on another node that takes nothing for a while.

use super::stage::{Cluster, at_last, eventually};
use odeon::ServiceOptions;
use odeon::core::outcome::Overflow;
use odeon::directory::ServiceKind;
use odeon::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use tokio::sync::Semaphore;

/// Takes nothing until it may.
#[odeon::contract(name = "sink", version = "1.0")]
pub trait Sink {
    #[cast]
    async fn take(&mut self, cx: &Cx);
    #[read]
    async fn is_there(&self, cx: &Cx) -> bool;
}

/// An entity of the name `closed` waits for the gate, others do not.
pub(super) struct Basin {
    pub(super) open: Arc<Semaphore>,
    pub(super) taken: Arc<AtomicU64>,
}

#[odeon::service]
impl Sink for Basin {
    async fn take(&mut self, cx: &Cx) {
        if cx.key() == "closed" {
            let _closed = self.open.acquire().await;
        }
        self.taken.fetch_add(1, SeqCst);
    }
    async fn is_there(&self, _: &Cx) -> bool {
        true
    }
}

#[tokio::test]
async fn a_full_mailbox_on_another_node_holds_up_its_senders_until_their_deadline_and_nobody_else() {
    const SENDERS: u64 = 200;
    let (open, taken) = (Arc::new(Semaphore::new(0)), Arc::<AtomicU64>::default());
    let mut options = ServiceOptions::of(ServiceKind::Entity);
    (options.mailbox.count_max, options.mailbox.overflow) = (4, Overflow::Wait);
    let app = {
        let (open, taken) = (open.clone(), taken.clone());
        App::new().entity_with("sink", options, move || Basin { open: open.clone(), taken: taken.clone() })
    };
    let cluster = Cluster::new();
    let mars = cluster.node("mars", app).await;
    let venus = cluster.node("venus", App::new()).await;
    venus.links.connect(mars.links.local_address()).await.expect("a link");
    let sink = |key: &str| -> SinkRef { venus.node.entity("sink", key).expect("names") };
    let closed = sink("closed");
    at_last("mars is reached", async || closed.is_there().await).await;
    let mut accepted = 0;
    while closed.take().send().is_ok() {
        accepted += 1;
    }
    assert!((1..100).contains(&accepted), "{accepted} were accepted without waiting");
    // whoever waits for room does so until its deadline
    let late = (0..SENDERS).map(|_| async { closed.take().within(Duration::from_millis(300)).await });
    let others = async {
        // on both lanes of the class
        for round in 0..50 {
            for key in 0..8 {
                let other = sink(&key.to_string());
                other.take().await.expect("there is room");
                assert_eq!(other.is_there().await, Ok(true), "{key} in round {round}");
            }
        }
    };
    let (late, ()) = tokio::join!(futures_util::future::join_all(late), others);
    let (found_room, late): (Vec<_>, Vec<_>) = late.into_iter().partition(Result::is_ok);
    // the first one is in the handler's hands, which makes room for another one
    assert!(found_room.len() < 3, "{} found room", found_room.len());
    for outcome in late {
        assert!(matches!(outcome, Err(Refusal::Congested { .. } | Refusal::Expired)), "{outcome:?}");
    }
    let found_room = found_room.len() as u64;
    accepted += found_room;
    eventually("what is under way is there", || venus.links.status()[0].queued_bytes == 0).await;
    open.close();
    eventually("all that was accepted is accounted for", || venus.links.status()[0].open == 0).await;
    let status = venus.links.status()[0].clone();
    // who found room has waited in the mailbox until its deadline, if that took longer
    let expired = status.expired;
    assert!(expired <= found_room && status.sent == status.handled + expired, "{found_room}: {status:?}");
    eventually("and handled", || taken.load(SeqCst) == accepted + 50 * 8 - expired).await;
    closed.take().await.expect("there is room again");
}
