//! What happens to a cluster of processes, step by step. Each step waits for facts that the nodes tell of themselves.

use super::books;
use super::capture::{self, Capture, Seen};
use super::daemon::{self, Bond, Daemon, Site};
use super::net::{Cut, Net, SWITCH};
use odeon_tests::traffic::{MARKER, SERVICE};
use std::net::UdpSocket;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long anything may take: generous, for slow machines.
const LIMIT: Duration = Duration::from_secs(60);
/// How often it is looked for a fact.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// So many messages more are a flow.
const FLOW: u64 = 100;
/// What must not be readable, beside the marker: names of services, contracts and methods.
const NAMES: [&str; 3] = [SERVICE, "weigh_consignment", "note_waybill"];

/// A cluster under load. Processes end before their network does.
pub(crate) struct Story {
    daemons: Vec<Daemon>,
    capture: Capture,
    net: Rc<Net>,
}

/// Waits for a fact.
pub(crate) async fn eventually<T>(what: &str, mut fact: impl FnMut() -> Option<T>) -> T {
    let limit = Instant::now() + LIMIT;
    loop {
        if let Some(found) = fact() {
            return found;
        }
        assert!(Instant::now() < limit, "never: {what}");
        sleep(LOOK_EVERY).await;
    }
}

impl Story {
    /// All nodes are up and send to each other. None: this machine has no namespaces for us.
    pub(crate) async fn begin(test: &str, hosts: &[&'static str]) -> Option<Self> {
        let net = Net::of(test, hosts)?;
        let words: Vec<String> = [MARKER].iter().chain(&NAMES).map(ToString::to_string).collect();
        let capture = Capture::begin(net.at(SWITCH, capture::open), &words);
        let daemons = Site::prepare(&net, daemon::place(test), hosts, Bond::Links).start_all();
        let story = Self { daemons, capture, net };
        for (from, to) in story.pairs() {
            eventually(&format!("{} meets {to}", from.name), || from.link(to).filter(|link| link.connected))
                .await;
        }
        for daemon in &story.daemons {
            let others: Vec<_> = hosts.iter().copied().filter(|host| *host != daemon.name).collect();
            daemon.begin(&others);
        }
        story.flows(|_, _| true).await;
        Some(story)
    }

    fn pairs(&self) -> impl Iterator<Item = (&Daemon, &'static str)> {
        let peers = |daemon: &Daemon| {
            let name = daemon.name;
            self.daemons.iter().map(|peer| peer.name).filter(move |peer| *peer != name)
        };
        self.daemons.iter().flat_map(move |daemon| peers(daemon).map(move |peer| (daemon, peer)))
    }

    /// From now on more messages are handled on these links.
    async fn flows(&self, links: impl Fn(&str, &str) -> bool) {
        for (from, to) in self.pairs().filter(|(from, to)| links(from.name, to)) {
            let before = from.link(to).map_or(0, |link| link.handled);
            let flows = || from.link(to).filter(|link| link.connected && link.handled >= before + FLOW);
            eventually(&format!("messages flow from {} to {to}", from.name), flows).await;
        }
    }

    /// A link goes down until messages have gathered on both sides, of which some have waited too long, and comes
    /// back: sooner than anybody gives a connection up.
    pub(crate) async fn outage(&mut self, host: &'static str, cut: Cut) {
        let late = |daemon: &Daemon, to: &str| daemon.report().to.get(to).map_or(0, books::unanswered);
        let touched = || self.pairs().filter(|(from, to)| from.name == host || *to == host);
        let before: Vec<_> = touched().map(|(from, to)| late(from, to)).collect();
        self.net.cut(host, cut);
        for ((from, to), before) in touched().zip(before) {
            let gathers = || {
                let link = from.link(to)?;
                (link.open > 0 && link.queued > 0 && late(from, to) > before).then_some(())
            };
            eventually(&format!("messages from {} to {to} gather", from.name), gathers).await;
        }
        self.net.mend(host, cut);
        self.flows(|_, _| true).await;
    }

    /// A link stays down until both sides have given their connections up; everybody else goes on meanwhile.
    pub(crate) async fn long_outage(&mut self, host: &'static str, cut: Cut) {
        self.net.cut(host, cut);
        self.flows(|from, to| from != host && to != host).await;
        for (from, to) in self.pairs().filter(|(from, to)| from.name == host || *to == host) {
            let ends = || from.link(to).filter(|link| !link.connected);
            eventually(&format!("{} sees its connection to {to} end", from.name), ends).await;
        }
        self.flows(|from, to| from != host && to != host).await;
        self.net.mend(host, cut);
        self.flows(|_, _| true).await;
    }

    /// A link stays down until both sides have given up what was under way.
    pub(crate) async fn lasting_outage(&mut self, host: &'static str, cut: Cut) {
        self.net.cut(host, cut);
        for (from, to) in self.pairs().filter(|(from, to)| from.name == host || *to == host) {
            let gives_up = || from.link(to).filter(|link| books::lost(link) > 0);
            eventually(&format!("{} gives up its link to {to}", from.name), gives_up).await;
        }
        self.net.mend(host, cut);
        self.flows(|_, _| true).await;
    }

    /// Nobody sends anything new, and nothing is under way any more.
    pub(crate) async fn rest(&self) {
        self.daemons.iter().for_each(Daemon::end);
        for daemon in &self.daemons {
            let done = || (daemon.report().senders == 0).then_some(());
            eventually(&format!("those who send from {} come to their end", daemon.name), done).await;
        }
        for (from, to) in self.pairs() {
            let closed = || from.link(to).filter(books::are_closed);
            eventually(&format!("nothing is under way from {} to {to}", from.name), closed).await;
        }
    }

    /// Books, outcomes and order are what they should be, and every process is the one that was started. Answers how
    /// many messages were lost.
    pub(crate) fn accounts_are_true(&mut self) -> u64 {
        let reports: Vec<_> = self.daemons.iter().map(|daemon| (daemon.name, daemon.report())).collect();
        let report_of = |name: &str| &reports.iter().find(|(of, _)| *of == name).expect("it has told").1;
        let (mut wrong, mut lost) = (Vec::new(), 0);
        for (from, to) in self.pairs() {
            let link = from.link(to).expect("they have met");
            let sent = &report_of(from.name).to[to];
            let received = &report_of(to).from[from.name];
            let told = [books::outcomes_are_true(sent, received), books::are_true(&link, sent, received)];
            let told = told.into_iter().filter_map(Result::err);
            wrong.extend(told.map(|problem| format!("from {} to {to}: {problem}", from.name)));
            lost += books::lost(&link);
        }
        wrong.extend(self.daemons.iter_mut().filter_map(|daemon| daemon.has_run_through().err()));
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        lost
    }

    /// All that was sent has passed by whoever reads along, who has not found a word of it; but finds each of them when
    /// it is sent in clear.
    pub(crate) async fn nothing_was_readable(&self) {
        let handled: u64 = self.pairs().filter_map(|(from, to)| Some(from.link(to)?.handled)).sum();
        let Seen { frames, bytes, found } = self.capture.seen();
        assert!(found.is_empty(), "it was read in clear: {found:?}");
        assert!(frames > 1_000 && bytes > handled * MARKER.len() as u64, "{frames} frames, {bytes} bytes");
        let (near, far) = (self.daemons[0].name, self.daemons[1].name);
        let open = |host: &str| {
            let address = (self.net.address(host), 0);
            self.net.at(host, || UdpSocket::bind(address).expect("a port is free"))
        };
        let (from, to) = (open(near), open(far));
        for word in [MARKER].iter().chain(&NAMES) {
            let to = to.local_addr().expect("it is bound");
            from.send_to(format!("in clear: {word}").as_bytes(), to).expect("it is sent");
            let seen = || self.capture.seen().found.get(*word).copied();
            eventually(&format!("{word} is read in clear"), seen).await;
        }
    }
}
