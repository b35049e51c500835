//! A peer whose certificate is good, and who says what makes no sense: its session ends, with the reason, and nobody
//! else notices.

use super::full::{Basin, SinkRef};
use super::stage::{Cluster, Linked, at_last, eventually};
use futures_util::future::join_all;
use odeon::ServiceOptions;
use odeon::core::delivery::window::WINDOW_MAX;
use odeon::core::outcome::Overflow;
use odeon::core::wire::envelope::{
    CallId, Content, Head, Introduction, LargeBody, MethodNumber, ReceiverNumber, Request, ServiceNumber,
    Target,
};
use odeon::core::wire::handshake::{Expected, Features, Hello, Party, Reply};
use odeon::core::wire::version::VersionRange;
use odeon::core::wire::{frame, limits, varint};
use odeon::core::{Criticality, NodeId};
use odeon::directory::ServiceKind;
use odeon::host::Executor;
use odeon::prelude::*;
use odeon::remote::endpoint::HandshakeError;
use odeon::remote::{Endpoint, Transport};
use quinn::{Connection, ConnectionError, RecvStream, SendStream};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use tokio::sync::Semaphore;

const TAKE: u16 = 0;

/// A node with sinks, one that behaves, and what may misbehave.
pub(super) struct Stage {
    cluster: Cluster,
    pub(super) mars: Linked,
    venus: Linked,
    open: Arc<Semaphore>,
    taken: Arc<AtomicU64>,
}

impl Stage {
    pub(super) async fn new() -> Self {
        let (open, taken) = (Arc::new(Semaphore::new(0)), Arc::<AtomicU64>::default());
        let mut options = ServiceOptions::of(ServiceKind::Entity);
        // whoever sends too much finds no wall in the mailbox
        options.mailbox.overflow = Overflow::Wait;
        let app = {
            let (open, taken) = (open.clone(), taken.clone());
            App::new()
                .entity_with("sink", options, move || Basin { open: open.clone(), taken: taken.clone() })
        };
        let cluster = Cluster::new();
        let mars = cluster.node("mars", app).await;
        let venus = cluster.node("venus", App::new()).await;
        venus.links.connect(mars.links.local_address()).await.expect("a link");
        Self { cluster, mars, venus, open, taken }
    }

    /// Whoever behaves is served as before.
    pub(super) async fn goes_on(&self) {
        let sink: SinkRef = self.venus.node.entity("sink", "of venus").expect("names");
        at_last("venus is answered", async || sink.is_there().await).await;
    }

    /// What has the certificate of a node.
    fn endpoint(&self) -> Endpoint {
        let here = Executor::new(tokio::runtime::Handle::current(), 0);
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let trust = self.cluster.node_trust("rogue");
        Endpoint::bind_to_dial(any, trust, &Transport::default(), &here).expect("a port is free")
    }

    /// Dials with that, and says nothing yet.
    async fn dial(&self) -> Rogue {
        let endpoint = self.endpoint();
        let met = endpoint.connect(self.mars.links.local_address()).await.expect("its certificate is good");
        Rogue { connection: met.connection, _endpoint: endpoint }
    }

    /// Dials, and comes to terms with mars.
    pub(super) async fn meet(&self, incarnation: u64) -> (Rogue, SendStream, RecvStream) {
        let rogue = self.dial().await;
        let from = Party {
            cluster: self.cluster.node_trust("rogue").cluster().clone(),
            node: NodeId { name: "rogue".parse().expect("a name"), incarnation },
            run: 0,
            is_client: false,
            artifact: None,
            address: String::new(),
            features: Features::default(),
            session: 1,
            received: None,
        };
        let versions = VersionRange::SPOKEN;
        let hello = Hello { versions, from, expects: Expected::default(), attempt: 1, ended: None };
        let (mut to, mut from) = rogue.connection.open_bi().await.expect("it is open");
        to.write_all(&behind_length(&rmp_serde::to_vec_named(&hello).expect("it can be written")))
            .await
            .expect("open");
        let reply: Reply = rmp_serde::from_slice(&message(&mut from).await).expect("a reply");
        assert!(matches!(reply, Reply::Welcome(_)), "{reply:?}");
        (rogue, to, from)
    }
}

