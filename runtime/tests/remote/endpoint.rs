//! The endpoint: where it runs, how it ends, and what it cannot be bound with.

use crate::stage::{ANY_PORT, answer, authority, endpoint, here, node, soon, trust};
use odeon::core::Retry;
use odeon::host::Executor;
use odeon::remote::endpoint::{BindError, HandshakeError};
use odeon::remote::{Endpoint, Transport};
use quinn::ConnectionError;
use std::time::Duration;
use tokio::runtime::Handle;

const WITHIN: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_closed_endpoint_tells_its_peers_why_and_leaves_no_task() {
    let before = Handle::current().metrics().num_alive_tasks();
    let ours = authority(1);
    let (north, south) = (endpoint(&ours, "north"), endpoint(&ours, "south"));
    let (dialled, dialler) = tokio::join!(answer(&north), soon(south.connect(north.local_address())));
    let (dialled, dialler) = (dialled.expect("a member"), dialler.expect("a member"));
    assert!(Handle::current().metrics().num_alive_tasks() > before);
    let (in_order, nobody) = tokio::join!(north.close("upgrade", WITHIN), north.accept());
    assert!(in_order && nobody.is_none());
    let ConnectionError::ApplicationClosed(close) = soon(dialler.connection.closed()).await else {
        panic!("it was closed on purpose")
    };
    assert_eq!(&close.reason[..], b"upgrade");
    assert!(south.close("", WITHIN).await);
    drop((north, south, dialled, dialler));
    soon(async {
        while Handle::current().metrics().num_alive_tasks() > before {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// What a path may carry at once is used up, so nothing more may be sent: the end is told all the same.
#[tokio::test]
async fn an_endpoint_that_is_closed_while_much_is_under_way_still_tells_its_peers_why() {
    let ours = authority(1);
    for turns in 0..20 {
        let (north, south) = (endpoint(&ours, "north"), endpoint(&ours, "south"));
        let (dialled, dialler) = tokio::join!(answer(&north), soon(south.connect(north.local_address())));
        let (dialled, dialler) = (dialled.expect("a member"), dialler.expect("a member"));
        let mut stream = dialled.connection.open_uni().await.expect("a stream");
        stream.write_all(&[7; 500_000]).await.expect("there is room for it");
        // so far it gets
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        assert!(north.close("upgrade", WITHIN).await);
        let end = soon(dialler.connection.closed()).await;
        let ConnectionError::ApplicationClosed(close) = end else {
            panic!("after {turns} turns nobody told why: {end}")
        };
        assert_eq!(&close.reason[..], b"upgrade");
        south.close("", WITHIN).await;
    }
}

#[tokio::test]
async fn a_closed_endpoint_neither_dials_nor_is_reached() {
    let ours = authority(1);
    let quick = Transport { handshake_max: Duration::from_millis(100), ..Transport::default() };
    let north = endpoint(&ours, "north");
    let south = Endpoint::bind(ANY_PORT, trust(&ours, "south"), &quick, &here()).expect("a free port");
    north.close("gone", WITHIN).await;
    let dialled = north.connect(south.local_address()).await.expect_err("it is closed");
    assert!(matches!(&dialled, HandshakeError::Closed { why, .. } if why.contains("stopping")), "{dialled}");
    let silent = soon(south.connect(north.local_address())).await.expect_err("nobody answers");
    assert!(matches!(silent, HandshakeError::Silent { .. }), "{silent}");
    assert_eq!(silent.retry(), Retry::Later);
}

#[tokio::test]
async fn a_peer_that_does_not_hear_of_the_end_holds_nobody_up() {
    let ours = authority(1);
    let (north, south) = (endpoint(&ours, "north"), endpoint(&ours, "south"));
    let met = tokio::join!(answer(&north), soon(south.connect(north.local_address())));
    assert!(met.0.is_ok() && met.1.is_ok());
    assert!(!north.close("now", Duration::ZERO).await, "there was no time to tell");
}

#[test]
fn all_tasks_of_an_endpoint_live_on_its_executor() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (own, callers) = (runtime(), runtime());
    let executor = Executor::new(own.handle().clone(), 0);
    let ours = authority(1);
    let bind = |name| {
        Endpoint::bind(ANY_PORT, trust(&ours, name), &Transport::default(), &executor).expect("a free port")
    };
    let (north, south) = (bind("north"), bind("south"));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let driven = std::thread::spawn(move || {
        // a lost sender stops it too
        own.block_on(async { drop(stopped.await) });
        own.metrics().num_alive_tasks()
    });
    let met =
        callers.block_on(async { tokio::join!(answer(&north), soon(south.connect(north.local_address()))) });
    assert_eq!(met.1.as_ref().expect("a member").name(), &node("north"));
    assert_eq!(callers.metrics().num_alive_tasks(), 0, "callers only wait");
    stop.send(()).expect("it runs");
    // two endpoints and two ends of a connection
    assert_eq!(driven.join().expect("it ends"), 4);
}

#[tokio::test]
async fn a_packet_size_that_hangs_and_a_taken_port_are_refused_with_what_to_do() {
    let ours = authority(1);
    for (mtu_max, works) in [(1_199, false), (1_200, true), (1_452, true), (6_500, true), (6_501, false)] {
        let transport = Transport { mtu_max, ..Transport::default() };
        let bound = Endpoint::bind(ANY_PORT, trust(&ours, "north"), &transport, &here());
        match bound {
            Err(BindError::Mtu(refused)) => assert!(!works && refused == mtu_max),
            Ok(_) => assert!(works, "{mtu_max}"),
            Err(other) => panic!("{other}"),
        }
    }
    let first = endpoint(&ours, "north");
    let taken = Endpoint::bind(first.local_address(), trust(&ours, "south"), &Transport::default(), &here());
    let said = taken.expect_err("it is taken").to_string();
    assert!(said.contains(&first.local_address().to_string()), "{said}");
}

#[tokio::test]
async fn large_packets_reach_their_size_on_loopback() {
    let ours = authority(1);
    let jumbo = Transport { mtu_max: 6_500, ..Transport::default() };
    let bind = |name| Endpoint::bind(ANY_PORT, trust(&ours, name), &jumbo, &here()).expect("a free port");
    let (north, south) = (bind("north"), bind("south"));
    let (dialled, dialler) = tokio::join!(answer(&north), soon(south.connect(north.local_address())));
    let (dialled, dialler) = (dialled.expect("a member").connection, dialler.expect("a member").connection);
    let sent = async {
        while dialler.stats().path.current_mtu < 6_000 {
            let mut stream = dialler.open_uni().await.expect("a stream");
            stream.write_all(&[7; 20_000]).await.expect("it is sent");
            stream.finish().expect("it is not finished yet");
            stream.stopped().await.expect("it is read");
        }
    };
    let read = async {
        while let Ok(mut stream) = dialled.accept_uni().await {
            assert_eq!(stream.read_to_end(20_000).await.expect("it comes whole"), [7; 20_000]);
        }
    };
    soon(async {
        tokio::select! { () = sent => (), () = read => panic!("it ended early") }
    })
    .await;
}
