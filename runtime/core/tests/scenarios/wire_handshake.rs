//! Stories of handshakes, and that their messages can evolve.
//!
//! `us <node> [cluster=blue] [versions=1..1] [features=0] [artifact=7] [session=1]` begins a story. `knows <node>
//! [sending=..] [received=<session> <counts>]` and `holds <dial> [peer=..]` are what the node remembers of the peer,
//! `forgets` that it does not any more. `hello <node>` comes from a dialer, with the same options as `us` and
//! `[certificate=..] [expects=..] [attempt=..] [ended=..] [received=..]`; `dials [expects=..]` is a hello of ours,
//! and `welcome <node> [version=1]` the answer to it. A node is `name@incarnation`, a dial `node#attempt`, a session
//! `incarnation/number`, and counts stand behind a colon: `received=3/1:10,4`.

use crate::story::{Teller, play};
use odeon_core::wire::admission::{Admitted, Known, Met, Ours, Sessions, admit, confirm};
use odeon_core::wire::duel::{Dial, Held};
use odeon_core::wire::handshake::{
    ArtifactDigest, ClusterId, Expected, Features, Hello, Party, Reply, Turned, Welcome,
};
use odeon_core::wire::limits::{ADDRESS_MAX, LANES_MAX};
use odeon_core::wire::session::{LaneCounts, Received, Resume, SessionId};
use odeon_core::wire::version::{Version, VersionRange};
use odeon_core::{NodeId, NodeName};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::str::FromStr;

#[test]
fn handshakes_go_as_their_stories_tell() {
    play("handshake", Told::default);
}

#[derive(Default)]
struct Told {
    us: Option<Ours>,
    known: Option<Known>,
    held: Option<Held>,
    dialed: Option<Hello>,
}

impl Teller for Told {
    fn tell(&mut self, command: &str) -> Result<String, String> {
        let mut words = command.split_whitespace();
        let verb = words.next().unwrap_or_default();
        let words = Words::new(words)?;
        match verb {
            "us" => *self = Self { us: Some(ours(&words)?), ..Self::default() },
            "knows" => {
                let received = words.option("received", received)?;
                let sending = words.option("sending", number)?;
                let sessions = sending.map(|sending| Sessions { sending, received });
                let (incarnation, run) = (node(words.first()?)?.incarnation, words.run()?);
                self.known = Some(Known { incarnation, run, sessions });
            }
            "holds" => {
                let peer = words.option("peer", number)?;
                self.held = Some(Held { dial: dial(words.first()?)?, peer });
            }
            "forgets" => (self.known, self.held, self.dialed) = (None, None, None),
            "hello" => return self.hello(&words),
            "dials" => return self.dials(&words),
            "welcome" => return self.welcome(&words),
            _ => return Err(format!("{command:?} is no command")),
        }
        Ok(String::new())
    }
}

impl Told {
    fn us(&self) -> Result<&Ours, String> {
        self.us.as_ref().ok_or_else(|| "the story has no us".to_owned())
    }

    fn hello(&self, words: &Words<'_>) -> Result<String, String> {
        let them = ours(words)?;
        let expects = words.option("expects", expected)?.unwrap_or_default();
        let attempt = words.option("attempt", number)?.unwrap_or(1);
        let mut hello = them.hello(None, expects, attempt, words.option("ended", dial)?);
        hello.from.received = words.option("received", received)?;
        let certificate = words.option("certificate", parsed)?.unwrap_or(them.node.name);
        Ok(match admit(self.us()?, &hello, &certificate, self.known.as_ref(), self.held.as_ref()) {
            Ok(admitted) => let_in(&admitted),
            Err(turned) => turned_away(&turned),
        })
    }

    fn dials(&mut self, words: &Words<'_>) -> Result<String, String> {
        let expects = words.option("expects", expected)?.unwrap_or_default();
        let hello = self.us()?.hello(self.known.as_ref(), expects, 1, None);
        let text = format!("as {}, {}", hello.dial(), memory(&hello.from));
        self.dialed = Some(hello);
        Ok(text)
    }

    fn welcome(&self, words: &Words<'_>) -> Result<String, String> {
        let them = ours(words)?;
        let mut from = them.hello(None, Expected::default(), 0, None).from;
        from.received = words.option("received", received)?;
        let version = Version(words.option("version", parsed)?.unwrap_or(1));
        let welcome = Welcome { version, from };
        let certificate = words.option("certificate", parsed)?.unwrap_or(them.node.name);
        let hello = self.dialed.as_ref().ok_or("nobody was dialed")?;
        Ok(match confirm(self.us()?, hello, &welcome, &certificate, self.known.as_ref()) {
            Ok(met) => meeting(&met),
            Err(turned) => turned_away(&turned),
        })
    }
}

fn let_in(admitted: &Admitted) -> String {
    let mut out = format!("welcome, {}\n", memory(&admitted.welcome.from));
    out += &meeting(&admitted.met);
    if let Some(dial) = &admitted.replaces {
        let _ = writeln!(out, "closes the connection of {dial}");
    }
    out
}

