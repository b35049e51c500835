//! The view as the state machine of the cluster group.

use crate::replication::{Freeze, StateMachine};
use bytes::Bytes;
use odeon_core::EntryId;
use odeon_core::membership::{Command, View};
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

const VERSION: u32 = 1;

/// Applies commands, and publishes each view.
pub(super) struct Views(watch::Sender<Arc<View>>);

impl Views {
    pub(super) fn new() -> (Self, watch::Receiver<Arc<View>>) {
        let (sender, receiver) = watch::channel(Arc::new(View::default()));
        (Self(sender), receiver)
    }
}

impl StateMachine for Views {
    fn apply(&mut self, at: EntryId, command: &[u8]) -> Result<Bytes, String> {
        let command: Command = serde_json::from_slice(command).map_err(|error| error.to_string())?;
        let mut view = (**self.0.borrow()).clone();
        let outcome = view.apply(at.index, command);
        self.0.send_replace(Arc::new(view));
        Ok(Bytes::from(serde_json::to_vec(&outcome).expect("outcomes can be written")))
    }

    fn freeze(&self) -> Freeze {
        let view = self.0.borrow().clone();
        Box::new(move || {
            let written = Written { version: VERSION, view: (*view).clone() };
            serde_json::to_vec(&written).expect("views can be written")
        })
    }

    fn restore(&mut self, _: EntryId, state: &[u8]) -> Result<(), String> {
        let written: Written = serde_json::from_slice(state).map_err(|error| error.to_string())?;
        if written.version != VERSION {
            return Err(format!("a view of version {}: this program reads {VERSION}", written.version));
        }
        self.0.send_replace(Arc::new(written.view));
        Ok(())
    }
}
