//! A real node runs the shop and a crowd of shoppers inside of it, with recommendations that fail and come late,
//! while its host crashes. The bank outlives the node: nobody is ever charged twice, nobody pays for nothing known.

use crate::{Crash, Machine, Simulation};
use odeon::core::NodeName;
use odeon::host::{Executor, Host, Inline};
use odeon::{App, Node, NodeConfig};
use odeon_examples::shop::{self, Bank, crowd};
use std::sync::Arc;
use std::time::Duration;

/// Once the node is back the shop sells again within this time.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// How the world around the shop is today.
#[derive(Clone, Copy, Debug)]
struct Mood {
    failing: f64,
    delay_ms: i64,
    bank_delay_ms: i64,
}

/// The script.
pub(super) fn run(sim: &mut Simulation) {
    let bank = Bank::new();
    let mood = Mood {
        failing: (sim.random() % 30) as f64 / 100.0,
        delay_ms: (sim.random() % 50) as i64,
        bank_delay_ms: (sim.random() % 100) as i64,
    };
    let node = sim.host("node", {
        let bank = bank.clone();
        move |machine| serve(machine, bank.clone(), mood)
    });
    sim.start(node);
    for crash in [Some(Crash::Process), Some(Crash::Power), None] {
        let before = bank.audit().charges;
        sim.demand("the shop sells", BACK_WITHIN, |_| bank.audit().charges > before + 20);
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
    let app = shop::register(App::new(), &bank).singleton("crowd", crowd::Street::start);
    let node = Node::start(host, config, app).await.expect("the node starts");
    tracing::info!(name = %node.name(), "the shop is open");
    // until the host crashes
    std::future::pending::<()>().await;
}
