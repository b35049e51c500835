//! A real node runs the shop and a crowd of shoppers inside of it, with recommendations that fail and come late and
//! payments that panic when the bank has charged, while its host crashes; a shopper outside buys over HTTP. The bank
//! outlives the node: nobody is ever charged twice, nobody pays for nothing known.

use super::books::Books;
use super::http_client::{Answer, Client};
use crate::reach::reached;
use crate::{Crash, Machine, Simulation, panic_on_purpose};
use hyper::StatusCode;
use odeon::core::NodeName;
use odeon::host::{Executor, Host, Inline};
use odeon::{App, Node, NodeConfig};
use odeon_actors::gateway::{Gateway, GatewayConfig};
use odeon_examples::shop::bank::GOOD_CARD;
use odeon_examples::shop::{self, Bank, crowd};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Once the node is back the shop sells again within this time.
const BACK_WITHIN: Duration = Duration::from_secs(60);

const PORT: u16 = 8_080;
/// The shopper outside thinks so long.
const PAUSE: Duration = Duration::from_millis(100);

/// How the world around the shop is today.
#[derive(Clone, Copy, Debug)]
struct Mood {
    failing: f64,
    delay_ms: i64,
    bank_delay_ms: i64,
    /// Each so manieth charge is the end of the activation that asked for it; never, if zero.
    panics_each: u64,
}

/// The script.
pub(super) fn run(sim: &mut Simulation) {
    let bank = Bank::new();
    let mood = Mood {
        failing: (sim.random() % 30) as f64 / 100.0,
        delay_ms: (sim.random() % 50) as i64,
        bank_delay_ms: (sim.random() % 100) as i64,
        panics_each: sim.random() % 12,
    };
    let bought = Books::<u64>::default();
    let node = sim.host("node", {
        let bank = bank.clone();
        move |machine| serve(machine, bank.clone(), mood)
    });
    let address = SocketAddr::from((sim.address(node), PORT));
    let outside = sim.host("outside", {
        let bought = bought.clone();
        move |machine| shop_for_ever(machine, address, bought.clone())
    });
    sim.start(node);
    sim.start(outside);
    for crash in [Some(Crash::Process), Some(Crash::Power), None] {
        let before = bank.audit().charges;
        let before_outside = bought.open(|bought| *bought);
        sim.demand("the shop sells", BACK_WITHIN, |_| bank.audit().charges > before + 20);
        sim.demand("the shop sells over HTTP", BACK_WITHIN, |_| {
            bought.open(|bought| *bought > before_outside)
        });
        sim.run_for(Duration::from_secs(3));
        if let Some(how) = crash {
            sim.crash(node, how);
            let while_down = Duration::from_millis(sim.random() % 2_000);
            sim.run_for(while_down);
            sim.start(node);
        }
    }
    let audit = bank.audit();
    if audit.double_charges > 0 {
        sim.violation(format!("{} orders were charged twice: {audit:?}", audit.double_charges));
    }
}

/// The node's program.
async fn serve(machine: Machine, bank: Bank, mood: Mood) {
    let executors =
        machine.executors.iter().enumerate().map(|(i, handle)| Executor::new(handle.clone(), i)).collect();
    let host = Host { executors, blocking: Arc::new(Inline), seed: machine.incarnation };
    let name: NodeName = "node".parse().expect("a node name");
    let mut config = NodeConfig::named(name);
    let section = |pairs: &[(&str, toml::Value)]| -> toml::Table {
        pairs.iter().map(|(field, value)| ((*field).to_owned(), value.clone())).collect()
    };
    for (service, table) in [
        ("recommend", section(&[("failing", mood.failing.into()), ("delay_ms", mood.delay_ms.into())])),
        ("payment", section(&[("bank_delay_ms", mood.bank_delay_ms.into())])),
    ] {
        config.services.insert(service.parse().expect("a service name"), table);
    }
    let charges = AtomicU64::new(0);
    let bank = bank.after_charge(move || {
        let charge = 1 + charges.fetch_add(1, Ordering::Relaxed);
        if mood.panics_each > 0 && charge.is_multiple_of(mood.panics_each) {
            reached("shop: a payment panicked after the bank had charged");
            panic_on_purpose();
        }
    });
    let app = shop::register(App::new(), &bank).singleton("crowd", crowd::Street::start);
    let node = Node::start(host, config, app).await.expect("the node starts");
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
    let config = GatewayConfig { address, ..GatewayConfig::default() };
    let _gateway = Gateway::start(&node, config).await.expect("a fresh host has the port free");
    tracing::info!(name = %node.name(), "the shop is open");
    // until the host crashes
    std::future::pending::<()>().await;
}

/// The shopper's program: one order after the other; one whose outcome it does not know it places again.
async fn shop_for_ever(machine: Machine, shop: SocketAddr, bought: Books<u64>) {
    let incarnation = machine.incarnation;
    let mut client = Client::new(machine, shop);
    for number in 0_u64.. {
        let order = format!(
            r#"{{"order":"outside-{incarnation}-{number}","lines":[{{"sku":"teapot","quantity":1}}],"card":"{GOOD_CARD}"}}"#
        );
        while !matches!(
            client.post("/v1/checkout/place", order.clone()).await,
            Answer::Body(StatusCode::OK, _)
        ) {
            tokio::time::sleep(PAUSE).await;
        }
        bought.open(|bought| *bought += 1);
        tokio::time::sleep(PAUSE).await;
    }
}
