//! What this node wants to know of a peer's activations.

use super::{SAID_MAX, Seen, WATCHES_MAX};
use crate::reach::reached;
use crate::remote::control::Control;
use crate::remote::peer::Peer;
use crate::remote::target::Target;
use odeon_core::ActivationId;
use odeon_core::supervision::Exit;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Weak};

/// Called once, with how the other has ended and which activation it was, if it was one.
pub(crate) type Teller = Box<dyn FnOnce(&Exit, Option<ActivationId>) + Send>;

/// What is to be watched. A later one with the same id says more of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::remote) struct Wish {
    pub(super) id: u64,
    pub(super) service: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<Arc<str>>,
    /// The activation at this end, if the two are linked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tied: Option<u64>,
    /// How that has ended: the other is to end, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) severed: Option<String>,
}

/// All that is wanted of one peer.
#[derive(Default)]
pub(in crate::remote) struct Wanted(Mutex<State>);

#[derive(Default)]
struct State {
    last: u64,
    watches: BTreeMap<u64, (Wish, Teller)>,
    /// What the peer is not known to have heard over this connection.
    unsaid: BTreeSet<u64>,
    /// What is not wanted any more, until the peer has said that it knows; true: said over this connection.
    withdrawn: BTreeMap<u64, bool>,
    /// The session is over.
    over: Option<Exit>,
}

impl Wanted {
    fn add(
        &self,
        service: u32,
        key: Option<Arc<str>>,
        tied: Option<ActivationId>,
        tell: Teller,
    ) -> Option<u64> {
        let mut state = self.0.lock();
        let problem = match &state.over {
            Some(exit) => Some(exit.clone()),
            None if state.watches.len() >= WATCHES_MAX => {
                Some(Exit::Unwatched { problem: format!("{WATCHES_MAX} are watched on that node already") })
            }
            None => None,
        };
        if let Some(exit) = problem {
            drop(state);
            tell(&exit, None);
            return None;
        }
        state.last += 1;
        let id = state.last;
        let wish = Wish { id, service, key, tied: tied.map(|tied| tied.0), severed: None };
        state.watches.insert(id, (wish, tell));
        state.unsaid.insert(id);
        Some(id)
    }

    fn withdraw(&self, id: u64) {
        let mut state = self.0.lock();
        let withdrawn = state.watches.remove(&id);
        if withdrawn.is_some() {
            reached!(WITHDRAWN);
            state.unsaid.remove(&id);
            state.withdrawn.insert(id, false);
        }
        // what it holds is dropped outside of the lock
        drop(state);
        drop(withdrawn);
    }

    fn sever(&self, id: u64, why: String) {
        let mut state = self.0.lock();
        if let Some((wish, _)) = state.watches.get_mut(&id) {
            wish.severed = Some(why);
            state.unsaid.insert(id);
        }
    }

    /// A new connection: what the peer may not have heard is said again.
    pub(in crate::remote) fn reconnected(&self) {
        let mut state = self.0.lock();
        state.unsaid = state.watches.keys().copied().collect();
        if !state.unsaid.is_empty() {
            reached!(SAID_AGAIN);
        }
        state.withdrawn.values_mut().for_each(|said| *said = false);
    }

    /// What is to be said now.
    pub(in crate::remote) fn take(&self) -> Vec<Control> {
        let mut state = self.0.lock();
        let State { watches, unsaid, withdrawn, .. } = &mut *state;
        let wishes: Vec<Wish> =
            std::mem::take(unsaid).iter().filter_map(|id| Some(watches.get(id)?.0.clone())).collect();
        let mut gone = Vec::new();
        for (id, said) in withdrawn.iter_mut().filter(|(_, said)| !**said) {
            *said = true;
            gone.push(*id);
        }
        let wishes = wishes.chunks(SAID_MAX).map(|wishes| Control::Watch(wishes.to_vec()));
        let gone = gone.chunks(SAID_MAX).map(|gone| Control::Unwatch(gone.to_vec()));
        // what is withdrawn makes room for what is new
        gone.chain(wishes).collect()
    }

    /// The peer has seen some end.
    pub(in crate::remote) fn seen(&self, seen: Vec<Seen>) {
        for seen in seen {
            let watch = {
                let mut state = self.0.lock();
                if seen.id > state.last {
                    // nobody has asked for it: a peer must not make this node remember what it invents
                    continue;
                }
                state.unsaid.remove(&seen.id);
                state.withdrawn.insert(seen.id, false);
                state.watches.remove(&seen.id)
            };
            if watch.is_none() {
                reached!(CROSSED);
            }
            if let Some((_, tell)) = watch {
                reached!(TOLD);
                let exit = rmp_serde::from_slice(&seen.exit).unwrap_or_else(|_| Exit::Failed {
                    problem: "in a way that this version does not know".into(),
                });
                tell(&exit, Some(ActivationId(seen.activation)));
            }
        }
    }

    /// The peer knows that these are not wanted any more.
    pub(in crate::remote) fn forgotten(&self, ids: &[u64]) {
        let mut state = self.0.lock();
        for id in ids {
            state.withdrawn.remove(id);
        }
    }

