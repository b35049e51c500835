//! Who answers: finds what is asked, checks the token, and reads the node.

use super::api::{
    CallRequest, Dump, GatewayStatus, Health, Readiness, Services, Status, StopAccepted, StopRequest, Tree,
};
use super::metrics::{OPENMETRICS, Snapshot};
use super::operation::{Ask, Operation, find};
use super::{ManagementConfig, cluster, openapi, topics, view};
use crate::gateway::meter::CLASSES;
use crate::gateway::request::{WITHIN_MAX, Wishes, read_service};
use crate::gateway::{
    Callee, Gateway, GatewayBooks, cut_off, encoded, not_json, refused, unread, wrong_verb,
};
use crate::http::time::unix_millis;
use crate::http::{Answer, Identity, Problem, Reply, RequestIds, Watch, check_head, json, read_body};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, StatusCode, Uri};
use hyper::body::{Body, Incoming};
use odeon::Node;
use odeon::core::{Refusal, Retry, ServiceName};
use odeon::directory::RawRequest;
use odeon::remote::Links;
use odeon::service::contract::{Arguments, Encoding};
use odeon::service::reply::RawOutcome;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Activations of each service that are listed when nobody says how many.
const ENTITIES_DEFAULT: usize = 20;
/// Most activations of each service that are listed.
const ENTITIES_MAX: usize = 1_000;
/// How long a call waits that does not say.
const WITHIN_DEFAULT: Duration = Duration::from_secs(5);

/// The management of one node.
pub(super) struct Console {
    node: Node,
    gateway: Option<(SocketAddr, GatewayBooks)>,
    ids: RequestIds,
    config: ManagementConfig,
}

impl Answer for Console {
    async fn answer(&self, request: Request<Incoming>, watch: &Watch) -> Reply {
        self.respond(request, watch).await
    }
}

impl Console {
    pub(super) fn new(node: &Node, gateway: Option<&Gateway>, config: ManagementConfig) -> Self {
        let gateway = gateway.map(|g| (g.address(), g.books()));
        Self { node: node.clone(), gateway, ids: RequestIds::seeded(node.draw_seed()), config }
    }

    /// Answers any request.
    pub(super) async fn respond<B>(&self, request: Request<B>, watch: &Watch) -> Reply
    where
        B: Body<Data = Bytes>,
        B::Error: Error,
    {
        if !request.body().is_end_stream() {
            // until it has been read
            watch.set_unread(true);
        }
        let identity = match Wishes::read(request.headers()) {
            Ok(wishes) => self.ids.identify(wishes.request, wishes.trace),
            Err(_) => self.ids.identify(None, None),
        };
        let routed = watch.unless_given_up(self.route(request, &identity, watch)).await;
        let replied = routed.unwrap_or_else(|| Err(cut_off()));
        let mut reply = replied.unwrap_or_else(|problem| problem.reply(Some(&identity)));
        identity.write(reply.headers_mut());
        reply
    }

    async fn route<B>(
        &self,
        request: Request<B>,
        identity: &Identity,
        watch: &Watch,
    ) -> Result<Reply, Problem>
    where
        B: Body<Data = Bytes>,
        B::Error: Error,
    {
        check_head(&request, &self.config.connections)?;
        let (parts, body) = request.into_parts();
        let found = find(parts.uri.path());
        let open = found.is_some_and(|(operation, _)| operation.open);
        if !open && !self.config.token.is_shown_by(&parts.headers) {
            return Err(unauthorized());
        }
        let Some((operation, name)) = found else {
            let detail = "what there is stands in /api/v1/openapi.json";
            return Err(Problem::new(StatusCode::NOT_FOUND, "unknown-path", "There is nothing at this path")
                .detail(detail)
                .not_executed(Retry::Never));
        };
        if !operation.takes(&parts.method) {
            return Err(wrong_verb(operation.allowed(), &parts.method));
        }
        if operation.post {
            let wishes = Wishes::read(&parts.headers).map_err(|e| e.problem())?;
            if wishes.encoded {
                return Err(encoded());
            }
            let body = read_body(body, self.config.body_bytes_max, watch).await.map_err(|e| unread(&e))?;
            if !wishes.json && !body.is_empty() {
                return Err(not_json());
            }
            return self.act(operation, &body, identity).await;
        }
        self.look(operation, name, &parts.uri).await
    }

