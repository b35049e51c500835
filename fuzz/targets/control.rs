//! What comes on the control stream of a link, without its length, as MessagePack: what was read can be written, and is
//! read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use odeon::remote::control_reread;

fuzz_target!(|data: &[u8]| {
    match control_reread(data) {
        Ok(once) => {
            let twice = control_reread(&once[4..]).expect("it was written by us");
            assert_eq!(once, twice);
        }
        Err(problem) => assert!(!problem.is_empty()),
    }
});
