//! What frames weigh, how they are begun and ended, and what is refused.

use super::*;
use crate::wire::chain::{Chain, Hop, Place};
use crate::wire::envelope::{
    CallId, Content, Encoding, Failure, Introduction, LargeBody, MethodNumber, ReceiverNumber, Request,
    Sender, ServiceNumber, Target,
};
use crate::{ActivationId, Criticality, Retry};
use std::time::Duration;

/// As it is sent from a handler to a receiver that the lane knows.
fn usual() -> Request<'static> {
    let target = Target { receiver: ReceiverNumber(limits::RECEIVERS_MAX - 1), introduces: None };
    Request {
        remaining: Some(Duration::from_secs(5)),
        sender: Some(Sender { activation: ActivationId(varint::MAX), holds: true }),
        ..Request::new(target, MethodNumber(63))
    }
}

fn head(content: Content<'_>) -> Head<'_> {
    Head { criticality: Criticality::Normal, encoding: Encoding::Named, content }
}

fn written(head: &Head<'_>, body: &[u8]) -> Result<Vec<u8>, FrameError> {
    let mut out = Vec::new();
    let open = begin(&mut out, head)?;
    out.extend_from_slice(body);
    open.finish(&mut out, limits::FRAME_MAX)?;
    Ok(out)
}

/// The frame without its length.
fn bytes(head: &Head<'_>, body: &[u8]) -> Vec<u8> {
    written(head, body).expect("within the limits").split_off(LENGTH_WIDTH)
}

#[test]
fn a_cast_and_a_call_with_defaults_stay_within_their_size() {
    let cast = written(&head(Content::Cast(usual())), b"").expect("within the limits");
    assert!(cast.len() <= 24, "{} bytes", cast.len());
    let request = Request { request: Some(u128::MAX), ..usual() };
    let call = written(&head(Content::Call(CallId((1 << 30) - 1), request)), b"").expect("within the limits");
    assert!(call.len() <= 40, "{} bytes", call.len());
}

#[test]
fn a_frame_is_found_when_it_has_come_whole() {
    let cancel = head(Content::Cancel { call: CallId(7) });
    let mut lane = written(&cancel, b"").expect("within the limits");
    let first = lane.len();
    lane.extend(written(&head(Content::NotExecuted { call: CallId(8) }), b"why").expect("within the limits"));
    for end in 0..first {
        assert_eq!(next(&lane[..end], 100), Ok(None), "{end} bytes");
    }
    let found = next(&lane, 100).expect("not too long").expect("whole");
    assert_eq!(found.consumed, first);
    assert_eq!(read(found.bytes), Ok(Frame { head: cancel, body: b"" }));
    let found = next(&lane[first..], 100).expect("not too long").expect("whole");
    assert_eq!(first + found.consumed, lane.len());
    assert_eq!(read(found.bytes).expect("a frame").body, b"why");
}

#[test]
fn a_frame_that_is_too_long_is_refused_before_it_has_come() {
    let lane = (0x8000_0000_u32 | 101).to_be_bytes();
    assert_eq!(next(&lane, 101), Ok(None));
    assert_eq!(next(&lane, 100), Err(FrameError::TooLong { length: 101, max: 100 }));
    assert_eq!(next(&[0xff; 8], 100), Err(FrameError::TooLong { length: varint::MAX, max: 100 }));
}

#[test]
fn what_is_given_up_or_refused_leaves_nothing_behind() {
    let mut out = b"earlier".to_vec();
    let cast = head(Content::Cast(usual()));
    let open = begin(&mut out, &cast).expect("within the limits");
    out.extend_from_slice(b"half a bo");
    open.abandon(&mut out);
    assert_eq!(out, b"earlier");

    let open = begin(&mut out, &cast).expect("within the limits");
    assert_eq!(open.body(), out.len());
    out.extend_from_slice(&[0; 200]);
    let refused = open.finish(&mut out, 100).expect_err("too long");
    assert!(matches!(refused, FrameError::TooLong { length: 201.., max: 100 }), "{refused}");
    assert_eq!(out, b"earlier");

    let open = begin(&mut out, &head(Content::Cancel { call: CallId(1) })).expect("within the limits");
    out.push(0);
    assert_eq!(open.finish(&mut out, 100), Err(FrameError::Trailing { bytes: 1 }));
    assert_eq!(out, b"earlier");

    let late = Request { large: Some(LargeBody { id: 1, length: limits::LARGE_MAX + 1 }), ..usual() };
    assert!(begin(&mut out, &head(Content::Cast(late))).is_err());
    assert_eq!(out, b"earlier");
}

#[test]
fn what_no_reader_would_take_is_not_written() {
    let target = |receiver, key| Target {
        receiver: ReceiverNumber(receiver),
        introduces: Some(Introduction { service: ServiceNumber(1), key, epoch: 0 }),
    };
    let refused =
        |request: Request<'_>| written(&head(Content::Cast(request)), b"").expect_err("not allowed");
    let method = MethodNumber(0);
    let long = "x".repeat(limits::KEY_MAX + 1);
    let text = |part, length, max| FrameError::TextLength { part, length, min: 1, max };

    let numbers = refused(Request::new(target(limits::RECEIVERS_MAX, None), method));
    assert_eq!(numbers, FrameError::OutOfRange { part: "receiver", value: 16_384, max: 16_383 });
    assert_eq!(refused(Request::new(target(0, Some("")), method)), text("key", 0, 512));
    assert_eq!(refused(Request::new(target(0, Some(&long)), method)), text("key", 513, 512));
    assert_eq!(refused(Request { tenant: Some(&long[..129]), ..usual() }), text("tenant", 129, 128));
    assert_eq!(refused(Request { principal: Some(""), ..usual() }), text("principal", 0, 128));

    let mut buffer = Vec::new();
    let hop = Hop { place: Place::Sender, activation: ActivationId(1), holds: true };
    let chain = Chain::encode(&[hop], &mut buffer).expect("within the limits");
    let alone = refused(Request { sender: None, chain, ..usual() });
    assert_eq!(alone, FrameError::FlagAlone { flag: "chain", needs: "sender" });
    let beyond =
        written(&head(Content::Cancel { call: CallId(varint::MAX + 1) }), b"").expect_err("too great");
    let max = varint::MAX;
    assert_eq!(beyond, FrameError::OutOfRange { part: "call", value: max + 1, max });
}

#[test]
fn what_is_wrong_with_a_frame_is_named() {
    let cast = bytes(&head(Content::Cast(usual())), b"");
    let changed = |at: usize, byte: u8| {
        let mut bytes = cast.clone();
        bytes[at] = byte;
        read(&bytes).expect_err("not a frame any more")
    };
    assert_eq!(read(b""), Err(FrameError::Truncated { part: "first byte" }));
    assert_eq!(changed(0, 0x80), FrameError::ReservedBit);
    assert_eq!(changed(0, 0b0110_0000), FrameError::UnknownEncoding(3));
    for bit in 13..16 {
        assert_eq!(changed(1, (1_u16 << (bit - 8)) as u8), FrameError::UnknownFlags(1 << bit));
    }
    let alone = |flags: u16| {
        let [high, low] = flags.to_be_bytes();
        read(&[0, high, low, 0, 0]).expect_err("a flag alone")
    };
    for (flag, name, _, needs) in crate::wire::layout::flag::NEEDS {
        assert_eq!(alone(flag), FrameError::FlagAlone { flag: name, needs });
    }
    let wide = |flags: u8| [&[0, 0, flags, 0, 0][..], &[0xff; 8]].concat();
    let out = |part, max| Err(FrameError::OutOfRange { part, value: varint::MAX, max });
    assert_eq!(read(&wide(1)), out("service", u32::MAX.into()));
    assert_eq!(read(&wide(4)), out("remaining time", u32::MAX.into()));
    assert_eq!(read(&[0, 0, 3, 0, 0, 0, 0]), Err(text(0)));
    assert_eq!(read(&[0, 0, 3, 0, 0, 0, 0x42, 1]), Err(text(513)));
    assert_eq!(read(&[0, 0, 3, 0, 0, 0, 1, 0xff]), Err(FrameError::NotText { part: "key" }));
    assert_eq!(read(&[0, 0, 3, 0, 0, 0, 2, b'k']), Err(FrameError::Truncated { part: "key" }));
    assert_eq!(read(&[2, 0, 2]), Err(FrameError::UnknownFlags(2)));
    assert_eq!(read(&[3, 0, 0, 1, 0x90, 4, 0]), Err(FrameError::UnknownRetry(4)));
    assert_eq!(read(&[5, 0, 6]), Err(FrameError::UnknownCause(6)));
    assert_eq!(read(&[5, 0, 0, 9]), Err(FrameError::Trailing { bytes: 1 }));
    assert_eq!(read(&[6, 0, 9, 9]), Err(FrameError::Trailing { bytes: 2 }));
}

fn text(length: u64) -> FrameError {
    FrameError::TextLength { part: "key", length, min: 1, max: limits::KEY_MAX }
}

#[test]
fn what_is_on_a_stream_of_its_own_is_not_in_the_frame() {
    let large = Some(LargeBody { id: 3, length: limits::LARGE_MAX });
    let failure = Failure { status: 409, retry: Retry::Never, text: "taken" };
    for content in [
        Content::Cast(Request { large, ..usual() }),
        Content::Answer { call: CallId(1), large },
        Content::Failed { call: CallId(1), failure, large },
    ] {
        let head = head(content);
        assert_eq!(written(&head, b"a body"), Err(FrameError::Trailing { bytes: 6 }));
        let mut bytes = bytes(&head, b"");
        assert_eq!(read(&bytes), Ok(Frame { head, body: b"" }));
        bytes.push(0);
        assert_eq!(read(&bytes), Err(FrameError::Trailing { bytes: 1 }));
    }
}

#[test]
fn time_that_is_left_never_grows_on_its_way() {
    for (left, told) in [
        (Duration::from_micros(1_999), Duration::from_millis(1)),
        (Duration::from_micros(999), Duration::ZERO),
        (Duration::MAX, Duration::from_millis(u32::MAX.into())),
    ] {
        let request = Request { remaining: Some(left), ..usual() };
        let bytes = bytes(&head(Content::Cast(request)), b"");
        let Content::Cast(read) = read(&bytes).expect("a frame").head.content else { panic!("a cast") };
        assert_eq!(read.remaining, Some(told));
    }
}

#[test]
fn the_text_of_a_failure_is_cut_between_characters() {
    let text = format!("x{}", "é".repeat(limits::FAILURE_TEXT_MAX));
    let failure = Failure::new(500, Retry::Later, &text);
    assert_eq!(failure.text.len(), limits::FAILURE_TEXT_MAX - 1);
    assert_eq!(Failure::new(500, Retry::Later, "short").text, "short");
}

#[test]
fn a_frame_that_is_taken_back_stays_in_its_place_and_says_nothing() {
    let mut lane = Vec::new();
    for call in 1..=3 {
        let open = begin(&mut lane, &head(Content::Call(CallId(call), usual()))).expect("a head");
        lane.extend_from_slice(b"body");
        open.finish(&mut lane, limits::FRAME_MAX).expect("a frame");
    }
    let before = lane.len();
    assert!(take_back(&mut lane, 1));
    assert!(!take_back(&mut lane, 3), "there are three");
    assert_eq!(lane.len(), before);
    let mut calls = Vec::new();
    let mut at = 0;
    while let Ok(Some(found)) = next(&lane[at..], limits::FRAME_MAX) {
        at += found.consumed;
        match read(found.bytes).expect("a frame").head.content {
            Content::Call(call, _) => calls.push(call.0),
            Content::Void => calls.push(0),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(calls, [1, 0, 3]);
}

#[test]
fn time_that_a_frame_has_waited_is_taken_off_what_is_left() {
    let lasting = |millis| Request { remaining: Some(Duration::from_millis(millis)), ..usual() };
    let endless = Request { remaining: None, ..usual() };
    let contents = [
        Content::Cast(lasting(70)),
        Content::Call(CallId(5), lasting(5_000)),
        Content::Cast(endless),
        Content::Cancel { call: CallId(4) },
        Content::Call(CallId(6), lasting(u32::MAX.into())),
    ];
    let mut lane = Vec::new();
    for content in contents {
        let bodiless = matches!(content, Content::Cancel { .. });
        let open = begin(&mut lane, &head(content)).expect("a head");
        lane.extend_from_slice(if bodiless { b"" } else { b"body" });
        open.finish(&mut lane, limits::FRAME_MAX).expect("a frame");
    }
    let length = lane.len();
    shorten(&mut lane, Duration::from_millis(100));
    let mut left = Vec::new();
    let mut at = 0;
    while let Ok(Some(found)) = next(&lane[at..], limits::FRAME_MAX) {
        at += found.consumed;
        let frame = read(found.bytes).expect("a frame");
        match frame.head.content {
            Content::Call(_, request) | Content::Cast(request) => {
                assert_eq!(frame.body, b"body");
                left.push(request.remaining.map(|left| left.as_millis() as u64));
            }
            other => assert_eq!(other, Content::Cancel { call: CallId(4) }),
        }
    }
    assert_eq!(at, length);
    assert_eq!(left, [Some(0), Some(4_900), None, Some(u64::from(u32::MAX) - 100)]);
}
