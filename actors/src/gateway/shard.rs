//! What happens to a request: the gateway's part on one executor.

use super::GatewayConfig;
use super::meter::Meter;
use super::openapi::Document;
use super::outcome::{cut_off, refused, render};
use super::request::{Target, Wishes};
use super::routes::{Route, Routes};
use crate::http::{Answer, BodyError, ConnectionLimits, Identity, Problem, Reply, RequestIds, Watch};
use crate::http::{check_head, json, read_body};
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, ALLOW, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use hyper::body::{Body, Incoming};
use odeon::Node;
use odeon::core::{Refusal, Retry, ServiceName};
use odeon::directory::{Dynamic, RawRequest};
use odeon::membership::Membership;
use odeon::remote::Elsewhere;
use odeon::service::contract::{Arguments, Encoding};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::Instrument;

/// Says that the node has no contact to its cluster group: what it knows of the members, and so of who has what, may be
/// out of date.
const STALE: HeaderName = HeaderName::from_static("odeon-stale");

/// Finds services by name.
pub trait Lookup: Send + Sync + 'static {
    /// The service of that name. One that was found stays for as long as the gateway runs: it is asked for once.
    fn dynamic(&self, name: &ServiceName) -> Option<Arc<dyn Dynamic>>;

    /// The service of that name which other nodes have. Asked for each time, where none is found here.
    fn elsewhere(&self, name: &ServiceName) -> Option<Elsewhere> {
        let _ = name;
        None
    }

    /// Whether what is known of other nodes may be out of date.
    fn is_stale(&self) -> bool {
        false
    }

    /// All services, by name.
    fn all(&self) -> Vec<Arc<dyn Dynamic>>;
}

impl Lookup for Node {
    fn dynamic(&self, name: &ServiceName) -> Option<Arc<dyn Dynamic>> {
        Node::dynamic(self, name)
    }

    fn elsewhere(&self, name: &ServiceName) -> Option<Elsewhere> {
        Node::elsewhere(self, name)
    }

    fn is_stale(&self) -> bool {
        Membership::of(self).is_some_and(|membership| membership.is_stale())
    }

    fn all(&self) -> Vec<Arc<dyn Dynamic>> {
        self.services().into_iter().filter_map(|s| Node::dynamic(self, &s.description.name)).collect()
    }
}

/// The gateway on one executor.
pub(super) struct Shard {
    lookup: Arc<dyn Lookup>,
    routes: Routes,
    document: Arc<Document>,
    ids: RequestIds,
    meter: Meter,
    connections: ConnectionLimits,
    body_bytes_max: usize,
    within: Duration,
}

