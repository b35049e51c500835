//! Whoever depends on another activation learns how it ends, or ends with it.

use super::address::Address;
use crate::cell::belongings;
use crate::cell::port::Port;
use crate::cell::watchers::Watching;
use crate::remote::{RemoteWatch, Target};
use crate::service::message::Message;
use odeon_core::ActivationId;
use odeon_core::supervision::{Exit, StopReason};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Ends when the activation behind the address does, with how; at once if there is none. Dropping it takes the watch
/// back.
pub(crate) fn watch<M: Message>(address: &Address<M>) -> impl Future<Output = Exit> + Send + use<M> {
    let (sender, receiver) = oneshot::channel();
    // a watcher that ended does not want to know
    let tell = move |exit: &Exit| drop(sender.send(exit.clone()));
    let seen = match address.elsewhere() {
        Some(target) => Some(Seeing::There(target.watch(None, Box::new(move |exit, _| tell(exit))))),
        None => address.find().map(|handle| Seeing::Here(belongings::watch(&*handle.port(), Box::new(tell)))),
    };
    let seen = seen.map(|watching| (receiver, watching));
    async move {
        let none = Exit::Stopped { reason: StopReason::Shutdown };
        match seen {
            Some((receiver, _watching)) => receiver.await.unwrap_or(none),
            None => none,
        }
    }
}

/// A watch, here or there.
#[allow(dead_code, reason = "it is held until it is dropped")]
enum Seeing {
    Here(Watching),
    There(RemoteWatch),
}

/// Ties two activations: the abnormal end of one ends the other.
pub(crate) fn link<M: Message>(own: &Arc<dyn Port>, address: &Address<M>) {
    if let Some(target) = address.elsewhere() {
        tie_far(own, &target);
    } else if let Some(other) = address.find() {
        tie(own, &other.port());
    }
}

/// The watches of a link to an activation of another node.
#[derive(Default)]
enum Cord {
    #[default]
    BeingTied,
    #[allow(dead_code, reason = "it is held until it is dropped")]
    Tied(Watching, RemoteWatch),
    /// With how this end has ended, if that was abnormal.
    Broken(Option<String>),
}

/// See [`link`].
fn tie_far(own: &Arc<dyn Port>, target: &Target) {
    let cord = Arc::new(Mutex::new(Cord::default()));
    let (tied, theirs) = (Arc::downgrade(own), cord.clone());
    let other_ends = move |exit: &Exit, other: Option<ActivationId>| {
        let was = std::mem::replace(&mut *theirs.lock(), Cord::Broken(None));
        if !matches!(was, Cord::Broken(_))
            && !exit.is_normal()
            && let Some(tied) = tied.upgrade()
        {
            tied.fail(Exit::Linked { to: other.unwrap_or(ActivationId(0)), why: exit.to_string() });
        }
    };
    let far = target.watch(Some(own.id()), Box::new(other_ends));
    let ours = cord.clone();
    let own_ends = move |exit: &Exit| {
        let why = (!exit.is_normal()).then(|| exit.to_string());
        let was = std::mem::replace(&mut *ours.lock(), Cord::Broken(why.clone()));
        if let (Cord::Tied(_, far), Some(why)) = (was, why) {
            far.sever(why);
        }
    };
    let near = belongings::watch(&**own, Box::new(own_ends));
    let mut state = cord.lock();
    match std::mem::take(&mut *state) {
        Cord::Broken(Some(why)) => {
            drop(state);
            far.sever(why);
        }
        // one of the two has ended: neither is watched any more
        Cord::Broken(None) => drop(state),
        Cord::BeingTied | Cord::Tied(..) => *state = Cord::Tied(near, far),
    }
}

/// The watches of a link. The end of either activation is the end of the link: what it ends must not end its
/// successor, and the other must not keep its watch for ever.
#[derive(Default)]
struct Knot(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    BeingTied,
    Tied([Watching; 2]),
    Broken,
}

impl Knot {
    fn hold(&self, watches: [Watching; 2]) {
        let mut state = self.0.lock();
        // if it is broken already, they are dropped after the lock
        if matches!(*state, State::BeingTied) {
            *state = State::Tied(watches);
        }
    }

    /// Takes both watches back. True, for the first who says so, if the activation at the other end still lives.
    fn break_up(&self, other: usize) -> bool {
        let was = std::mem::replace(&mut *self.0.lock(), State::Broken);
        match was {
            State::BeingTied => true,
            State::Tied(watches) => !watches[other].is_over(),
            State::Broken => false,
        }
    }
}

/// See [`link`].
pub(crate) fn tie(own: &Arc<dyn Port>, other: &Arc<dyn Port>) {
    if own.id() == other.id() {
        return;
    }
    let knot = Arc::new(Knot::default());
    let watch = |watched: &Arc<dyn Port>, tied: &Arc<dyn Port>, other: usize| {
        let (to, tied, knot) = (watched.id(), Arc::downgrade(tied), knot.clone());
        let pass_on = move |exit: &Exit| {
            if knot.break_up(other)
                && !exit.is_normal()
                && let Some(tied) = tied.upgrade()
            {
                tied.fail(Exit::Linked { to, why: exit.to_string() });
            }
        };
        belongings::watch(&**watched, Box::new(pass_on))
    };
    knot.hold([watch(own, other, 1), watch(other, own, 0)]);
}
