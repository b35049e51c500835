//! Has those dialed of whom was heard and to whom there is no link: a few at once, each again and again with growing
//! pauses.

use crate::reach::reached;
use crate::remote::core::Core;
use odeon_core::NodeName;
use odeon_core::supervision::Backoff;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Dials that are under way at once. One to a dead address takes 5 s.
const DIALS_MAX: usize = 16;
/// Of these, those to nodes that are believed to be dead.
const DIALS_TO_DEAD_MAX: usize = 4;
/// Pauses between the dials of one node.
const BACKOFF: Backoff = Backoff { min: Duration::from_millis(200), max: Duration::from_secs(5) };

/// The dials of a node to those of whom it has heard.
#[derive(Default)]
pub(super) struct Dials {
    known: BTreeMap<NodeName, Tried>,
    running: JoinSet<(NodeName, bool)>,
}

/// What became of the dials to one node.
struct Tried {
    address: SocketAddr,
    attempts: u32,
    is_running: bool,
    to_dead: bool,
    /// Not dialed again before this.
    due: Duration,
}

impl Drop for Dials {
    fn drop(&mut self) {
        // one that is cut off in the middle would leave a connection behind that nobody answers for
        self.running.detach_all();
    }
}

impl Dials {
    /// Looks after those who are to be dialed now.
    pub(super) fn look(&mut self, core: &Arc<Core>) {
        let now = core.wheel.elapsed();
        while let Some(ended) = self.running.try_join_next() {
            // one that panicked is dialed no more, as is one that was never tried
            let Ok((name, is_up)) = ended else { continue };
            self.ended(core, &name, is_up, now);
        }
        let missed = std::mem::take(&mut *core.gossip.missed.lock());
        let mut wanted = self.wanted(core, &missed);
        self.known.retain(|name, tried| tried.is_running || wanted.iter().any(|(w, ..)| w == name));
        // those that are believed to live go first
        wanted.sort_by_key(|(_, _, is_alive)| !is_alive);
        for (name, address, is_alive) in wanted {
            self.dial(core, name, address, !is_alive, now);
        }
    }

    /// To whom there is no link, and should be one: who lives, and who is believed to be dead if there was something
    /// to tell it.
    fn wanted(&self, core: &Arc<Core>, missed: &BTreeSet<SocketAddr>) -> Vec<(NodeName, SocketAddr, bool)> {
        let members = core.gossip.members();
        let entries = core.peers.lock();
        let mut wanted = Vec::new();
        for (name, member) in members.iter() {
            let entry = entries.get(name);
            if entry.is_some_and(|entry| entry.connected().is_some()) || *name == core.us().name {
                continue;
            }
            // a later start than gossip has heard of was met already
            let met = entry.filter(|entry| entry.incarnation > member.incarnation);
            let address = met.map_or(Some(member.address), |entry| entry.address);
            let asked = missed.contains(&member.address) || self.known.contains_key(name);
            if let Some(address) = address.filter(|_| member.is_alive || asked) {
                wanted.push((name.clone(), address, member.is_alive));
            }
        }
        wanted
    }

    fn dial(&mut self, core: &Arc<Core>, name: NodeName, address: SocketAddr, to_dead: bool, now: Duration) {
        let to_dead_now = self.known.values().filter(|tried| tried.is_running && tried.to_dead).count();
        if self.running.len() >= DIALS_MAX || (to_dead && to_dead_now >= DIALS_TO_DEAD_MAX) {
            return;
        }
        let tried = self.known.entry(name.clone()).or_insert_with(|| {
            // the other one has heard of this node at about the same time
            let due = now + core.backoff(&BACKOFF, 0);
            Tried { address, attempts: 0, is_running: false, to_dead, due }
        });
        if tried.address != address && !tried.is_running {
            (tried.address, tried.attempts, tried.due) = (address, 0, now);
        }
        if tried.is_running || tried.due > now {
            return;
        }
        (tried.is_running, tried.to_dead) = (true, to_dead);
        reached!(DIALED);
        let dialing = core.clone();
        core.executor.spawn_in(&mut self.running, async move {
            let dialed = dialing.dial(address, Some(&name)).await;
            if let Err(error) = &dialed {
                tracing::debug!(peer = %name, %address, %error, "a node that was heard of cannot be reached");
            }
            (name, dialed.is_ok())
        });
    }

    fn ended(&mut self, core: &Arc<Core>, name: &NodeName, is_up: bool, now: Duration) {
        if is_up {
            self.known.remove(name);
        } else if let Some(tried) = self.known.get_mut(name) {
            tried.attempts += 1;
            tried.is_running = false;
            tried.due = now + core.backoff(&BACKOFF, tried.attempts);
        }
    }
}
