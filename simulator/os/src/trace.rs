//! The record of a run: one rolling hash over everything that happened, in order, and the lines if wanted.

use std::fmt::Write;

/// A rolling 64-bit hash: each word is mixed by a folded 128-bit multiplication (after wyhash).
#[derive(Clone, Copy, Debug)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Digest {
        Digest(0x0DE0_0DE0_0DE0_0DE0)
    }
}

impl Digest {
    /// Mixes in one word.
    #[inline]
    pub fn word(&mut self, word: u64) {
        let product = u128::from(self.0 ^ 0xA076_1D64_78BD_642F) * u128::from(word ^ 0xE703_7ED1_A0B4_28DB);
        self.0 = (product as u64) ^ ((product >> 64) as u64) ^ self.0.rotate_left(23);
    }

    /// Mixes in bytes, and how many there were.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            self.word(u64::from_le_bytes(chunk.try_into().expect("chunks of eight are eight bytes")));
        }
        let mut rest = [0u8; 8];
        rest[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
        self.word(u64::from_le_bytes(rest));
        self.word(bytes.len() as u64);
    }

    /// The hash so far.
    pub fn value(&self) -> u64 {
        self.0
    }

    /// The hash of these bytes alone.
    #[inline]
    pub fn of(bytes: &[u8]) -> u64 {
        let mut digest = Digest::default();
        digest.bytes(bytes);
        digest.0
    }
}

/// What kind of thing happened; part of the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The script or the world did something to a host or the network.
    World = 1,
    /// An executor got a turn.
    Turn,
    /// A datagram or segment left a host.
    Sent,
    /// A datagram or segment reached a socket.
    Received,
    /// A datagram or segment was lost.
    Lost,
    /// A file was changed, synced or opened.
    File,
    /// A program wrote a log line.
    Log,
}

/// Collects what happened.
#[derive(Debug, Default)]
pub struct Recorder {
    digest: Digest,
    lines: Option<Vec<String>>,
    count: u64,
}

impl Recorder {
    /// A recorder that keeps a line for each happening, or only the hash.
    pub fn new(keep_lines: bool) -> Recorder {
        Recorder { digest: Digest::default(), lines: keep_lines.then(Vec::new), count: 0 }
    }

    /// Records one happening: when (nanoseconds since the start), where, and two words that tell it apart
    /// from others of its kind. The text is made only when lines are kept.
    #[inline]
    pub fn record(
        &mut self,
        time: u64,
        host: Place<'_>,
        what: Happening,
        words: [u64; 2],
        text: impl FnOnce() -> String,
    ) {
        self.count += 1;
        self.digest.word(time);
        self.digest.word((u64::from(host.number) << 8) | what as u64);
        self.digest.word(words[0]);
        self.digest.word(words[1]);
        if let Some(lines) = &mut self.lines {
            let mut line = format!("{}.{:09} {:<8} ", time / 1_000_000_000, time % 1_000_000_000, host.name);
            let _ = write!(line, "{}", text());
            lines.push(line);
        }
    }

    /// The hash so far.
    pub fn hash(&self) -> u64 {
        self.digest.value()
    }

    /// How many happenings were recorded.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether lines are kept.
    pub fn keeps_lines(&self) -> bool {
        self.lines.is_some()
    }

    /// The lines so far.
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }

    /// Takes the kept lines out.
    pub fn take_lines(&mut self) -> Vec<String> {
        self.lines.take().unwrap_or_default()
    }
}

/// Where something happened: a host, or the world itself.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The host's number plus one; zero is the world.
    pub number: u32,
    /// The host's name.
    pub name: &'a str,
}
