//! What waits on a lane and what is under way, for whoever asks.

use super::Lane;
use crate::remote::target::class_of;
use crate::telemetry::dump::{LaneDump, Listed, WindowDump};

/// Windows of one lane that are told of, at the most.
const WINDOWS_MAX: usize = 4;

impl Lane {
    /// It as it is now.
    pub(in crate::remote) fn look(&self) -> LaneDump {
        let state = self.state.lock();
        let busy = state.receivers.iter().filter(|receiver| {
            receiver.window.out() > 0 || !receiver.waiting.is_empty() || !receiver.held.is_empty()
        });
        let mut windows: Vec<WindowDump> = busy
            .map(|receiver| WindowDump {
                under_way: receiver.window.out(),
                limit: receiver.window.limit(),
                senders: receiver.waiting.len(),
                held: receiver.held.len(),
            })
            .collect();
        let lane = usize::from(self.number);
        let mut dump = LaneDump {
            lane,
            class: class_of(lane).name().into(),
            unsent: state.frames,
            unacknowledged: state.out.kept(),
            bytes: state.open.len() + state.out.bytes() + state.held,
            senders: state.waiting.len(),
            windows: Listed::default(),
        };
        drop(state);
        windows.sort_unstable_by_key(|window| std::cmp::Reverse((window.senders, window.under_way)));
        dump.windows.unlisted = windows.len().saturating_sub(WINDOWS_MAX);
        windows.truncate(WINDOWS_MAX);
        dump.windows.listed = windows;
        dump
    }
}
