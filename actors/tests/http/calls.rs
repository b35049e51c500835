//! Calls, good and bad, from end to end.

use crate::client::{Client, PATIENCE};
use crate::services::{gateway, node_on};
use http::Method;
use odeon::host::Executor;
use odeon_actors::gateway::{Gateway, GatewayConfig};

async fn client() -> (odeon::Node, Gateway, Client) {
    let (node, gateway) = gateway(GatewayConfig::default()).await;
    let client = Client::to(gateway.address()).await;
    (node, gateway, client)
}

#[tokio::test]
async fn a_service_is_called_with_json_and_answers_in_json() {
    let (_node, _gateway, mut client) = client().await;
    let seen = client.post("/v1/greeter/greet", r#"{"name":"Ada"}"#).await;
    assert_eq!((seen.status, seen.text()), (200, r#""Hello, Ada""#));
    assert_eq!(seen.headers["content-type"], "application/json");
    let seen = client.post("/v1/greeter/order", r#"{"wanted":{"lines":[{"price":40},{"price":2}]}}"#).await;
    assert_eq!((seen.status, seen.text()), (200, "42"));
    let seen = client.post("/v1/greeter/note", r#"{"text":"milk"}"#).await;
    assert_eq!((seen.status, seen.text()), (202, ""));
}

#[tokio::test]
async fn each_key_is_an_entity_of_its_own() {
    let (_node, _gateway, mut client) = client().await;
    for total in [2, 4] {
        let seen = client.post("/v1/counter/ada/add", r#"{"by":2}"#).await;
        assert_eq!(seen.text(), total.to_string());
    }
    assert_eq!(client.post("/v1/counter/bob/add", r#"{"by":3}"#).await.text(), "3");
    assert_eq!(client.post("/v1/counter/a%2Fb%C3%A9/key", "").await.text(), r#""a/bé""#);
    assert_eq!(client.post("/v1/shop.narrow/ada/add", "{}").await.text(), "0");
}

#[tokio::test]
async fn the_handler_learns_what_the_headers_said() {
    let (_node, _gateway, mut client) = client().await;
    let id = "018f3b9c-7c1a-7bbf-8a5e-000000000001";
    let headers = [
        ("odeon-criticality", "critical"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("x-request-id", id),
        ("request-timeout", "20"),
    ];
    let seen = client.send(Method::POST, "/v1/greeter/mirror", &headers, "").await;
    let told: Vec<String> = serde_json::from_slice(&seen.body).expect("a list");
    assert_eq!(told[..3], ["critical", "4bf92f3577b34da6a3ce929d0e0e4736", id]);
    let millis: u64 = told[3].parse().expect("a number");
    // a deadline is rounded up by two ticks of the wheel, a little more than a millisecond each
    assert!((15_000..=20_003).contains(&millis), "{millis}");
    assert_eq!(seen.headers["x-request-id"], id);
}

#[tokio::test]
async fn a_field_of_a_wrong_type_is_named() {
    let (_node, _gateway, mut client) = client().await;
    let wrong = r#"{"wanted":{"lines":[{"price":40},{"price":"two"}]}}"#;
    let problem = client.post("/v1/greeter/order", wrong).await.problem(422, "undecodable");
    assert_eq!(problem["path"], "wanted.lines[1].price");
    assert_eq!(problem["outcome"], "not-executed");
    let problem = client.post("/v1/greeter/greet", "{}").await.problem(422, "undecodable");
    assert!(problem["detail"].as_str().is_some_and(|d| d.contains("name")), "{problem}");
    client.post("/v1/greeter/greet", r#"{"name""#).await.problem(400, "not-json");
    let deep = "[".repeat(100_000);
    client.post("/v1/greeter/greet", &deep).await.problem(400, "not-json");
}

#[tokio::test]
async fn an_unknown_service_method_or_form_of_address_says_which() {
    let (_node, _gateway, mut client) = client().await;
    client.post("/v1/gretter/greet", "{}").await.problem(404, "unknown-service");
    let problem = client.post("/v1/greeter/great", "{}").await.problem(404, "unknown-method");
    assert_eq!(problem["detail"], "greeter has no method great");
    client.post("/v1/greeter/ada/greet", "{}").await.problem(400, "wrong-address");
    client.post("/v1/counter/add", "{}").await.problem(400, "wrong-address");
    client.post("/v1/counter//add", "{}").await.problem(400, "bad-path");
    client.get("/v1/greeter/greet").await.problem(405, "wrong-verb");
}

#[tokio::test]
async fn an_error_of_the_handler_arrives_with_its_own_body() {
    let (_node, _gateway, mut client) = client().await;
    let seen = client.post("/v1/greeter/order", r#"{"wanted":{"lines":[{"price":500}]}}"#).await;
    let problem = seen.problem(409, "failed");
    assert_eq!(problem["error"]["TooMuch"]["total"], 500);
    assert_eq!(problem["detail"], "500 cents are more than 100");
    assert_eq!(seen.headers["retry-after"], "1");
}

#[tokio::test]
async fn a_panic_is_an_unknown_outcome_and_the_service_goes_on() {
    let (_node, _gateway, mut client) = client().await;
    let problem = client.post("/v1/greeter/boom", "").await.problem(500, "panicked");
    assert_eq!(problem["outcome"], "unknown");
    let within = [("content-type", "application/json"), ("request-timeout", "15")];
    loop {
        let seen = client.send(Method::POST, "/v1/greeter/greet", &within, r#"{"name":"Ada"}"#).await;
        if seen.status == 200 {
            break;
        }
        assert_eq!(seen.status, 503, "{}", seen.text());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_handler_that_hangs_ends_at_the_deadline_as_unknown() {
    let (_node, _gateway, mut client) = client().await;
    let seen = client.send(Method::POST, "/v1/greeter/hang", &[("request-timeout", "30ms")], "").await;
    let problem = seen.problem(504, "timed-out");
    assert_eq!(problem["outcome"], "unknown");
}

#[tokio::test]
async fn a_call_whose_time_is_up_in_a_mailbox_is_unknown_to_its_client_and_expired_in_the_books() {
    let (node, gateway, mut client) = client().await;
    let mut other = Client::to(gateway.address()).await;
    let meter =
        node.services().iter().find(|s| s.description.name.name() == "narrow").map(|s| s.meter.clone());
    let meter = meter.expect("it is registered");
    let hold = other.send(Method::POST, "/v1/shop.narrow/ada/hold", &[("request-timeout", "500ms")], "");
    let add = async {
        // the first message activates it
        while meter.activations() == 0 {
            tokio::task::yield_now().await;
        }
        let seen =
            client.send(Method::POST, "/v1/shop.narrow/ada/add", &[("request-timeout", "30ms")], "").await;
        (seen, meter.expired())
    };
    let (held, (seen, expired)) = tokio::join!(hold, add);
    assert_eq!(seen.problem(504, "timed-out")["outcome"], "unknown");
    assert_eq!((held.status, expired), (504, 0));
    // its turn comes when the holder is past its grace
    tokio::time::timeout(PATIENCE, async {
        while meter.expired() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it expires");
    assert_eq!((meter.expired(), meter.handled()), (1, 0));
}

#[tokio::test]
async fn a_full_mailbox_refuses_and_says_when_to_come_back() {
    let (_node, gateway, mut client) = client().await;
    let held = ["/v1/shop.narrow/ada/hold", "/v1/shop.narrow/ada/add"];
    let mut waiting = tokio::task::JoinSet::new();
    for path in held {
        let mut other = Client::to(gateway.address()).await;
        waiting.spawn(async move {
            other.send(Method::POST, path, &[("request-timeout", "20")], "").await.status
        });
    }
    let seen = loop {
        let seen =
            client.send(Method::POST, "/v1/shop.narrow/ada/add", &[("request-timeout", "5ms")], "").await;
        if seen.status == 503 {
            break seen;
        }
        assert_eq!(seen.status, 504, "{}", seen.text());
    };
    let problem = seen.problem(503, "mailbox-full");
    assert_eq!((&problem["outcome"], &problem["retry"]), (&"not-executed".into(), &"later".into()));
    assert_eq!(seen.headers["retry-after"], "1");
}

#[tokio::test]
async fn the_openapi_document_speaks_of_the_services_that_run() {
    let (_node, _gateway, mut client) = client().await;
    let document = client.get("/openapi.json").await.json();
    for path in ["/v1/greeter/greet", "/v1/counter/{key}/add", "/v1/shop.narrow/{key}/hold"] {
        assert!(document["paths"][path]["post"].is_object(), "{path}");
    }
    let order = &document["paths"]["/v1/greeter/order"]["post"];
    let schema = &order["requestBody"]["content"]["application/json"]["schema"];
    assert!(schema["properties"]["wanted"].is_object(), "{schema}");
    assert!(document["components"]["schemas"]["greeter.Line"]["properties"]["price"].is_object());
    assert_eq!(order["summary"], "Adds up.");
}

#[tokio::test]
async fn connections_are_spread_over_the_executors_of_the_node() {
    let (handle, handed) = std::sync::mpsc::channel();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let second = std::thread::Builder::new().spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        handle.send(runtime.handle().clone()).expect("the test waits for it");
        // an error means that the test is over
        let _ = runtime.block_on(ended);
    });
    let other = handed.recv().expect("it sends its handle");
    let executors = vec![Executor::new(tokio::runtime::Handle::current(), 0), Executor::new(other, 1)];
    let node = node_on(executors).await;
    let config = GatewayConfig { address: ([127, 0, 0, 1], 0).into(), ..GatewayConfig::default() };
    let gateway = Gateway::start(&node, config).await.expect("a free port");
    for _ in 0..4 {
        let mut client = Client::to(gateway.address()).await;
        for _ in 0..3 {
            let seen = client.post("/v1/greeter/greet", r#"{"name":"Ada"}"#).await;
            assert_eq!((seen.status, seen.text()), (200, r#""Hello, Ada""#));
        }
    }
    let books = gateway.books();
    assert_eq!((books.requests().classes, books.connections().accepted()), ([0, 12, 0, 0, 0], 4));
    assert_eq!(gateway.stop(std::time::Duration::from_secs(5)).await, 0);
    drop(end);
    second.expect("a thread").join().expect("it ends");
}
