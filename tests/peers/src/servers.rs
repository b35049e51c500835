//! Servers of one small JSON answer, each in a process of its own: Odeon's gateway, bare hyper, nginx.

use crate::load::{ANSWER, BODY};
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use clap::ValueEnum;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;

/// Where requests are posted, at each of them.
pub const PATH: &str = "/v1/greeter/greet";

/// A server in one of its arrangements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Server {
    /// Odeon's gateway and a stateless service on one executor.
    Odeon,
    /// One executor for each core: connections and an instance of the service on both.
    Odeon2,
    /// The program `odeon`, as it starts by default, with its log.
    OdeonDaemon,
    /// hyper on tokio's multi-threaded runtime with two workers.
    Hyper,
    /// hyper on one thread.
    Hyper1,
    /// nginx `return 200` with a worker for each core.
    Nginx,
    /// nginx `return 200` with one worker.
    Nginx1,
}

impl Server {
    /// Its name on the command line and in tables.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned())
    }

    /// Serves in this process until it is killed.
    ///
    /// # Errors
    /// It cannot listen.
    pub fn serve(self, address: SocketAddr) -> Result<()> {
        match self {
            Self::Odeon => crate::layouts::Layout::One.serve(address),
            Self::Odeon2 => crate::layouts::Layout::PerCore.serve(address),
            Self::Hyper => hyper_on(tokio::runtime::Builder::new_multi_thread().worker_threads(2), address),
            Self::Hyper1 => hyper_on(&mut tokio::runtime::Builder::new_current_thread(), address),
            Self::OdeonDaemon | Self::Nginx | Self::Nginx1 => {
                bail!("{} is a program of its own", self.name())
            }
        }
    }
}

fn hyper_on(builder: &mut tokio::runtime::Builder, address: SocketAddr) -> Result<()> {
    builder.enable_all().build()?.block_on(async move { tokio::spawn(hyper_bare(address)).await? })
}

/// Reads the body, answers the same always.
async fn hyper_bare(address: SocketAddr) -> Result<()> {
    async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
        request.into_body().collect().await?;
        let mut response = Response::new(Full::new(Bytes::from_static(ANSWER.as_bytes())));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = hyper::service::service_fn(answer);
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}

/// A server's process; dropping this ends it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    _folder: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        // nginx's workers end when their master is told to, not when it is killed
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        for _ in 0..100 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Starts `command` for a server and waits until it answers our request as it should.
    ///
    /// # Errors
    /// It does not within ten seconds.
    pub fn start(command: impl FnOnce(SocketAddr, &Path) -> Result<Command>) -> Result<Self> {
        let address = free_address()?;
        let folder = tempfile::tempdir()?;
        let mut command = command(address, folder.path())?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("the server")?;
        let running = Self { child, address, _folder: folder };
        let mut last = None;
        for _ in 0..500 {
            match running.try_request() {
                Ok(()) => return Ok(running),
                Err(error) => last = Some(error),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(last.context("never tried")?.context("the server does not answer"))
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where requests are posted.
    pub fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    fn try_request(&self) -> Result<()> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n",
            self.address,
            BODY.len()
        );
        stream.write_all(format!("{head}{BODY}").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(ANSWER), "it answers: {answer}");
        Ok(())
    }
}

fn free_address() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Where Debian has it; it is not on everybody's path.
const NGINX: &str = "/usr/sbin/nginx";

/// nginx with a configuration of ours, in the foreground.
///
/// # Errors
/// The configuration cannot be written.
pub fn nginx(workers: usize, address: SocketAddr, folder: &Path) -> Result<Command> {
    let config = format!(
        "worker_processes {workers};\ndaemon off;\npid nginx.pid;\nerror_log stderr;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n  access_log off;\n  keepalive_requests 1000000000;\n  tcp_nodelay on;\n\
         \x20 client_body_temp_path body;\n  proxy_temp_path proxy;\n  fastcgi_temp_path fastcgi;\n\
         \x20 uwsgi_temp_path uwsgi;\n  scgi_temp_path scgi;\n\
         \x20 server {{\n    listen {address} backlog=1024;\n    default_type application/json;\n\
         \x20   location / {{ return 200 '{ANSWER}'; }}\n  }}\n}}\n"
    );
    std::fs::write(folder.join("nginx.conf"), config)?;
    let mut command = Command::new(NGINX);
    command.args([
        "-p".as_ref(),
        folder.as_os_str(),
        "-c".as_ref(),
        "nginx.conf".as_ref(),
        "-e".as_ref(),
        "stderr".as_ref(),
    ]);
    Ok(command)
}

/// Where the main workspace builds the program `odeon`, seen from this folder.
pub const DAEMON: &str = "../../target/release/odeon";

/// The program `odeon` as it starts by default, its files in `folder`, its log thrown away.
pub fn daemon(program: &Path, address: SocketAddr, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("node").arg("--dir").arg(folder.join("node")).args(["--http", &address.to_string()]);
    command.args(["--management", "127.0.0.1:0"]).stderr(Stdio::null());
    command
}

/// Whether nginx is installed.
pub fn nginx_is_there() -> bool {
    Path::new(NGINX).exists()
}
