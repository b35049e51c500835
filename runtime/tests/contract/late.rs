//! References that are bound when they are used: made before their provider was there, or read from bytes.

use super::api::{Book, LedgerRef, json, raw};
use odeon::prelude::*;
use odeon::service::contract::Encoding;
use odeon::service::reply::RawOutcome;
use odeon::test::{Bench, Hosted};
use odeon_core::id::KEY_MAX;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{0}")]
struct Lost(String);

impl ContractError for Lost {}

/// Keeps references, and says what becomes of their use.
#[odeon::contract(name = "desk", version = "1.0")]
trait Desk {
    /// Uses one of those that were made at the start.
    async fn add_early(&self, cx: &Cx, which: usize, amount: u32) -> Result<u32, Lost>;
    /// Uses what was sent along.
    async fn add(&self, cx: &Cx, to: LedgerRef, amount: u32) -> Result<u32, Lost>;
    /// Tells it a note, and gives it back, having used it or not.
    async fn note(&self, cx: &Cx, to: LedgerRef, text: Option<String>) -> Result<LedgerRef, Lost>;
    /// Tells it a note from a timer, and one from a task; waits until the latter was accepted.
    async fn note_later(&self, cx: &Cx, by_timer: LedgerRef, by_task: LedgerRef) -> Result<(), Lost>;
    /// Sends it to another desk and gives back what comes back.
    async fn pass(&self, cx: &Cx, by: DeskRef, to: LedgerRef) -> Result<LedgerRef, Lost>;
}

struct Clerk {
    early: Vec<LedgerRef>,
}

impl Clerk {
    /// Before the services registered behind it are there.
    async fn start(cx: Cx) -> Result<Self, StartError> {
        let wanted = [
            ("ledger", None),
            ("account", Some("ada")),
            ("account", None),
            ("ledger", Some("ada")),
            ("mute", None),
        ];
        let early = wanted.map(|(name, key)| {
            let node = cx.node().expect("it runs");
            assert!(node.dynamic(&name.parse().expect("a name")).is_none(), "{name} is there already");
            match key {
                Some(key) => cx.entity(name, key),
                None => cx.service(name),
            }
        });
        let early: Result<Vec<LedgerRef>, RefError> = early.into_iter().collect();
        early.map(|early| Self { early }).map_err(StartError::new)
    }
}

fn lost(error: impl ToString) -> Lost {
    Lost(error.to_string())
}

#[odeon::service]
impl Desk for Clerk {
    async fn add_early(&self, _: &Cx, which: usize, amount: u32) -> Result<u32, Lost> {
        self.early[which].add(amount).await.map_err(lost)
    }

    async fn add(&self, _: &Cx, to: LedgerRef, amount: u32) -> Result<u32, Lost> {
        to.add(amount).await.map_err(lost)
    }

    async fn note(&self, _: &Cx, to: LedgerRef, text: Option<String>) -> Result<LedgerRef, Lost> {
        if let Some(text) = text {
            to.note(text).send().map_err(lost)?;
        }
        Ok(to)
    }

    async fn note_later(&self, cx: &Cx, by_timer: LedgerRef, by_task: LedgerRef) -> Result<(), Lost> {
        cx.after(Duration::from_millis(1), by_timer.note("by a timer".into()));
        let (sender, accepted) = tokio::sync::oneshot::channel();
        cx.spawn(async move {
            // the handler waits for it
            let _ = sender.send(by_task.note("by a task".into()).await);
        });
        accepted.await.map_err(lost)?.map_err(lost)
    }

    async fn pass(&self, _: &Cx, by: DeskRef, to: LedgerRef) -> Result<LedgerRef, Lost> {
        by.note(to, Some("passed on".into())).await.map_err(lost)
    }
}

/// Speaks another contract than the references expect.
#[odeon::contract(name = "mute", version = "3.1")]
trait Mute {
    async fn nothing(&self, cx: &Cx);
}

/// A node with a desk whose references are older than what they lead to.
async fn bench() -> Hosted<DeskRef> {
    let rest = |app: App| {
        app.singleton("desk", Clerk::start)
            .singleton("ledger", Book::default)
            .entity("account", Book::default)
            .service("mute", MuteMock::default)
    };
    Bench::new().app(rest).host("other-desk", || Clerk { early: Vec::new() }).await
}

async fn with_desk() -> (Hosted<DeskRef>, DeskRef) {
    let bench = bench().await;
    let desk = bench.node().service("desk").expect("it is there");
    (bench, desk)
}

/// What a reference is read from elsewhere, such as a request or a file.
fn from_bytes(text: &str) -> LedgerRef {
    serde_json::from_str(text).expect("a locator")
}

#[tokio::test]
async fn a_reference_that_is_older_than_its_provider_leads_to_it() {
    let (bench, desk) = with_desk().await;
    assert_eq!(desk.add_early(0, 2).await, Ok(2));
    assert_eq!(desk.add_early(1, 3).await, Ok(3));
    // to the same ones as those that were made later
    let ledger: LedgerRef = bench.node().service("ledger").expect("a ledger");
    let account: LedgerRef = bench.node().entity("account", "ada").expect("an account");
    assert_eq!((ledger.add(1).await, account.add(1).await), (Ok(3), Ok(4)));
    assert_eq!(desk.add_early(0, 1).await, Ok(4), "and again");
}

