//! Laws of frames: what was written is read as the same, less is never taken for it, and no bytes do any harm.

use odeon_core::wire::chain::{Chain, Hop, NodeRef, Place};
use odeon_core::wire::envelope::{
    CallId, Content, Encoding, Failure, Head, Introduction, LargeBody, MethodNumber, ReceiverNumber, Request,
    Sender, ServiceNumber, Target,
};
use odeon_core::wire::frame::{self, Frame};
use odeon_core::wire::{limits, varint};
use odeon_core::{ActivationId, Criticality, NodeId, Retry, SpanId, TraceContext, TraceId, UnknownCause};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use std::time::Duration;

/// A request that owns its parts.
#[derive(Clone, Debug)]
struct Order {
    receiver: u32,
    /// The service, the key, and the epoch.
    introduces: Option<(u32, Option<String>, u64)>,
    method: u16,
    remaining: Option<u32>,
    /// Its activation, whether that is held, and the hops before it.
    sender: Option<(u64, bool, Vec<Before>)>,
    request: Option<u128>,
    trace: Option<(u128, u64, bool)>,
    tenant: Option<String>,
    principal: Option<String>,
    large: Option<LargeBody>,
}

/// A hop that owns its node: where, which activation, whether held.
type Before = (Spot, u64, bool);

#[derive(Clone, Debug)]
enum Spot {
    Sender,
    Receiver,
    Third(NodeId),
}

#[derive(Clone, Debug)]
enum Matter {
    Cast(Order),
    Call(u64, Order),
    Answer(u64, Option<LargeBody>),
    Failed(u64, (u16, Retry, String), Option<LargeBody>),
    NotExecuted(u64),
    Unknown(u64, UnknownCause),
    Cancel(u64),
}

fn counted() -> impl Strategy<Value = u64> {
    // all widths are as likely
    (0_u32..62, any::<u64>()).prop_map(|(shift, any)| (any & varint::MAX) >> shift)
}

fn large() -> impl Strategy<Value = Option<LargeBody>> {
    of((counted(), 0..=limits::LARGE_MAX).prop_map(|(id, length)| LargeBody { id, length }))
}

fn text(min: usize, max: usize) -> impl Strategy<Value = String> {
    vec(prop_oneof![8 => Just('k'), 1 => any::<char>()], min..max.min(140)).prop_map(move |characters| {
        let mut text: String = characters.into_iter().collect();
        text.truncate(text.floor_char_boundary(max));
        text
    })
}

fn spot() -> impl Strategy<Value = Spot> {
    let third = (prop_oneof!["mars", "[a-z][a-z0-9_-]{0,15}"], counted()).prop_map(|(name, incarnation)| {
        Spot::Third(NodeId { name: name.parse().expect("a name"), incarnation })
    });
    prop_oneof![Just(Spot::Sender), Just(Spot::Receiver), third]
}

prop_compose! {
    fn order()(
        receiver in 0..limits::RECEIVERS_MAX,
        introduces in of((any::<u32>(), of(text(1, limits::KEY_MAX)), prop_oneof![Just(0), counted()])),
        method in any::<u16>(),
        remaining in of(any::<u32>()),
        sender in of((counted(), any::<bool>(), vec((spot(), counted(), any::<bool>()), 0..=limits::HOPS_MAX))),
        request in of(any::<u128>()),
        trace in of(any::<(u128, u64, bool)>()),
        tenant in of(text(1, limits::LABEL_MAX)),
        principal in of(text(1, limits::LABEL_MAX)),
        large in large(),
    ) -> Order {
        Order { receiver, introduces, method, remaining, sender, request, trace, tenant, principal, large }
    }
}

