//! Tokens of the simulator, as people paste them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use odeon_simulator::token::Token;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<Token>() {
        Ok(token) => {
            assert!(!token.scenario.is_empty());
            assert_eq!(token.to_string().parse::<Token>().as_ref(), Ok(&token));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