    /// Whether anything is wanted.
    pub(in crate::remote) fn is_empty(&self) -> bool {
        self.0.lock().watches.is_empty()
    }

    /// How many are wanted.
    pub(in crate::remote) fn len(&self) -> usize {
        self.0.lock().watches.len()
    }

    /// The session is over: nothing more will be heard of the peer's activations.
    pub(in crate::remote) fn end(&self, exit: &Exit) {
        let watches = {
            let mut state = self.0.lock();
            state.over = Some(exit.clone());
            std::mem::take(&mut state.watches)
        };
        for (_, tell) in watches.into_values() {
            reached!(NODE_DOWN);
            tell(exit, None);
        }
    }
}

/// A watch of an activation on another node. Dropping it takes it back.
#[must_use = "a watch is taken back when this is dropped"]
pub(crate) struct RemoteWatch {
    peer: Weak<Peer>,
    /// None for one that is over, or goes on by itself.
    id: Option<u64>,
}

impl fmt::Debug for RemoteWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteWatch({:?})", self.id)
    }
}

impl RemoteWatch {
    /// This end of a link has ended abnormally: so shall the other.
    pub(crate) fn sever(mut self, why: String) {
        if let (Some(id), Some(peer)) = (self.id.take(), self.peer.upgrade()) {
            peer.wanted_watches.sever(id, why);
            peer.teller.remind();
        }
    }
}

impl Drop for RemoteWatch {
    fn drop(&mut self) {
        if let (Some(id), Some(peer)) = (self.id, self.peer.upgrade()) {
            peer.wanted_watches.withdraw(id);
            peer.teller.remind();
        }
    }
}

impl Target {
    /// Tells once how the activation behind it ends: the one that is there when the peer hears of this. `tied` is an
    /// activation of this node that shall end with it.
    pub(crate) fn watch(&self, tied: Option<ActivationId>, tell: Teller) -> RemoteWatch {
        let id = self.peer.wanted_watches.add(self.service_number().0, self.key.clone(), tied, tell);
        self.peer.teller.remind();
        if !self.peer.is_up() {
            self.peer.wanted.remind();
        }
        RemoteWatch { peer: Arc::downgrade(&self.peer), id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use odeon_core::supervision::StopReason;

    fn add(wanted: &Wanted, told: &Arc<Mutex<Vec<String>>>) -> u64 {
        let told = told.clone();
        let tell = Box::new(move |exit: &Exit, _| told.lock().push(exit.to_string()));
        wanted.add(3, Some("key".into()), None, tell).expect("the session goes on")
    }

    fn ids(said: &[Control]) -> (Vec<u64>, Vec<u64>) {
        let (mut watch, mut unwatch) = (Vec::new(), Vec::new());
        for control in said {
            match control {
                Control::Watch(wishes) => watch.extend(wishes.iter().map(|wish| wish.id)),
                Control::Unwatch(gone) => unwatch.extend(gone),
                other => panic!("{other:?}"),
            }
        }
        (watch, unwatch)
    }

    fn seen(id: u64) -> Seen {
        let exit = Exit::Stopped { reason: StopReason::Own };
        Seen { id, activation: 9, exit: rmp_serde::to_vec_named(&exit).expect("it can be written").into() }
    }

    #[test]
    fn what_was_not_confirmed_is_said_again_over_the_next_connection_and_told_once() {
        let (wanted, told) = (Wanted::default(), Arc::default());
        let (a, b) = (add(&wanted, &told), add(&wanted, &told));
        assert_eq!(ids(&wanted.take()), (vec![a, b], vec![]));
        assert_eq!(ids(&wanted.take()), (vec![], vec![]));
        wanted.withdraw(b);
        assert_eq!(ids(&wanted.take()), (vec![], vec![b]));
        wanted.reconnected();
        assert_eq!(ids(&wanted.take()), (vec![a], vec![b]));
        wanted.seen(vec![seen(a), seen(b), seen(b + 1)]);
        wanted.seen(vec![seen(a)]);
        assert_eq!(*told.lock(), ["stopped (Own)"], "{b} was withdrawn");
        assert_eq!(ids(&wanted.take()), (vec![], vec![a, b]), "that it is known is said");
        wanted.forgotten(&[a, b]);
        wanted.reconnected();
        assert_eq!(ids(&wanted.take()), (vec![], vec![]));
    }

    #[test]
    fn the_end_of_the_session_is_told_to_all_and_to_those_who_come_later() {
        let (wanted, told) = (Wanted::default(), Arc::default());
        let id = add(&wanted, &told);
        wanted.sever(id, "it failed".into());
        let [Control::Watch(wishes)] = &wanted.take()[..] else { panic!("one message") };
        assert_eq!(wishes[0].severed.as_deref(), Some("it failed"));
        let down = Exit::NodeDown { node: "mars@1".into(), problem: "silence".into() };
        wanted.end(&down);
        let late = told.clone();
        let tell = Box::new(move |exit: &Exit, _| late.lock().push(exit.to_string()));
        assert_eq!(wanted.add(3, None, None, tell), None);
        assert_eq!(*told.lock(), vec![down.to_string(); 2]);
    }
}