fn memory(party: &Party) -> String {
    let received = party.received.as_ref().map_or_else(
        || "nothing received".to_owned(),
        |received| format!("received in {}: {:?}", received.session, received.lanes.listed()),
    );
    format!("sending in {}, {received}", party.session())
}

fn meeting(met: &Met) -> String {
    let resume = |resume: &Resume| match resume {
        Resume::Fresh => "begins".to_owned(),
        Resume::Continue { from } => format!("goes on from {:?}", from.listed()),
        Resume::Stale { .. } => unreachable!("it is turned away"),
    };
    let mut out = format!("version {}, features {}", met.version, met.features.0);
    out += if met.same_artifact { ", the same artifact\n" } else { "\n" };
    let _ = writeln!(out, "what goes out {}, in {}", resume(&met.outgoing), met.sending);
    let _ = writeln!(out, "what comes in {}", resume(&met.incoming));
    if let Some(incarnation) = met.supersedes {
        let _ = writeln!(out, "incarnation {incarnation} is over");
    }
    out
}

fn turned_away(turned: &Turned) -> String {
    format!("turned away: {turned}\nagain: {}; {}\n", turned.retry().name(), turned.advice())
}

/// The words behind a command: the first, and options.
struct Words<'a> {
    first: Option<&'a str>,
    options: BTreeMap<&'a str, &'a str>,
}

impl<'a> Words<'a> {
    fn new(words: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let (options, mut plain): (Vec<_>, Vec<_>) = words.partition(|word| word.contains('='));
        let first = plain.pop();
        match plain.first() {
            Some(more) => Err(format!("{more:?} is too much")),
            None => Ok(Self { first, options: options.iter().filter_map(|o| o.split_once('=')).collect() }),
        }
    }

    fn first(&self) -> Result<&'a str, String> {
        self.first.ok_or_else(|| "of which node?".to_owned())
    }

    /// What was drawn at a start; 0 if nothing is said of it.
    fn run(&self) -> Result<u64, String> {
        Ok(self.option("run", number)?.unwrap_or(0))
    }

    fn option<T>(&self, name: &str, read: fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
        self.options.get(name).map(|text| read(text)).transpose()
    }
}

fn parsed<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} cannot be read"))
}

fn number(text: &str) -> Result<u64, String> {
    parsed(text)
}

fn node(text: &str) -> Result<NodeId, String> {
    let (name, incarnation) = text.split_once('@').ok_or_else(|| format!("{text:?} is no node"))?;
    Ok(NodeId { name: parsed(name)?, incarnation: parsed(incarnation)? })
}

fn dial(text: &str) -> Result<Dial, String> {
    let (dialer, attempt) = text.split_once('#').ok_or_else(|| format!("{text:?} is no dial"))?;
    Ok(Dial { dialer: node(dialer)?, attempt: parsed(attempt)? })
}

fn expected(text: &str) -> Result<Expected, String> {
    match text.split_once('@') {
        Some((name, incarnation)) => {
            let name = if name == "*" { None } else { Some(parsed(name)?) };
            Ok(Expected { name, incarnation: Some(parsed(incarnation)?) })
        }
        None => Ok(Expected { name: Some(parsed(text)?), incarnation: None }),
    }
}

fn versions(text: &str) -> Result<VersionRange, String> {
    let (oldest, newest) = text.split_once("..").ok_or_else(|| format!("{text:?} is no range"))?;
    Ok(VersionRange { oldest: Version(parsed(oldest)?), newest: Version(parsed(newest)?) })
}

fn received(text: &str) -> Result<Received, String> {
    let (session, counts) = text.split_once(':').ok_or_else(|| format!("{text:?} has no counts"))?;
    let (incarnation, of) = session.split_once('/').ok_or_else(|| format!("{session:?} is no session"))?;
    let session = SessionId { incarnation: parsed(incarnation)?, number: parsed(of)? };
    let counts = counts.split(',').filter(|count| !count.is_empty()).map(parsed);
    let lanes = LaneCounts::new(counts.collect::<Result<_, _>>()?).ok_or("too many lanes")?;
    Ok(Received { session, lanes })
}

fn cluster(name: &str) -> Result<ClusterId, String> {
    ClusterId::new(name, 1).map_err(|e| e.to_string())
}

fn ours(words: &Words<'_>) -> Result<Ours, String> {
    Ok(Ours {
        cluster: words.option("cluster", cluster)?.unwrap_or_else(|| cluster("blue").expect("a name")),
        node: node(words.first()?)?,
        run: words.run()?,
        is_client: false,
        versions: words.option("versions", versions)?.unwrap_or(VersionRange::SPOKEN),
        artifact: words.option("artifact", parsed)?.map(|byte| ArtifactDigest([byte; 32])),
        address: "127.0.0.1:7400".to_owned(),
        features: Features(words.option("features", number)?.unwrap_or(0)),
        session_next: words.option("session", number)?.unwrap_or(1),
    })
}

