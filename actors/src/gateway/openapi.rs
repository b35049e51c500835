//! The OpenAPI 3.1 document of a node: one path for each method of each service, from the schemas of the contracts.

use super::request::{WITHIN_MAX, service_segment};
use super::shard::Lookup;
use crate::http::{JSON, PROBLEM_JSON, ProblemBody};
use bytes::Bytes;
use odeon::core::{Criticality, ServiceName};
use odeon::directory::{Dynamic, ServiceKind};
use odeon::service::contract::{ContractVersion, Method, MethodSchema};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::sync::{Mutex, PoisonError};

/// What a document depends on.
type Edition = Vec<(ServiceName, ContractVersion)>;

/// The document of a node, made again when its services are others.
#[derive(Default)]
pub(super) struct Document {
    made: Mutex<Option<(Edition, Bytes)>>,
}

impl Document {
    /// The document as it is now.
    pub(super) fn bytes(&self, lookup: &dyn Lookup) -> Bytes {
        let services = lookup.all();
        let edition: Edition =
            services.iter().map(|s| (s.describe().name.clone(), s.describe().version)).collect();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match &*made {
            Some((of, bytes)) if *of == edition => bytes.clone(),
            _ => {
                let document = describe(services.iter().map(|s| &**s));
                let bytes = Bytes::from(serde_json::to_vec(&document).expect("a JSON value serialises"));
                *made = Some((edition, bytes.clone()));
                bytes
            }
        }
    }
}

/// The document of services.
fn describe<'a>(services: impl Iterator<Item = &'a dyn Dynamic>) -> Value {
    let mut components = Components::with_problem();
    let (mut paths, mut tags) = (Map::new(), Vec::new());
    for service in services {
        let about = service.describe();
        let name = about.name.to_string();
        tags.push(json!({ "name": name, "description": format!("{} {}", about.contract, about.version) }));
        let mut generator = Components::generator();
        let mut items = Map::new();
        for (position, method) in about.methods.iter().enumerate() {
            let schema = service.schema(position, &mut generator);
            let (path, item) = path_item(&about.name, about.kind, method, schema);
            items.insert(path, item);
        }
        components.adopt(&service_segment(&about.name), &mut generator, &mut items);
        paths.append(&mut items);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Services of an Odeon node",
            "description": "Every error is a problem document (RFC 9457) whose `outcome` tells whether the call ran.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "tags": tags,
        "paths": paths,
        "components": components.into_value(),
    })
}

fn path_item(
    service: &ServiceName,
    kind: ServiceKind,
    method: &Method,
    schema: MethodSchema,
) -> (String, Value) {
    let segment = service_segment(service);
    let keyed = kind == ServiceKind::Entity;
    let key = if keyed { "/{key}" } else { "" };
    let mut parameters = header_parameters();
    if keyed {
        let about = "Which entity; percent-encoded, 512 bytes at most.";
        let schema = json!({ "type": "string", "minLength": 1, "maxLength": 512 });
        parameters.push(json!({
            "name": "key", "in": "path", "required": true, "description": about, "schema": schema,
        }));
    }
    let responses = responses(method, &schema);
    let mut operation = json!({
        "operationId": format!("{segment}.{}", method.name),
        "tags": [service.to_string()],
        "parameters": parameters,
        "requestBody": {
            "required": !method.arguments.is_empty(),
            "content": { JSON: { "schema": schema.arguments.to_value() } },
        },
        "responses": responses,
    });
    if !method.about.is_empty() {
        operation["summary"] = method.about.into();
    }
    (format!("/v1/{segment}{key}/{}", method.name), json!({ "post": operation }))
}

