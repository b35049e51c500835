//! A node under load, for the test `namespaces`: it has a service that others call, and calls theirs until it is told
//! to end. What became of everything it tells as `traffic`. As a member of a cluster it has entities that count, calls
//! all of them, and writes down what happens in the cluster's history; and it has the shop of the examples and its crowd.

mod bridge;
mod callers;
mod diary;
mod ledger;
mod tally;
mod traffic;

use bridge::Scale;
use callers::Crowd;
use diary::Diary;
use ledger::Ledger;
use odeon::prelude::*;
use odeon_daemon::Exit;
use odeon_examples::shop::{self, Bank, crowd::Street};
use odeon_tests::history::{HISTORY_VARIABLE, callers_of};
use odeon_tests::traffic::NODE_VARIABLE;
use std::future::ready;
use std::sync::Arc;
use tally::Counting;
use traffic::Crossing;

fn main() -> Exit {
    let node = std::env::var(NODE_VARIABLE).unwrap_or_else(|_| "local".into());
    odeon_daemon::main(|app| {
        let ledger = Arc::new(Ledger::default());
        let (arriving, leaving) = (ledger.clone(), ledger);
        let diary = Arc::new(Diary::open());
        let calling = diary.clone();
        let app = app
            .entity(&bridge::service_of(&node), move || Scale::new(arriving.clone()))
            .entity(tally::SERVICE, move |cx: Cx| ready(Counting::begin(&cx, &diary)))
            .service(&callers_of(&node), move || Crowd::new(calling.clone()))
            .singleton("traffic", move || Crossing::new(node.clone(), leaving.clone()));
        match std::env::var_os(HISTORY_VARIABLE) {
            Some(_) => shop::register(app, &Bank::new()).singleton("crowd", Street::start),
            None => app,
        }
    })
}
