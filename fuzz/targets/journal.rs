//! What a node finds in its log: bytes that anybody may have changed are read to their end, and what was read of them can
//! be written and is read again as the same; bytes that were sealed are found whole, and torn or rotten ones told apart.
#![no_main]

use libfuzzer_sys::fuzz_target;
use odeon::core::journal::{BATCH_HEAD, Batch, BatchHead, SegmentHead, Tail, records, scan};
use std::convert::Infallible;

fuzz_target!(|data: &[u8]| {
    // as a segment, a batch, and a body
    if let Ok((head, checksum)) = SegmentHead::read(data) {
        scan(data, (&head, checksum), |_| Ok::<_, Infallible>(())).expect("nothing is refused");
    }
    assert!(Batch::read(data).is_none_or(|batch| batch.length() <= data.len()));
    for located in records(data).map_while(Result::ok) {
        let mut written = Vec::new();
        located.record.write(&mut written);
        assert_eq!(written.len(), located.record.length());
        let again = records(&written).next().expect("there is one").expect("it was written by us");
        assert_eq!(again.record, located.record);
    }
    // sealed, and then with one byte changed that the data chooses
    let head = SegmentHead { position: 1_000, chain: 77 };
    let (segment, chain) = head.write();
    let position = head.position + segment.len() as u64;
    let mut batch = [&[0; BATCH_HEAD], data].concat();
    BatchHead { position, synced: position, chain }.seal(&mut batch);
    let mut bytes = [&segment[..], &batch].concat();
    let found = scan(&bytes, (&head, chain), |batch| {
        assert_eq!(batch.body, data);
        Ok::<_, Infallible>(())
    });
    assert_eq!(found.map(|scan| scan.tail), Ok(Tail::Whole));
    if let Some(wrong) = data.first() {
        let at = segment.len() + usize::from(*wrong) % batch.len();
        bytes[at] ^= 1 + wrong % 255;
        let found = scan(&bytes, (&head, chain), |_| Ok::<_, Infallible>(()));
        assert_ne!(found.map(|scan| scan.tail), Ok(Tail::Whole));
    }
});
