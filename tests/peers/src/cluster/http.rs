//! As little HTTP/1.1 as a caller needs: one connection that is kept, one request at a time.

use serde::de::DeserializeOwned;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What separates the head of a message from its body.
const HEAD_END: &[u8] = b"\r\n\r\n";
/// No answer that is asked for here is longer.
const BYTES_MAX: usize = 16 << 20;

/// A connection. After an error it is of no use any more.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// What has been read of the answer so far.
    read: Vec<u8>,
}

/// An answer, complete.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
    /// The server closes the connection now.
    pub closes: bool,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// It is something else.
    pub fn json<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.body)
    }
}

/// A request in bytes.
pub fn request(method: &str, host: SocketAddr, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{headers}content-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody takes the connection.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(1 << 10) })
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// The connection broke, or what came is no answer.
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.stream.write_all(request).await?;
        self.read.clear();
        let head = loop {
            if let Some(end) = self.read.windows(HEAD_END.len()).position(|bytes| bytes == HEAD_END) {
                break end + HEAD_END.len();
            }
            self.more().await?;
        };
        let read = Head::read(&self.read[..head]).ok_or_else(|| wrong("it is no HTTP answer"))?;
        while self.read.len() < head + read.length {
            self.more().await?;
        }
        let body = self.read[head..head + read.length].to_vec();
        Ok(Answer { status: read.status, body, closes: read.closes })
    }

    async fn more(&mut self) -> io::Result<()> {
        if self.read.len() > BYTES_MAX {
            return Err(wrong("the answer is too long"));
        }
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn wrong(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

/// What the head of an answer says that matters here.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    length: usize,
    closes: bool,
}

impl Head {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes).ok()?.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let (mut length, mut closes) = (0, false);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            match (name.to_ascii_lowercase().as_str(), value.trim()) {
                ("content-length", value) => length = value.parse().ok()?,
                ("connection", value) => closes = value.eq_ignore_ascii_case("close"),
                // no server that is asked here needs it for an answer that is all there
                ("transfer-encoding", _) => return None,
                _ => {}
            }
        }
        Some(Self { status, length, closes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_whatever_the_case_of_its_names() {
        let head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 17\r\nconnection: close\r\n\r\n";
        assert_eq!(Head::read(head), Some(Head { status: 503, length: 17, closes: true }));
        assert_eq!(
            Head::read(b"HTTP/1.1 202 Accepted\r\n\r\n"),
            Some(Head { status: 202, length: 0, closes: false })
        );
        assert_eq!(Head::read(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), None);
        assert_eq!(Head::read(b"SSH-2.0\r\n\r\n"), None);
    }
}
