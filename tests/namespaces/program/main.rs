//! A node under load, for the test `namespaces`: it has a service that others call, and calls theirs until it is told
//! to end. What became of everything it tells as `traffic`.

mod bridge;
mod ledger;
mod traffic;

use bridge::Scale;
use ledger::Ledger;
use odeon_daemon::Exit;
use odeon_tests::traffic::NODE_VARIABLE;
use std::sync::Arc;
use traffic::Crossing;

fn main() -> Exit {
    let node = std::env::var(NODE_VARIABLE).unwrap_or_else(|_| "local".into());
    odeon_daemon::main(|app| {
        let ledger = Arc::new(Ledger::default());
        let (arriving, leaving) = (ledger.clone(), ledger);
        app.entity(&bridge::service_of(&node), move || Scale::new(arriving.clone()))
            .singleton("traffic", move || Crossing::new(node.clone(), leaving.clone()))
    })
}
