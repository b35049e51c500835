//! What comes on a lane: the bytes as they are, frame by frame, and once more as one frame without its length.
//! What was read can be written, and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use odeon::core::wire::chain::{Chain, Hop};
use odeon::core::wire::envelope::Content;
use odeon::core::wire::frame;
use odeon::core::wire::limits::FRAME_MAX;

fn one(bytes: &[u8]) {
    let read = match frame::read(bytes) {
        Ok(read) => read,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    if let Content::Cast(request) | Content::Call(_, request) = read.head.content {
        let hops: Vec<Hop<'_>> = request.chain.hops().collect();
        assert_eq!(hops.len(), request.chain.len());
        let mut buffer = Vec::new();
        let chain = Chain::encode(&hops, &mut buffer).expect("it was within the limits");
        assert!(chain.hops().eq(hops));
    }
    let mut lane = b"before".to_vec();
    let open = frame::begin(&mut lane, &read.head).expect("it was within the limits");
    lane.extend_from_slice(read.body);
    let length = open.finish(&mut lane, FRAME_MAX).expect("it was within the limits");
    let again = frame::next(&lane[6..], FRAME_MAX).expect("not too long").expect("whole");
    assert_eq!(again.consumed, length);
    assert_eq!(frame::read(again.bytes), Ok(read));
}

fuzz_target!(|data: &[u8]| {
    one(data);
    let mut lane = data;
    while let Ok(Some(found)) = frame::next(lane, FRAME_MAX) {
        one(found.bytes);
        assert!(found.consumed > found.bytes.len());
        lane = &lane[found.consumed..];
    }
});
