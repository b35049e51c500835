//! How nodes learn of the members that others have: each tells its peers on control what has changed in its list, and
//! over each new connection the number of that. Whoever has missed something, or hears of a later number by gossip, asks.

use super::control::Control;
use super::core::Core;
use super::peer::Peer;
use super::target::{Spoken, Target, Wanted};
use crate::reach::reached;
use crate::topics::Topics;
use odeon_core::topics::News;
use odeon_core::wire::handshake::Features;
use odeon_core::{NodeId, Refusal, ServiceName};
use parking_lot::Mutex;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What changes within this time is told at once.
const TELL_EVERY: Duration = Duration::from_millis(50);

/// What is said to one peer of lists of members, and heard from it.
pub(super) struct Groups {
    topics: Arc<Topics>,
    node: NodeId,
    /// The peer understands what is said of them.
    is_able: AtomicBool,
    desk: Mutex<Desk>,
}

#[derive(Default)]
struct Desk {
    /// The number of our list that the peer knows, or will once it has what was said; none: it was not told of any.
    told: Option<u64>,
    /// It is time to tell what has changed since.
    is_due: bool,
    /// Something of the peer's list was missed.
    wants: bool,
    /// The session is over: nothing that is heard counts.
    is_over: bool,
}

impl Groups {
    /// `is_over`: nothing that this peer says is to count.
    pub(super) fn new(topics: &Arc<Topics>, node: &NodeId, is_over: bool) -> Self {
        let desk = Mutex::new(Desk { is_over, ..Desk::default() });
        Self { topics: topics.clone(), node: node.clone(), is_able: AtomicBool::new(false), desk }
    }

    /// What both can do was settled.
    pub(super) fn agree(&self, features: Features) {
        self.is_able.store(features.has(Features::TOPICS), Ordering::Release);
    }

    /// There is a new connection: what was said over the last one may not have come.
    pub(super) fn reconnected(&self) {
        self.desk.lock().told = None;
    }

    /// All that is to be said now.
    pub(super) fn take(&self) -> Vec<Control> {
        if !self.is_able.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut desk = self.desk.lock();
        let mut said = Vec::new();
        if std::mem::take(&mut desk.wants) && !desk.is_over {
            said.push(Control::WantTopics(self.topics.heard(&self.node)));
        }
        let is_due = std::mem::take(&mut desk.is_due);
        match desk.told {
            None => {
                let number = self.topics.number();
                desk.told = Some(number);
                said.push(Control::Topics(News::number(number)));
            }
            Some(told) if is_due => {
                let news = self.topics.since(told);
                desk.told = news.last().map_or(desk.told, |last| Some(last.number));
                said.extend(news.into_iter().map(Control::Topics));
            }
            Some(_) => {}
        }
        said
    }

    /// Whether less was heard of the peer's list than up to this number.
    pub(super) fn is_behind(&self, number: u64) -> bool {
        !self.desk.lock().is_over && self.topics.heard(&self.node) < number
    }

    /// The peer has taken its leave: it has no members any more, whether it was still able to say so or not. If it comes
    /// back in the same session, it is asked for its list.
    pub(super) fn leave(&self) {
        if !self.desk.lock().is_over {
            self.topics.forget(&self.node);
        }
    }

    /// The session is over: what was heard does not count any more.
    pub(super) fn end(&self) {
        let mut desk = self.desk.lock();
        if !std::mem::replace(&mut desk.is_over, true) {
            self.topics.forget(&self.node);
        }
    }
}

impl Peer {
    /// The peer tells of its list.
    pub(super) fn hears_topics(&self, news: News) {
        let desk = self.groups.desk.lock();
        if desk.is_over || self.client().is_some() {
            return;
        }
        let goes_on = self.groups.topics.hear(&self.groups.node, news);
        drop(desk);
        if !goes_on {
            reached!(MEMBERS_MISSED);
            self.want_topics();
        }
    }

    /// The peer is to be asked for what was missed of its list.
    pub(super) fn want_topics(&self) {
        self.groups.desk.lock().wants = true;
        self.teller.remind();
    }

    /// The peer has missed what came after this number of our list.
    pub(super) fn tell_topics_since(&self, known: u64) {
        let mut desk = self.groups.desk.lock();
        (desk.told, desk.is_due) = (Some(known), true);
        drop(desk);
        self.teller.remind();
    }
}

impl Core {
    /// Tells peers, again and again, what has changed in the list of this node.
    pub(super) async fn spread_topics(self: Arc<Self>) -> Infallible {
        loop {
            self.topics.news.wait().await;
            let peers = self.peers.lock().values().filter_map(|entry| entry.peer.clone()).collect::<Vec<_>>();
            for peer in peers {
                peer.groups.desk.lock().is_due = true;
                peer.teller.remind();
            }
            self.wheel.sleep(TELL_EVERY).await;
        }
    }

    /// A receiver on this very node.
    ///
    /// # Errors
    /// The node has ended or was given up, or does not provide this.
    pub(crate) fn find_on(
        &self,
        node: &NodeId,
        service: &ServiceName,
        key: Option<&Arc<str>>,
        spoken: Spoken,
    ) -> Result<Arc<Target>, Refusal> {
        let peer = self.peers.lock().get(&node.name).and_then(|entry| entry.peer.clone());
        let lives = |peer: &Arc<Peer>| *peer.node == *node && !peer.is_gone() && !peer.is_outcast();
        let Some(peer) = peer.filter(lives).filter(|_| !self.is_closed()) else {
            let problem = "it has ended, or was given up".into();
            return Err(Refusal::Unreachable { node: node.to_string(), problem });
        };
        let (services, name) = (peer.services(), service.to_string());
        let at = services.services.iter().rposition(|offer| offer.name == name);
        let unknown = || Refusal::UnknownService { service: format!("{name} on {node}") };
        let at = at.ok_or_else(unknown)?;
        let number = u32::try_from(at).map_err(|_| unknown())?;
        Target::new(&peer, number, &services.services[at], Wanted::Spoken(spoken), key).map(Arc::new)
    }
}
