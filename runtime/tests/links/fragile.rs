//! Types whose readers and writers panic: that ends the call that has to do with them, and nothing else.

use super::stage::{Cluster, at_last};
use odeon::prelude::*;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number that panics where it says so.
#[derive(Clone, Debug, PartialEq, schemars::JsonSchema)]
pub(crate) struct Fragile(u64);

const UNREADABLE: u64 = 1;
const UNWRITABLE: u64 = 2;

impl Serialize for Fragile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert_ne!(self.0, UNWRITABLE, "it cannot be written");
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Fragile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        assert_ne!(number, UNREADABLE, "it cannot be read");
        Ok(Self(number))
    }
}

/// Takes and gives such numbers.
#[odeon::contract(name = "shelf", version = "1.0")]
pub trait Shelf {
    async fn take(&self, cx: &Cx, fragile: Fragile) -> u64;
    async fn give(&self, cx: &Cx, number: u64) -> Fragile;
    #[cast]
    async fn put(&self, cx: &Cx, fragile: Fragile);
}

#[derive(Default)]
struct Plain;

#[odeon::service]
impl Shelf for Plain {
    async fn take(&self, _: &Cx, fragile: Fragile) -> u64 {
        fragile.0
    }
    async fn give(&self, _: &Cx, number: u64) -> Fragile {
        Fragile(number)
    }
    async fn put(&self, _: &Cx, _: Fragile) {}
}

#[tokio::test]
async fn a_panic_in_what_reads_or_writes_a_value_ends_that_call_and_nothing_else() {
    let cluster = Cluster::new();
    let mars = cluster.node("mars", App::new().service("shelf", Plain::default)).await;
    let venus = cluster.node("venus", App::new()).await;
    venus.links.connect(mars.links.local_address()).await.expect("a link");
    let shelf: ShelfRef = venus.node.service("shelf").expect("a name");
    at_last("it is reached", async || shelf.take(Fragile(7)).await).await;
    for _ in 0..3 {
        let unread = shelf.take(Fragile(UNREADABLE)).await.expect_err("its reader panics there");
        assert!(
            matches!(&unread, CallError::NotExecuted(Refusal::Undecodable { problem, .. })
            if problem.contains("it cannot be read")),
            "{unread}"
        );
        let unwritten = shelf.take(Fragile(UNWRITABLE)).await.expect_err("its writer panics here");
        assert!(
            matches!(&unwritten, CallError::NotExecuted(Refusal::Unencodable { problem })
            if problem.contains("it cannot be written")),
            "{unwritten}"
        );
        for answer in [UNREADABLE, UNWRITABLE] {
            let unknown = shelf.give(answer).await.expect_err("nobody can have the answer");
            assert!(matches!(unknown, CallError::Unknown(UnknownCause::AnswerUndecodable)), "{unknown}");
        }
        assert!(shelf.put(Fragile(UNWRITABLE)).await.is_err());
        shelf.put(Fragile(UNREADABLE)).await.expect("it is sent");
        assert_eq!(shelf.take(Fragile(8)).await, Ok(8), "the link goes on");
        assert_eq!(shelf.give(9).await, Ok(Fragile(9)));
    }
    at_last("the books close", async || {
        let books = &venus.links.status()[0];
        let refused = books.refused.get("undecodable").copied();
        match (books.open, refused) {
            (0, Some(6)) => Ok(()),
            _ => Err(format!("{books:?}")),
        }
    })
    .await;
    let local: ShelfRef = mars.node.service("shelf").expect("a name");
    assert_eq!(local.take(Fragile(UNREADABLE)).await, Ok(UNREADABLE), "on one node nothing is written");
}
