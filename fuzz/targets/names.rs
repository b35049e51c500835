//! Names and what is made of them: services, nodes, references, traces, classes. The first byte chooses the reader.
//! What was read can be written, and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use odeon::core::{Criticality, NodeName, ServiceName, TraceContext};
use odeon::directory::Locator;
use std::fmt::{Debug, Display};
use std::str::FromStr;

fn text<T: FromStr<Err: Debug + Display> + Display + PartialEq + Debug>(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match text.parse::<T>() {
        Ok(value) => assert_eq!(value.to_string().parse::<T>().expect("it was written by us"), value),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn locator(bytes: &[u8], read: impl Fn(&[u8]) -> Option<Locator>, write: impl Fn(&Locator) -> Vec<u8>) {
    if let Some(locator) = read(bytes) {
        assert_eq!(read(&write(&locator)).as_ref(), Some(&locator));
        assert!(locator.to_string().starts_with(&locator.service.to_string()));
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    match choice % 6 {
        0 => text::<ServiceName>(rest),
        1 => text::<NodeName>(rest),
        2 => text::<TraceContext>(rest),
        3 => text::<Criticality>(rest),
        4 => locator(
            rest,
            |bytes| serde_json::from_slice(bytes).ok(),
            |locator| serde_json::to_vec(locator).expect("JSON can express it"),
        ),
        _ => locator(
            rest,
            |bytes| rmp_serde::from_slice(bytes).ok(),
            |locator| rmp_serde::to_vec_named(locator).expect("MessagePack can express it"),
        ),
    }
});
