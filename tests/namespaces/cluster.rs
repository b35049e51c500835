//! What happens to a cluster whose nodes agree on their members, step by step, while each of them calls all entities, and
//! a crowd is in their shop.
//! Each step waits for facts: what nodes tell of themselves, and what the history of the cluster says.

use super::daemon::{self, BOOK, Bond, Daemon, HISTORY, Members, Site};
use super::disk::Disk;
use super::laws;
use super::net::{Cut, Net, say};
use super::sales::Sales;
use super::story::eventually;
use odeon_tests::history::{End, Event, History, Line, TALLIES};
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

const ALL: [&str; 3] = ["north", "south", "west"];

/// Three members under load. Processes end before their disks and their network do.
pub(crate) struct Cluster {
    test: &'static str,
    daemons: Vec<Daemon>,
    history: History,
    sales: Sales,
    disk: Option<Disk>,
    site: Site,
}

/// Who was answered by which node of which key.
type Answers<'a> = BTreeSet<(&'a str, &'a str, &'a str)>;

/// The answers to what has run in these lines.
fn answers(lines: &[Line]) -> Answers<'_> {
    let mut ran = BTreeMap::new();
    let mut answers = Answers::new();
    for line in lines {
        match &line.event {
            Event::Ran { slip, .. } => drop(ran.insert((slip.caller.as_str(), slip.call), &line.node)),
            Event::Ended { key, call, end: End::Answered(_) } => {
                let by = ran.get(&(line.node.as_str(), *call));
                answers.extend(by.map(|by| (line.node.as_str(), by.as_str(), key.as_str())));
            }
            _ => {}
        }
    }
    answers
}

/// Whether each of these has been answered of all keys, by anybody but one.
fn are_answered(lines: &[Line], callers: &[String], but_by: &str) -> bool {
    let answers = answers(lines);
    let heard: BTreeSet<_> =
        answers.iter().filter(|(_, by, _)| *by != but_by).map(|(c, _, k)| (*c, *k)).collect();
    callers.iter().all(|caller| heard.iter().filter(|(of, _)| of == caller).count() == TALLIES)
}

/// The longest time until an answer of one key to one caller from a place in the history on, and whose that was.
fn longest_silence(lines: &[Line], from: usize) -> Option<(u64, &str, &str)> {
    let mut last = BTreeMap::new();
    let silences = lines.iter().enumerate().filter_map(|(at, line)| {
        let Event::Ended { key, end: End::Answered(_), .. } = &line.event else { return None };
        let before = last.insert((line.node.as_str(), key.as_str()), line.at_ms)?;
        (at >= from).then(|| (line.at_ms - before, line.node.as_str(), key.as_str()))
    });
    silences.max()
}

/// How many calls have ended how, for people.
fn tally(lines: &[Line]) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    for line in lines {
        let Event::Ended { end, .. } = &line.event else { continue };
        let (End::Refused(word) | End::Unknown(word)) = end else {
            *counts.entry("answered").or_default() += 1;
            continue;
        };
        *counts.entry(word).or_default() += 1;
    }
    counts.iter().map(|(word, count)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}

fn is_member(members: &Members, node: &str) -> bool {
    members.members.iter().any(|member| format!("{}@{}", member.name, member.incarnation) == node)
}

impl Cluster {
    /// All are members, have entities and are answered by all. One of them may have a small disk. None: this machine has
    /// no namespaces for us.
    pub(crate) async fn begin(test: &'static str, small: Option<&'static str>) -> Option<Self> {
        let net = Net::of(test, &ALL)?;
        let place = daemon::place(test);
        let history = History::at(place.join(HISTORY));
        let sales = Sales::at(&place.join(BOOK));
        let disk = small.map(|name| Disk::mount(&net, name, place.join(name)));
        let site = Site::prepare(&net, place, &ALL, Bond::Membership);
        let start = |name| site.start(name, disk.as_ref().filter(|_| Some(name) == small));
        let daemons = ALL.into_iter().map(start).collect();
        let mut cluster = Self { test, daemons, history, sales, disk, site };
        for daemon in &cluster.daemons {
            let sees_all = || {
                let seen = daemon.members()?;
                (seen.holds_lease && seen.members.len() == ALL.len()).then_some(())
            };
            eventually(&format!("{} sees all members", daemon.name), sees_all).await;
            daemon.tell_callers("begin").expect("the node answers");
        }
        cluster.answers_everywhere().await;
        cluster.sells(&ALL.map(|name| format!("{name}@1"))).await;
        Some(cluster)
    }