fn responses(method: &Method, schema: &MethodSchema) -> Value {
    let (status, mut success) = match &schema.answer {
        Some(answer) if !method.cast => (
            "200",
            json!({ "description": "The answer.", "content": { JSON: { "schema": answer.clone().to_value() } } }),
        ),
        _ => ("202", json!({ "description": "Accepted; there is no answer." })),
    };
    let mut problem = json!({ "$ref": PROBLEM_REF });
    let mut about = String::from("The call was not executed, or it is not known whether it was.");
    if let Some(error) = &schema.error {
        about = "The handler's own error (`outcome: failed`), or as for every call.".into();
        let own = json!({ "properties": { "error": error.clone().to_value() } });
        problem = json!({ "allOf": [problem, own] });
    }
    success["headers"] = json!({ "Odeon-Stale": {
        "description": "The node has no contact to its cluster group: what it knows of the members may be out of date.",
        "schema": { "const": "members" },
    } });
    json!({
        status: success,
        "default": { "description": about, "content": { PROBLEM_JSON: { "schema": problem } } },
    })
}

/// The headers that every call understands.
fn header_parameters() -> Vec<Value> {
    let header = |name: &str, about: String, schema: Value| json!({ "name": name, "in": "header", "required": false, "description": about, "schema": schema });
    let classes: Vec<_> = Criticality::ALL.iter().map(|c| c.name()).collect();
    vec![
        header(
            "Request-Timeout",
            format!(
                "How long the client waits: seconds, or with a unit ms, s, m; {} s at most.",
                WITHIN_MAX.as_secs()
            ),
            json!({ "type": "string", "examples": ["2", "0.5", "500ms"] }),
        ),
        header(
            "Odeon-Criticality",
            "The class of the request.".into(),
            json!({ "type": "string", "enum": classes, "default": Criticality::default().name() }),
        ),
        header(
            "X-Request-Id",
            "Stable over retries. Without one a new id is made; the response carries it.".into(),
            json!({ "type": "string", "format": "uuid" }),
        ),
        header("traceparent", "W3C Trace Context.".into(), json!({ "type": "string" })),
    ]
}

/// Where a generator believes its definitions to lie.
const DEFINITIONS: &str = "#/$defs/";
/// Where schemas lie in a document.
const SCHEMAS: &str = "#/components/schemas/";
/// The schema of problem documents.
pub(crate) const PROBLEM_REF: &str = "#/components/schemas/Problem";

/// The named schemas of a document.
pub(crate) struct Components {
    schemas: Map<String, Value>,
}

impl Components {
    /// With the schema of problem documents, named `Problem`.
    pub(crate) fn with_problem() -> Self {
        let mut generator = Self::generator();
        let mut problem = Map::new();
        problem.insert("Problem".into(), ProblemBody::json_schema(&mut generator).to_value());
        let mut components = Self { schemas: Map::new() };
        components.adopt("Problem", &mut generator, &mut problem);
        components.schemas.append(&mut problem);
        components
    }

    /// A generator for one owner of definitions.
    pub(crate) fn generator() -> SchemaGenerator {
        SchemaSettings::draft2020_12().with(|s| s.meta_schema = None).into_generator()
    }

    /// Takes the definitions of a generator, each with `owner.` before its name, so that two services may define
    /// the same name, and turns the references in `users` to them.
    pub(crate) fn adopt(
        &mut self,
        owner: &str,
        generator: &mut SchemaGenerator,
        users: &mut Map<String, Value>,
    ) {
        let definitions = generator.take_definitions(true);
        for user in users.values_mut() {
            turn_references(owner, user);
        }
        for (name, mut schema) in definitions {
            turn_references(owner, &mut schema);
            self.schemas.insert(component_name(owner, &name), schema);
        }
    }

    pub(crate) fn into_value(self) -> Value {
        json!({ "schemas": self.schemas })
    }
}

/// A name that OpenAPI allows for a component.
fn component_name(owner: &str, name: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    format!("{owner}.{name}").chars().map(fits).collect()
}

fn turn_references(owner: &str, value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (name, member) in object {
                match member {
                    Value::String(target) if name == "$ref" => {
                        if let Some(definition) = target.strip_prefix(DEFINITIONS) {
                            let definition = plain_pointer(definition);
                            *target = format!("{SCHEMAS}{}", component_name(owner, &definition));
                        }
                    }
                    other => turn_references(owner, other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| turn_references(owner, item)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A name as it was before it became part of a pointer in a fragment (RFC 6901, section 6).
fn plain_pointer(part: &str) -> String {
    let decoded = super::request::decode(part).unwrap_or(part.into());
    decoded.replace("~1", "/").replace("~0", "~")
}
