//! The life-cycle functions that stand beside a contract's methods in a service's block.

use super::api::Diary;
use odeon::prelude::*;
use odeon::test::Bench;
use serde::Deserialize;

#[odeon::contract(name = "tenant", version = "1.0")]
trait Tenant {
    async fn greet(&self, cx: &Cx) -> String;
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manners {
    greeting: String,
}

struct Lodger {
    greeting: String,
    diary: Diary,
}

impl Lodger {
    async fn start(cx: Cx, manners: Manners, diary: Diary) -> Result<Self, StartError> {
        if manners.greeting.is_empty() {
            return Err(StartError::new("nothing to say"));
        }
        diary.lock().push(format!("start {}", cx.service_name()));
        Ok(Self { greeting: manners.greeting, diary })
    }
}

#[odeon::service]
impl Tenant for Lodger {
    async fn greet(&self, cx: &Cx) -> String {
        format!("{} from {:?}", self.greeting, cx.key())
    }

    async fn ready(&self, _: &Cx) -> bool {
        self.diary.lock().push("ready".into());
        true
    }

    async fn stop(&mut self, _: &Cx, reason: StopReason) {
        self.diary.lock().push(format!("stop {reason:?}"));
    }

    async fn passivate(&mut self, cx: &Cx) -> Vec<u8> {
        cx.key().into()
    }
}

#[tokio::test]
async fn a_service_is_started_asked_whether_it_is_ready_and_stopped() {
    let diary = Diary::default();
    let theirs = diary.clone();
    let lodger = Bench::new()
        .config("lodger", "greeting = 'Hello'")
        .host("lodger", move |cx: Cx, manners: Manners| Lodger::start(cx, manners, theirs.clone()))
        .await;
    assert_eq!(lodger.greet().await, Ok("Hello from \"\"".into()));
    assert_eq!(lodger.stop().await, 0, "nothing had to be killed");
    assert_eq!(*diary.lock(), ["start lodger", "ready", "stop Shutdown"]);
}

#[tokio::test]
async fn an_entity_under_test_knows_its_key() {
    let make = || Lodger { greeting: "Moin".into(), diary: Diary::default() };
    let lodger = Bench::new().host_entity("lodger", "room-7", make).await;
    assert_eq!(lodger.greet().await, Ok("Moin from \"room-7\"".into()));
}

#[tokio::test]
#[should_panic(expected = "services.lodger: missing field `greeting`")]
async fn configuration_that_does_not_fit_is_told_to_the_test() {
    let make = |cx: Cx, manners: Manners| Lodger::start(cx, manners, Diary::default());
    Bench::new().host("lodger", make).await;
}

#[test]
fn samples_of_the_contract_survive_the_way_to_another_node() {
    assert_eq!(super::api::by_name::<TenantRef>(), [""; 0]);
}