    fn say(&self, words: &str) {
        say(&format!("{}: {words}", self.test));
    }

    /// Who leads the cluster group, and one who does not.
    pub(crate) async fn leader_and_other(&self) -> (&'static str, &'static str) {
        let leads = |members: Members| members.members.into_iter().find(|member| member.role == "leader");
        let leader = || self.daemons[0].members().and_then(leads).map(|member| member.name);
        let leader = eventually("one of them leads", leader).await;
        let find = |is: bool| ALL.into_iter().find(|name| (*name == leader) == is).expect("one of them");
        (find(true), find(false))
    }

    fn daemon(&mut self, name: &str) -> &mut Daemon {
        self.daemons.iter_mut().find(|daemon| daemon.name == name).expect("it was started")
    }

    fn others(&self, name: &str) -> impl Iterator<Item = &Daemon> {
        self.daemons.iter().filter(move |daemon| daemon.name != name)
    }

    /// What the nodes are called now, but for one.
    fn callers(&self, but: &str) -> Vec<String> {
        self.others(but).map(|daemon| daemon.members().expect("the node answers").node).collect()
    }

    fn lines(&mut self) -> &[Line] {
        self.history.read().expect("it can be read")
    }

    /// From now on each node is answered of each key, and each has some of them.
    pub(crate) async fn answers_everywhere(&mut self) {
        let callers = self.callers("");
        let from = self.lines().len();
        eventually("all nodes are answered by all nodes", || {
            let lines = &self.history.read().expect("it can be read")[from..];
            let answers = answers(lines);
            let has_some = |node: &String| answers.iter().any(|(_, by, _)| by == node);
            (callers.iter().all(has_some) && are_answered(lines, &callers, "")).then_some(())
        })
        .await;
    }

    /// From now on each of these nodes charges for an order.
    async fn sells(&mut self, nodes: &[String]) {
        let from = self.sales.charges().len();
        eventually(&format!("orders are paid at {nodes:?}"), || {
            let charges = &self.sales.charges()[from..];
            nodes.iter().all(|node| charges.iter().any(|charge| charge.by == *node)).then_some(())
        })
        .await;
    }

    /// How many orders were charged by a node.
    fn charged_by(&mut self, node: &str) -> usize {
        self.sales.charges().iter().filter(|charge| charge.by == node).count()
    }

    /// The others go on without a node: they see that it is a member no more, and all its keys are answered among them.
    async fn go_on_without(&mut self, host: &str, from: usize, since: Instant) {
        let lost = format!("{host}@1");
        let callers = self.callers(host);
        eventually(&format!("{callers:?} are answered without {lost}"), || {
            let lines = &self.history.read().expect("it can be read")[from..];
            are_answered(lines, &callers, &lost).then_some(())
        })
        .await;
        self.say(&format!("without {lost} each key was answered {:?} later", since.elapsed()));
        self.sells(&callers).await;
        self.say(&format!("without {lost} the shop sells {:?} later", since.elapsed()));
        for daemon in self.others(host) {
            let is_gone = || daemon.members().and_then(|seen| reason(&seen, host));
            let reason = eventually(&format!("{} sees that {lost} is gone", daemon.name), is_gone).await;
            self.say(&format!("for {} {lost} is gone: {reason}", daemon.name));
        }
        let silence = longest_silence(self.lines(), from).map(|s| format!("{s:?}")).unwrap_or_default();
        self.say(&format!("the longest silence in milliseconds, whose and of what: {silence}"));
    }

