//! Log lines on their way out: a bounded queue, and a thread that empties it. Whoever logs never waits for whoever
//! reads: a full disk, a closed pipe or a terminal that stands still costs lines, which are counted, and nothing else.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) lines_max: usize,
    pub(super) bytes_max: usize,
}

impl Bounds {
    /// Some seconds of a busy node.
    pub(super) const USUAL: Self = Self { lines_max: 16_384, bytes_max: 4 << 20 };
}

/// How long the thread rests when a reader has no room and does not let it wait (`O_NONBLOCK`).
const AGAIN: Duration = Duration::from_millis(10);

/// Where lines are left. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Lines(Arc<Queue>);

#[derive(Debug)]
struct Queue {
    waiting: Mutex<Waiting>,
    bounds: Bounds,
    /// There is something to write, or never will be.
    came: Condvar,
    /// Everything is written.
    emptied: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Line>,
    bytes: usize,
    /// Lines that were dropped since the last one that was let in.
    gap: u64,
    /// Nothing is let in before half of it is written: a reader that is a little too slow sees a few large gaps
    /// instead of many small ones.
    overflowing: bool,
    writing: bool,
    closed: bool,
}

#[derive(Debug, Default)]
struct Line {
    /// Lines before it that were dropped.
    gap: u64,
    /// None: only the gap is to be told.
    text: Option<Box<[u8]>>,
}

impl Lines {
    /// Starts the thread. `notice` makes the line that tells of so many dropped ones.
    ///
    /// # Errors
    /// The operating system refused a thread.
    pub(super) fn start(
        out: impl Write + Send + 'static,
        bounds: Bounds,
        notice: impl Fn(u64) -> String + Send + 'static,
    ) -> io::Result<Self> {
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            bounds,
            came: Condvar::new(),
            emptied: Condvar::new(),
            dropped: AtomicU64::new(0),
        });
        let emptied = queue.clone();
        thread::Builder::new().name("log".into()).spawn(move || emptied.empty(out, notice))?;
        Ok(Self(queue))
    }

    /// For tests.
    #[cfg(test)]
    pub(crate) fn to_nobody() -> Self {
        Self::start(io::sink(), Bounds::USUAL, |_| String::new()).expect("a thread")
    }

    /// Leaves a line, with its end, to be written. One for which there is no room is dropped and counted.
    pub(crate) fn push(&self, line: &[u8]) {
        self.0.push(line);
    }

    /// Lines that nobody will read, since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.0.dropped.load(Relaxed)
    }

    /// Waits until all is written, but no longer than that. False: not all is.
    pub(super) fn flush(&self, within: Duration) -> bool {
        let queue = &*self.0;
        let is_open = |waiting: &mut Waiting| waiting.writing || !waiting.lines.is_empty() || waiting.gap > 0;
        let waited = queue.emptied.wait_timeout_while(queue.lock(), within, is_open);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// The thread ends when all is written. Lines that come later may be lost.
    pub(super) fn close(&self) {
        self.0.lock().closed = true;
        self.0.came.notify_one();
    }
}

