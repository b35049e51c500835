//! Messages of gossip, in the form of chitchat: what was read can be written, and is read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use odeon::remote::gossip_reread;

fuzz_target!(|data: &[u8]| {
    match gossip_reread(data) {
        Ok(once) => drop(gossip_reread(&once).expect("it was written by us")),
        Err(problem) => assert!(!problem.is_empty()),
    }
});
