//! What replicas of a group say to each other, in MessagePack: what was read can be written, and is read again as the
//! same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use odeon::replication::message_reread;

fuzz_target!(|data: &[u8]| {
    match message_reread(data) {
        Ok(once) => {
            let twice = message_reread(&once).expect("it was written by us");
            assert_eq!(once, twice);
        }
        Err(problem) => assert!(!problem.is_empty()),
    }
});
