//! Sample arguments from a JSON Schema: a value that decodes, so that a suggestion works when it is typed.

use serde_json::{Map, Value, json};

/// Deepest nesting that is followed: schemas may refer to themselves.
const DEPTH_MAX: usize = 8;

/// A value that fits the schema as far as its types go. `definitions` holds what `$ref` points to, by last name.
pub(crate) fn of(schema: &Value, definitions: &Map<String, Value>) -> Value {
    value("value", schema, definitions, DEPTH_MAX)
}

fn value(name: &str, schema: &Value, definitions: &Map<String, Value>, depth: usize) -> Value {
    let Some(deeper) = depth.checked_sub(1) else { return Value::Null };
    let below = |name: &str, schema: &Value| value(name, schema, definitions, deeper);
    if let Some(given) = given(schema) {
        return given.clone();
    }
    if let Some(target) = schema["$ref"].as_str() {
        let last = target.rsplit('/').next().unwrap_or(target);
        return definitions.get(last).map_or(Value::Null, |schema| below(name, schema));
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        if let Some(first) = schema[choice].as_array().and_then(|choices| choices.first()) {
            return below(name, first);
        }
    }
    match kind(schema) {
        "object" => object(schema, below),
        "array" => match schema["items"].is_object() && schema["minItems"] != json!(0) {
            true => Value::Array(vec![below(name, &schema["items"])]),
            false => json!([]),
        },
        "string" if name == "name" => json!("Ada"),
        "string" => json!(text(name, schema)),
        "integer" => json!(schema["minimum"].as_i64().unwrap_or(0).max(1)),
        "number" => json!(schema["minimum"].as_f64().unwrap_or(0.0).max(1.0)),
        "boolean" => json!(true),
        _ => Value::Null,
    }
}

/// What the schema itself offers as a value.
fn given(schema: &Value) -> Option<&Value> {
    let first = |list: &str| schema[list].as_array().and_then(|values| values.first());
    first("examples")
        .or_else(|| schema.get("const"))
        .or_else(|| first("enum"))
        .or_else(|| schema.get("default"))
}

/// The type; the first one when there are several, as for optional values.
fn kind(schema: &Value) -> &str {
    let kind = &schema["type"];
    kind.as_str().or_else(|| kind[0].as_str()).unwrap_or(if schema["properties"].is_object() {
        "object"
    } else {
        "null"
    })
}

/// An object with what is required.
fn object(schema: &Value, below: impl Fn(&str, &Value) -> Value) -> Value {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object();
    let fields = properties.into_iter().flatten().filter(|(name, _)| required.contains(&name.as_str()));
    Value::Object(fields.map(|(name, schema)| (name.clone(), below(name, schema))).collect())
}

fn text(name: &str, schema: &Value) -> String {
    match schema["format"].as_str() {
        Some("uuid") => "00000000-0000-7000-8000-000000000000".into(),
        Some("date-time") => "2026-01-01T00:00:00Z".into(),
        _ => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(schema: Value) -> Value {
        let definitions = json!({
            "Line": { "type": "object", "properties": { "sku": { "type": "string" } }, "required": ["sku"] },
            "Endless": { "type": "object", "properties": { "next": { "$ref": "#/$defs/Endless" } }, "required": ["next"] },
        });
        of(&schema, definitions.as_object().expect("an object"))
    }

    #[test]
    fn a_sample_has_what_is_required_in_its_type() {
        let schema = json!({
            "type": "object",
            "properties": {
                "name": { "type": "string" },
                "amount": { "type": "integer", "minimum": 5 },
                "lines": { "type": "array", "items": { "$ref": "#/$defs/Line" } },
                "also": { "type": "string" },
                "maybe": { "type": ["string", "null"] },
                "kind": { "enum": ["small", "large"] },
            },
            "required": ["name", "amount", "lines", "maybe", "kind"],
        });
        let expected = json!({ "name": "Ada", "amount": 5, "lines": [{ "sku": "sku" }], "maybe": "maybe", "kind": "small" });
        assert_eq!(sample(schema), expected);
    }

    #[test]
    fn an_example_of_the_author_comes_first() {
        assert_eq!(sample(json!({ "type": "string", "examples": ["teapot"] })), json!("teapot"));
    }

    #[test]
    fn a_schema_without_end_has_a_sample_that_ends() {
        assert!(sample(json!({ "$ref": "#/$defs/Endless" })).is_object());
    }
}
