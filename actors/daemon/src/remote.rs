//! A running node as the command line sees it: found by its directory or by a URL, asked through its management
//! interface.

use crate::connection::{self, Connection, ConnectionError};
use crate::directory::{DIRECTORY_DEFAULT, Directory, DirectoryError, read_token};
use crate::exit::{Code, Failure};
use crate::launched;
use bytes::Bytes;
use clap::Args;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use odeon::core::ServiceName;
use odeon_actors::gateway::request::service_segment;
use odeon_actors::http::{OutcomeKind, ProblemBody};
use odeon_actors::management::api::{
    CallRequest, CallResponse, ClusterStatus, Decided, Dump, Links, Members, Processes, RemoveRequest,
    ServiceDetail, Services, Status, StopAccepted, StopRequest, TopicDetail, Topics, Tree, UpgradeRequest,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long an answer may take that waits for nothing: it comes at once from a node that can answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How much longer than its call the answer of a call may take.
const CALL_GRACE: Duration = Duration::from_secs(5);

/// Which node is meant.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    /// The directory of the node; of several that `up` has started, one of them
    #[arg(long, value_name = "DIR", default_value = DIRECTORY_DEFAULT)]
    pub(crate) dir: PathBuf,
    /// The management interface of the node, such as http://127.0.0.1:8081 [default: as in DIR/node.json]
    #[arg(long, value_name = "URL")]
    node: Option<Uri>,
    /// The file with its token [default: DIR/token]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Target {
    /// Whether only its URL is known: its directory may be on another machine.
    pub(crate) fn is_remote(&self) -> bool {
        self.node.is_some()
    }

    /// Whether one node is named, and not several that `up` has started: for what harms the one that it meets.
    ///
    /// # Errors
    /// It is not.
    pub(crate) fn is_one(&self) -> Result<(), Failure> {
        if self.is_remote() || launched::first_running(&self.dir).is_none() {
            return Ok(());
        }
        let several = format_args!("{} has several nodes, and one is to be named", self.dir.display());
        Err(Failure::usage(several).advice("name it with --dir DIR/nodes/NAME"))
    }

    /// The directory that is meant: of several nodes that `up` has started, the one of the first that runs.
    pub(crate) fn directory(&self) -> Directory {
        launched::first_running(&self.dir).unwrap_or_else(|| Directory::at(&self.dir))
    }
}

/// A node that can be asked.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    host: String,
    authorization: HeaderValue,
}

impl Remote {
    /// Finds the node and its token. Nothing is asked yet.
    ///
    /// # Errors
    /// There is no node, or its token cannot be read.
    pub(crate) fn find(target: &Target) -> Result<Self, Failure> {
        let directory = target.directory();
        let host = match &target.node {
            Some(url) => host_of(url)?,
            None => directory.whereabouts().map_err(|e| e.failure(Code::Unreachable))?.management.to_string(),
        };
        Self::with_token(host, &directory, target.token_file.as_deref())
    }

    /// The node that runs in a directory.
    ///
    /// # Errors
    /// As for [`Self::find`].
    pub(crate) fn at(directory: &Directory) -> Result<Self, Failure> {
        let whereabouts = directory.whereabouts().map_err(|e| e.failure(Code::Unreachable))?;
        Self::with_token(whereabouts.management.to_string(), directory, None)
    }

