//! The real node in the simulator, from 20 seeds, each in two processes with another environment, CPU mask and
//! address layout; and a control: a service that is wrong must be caught.

mod alone;
mod turns;

use odeon::core::NodeName;
use odeon::host::{Executor, Host, Inline};
use odeon::prelude::*;
use odeon::{Node, NodeConfig};
use odeon_simulator::scenario::SCENARIOS;
use odeon_simulator::{Crash, Machine, Simulation};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

fn scenario(sim: &mut Simulation, name: &str) {
    let scenario = SCENARIOS.iter().find(|s| s.name == name).expect("the scenario is listed");
    (scenario.run)(sim);
}

#[odeon_simulator::test(seeds = 20, twice)]
fn a_node_counts_over_http_through_crashes(sim: &mut Simulation) {
    scenario(sim, "node-counter");
}

#[odeon_simulator::test(seeds = 20, twice)]
fn the_shop_charges_nobody_twice(sim: &mut Simulation) {
    scenario(sim, "node-shop");
}

#[odeon_simulator::test(seeds = 20, twice)]
fn nodes_call_each_other_through_every_misfortune(sim: &mut Simulation) {
    scenario(sim, "node-links");
}

#[odeon_simulator::test(seeds = 20, twice)]
fn nodes_that_know_one_other_each_find_all(sim: &mut Simulation) {
    scenario(sim, "node-gossip");
}

#[odeon_simulator::test(seeds = 20, twice)]
fn a_node_that_falls_silent_is_suspect_in_two_seconds_and_called_no_more(sim: &mut Simulation) {
    scenario(sim, "node-suspects");
}

#[odeon_simulator::test(seeds = 20, twice)]
fn without_the_cluster_group_what_is_stateless_goes_on_and_what_is_volatile_stops(sim: &mut Simulation) {
    scenario(sim, "node-alone");
}

#[odeon_simulator::test(seeds = 20, twice)]
fn what_is_watched_on_another_node_is_told_once(sim: &mut Simulation) {
    scenario(sim, "node-watches");
}

#[odeon_simulator::test(seeds = 20, twice)]
fn a_program_outside_the_cluster_is_told_the_truth(sim: &mut Simulation) {
    scenario(sim, "node-client");
}

#[odeon_simulator::test(seeds = 20, twice)]
fn what_a_journal_has_confirmed_is_there_after_crashes_inside_its_writes(sim: &mut Simulation) {
    scenario(sim, "journal");
}

#[odeon_simulator::test(seeds = 20, twice)]
fn replicas_agree_on_one_log_through_every_misfortune(sim: &mut Simulation) {
    scenario(sim, "node-group");
}

#[odeon_simulator::test(seeds = 20, twice)]
fn nodes_stay_members_through_every_misfortune_and_act_with_a_lease_only(sim: &mut Simulation) {
    scenario(sim, "node-members");
}

#[odeon_simulator::test(seeds = 20, twice)]
fn entities_are_at_one_node_each_through_restarts_in_order_and_every_misfortune(sim: &mut Simulation) {
    scenario(sim, "node-places");
}

#[odeon_simulator::test(seeds = 20, twice)]
fn what_is_published_reaches_each_member_once_through_every_misfortune(sim: &mut Simulation) {
    scenario(sim, "node-topics");
}

#[odeon_simulator::test(seeds = 5)]
fn a_lone_write_takes_one_round_trip(sim: &mut Simulation) {
    scenario(sim, "group-write");
}

#[odeon_simulator::test(seeds = 5)]
fn packets_that_are_overtaken_are_not_taken_for_lost(sim: &mut Simulation) {
    scenario(sim, "quic-overtaking");
}

#[odeon_simulator::test(seeds = 2)]
fn another_node_brings_its_part_and_calls_at_one_node_are_shared_by_all(sim: &mut Simulation) {
    scenario(sim, "node-scale");
}

/// Pays out, once for each order.
#[odeon::contract(name = "till", version = "1.0")]
pub trait Till {
    /// Pays.
    async fn pay(&mut self, cx: &Cx, order: u64);
}

/// What the world outside saw: how often each order was paid.
type Ledger = Arc<Mutex<std::collections::BTreeMap<u64, u64>>>;

/// Remembers in memory which orders it has paid, which a crash makes it forget.
struct Forgetful {
    ledger: Ledger,
    paid: Vec<u64>,
}

#[odeon::service]
impl Till for Forgetful {
    async fn pay(&mut self, cx: &Cx, order: u64) {
        cx.sleep(Duration::from_millis(5)).await;
        if !self.paid.contains(&order) {
            self.paid.push(order);
            *self.ledger.lock().expect("no panic while it is held").entry(order).or_default() += 1;
        }
        // the answer takes its time: a crash here leaves the caller without it
        cx.sleep(Duration::from_millis(20)).await;
    }
}

async fn serve(machine: Machine, ledger: Ledger, next: Arc<AtomicU64>) {
    let executors = machine.executors.iter().enumerate();
    let executors = executors.map(|(i, handle)| Executor::new(handle.clone(), i)).collect();
    let host = Host { executors, blocking: Arc::new(Inline), seed: machine.incarnation };
    let name: NodeName = "node".parse().expect("a node name");
    let make = move || Forgetful { ledger: ledger.clone(), paid: Vec::new() };
    let app = App::new().singleton("till", make);
    let node = Node::start(host, NodeConfig::named(name), app).await.expect("the node starts");
    let till: TillRef = node.service("till").expect("a till");
    loop {
        // an order that was not confirmed is sent again: harmless only if the till were right
        if till.pay(next.load(Ordering::Relaxed)).await.is_ok() {
            next.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[odeon_simulator::test(seeds = 20)]
#[should_panic(expected = "paid twice")]
fn a_till_that_forgets_what_it_paid_is_caught(sim: &mut Simulation) {
    let (ledger, next) = (Ledger::default(), Arc::new(AtomicU64::new(0)));
    let node = sim.host("node", {
        let (ledger, next) = (ledger.clone(), next.clone());
        move |machine| serve(machine, ledger.clone(), next.clone())
    });
    sim.start(node);
    for _ in 0..5 {
        let while_up = Duration::from_millis(500 + sim.random() % 500);
        sim.run_for(while_up);
        sim.crash(node, Crash::Power);
        sim.start(node);
    }
    let ledger = ledger.lock().expect("no panic while it is held");
    if let Some((order, times)) = ledger.iter().find(|(_, times)| **times > 1) {
        sim.violation(format!("order {order} was paid twice or more: {times} times"));
    }
}