fn packed(value: &impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("MessagePack can express it")
}

fn hello() -> Hello {
    let words = "us mars@3 run=18446744073709551615 artifact=255 features=18446744073709551615"
        .split_whitespace()
        .skip(1);
    let ours = ours(&Words::new(words).expect("words")).expect("a node");
    let received = received("5/2:1,18446744073709551615,0").expect("counts");
    let sessions = Some(Sessions { sending: 9, received: Some(received) });
    let ended = dial("venus@5#4").expect("a dial");
    let known = Known { incarnation: 5, run: 0, sessions };
    ours.hello(Some(&known), expected("venus@5").expect("a node"), 7, Some(ended))
}

#[test]
fn messages_of_a_handshake_are_read_as_they_were_written() {
    let hello = hello();
    assert_eq!(rmp_serde::from_slice::<Hello>(&packed(&hello)).expect("a hello"), hello);
    let dial = dial("mars@3#7").expect("a dial");
    let name: NodeName = "mars".parse().expect("a name");
    let session = SessionId { incarnation: 3, number: 1 };
    let turned = [
        Turned::NoCommonVersion { spoken: VersionRange::SPOKEN, offered: VersionRange::SPOKEN },
        Turned::ForeignCluster,
        Turned::NameMismatch { certificate: name.clone(), claimed: name },
        Turned::RoleMismatch { client: true },
        Turned::StaleIncarnation { claimed: 1, known: 2 },
        Turned::Superseded { ours: 1, claimed: 2 },
        Turned::Twin { node: dial.dialer.clone() },
        Turned::NotExpected { expected: hello.expects.clone(), actual: dial.dialer.clone() },
        Turned::SelfConnect,
        Turned::Duplicate { stays: dial },
        Turned::StaleSession { session, later: session },
        Turned::Unreadable { problem: "a map was expected".to_owned() },
        Turned::Busy,
        Turned::Stopping,
    ];
    let welcome = Reply::Welcome(Welcome { version: Version(1), from: hello.from });
    for reply in turned.map(Reply::Turned).into_iter().chain([welcome]) {
        assert_eq!(rmp_serde::from_slice::<Reply>(&packed(&reply)).expect("a reply"), reply);
    }
}

/// As an earlier version may have said it, with the least.
#[derive(Serialize)]
struct EarlierHello {
    versions: VersionRange,
    from: EarlierParty,
}

#[derive(Serialize)]
struct EarlierParty {
    cluster: ClusterId,
    node: NodeId,
}

/// As a later version may say it, with more.
#[derive(Serialize)]
struct LaterHello {
    shape: BTreeMap<&'static str, Vec<u8>>,
    versions: VersionRange,
    from: Party,
    attempt: u64,
    ended: Option<Dial>,
    expects: Expected,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum LaterReply {
    Turned(LaterTurned),
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
enum LaterTurned {
    Quarantined { until: u64 },
}

#[test]
fn a_hello_of_an_earlier_or_a_later_version_is_understood() {
    let Hello { versions, from, expects, attempt, ended } = hello();
    let party = EarlierParty { cluster: from.cluster.clone(), node: from.node.clone() };
    let earlier: Hello =
        rmp_serde::from_slice(&packed(&EarlierHello { versions, from: party })).expect("a hello");
    assert_eq!(earlier.from.node, from.node);
    assert_eq!((earlier.from.artifact, earlier.from.received), (None, None));
    assert!(earlier.expects.is(&from.node), "who expects nobody expects anybody");

    let shape = BTreeMap::from([("more", vec![1, 2, 3])]);
    let later = LaterHello { shape, versions, from, attempt, ended, expects };
    assert_eq!(rmp_serde::from_slice::<Hello>(&packed(&later)).expect("a hello"), hello());

    let later = packed(&LaterReply::Turned(LaterTurned::Quarantined { until: 9 }));
    assert_eq!(rmp_serde::from_slice::<Reply>(&later).expect("a reply"), Reply::Turned(Turned::Other));
}

#[test]
fn what_passes_the_limits_of_a_handshake_is_refused() {
    for bad in ["", "two words", "né", "blue", &"x".repeat(80)] {
        assert!(bad.parse::<ClusterId>().is_err(), "{bad}");
        assert!(rmp_serde::from_slice::<ClusterId>(&packed(&bad)).is_err(), "{bad}");
    }
    let counts = |lanes: usize| rmp_serde::from_slice::<LaneCounts>(&packed(&vec![1_u64; lanes]));
    assert_eq!(counts(LANES_MAX).expect("counts").listed().len(), LANES_MAX);
    assert!(counts(LANES_MAX + 1).is_err());
    let at = |length: usize| {
        let mut party = hello().from;
        party.address = "x".repeat(length);
        rmp_serde::from_slice::<Party>(&packed(&party))
    };
    assert!(at(ADDRESS_MAX).is_ok());
    assert!(at(ADDRESS_MAX + 1).expect_err("too long").to_string().contains("260 bytes"));
}