impl Shard {
    pub(super) fn new(
        lookup: &Arc<dyn Lookup>,
        config: &GatewayConfig,
        document: &Arc<Document>,
        seed: u64,
    ) -> Self {
        Self {
            lookup: lookup.clone(),
            routes: Routes::default(),
            document: document.clone(),
            ids: RequestIds::seeded(seed),
            meter: Meter::default(),
            connections: config.connections,
            body_bytes_max: config.body_bytes_max,
            within: config.within,
        }
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Answers any request.
    pub(super) async fn respond<B>(&self, request: Request<B>, watch: &Watch) -> Reply
    where
        B: Body<Data = Bytes>,
        B::Error: Error,
    {
        let began = Instant::now();
        if !request.body().is_end_stream() {
            // until it has been read
            watch.set_unread(true);
        }
        let head = check_head(&request, &self.connections);
        let wishes = Wishes::read(request.headers());
        let identity = match &wishes {
            Ok(wishes) => self.ids.identify(wishes.request, wishes.trace),
            Err(_) => self.ids.identify(None, None),
        };
        let (parts, body) = request.into_parts();
        let replied = match (head, parts.uri.path(), wishes) {
            (Err(problem), ..) => Err(problem),
            (Ok(()), path @ ("/" | "/openapi.json"), _) => self.show(path, &parts.method),
            (Ok(()), _, Err(error)) => Err(error.problem()),
            (Ok(()), path, Ok(wishes)) => {
                let asked = Asked { method: &parts.method, path, wishes, identity, began };
                self.call(asked, body, watch).await
            }
        };
        let mut reply = replied.unwrap_or_else(|problem| problem.reply(Some(&identity)));
        identity.write(reply.headers_mut());
        if self.lookup.is_stale() {
            reply.headers_mut().insert(STALE, HeaderValue::from_static("members"));
        }
        let took = began.elapsed();
        self.meter.record(reply.status(), took);
        tracing::debug!(
            target: "odeon::access",
            method = %parts.method,
            path = parts.uri.path(),
            status = reply.status().as_u16(),
            micros = took.as_micros() as u64,
            request = %identity.request,
            trace = %identity.trace.trace,
        );
        reply
    }

    /// What can be looked at.
    fn show(&self, path: &str, method: &Method) -> Result<Reply, Problem> {
        if method != Method::GET && method != Method::HEAD {
            return Err(wrong_verb("GET, HEAD", method));
        }
        let body = match path {
            "/openapi.json" => self.document.bytes(&*self.lookup),
            _ => Bytes::from_static(ABOUT),
        };
        Ok(json(StatusCode::OK, body))
    }

    async fn call<B>(&self, asked: Asked<'_>, body: B, watch: &Watch) -> Result<Reply, Problem>
    where
        B: Body<Data = Bytes>,
        B::Error: Error,
    {
        let target = Target::read(asked.path, |segment| self.routes.find(segment, &*self.lookup))
            .map_err(|e| e.problem())?;
        if asked.method != Method::POST {
            return Err(wrong_verb("POST", asked.method));
        }
        let service = match target.service {
            Route::To(service) => service,
            Route::Nowhere(name) => {
                let refusal = Refusal::UnknownService { service: name.to_string() };
                return Err(refused(&refusal, &Bytes::new()));
            }
        };
        let wishes = asked.wishes;
        if wishes.encoded {
            return Err(encoded());
        }
        if !wishes.json && body.size_hint().lower() > 0 {
            return Err(not_json());
        }
        let body = read_body(body, self.body_bytes_max, watch).await.map_err(|e| unread(&e))?;
        if !wishes.json && !body.is_empty() {
            return Err(not_json());
        }
        let Asked { identity, began, .. } = asked;
        let span = tracing::debug_span!(
            "request",
            service = %service.name(),
            method = &*target.method,
            key = target.key.as_deref(),
            request = %identity.request,
            trace = %identity.trace.trace,
        );
        let request = RawRequest {
            method: target.method.as_ref().into(),
            key: target.key.as_deref().map(Arc::from),
            arguments: Arguments { body: body.clone(), encoding: Encoding::Json },
            // the client has been waiting while its body came
            within: wishes.within.unwrap_or(self.within).saturating_sub(began.elapsed()),
            criticality: wishes.criticality,
            trace: identity.trace,
            request: identity.request,
            principal: None,
            tenant: None,
        };
        let call = span.in_scope(|| service.call(request)).instrument(span);
        let outcome = watch.unless_given_up(call).await.ok_or_else(cut_off)?;
        render(outcome, &body)
    }
}

impl Answer for Shard {
    async fn answer(&self, request: Request<Incoming>, watch: &Watch) -> Reply {
        self.respond(request, watch).await
    }
}

/// A request without its body.
struct Asked<'a> {
    method: &'a Method,
    path: &'a str,
    wishes: Wishes,
    identity: Identity,
    began: Instant,
}

/// For whoever looks around.
const ABOUT: &[u8] =
    br#"{"name":"odeon","calls":"POST /v1/{service}/{method} or /v1/{service}/{key}/{method}","openapi":"/openapi.json"}"#;

pub(crate) fn wrong_verb(allowed: &'static str, method: &Method) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "wrong-verb", "The path does not take this verb")
        .detail(format!("{method} is not possible here, but {allowed}"))
        .not_executed(Retry::Never)
        .header(ALLOW, allowed)
}

pub(crate) fn not_json() -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json-type", "The body is not said to be JSON")
        .detail("send the arguments as a JSON object with the header content-type: application/json")
        .not_executed(Retry::Never)
}

/// The problem of a body that would have to be decoded first (RFC 9110, 15.5.16).
pub(crate) fn encoded() -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoded-body", "The body is encoded")
        .detail("send the body as it is, not compressed: without the header content-encoding")
        .not_executed(Retry::Never)
        .header(ACCEPT_ENCODING, "identity")
}

/// The problem of a body that could not be read.
pub(crate) fn unread(error: &BodyError) -> Problem {
    let problem = match error {
        BodyError::TooLarge { .. } => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large")
        }
        BodyError::TooSlow => {
            Problem::new(StatusCode::REQUEST_TIMEOUT, "body-timeout", "The request came too slowly")
        }
        BodyError::Stopping => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "node-stopping", "The node is stopping")
        }
        BodyError::Broken(_) => {
            Problem::new(StatusCode::BAD_REQUEST, "body-broken", "The body cannot be read")
        }
    };
    let retry = match error {
        BodyError::TooLarge { .. } | BodyError::Broken(_) => Retry::Never,
        BodyError::TooSlow => Retry::Now,
        BodyError::Stopping => Retry::Elsewhere,
    };
    problem.detail(error.to_string()).not_executed(retry)
}