pub(super) struct Rogue {
    pub(super) connection: Connection,
    _endpoint: Endpoint,
}

impl Rogue {
    /// Begins the stream of a lane at this frame.
    pub(super) async fn lane(&self, lane: u64, first: u64) -> SendStream {
        let mut stream = self.connection.open_uni().await.expect("it is open");
        let mut head = Vec::new();
        varint::put(&mut head, lane).and_then(|()| varint::put(&mut head, first)).expect("they fit");
        stream.write_all(&head).await.expect("it is open");
        stream
    }

    /// Why mars has closed it.
    async fn reason(&self) -> String {
        match self.connection.closed().await {
            ConnectionError::ApplicationClosed(close) => String::from_utf8_lossy(&close.reason).into_owned(),
            other => panic!("mars has not closed it: {other}"),
        }
    }
}

fn behind_length(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("it is short");
    [&length.to_be_bytes(), message].concat()
}

/// One message of the control stream.
pub(super) async fn message(from: &mut RecvStream) -> Vec<u8> {
    let mut length = [0; 4];
    from.read_exact(&mut length).await.expect("a message");
    let mut message = vec![0; u32::from_be_bytes(length) as usize];
    from.read_exact(&mut message).await.expect("a message");
    message
}

/// A frame without a body.
pub(super) fn frame_of(content: Content<'_>) -> Vec<u8> {
    let head = Head { criticality: Criticality::Normal, encoding: Default::default(), content };
    let mut frame = Vec::new();
    let open = frame::begin(&mut frame, &head).expect("it can be written");
    open.finish(&mut frame, limits::FRAME_MAX).expect("it is short");
    frame
}

/// A message for the first service, an entity.
fn request<'a>(introduces: bool, method: u16) -> Request<'a> {
    let introduction = Introduction { service: ServiceNumber(0), key: Some("closed"), epoch: 0 };
    let introduces = introduces.then_some(introduction);
    Request::new(Target { receiver: ReceiverNumber(0), introduces }, MethodNumber(method))
}

fn cast(introduces: bool) -> Vec<u8> {
    frame_of(Content::Cast(request(introduces, TAKE)))
}

#[tokio::test]
async fn what_makes_no_sense_on_a_lane_ends_the_session_with_the_reason_and_nobody_else_notices() {
    let stage = Stage::new().await;
    let too_long = {
        let mut length = Vec::new();
        varint::put(&mut length, limits::FRAME_MAX as u64 + 1).expect("it fits");
        length
    };
    let mut apart = request(true, TAKE);
    apart.large = Some(LargeBody { id: 7, length: 100_000 });
    let mut strange = cast(true);
    // behind the length: two bits of the first byte
    strange[4] |= 0b11 << 5;
    let cases: [(&str, u64, u64, Vec<u8>, &str); 8] = [
        ("an unknown lane", 999, 0, cast(true), "a stream for lane 999, which is none"),
        ("a gap", 0, 5, cast(true), "the peer begins a lane at frame 5, but only 0 have been received"),
        ("a length", 0, 0, too_long, "a frame of 262145 bytes: 262144 are allowed"),
        ("a frame that ends early", 0, 0, vec![1, 0], "the frame ends within its"),
        ("an encoding", 0, 0, strange, "there is no encoding 3"),
        ("garbage", 0, 0, [&[60][..], &[0xff; 60]].concat(), ""),
        ("nobody", 0, 0, cast(false), "a message for receiver 0, which was not introduced"),
        ("no body", 0, 0, frame_of(Content::Cast(apart)), "the frame of body 7, which has not come"),
    ];
    for (number, (what, lane, first, bytes, expected)) in cases.into_iter().enumerate() {
        let (rogue, _to, _from) = stage.meet(number as u64 + 1).await;
        let mut stream = rogue.lane(lane, first).await;
        stream.write_all(&bytes).await.expect("it is open");
        let reason = rogue.reason().await;
        assert!(reason.contains(expected) && !reason.is_empty(), "{what}: {reason:?}");
        eventually("the link is down", || {
            stage.mars.links.status().iter().all(|l| !l.connected || l.node.name.as_str() == "venus")
        })
        .await;
    }
    stage.goes_on().await;
}

