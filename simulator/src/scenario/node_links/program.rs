//! The program of a node: a service that others call, and those who call.

use super::board::{Board, End, Pair, Phase, Stream};
use super::by_name;
use super::invariants::{self, answer};
use crate::reach::reached;
use crate::scenario::books::Books;
use crate::scenario::linked::{self, Pass, Tasks};
use crate::{Machine, panic_on_purpose};
use odeon::Node;
use odeon::core::{NodeId, NodeName, Random};
use odeon::prelude::*;
use odeon::remote::{LinkStatus, Links};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use tokio::time::{Instant, sleep, timeout};

/// Where nodes listen.
pub(super) const PORT: u16 = 7_000;
/// A node that stops has so long for each part of it.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// How often a node shows its links.
const SHOW_EVERY: Duration = Duration::from_millis(100);
/// A call ends no later than this after its deadline.
const LATE_MAX: Duration = Duration::from_secs(1);
/// Bytes of what has a stream of its own, besides what makes it that long.
const LARGE_SPREAD: u64 = 200_000;
/// What no call is answered with.
pub(super) const NO_ANSWER: u64 = 0;
/// Entities of each node that are called.
const KEYS: u64 = 4;
/// Larger bodies of casts fill lanes faster than a poor link empties them.
const BALLAST_SMALL: u64 = 2_000;
/// Casts to each entity, one after the other, that fill a lane if they are large.
const FLOOD: u64 = 40;

/// What a node starts with.
#[derive(Clone)]
pub(super) struct Start {
    pub(super) pass: Pass,
    /// Others that it dials by itself.
    pub(super) dials: Vec<NodeName>,
    /// Bytes that a cast carries at the most.
    pub(super) ballast_max: u64,
    /// Longest time that a handler takes.
    pub(super) work_max: Duration,
    /// Of so many of all calls the handler panics.
    pub(super) panics: f64,
    /// How its entities are kept.
    pub(super) options: ServiceOptions,
}

/// What every message says of itself.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub(super) struct Stamp {
    from: (String, u64),
    to: (String, u64),
    sender: u64,
    key: u64,
    /// The number of the call, or of the cast in its stream.
    number: u64,
    /// Of a call in a stream: the cast after which it comes.
    after: Option<u64>,
    /// While it was not executed it may be sent again, by then to a later incarnation.
    again: Again,
}

/// Whether a call that was not executed may be sent again without its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub(super) enum Again {
    /// Reads, and calls by name.
    May,
    Never,
}

/// An answer that may be large.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub(super) struct Echo {
    answer: u64,
    text: String,
}

/// What nodes call each other for.
#[odeon::contract(name = "tally", version = "1.0")]
pub(super) trait Tally {
    /// Answers what only this call is answered with.
    async fn add(&mut self, cx: &Cx, stamp: Stamp) -> u64;
    /// The same, where calls may overlap.
    #[read]
    async fn look(&self, cx: &Cx, stamp: Stamp) -> u64;
    /// The same, with what came.
    #[read]
    async fn echo(&self, cx: &Cx, stamp: Stamp, text: String) -> Echo;
    /// The same, after casts and a call to the node that is named.
    async fn relay(&mut self, cx: &Cx, stamp: Stamp, to: String) -> u64;
    /// Nothing comes back.
    #[cast]
    async fn note(&mut self, cx: &Cx, stamp: Stamp, ballast: String);
}

/// Who sends messages from a node and writes down what becomes of them.
#[derive(Clone)]
struct Scribe {
    me: NodeId,
    links: Arc<OnceLock<Links>>,
    board: Books<Board>,
}

pub(super) fn service_of(node: &NodeName) -> String {
    format!("tally-{node}")
}

fn node_of((name, incarnation): &(String, u64)) -> NodeId {
    NodeId { name: name.parse().expect("it was one when it was sent"), incarnation: *incarnation }
}

impl Scribe {
    /// Both ends of a message that is sent now. Incarnation 0: nobody of that name is known yet.
    fn pair(&self, to: &NodeName) -> Pair {
        let known = self.links.get().and_then(|links| links.incarnation_of(to));
        (self.me.clone(), known.unwrap_or_else(|| NodeId { name: to.clone(), incarnation: 0 }))
    }

    fn link(&self, to: &NodeName) -> Option<LinkStatus> {
        self.links.get()?.status_of(to)
    }

