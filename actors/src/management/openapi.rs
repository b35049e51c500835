//! The OpenAPI 3.1 document of the management interface, from the table of operations and the types of the api.

use super::api::{
    CallRequest, CallResponse, ClusterStatus, Decided, Dump, Health, Links, Members, Processes, Readiness,
    RemoveRequest, ServiceDetail, Services, Status, StopAccepted, StopRequest, TopicDetail, Topics, Tree,
    UpgradeRequest,
};
use super::metrics::OPENMETRICS;
use super::operation::{Ask, OPERATIONS, Operation};
use crate::gateway::{Components, PROBLEM_REF};
use crate::http::{JSON, PROBLEM_JSON};
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

/// The document.
pub(super) fn describe() -> Value {
    let mut components = Components::with_problem();
    let mut generator = Components::generator();
    let mut paths = Map::new();
    for operation in &OPERATIONS {
        let verb = if operation.post { "post" } else { "get" };
        paths.insert(operation.path.into(), json!({ verb: describe_operation(operation, &mut generator) }));
    }
    components.adopt("api", &mut generator, &mut paths);
    let mut components = components.into_value();
    components["securitySchemes"] = json!({ "token": { "type": "http", "scheme": "bearer" } });
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Management of an Odeon node", "version": env!("CARGO_PKG_VERSION") },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": components,
    })
}

fn describe_operation(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let (status, answer) = answer(operation.ask, generator);
    let mut responses = json!({
        status: { "description": operation.about, "content": answer },
        "default": {
            "description": "A problem document (RFC 9457).",
            "content": { PROBLEM_JSON: { "schema": { "$ref": PROBLEM_REF } } },
        },
    });
    if operation.ask == Ask::Readiness {
        responses["503"] = responses["200"].clone();
    }
    let mut described = json!({ "summary": operation.about, "responses": responses });
    if operation.open {
        described["security"] = json!([]);
    }
    let parameters = parameters(operation.ask);
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    let body = match operation.ask {
        Ask::Call => Some((true, generator.subschema_for::<CallRequest>())),
        Ask::Stop => Some((false, generator.subschema_for::<StopRequest>())),
        Ask::Upgrade => Some((false, generator.subschema_for::<UpgradeRequest>())),
        Ask::Remove => Some((true, generator.subschema_for::<RemoveRequest>())),
        _ => None,
    };
    if let Some((required, schema)) = body {
        described["requestBody"] =
            json!({ "required": required, "content": { JSON: { "schema": schema.to_value() } } });
    }
    described
}

/// Status and content of success.
fn answer(ask: Ask, generator: &mut SchemaGenerator) -> (&'static str, Value) {
    let (status, schema) = match ask {
        Ask::Metrics => return ("200", json!({ OPENMETRICS: { "schema": { "type": "string" } } })),
        Ask::Document => return ("200", json!({ JSON: { "schema": { "type": "object" } } })),
        Ask::Health => ("200", generator.subschema_for::<Health>()),
        Ask::Readiness => ("200", generator.subschema_for::<Readiness>()),
        Ask::Status => ("200", generator.subschema_for::<Status>()),
        Ask::Services => ("200", generator.subschema_for::<Services>()),
        Ask::Service => ("200", generator.subschema_for::<ServiceDetail>()),
        Ask::Tree => ("200", generator.subschema_for::<Tree>()),
        Ask::Processes => ("200", generator.subschema_for::<Processes>()),
        Ask::Links => ("200", generator.subschema_for::<Links>()),
        Ask::Topics => ("200", generator.subschema_for::<Topics>()),
        Ask::Topic => ("200", generator.subschema_for::<TopicDetail>()),
        Ask::Members => ("200", generator.subschema_for::<Members>()),
        Ask::Cluster => ("200", generator.subschema_for::<ClusterStatus>()),
        Ask::Dump => ("200", generator.subschema_for::<Dump>()),
        Ask::Drain | Ask::Upgrade | Ask::Remove => ("200", generator.subschema_for::<Decided>()),
        Ask::Call => ("200", generator.subschema_for::<CallResponse>()),
        Ask::Stop => ("202", generator.subschema_for::<StopAccepted>()),
    };
    (status, json!({ JSON: { "schema": schema.to_value() } }))
}

fn parameters(ask: Ask) -> Vec<Value> {
    let parameter = |name: &str, place: &str, about: &str, schema: Value| {
        json!({
            "name": name, "in": place, "required": place == "path", "description": about, "schema": schema,
        })
    };
    match ask {
        Ask::Service => {
            let about = "The service: name, or namespace.name.";
            vec![parameter("name", "path", about, json!({ "type": "string" }))]
        }
        Ask::Topic => {
            let about = "The topic: name, or namespace.name.";
            vec![parameter("name", "path", about, json!({ "type": "string" }))]
        }
        Ask::Tree | Ask::Processes => {
            let about = "Most activations of each service that are listed.";
            let schema = json!({ "type": "integer", "minimum": 0, "maximum": 1000, "default": 20 });
            vec![parameter("entities", "query", about, schema)]
        }
        _ => Vec::new(),
    }
}