impl Queue {
    /// Nothing that panics happens under the lock.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut waiting = self.lock();
        let Bounds { lines_max, bytes_max } = self.bounds;
        if waiting.overflowing && waiting.lines.len() <= lines_max / 2 && waiting.bytes <= bytes_max / 2 {
            waiting.overflowing = false;
        }
        let room = waiting.lines.len() < lines_max && line.len() <= bytes_max.saturating_sub(waiting.bytes);
        if waiting.overflowing || !room {
            waiting.overflowing = true;
            waiting.gap += 1;
            self.dropped.fetch_add(1, Relaxed);
            return;
        }
        waiting.bytes += line.len();
        let gap = std::mem::take(&mut waiting.gap);
        waiting.lines.push_back(Line { gap, text: Some(line.into()) });
        drop(waiting);
        self.came.notify_one();
    }

    /// The next line, as soon as there is one. None: there never will be.
    fn next(&self) -> Option<Line> {
        let mut waiting = self.lock();
        waiting.writing = false;
        loop {
            if let Some(line) = waiting.lines.pop_front() {
                waiting.bytes -= line.text.as_ref().map_or(0, |text| text.len());
                waiting.writing = true;
                return Some(line);
            }
            if waiting.gap > 0 {
                waiting.writing = true;
                return Some(Line { gap: std::mem::take(&mut waiting.gap), text: None });
            }
            self.emptied.notify_all();
            if waiting.closed {
                return None;
            }
            waiting = self.came.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The thread: each line is one write, so that those of several processes do not mix.
    fn empty(&self, out: impl Write, notice: impl Fn(u64) -> String) {
        let mut out = Out { out, torn: false };
        let mut untold = 0;
        while let Some(Line { gap, text }) = self.next() {
            untold += gap;
            if untold > 0 && out.write(notice(untold).as_bytes()).is_ok() {
                untold = 0;
            }
            if text.is_some_and(|text| out.write(&text).is_err()) {
                untold += 1;
                self.dropped.fetch_add(1, Relaxed);
            }
        }
    }
}

struct Out<W> {
    out: W,
    /// The last line ended in the middle.
    torn: bool,
}

impl<W: Write> Out<W> {
    /// Writes a line, or a part of it at worst.
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.torn {
            self.write_some(b"\n").map_err(|(_, error)| error)?;
            self.torn = false;
        }
        self.write_some(line).map_err(|(written, error)| {
            self.torn = written > 0;
            error
        })
    }

    /// Answers an error with how much was written before.
    fn write_some(&mut self, text: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while written < text.len() {
            match self.out.write(&text[written..]) {
                Ok(0) => return Err((written, ErrorKind::WriteZero.into())),
                Ok(more) => written += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // nobody unparks this thread: it only rests
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::park_timeout(AGAIN),
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }
}

impl Write for Lines {
    /// Takes what it is given as a line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    const LIMIT: Duration = Duration::from_secs(60);

    /// A reader that takes one line whenever it is told to, and shows what it got.
    struct Slow {
        begun: Sender<()>,
        go_on: Receiver<io::Result<()>>,
        read: Sender<String>,
    }

    impl Write for Slow {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            // a test that has seen enough has left
            let _ = self.begun.send(());
            self.go_on.recv().unwrap_or(Ok(()))?;
            let _ = self.read.send(String::from_utf8(line.into()).expect("text"));
            Ok(line.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Bench {
        lines: Lines,
        begun: Receiver<()>,
        go_on: Sender<io::Result<()>>,
        read: Receiver<String>,
    }

    fn bench(bounds: Bounds) -> Bench {
        let ((begin, begun), (go_on, wait), (show, read)) = (channel(), channel(), channel());
        let out = Slow { begun: begin, go_on: wait, read: show };
        let lines = Lines::start(out, bounds, |dropped| format!("{dropped} dropped\n")).expect("a thread");
        Bench { lines, begun, go_on, read }
    }

    impl Bench {
        /// The reader stands still, with this line in its hands.
        fn blocked_by(&self, line: &str) {
            self.lines.push(line.as_bytes());
            self.begun.recv_timeout(LIMIT).expect("it begins");
        }

        /// All that is read from now on.
        fn rest(self) -> String {
            let Self { lines, go_on, read, begun: _ } = self;
            drop(go_on);
            assert!(lines.flush(LIMIT));
            lines.close();
            read.iter().collect()
        }
    }

    #[test]
    fn who_logs_does_not_wait_for_a_reader_that_stands_still_and_is_told_what_was_lost() {
        let bench = bench(Bounds { lines_max: 4, bytes_max: 1_000 });
        bench.blocked_by("0\n");
        for line in 1..=9 {
            bench.lines.push(format!("{line}\n").as_bytes());
        }
        assert_eq!(bench.lines.dropped(), 5);
        assert!(!bench.lines.flush(Duration::from_millis(1)), "nothing is read");
        assert_eq!(bench.rest(), "0\n1\n2\n3\n4\n5 dropped\n");
    }

    #[test]
    fn a_gap_is_told_where_it_is_and_once() {
        let bench = bench(Bounds { lines_max: 4, bytes_max: 1_000 });
        bench.blocked_by("0\n");
        (1..=6).for_each(|line| bench.lines.push(format!("{line}\n").as_bytes()));
        // three of five are read: with that, half of it is free
        for _ in 0..3 {
            bench.go_on.send(Ok(())).expect("it waits");
            bench.begun.recv_timeout(LIMIT).expect("the next one is begun");
        }
        bench.lines.push(b"7\n");
        assert_eq!(bench.lines.dropped(), 2);
        assert_eq!(bench.rest(), "0\n1\n2\n3\n4\n2 dropped\n7\n");
    }

    #[test]
    fn bytes_are_bounded_as_lines_are() {
        let bench = bench(Bounds { lines_max: 1_000, bytes_max: 10 });
        bench.blocked_by("0\n");
        bench.lines.push(b"12345678\n");
        bench.lines.push(b"9\n");
        bench.lines.push(b"\n");
        assert_eq!(bench.lines.dropped(), 2, "after a gap there is none before half is free");
        assert_eq!(bench.rest(), "0\n12345678\n2 dropped\n");
    }

    #[test]
    fn a_line_that_cannot_be_written_is_counted_and_told_of_when_one_can() {
        let bench = bench(Bounds::USUAL);
        bench.blocked_by("0\n");
        bench.lines.push(b"1\n");
        bench.lines.push(b"2\n");
        // the disk is full for the first line, for the word of that, and for the second line
        for _ in 0..3 {
            bench.go_on.send(Err(ErrorKind::StorageFull.into())).expect("it waits");
        }
        assert_eq!(bench.rest(), "2 dropped\n2\n");
    }

    /// Takes half of the first line, and no more of it.
    struct Tears(Vec<io::Result<usize>>, Sender<u8>);

    impl Write for Tears {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let taken = self.0.pop().unwrap_or(Ok(line.len()))?;
            for byte in &line[..taken] {
                let _ = self.1.send(*byte);
            }
            Ok(taken)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_after_one_that_broke_off_begins_a_new_one() {
        let (to, read) = channel();
        let full = Err(ErrorKind::StorageFull.into());
        let again = [Err(ErrorKind::Interrupted.into()), Err(ErrorKind::WouldBlock.into())];
        let said = again.into_iter().chain([Ok(3), full]).rev().collect();
        let lines = Lines::start(Tears(said, to), Bounds::USUAL, |n| format!("{n} dropped\n"));
        let lines = lines.expect("a thread");
        lines.push(b"first\n");
        lines.push(b"second\n");
        assert!(lines.flush(LIMIT));
        lines.close();
        assert_eq!(read.iter().collect::<Vec<u8>>(), b"fir\n1 dropped\nsecond\n");
        assert_eq!(lines.dropped(), 1);
    }

    #[test]
    fn lines_keep_their_order_whoever_reads() {
        let (to, read) = channel();
        let lines = Lines::start(Tears(Vec::new(), to), Bounds::USUAL, |n| format!("{n} dropped\n"));
        let lines = lines.expect("a thread");
        let said: String = (0..5_000).map(|line| format!("{line}\n")).collect();
        said.split_inclusive('\n').for_each(|line| lines.push(line.as_bytes()));
        assert!(lines.flush(LIMIT));
        lines.close();
        assert_eq!(String::from_utf8(read.iter().collect()).expect("text"), said);
    }
}
