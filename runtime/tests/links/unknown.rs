//! A peer that names services and methods which there are not: it learns so of each call, and its link goes on.

use super::rogue::{Rogue, Stage, frame_of, message};
use odeon::core::delivery::Receipt;
use odeon::core::wire::envelope::{
    CallId, Content, Introduction, MethodNumber, ReceiverNumber, Request, ServiceNumber, Target,
};
use odeon::core::wire::{frame, limits};
use odeon::prelude::*;
use quinn::RecvStream;
use serde::Deserialize;

/// Where in its contract the one method of a sink is that answers.
const IS_THERE: u16 = 1;

/// A message for the one receiver, which may become an entity of this service first.
fn request(introduces: Option<u32>, method: u16) -> Request<'static> {
    let introduces = introduces.map(ServiceNumber);
    let introduces = introduces.map(|service| Introduction { service, key: Some("a"), epoch: 0 });
    Request::new(Target { receiver: ReceiverNumber(0), introduces }, MethodNumber(method))
}

/// The answers of mars to the calls on one lane.
struct Answers {
    stream: RecvStream,
    bytes: Vec<u8>,
}

impl Answers {
    /// Waits until there are some.
    async fn of(rogue: &Rogue) -> Self {
        let mut stream = rogue.connection.accept_uni().await.expect("it is open");
        let mut head = [0xff; 2];
        stream.read_exact(&mut head).await.expect("it is open");
        assert_eq!(head, [0, 0], "the first frame of the first lane");
        Self { stream, bytes: Vec::new() }
    }

    /// The next one: the call, and the bytes of its answer or why it was refused.
    async fn next(&mut self) -> (u64, Result<Vec<u8>, Refusal>) {
        loop {
            if let Some(found) = frame::next(&self.bytes, limits::FRAME_MAX).expect("frames") {
                let frame = frame::read(found.bytes).expect("a frame");
                let answer = match frame.head.content {
                    Content::Answer { call, .. } => (call.0, Ok(frame.body.to_vec())),
                    Content::NotExecuted { call } => {
                        (call.0, Err(rmp_serde::from_slice(frame.body).expect("a refusal")))
                    }
                    other => panic!("no answer: {other:?}"),
                };
                self.bytes.drain(..found.consumed);
                return answer;
            }
            let chunk = self.stream.read_chunk(limits::FRAME_MAX, true).await.expect("it is open");
            self.bytes.extend_from_slice(&chunk.expect("it goes on").bytes);
        }
    }
}

/// What is of interest of a control message.
#[derive(Default, Deserialize)]
struct Told {
    #[serde(default)]
    receipts: Vec<ToldOfLane>,
}

#[derive(Deserialize)]
struct ToldOfLane {
    #[serde(default)]
    casts: Receipt,
}

/// Reads receipts until they tell of so many casts.
async fn casts(control: &mut RecvStream, count: u64) -> Receipt {
    loop {
        // some messages are of another shape
        let told: Told = rmp_serde::from_slice(&message(control).await).unwrap_or_default();
        let last = told.receipts.into_iter().next_back().map(|lane| lane.casts);
        let all = |casts: &Receipt| casts.handled + casts.refused.values().sum::<u64>();
        if let Some(casts) = last.filter(|casts| all(casts) == count) {
            return casts;
        }
    }
}

#[tokio::test]
async fn what_names_an_unknown_service_or_method_is_refused_with_its_number_and_the_link_goes_on() {
    let stage = Stage::new().await;
    let (rogue, _to, mut control) = stage.meet(1).await;
    let mut lane = rogue.lane(0, 0).await;
    let service = |number: u32| Refusal::UnknownService { service: format!("number {number}") };
    let method = |position: u16| Refusal::UnknownMethod {
        service: "sink".into(),
        method: format!("at position {position}"),
    };
    let cases = [
        (request(Some(7), IS_THERE), service(7)),
        (request(Some(u32::MAX), 900), service(u32::MAX)),
        (request(None, IS_THERE), service(u32::MAX)),
        // the number stands for a sink from here on
        (request(Some(0), 900), method(900)),
        (request(None, u16::MAX), method(u16::MAX)),
        // and not any more
        (request(Some(1), IS_THERE), service(1)),
    ];
    let (requests, refusals): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    let calls = (0..).zip(requests).map(|(call, request)| frame_of(Content::Call(CallId(call), request)));
    let count = refusals.len() as u64;
    let checks = async {
        lane.write_all(&calls.collect::<Vec<_>>().concat()).await.expect("it is open");
        let mut answers = Answers::of(&rogue).await;
        for (call, refusal) in (0..).zip(refusals) {
            assert_eq!(answers.next().await, (call, Err(refusal)));
        }
        let strange = [request(Some(7), IS_THERE), request(Some(0), 900), request(None, IS_THERE)];
        let strange = strange.map(|request| frame_of(Content::Cast(request)));
        lane.write_all(&strange.concat()).await.expect("it is open");
        let refused = casts(&mut control, 3).await;
        // a proper one
        let call = frame_of(Content::Call(CallId(count), request(None, IS_THERE)));
        lane.write_all(&call).await.expect("it is open");
        let yes = rmp_serde::to_vec(&true).expect("it can be written");
        assert_eq!(answers.next().await, (count, Ok(yes)));
        refused
    };
    let told = tokio::time::timeout(Duration::from_secs(20), checks).await.expect("mars answers");
    let refused = [("unknown-service", 1), ("unknown-method", 1)].map(|(name, count)| (name.into(), count));
    assert_eq!(told, Receipt { handled: 1, refused: refused.into(), ..Receipt::default() });
    let rogue_there = stage.mars.links.status_of(&"rogue".parse().expect("a name"));
    assert!(rogue_there.is_some_and(|link| link.connected), "the link is the same");
    assert_eq!(rogue.connection.close_reason(), None);
    stage.goes_on().await;
}
