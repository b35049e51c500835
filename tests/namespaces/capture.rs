//! Reads every packet along at the switch, and looks for words in them.

use memchr::memmem::Finder;
use rustix::net::sockopt::{Timeout, set_socket_recv_buffer_size, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SocketType, recv, socket};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// The longest frame: 64 KiB that are cut into packets further on, and an Ethernet header.
const FRAME_MAX: usize = (64 << 10) + 64;
/// Bytes that wait for whoever reads along; beyond them frames are missed.
const BUFFER: usize = 4 << 20;
/// How often it is looked whether to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What was seen so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Frames, each once for every port that it has passed.
    pub(crate) frames: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Frames with a word.
    pub(crate) found: BTreeMap<String, u64>,
}

/// Whoever reads along, until this is dropped.
pub(crate) struct Capture {
    seen: Arc<Mutex<Seen>>,
    stops: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Capture {
    /// Begins, with a socket that was opened where there is something to see.
    pub(crate) fn begin(socket: OwnedFd, words: &[String]) -> Self {
        let (seen, stops) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let (words, writes, looks) = (words.to_vec(), seen.clone(), stops.clone());
        let reader = std::thread::Builder::new().spawn(move || {
            let finders: Vec<_> = words.iter().map(|word| (word, Finder::new(word))).collect();
            let mut frame = vec![0; FRAME_MAX];
            while !looks.load(Ordering::Acquire) {
                // an error says that there was nothing for a while, or that an interface went down
                let Ok((length, _)) = recv(&socket, &mut frame[..], RecvFlags::empty()) else { continue };
                let mut seen = writes.lock().expect("nobody panics with it");
                seen.frames += 1;
                seen.bytes += length as u64;
                for (word, finder) in &finders {
                    if finder.find(&frame[..length]).is_some() {
                        *seen.found.entry((*word).clone()).or_default() += 1;
                    }
                }
            }
        });
        Self { seen, stops, reader: Some(reader.expect("a thread")) }
    }

    /// What was seen so far.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().expect("nobody panics with it").clone()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stops.store(true, Ordering::Release);
        // one that has panicked has said so
        let _ = self.reader.take().map(JoinHandle::join);
    }
}

/// A socket that gets each frame of every interface in the namespace of the calling thread (packet(7)).
pub(crate) fn open() -> OwnedFd {
    let every = Some(rustix::net::eth::ALL);
    let socket = socket(AddressFamily::PACKET, SocketType::RAW, every).expect("who is root may read along");
    set_socket_timeout(&socket, Timeout::Recv, Some(LOOK_EVERY)).expect("any socket has one");
    set_socket_recv_buffer_size(&socket, BUFFER).expect("the system bounds it by itself");
    socket
}
