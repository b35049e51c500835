//! The symbols, called through std alone: virtual on a thread with a kernel, real on every other.

#![allow(
    clippy::disallowed_methods,
    reason = "real clocks and threads are what virtual ones are compared with"
)]

use odeon_simulator_os::{Kernel, Payload, Recorder, Seat, install, outside, uninstall, with};
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const SEAT: Seat = Seat { host: 0, executor: 0 };

/// Runs on a fresh thread whose one host has its turn.
fn in_turn<R: Send + 'static>(seed: u64, run: impl FnOnce() -> R + Send + 'static) -> R {
    let on_thread = move || {
        let mut kernel = Kernel::new(seed, Recorder::new(true));
        kernel.add_host("alone", Ipv4Addr::new(10, 0, 0, 1), seed);
        kernel.enter(SEAT, 0);
        install(kernel);
        let result = run();
        uninstall().expect("the kernel was installed");
        result
    };
    std::thread::spawn(on_thread).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Random bytes by the system call, as getrandom 0.2 and ring ask for them.
fn by_system_call() -> [u8; 8] {
    let mut bytes = [0u8; 8];
    // SAFETY: the buffer has eight bytes.
    let count = unsafe { libc::syscall(libc::SYS_getrandom, bytes.as_mut_ptr(), bytes.len(), 0) };
    assert_eq!(count, 8);
    bytes
}

#[test]
fn clocks_and_chance_are_the_kernels_inside_and_real_outside() {
    let look = || (Instant::now(), SystemTime::now(), RandomState::new().hash_one(1), by_system_call());
    let (first, again, other) = (in_turn(1, look), in_turn(1, look), in_turn(2, look));
    assert_eq!(first, again);
    assert_eq!((first.0, first.1), (other.0, other.1));
    assert_ne!((first.2, first.3), (other.2, other.3));
    let since = first.1.duration_since(UNIX_EPOCH).expect("a time after 1970");
    assert_eq!(since, Duration::from_secs(1_893_456_000), "the virtual world begins in 2030");
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(2) {}
    assert_ne!(by_system_call(), by_system_call());
}

#[test]
fn time_moves_when_the_world_moves_it() {
    let passed = in_turn(1, || {
        let start = Instant::now();
        assert_eq!(start.elapsed(), Duration::ZERO);
        with(|kernel| {
            kernel.leave();
            kernel.set_now(1_500_000_000);
            kernel.enter(SEAT, 250);
        });
        start.elapsed()
    });
    assert_eq!(passed, Duration::from_nanos(1_500_000_250));
}

#[test]
fn while_the_kernel_is_lent_or_stepped_around_the_thread_is_an_ordinary_one() {
    in_turn(1, || {
        let inside = Instant::now();
        let nested = with(|_| (Instant::now(), with(|_| ()))).expect("the kernel is there");
        assert!(nested.0 != inside && nested.1.is_none(), "no second borrow while one lasts");
        assert_ne!(outside(Instant::now), inside);
        assert_eq!(Instant::now(), inside);
    });
}

#[test]
fn a_panic_while_the_kernel_is_lent_gives_it_back() {
    in_turn(1, || {
        let caught = std::panic::catch_unwind(|| with(|_| panic!("inside")));
        assert!(caught.is_err());
        assert!(with(|_| ()).is_some());
    });
}

#[test]
fn other_threads_are_real_even_those_started_by_a_program() {
    let leaks = in_turn(1, || {
        let inside = SystemTime::now();
        let real = std::thread::spawn(SystemTime::now).join().expect("the thread ends");
        assert!(real < inside, "the real year comes before the virtual one");
        with(|kernel| kernel.leaks()).expect("the kernel is there")
    });
    assert!(
        leaks.iter().any(|leak| leak.contains("pthread_create") && leak.contains("on alone")),
        "{leaks:?}"
    );
}

#[test]
fn datagrams_leave_through_the_outbox_and_arrive_by_delivery() {
    in_turn(1, || {
        let socket = UdpSocket::bind("0.0.0.0:9").expect("the port is free");
        socket.set_nonblocking(true).expect("an option of every socket");
        assert!(socket.as_raw_fd() >= 1 << 28, "virtual descriptors are far from real ones");
        socket.send_to(b"out", "10.0.0.2:7").expect("UDP does not fail");
        let (own, peer) = (SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 9), "10.0.0.2:7");
        let mut outbox = Vec::new();
        with(|kernel| kernel.drain_outbox(&mut outbox));
        assert_eq!(outbox.len(), 1);
        assert_eq!((outbox[0].source, outbox[0].destination.to_string()), (own, peer.to_owned()));
        assert!(matches!(&outbox[0].payload, Payload::Datagram(bytes) if bytes == b"out"));
        let sender = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 7);
        assert_eq!(with(|kernel| kernel.deliver_datagram(0, sender, own, b"in".to_vec())), Some(true));
        let mut buffer = [0; 8];
        let (length, from) = socket.recv_from(&mut buffer).expect("a datagram waits");
        assert_eq!((&buffer[..length], from), (&b"in"[..], SocketAddr::V4(sender)));
        let empty = socket.recv_from(&mut buffer).map_err(|error| error.kind());
        assert_eq!(empty.map(drop), Err(std::io::ErrorKind::WouldBlock));
    });
}

#[test]
fn a_descriptor_that_outlives_its_kernel_is_closed_without_harm() {
    let socket = in_turn(1, || UdpSocket::bind("0.0.0.0:9").expect("the port is free"));
    drop(socket);
}

#[test]
fn files_live_below_sim_and_nowhere_else() {
    let path = "/sim/data/x";
    in_turn(1, move || {
        with(|kernel| kernel.disk_of(0).install_directory("/sim/data"));
        std::fs::write(path, b"kept").expect("the virtual disk works");
        assert_eq!(std::fs::read(path).expect("the file is there"), b"kept");
        assert_eq!(with(|kernel| kernel.disk_of(0).used()), Some(4));
    });
    assert!(!std::fs::exists(path).expect("the real disk answers"));
    in_turn(1, move || assert!(!std::fs::exists(path).expect("the virtual disk answers"), "another kernel"));
}

#[test]
fn everything_that_happens_is_in_the_hash() {
    let hash = |bytes: &'static [u8]| {
        in_turn(1, move || {
            let socket = UdpSocket::bind("0.0.0.0:9").expect("the port is free");
            socket.send_to(bytes, "10.0.0.2:7").expect("UDP does not fail");
            with(|kernel| kernel.recorder.hash())
        })
    };
    assert_eq!(hash(b"one"), hash(b"one"));
    assert_ne!(hash(b"one"), hash(b"two"));
}

#[test]
fn a_livelock_ends_the_process_and_names_the_host() {
    const MARK: &str = "ODEON_TEST_LIVELOCK";
    if std::env::var_os(MARK).is_some() {
        in_turn(1, || {
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(1) {}
        });
        return;
    }
    let name = "a_livelock_ends_the_process_and_names_the_host";
    let mut child = Command::new(std::env::current_exe().expect("a running binary has a path"));
    let output = child.args(["--exact", name, "--nocapture"]).env(MARK, "1").output().expect("it runs again");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{said}");
    assert!(said.contains("livelock: host alone"), "{said}");
}