    /// A member is cut off until it has nothing any more, and the others go on. Then it comes back by itself.
    pub(crate) async fn cut_off(&mut self, host: &'static str) {
        let lost = format!("{host}@1");
        let process = self.daemon(host).process();
        assert!(process.is_some() && process == self.daemon(host).announced(), "{process:?}");
        let (from, since) = (self.lines().len(), Instant::now());
        self.site.net.cut(host, Cut::Cable);
        for daemon in self.others(host) {
            let is_suspect = || is_suspect(daemon, host);
            eventually(&format!("{} suspects {lost}", daemon.name), is_suspect).await;
        }
        self.say(&format!("the others suspect {lost} after {:?}", since.elapsed()));
        self.go_on_without(host, from, since).await;
        self.has_nothing(host, since).await;

        self.site.net.mend(host, Cut::Cable);
        let mended = Instant::now();
        self.comes_back(host, "the node was removed from its cluster: it comes back", mended).await;
        let daemon = self.daemon(host);
        assert!(daemon.process() == process && daemon.announced() == process, "it is the same process");
    }

    /// A node without contact to the others has no lease; all who call there come to know it, and nothing runs.
    async fn has_nothing(&mut self, host: &'static str, since: Instant) {
        let lost = format!("{host}@1");
        let daemon = self.daemons.iter().find(|daemon| daemon.name == host).expect("it was started");
        let has_no_lease = || daemon.members().filter(|seen| seen.node == lost && !seen.holds_lease);
        let seen = eventually(&format!("{lost} holds no lease"), has_no_lease).await;
        assert_eq!(seen.standing, "member", "it has not heard otherwise");
        let without_lease = self.lines().len();
        let charged = self.charged_by(&lost);
        eventually(&format!("all calls from {lost} fail"), || {
            let lines = self.history.read().expect("it can be read");
            let failed = lines[without_lease..].iter().filter(|line| line.node == lost);
            let failed = failed.filter_map(|line| match &line.event {
                Event::Ended { key, end: End::Refused(_) | End::Unknown(_), .. } => Some(key),
                _ => None,
            });
            (failed.collect::<BTreeSet<_>>().len() == TALLIES).then_some(())
        })
        .await;
        // each of them calls once more, at least
        let from = self.lines().len();
        eventually(&format!("calls from {lost} go on to fail"), || {
            let lines = &self.history.read().expect("it can be read")[from..];
            let acts = lines.iter().find(|line| line.node == lost && is_act(&line.event));
            assert_eq!(acts, None, "a node without a lease acts");
            let ended = lines.iter().filter(|line| line.node == lost && is_end(&line.event));
            (ended.count() >= TALLIES).then_some(())
        })
        .await;
        assert_eq!(self.charged_by(&lost), charged, "a node without a lease charges");
        let own = self.lines()[without_lease..].iter().filter(|line| line.node == lost).cloned();
        let told = tally(&own.collect::<Vec<_>>());
        self.say(&format!("{:?} after the cut {lost} has nothing; its calls: {told}", since.elapsed()));
    }

    /// A node becomes a member again, as its next incarnation, and has entities again.
    async fn comes_back(&mut self, host: &str, said: &str, since: Instant) {
        let next = format!("{host}@2");
        let daemon = self.daemons.iter().find(|daemon| daemon.name == host).expect("it was started");
        let has_said = || daemon.log().contains(said).then_some(());
        eventually(&format!("the log of {host} has {said:?}"), has_said).await;
        let holds_lease = || daemon.members().filter(|seen| seen.node == next && seen.holds_lease);
        eventually(&format!("{next} holds its lease"), holds_lease).await;
        for daemon in self.others(host) {
            let sees = || daemon.members().filter(|seen| is_member(seen, &next));
            eventually(&format!("{} sees {next}", daemon.name), sees).await;
        }
        self.say(&format!("{next} is a member {:?} later", since.elapsed()));
        self.daemon(host).tell_callers("begin").expect("the node answers");
        self.answers_everywhere().await;
        let all = self.callers("");
        self.sells(&all).await;
    }