#[tokio::test]
async fn what_makes_no_sense_on_the_control_stream_ends_the_connection_with_the_reason() {
    let stage = Stage::new().await;
    let receipts = |receipt: serde_json::Value| {
        let message = serde_json::json!({ "receipts": [receipt] });
        behind_length(&rmp_serde::to_vec_named(&message).expect("it can be written"))
    };
    let casts = serde_json::json!({ "handled": 5 });
    let cases = [
        (
            "a length",
            u32::MAX.to_be_bytes().to_vec(),
            "a control message of 4294967295 bytes: 1048576 are allowed",
        ),
        ("garbage", behind_length(&[0xc1; 9]), "a control message that cannot be read"),
        ("an unknown message", behind_length(b"\x81\xa4what\x01"), "a control message that cannot be read"),
        (
            "a lane",
            receipts(serde_json::json!({ "lane": 200, "received": 0 })),
            "a receipt for a lane that is none",
        ),
        (
            "frames that were not sent",
            receipts(serde_json::json!({ "lane": 0, "received": 9 })),
            "what the peer says of our messages cannot be",
        ),
        (
            "casts that were not sent",
            receipts(serde_json::json!({ "lane": 0, "received": 0, "casts": casts })),
            "a receipt for 5 messages, after one for 0, of 0 that were sent",
        ),
    ];
    for (number, (what, bytes, expected)) in cases.into_iter().enumerate() {
        let (rogue, mut to, _from) = stage.meet(number as u64 + 1).await;
        to.write_all(&bytes).await.expect("it is open");
        let reason = rogue.reason().await;
        assert!(reason.contains(expected), "{what}: {reason:?}");
    }
    stage.goes_on().await;
}

#[tokio::test]
async fn who_says_no_hello_is_not_waited_for() {
    let stage = Stage::new().await;
    let (silent, garbled, lying) = (stage.dial().await, stage.dial().await, stage.dial().await);
    let (mut to, _from) = garbled.connection.open_bi().await.expect("it is open");
    to.write_all(&behind_length(&[0xc1; 20])).await.expect("it is open");
    let (mut long, _from) = lying.connection.open_bi().await.expect("it is open");
    long.write_all(&(limits::HANDSHAKE_MAX as u32 + 1).to_be_bytes()).await.expect("it is open");
    for rogue in [garbled, lying, silent] {
        rogue.reason().await;
    }
    assert_eq!(stage.mars.links.status().len(), 1, "nothing is left of them");
    stage.goes_on().await;
}

#[tokio::test]
async fn who_is_dialed_and_answers_no_hello_is_not_waited_for() {
    let stage = Stage::new().await;
    let links = &stage.mars.links;
    let here = Executor::new(tokio::runtime::Handle::current(), 0);
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let trust = stage.cluster.node_trust("rogue");
    let silent = Endpoint::bind(any, trust, &Transport::default(), &here).expect("a port is free");
    let silence = async {
        let met = silent.accept().await.expect("mars dials").handshake().await.expect("it is a member");
        // what is dropped would be an answer
        let hello = met.connection.accept_bi().await.expect("mars says hello");
        (met.connection, hello)
    };
    let both = async { tokio::join!(links.connect(silent.local_address()), silence) };
    let both = tokio::time::timeout(Duration::from_secs(30), both).await;
    let (refused, (connection, _hello)) = both.expect("it is waited for that long");
    assert_eq!(refused.expect_err("nobody has answered").to_string(), "no answer in time");
    let told = Rogue { connection, _endpoint: silent }.reason().await;
    assert_eq!(told, "no answer in time");
    assert_eq!(links.status().len(), 1, "nothing is left of it");
    stage.goes_on().await;
    let rogue = stage.cluster.node("rogue", App::new()).await;
    let node = links.connect(rogue.links.local_address()).await.expect("one of its name that answers");
    assert_eq!(node.to_string(), "rogue@1");
}

