//! What a peer wants to know of this node's activations.

use super::{SAID_MAX, Seen, WATCHES_MAX, Wish};
use crate::cell::belongings;
use crate::cell::port::Port;
use crate::cell::watchers::Watching;
use crate::reach::reached;
use crate::remote::control::Control;
use crate::remote::core::Core;
use crate::remote::peer::Peer;
use odeon_core::ActivationId;
use odeon_core::supervision::{Exit, StopReason};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

/// Watches that a peer has ended without having been told that this is known, at the most.
const UNTOLD_MAX: usize = 4 * WATCHES_MAX;

/// All that one peer wants to know.
#[derive(Default)]
pub(in crate::remote) struct Watched(Mutex<State>);

#[derive(Default)]
struct State {
    watches: BTreeMap<u64, Watch>,
    /// Those that have ended, which the peer is to be told.
    unsaid: BTreeSet<u64>,
    /// The peer does not want these any more, which it is to be told that we know.
    forgotten: BTreeSet<u64>,
}

struct Watch {
    activation: ActivationId,
    /// What is watched, and the activation of the peer to which it is linked.
    port: Option<Weak<dyn Port>>,
    tied: Option<ActivationId>,
    /// Dropped with the watch; none before it has begun and after it has ended.
    watching: Option<Watching>,
    exit: Option<Exit>,
}

impl Watch {
    fn port(&self) -> Option<Arc<dyn Port>> {
        self.port.as_ref()?.upgrade()
    }
}

impl Watched {
    /// The peer wants to know of some, or says more of them.
    ///
    /// # Errors
    /// They are too many.
    pub(in crate::remote) fn want(
        &self,
        core: &Arc<Core>,
        peer: &Arc<Peer>,
        wishes: Vec<Wish>,
    ) -> Result<(), String> {
        for wish in wishes {
            let is_new = {
                let state = self.0.lock();
                let is_new = !state.watches.contains_key(&wish.id);
                if is_new && state.watches.len() >= WATCHES_MAX {
                    return Err(format!("more than {WATCHES_MAX} watches"));
                }
                is_new
            };
            if is_new {
                self.begin(core, peer, &wish);
            }
            if let Some(why) = wish.severed {
                self.sever(peer, wish.id, why);
            }
        }
        Ok(())
    }

    fn begin(&self, core: &Arc<Core>, peer: &Arc<Peer>, wish: &Wish) {
        let id = wish.id;
        let inlet = core.inlet((peer, 0), wish.service, wish.key.as_deref(), 0).ok();
        let Some(port) = inlet.and_then(|inlet| inlet.port()) else {
            // as on one node: there is none
            let exit = Some(Exit::Stopped { reason: StopReason::Shutdown });
            let watch = Watch { activation: ActivationId(0), port: None, tied: None, watching: None, exit };
            let mut state = self.0.lock();
            state.watches.insert(id, watch);
            state.unsaid.insert(id);
            drop(state);
            return peer.teller.remind();
        };
        let watch = Watch {
            activation: port.id(),
            port: Some(Arc::downgrade(&port)),
            tied: wish.tied.map(ActivationId),
            watching: None,
            exit: None,
        };
        self.0.lock().watches.insert(id, watch);
        let told = Arc::downgrade(peer);
        let tell = move |exit: &Exit| {
            if let Some(peer) = told.upgrade() {
                peer.watched.ended(id, exit);
                peer.teller.remind();
            }
        };
        // it may have ended, and be told at once
        let watching = belongings::watch(&*port, Box::new(tell));
        let mut state = self.0.lock();
        let begun = state.watches.get_mut(&id).filter(|watch| watch.exit.is_none());
        let unused = match begun {
            Some(watch) => watch.watching.replace(watching),
            None => Some(watching),
        };
        drop(state);
        drop(unused);
    }

    fn ended(&self, id: u64, exit: &Exit) {
        let mut state = self.0.lock();
        let Some(watch) = state.watches.get_mut(&id) else { return };
        watch.exit = Some(exit.clone());
        let watching = watch.watching.take();
        state.unsaid.insert(id);
        drop(state);
        drop(watching);
    }

    /// The peer's end of a link has ended abnormally.
    fn sever(&self, peer: &Peer, id: u64, why: String) {
        let tied = {
            let state = self.0.lock();
            let watch = state.watches.get(&id).filter(|watch| watch.exit.is_none());
            watch.and_then(|watch| Some((watch.port()?, watch.tied?)))
        };
        if let Some((port, to)) = tied {
            reached!(SEVERED);
            port.fail(Exit::Linked { to, why: format!("{why} (on {})", peer.node) });
        }
    }

    /// The peer does not want to know any more.
    ///
    /// # Errors
    /// It does not read that this is known.
    pub(in crate::remote) fn unwatch(&self, ids: Vec<u64>) -> Result<(), String> {
        let mut state = self.0.lock();
        let mut dropped = Vec::new();
        for id in &ids {
            dropped.extend(state.watches.remove(id));
            state.unsaid.remove(id);
        }
        state.forgotten.extend(ids);
        let untold = state.forgotten.len();
        drop(state);
        drop(dropped);
        if untold > UNTOLD_MAX {
            return Err(format!("{untold} watches have ended, and it does not read that this is known"));
        }
        Ok(())
    }

    /// A new connection: what has ended is said again.
    pub(in crate::remote) fn reconnected(&self) {
        let mut state = self.0.lock();
        let State { watches, unsaid, forgotten } = &mut *state;
        *unsaid = watches.iter().filter(|(_, watch)| watch.exit.is_some()).map(|(id, _)| *id).collect();
        // the peer asks again
        forgotten.clear();
    }

    /// What is to be said now.
    pub(in crate::remote) fn take(&self) -> Vec<Control> {
        let mut state = self.0.lock();
        let State { watches, unsaid, forgotten } = &mut *state;
        let seen = std::mem::take(unsaid).into_iter().filter_map(|id| {
            let watch = watches.get(&id)?;
            let exit = rmp_serde::to_vec_named(watch.exit.as_ref()?).unwrap_or_default().into();
            Some(Seen { id, activation: watch.activation.0, exit })
        });
        let (seen, forgotten) = (seen.collect::<Vec<_>>(), std::mem::take(forgotten));
        let seen = seen.chunks(SAID_MAX).map(|seen| Control::Seen(seen.to_vec()));
        let forgotten = Vec::from_iter(forgotten);
        let forgotten = forgotten.chunks(SAID_MAX).map(|ids| Control::Unwatched(ids.to_vec()));
        seen.chain(forgotten).collect()
    }

    /// The session is over: what was linked to activations of the peer ends as if they had.
    pub(in crate::remote) fn end(&self, down: &Exit) {
        let watches = std::mem::take(&mut self.0.lock().watches);
        for watch in watches.into_values().filter(|watch| watch.exit.is_none()) {
            if let (Some(port), Some(to)) = (watch.port(), watch.tied) {
                port.fail(Exit::Linked { to, why: down.to_string() });
            }
        }
    }
}
