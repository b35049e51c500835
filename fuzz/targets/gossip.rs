//! Messages of gossip, in the form of chitchat: they are heard or not, or refused with a reason.
#![no_main]

use libfuzzer_sys::fuzz_target;
use odeon::remote::gossip_read;

fuzz_target!(|data: &[u8]| {
    if let Err(problem) = gossip_read(data) {
        assert!(!problem.is_empty());
    }
});