    fn with_token(host: String, directory: &Directory, named: Option<&Path>) -> Result<Self, Failure> {
        let token_file = named.map_or_else(|| directory.token_path(), Path::to_path_buf);
        let token = read_token(&token_file).map_err(|e| match (&e, named) {
            // it may be any file of anybody: nothing is to be done to it
            (DirectoryError::TokenOpen { .. }, Some(_)) => Failure::new(Code::Unreachable, e).advice(
                "--token-file FILE names the file token of a node's directory, or a copy that its owner alone can read",
            ),
            _ => e.failure(Code::Unreachable),
        })?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
            let problem = "it has characters that no token has".into();
            DirectoryError::Token { path: token_file.clone(), problem }.failure(Code::Unreachable)
        })?;
        authorization.set_sensitive(true);
        Ok(Self { host, authorization })
    }

    /// The node at one look.
    pub(crate) async fn status(&self) -> Result<Status, Failure> {
        self.get("/api/v1/status").await
    }

    /// All services.
    pub(crate) async fn services(&self) -> Result<Services, Failure> {
        self.get("/api/v1/services").await
    }

    /// One service with its methods.
    pub(crate) async fn service(&self, name: &ServiceName) -> Result<ServiceDetail, Failure> {
        self.get(&format!("/api/v1/services/{}", service_segment(name))).await
    }

    /// The supervision tree with the busiest activations of each service.
    pub(crate) async fn tree(&self, entities: usize) -> Result<Tree, Failure> {
        self.get(&format!("/api/v1/tree?entities={entities}")).await
    }

    /// The busiest activations of each service.
    pub(crate) async fn processes(&self, entities: usize) -> Result<Processes, Failure> {
        self.get(&format!("/api/v1/ps?entities={entities}")).await
    }

    /// The links to other nodes.
    pub(crate) async fn links(&self) -> Result<Links, Failure> {
        self.get("/api/v1/links").await
    }

    /// All topics.
    pub(crate) async fn topics(&self) -> Result<Topics, Failure> {
        self.get("/api/v1/topics").await
    }

    /// One topic with its members.
    pub(crate) async fn topic(&self, name: &ServiceName) -> Result<TopicDetail, Failure> {
        self.get(&format!("/api/v1/topics/{}", service_segment(name))).await
    }

    /// The members of its cluster.
    pub(crate) async fn members(&self) -> Result<Members, Failure> {
        self.get("/api/v1/members").await
    }

    /// The group that agrees on them.
    pub(crate) async fn cluster(&self) -> Result<ClusterStatus, Failure> {
        self.get("/api/v1/cluster").await
    }

    /// All that tells why it misbehaves.
    pub(crate) async fn dump(&self) -> Result<Dump, Failure> {
        self.get("/api/v1/dump").await
    }

    /// Has the node take no more work.
    pub(crate) async fn drain(&self) -> Result<Decided, Failure> {
        self.post("/api/v1/drain", &serde_json::Map::new(), ANSWER_WITHIN).await
    }

    /// Raises the feature level of its cluster.
    pub(crate) async fn upgrade(&self, upgrade: &UpgradeRequest) -> Result<Decided, Failure> {
        self.post("/api/v1/cluster/upgrade", upgrade, ANSWER_WITHIN).await
    }

    /// Has another node be a member of its cluster no more.
    pub(crate) async fn remove(&self, remove: &RemoveRequest) -> Result<Decided, Failure> {
        self.post("/api/v1/cluster/remove", remove, ANSWER_WITHIN).await
    }

    /// Calls a service, which answers within this time.
    pub(crate) async fn call(&self, call: &CallRequest, within: Duration) -> Result<CallResponse, Failure> {
        self.post("/api/v1/call", call, within.saturating_add(CALL_GRACE)).await
    }

    /// Begins an orderly end of the node.
    pub(crate) async fn stop(&self, stop: &StopRequest) -> Result<StopAccepted, Failure> {
        self.post("/api/v1/stop", stop, ANSWER_WITHIN).await
    }

    /// Whether somebody still listens there, be it that nothing is answered.
    pub(crate) async fn listens(&self) -> bool {
        !matches!(Connection::open(&self.host).await, Err(ConnectionError::Connect { .. }))
    }

    /// Host and port of its gateway.
    pub(crate) async fn gateway(&self) -> Result<String, Failure> {
        let gateway = self.status().await?.gateway;
        let none = || Failure::new(Code::Unreachable, "the node serves no HTTP");
        gateway.map(|gateway| gateway.address).ok_or_else(none)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(Method::GET, path, Bytes::new(), ANSWER_WITHIN).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        within: Duration,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(Failure::failed)?;
        self.ask(Method::POST, path, body.into(), within).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        within: Duration,
    ) -> Result<T, Failure> {
        let request = Request::builder()
            .method(&method)
            .uri(path)
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(Failure::failed)?;
        let answer = connection::request(&self.host, request, within).await;
        let (status, body) = answer.map_err(|error| lost(error, &method))?;
        if !status.is_success() {
            return Err(refused(&self.host, status, &body));
        }
        serde_json::from_slice(&body).map_err(|e| {
            Failure::failed(format_args!("{} answers what this program does not understand: {e}", self.host))
                .advice(
                    "perhaps it is of another version, or that is not the port of its management interface",
                )
        })
    }
}

fn host_of(url: &Uri) -> Result<String, Failure> {
    let wrong = || Failure::usage(format_args!("--node {url}: expected http://HOST:PORT"));
    if url.scheme_str().is_some_and(|scheme| scheme != "http") {
        return Err(wrong());
    }
    let authority = url.authority().filter(|authority| authority.port().is_some());
    authority.map(ToString::to_string).ok_or_else(wrong)
}

fn lost(error: ConnectionError, method: &Method) -> Failure {
    // what was asked for may have been done
    let unknown =
        |error: &ConnectionError| Failure::new(Code::Unknown, format_args!("unknown outcome: {error}"));
    match &error {
        ConnectionError::Connect { .. } => Failure::new(Code::Unreachable, error)
            .advice("the node has ended, or another one is meant: --dir DIR or --node URL"),
        ConnectionError::Silent { .. } => match *method == Method::GET {
            true => Failure::new(Code::Unreachable, error),
            false => unknown(&error),
        }
        .advice("its process is suspended, overloaded, or a handler blocks an executor: its log may name it"),
        ConnectionError::Broken { .. } => unknown(&error),
        ConnectionError::TooLong { .. } => Failure::failed(error),
    }
}

