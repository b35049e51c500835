//! Calls by names and bytes of services that this node has not, but its peers: how HTTP and the command line reach every
//! service of a cluster through any node.
//!
//! Nothing is decoded here: bytes go to the owner as they came, and its decoder is their validation. A call of a cast is
//! answered as soon as the owner has let it in, so that it is refused there as it would be here.

use super::control::Offer;
use super::core::Core;
use super::providers::{Rota, Standing};
use super::target::{Target, Wanted};
use crate::cell::Tick;
use crate::directory::{
    Locator, RawCall, RawRequest, ServiceDescription, ServiceKind, check_locator, is_left, passes,
};
use crate::placement::{self, Place};
use crate::reach::reached;
use crate::service::contract::ContractVersion;
use crate::service::letter::Letter;
use crate::service::reply::{RawOutcome, RawReply};
use futures_util::future::BoxFuture;
use odeon_core::wire::envelope::CallId;
use odeon_core::{NodeId, Refusal, ServiceName, UnknownCause};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// So many ways are kept though nobody is on them. The next call of a receiver whose way was forgotten finds it anew.
const IDLE_MAX: usize = 4_096;

/// How often a call is sent that one node after another could not take.
const ELSEWHERE_TRIES: u32 = 3;
/// What was not executed is sent again after this time.
const AGAIN_AFTER: Duration = Duration::from_millis(5);

/// A service of other nodes, by names and bytes. A handle: cheap to clone.
#[derive(Clone)]
pub struct Elsewhere {
    core: Arc<Core>,
    service: ServiceName,
    /// What one of those that have it says of it: the latest version that can be reached.
    told: Arc<Offer>,
}

/// What other nodes tell of a service, and which of them have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedService {
    /// Its name.
    pub name: ServiceName,
    /// How it is addressed.
    pub kind: ServiceKind,
    /// The contract's name on the wire.
    pub contract: String,
    /// The contract's version.
    pub version: ContractVersion,
    /// The names of the contract's methods, in order.
    pub methods: Vec<String>,
    /// The nodes that have it under this contract and version, by name: one at least.
    pub nodes: Vec<NodeId>,
}

/// What calls by name go by. Both are found out again after a change.
#[derive(Default)]
pub(super) struct Ways {
    /// What is told of each service, and the number of changes by then.
    told: Mutex<(u64, Arc<Told>)>,
    kept: Mutex<Kept>,
}

/// Calls of one receiver go the same way: together they keep to its window, and none overtakes another that was sent
/// before it.
#[derive(Default)]
struct Kept {
    ways: BTreeMap<(ServiceName, Option<Arc<str>>), Arc<Way>>,
    /// At so many it is time to forget those that nobody is on.
    tidy_at: usize,
}

type Told = BTreeMap<ServiceName, (Arc<Offer>, bool)>;

/// The way to one receiver, for callers who were told what stands beside it.
#[derive(Default)]
struct Way(Mutex<Option<(Arc<Offer>, Rota)>>);

impl Ways {
    fn to(&self, service: &ServiceName, key: Option<&Arc<str>>) -> Arc<Way> {
        let mut kept = self.kept.lock();
        let Kept { ways, tidy_at } = &mut *kept;
        let receiver = (service.clone(), key.cloned());
        if let Some(way) = ways.get(&receiver) {
            return way.clone();
        }
        if ways.len() >= (*tidy_at).max(IDLE_MAX) {
            ways.retain(|_, way| Arc::strong_count(way) > 1);
            // with many on their way, not again for each that comes
            *tidy_at = 2 * ways.len();
        }
        ways.entry(receiver).or_default().clone()
    }
}

impl Core {
    /// A service that peers offer, if any does.
    pub(crate) fn elsewhere(self: &Arc<Self>, service: &ServiceName) -> Option<Elsewhere> {
        let (told, _) = self.told_of_services().get(service)?.clone();
        Some(Elsewhere { core: self.clone(), service: service.clone(), told })
    }

    /// A stateless service that is this one, if it is ready at a peer that can be reached and has a method; where so many
    /// messages wait for its instances here, at one to which far less is under way.
    pub(crate) fn ready_elsewhere(
        self: &Arc<Self>,
        wanted: &ServiceDescription,
        method: &str,
        waiting: Option<u32>,
    ) -> Option<Elsewhere> {
        let is_it = |offer: &Offer| {
            let (contract, major) = (wanted.contract, wanted.version.major);
            let is_same = offer.contract == contract && offer.major == major;
            is_same
                && offer.kind() == ServiceKind::Stateless
                && offer.methods.iter().any(|name| **name == *method)
        };
        let told = self.told_of_services();
        let (offer, is_ready) = told.get(&wanted.name)?;
        if !is_ready || !is_it(offer) {
            return None;
        }
        let others = Elsewhere { core: self.clone(), service: wanted.name.clone(), told: offer.clone() };
        let Some(waiting) = waiting else {
            reached!(SPILLED);
            return Some(others);
        };
        let way = self.ways.to(&others.service, None);
        let least = others.on(&way, None, |rota| rota.least().is_less_crowded(waiting));
        least.is_ok_and(|is_less| is_less).then(|| {
            reached!(CROWDED_OUT);
            others
        })
    }