#[tokio::test]
async fn who_sends_more_casts_than_there_is_credit_for_is_cut_off_and_not_one_less() {
    let stage = Stage::new().await;
    let (rogue, _to, _from) = stage.meet(1).await;
    let mut lane = rogue.lane(0, 0).await;
    let more = cast(false);
    let credit = [cast(true), more.repeat(WINDOW_MAX as usize - 1)].concat();
    lane.write_all(&credit).await.expect("it is open");
    stage.open.close();
    eventually("all of it is handled", || stage.taken.load(SeqCst) == u64::from(WINDOW_MAX)).await;
    let stage = Stage::new().await;
    let (rogue, _to, _from) = stage.meet(1).await;
    let mut lane = rogue.lane(0, 0).await;
    lane.write_all(&credit).await.expect("it is open");
    // one may be in the hands of the handler, and counts no more
    lane.write_all(&more.repeat(2)).await.expect("it is open");
    assert_eq!(rogue.reason().await, "more casts for receiver 0 than there is credit for");
    stage.goes_on().await;
}

#[tokio::test]
async fn who_calls_without_end_is_cut_off() {
    let stage = Stage::new().await;
    let (rogue, _to, _from) = stage.meet(1).await;
    let mut lane = rogue.lane(0, 0).await;
    // its handler holds up all others, and the mailbox has no wall
    lane.write_all(&cast(true)).await.expect("it is open");
    let calls = (0..140_000).flat_map(|call| frame_of(Content::Call(CallId(call), request(false, 1))));
    let calls: Vec<u8> = calls.collect();
    // it may be closed before all is written
    let _ = lane.write_all(&calls).await;
    let reason = rogue.reason().await;
    assert!(reason.contains("calls under way"), "{reason}");
    stage.goes_on().await;
}

#[tokio::test]
async fn who_reads_no_answers_is_cut_off() {
    let stage = Stage::new().await;
    let (rogue, _to, _from) = stage.meet(1).await;
    let mut lane = rogue.lane(0, 0).await;
    let mut introduces = true;
    let mut unknown =
        |call| frame_of(Content::Call(CallId(call), request(std::mem::take(&mut introduces), 900)));
    for batch in 0..2_000 {
        let calls: Vec<u8> = (0..1_000).flat_map(|call| unknown(batch * 1_000 + call)).collect();
        if lane.write_all(&calls).await.is_err() {
            break;
        }
    }
    assert_eq!(rogue.reason().await, "calls without end whose answers it does not read");
    stage.goes_on().await;
}

#[tokio::test]
async fn so_many_dialers_wait_to_be_let_in_and_no_more_and_then_there_is_room_again() {
    let stage = Stage::new().await;
    let endpoint = stage.endpoint();
    // they come at once, whatever the machine has to do besides: those that are let in keep their places for a while
    let dials = (0..1_000).map(|_| endpoint.connect(stage.mars.links.local_address()));
    let (silent, refused): (Vec<_>, Vec<_>) = join_all(dials).await.into_iter().partition(Result::is_ok);
    assert!(silent.len() > 100, "{} were let in", silent.len());
    let takes_nobody = |refused: &HandshakeError| refused.to_string().contains("takes nobody at the moment");
    let refused: Vec<_> = refused.into_iter().filter_map(Result::err).collect();
    let refused = refused.iter().find(|refused| takes_nobody(refused)).expect("one at least was refused");
    assert_eq!(refused.retry(), Retry::Later, "{refused}");
    stage.goes_on().await;
    drop(silent);
    let pluto = stage.cluster.node("pluto", App::new()).await;
    at_last("there is room again", async || pluto.links.connect(stage.mars.links.local_address()).await)
        .await;
}