#[tokio::test]
async fn what_is_wrong_with_an_early_reference_is_told_when_it_is_used() {
    let (_bench, desk) = with_desk().await;
    for (which, text) in [
        (2, "account: it has entities: a key is needed"),
        (3, "ledger: it has no entities: no key is allowed"),
        (4, "mute speaks mute 3.1, the caller wants ledger 2.7"),
    ] {
        for _ in 0..2 {
            let error = desk.add_early(which, 1).await.expect_err("it leads nowhere").to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_reference_from_bytes_is_told_when_it_is_used() {
    let bench = bench().await;
    let long = "k".repeat(KEY_MAX + 1);
    for (to, text) in [
        (json!({"service": "account"}), "a key is needed"),
        (json!({"service": "account", "key": ""}), "the key is empty"),
        (json!({"service": "account", "key": long}), "bytes: "),
        (json!({"service": "ledger", "key": "ada"}), "no key is allowed"),
        (json!({"service": "mute"}), "mute speaks mute 3.1, the caller wants ledger 2.7"),
        (json!({"service": "nobody"}), "there is no service nobody"),
    ] {
        let body = json!({"to": to, "amount": 1}).to_string();
        let outcome = raw(bench.node(), "other-desk", "add", Encoding::Json, body.clone()).await;
        let RawOutcome::Failed(failure) = outcome else { panic!("{body}: {outcome:?}") };
        assert!(failure.text.contains(text), "{body}: {}", failure.text);
        // casts are refused as calls are
        let body = json!({"to": to, "text": "lost"}).to_string();
        let outcome = raw(bench.node(), "other-desk", "note", Encoding::Json, body.clone()).await;
        assert!(
            matches!(&outcome, RawOutcome::Failed(failure) if failure.text.contains(text)),
            "{outcome:?}"
        );
    }
    let no_name = r#"{"to": {"service": "No Name"}, "amount": 1}"#;
    let outcome = raw(bench.node(), "other-desk", "add", Encoding::Json, no_name).await;
    let RawOutcome::NotExecuted(Refusal::Undecodable { path, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(path, "to.service");
}

#[tokio::test]
async fn a_reference_from_bytes_leads_to_a_key_and_comes_back_as_it_was() {
    let bench = bench().await;
    let to = json!({"service": "account", "key": "ada"});
    let add = json!({"to": to, "amount": 6}).to_string();
    assert_eq!(json(bench.node(), "other-desk", "add", &add).await, json!(6));
    for text in [None, Some("used")] {
        let body = json!({"to": to, "text": text}).to_string();
        assert_eq!(json(bench.node(), "other-desk", "note", &body).await, to);
    }
    let account: LedgerRef = bench.node().entity("account", "ada").expect("an account");
    assert_eq!(account.notes(0).await, Ok(vec!["used".into()]));
}

#[tokio::test]
async fn timers_and_tasks_of_a_handler_bind_a_reference_from_bytes_as_well() {
    let bench = bench().await;
    let to = |key: &str| json!({"service": "account", "key": key});
    let body = json!({"by_timer": to("ada"), "by_task": to("bob")}).to_string();
    assert_eq!(json(bench.node(), "other-desk", "note_later", &body).await, json!(null));
    let account = |key: &str| bench.node().entity::<LedgerRef>("account", key).expect("an account");
    assert_eq!(account("bob").notes(0).await, Ok(vec!["by a task".into()]));
    let limit = tokio::time::Instant::now() + Duration::from_secs(20);
    while account("ada").notes(0).await != Ok(vec!["by a timer".into()]) {
        assert!(tokio::time::Instant::now() < limit, "the timer's note never came");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_reference_may_go_by_another_service_and_come_back() {
    let (bench, desk) = with_desk().await;
    let back = desk.pass(DeskRef::clone(&bench), from_bytes(r#"{"service": "account", "key": "bob"}"#)).await;
    // its use there bound it
    let back = back.expect("it came back");
    assert_eq!(back.notes(0).await, Ok(vec!["passed on".into()]));
    assert_eq!(desk.add(back.clone(), 2).await, Ok(2));
    assert_eq!(format!("{back:?}"), "LedgerRef(account#bob)");
}

#[tokio::test]
async fn outside_of_any_node_a_reference_from_bytes_is_refused_until_a_handler_has_used_it() {
    let bench = bench().await;
    let ledger = from_bytes(r#"{"service": "ledger"}"#);
    for _ in 0..2 {
        let error = ledger.add(1).await.expect_err("no node here");
        assert_eq!(error, CallError::NotExecuted(Refusal::NoNode { address: "ledger".into() }));
        assert_eq!(ledger.note("x".into()).send(), Err(Refusal::NoNode { address: "ledger".into() }));
        assert_eq!(ledger.note("x".into()).await, Err(Refusal::NoNode { address: "ledger".into() }));
    }
    let unused = bench.note(ledger.clone(), None).await.expect("it comes back");
    assert!(unused.add(1).await.is_err(), "to be carried through a node is no use of it");
    assert_eq!(bench.add(ledger.clone(), 1).await, Ok(1));
    assert_eq!(ledger.add(1).await, Ok(2), "the handler's use bound it, and its clones");
    assert_eq!(unused.add(1).await, Ok(3));
    // what it is bound to it stays bound to
    bench.stop().await;
    let error = ledger.add(1).await.expect_err("that node has stopped");
    assert_eq!(error, CallError::NotExecuted(Refusal::Stopped));
}

#[test]
fn samples_of_the_contract_survive_the_way_to_another_node() {
    assert_eq!(super::api::by_name::<DeskRef>(), ["add", "note", "note_later", "pass"]);
}