    /// What is told of each service: by those that can be reached, if there are any, the latest version; and whether one
    /// of those that told that is ready.
    fn told_of_services(&self) -> Arc<Told> {
        let mut known = self.ways.told.lock();
        // what changes from here on is looked at again
        let number = self.changes.number();
        if known.0 != number {
            let mut best = BTreeMap::new();
            self.each_offer(|name, offer, _, standing| {
                let rank = (standing <= Standing::Suspect, offer.major, offer.minor);
                let is_ready = standing == Standing::Up;
                match best.get_mut(&name) {
                    Some((known, _, ready)) if *known == rank => *ready |= is_ready,
                    Some((known, ..)) if *known > rank => {}
                    _ => drop(best.insert(name, (rank, Arc::new(offer.clone()), is_ready))),
                }
            });
            let told = best.into_iter().map(|(name, (_, offer, ready))| (name, (offer, ready))).collect();
            *known = (number, Arc::new(told));
        }
        known.1.clone()
    }

    /// What peers that can be reached offer and this node has not, by name.
    pub(super) fn offered_elsewhere(&self) -> Vec<OfferedService> {
        let mut found = BTreeMap::new();
        self.each_offer(|name, offer, peer, standing| {
            if standing > Standing::Suspect || self.offers.has(&name) {
                return;
            }
            let version = ContractVersion { major: offer.major, minor: offer.minor };
            let one = (name.clone(), offer.contract.clone(), version);
            let service = found.entry(one).or_insert_with(|| OfferedService {
                name,
                kind: offer.kind(),
                contract: offer.contract.clone(),
                version,
                methods: offer.methods.clone(),
                nodes: Vec::new(),
            });
            service.nodes.push((*peer.node).clone());
        });
        found.into_values().collect()
    }
}

impl Elsewhere {
    /// Its name.
    pub fn service(&self) -> &ServiceName {
        &self.service
    }

    /// Calls it, as [`Dynamic::call`](crate::directory::Dynamic::call) does a service of this node. A call that has
    /// not left this node when its time is up is not executed; one that has is unknown.
    ///
    /// One that was not executed because its receiver is at another node by now, or at none yet, is sent again until its
    /// time is up, or its receiver is at this node; so is one that its node could not take, if it is placed. One of a service
    /// that is not is sent to other nodes, three times at most.
    pub fn call(&self, request: RawRequest) -> RawCall {
        let due = self.core.wheel.due(request.within);
        let first = self.begin(request.clone());
        let this = self.clone();
        Box::pin(async move {
            let mut outcome = this.outcome(first).await;
            let mut tries = 1;
            while let RawOutcome::NotExecuted(refusal) = &outcome {
                if !this.repeats(refusal, request.key.as_deref(), tries) || due.passed(this.core.wheel.now())
                {
                    break;
                }
                reached!(ASKED_AGAIN);
                tries += 1;
                this.core.wheel.sleep(AGAIN_AFTER).await;
                let within = due.until(this.core.wheel.now());
                outcome = this.outcome(this.begin(RawRequest { within, ..request.clone() })).await;
            }
            outcome
        })
    }

    /// Calls it once, whatever comes of that.
    pub(crate) fn call_once(&self, request: RawRequest) -> RawCall {
        let (this, begun) = (self.clone(), self.begin(request));
        Box::pin(async move { this.outcome(begun).await })
    }

    /// Whether what was refused so is sent again, after so many tries.
    fn repeats(&self, refusal: &Refusal, key: Option<&str>, tries: u32) -> bool {
        let left = is_left(refusal);
        if passes(refusal) || left && self.is_placed() {
            // what was at a node that is lost is placed anew
            return !self.is_here(key);
        }
        let rests = matches!(refusal, Refusal::Restarting | Refusal::StartFailed { .. });
        // another instance may be ready
        (left || rests && self.told.kind() == ServiceKind::Stateless) && tries < ELSEWHERE_TRIES
    }

    /// Whether the cluster group says where its receivers are.
    fn is_placed(&self) -> bool {
        let placement = self.core.node.upgrade().and_then(|node| node.placement.clone());
        self.told.kind() != ServiceKind::Stateless && placement.is_some_and(|p| p.has_table(&self.service))
    }

    /// Whether its receiver has come to this node.
    fn is_here(&self, key: Option<&str>) -> bool {
        let placement = self.core.node.upgrade().and_then(|node| node.placement.clone());
        placement.is_some_and(|placement| placement.place(&self.service, placement::slot(key)) == Place::Here)
    }

    async fn outcome(&self, begun: Result<Begun, Refusal>) -> RawOutcome {
        match begun {
            Ok(begun) => begun.end().await,
            Err(refusal) => RawOutcome::NotExecuted(refusal),
        }
    }