    /// Changes something.
    async fn act(&self, operation: &Operation, body: &Bytes, identity: &Identity) -> Result<Reply, Problem> {
        let decided = match operation.ask {
            Ask::Stop => {
                let request: StopRequest = parse_or_default(body)?;
                tracing::info!(request = %identity.request, "a stop was asked for");
                (self.config.on_stop)(request);
                return Ok(said(StatusCode::ACCEPTED, &StopAccepted { stopping: true }));
            }
            Ask::Drain => cluster::drain(&cluster::membership(&self.node)?).await,
            Ask::Upgrade => {
                cluster::upgrade(&cluster::membership(&self.node)?, parse_or_default(body)?).await
            }
            Ask::Remove => cluster::remove(&cluster::membership(&self.node)?, parse(body)?).await,
            _ => return self.call(parse(body)?, identity).await,
        };
        Ok(said(StatusCode::OK, &decided?))
    }

    /// Only tells.
    async fn look(&self, operation: &Operation, name: &str, uri: &Uri) -> Result<Reply, Problem> {
        Ok(match operation.ask {
            Ask::Health => said(StatusCode::OK, &Health { alive: true }),
            Ask::Readiness => self.readiness().await,
            Ask::Metrics => self.metrics(),
            Ask::Status => said(StatusCode::OK, &self.status()),
            Ask::Services => {
                let services = self.node.services().iter().map(view::summary).collect();
                let offered = Links::of(&self.node).map(|links| links.services()).unwrap_or_default();
                let elsewhere = offered.into_iter().map(view::elsewhere).collect();
                said(StatusCode::OK, &Services { services, elsewhere })
            }
            Ask::Service => self.service(name)?,
            Ask::Tree => said(StatusCode::OK, &Tree { root: self.node.tree(entities(uri)?).await }),
            Ask::Processes => said(StatusCode::OK, &view::processes(&self.node.tree(entities(uri)?).await)),
            Ask::Links => said(StatusCode::OK, &view::links(&self.node)),
            Ask::Topics => said(StatusCode::OK, &topics::all(&self.node)),
            Ask::Topic => {
                let name = read_service(name).map_err(|e| e.problem())?;
                said(StatusCode::OK, &topics::one(&self.node, &name)?)
            }
            Ask::Members => {
                said(StatusCode::OK, &cluster::members(&self.node, &cluster::membership(&self.node)?))
            }
            Ask::Dump => said(StatusCode::OK, &self.dump().await),
            Ask::Cluster => said(StatusCode::OK, &cluster::status(&cluster::membership(&self.node)?)),
            // those that are posted do not come here
            Ask::Document | Ask::Call | Ask::Stop | Ask::Drain | Ask::Upgrade | Ask::Remove => {
                said(StatusCode::OK, &openapi::describe())
            }
        })
    }

    async fn readiness(&self) -> Reply {
        if self.node.is_ready() {
            return said(StatusCode::OK, &Readiness { ready: true, waiting_for: Vec::new() });
        }
        let mut waiting_for = Vec::new();
        if self.node.is_stopping() {
            waiting_for.push("the node is stopping".into());
        }
        waiting_for.extend(self.node.withheld());
        view::waiting_for(&self.node.tree(0).await, &mut waiting_for);
        said(StatusCode::SERVICE_UNAVAILABLE, &Readiness { ready: false, waiting_for })
    }

    fn resident_bytes(&self) -> Option<u64> {
        self.config.resident_bytes.as_ref().and_then(|read| read())
    }

