//! Where the tests happen: directories, processes that end with their test, and a bare HTTP client.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long anything may take: generous, for slow machines.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// How often something is looked at; each time is a process.
pub(crate) const ATTEMPTS_MAX: usize = 5_000;

/// A directory of its own for one test.
pub(crate) struct Place(PathBuf);

impl Place {
    /// Empty, whatever an earlier run left there.
    pub(crate) fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli").join(test);
        // there is nothing to remove the first time
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("the target directory is writable");
        Self(path)
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path(file), text).expect("the place is writable");
    }

    /// The binary, to be run here.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_odeon"));
        command.args(arguments).current_dir(&self.0).env_remove("ODEON_LOG").env_remove("NO_COLOR");
        command.stdin(Stdio::null());
        command
    }

    /// Runs the binary to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().expect("the binary runs"))
    }

    /// Starts one node on free ports, ready to be asked.
    pub(crate) fn up(&self, more: &[&str]) -> Running {
        let mut arguments =
            vec!["up", "--nodes", "1", "--http", "127.0.0.1:0", "--management", "127.0.0.1:0"];
        arguments.extend(more);
        let node = Running::start(self.command(&arguments));
        node.until("Ctrl-C stops it");
        node
    }

    /// Waits until a node runs here whose output nobody reads.
    #[track_caller]
    pub(crate) fn until_up(&self) {
        let is_up = |_| self.run(&["status"]).code == Some(0);
        assert!((0..ATTEMPTS_MAX).any(is_up), "it is not up");
    }

    /// Where the node that runs here serves HTTP.
    pub(crate) fn http(&self) -> String {
        let text = std::fs::read_to_string(self.path(".odeon/node.json")).expect("a node runs here");
        json(&text)["http"].as_str().expect("it says where").into()
    }
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("people read text");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// It ended with this code and said this on standard error.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, said: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for words in said {
            assert!(self.err.contains(words), "{words:?} is missing in\n{}", self.err);
        }
        assert!(!self.err.contains("panicked at"), "{}", self.err);
    }

    /// It did what was asked.
    #[track_caller]
    pub(crate) fn ok(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:?}");
        &self.out
    }

    /// It printed JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        json(self.ok())
    }
}

/// Looks until there is something; each time is a process.
#[track_caller]
pub(crate) fn at_last<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    let found = std::iter::repeat_with(look).take(ATTEMPTS_MAX).flatten().next();
    found.unwrap_or_else(|| panic!("never: {what}"))
}

#[track_caller]
pub(crate) fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("no JSON ({e}): {text}"))
}

/// A process that is under way. It is killed, by its own id, when its test ends.
pub(crate) struct Running {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let out = lines(child.stdout.take().expect("it is piped"));
        let err = lines(child.stderr.take().expect("it is piped"));
        Self { child, out, err }
    }

    /// Its output goes where the command says, and is not read here.
    pub(crate) fn start_unread(mut command: Command) -> Self {
        let child = command.spawn().expect("the binary runs");
        Self { child, out: channel().1, err: channel().1 }
    }

    /// Reads from now on what is written to this end of its output.
    pub(crate) fn read_errors(&mut self, from: impl Read + Send + 'static) {
        self.err = lines(from);
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The lines of standard output up to one with these words.
    #[track_caller]
    pub(crate) fn until(&self, words: &str) -> Vec<String> {
        wait_for(&self.out, words)
    }

    /// The lines of standard error up to one with these words.
    #[track_caller]
    pub(crate) fn until_error(&self, words: &str) -> Vec<String> {
        wait_for(&self.err, words)
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let (name, id) = (format!("-{name}"), self.id().to_string());
        let sent = Command::new("kill").args([name, id]).status().expect("there is a kill command");
        assert!(sent.success());
    }

    /// Waits for its end. Answers its exit code and the rest of its output.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ran {
        // its output ends when it does
        let rest = |lines: &Receiver<String>| {
            let mut text = String::new();
            while let Ok(line) = lines.recv_timeout(LIMIT) {
                text.push_str(&line);
                text.push('\n');
            }
            text
        };
        let (out, err) = (rest(&self.out), rest(&self.err));
        let ended = self.child.try_wait().expect("it is ours");
        let code = match ended {
            Some(status) => status.code(),
            // it has closed its output, so it is about to end
            None => self.child.wait().expect("it is ours").code(),
        };
        Ran { code, out, err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // one that has ended needs no kill
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::Builder::new()
        .spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        })
        .expect("a thread");
    receiver
}

#[track_caller]
fn wait_for(lines: &Receiver<String>, words: &str) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(LIMIT) {
            Ok(line) => {
                let found = line.contains(words);
                seen.push(line);
                if found {
                    return seen;
                }
            }
            Err(problem) => panic!("{words:?} was not said ({problem}), but:\n{}", seen.join("\n")),
        }
    }
}

/// One HTTP request, as curl would send it. Answers status and body.
pub(crate) fn http(host: &str, method: &str, path: &str, headers: &[&str], body: &str) -> (u16, String) {
    let stream = TcpStream::connect(host).expect("somebody listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    exchange(stream, host, method, path, headers, body).expect("it is answered")
}

/// Calls a method of a service. None: nobody takes the connection. An error: it was taken, and broke.
pub(crate) fn try_post(host: &str, path: &str, body: &str) -> Option<io::Result<(u16, String)>> {
    try_post_within(LIMIT, host, path, body)
}

/// As [`try_post`], by somebody who waits so long for an answer.
pub(crate) fn try_post_within(
    limit: Duration,
    host: &str,
    path: &str,
    body: &str,
) -> Option<io::Result<(u16, String)>> {
    let stream = TcpStream::connect(host).ok()?;
    stream.set_read_timeout(Some(limit)).expect("a limit");
    Some(exchange(stream, host, "POST", path, &["content-type: application/json"], body))
}

fn exchange(
    mut stream: TcpStream,
    host: &str,
    method: &str,
    path: &str,
    headers: &[&str],
    body: &str,
) -> io::Result<(u16, String)> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    for header in headers {
        request.push_str(&format!("{header}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| io::Error::other("half an answer"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Ok((status, body.to_owned()))
}

/// Calls a method of a service.
pub(crate) fn post(host: &str, path: &str, body: &str) -> (u16, String) {
    http(host, "POST", path, &["content-type: application/json"], body)
}