    fn stamp((from, to): &Pair, sender: u64, key: u64, number: u64) -> Stamp {
        let named = |node: &NodeId| (node.name.to_string(), node.incarnation);
        Stamp { from: named(from), to: named(to), sender, key, number, after: None, again: Again::Never }
    }

    /// Makes a call, and holds it to its deadline.
    async fn call<F>(&self, to: &NodeName, within: Duration, call: impl FnOnce(Stamp) -> F)
    where
        F: Future<Output = Result<u64, CallError>>,
    {
        self.call_so(to, within, Again::Never, call).await;
    }

    async fn call_so<F>(&self, to: &NodeName, within: Duration, again: Again, call: impl FnOnce(Stamp) -> F)
    where
        F: Future<Output = Result<u64, CallError>>,
    {
        self.call_as(self.pair(to), within, again, call).await;
    }

    async fn call_as<F>(&self, pair: Pair, within: Duration, again: Again, call: impl FnOnce(Stamp) -> F)
    where
        F: Future<Output = Result<u64, CallError>>,
    {
        let to = &pair.1.name;
        let (number, phase) = self.board.open(|b| (b.begin(&pair, again), b.phase));
        let mut attempt = Attempt { board: self.board.clone(), number: Some(number) };
        let begun = Instant::now();
        let outcome = call(Stamp { again, ..Self::stamp(&pair, 0, 0, number) }).await;
        attempt.number = None;
        let took = begun.elapsed();
        let now = self.pair(to);
        self.board.open(|b| {
            if again == Again::May && now.1 != pair.1 {
                b.moves(number, now);
            }
            if phase != Phase::Chaos && took > within + LATE_MAX {
                b.broken.push(format!("call {number} had {within:?} and took {took:?}: {outcome:?}"));
            }
            b.ends(number, outcome);
            let told = b.lost(&self.me, to);
            b.broken.extend(invariants::lost_is_known(&self.me, self.link(to).as_ref(), told));
        });
    }

    /// Makes a call among the casts of a stream.
    async fn call_in(&self, tally: &TallyRef, stream: &Stream, class: Criticality, within: Duration) {
        let after = self.board.open(|b| b.next_cast(stream)) - 1;
        let call = |stamp: Stamp| {
            let stamp = Stamp { sender: stream.sender, key: stream.key, after: Some(after), ..stamp };
            async { tally.add(stamp).criticality(class).within(within).await }
        };
        self.call_as(stream.pair.clone(), within, Again::Never, call).await;
    }

    /// Sends a cast at once, or once there is room.
    async fn cast(
        &self,
        tally: &TallyRef,
        stream: &Stream,
        class: Criticality,
        (ballast, waits): (u64, bool),
    ) {
        let number = self.board.open(|b| b.next_cast(stream));
        let stamp = Self::stamp(&stream.pair, stream.sender, stream.key, number);
        let cast = tally.note(stamp, "x".repeat(ballast as usize)).criticality(class);
        let sent = if waits { cast.await } else { cast.send() };
        match sent {
            Ok(()) => self.board.open(|b| b.cast_sent(stream)),
            Err(refusal) => tracing::debug!(%refusal, "a cast was not accepted"),
        }
    }
}

/// A call under way: whoever drops it has left.
struct Attempt {
    board: Books<Board>,
    number: Option<u64>,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.board.open(|b| b.finish(number, End::Left));
        }
    }
}

struct Counting {
    scribe: Scribe,
    work_max: Duration,
    panics: f64,
}

impl Counting {
    /// A call, from its beginning to its end.
    async fn run(&self, cx: &Cx, stamp: &Stamp) -> u64 {
        self.check(cx, stamp);
        let stream = self.stream(cx, stamp);
        self.scribe.board.open(|b| {
            b.runs(stamp.number);
            if let Some(after) = stamp.after {
                b.call_runs(stream, after);
            }
        });
        if cx.random(|r| r.chance(self.panics)) {
            reached("links: a handler panics");
            panic_on_purpose();
        }
        cx.sleep(self.work_max.mul_f64(cx.random(Random::fraction))).await;
        answer(stamp.number)
    }

    fn stream(&self, cx: &Cx, stamp: &Stamp) -> Stream {
        let pair = (node_of(&stamp.from), node_of(&stamp.to));
        Stream { pair, sender: stamp.sender, key: stamp.key, level: cx.criticality().level() }
    }

