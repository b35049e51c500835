//! Three members of a cluster talk over the real QUIC endpoint, under loss and a crash, while an impostor and a node
//! whose certificate has expired dial them all the time. Members hear each other again; the two get nothing. A member
//! whose clock is a year off trusts nobody until it is right.

use super::books::Books;
use super::{DAY, crash_and_return, today};
use crate::reach::reached;
use crate::{Crash, HostId, Machine, Simulation};
use odeon::core::{ClusterId, NodeName};
use odeon::host::Executor;
use odeon::remote::endpoint::{HandshakeError, Incoming, refused};
use odeon::remote::trust::Reason;
use odeon::remote::{Authority, Credentials, Endpoint, Member, Transport, Trust};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime};
use tokio::time::{sleep, timeout};

const MEMBERS: [&str; 3] = ["north", "south", "west"];
const PORT: u16 = 7_000;
const PAUSE: Duration = Duration::from_millis(200);
/// A question that is not answered for so long is asked over a new connection.
const PATIENCE: Duration = Duration::from_secs(2);
/// After all faults are healed each member hears from each other, and refuses both strangers, within this time.
const WITHIN: Duration = Duration::from_secs(30);
/// The greatest answer, in bytes.
const ANSWER_MAX: usize = 64;

/// What the script reads of the hosts' doings.
#[derive(Default)]
struct Board {
    addresses: Vec<(NodeName, Ipv4Addr)>,
    /// Answers by who asked and who answered, since the board was last wiped.
    answers: BTreeMap<(NodeName, NodeName), u64>,
    /// Strangers that a member refused, since the board was last wiped.
    refusals: BTreeMap<(NodeName, Reason), u64>,
    /// Refusals that strangers were told of.
    told: u64,
    /// Whose clock is a year off, and whom it has dialed and found not to be trusted.
    off: Option<NodeName>,
    distrusted: BTreeSet<NodeName>,
    broken: Vec<String>,
}

/// What a node starts with: it is checked by the clock of the day on which it was issued.
#[derive(Clone)]
struct Start {
    credentials: Credentials,
    issued: SystemTime,
}

/// The script.
pub(super) fn run(sim: &mut Simulation) {
    let board = Books::<Board>::default();
    let today = today();
    let cluster = ClusterId::new("simulated", sim.random()).expect("it is short");
    // An impostor's authority bears the same name. The impostor itself would believe members.
    let [ours, theirs] = [(); 2].map(|()| {
        Authority::create(&cluster, 1_000 * DAY, today - 100 * DAY).expect("chance comes from the simulation")
    });
    let mut hosts = Vec::new();
    for name in MEMBERS {
        let start = issue(&ours, name, today);
        hosts.push(member(sim, name, start, board.clone()));
        let named = (name.parse().expect("a node name"), sim.address(hosts[hosts.len() - 1]));
        board.open(|b| b.addresses.push(named));
    }
    let mut impostor = issue(&theirs, "south", today);
    impostor.credentials.authorities.push_str(ours.certificate_pem());
    let expired = issue(&ours, "west", today - 30 * DAY);
    for (name, start) in [("impostor", impostor), ("expired", expired)] {
        hosts.push(stranger(sim, name, start, board.clone()));
    }
    for host in &hosts {
        sim.start(*host);
    }
    sim.run_for(Duration::from_secs(2));
    sim.cut(hosts[0], hosts[1]);
    let victim = hosts[(sim.random() % 3) as usize];
    crash_and_return(sim, victim);
    sim.heal();
    board.open(|b| {
        b.answers.clear();
        b.refusals.clear();
    });
    sim.demand("each member hears from each other and refuses both strangers", WITHIN, |_| {
        board.open(|b| b.answers.len() == 6 && b.refusals.len() == 6 && b.told > 0)
    });
    clock_off(sim, &hosts, &board);
    for broken in board.open(|b| std::mem::take(&mut b.broken)) {
        sim.violation(broken);
    }
}

/// A member comes back with a clock that is a year off, and then with one that is right.
fn clock_off(sim: &mut Simulation, hosts: &[HostId], board: &Books<Board>) {
    const YEAR: i64 = 365 * 86_400 * 1_000_000_000;
    let at = (sim.random() % 3) as usize;
    let off: NodeName = MEMBERS[at].parse().expect("a node name");
    let is_ahead = sim.random().is_multiple_of(2);
    sim.crash(hosts[at], Crash::Process);
    sim.skew(hosts[at], if is_ahead { YEAR } else { -YEAR });
    // what it has answered is still on its way
    sim.run_for(Duration::from_secs(2));
    board.open(|b| {
        b.off = Some(off.clone());
        b.answers.clear();
        b.refusals.clear();
    });
    sim.start(hosts[at]);
    // an expired one dials as well: that members are refused who dial is shown where the clock is behind
    let reason = if is_ahead { Reason::Expired } else { Reason::NotYetValid };
    sim.demand("a member whose clock is a year off refuses all others, dialing and dialed", WITHIN, |_| {
        board.open(|b| b.distrusted.len() == 2 && b.refusals.contains_key(&(off.clone(), reason)))
    });
    let heard = board.open(|b| b.answers.keys().any(|(from, to)| *from == off || *to == off));
    if heard {
        sim.violation(format!("{off} was answered, or has answered, while its clock was a year off"));
    }
    sim.skew(hosts[at], 0);
    board.open(|b| b.answers.clear());
    sim.demand("all members hear from each other once the clock is right", WITHIN, |_| {
        board.open(|b| b.answers.len() == 6)
    });
    reached(if is_ahead { "trust: a clock was a year ahead" } else { "trust: a clock was a year behind" });
}

