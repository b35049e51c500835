//! The words between the runner and its zygotes, over one socket.
//!
//! A zygote must come to each fork with the same memory, or addresses would tell one seed from the next. So it
//! passes everything on in pieces as it comes and keeps nothing; the runner puts the pieces together.

use odeon_simulator_os::process::Ending;
use std::io::{self, Read, Write};
use std::time::Duration;

/// The runner asks for one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) seed: u64,
    /// Whether the simulation keeps each line of its log.
    pub(super) keep_lines: bool,
    /// Wall time after which the run is killed.
    pub(super) limit: Duration,
}

const REQUEST_BYTES: usize = 17;

impl Request {
    pub(super) fn write(&self, mut to: impl Write) -> io::Result<()> {
        let mut bytes = [0; REQUEST_BYTES];
        bytes[..8].copy_from_slice(&self.seed.to_le_bytes());
        let micros = u64::try_from(self.limit.as_micros()).unwrap_or(u64::MAX);
        bytes[8..16].copy_from_slice(&micros.to_le_bytes());
        bytes[16] = u8::from(self.keep_lines);
        to.write_all(&bytes)
    }

    /// The next request, or `None` when the runner has no more.
    pub(super) fn read(mut from: impl Read) -> io::Result<Option<Request>> {
        let mut bytes = [0; REQUEST_BYTES];
        match from.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let number = |range: std::ops::Range<usize>| {
            u64::from_le_bytes(bytes[range].try_into().expect("the ranges span eight bytes"))
        };
        Ok(Some(Request {
            seed: number(0..8),
            limit: Duration::from_micros(number(8..16)),
            keep_lines: bytes[16] != 0,
        }))
    }
}

/// What a zygote says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// It is ready, and whether the system placed it at random addresses.
    Ready { random_addresses: bool },
    /// A piece of the report of the current run.
    Report(Vec<u8>),
    /// A piece of what the current run printed.
    Printed(Vec<u8>),
    /// The process of the current run has ended.
    Ended(Ending),
}

const READY: u8 = 1;
const REPORT: u8 = 2;
const PRINTED: u8 = 3;
const EXITED: u8 = 4;
const SIGNALLED: u8 = 5;
const OVER_LIMIT: u8 = 6;

/// The zygote's side: writes frames without allocating.
pub(super) struct Mouth<W>(pub(super) W);

impl<W: Write> Mouth<W> {
    pub(super) fn ready(&mut self, random_addresses: bool) -> io::Result<()> {
        self.frame(READY, &[u8::from(random_addresses)])
    }

    pub(super) fn report(&mut self, piece: &[u8]) -> io::Result<()> {
        self.frame(REPORT, piece)
    }

    pub(super) fn printed(&mut self, piece: &[u8]) -> io::Result<()> {
        self.frame(PRINTED, piece)
    }

    pub(super) fn ended(&mut self, ending: Ending) -> io::Result<()> {
        match ending {
            Ending::Exited(status) => self.frame(EXITED, &status.to_le_bytes()),
            Ending::Signalled(signal) => self.frame(SIGNALLED, &signal.to_le_bytes()),
            Ending::OverLimit => self.frame(OVER_LIMIT, &[]),
        }
    }

    fn frame(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len()).expect("pieces are a few kilobytes").to_le_bytes();
        self.0.write_all(&[kind, length[0], length[1], length[2], length[3]])?;
        self.0.write_all(body)
    }
}

impl Frame {
    /// The next frame; an error of kind `UnexpectedEof` when the zygote has ended.
    pub(super) fn read(mut from: impl Read) -> io::Result<Frame> {
        let mut head = [0; 5];
        from.read_exact(&mut head)?;
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut body = vec![0; length];
        from.read_exact(&mut body)?;
        let number = || body.first_chunk::<4>().map(|bytes| i32::from_le_bytes(*bytes));
        let frame = match (head[0], number()) {
            (READY, _) => Some(Frame::Ready { random_addresses: body.first() == Some(&1) }),
            (EXITED, Some(status)) => Some(Frame::Ended(Ending::Exited(status))),
            (SIGNALLED, Some(signal)) => Some(Frame::Ended(Ending::Signalled(signal))),
            (OVER_LIMIT, _) => Some(Frame::Ended(Ending::OverLimit)),
            (REPORT, _) => Some(Frame::Report(body)),
            (PRINTED, _) => Some(Frame::Printed(body)),
            _ => None,
        };
        frame.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a frame of no known kind"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_comes_back_as_it_was_written() {
        let request = Request { seed: u64::MAX - 1, keep_lines: true, limit: Duration::from_millis(1_500) };
        let mut bytes = Vec::new();
        request.write(&mut bytes).expect("a vector takes everything");
        let mut rest = bytes.as_slice();
        assert_eq!(Request::read(&mut rest).expect("complete"), Some(request));
        assert_eq!(Request::read(&mut rest).expect("the end is no error"), None);
    }

    #[test]
    fn frames_come_back_as_they_were_written() {
        let mut mouth = Mouth(Vec::new());
        mouth.ready(true).expect("a vector takes everything");
        mouth.report(b"half").expect("a vector takes everything");
        mouth.printed(b"").expect("a vector takes everything");
        for ending in [Ending::Exited(-1), Ending::Signalled(11), Ending::OverLimit] {
            mouth.ended(ending).expect("a vector takes everything");
        }
        let mut bytes = mouth.0.as_slice();
        let expected = [
            Frame::Ready { random_addresses: true },
            Frame::Report(b"half".to_vec()),
            Frame::Printed(Vec::new()),
            Frame::Ended(Ending::Exited(-1)),
            Frame::Ended(Ending::Signalled(11)),
            Frame::Ended(Ending::OverLimit),
        ];
        for frame in expected {
            assert_eq!(Frame::read(&mut bytes).expect("complete"), frame);
        }
        let end = Frame::read(&mut bytes).expect_err("nothing is left");
        assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn bytes_of_another_program_are_refused() {
        let error = Frame::read([77, 0, 0, 0, 0].as_slice()).expect_err("no such kind");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
