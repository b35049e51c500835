//! Problem documents (RFC 9457): the one form of every error that leaves a node over HTTP.

use super::Reply;
use super::identity::Identity;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use odeon::core::Retry;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use uuid::Uuid;

/// The media type of problem documents.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// What a problem says of the call behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeKind {
    /// The handler ran and answered with its own error.
    Failed,
    /// It did not run and never will: safe to repeat as `retry` says.
    NotExecuted,
    /// It may have run: repeat it only if that does no harm.
    Unknown,
}

/// A problem document as it travels.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ProblemBody {
    /// `urn:odeon:problem:` and a name that does not change, such as `mailbox-full`.
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// What the kind means, the same for each problem of this kind.
    pub title: Cow<'static, str>,
    /// The HTTP status.
    pub status: u16,
    /// What was wrong here, where, and what to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What is known of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeKind>,
    /// Whether the same call may be tried again: `now`, `later`, `elsewhere` or `never`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub retry: Option<Retry>,
    /// The field of the arguments, such as `items[2].price`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The handler's own error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub error: Option<Box<RawValue>>,
    /// The id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub request: Option<Uuid>,
    /// The id of the trace, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// A problem on its way to a client.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    /// A header that its status demands.
    header: Option<(HeaderName, &'static str)>,
    body: Box<ProblemBody>,
}

impl Problem {
    /// A problem of a kind. `name` becomes the last part of its type.
    pub fn new(status: StatusCode, name: &str, title: impl Into<Cow<'static, str>>) -> Self {
        let body = ProblemBody {
            kind: format!("urn:odeon:problem:{name}").into(),
            title: title.into(),
            status: status.as_u16(),
            detail: String::new(),
            outcome: None,
            retry: None,
            path: None,
            error: None,
            request: None,
            trace: None,
        };
        Self { status, header: None, body: Box::new(body) }
    }

    /// What was wrong here.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.body.detail = detail.into();
        self
    }

    /// What is known of the call.
    #[must_use]
    pub fn outcome(mut self, outcome: OutcomeKind) -> Self {
        self.body.outcome = Some(outcome);
        self
    }

    /// Whether to try again.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.body.retry = Some(retry);
        self
    }

    /// It did not run; whether to try again.
    #[must_use]
    pub fn not_executed(self, retry: Retry) -> Self {
        self.outcome(OutcomeKind::NotExecuted).retry(retry)
    }

    /// The field of the arguments; none when it is empty.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        self.body.path = (!path.is_empty()).then(|| path.into());
        self
    }

    /// The handler's own error, in JSON; dropped if it is not.
    #[must_use]
    pub fn error(mut self, error: &[u8]) -> Self {
        self.body.error = serde_json::from_slice(error).ok();
        self
    }

    /// A header that its status demands, such as `Allow`.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its content, for those that pass it on in another form.
    pub fn body(&self) -> &ProblemBody {
        &self.body
    }

    /// Seconds after which the same request may succeed.
    pub(crate) fn retry_after(&self) -> Option<u32> {
        matches!(self.body.retry, Some(Retry::Later)).then_some(1)
    }

    /// The document.
    pub(crate) fn json(mut self, identity: Option<&Identity>) -> Bytes {
        if let Some(identity) = identity {
            self.body.request = Some(identity.request);
            self.body.trace = Some(identity.trace.trace.to_string());
        }
        serde_json::to_vec(&self.body).expect("strings and numbers always serialise").into()
    }

    /// The response.
    pub(crate) fn reply(mut self, identity: Option<&Identity>) -> Reply {
        let (status, retry_after, header) = (self.status, self.retry_after(), self.header.take());
        let mut reply = super::reply(status, self.json(identity));
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some((name, value)) = header {
            headers.insert(name, HeaderValue::from_static(value));
        }
        reply
    }

    /// The response in bytes, for a connection on which nobody speaks HTTP. It announces the connection's end.
    pub(super) fn raw(self) -> Vec<u8> {
        let (status, retry_after) = (self.status, self.retry_after());
        let body = self.json(None);
        let reason = status.canonical_reason().unwrap_or_default();
        let length = body.len();
        let mut raw = format!(
            "HTTP/1.1 {} {reason}\r\ncontent-type: {PROBLEM_JSON}\r\ncontent-length: {length}\r\nconnection: close\r\n",
            status.as_u16(),
        );
        if let Some(seconds) = retry_after {
            raw.push_str(&format!("retry-after: {seconds}\r\n"));
        }
        raw.push_str("\r\n");
        let mut raw = raw.into_bytes();
        raw.extend_from_slice(&body);
        raw
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_the_members_of_the_standard_and_only_those_that_are_known() {
        let problem = Problem::new(StatusCode::NOT_FOUND, "unknown-service", "There is no such service")
            .detail("there is no service gretter");
        let text = String::from_utf8(problem.json(None).to_vec()).expect("JSON is UTF-8");
        assert_eq!(
            text,
            r#"{"type":"urn:odeon:problem:unknown-service","title":"There is no such service","status":404,"detail":"there is no service gretter"}"#
        );
    }

    #[test]
    fn a_problem_survives_its_own_form() {
        let problem = Problem::new(StatusCode::CONFLICT, "failed", "The service answered with its own error")
            .outcome(OutcomeKind::Failed)
            .retry(Retry::Later)
            .error(br#"{"left": 3}"#)
            .path("items[2].price");
        let read: ProblemBody = serde_json::from_slice(&problem.clone().json(None)).expect("its own form");
        assert_eq!(read.status, 409);
        assert_eq!(read.outcome, Some(OutcomeKind::Failed));
        assert_eq!(read.retry, Some(Retry::Later));
        assert_eq!(read.path.as_deref(), Some("items[2].price"));
        assert_eq!(read.error.map(|e| e.get().to_owned()).as_deref(), Some(r#"{"left": 3}"#));
        let reply = problem.reply(None);
        assert_eq!(reply.headers()[RETRY_AFTER], "1");
        assert_eq!(reply.headers()[CONTENT_TYPE], PROBLEM_JSON);
    }
}