    fn check(&self, cx: &Cx, stamp: &Stamp) {
        let mut pair = (node_of(&stamp.from), node_of(&stamp.to));
        if stamp.again == Again::May {
            pair.1 = self.scribe.me.clone();
        }
        let caller = cx.caller().node;
        let broken = invariants::of_this_incarnation(&pair, &self.scribe.me, caller.as_ref());
        self.scribe.board.open(|b| b.broken.extend(broken));
    }
}

#[odeon::service]
impl Tally for Counting {
    async fn add(&mut self, cx: &Cx, stamp: Stamp) -> u64 {
        self.run(cx, &stamp).await
    }

    async fn look(&self, cx: &Cx, stamp: Stamp) -> u64 {
        self.run(cx, &stamp).await
    }

    async fn echo(&self, cx: &Cx, stamp: Stamp, text: String) -> Echo {
        Echo { answer: self.run(cx, &stamp).await, text }
    }

    async fn relay(&mut self, cx: &Cx, stamp: Stamp, to: String) -> u64 {
        let to: NodeName = to.parse().expect("it was one when it was sent");
        let key = cx.random(|r| r.below(KEYS));
        if let Ok(tally) = cx.entity::<TallyRef>(&service_of(&to), &key.to_string()) {
            let (pair, class) = (self.scribe.pair(&to), cx.criticality());
            let stream = Stream { pair, sender: 1_000 + cx.id().0, key, level: class.level() };
            for _ in 0..cx.random(|r| r.below(4)) {
                self.scribe.cast(&tally, &stream, class, (10, false)).await;
            }
            let within = cx.deadline().unwrap_or(Duration::from_secs(5));
            self.scribe.call(&to, within, |stamp| async { tally.add(stamp).await }).await;
        }
        self.run(cx, &stamp).await
    }

    async fn note(&mut self, cx: &Cx, stamp: Stamp, _: String) {
        self.check(cx, &stamp);
        let stream = self.stream(cx, &stamp);
        self.scribe.board.open(|b| b.cast_runs(stream, stamp.number));
    }
}

/// The node's program.
pub(super) async fn serve(machine: Machine, start: Start, board: Books<Board>) {
    let name: NodeName = machine.name.parse().expect("a node name");
    let me = NodeId { name: name.clone(), incarnation: machine.incarnation };
    let links = Arc::new(OnceLock::new());
    let scribe = Scribe { me: me.clone(), links: links.clone(), board: board.clone() };
    let make = {
        let (scribe, work_max, panics) = (scribe.clone(), start.work_max, start.panics);
        move || Counting { scribe: scribe.clone(), work_max, panics }
    };
    let app = App::new().entity_with(&service_of(&name), start.options.clone(), make);
    let (node, own) = linked::start(&machine, &start.pass, PORT, app).await;
    let own = links.get_or_init(|| own);
    let others: Vec<_> = board.open(|b| {
        b.begins(&me);
        b.addresses.iter().filter(|(other, _)| **other != name).map(|(n, a)| (n.clone(), *a)).collect()
    });
    let mut tasks = Tasks::on(&machine);
    for (number, (other, address)) in others.iter().enumerate() {
        if start.dials.contains(other) {
            tasks.spawn(dial(own.clone(), *address));
        }
        let seat =
            Seat { node: node.clone(), scribe: scribe.clone(), to: other.clone(), start: start.clone() };
        tasks.spawn(seat.clone().cast_for_ever(number as u64));
        let relays = others.iter().map(|(name, _)| name.clone()).filter(|name| name != other).collect();
        tasks.spawn(seat.call_for_ever(relays));
    }
    loop {
        if board.open(|b| b.stopping.remove(&name)) {
            reached("links: a node stopped in order");
            node.stop(STOP_WITHIN).await;
            board.open(|b| b.stopped.insert(name));
            return;
        }
        if board.open(|b| b.dropping.remove(&name)) {
            own.drop_connections();
        }
        let shown = own.status();
        board.open(|b| b.shows(&me, shown));
        sleep(SHOW_EVERY).await;
    }
}

/// How long a body is that has a stream of its own.
fn large(random: &mut Random) -> u64 {
    odeon::core::wire::limits::INLINE_MAX as u64 + random.below(LARGE_SPREAD)
}

/// Dials until there has been a link once: from then on it is kept up by itself.
async fn dial(links: Links, address: SocketAddr) {
    while let Err(error) = links.connect(address).await {
        tracing::debug!(%error, "not connected");
        sleep(Duration::from_millis(300)).await;
    }
}