fn refused(host: &str, status: StatusCode, body: &[u8]) -> Failure {
    let problem = serde_json::from_slice::<ProblemBody>(body);
    if problem.as_ref().map_or(status == StatusCode::NOT_FOUND, |p| p.kind.ends_with(":unknown-path")) {
        // the gateway of a node, or what is no node at all
        return Failure::new(Code::Unreachable, format_args!("{host} is no management interface of a node"))
            .advice("the node says at its start where that is (8081 by default); --dir DIR finds it");
    }
    let outcome = problem.as_ref().ok().and_then(|problem| problem.outcome);
    let said = match problem {
        Ok(problem) if problem.detail.is_empty() => problem.title.into_owned(),
        Ok(problem) => problem.detail,
        Err(_) => format!("status {status}: {}", String::from_utf8_lossy(body)),
    };
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Failure::new(Code::Unreachable, format_args!("the node refused the token: {said}"))
                .advice("its token is in the file DIR/token of its directory: --dir DIR or --token-file FILE")
        }
        _ if outcome == Some(OutcomeKind::Unknown) => {
            Failure::new(Code::Unknown, format_args!("unknown outcome: {said}"))
        }
        StatusCode::SERVICE_UNAVAILABLE if outcome == Some(OutcomeKind::NotExecuted) => {
            Failure::new(Code::NotExecuted, format_args!("not executed: {said}"))
        }
        _ => Failure::failed(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_host_and_port() {
        let host = |url: &str| host_of(&url.parse().expect("a URI")).map_err(|failure| failure.code);
        assert_eq!(host("http://127.0.0.1:8081"), Ok("127.0.0.1:8081".into()));
        assert_eq!(host("http://[::1]:8081/"), Ok("[::1]:8081".into()));
        assert_eq!(host("localhost:8081"), Ok("localhost:8081".into()));
        for wrong in ["https://127.0.0.1:8081", "http://localhost", "/api"] {
            assert_eq!(host(wrong), Err(Code::Usage), "{wrong}");
        }
    }

    #[test]
    fn a_refused_token_is_no_failure_of_the_command() {
        assert_eq!(refused("a:1", StatusCode::UNAUTHORIZED, b"").code, Code::Unreachable);
        let problem =
            br#"{"type":"urn:odeon:problem:x","title":"Gone","status":404,"detail":"no such thing"}"#;
        let failure = refused("a:1", StatusCode::NOT_FOUND, problem);
        assert_eq!((failure.code, failure.problem.as_str()), (Code::Failed, "no such thing"));
    }

    #[test]
    fn what_was_not_done_and_what_may_be_done_have_codes_of_their_own() {
        for (status, outcome, code, said) in [
            (StatusCode::SERVICE_UNAVAILABLE, "not-executed", Code::NotExecuted, "not executed: no leader"),
            (StatusCode::GATEWAY_TIMEOUT, "unknown", Code::Unknown, "unknown outcome: no leader"),
            (StatusCode::CONFLICT, "not-executed", Code::Failed, "no leader"),
        ] {
            let (number, kind) = (status.as_u16(), "urn:odeon:problem:x");
            let problem = serde_json::json!({
                "type": kind, "title": "X", "status": number, "detail": "no leader", "outcome": outcome,
            });
            let failure = refused("a:1", status, problem.to_string().as_bytes());
            assert_eq!((failure.code, &*failure.problem), (code, said));
        }
    }

    #[test]
    fn what_is_no_management_interface_is_named() {
        let gateway =
            br#"{"type":"urn:odeon:problem:unknown-path","title":"There is nothing at this path","status":404}"#;
        for body in [&gateway[..], b"<html>"] {
            let failure = refused("a:1", StatusCode::NOT_FOUND, body);
            assert_eq!(failure.code, Code::Unreachable);
            assert!(failure.problem.starts_with("a:1 is no management interface"), "{failure}");
        }
    }

    #[tokio::test]
    async fn a_node_that_does_not_answer_is_not_waited_for_for_ever() {
        // the operating system connects; nobody reads
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let host = silent.local_addr().expect("it is bound").to_string();
        let remote = Remote { host: host.clone(), authorization: HeaderValue::from_static("Bearer x") };
        let soon = Duration::from_millis(10);
        for (method, code) in [(Method::GET, Code::Unreachable), (Method::POST, Code::Unknown)] {
            let asked = remote.ask::<Status>(method, "/", Bytes::new(), soon).await;
            let failure = asked.expect_err("nothing was answered");
            assert_eq!(failure.code, code);
            assert!(failure.problem.contains(&format!("{host} does not answer")), "{failure}");
        }
        assert!(remote.listens().await);
        drop(silent);
        assert!(!remote.listens().await);
    }
}
