//! Nodes that are restarted one after another while a client goes on.

use crate::stage::{LIMIT, try_post};
use crate::trio::{ALL, Trio};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// Those who call at the same time.
const CALLERS: usize = 3;
/// Entities that are called.
const KEYS: usize = 12;

/// What a caller has seen: an answer, or a failure.
type Seen = Result<(), String>;

/// Adds one to an entity, at the first node that takes the connection. One that the system had let in when its gateway
/// closed is reset: nobody has seen its request, which the sum shows in the end.
fn add(nodes: &[String], key: usize) -> Seen {
    let path = format!("/v1/counter/k{key}/add");
    let post = |node: &String| try_post(node, &path, r#"{"amount":1}"#);
    let is_reset =
        |done: &io::Result<_>| done.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset);
    match nodes.iter().filter_map(post).find(|done| !is_reset(done)) {
        Some(Ok((200, _))) => Ok(()),
        Some(Ok((status, body))) => Err(format!("{status} {body}")),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("nobody takes the connection".into()),
    }
}

/// Takes so many answers. None of the requests has failed.
#[track_caller]
fn take(seen: &Receiver<Seen>, count: u64) -> u64 {
    for _ in 0..count {
        seen.recv_timeout(LIMIT).expect("requests are answered").expect("no request fails");
    }
    count
}

#[test]
fn nodes_are_restarted_one_after_another_and_no_request_fails() {
    let mut trio = Trio::begin("rolling", "");
    let (see, seen) = channel();
    let is_over = Arc::new(AtomicBool::new(false));
    let call = |at: usize| {
        let (see, is_over, mut nodes) = (see.clone(), is_over.clone(), trio.https.clone());
        nodes.rotate_left(at);
        let calls = (0..KEYS).cycle().skip(at).take_while(move |_| !is_over.load(Ordering::Relaxed));
        let call = move || calls.for_each(|key| see.send(add(&nodes, key)).expect("somebody looks"));
        thread::Builder::new().spawn(call).expect("a thread")
    };
    let callers: Vec<_> = (0..CALLERS).map(call).collect();
    drop(see);
    let mut answered = 0;
    for at in 0..ALL.len() {
        answered += take(&seen, 100);
        trio.stop(at);
        trio.start_again(at);
    }
    answered += take(&seen, 100);
    is_over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.join().expect("it has told what it has seen");
    }
    answered += seen.iter().map(|seen| seen.expect("no request fails")).count() as u64;
    // nothing that was counted is lost: it went along with its entity
    let sum: u64 = (0..KEYS).map(|key| total(&trio.https[0], key)).sum();
    assert_eq!(sum, answered);
}

fn total(node: &str, key: usize) -> u64 {
    let answer = try_post(node, &format!("/v1/counter/k{key}/add"), r#"{"amount":0}"#);
    let (status, body) = answer.expect("it is up").expect("it answers");
    assert_eq!(status, 200, "{body}");
    body.trim().parse().expect("a number")
}