/// From where one other node is called.
#[derive(Clone)]
struct Seat {
    node: Node,
    scribe: Scribe,
    to: NodeName,
    start: Start,
}

impl Seat {
    fn tallies(&self) -> Vec<TallyRef> {
        let service = service_of(&self.to);
        (0..KEYS).map(|key| self.node.entity(&service, &key.to_string()).expect("a name and a key")).collect()
    }

    /// How large casts are at the most. Once all is healed, so small that lanes empty: a call waits for what is before it.
    fn ballast_max(&self) -> u64 {
        let healed = self.scribe.board.open(|b| b.phase == Phase::Healed);
        if healed { self.start.ballast_max.min(BALLAST_SMALL) } else { self.start.ballast_max }
    }

    fn is_quiet(&self) -> bool {
        self.scribe.board.open(|b| b.phase == Phase::Quiet)
    }

    async fn cast_for_ever(self, sender: u64) {
        let tallies = self.tallies();
        let mut random = Random::seeded(self.node.draw_seed());
        while !self.is_quiet() {
            let key = random.below(KEYS);
            let class = Criticality::ALL[random.below(Criticality::ALL.len() as u64) as usize];
            for _ in 0..=random.below(30) {
                let pair = self.scribe.pair(&self.to);
                let stream = Stream { pair, sender, key, level: class.level() };
                let ballast = if random.chance(0.01) {
                    large(&mut random)
                } else {
                    random.below(1 + self.ballast_max())
                };
                let waits = random.chance(0.2);
                self.scribe.cast(&tallies[key as usize], &stream, class, (ballast, waits)).await;
            }
            if random.chance(0.3) {
                let stream = Stream { pair: self.scribe.pair(&self.to), sender, key, level: class.level() };
                let within = Duration::from_millis(50 + random.below(2_000));
                let call = self.scribe.call_in(&tallies[key as usize], &stream, class, within);
                // now and then it is left, and casts come behind it
                let patience = if random.chance(0.3) { random.below(50) } else { 10_000 };
                let _ = timeout(Duration::from_millis(patience), call).await;
            }
            if random.chance(0.02) {
                self.flood(&tallies, sender, class).await;
            }
            // no more than even a poor link carries
            sleep(Duration::from_millis(random.below(200) + self.start.ballast_max / 15)).await;
        }
    }

    /// As much at once as lanes and credit let through, and more.
    async fn flood(&self, tallies: &[TallyRef], sender: u64, class: Criticality) {
        for number in 0..FLOOD * KEYS {
            let key = number % KEYS;
            let stream = Stream { pair: self.scribe.pair(&self.to), sender, key, level: class.level() };
            let ballast = (self.ballast_max(), false);
            self.scribe.cast(&tallies[key as usize], &stream, class, ballast).await;
        }
    }

    async fn call_for_ever(self, relays: Vec<NodeName>) {
        let tallies = self.tallies();
        let mut random = Random::seeded(self.node.draw_seed());
        while !self.is_quiet() {
            let tally = &tallies[random.below(KEYS) as usize];
            let within = Duration::from_millis(50 + random.below(3_000));
            let scribe = &self.scribe;
            if random.chance(0.03) {
                let text = "y".repeat(large(&mut random) as usize);
                let call = |s| async {
                    let echo = tally.echo(s, text.clone()).within(within).await?;
                    Ok(if echo.text == text { echo.answer } else { NO_ANSWER })
                };
                scribe.call_so(&self.to, within, Again::May, call).await;
            }
            match random.below(7) {
                0 | 1 => scribe.call(&self.to, within, |s| async { tally.add(s).within(within).await }).await,
                2 => {
                    let call = |s| async { tally.look(s).within(within).await };
                    scribe.call_so(&self.to, within, Again::May, call).await;
                }
                3 => {
                    let call = scribe.call(&self.to, within, |s| async { tally.add(s).within(within).await });
                    let _ = timeout(Duration::from_millis(random.below(100)), call).await;
                }
                4 => {
                    let key = random.below(KEYS).to_string();
                    let call = |s| by_name::add(&self.node, &self.to, &key, s, within);
                    scribe.call_so(&self.to, within, Again::May, call).await;
                }
                _ if relays.is_empty() => {}
                _ => {
                    let by = relays[random.below(relays.len() as u64) as usize].to_string();
                    let call = |s| async { tally.relay(s, by).within(within).await };
                    scribe.call(&self.to, within, call).await;
                }
            }
            sleep(Duration::from_millis(random.below(60))).await;
        }
    }
}