fn matter() -> impl Strategy<Value = Matter> {
    let retry = prop_oneof![Just(Retry::Now), Just(Retry::Later), Just(Retry::Elsewhere), Just(Retry::Never)];
    let cause = prop_oneof![
        Just(UnknownCause::TimedOut),
        Just(UnknownCause::Panicked),
        Just(UnknownCause::Killed),
        Just(UnknownCause::Unanswered),
        Just(UnknownCause::AnswerUndecodable),
    ];
    let failure = (any::<u16>(), retry, text(0, limits::FAILURE_TEXT_MAX));
    prop_oneof![
        4 => order().prop_map(Matter::Cast),
        4 => (counted(), order()).prop_map(|(call, order)| Matter::Call(call, order)),
        1 => (counted(), large()).prop_map(|(call, large)| Matter::Answer(call, large)),
        1 => (counted(), failure, large()).prop_map(|(call, failure, large)| Matter::Failed(call, failure, large)),
        1 => counted().prop_map(Matter::NotExecuted),
        1 => (counted(), cause).prop_map(|(call, cause)| Matter::Unknown(call, cause)),
        1 => counted().prop_map(Matter::Cancel),
    ]
}

prop_compose! {
    /// What a frame is made of; where none may be, the body is empty.
    fn sample()(
        level in 0_usize..4,
        encoding in prop_oneof![Just(Encoding::Named), Just(Encoding::Compact), Just(Encoding::Json)],
        matter in matter(),
        body in vec(any::<u8>(), 0..40),
    ) -> (Criticality, Encoding, Matter, Vec<u8>) {
        let bodiless = match &matter {
            Matter::Cast(order) | Matter::Call(_, order) => order.large.is_some(),
            Matter::Answer(_, large) | Matter::Failed(_, _, large) => large.is_some(),
            Matter::NotExecuted(_) => false,
            Matter::Unknown(..) | Matter::Cancel(_) => true,
        };
        (Criticality::from_level(level), encoding, matter, if bodiless { Vec::new() } else { body })
    }
}

fn hops(order: &Order) -> Vec<Hop<'_>> {
    let hops = order.sender.iter().flat_map(|(_, _, hops)| hops);
    hops.map(|(spot, activation, holds)| {
        let place = match spot {
            Spot::Sender => Place::Sender,
            Spot::Receiver => Place::Receiver,
            Spot::Third(id) => Place::Third(NodeRef::from(id)),
        };
        Hop { place, activation: ActivationId(*activation), holds: *holds }
    })
    .collect()
}

fn request<'a>(order: &'a Order, chain: Chain<'a>) -> Request<'a> {
    let introduces = order.introduces.as_ref().map(|(service, key, epoch)| Introduction {
        service: ServiceNumber(*service),
        key: key.as_deref(),
        epoch: *epoch,
    });
    Request {
        target: Target { receiver: ReceiverNumber(order.receiver), introduces },
        method: MethodNumber(order.method),
        remaining: order.remaining.map(|millis| Duration::from_millis(millis.into())),
        sender: order
            .sender
            .as_ref()
            .map(|(activation, holds, _)| Sender { activation: ActivationId(*activation), holds: *holds }),
        request: order.request,
        trace: order.trace.map(|(trace, parent, sampled)| TraceContext {
            trace: TraceId(trace),
            parent: SpanId(parent),
            sampled,
        }),
        tenant: order.tenant.as_deref(),
        principal: order.principal.as_deref(),
        chain,
        large: order.large,
    }
}

fn content<'a>(matter: &'a Matter, buffer: &'a mut Vec<u8>) -> Content<'a> {
    match matter {
        Matter::Cast(order) => {
            let chain = Chain::encode(&hops(order), buffer).expect("within the limits");
            Content::Cast(request(order, chain))
        }
        Matter::Call(call, order) => {
            let chain = Chain::encode(&hops(order), buffer).expect("within the limits");
            Content::Call(CallId(*call), request(order, chain))
        }
        Matter::Answer(call, large) => Content::Answer { call: CallId(*call), large: *large },
        Matter::Failed(call, (status, retry, text), large) => Content::Failed {
            call: CallId(*call),
            failure: Failure { status: *status, retry: *retry, text },
            large: *large,
        },
        Matter::NotExecuted(call) => Content::NotExecuted { call: CallId(*call) },
        Matter::Unknown(call, cause) => Content::Unknown { call: CallId(*call), cause: *cause },
        Matter::Cancel(call) => Content::Cancel { call: CallId(*call) },
    }
}