    fn begin(&self, request: RawRequest) -> Result<Begun, Refusal> {
        let locator = Locator { service: self.service.clone(), key: request.key.clone() };
        check_locator(&locator, self.told.keyed)?;
        let unknown = || Refusal::UnknownMethod {
            service: self.service.to_string(),
            method: request.method.to_string(),
        };
        let method = self.told.methods.iter().position(|name| **name == *request.method);
        let method = method.ok_or_else(unknown)?;
        let way = self.core.ways.to(&self.service, request.key.as_ref());
        let key = request.key.as_ref();
        let target = match self.on(&way, key, |rota| rota.next_having(method))? {
            Some(target) => target,
            // somebody may have it who is called only while nobody else can be
            None if self.told.kind() == ServiceKind::Stateless => {
                let having = Wanted::Having(&self.told, &request.method);
                self.core.find_for(&self.service, None, having, None)?.next_at_once()
            }
            None => return Err(unknown()),
        };
        let due = target.due(request.within);
        let header = request.header(due).with_awaited(true);
        let origin = Arc::new(request.origin());
        let (reply, answer) = RawReply::channel(request.arguments.encoding);
        let letter = Letter { method, arguments: request.arguments, reply: Some(reply) };
        let (call, room) = match target.send(header, Some(&origin), letter) {
            Ok(call) => (call, None),
            Err((_, Some(letter))) => {
                let room = target.clone().send_waiting(header, Some(origin), letter);
                (None, Some(Box::pin(room) as Room))
            }
            Err((refusal, None)) => return Err(refusal),
        };
        Ok(Begun { sent: Sent { target, call, _way: way }, room, answer, due })
    }

    /// Asks those who are called on this way.
    ///
    /// # Errors
    /// Nobody is.
    fn on<T>(
        &self,
        way: &Way,
        key: Option<&Arc<str>>,
        ask: impl FnOnce(&mut Rota) -> T,
    ) -> Result<T, Refusal> {
        let mut way = way.0.lock();
        // to somebody who was told something else, methods have other numbers
        let last = way.take().filter(|(told, _)| *told == self.told).map(|(_, rota)| rota);
        let mut rota = match last {
            Some(rota) if rota.is_right() => rota,
            last => self.core.find_for(&self.service, key, Wanted::Told(&self.told), last.as_ref())?,
        };
        let asked = ask(&mut rota);
        *way = Some((self.told.clone(), rota));
        Ok(asked)
    }
}

/// Waits for room on the way to a peer; ends with the call's number, or why it did not go.
type Room = BoxFuture<'static, Result<Option<CallId>, Refusal>>;

/// A call that was sent, or waits for that.
struct Begun {
    sent: Sent,
    room: Option<Room>,
    answer: oneshot::Receiver<RawOutcome>,
    due: Tick,
}

impl Begun {
    async fn end(mut self) -> RawOutcome {
        if let Some(room) = self.room {
            match room.await {
                Ok(call) => self.sent.call = call,
                Err(refusal) => return RawOutcome::NotExecuted(refusal),
            }
        }
        let sent = self.sent;
        tokio::select! {
            biased;
            outcome = self.answer => outcome.unwrap_or(RawOutcome::Unknown(UnknownCause::Unanswered)),
            () = sent.target.wheel().sleep_until(self.due) => match sent.cancel() {
                Some(refusal) => RawOutcome::NotExecuted(refusal),
                None => RawOutcome::Unknown(UnknownCause::TimedOut),
            },
        }
    }
}

/// A call that somebody waits for. Whoever drops it waits no more, and the handler is told; one that was answered is
/// over already.
struct Sent {
    target: Arc<Target>,
    call: Option<CallId>,
    /// Kept as long as somebody is on it.
    _way: Arc<Way>,
}

impl Sent {
    /// Nobody waits any more. Gives back why it did not run, if it was never sent, and will not be.
    fn cancel(mut self) -> Option<Refusal> {
        self.target.cancel(self.call.take()?)
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        if let Some(call) = self.call {
            self.target.cancel(call);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_kept_while_somebody_is_on_it_and_so_are_the_last_ones() {
        let (ways, service) = (Ways::default(), "shop".parse().expect("a name"));
        let to = |number: usize| ways.to(&service, Some(&number.to_string().into()));
        let on: Vec<_> = (0..10).map(to).collect();
        for number in 10..3 * IDLE_MAX {
            assert!(Arc::ptr_eq(&to(number), &to(number)), "it is kept");
            assert!(ways.kept.lock().ways.len() <= IDLE_MAX);
        }
        assert!((0..10).all(|number| Arc::ptr_eq(&to(number), &on[number])), "somebody is on it");
        let many: Vec<_> = (0..2 * IDLE_MAX).map(to).collect();
        assert!((0..2 * IDLE_MAX).all(|number| Arc::ptr_eq(&to(number), &many[number])));
    }
}
