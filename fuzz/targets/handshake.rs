//! The messages of a handshake, as MessagePack: what was read can be written, and read again as the same; and whatever
//! a hello or a welcome says, it is let in or turned away with a reason.
#![no_main]

use libfuzzer_sys::fuzz_target;
use odeon::core::wire::admission::{Known, Ours, Sessions, admit, confirm};
use odeon::core::wire::duel::{Dial, Held};
use odeon::core::wire::handshake::{Expected, Features, Hello, Reply, Turned};
use odeon::core::wire::session::{Received, Resume, SessionId};
use odeon::core::wire::version::{Version, VersionRange};
use odeon::core::{NodeId, NodeName};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

fn read<T: DeserializeOwned + Serialize + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
    let value: T = rmp_serde::from_slice(bytes).ok()?;
    let again = rmp_serde::to_vec_named(&value).expect("MessagePack can express it");
    assert_eq!(rmp_serde::from_slice::<T>(&again).expect("it was written by us"), value);
    Some(value)
}

fn name(text: &str) -> NodeName {
    text.parse().expect("a name")
}

fn told(turned: &Turned) {
    assert!(!turned.to_string().is_empty() && !turned.advice().is_empty());
}

fuzz_target!(|data: &[u8]| {
    let mars = NodeId { name: name("mars"), incarnation: 3 };
    let (hello, reply) = (read::<Hello>(data), read::<Reply>(data));
    // what it says of the cluster and of itself is believed, so that the rest is looked at as well
    let party = match (&hello, &reply) {
        (Some(hello), _) => &hello.from,
        (None, Some(Reply::Welcome(welcome))) => &welcome.from,
        (None, Some(Reply::Turned(turned))) => return told(turned),
        (None, None) => return,
    };
    let us = Ours {
        cluster: party.cluster.clone(),
        node: mars.clone(),
        run: 4,
        is_client: false,
        versions: VersionRange { oldest: Version(1), newest: Version(3) },
        artifact: party.artifact,
        address: String::new(),
        features: Features(6),
        session_next: 8,
    };
    let session = SessionId { incarnation: 5, number: 2 };
    let received = Some(Received { session, lanes: Default::default() });
    let known = Known { incarnation: 5, run: 6, sessions: Some(Sessions { sending: 2, received }) };
    let held = Held { dial: Dial { dialer: mars, attempt: 2 }, peer: Some(5) };
    let certificate = party.node.name.clone();
    let met = match (&hello, &reply) {
        (Some(hello), _) => {
            admit(&us, hello, &certificate, Some(&known), Some(&held)).map(|admitted| admitted.met)
        }
        (None, Some(Reply::Welcome(welcome))) => {
            let hello = us.hello(Some(&known), Expected::default(), 1, None);
            confirm(&us, &hello, welcome, &certificate, Some(&known))
        }
        (None, _) => return,
    };
    match met {
        Ok(met) => {
            assert!(us.versions.contains(met.version));
            assert!(![met.incoming, met.outgoing].iter().any(|r| matches!(r, Resume::Stale { .. })));
        }
        Err(turned) => told(&turned),
    }
});