fn write(lane: &mut Vec<u8>, head: &Head<'_>, body: &[u8]) {
    let before = lane.len();
    let open = frame::begin(lane, head).expect("within the limits");
    lane.extend_from_slice(body);
    let length = open.finish(lane, limits::FRAME_MAX).expect("within the limits");
    assert_eq!(before + length, lane.len());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frames_come_out_of_a_lane_as_they_went_in(samples in vec(sample(), 1..6)) {
        let mut lane = Vec::new();
        for (criticality, encoding, matter, body) in &samples {
            let mut buffer = Vec::new();
            let content = content(matter, &mut buffer);
            write(&mut lane, &Head { criticality: *criticality, encoding: *encoding, content }, body);
        }
        let mut rest = &lane[..];
        for (criticality, encoding, matter, body) in &samples {
            let found = frame::next(rest, limits::FRAME_MAX).expect("not too long").expect("whole");
            let read = frame::read(found.bytes).expect("it was written by us");
            let mut buffer = Vec::new();
            let content = content(matter, &mut buffer);
            let head = Head { criticality: *criticality, encoding: *encoding, content };
            prop_assert_eq!(read, Frame { head, body: &body[..] });
            if let (Matter::Cast(order), Content::Cast(read)) = (matter, read.head.content) {
                prop_assert_eq!(read.chain.hops().collect::<Vec<_>>(), hops(order));
            }
            rest = &rest[found.consumed..];
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn a_frame_that_was_cut_is_not_taken_for_a_whole_one((criticality, encoding, matter, body) in sample()) {
        let mut buffer = Vec::new();
        let content = content(&matter, &mut buffer);
        let mut lane = Vec::new();
        write(&mut lane, &Head { criticality, encoding, content }, &body);
        for end in 0..lane.len() {
            prop_assert_eq!(frame::next(&lane[..end], limits::FRAME_MAX), Ok(None));
        }
        // a wrong length: what is cut in its head is refused, what is cut in its body has a shorter one
        let whole = frame::next(&lane, limits::FRAME_MAX).expect("not too long").expect("whole").bytes;
        let head = whole.len() - body.len();
        for end in 0..whole.len() {
            match frame::read(&whole[..end]) {
                Ok(cut) => prop_assert!(end >= head && cut.body == &body[..end - head]),
                Err(error) => prop_assert!(end < head, "{} of {}: {}", end, head, error),
            }
        }
    }

    #[test]
    fn bytes_of_any_kind_are_read_or_refused(bytes in vec(any::<u8>(), 0..200), first in 0_u8..0x60, high in 0_u8..16) {
        let _ = frame::next(&bytes, limits::FRAME_MAX);
        let _ = frame::read(&bytes);
        // most of the above ends at the first byte or the flags
        let likely = [&[first, high][..], &bytes].concat();
        if let Ok(read) = frame::read(&likely) {
            let mut lane = Vec::new();
            write(&mut lane, &read.head, read.body);
            let again = frame::next(&lane, limits::FRAME_MAX).expect("not too long").expect("whole");
            prop_assert_eq!(frame::read(again.bytes), Ok(read));
        }
    }

    #[test]
    fn a_frame_with_changed_bytes_does_no_harm(
        (criticality, encoding, matter, body) in sample(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut buffer = Vec::new();
        let content = content(&matter, &mut buffer);
        let mut lane = Vec::new();
        write(&mut lane, &Head { criticality, encoding, content }, &body);
        for (at, byte) in changes {
            let at = at.index(lane.len());
            lane[at] = byte;
        }
        let _ = frame::next(&lane, limits::FRAME_MAX);
        if let Ok(read) = frame::read(&lane[4..])
            && let Content::Cast(request) | Content::Call(_, request) = read.head.content
        {
            prop_assert_eq!(request.chain.hops().count(), request.chain.len());
        }
    }
}