fn issue(authority: &Authority, name: &str, at: SystemTime) -> Start {
    let node = name.parse().expect("a node name");
    let credentials = authority.issue(&node, DAY, at).expect("chance comes from the simulation");
    Start { credentials, issued: at }
}

fn member(sim: &mut Simulation, name: &str, start: Start, board: Books<Board>) -> HostId {
    sim.host(name, move |machine| be_member(machine, start.clone(), board.clone()))
}

fn stranger(sim: &mut Simulation, name: &str, start: Start, board: Books<Board>) -> HostId {
    sim.host(name, move |machine| be_stranger(machine, start.clone(), board.clone()))
}

/// The endpoint lives on the last executor, so that its callers are on another one if there is one.
fn bind(machine: &Machine, start: &Start) -> Endpoint {
    let last = machine.executors.len() - 1;
    let executor = Executor::new(machine.executors[last].clone(), last);
    let trust = Trust::new(&start.credentials, start.issued).expect("it held when it was issued");
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
    Endpoint::bind(address, trust, &Transport::default(), &executor).expect("a fresh host has the port free")
}

async fn be_member(machine: Machine, start: Start, board: Books<Board>) {
    let endpoint = bind(&machine, &start);
    let own = endpoint.trust().name().clone();
    for (peer, address) in board.open(|b| b.addresses.clone()) {
        if peer != own {
            machine.executors[0].spawn(ask_for_ever(
                endpoint.clone(),
                (address, PORT).into(),
                (own.clone(), peer),
                board.clone(),
            ));
        }
    }
    while let Some(incoming) = endpoint.accept().await {
        machine.executors[0].spawn(answer(incoming, own.clone(), board.clone()));
    }
}

/// Answers each question of a member with its own words.
async fn answer(incoming: Incoming, own: NodeName, board: Books<Board>) {
    let from = incoming.address();
    match incoming.handshake().await {
        Ok(member) => {
            let known =
                board.open(|b| b.addresses.iter().any(|(n, a)| n == member.name() && *a == from.ip()));
            if !known {
                let broken = format!("{own} let {from} in as {}", member.name());
                return board.open(|b| b.broken.push(broken));
            }
            while let Ok((mut answer, mut question)) = member.connection.accept_bi().await {
                let Ok(words) = question.read_to_end(ANSWER_MAX).await else { return };
                // the connection may end at any time
                let _ = answer.write_all(&words).await;
                let _ = answer.finish();
            }
        }
        Err(HandshakeError::Stranger { stranger, .. }) => {
            board.open(|b| *b.refusals.entry((own, stranger.reason())).or_default() += 1);
        }
        Err(error) => tracing::debug!(%error, "nobody came in"),
    }
}

/// A question over an open connection.
async fn ask(member: &Member, words: &str) -> Option<Vec<u8>> {
    let exchange = async {
        let (mut question, mut answer) = member.connection.open_bi().await.ok()?;
        question.write_all(words.as_bytes()).await.ok()?;
        question.finish().ok()?;
        answer.read_to_end(ANSWER_MAX).await.ok()
    };
    timeout(PATIENCE, exchange).await.ok()?
}

async fn ask_for_ever(
    endpoint: Endpoint,
    address: SocketAddr,
    (own, peer): (NodeName, NodeName),
    board: Books<Board>,
) {
    let mut number = 0;
    loop {
        match endpoint.connect(address).await {
            Ok(member) if *member.name() != peer => {
                board.open(|b| b.broken.push(format!("{own} dialled {peer} and found {}", member.name())));
            }
            Ok(member) => {
                loop {
                    number += 1;
                    let words = format!("{own} asks {peer} {number}");
                    let Some(answer) = ask(&member, &words).await else { break };
                    if answer != words.as_bytes() {
                        board.open(|b| b.broken.push(format!("{words}, and the answer was {answer:?}")));
                    }
                    board.open(|b| *b.answers.entry((own.clone(), peer.clone())).or_default() += 1);
                    sleep(PAUSE).await;
                }
                member.connection.close(1_u32.into(), b"no answer");
            }
            Err(HandshakeError::Stranger { stranger, .. }) => board.open(|b| {
                if b.off.as_ref() == Some(&own) {
                    b.distrusted.insert(peer.clone());
                } else {
                    b.broken.push(format!("{own} takes {peer} for a stranger: {stranger}"));
                }
            }),
            Err(error) => tracing::debug!(%error, "not connected"),
        }
        sleep(PAUSE).await;
    }
}

/// Dials all members for ever, and asks whoever lets it in.
async fn be_stranger(machine: Machine, start: Start, board: Books<Board>) {
    let endpoint = bind(&machine, &start);
    loop {
        for (peer, address) in board.open(|b| b.addresses.clone()) {
            let address = SocketAddr::from((address, PORT));
            let told = match endpoint.connect(address).await {
                Ok(member) => {
                    if let Some(answer) = ask(&member, "let me in").await {
                        let broken = format!("{} was answered by {peer}: {answer:?}", machine.name);
                        board.open(|b| b.broken.push(broken));
                    }
                    member.connection.close_reason().and_then(|reason| refused(address, &reason)).is_some()
                }
                Err(error) => matches!(error, HandshakeError::Refused { .. }),
            };
            board.open(|b| b.told += u64::from(told));
        }
        sleep(PAUSE).await;
    }
}
