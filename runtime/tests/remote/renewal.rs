//! Credentials and authorities are replaced while nodes run and talk.

use crate::stage::{answer, authority, credentials, endpoint, hear, node, soon, trust};
use odeon::remote::endpoint::HandshakeError;
use odeon::remote::trust::Reason;
use odeon::remote::{Authority, Endpoint, Member, Trust};
use std::time::SystemTime;

/// Dials and is let in.
async fn meet(from: &Endpoint, to: &Endpoint) -> Result<(Member, Member), HandshakeError> {
    let (dialled, dialler) = tokio::join!(answer(to), soon(from.connect(to.local_address())));
    Ok((dialler?, dialled?))
}

/// Says something over a connection that exists, and is heard.
async fn still_talk((one, other): &(Member, Member)) {
    hear(&one.connection).await.expect("the greeting or what was said last");
    let mut stream = other.connection.open_uni().await.expect("it is open");
    stream.write_all(b"still here").await.expect("it is sent");
    stream.finish().expect("it is not finished yet");
    drop(stream);
    let mut stream = one.connection.open_uni().await.expect("it is open");
    stream.write_all(b"so am I").await.expect("it is sent");
    stream.finish().expect("it is not finished yet");
    assert_eq!(hear(&other.connection).await.as_deref(), Ok(&b"so am I"[..]));
}

/// Credentials by one authority that believe both.
fn between(own: &Authority, other: &Authority, name: &str) -> Trust {
    let mut credentials = credentials(own, name);
    credentials.authorities.push_str(other.certificate_pem());
    Trust::new(&credentials, SystemTime::now()).expect("trust")
}

#[tokio::test]
async fn a_certificate_is_replaced_and_connections_go_on() {
    let ours = authority(1);
    let (north, south) = (endpoint(&ours, "north"), endpoint(&ours, "south"));
    let old = meet(&south, &north).await.expect("members");
    // a node may even get another name
    south.renew(trust(&ours, "south2"));
    let new = meet(&south, &north).await.expect("members");
    assert_eq!((old.1.name(), new.1.name()), (&node("south"), &node("south2")));
    let back = meet(&north, &south).await.expect("members");
    assert_eq!(back.0.name(), &node("south2"), "as a listener it shows the new one too");
    for pair in [&old, &new, &back] {
        still_talk(pair).await;
    }
}

#[tokio::test]
async fn an_authority_is_replaced_step_by_step_while_nodes_talk() {
    let (first, second) = (authority(1), authority(1));
    let (north, south) = (endpoint(&first, "north"), endpoint(&first, "south"));
    let mut pairs = vec![meet(&south, &north).await.expect("members")];
    // all believe both
    north.renew(between(&first, &second, "north"));
    pairs.push(meet(&south, &north).await.expect("one has changed, one not yet"));
    south.renew(between(&first, &second, "south"));
    // one after the other shows a certificate of the second
    north.renew(between(&second, &first, "north"));
    pairs.push(meet(&south, &north).await.expect("members"));
    pairs.push(meet(&north, &south).await.expect("members"));
    south.renew(between(&second, &first, "south"));
    // nobody needs the first any more
    north.renew(trust(&second, "north"));
    south.renew(trust(&second, "south"));
    pairs.push(meet(&south, &north).await.expect("members"));
    for pair in &pairs {
        still_talk(pair).await;
    }
    let late = endpoint(&first, "late");
    let verdict = meet(&late, &north).await.expect_err("it was forgotten");
    let HandshakeError::Stranger { stranger, .. } = verdict else { panic!("{verdict:?}") };
    assert_eq!(stranger.reason(), Reason::ForeignAuthority);
}
