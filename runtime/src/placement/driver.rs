//! Follows what the cluster group says and makes it so here. One at a time, as a part of the node; without it nothing
//! that is placed begins, moves or ends.

use super::handoff::Giving;
use super::news::changes;
use super::{Place, Placed, Placement};
use crate::cell::port::Port;
use crate::membership::{Membership, Standing};
use crate::reach::reached;
use crate::remote::Links;
use crate::telemetry::events::{Event, Events};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use odeon_core::membership::{MemberState, View};
use odeon_core::placement::{SlotId, Table};
use odeon_core::supervision::StopReason;
use odeon_core::{NodeId, ServiceName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// How often somebody looks while messages wait for a receiver that is nowhere.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How often it is looked whether a node is reached by now.
const REACHED_EVERY: Duration = Duration::from_millis(50);
/// How often otherwise, if nothing happens.
const REST: Duration = Duration::from_millis(500);

type Slots = BTreeMap<ServiceName, BTreeSet<SlotId>>;

/// Runs as long as the node.
pub(crate) async fn run(placement: Arc<Placement>, membership: Membership, links: Links) {
    let mut driver = Driver {
        placement,
        views: membership.views(),
        membership,
        links,
        seen: Arc::default(),
        acts: false,
        settled: None,
        put_off: None,
        mine: Slots::new(),
    };
    driver.run().await;
}

/// What somebody does meanwhile.
enum Done {
    /// A slot's line is empty, or its receiver is nowhere again.
    Emptied,
    /// Slots were given, or shall not be any more.
    Given,
}

type Doing = FuturesUnordered<BoxFuture<'static, Done>>;

struct Driver {
    placement: Arc<Placement>,
    membership: Membership,
    links: Links,
    views: watch::Receiver<Arc<View>>,
    /// The last view that was looked at.
    seen: Arc<View>,
    /// Whether this node acted as a member then.
    acts: bool,
    /// What was so when all was as it should be: the epoch, whether this node acts as a member, how often its lease had
    /// ended before, and of how many services.
    settled: Option<(u64, bool, u64, usize)>,
    /// Something is given away once its next owner is reached. It was not at this number of changes of links.
    put_off: Option<u64>,
    /// The slots in which this node may have activations.
    mine: Slots,
}

impl Driver {
    async fn run(&mut self) {
        let mut doing = Doing::new();
        loop {
            let view = self.views.borrow_and_update().clone();
            self.look(&view, &doing);
            self.empty_lines(&doing);
            let after = self.pause();
            tokio::select! {
                biased;
                Some(done) = doing.next(), if !doing.is_empty() => {
                    let mut last = Some(done);
                    // lines are emptied in their hundreds: all of them are looked at once
                    while let Some(done) = last {
                        if matches!(done, Done::Given) {
                            self.settled = None;
                        }
                        last = doing.next().now_or_never().flatten();
                    }
                }
                changed = self.views.changed() => if changed.is_err() { return },
                () = self.placement.look.notified() => {}
                () = self.placement.fence.opened.notified() => {}
                () = sleep(after) => {}
            }
        }
    }

    /// How long nothing need be done if nothing happens.
    fn pause(&self) -> Duration {
        if !self.placement.lines.are_empty() {
            return LOOK_EVERY;
        }
        let rest = if self.put_off.is_some() { REACHED_EVERY } else { REST };
        self.membership.lease_left().map_or(rest, |left| left.min(rest))
    }

    fn look(&mut self, view: &Arc<View>, doing: &Doing) {
        if view.epoch != self.seen.epoch {
            let (epoch, (members, slots)) = (view.epoch, changes(&self.seen, view, self.membership.node()));
            let members = members.map(|changes| Event::View { epoch, changes });
            let slots = slots.map(|changes| Event::Slots { epoch, changes });
            members.iter().chain(&slots).for_each(|event| self.membership.events().note(event));
            self.seen = view.clone();
            self.links.cast_out(view.gone.iter().map(|(name, gone)| (name, gone.incarnation)));
            // whoever knows where something is looks again
            self.links.note_change();
            for (name, service) in &*self.placement.services.lock() {
                let table = view.tables.get(name);
                service.forget(&|slot| since(table.map(|table| &**table), slot, self.membership.node()));
            }
        }
        let acts = self.membership.may_act() && self.membership.standing() == Standing::Member;
        if std::mem::replace(&mut self.acts, acts) != acts {
            self.membership.events().note(&Event::Lease { holds: acts });
        }
        let services = self.placement.services.lock().clone();
        let is_reached = self.put_off.is_some_and(|then| then != self.links.changes());
        if self.placement.unsettled.swap(false, SeqCst) || is_reached {
            self.settled = None;
        }
        let now = Some((view.epoch, acts, self.membership.lapses(), services.len()));
        if std::mem::replace(&mut self.settled, now) == now {
            return;
        }
        let mine = if acts { owned(view, &services, self.membership.node()) } else { Slots::new() };
        for (name, before) in &self.mine {
            let now = mine.get(name);
            let lost: BTreeSet<SlotId> =
                before.iter().filter(|slot| !now.is_some_and(|now| now.contains(slot))).copied().collect();
            if let Some(service) = services.get(name).filter(|_| !lost.is_empty()) {
                end(self.membership.events(), &**service, &lost);
            }
        }
        self.mine = mine;
        self.put_off = None;
        if !acts {
            return;
        }
        for name in self.mine.keys() {
            if !services[name].begin() {
                self.settled = None;
            }
        }
        self.give(view, &services, doing);
    }

    /// Whether what others shall have can be carried there now. Whoever drains tries it at once: it has little time.
    fn reaches(&self, view: &View, to: &NodeId) -> bool {
        let drains = || {
            let me = view.member(self.membership.node());
            me.is_some_and(|member| member.state == MemberState::Draining)
        };
        let link = self.links.status_of(&to.name);
        link.is_some_and(|link| link.connected && link.node == *to && link.suspect.is_none()) || drains()
    }

    /// Begins to give away what others shall have.
    fn give(&mut self, view: &View, services: &BTreeMap<ServiceName, Arc<dyn Placed>>, doing: &Doing) {
        let changes = self.links.changes();
        for (name, service) in services {
            let Some(table) = view.tables.get(name) else { continue };
            for (to, mut slots) in table.moving_from(self.membership.node()) {
                // those that were to go to another node until now are still on their way
                slots.retain(|(slot, _)| !self.placement.is_given(name, *slot));
                if slots.is_empty() {
                    continue;
                }
                if !self.reaches(view, to) {
                    // what runs goes on meanwhile
                    reached!(HANDOFF_PUT_OFF);
                    self.put_off = Some(changes);
                    continue;
                }
                reached!(HANDOFF);
                let giving = Giving {
                    placement: self.placement.clone(),
                    membership: self.membership.clone(),
                    exchange: self.links.exchange(),
                    service: service.clone(),
                    to: to.clone(),
                };
                let given = giving.run(slots.into_iter().collect());
                doing.push(Box::pin(async move {
                    given.await;
                    Done::Given
                }));
            }
        }
    }

    fn empty_lines(&self, doing: &Doing) {
        if self.placement.lines.are_empty() {
            return;
        }
        let why = |service: &ServiceName, slot| match self.placement.place(service, slot) {
            Place::Nowhere(problem) => problem,
            Place::Here | Place::There(..) => "its node cannot be reached",
        };
        let now = Instant::now();
        self.placement.lines.expire(now, why);
        for slot in self.placement.lines.waiting(now) {
            if matches!(self.placement.place(&slot.0, slot.1), Place::Nowhere(_)) {
                continue;
            }
            let placement = self.placement.clone();
            doing.push(Box::pin(async move {
                placement.lines.empty(&slot).await;
                Done::Emptied
            }));
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // nobody looks after them any more
        for service in self.placement.services.lock().values() {
            kill(service.cells(None));
        }
    }
}

/// The slots of each service that a node owns.
fn owned(view: &View, services: &BTreeMap<ServiceName, Arc<dyn Placed>>, node: &NodeId) -> Slots {
    let of = |name: &ServiceName| {
        let slots: BTreeSet<SlotId> = view.tables.get(name)?.slots_of(node).collect();
        (!slots.is_empty()).then(|| (name.clone(), slots))
    };
    services.keys().filter_map(of).collect()
}

/// Ends what runs in slots that are not this node's any more.
fn end(events: &Events, service: &dyn Placed, lost: &BTreeSet<SlotId>) {
    let cells = service.cells(Some(lost));
    if !cells.is_empty() {
        reached!(SLOTS_LOST);
        let name = service.service();
        events.note(&Event::SlotsLost { service: name.clone(), activations: cells.len() });
    }
    kill(cells);
    service.lose(lost);
}

/// Since which epoch a slot is not a node's, if it is not. A node that has not heard of a table yet may have been given
/// what belongs to it.
fn since(table: Option<&Table>, slot: SlotId, node: &NodeId) -> Option<u64> {
    let found = table?.slot(slot)?;
    (found.owner != Some(node)).then_some(found.epoch)
}

fn kill(cells: Vec<Arc<dyn Port>>) {
    for cell in cells {
        // without it the supervisor would begin them again
        cell.stop(StopReason::Shutdown);
        cell.kill();
    }
}

/// Waits until a node that drains has given away what others can have.
pub(crate) async fn drained(membership: &Membership) {
    let _ = membership.views().wait_for(|view| view.is_drained(membership.node())).await;
}
