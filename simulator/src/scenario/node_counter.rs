//! A real node, the same code as in production: its gateway serves a counter entity to a plain HTTP client on
//! another host, which also asks its management whether it is ready, while the node's host crashes and packets are lost.
//! The books of the client and the counter agree.

use super::books::Books;
use super::crash_and_return;
use super::http_client::{Answer, Client};
use crate::{Machine, Simulation};
use hyper::StatusCode;
use odeon::core::NodeName;
use odeon::host::{Executor, Host, Inline};
use odeon::{App, Node, NodeConfig};
use odeon_actors::gateway::{Gateway, GatewayConfig};
use odeon_actors::management::token::Token;
use odeon_actors::management::{Management, ManagementConfig};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

const PORT: u16 = 8_080;
/// Of its management, which on a real node listens on loopback only.
const MANAGEMENT: u16 = 8_081;
const PAUSE: Duration = Duration::from_millis(50);
/// Once the node is back the client gets through again within this time.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// What the client knows of one incarnation of the node's host.
#[derive(Debug, Default)]
struct Visits {
    /// Additions sent to this incarnation or an earlier one: it cannot have counted more.
    sent: i64,
    /// Additions that were answered.
    answered: u64,
    /// Greetings that were right.
    greeted: u64,
    /// How often the node said that it was ready.
    ready: u64,
    /// The last value that was answered, and the incarnation of the host at that time.
    last: (u64, i64),
    broken: Vec<String>,
}

/// The script.
pub(super) fn run(sim: &mut Simulation) {
    let books = Books::<Visits>::default();
    let incarnation = Books::<u64>::default();
    let server = sim.host("node", {
        let incarnation = incarnation.clone();
        move |machine| {
            incarnation.open(|now| *now = machine.incarnation);
            serve(machine)
        }
    });
    let address = SocketAddr::from((sim.address(server), PORT));
    let client = sim.host("client", {
        let books = books.clone();
        move |machine| count_for_ever(machine, address, books.clone(), incarnation.clone())
    });
    sim.start(server);
    sim.start(client);
    sim.demand("a first addition is answered", BACK_WITHIN, |_| books.open(|b| b.answered > 0));

    for _ in 0..2 {
        crash_and_return(sim, server);
        let before = books.open(|b| (b.answered, b.greeted, b.ready));
        sim.demand("additions and greetings are answered again, and the node is ready", BACK_WITHIN, |_| {
            books.open(|b| b.answered >= before.0 + 3 && b.greeted > before.1 && b.ready > before.2)
        });
    }
    for broken in books.open(|b| std::mem::take(&mut b.broken)) {
        sim.violation(broken);
    }
}

/// The node's program: what the daemon does in production, on the executors of this machine.
async fn serve(machine: Machine) {
    let executors =
        machine.executors.iter().enumerate().map(|(i, handle)| Executor::new(handle.clone(), i)).collect();
    let host = Host { executors, blocking: Arc::new(Inline), seed: machine.incarnation };
    let name: NodeName = "node".parse().expect("a node name");
    let app = odeon_examples::register(App::new());
    let node = Node::start(host, NodeConfig::named(name), app).await.expect("the node starts");
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
    let config = GatewayConfig { address, ..GatewayConfig::default() };
    let gateway = Gateway::start(&node, config).await.expect("a fresh host has the port free");
    let token = Token::new("what-a-simulated-operator-would-show").expect("it is long");
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, MANAGEMENT));
    let config = ManagementConfig { address, ..ManagementConfig::new(token, Arc::new(|_| {})) };
    let management = Management::start(&node, Some(&gateway), config).await;
    let management = management.expect("a fresh host has the port free");
    tracing::info!(address = %gateway.address(), management = %management.address(), "the node serves");
    // until the host crashes
    std::future::pending::<()>().await;
}

/// The client's program: adds one, checks the value, greets, asks whether the node is ready.
async fn count_for_ever(machine: Machine, server: SocketAddr, books: Books<Visits>, incarnation: Books<u64>) {
    let mut operator = Client::new(machine.clone(), SocketAddr::new(server.ip(), MANAGEMENT));
    let mut client = Client::new(machine, server);
    let now_at = move || incarnation.open(|now| *now);
    loop {
        let before = now_at();
        books.open(|b| b.sent += 1);
        let answer = client.post("/v1/counter/visits/add", r#"{"amount":1}"#).await;
        let during = (before, now_at());
        books.open(|b| judge(b, during, &answer));
        let answer = client.post("/v1/greeter/greet", r#"{"name":"Ada"}"#).await;
        if let Answer::Body(StatusCode::OK, body) = answer {
            books.open(|b| match &body[..] {
                br#""Hello, Ada""# => b.greeted += 1,
                _ => b.broken.push(format!("greeted with {body:?}")),
            });
        }
        match operator.get("/readyz").await {
            Answer::Body(StatusCode::OK, _) => books.open(|b| b.ready += 1),
            Answer::Body(StatusCode::SERVICE_UNAVAILABLE, _) | Answer::None => {}
            other @ Answer::Body(..) => books.open(|b| b.broken.push(format!("readiness: {other:?}"))),
        }
        match operator.get("/api/v1/status").await {
            Answer::Body(StatusCode::UNAUTHORIZED, _) | Answer::None => {}
            other @ Answer::Body(..) => books.open(|b| b.broken.push(format!("without a token: {other:?}"))),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// An answered addition is larger than the one answered before it by the same incarnation, and no larger than
/// what was sent in all.
fn judge(books: &mut Visits, (before, after): (u64, u64), answer: &Answer) {
    let value = match answer {
        Answer::Body(StatusCode::OK, body) => {
            match std::str::from_utf8(body).ok().and_then(|text| text.parse::<i64>().ok()) {
                Some(value) => value,
                None => return books.broken.push(format!("an addition was answered by {body:?}")),
            }
        }
        Answer::Body(status, body) if !status.is_server_error() => {
            return books.broken.push(format!("an addition ended as {status}: {body:?}"));
        }
        Answer::Body(..) | Answer::None => return,
    };
    books.answered += 1;
    if value > books.sent {
        books.broken.push(format!("the counter shows {value} after {} additions were sent", books.sent));
    }
    if before == after {
        if books.last.0 == before && value <= books.last.1 {
            books.broken.push(format!("{value} was answered after {} by the same incarnation", books.last.1));
        }
        books.last = (before, value);
    }
}
