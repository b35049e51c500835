//! The view as the state machine of the cluster group.

use crate::replication::{Freeze, StateMachine};
use bytes::Bytes;
use odeon_core::EntryId;
use odeon_core::membership::{Command, Proposal, View};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::watch;

/// What a snapshot says. Named, with its version.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    view: View,
}

const VERSION: u32 = 2;

/// Applies commands, and publishes each view.
pub(super) struct Views {
    views: watch::Sender<Arc<View>>,
    renewals: watch::Sender<u64>,
}

impl Views {
    pub(super) fn new() -> Self {
        Self { views: watch::Sender::new(Arc::default()), renewals: watch::Sender::new(0) }
    }

    /// Tells of each change of the view, and of no renewals, of which there are some each second.
    pub(super) fn views(&self) -> watch::Receiver<Arc<View>> {
        self.views.subscribe()
    }

    /// Tells of renewals alone: how many entries there were of them.
    pub(super) fn renewals(&self) -> watch::Receiver<u64> {
        self.renewals.subscribe()
    }
}

/// What has a version, if it is this one: of another one it need not look like it.
fn read<T: DeserializeOwned>(written: &[u8], what: &str, ours: u32) -> Result<T, String> {
    #[derive(Deserialize)]
    struct Head {
        version: u32,
    }
    let Head { version } = serde_json::from_slice(written).map_err(|error| error.to_string())?;
    if version != ours {
        return Err(format!("a {what} of version {version}: this program reads {ours}"));
    }
    serde_json::from_slice(written).map_err(|error| error.to_string())
}

/// What a replica has of an entry.
fn proposal(written: &[u8]) -> Result<Proposal, String> {
    read(written, "command", Proposal::VERSION)
}

impl StateMachine for Views {
    fn apply(&mut self, at: EntryId, command: &[u8]) -> Result<Bytes, String> {
        let proposal = proposal(command)?;
        let is_renewal = matches!(proposal.command, Command::Renew { .. });
        // whoever reads it meanwhile does not wait
        let mut view = (**self.views.borrow()).clone();
        let outcome = view.apply(at.index, proposal);
        self.views.send_if_modified(|known| {
            let before = std::mem::replace(known, Arc::new(view));
            before.epoch != known.epoch
        });
        if is_renewal {
            self.renewals.send_modify(|renewals| *renewals += 1);
        }
        Ok(Bytes::from(serde_json::to_vec(&outcome).expect("outcomes can be written")))
    }

    fn freeze(&self) -> Freeze {
        let view = self.views.borrow().clone();
        Box::new(move || {
            let written = Written { version: VERSION, view: (*view).clone() };
            serde_json::to_vec(&written).expect("views can be written")
        })
    }

    fn restore(&mut self, _: EntryId, state: &[u8]) -> Result<(), String> {
        let written: Written = read(state, "view", VERSION)?;
        self.views.send_replace(Arc::new(written.view));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_of_a_later_version_is_named_whatever_it_looks_like() {
        let raise = r#"{"version":1,"at":17,"command":{"command":"raise","level":2}}"#;
        assert_eq!(proposal(raise.as_bytes()), Ok(Proposal { at: 17, ..Command::Raise { level: 2 }.into() }));
        let later = proposal(br#"{"version":2,"wanted":["cart"]}"#).expect_err("it is not known here");
        assert_eq!(later, "a command of version 2: this program reads 1");
        assert!(proposal(br#"{"command":"raise","level":2}"#).expect_err("it has none").contains("version"));
    }
}
