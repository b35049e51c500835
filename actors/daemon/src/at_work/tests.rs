//! Nodes whose handlers block their executors.

use super::*;
use crate::config::Flags;
use odeon::prelude::*;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Blocks its thread.
#[odeon::contract(name = "block", version = "1.0")]
pub trait Block {
    /// Until it is told to go on.
    #[cast]
    async fn block(&self, cx: &Cx);
}

struct Blocking(mpsc::UnboundedSender<()>, Arc<Mutex<Receiver<()>>>);

#[odeon::service]
impl Block for Blocking {
    async fn block(&self, _: &Cx) {
        let _ = self.0.send(());
        let _ = self.1.lock().expect("no panic while it is held").recv();
    }
}

/// Answers at once.
#[odeon::contract(name = "hello", version = "1.0")]
pub trait Hello {
    /// A word.
    async fn hello(&self, cx: &Cx) -> String;
}

#[derive(Default)]
struct Quick;

#[odeon::service]
impl Hello for Quick {
    async fn hello(&self, _: &Cx) -> String {
        "hello".into()
    }
}

const LIMIT: Duration = Duration::from_secs(60);

/// A node whose first executor is blocked until what this answers as well is dropped, and its directory.
async fn blocked(test: &str, executors: usize) -> (AtWork, std::sync::mpsc::Sender<()>, Directory) {
    let name = format!("odeon-at-work-{test}-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    // a former process may have had the same id
    let _ = std::fs::remove_dir_all(&directory);
    let free = "127.0.0.1:0".parse().ok();
    let flags = Flags {
        dir: Some(directory.clone()),
        http: free,
        management: free,
        executors: std::num::NonZeroUsize::new(executors),
        ..Flags::default()
    };
    let settings = Settings::load(&flags, None).expect("they can be used");
    let (begin, mut begun) = mpsc::unbounded_channel();
    let (release, released) = channel::<()>();
    let released = Arc::new(Mutex::new(released));
    // a singleton runs on the first executor
    let make = move || Blocking(begin.clone(), released.clone());
    let app = App::new().singleton("block", make).service("hello", Quick::default);
    let at_work = AtWork::start(&settings, &Lines::to_nobody(), app).await.expect("it starts");
    let block: BlockRef = at_work.node.service("block").expect("a service");
    block.block().send().expect("room");
    begun.recv().await.expect("it begins");
    (at_work, release, Directory::at(&directory))
}

/// The answer to a request, over a connection of its own.
async fn ask(address: SocketAddr, request: &str) -> String {
    let answer = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("{request}host: here\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.map(|_| answer)
    };
    timeout(LIMIT, answer).await.expect("it is answered").expect("it is served")
}

#[tokio::test]
async fn a_handler_that_blocks_its_executor_does_not_keep_the_node_from_ending() {
    let (at_work, release, directory) = blocked("end", 1).await;
    let ended = timeout(LIMIT, at_work.stop(Duration::from_millis(10))).await;
    assert_eq!(ended, Ok(Ended::with(Code::Failed, 1)));
    assert!(!directory.is_occupied(), "the next one may start");
    assert!(directory.whereabouts().is_ok(), "it is seen that it did not stop in order");
    drop(release);
}

#[tokio::test]
async fn a_node_whose_handler_blocks_its_only_executor_is_looked_at_and_told_to_stop() {
    let (mut at_work, _release, _) = blocked("look", 1).await;
    let management = at_work.whereabouts.management;
    let token = at_work.occupied.token().expect("there is one");
    let open = |path: &str| format!("GET {path} HTTP/1.1\r\nauthorization: Bearer {token}\r\n");
    for path in ["/healthz", "/readyz", "/metrics", "/api/v1/status", "/api/v1/tree", "/api/v1/ps"] {
        let answer = ask(management, &open(path)).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    }
    let stop = format!("POST /api/v1/stop HTTP/1.1\r\nauthorization: Bearer {token}\r\n");
    let answer = ask(management, &stop).await;
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    assert!(at_work.asked_to_stop.recv().await.is_some());
}

#[tokio::test]
async fn the_dump_of_a_node_whose_handler_blocks_its_only_executor_names_it() {
    let (at_work, _release, directory) = blocked("dump", 1).await;
    let remote = crate::remote::Remote::at(&directory).expect("it can be found");
    let dump = async {
        loop {
            let dump = remote.dump().await.expect("it is told");
            if dump.inside.stuck.count() > 0 {
                return dump;
            }
        }
    };
    let dump = timeout(LIMIT, dump).await.expect("soon");
    let stuck = &dump.inside.stuck.listed[0];
    assert_eq!((&*stuck.cell.service, &*stuck.method, stuck.blocks), ("block", "block", true));
    let [first, control] = &dump.inside.executors[..] else { panic!("{:?}", dump.inside.executors) };
    assert_eq!((first.answered_us, first.control, control.control), (None, false, true));
    assert!(control.answered_us.is_some(), "{control:?}");
    let text = crate::commands::dump::text::of(&dump, crate::terminal::Terminal::plain()).join("\n");
    for words in ["blocks executor 0", "blocked", "block #1 in block for", "control"] {
        assert!(text.contains(words), "{words:?} is missing in\n{text}");
    }
    drop(at_work);
}

#[tokio::test]
async fn one_blocked_executor_does_not_keep_new_connections_from_being_served() {
    let (at_work, _release, _) = blocked("accept", 2).await;
    let http = at_work.whereabouts.http;
    // at first each second one is handed to the blocked executor
    for _ in 0..10 {
        let answer = ask(http, "POST /v1/hello/hello HTTP/1.1\r\ncontent-length: 0\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\"hello\""), "{answer}");
    }
}

/// How a stop ends that takes until everything that was sent is heard.
async fn finished(comes_back: bool, requests: usize, signals: usize) -> Ended {
    let (ask, mut asked) = mpsc::channel(1);
    let (signal, mut signalled) = mpsc::unbounded_channel();
    let heard = Arc::new(Notify::new());
    let stop = {
        let heard = heard.clone();
        async move {
            for _ in 0..requests {
                ask.send(StopRequest { within_ms: None }).await.expect("it is listened to");
                ask.reserve().await.map(drop).expect("it is heard");
            }
            for _ in 0..signals {
                signal.send("SIGTERM").expect("it is listened to");
                heard.notified().await;
            }
            Ended::with(Code::Done, 0)
        }
    };
    let next = async || match signalled.recv().await {
        Some(name) => {
            heard.notify_one();
            name
        }
        None => pending().await,
    };
    finish(stop, comes_back, &mut asked, next).await
}

#[tokio::test]
async fn a_node_that_was_to_come_back_stays_away_when_it_is_told_to_stop_meanwhile() {
    let done = |comes_back| Ended { comes_back, ..Ended::with(Code::Done, 0) };
    assert_eq!(finished(true, 0, 0).await, done(true));
    assert_eq!(finished(true, 1, 0).await, done(false), "a request");
    assert_eq!(finished(true, 0, 1).await, done(false), "a signal");
    let interrupted = Ended::with(Code::Interrupted, 0);
    assert_eq!(finished(true, 0, 2).await, interrupted, "the second one cuts it short");
    assert_eq!(finished(false, 0, 1).await, interrupted, "as for any other node");
}