    fn metrics(&self) -> Reply {
        let snapshot = Snapshot {
            services: self.node.services(),
            links: Links::of(&self.node).map(|links| links.status()),
            gateway: self.gateway.as_ref().map(|(_, books)| books.clone()),
            ready: self.node.is_ready(),
            uptime: self.node.uptime(),
            resident_bytes: self.resident_bytes(),
            log_lines_dropped: self.config.log_lines_dropped.as_ref().map(|read| read()),
            node: self.node.name().to_string(),
        };
        let mut reply = json(StatusCode::OK, snapshot.text().into());
        reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OPENMETRICS));
        reply
    }

    fn status(&self) -> Status {
        let gateway = self.gateway.as_ref().map(|(address, books)| GatewayStatus {
            address: address.to_string(),
            connections: books.connections().open(),
            responses: CLASSES.iter().map(ToString::to_string).zip(books.requests().classes).collect(),
        });
        Status {
            node: self.node.name().to_string(),
            version: env!("CARGO_PKG_VERSION").into(),
            ready: self.node.is_ready(),
            withheld: self.node.withheld(),
            stopping: self.node.is_stopping(),
            uptime_ms: view::millis(self.node.uptime()),
            executors: self.node.executors().len(),
            services: self.node.services().len(),
            resident_bytes: self.resident_bytes(),
            gateway,
        }
    }

    async fn dump(&self) -> Dump {
        let membership = cluster::membership(&self.node).ok();
        let links = Links::of(&self.node);
        Dump {
            taken_ms: unix_millis(),
            identity: links.as_ref().map(|links| links.node().to_string()),
            artifact: links.as_ref().and_then(Links::artifact).map(|digest| digest.to_string()),
            inside: self.node.dump().await,
            status: self.status(),
            members: membership.as_ref().map(|membership| cluster::members(&self.node, membership)),
            cluster: membership.as_ref().map(cluster::status),
            links: view::links(&self.node),
        }
    }

    fn service(&self, segment: &str) -> Result<Reply, Problem> {
        let name = read_service(segment).map_err(|e| e.problem())?;
        let status = self.node.services().into_iter().find(|s| s.description.name == name);
        match (status, self.node.dynamic(&name)) {
            (Some(status), Some(service)) => {
                Ok(said(StatusCode::OK, &view::detail(view::summary(&status), &*service)))
            }
            _ => Err(self.not_here(&name)),
        }
    }

    /// Why a service is not described.
    fn not_here(&self, name: &ServiceName) -> Problem {
        let offered = Links::of(&self.node).map(|links| links.services()).unwrap_or_default();
        let Some(service) = offered.into_iter().find(|service| service.name == *name) else {
            return refused(&Refusal::UnknownService { service: name.to_string() }, &Bytes::new());
        };
        let nodes = service.nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let methods = service.methods.join(", ");
        Problem::new(StatusCode::NOT_FOUND, "service-elsewhere", "The service is described where it is")
            .detail(format!(
                "{name} is on {nodes}: ask there. It is called through this node, too; it has {methods}"
            ))
            .not_executed(Retry::Elsewhere)
    }

    async fn call(&self, asked: CallRequest, identity: &Identity) -> Result<Reply, Problem> {
        let name: ServiceName =
            asked.service.parse().map_err(|e: odeon::core::id::NameError| bad("service", &e.to_string()))?;
        let within = asked.within_ms.map_or(WITHIN_DEFAULT, Duration::from_millis);
        if within.is_zero() || within > WITHIN_MAX {
            return Err(bad("within_ms", &format!("1 to {} are possible", WITHIN_MAX.as_millis())));
        }
        let began = Instant::now();
        let outcome = match Callee::find(&name, &self.node) {
            None => RawOutcome::NotExecuted(Refusal::UnknownService { service: name.to_string() }),
            Some(service) => {
                let arguments =
                    asked.arguments.map_or_else(Bytes::new, |a| Box::<str>::from(a).into_string().into());
                let call = service.call(RawRequest {
                    method: asked.method.into(),
                    key: asked.key.map(Arc::from),
                    arguments: Arguments { body: arguments, encoding: Encoding::Json },
                    within,
                    criticality: asked.criticality,
                    trace: identity.trace,
                    request: identity.request,
                    principal: Some("management".into()),
                    tenant: None,
                });
                call.await
            }
        };
        Ok(said(StatusCode::OK, &view::outcome(outcome, identity, began.elapsed())))
    }
}

fn said(status: StatusCode, what: &impl Serialize) -> Reply {
    json(status, serde_json::to_vec(what).expect("the api's types have string keys only").into())
}

fn bad(path: &str, detail: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-request", "The request does not fit")
        .detail(format!("{path}: {detail}"))
        .not_executed(Retry::Never)
        .path(path)
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut reader);
    let value = read.map_err(|e| {
        let path = e.path().to_string();
        let path = if path == "." { "" } else { &path };
        let problem =
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-request", "The request does not fit");
        problem.detail(e.inner().to_string()).not_executed(Retry::Never).path(path)
    })?;
    reader.end().map_err(|e| bad("", &e.to_string()))?;
    Ok(value)
}

/// The same where the body may be left out.
fn parse_or_default<T: DeserializeOwned + Default>(body: &Bytes) -> Result<T, Problem> {
    if body.is_empty() { Ok(T::default()) } else { parse(body) }
}

/// `?entities=N`.
fn entities(uri: &Uri) -> Result<usize, Problem> {
    let pairs = uri.query().unwrap_or_default().split('&');
    let wanted = pairs.filter_map(|pair| pair.strip_prefix("entities=")).next();
    match wanted.map(str::parse) {
        None => Ok(ENTITIES_DEFAULT),
        Some(Ok(wanted)) if wanted <= ENTITIES_MAX => Ok(wanted),
        Some(_) => Err(Problem::new(StatusCode::BAD_REQUEST, "bad-query", "The query cannot be followed")
            .detail(format!("entities: a number up to {ENTITIES_MAX} was expected"))
            .not_executed(Retry::Never)),
    }
}

fn unauthorized() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "This needs the token")
        .detail("show the token of the node's data directory: Authorization: Bearer TOKEN")
        .not_executed(Retry::Never)
        .header(WWW_AUTHENTICATE, "Bearer realm=\"odeon\"")
}
