//! The path and the headers of a request. The first line is the path, each further one a header.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use odeon_actors::gateway::request::{Target, WITHIN_MAX, Wishes, service_segment};

const NAMES: [&str; 5] =
    ["request-timeout", "traceparent", "x-request-id", "odeon-criticality", "content-type"];

fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|b| *b == b'\n');
    if let Some(path) = lines.next().and_then(|l| std::str::from_utf8(l).ok())
        && let Ok(target) = Target::parse(path)
    {
        // what was understood can be written again, and means the same
        let again = format!("/v1/{}/x", service_segment(&target.service));
        let again = Target::parse(&again).expect("a service that was read can be written");
        assert_eq!(again.service, target.service);
    }
    let mut headers = HeaderMap::new();
    for (line, name) in lines.zip(NAMES.iter().cycle()) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    if let Ok(wishes) = Wishes::read(&headers) {
        assert!(wishes.within.is_none_or(|within| within <= WITHIN_MAX));
    }
});