    /// The disk of a member is full: its node says so and ends, and the others go on. With room it comes back.
    pub(crate) async fn fill_disk(&mut self, host: &'static str) {
        let disk = self.disk.as_ref().expect("it has a small one");
        let (from, since) = (self.history.read().expect("it can be read").len(), Instant::now());
        disk.fill();
        let directory = format!("{host}/cluster/journal");
        let daemon = self.daemons.iter_mut().find(|daemon| daemon.name == host).expect("it was started");
        let status = eventually("the node with the full disk ends", || daemon.ended()).await;
        assert_eq!(status.code(), Some(1), "{status}");
        let log = daemon.log();
        let told = log.lines().find(|line| line.contains("No space left on device"));
        let told = told.unwrap_or_else(|| panic!("it does not say that its disk is full:\n{log}")).to_owned();
        assert!(told.contains(&directory), "where is missing in {told}");
        let last =
            log.lines().rfind(|line| line.starts_with("error: ")).expect("the last word is for people");
        assert!(last.contains("No space left on device") && last.contains(&directory), "{last}");
        assert!(!log.contains("panicked"), "{log}");
        self.say(&format!("{host} has ended after {:?}: {told}", since.elapsed()));
        self.go_on_without(host, from, since).await;

        let disk = self.disk.as_ref().expect("it has a small one");
        disk.free();
        let again = self.site.start(host, Some(disk));
        let mended = Instant::now();
        *self.daemon(host) = again;
        self.comes_back(host, "the node is up", mended).await;
    }

    /// Nobody calls any more, and the history of it all is as it should be.
    pub(crate) async fn rest(mut self, lost: &str) {
        let callers = self.callers("");
        let from = self.lines().len();
        self.daemons.iter().for_each(|daemon| drop(daemon.tell_callers("end").expect("the node answers")));
        eventually("all calls have come to their end", || {
            let lines = &self.history.read().expect("it can be read")[from..];
            let rests = |node: &String| {
                lines.iter().any(|l| l.node == *node && matches!(l.event, Event::Rested { .. }))
            };
            callers.iter().all(rests).then_some(())
        })
        .await;
        let told = tally(self.lines());
        self.say(&format!("calls: {told}"));
        let (repeated, paid) = (self.sales.repeated(), self.sales.charges().len());
        self.say(&format!("orders: {paid} are paid"));
        assert!(repeated.is_empty(), "orders were charged again: {repeated:?}");
        let broken = laws::broken(self.lines(), &[format!("{lost}@1")]);
        assert!(broken.is_empty(), "{} laws are broken:\n{}", broken.len(), broken.join("\n"));
    }
}

/// Why a node is a member no more, in its first incarnation.
fn reason(seen: &Members, host: &str) -> Option<String> {
    let gone = seen.gone.iter().find(|gone| gone.name == host && gone.incarnation == 1)?;
    Some(gone.reason.clone())
}

/// Whether a node suspects another one. One that is gone by now was suspect before, by the log.
fn is_suspect(seen_by: &Daemon, host: &str) -> Option<()> {
    let seen = seen_by.members()?;
    match seen.members.iter().find(|member| member.name == host) {
        Some(member) => (member.suspect_ms.is_some() || !member.suspected_by.is_empty()).then_some(()),
        None => {
            assert!(seen_by.log().contains("a peer is suspect"), "{host} is gone, and was not suspect");
            Some(())
        }
    }
}

/// Something that only a node with a lease does, or whose answer only such a one can have given.
fn is_act(event: &Event) -> bool {
    matches!(event, Event::Began { .. } | Event::Ran { .. } | Event::Ended { end: End::Answered(_), .. })
}

fn is_end(event: &Event) -> bool {
    matches!(event, Event::Ended { .. })
}
