//! Nodes that are restarted one after another while a client goes on.

use crate::stage::{LIMIT, Place, Running, at_last, json, try_post};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::{fs, io};

const ALL: [&str; 3] = ["north", "south", "east"];
/// Those who call at the same time.
const CALLERS: usize = 3;
/// Entities that are called.
const KEYS: usize = 12;

fn start(place: &Place, name: &str, http: &str, links: &str, peers: &[String]) -> Running {
    let credentials = format!("c/nodes/{name}");
    let mut command = place.command(&["node", "--name", name, "--dir", name, "--credentials", &credentials]);
    command.args(["--http", http, "--management", "127.0.0.1:0", "--cluster-listen", links]);
    command.args(ALL.iter().flat_map(|founder| ["--founder", founder]));
    command.args(peers.iter().flat_map(|peer| ["--peer", peer]));
    Running::start(command)
}

fn whereabouts(place: &Place, name: &str) -> (String, String) {
    let look = || {
        place.run(&["status", "--dir", name]);
        fs::read_to_string(place.path(name).join("node.json")).ok()
    };
    let here = json(&at_last("it says where it is", look));
    let text = |what: &str| here[what].as_str().expect("an address").to_owned();
    (text("http"), text("links"))
}

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
    let place = Place::new("rolling");
    place.run(&["cluster", "init", "--name", "shop", "--directory", "c", "--nodes", &ALL.join(",")]).ok();
    let first = start(&place, ALL[0], "127.0.0.1:0", "127.0.0.1:0", &[]);
    let peer = whereabouts(&place, ALL[0]).1;
    let others = [ALL[1], ALL[2]]
        .map(|name| start(&place, name, "127.0.0.1:0", "127.0.0.1:0", std::slice::from_ref(&peer)));
    let [second, third] = others;
    let mut running = [first, second, third];
    for node in &running {
        node.until_error("the node is up");
    }
    let places = ALL.map(|name| whereabouts(&place, name));
    let https: Vec<String> = places.iter().map(|(http, _)| http.clone()).collect();
    let links: Vec<String> = places.iter().map(|(_, links)| links.clone()).collect();

    let (see, seen) = channel();
    let is_over = Arc::new(AtomicBool::new(false));
    let call = |at: usize| {
        let (see, is_over, mut nodes) = (see.clone(), is_over.clone(), https.clone());
        nodes.rotate_left(at);
        let calls = (0..KEYS).cycle().skip(at).take_while(move |_| !is_over.load(Ordering::Relaxed));
        let call = move || calls.for_each(|key| see.send(add(&nodes, key)).expect("somebody looks"));
        thread::Builder::new().spawn(call).expect("a thread")
    };
    let callers: Vec<_> = (0..CALLERS).map(call).collect();
    drop(see);
    let mut answered = 0;
    for (at, name) in ALL.iter().enumerate() {
        answered += take(&seen, 100);
        place.run(&["stop", "--dir", name]).ok();
        running[at] = start(&place, name, &https[at], &links[at], &links);
        running[at].until_error("the node is up");
        place.run(&["status", "--dir", name]).ok();
    }
    answered += take(&seen, 100);
    is_over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.join().expect("it has told what it has seen");
    }
    answered += seen.iter().map(|seen| seen.expect("no request fails")).count() as u64;
    // nothing that was counted is lost: it went along with its entity
    let sum: u64 = (0..KEYS).map(|key| total(&https[0], key)).sum();
    assert_eq!(sum, answered);
}

fn total(node: &str, key: usize) -> u64 {
    let answer = try_post(node, &format!("/v1/counter/k{key}/add"), r#"{"amount":0}"#);
    let (status, body) = answer.expect("it is up").expect("it answers");
    assert_eq!(status, 200, "{body}");
    body.trim().parse().expect("a number")
}
