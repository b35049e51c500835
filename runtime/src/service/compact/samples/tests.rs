//! Samples from schemas that are written out.

use super::*;
use serde_json::json;

fn values(schema: &Value) -> Vec<Value> {
    of(schema).expect("there are samples").into_iter().map(|sample| sample.value).collect()
}

#[test]
fn each_choice_is_made_in_some_sample() {
    let schema = json!({
        "type": "object",
        "properties": {
            "kind": { "enum": ["x", "y", "z"] },
            "size": { "type": ["integer", "null"], "format": "uint8", "minimum": 0, "maximum": 255 },
            "tags": { "type": "array", "items": { "type": "string" } },
            "table": { "type": "object", "additionalProperties": { "type": "boolean" } },
        },
        "required": ["kind", "tags", "table"],
    });
    let all = values(&schema);
    let some = |holds: &dyn Fn(&Value) -> bool| assert!(all.iter().any(holds), "{all:?}");
    for kind in ["x", "y", "z"] {
        some(&|v| v["kind"] == kind);
    }
    some(&|v| v["size"] == 0);
    some(&|v| v["size"] == 255);
    some(&|v| v["size"].is_null() && v.get("size").is_some());
    some(&|v| v.get("size").is_none());
    some(&|v| v["tags"] == json!([]));
    some(&|v| v["tags"].as_array().is_some_and(|tags| tags.len() > 2));
    some(&|v| v["table"] == json!({}));
    some(&|v| v["table"] == json!({ "a": true, "b": false }));
    assert!(all.iter().all(|v| v["kind"].is_string() && v["tags"].is_array() && v["table"].is_object()));
    assert_eq!(all, values(&schema), "always the same");
    assert!(all.len() < 60, "{}", all.len());
}

#[test]
fn parts_of_an_object_are_put_together() {
    let schema = json!({
        "type": "object",
        "properties": { "a": { "const": 1 } },
        "required": ["a"],
        "$ref": "#/$defs/Rest",
        "oneOf": [
            { "type": "object", "properties": { "x": { "const": 2 } }, "required": ["x"] },
            { "type": "object", "properties": { "y": { "const": 3 } }, "required": ["y"] },
        ],
        "$defs": { "Rest": { "type": "object", "properties": { "b": { "const": 4 } }, "required": ["b"] } },
    });
    let all = values(&schema);
    for part in [json!({ "a": 1, "b": 4, "x": 2 }), json!({ "a": 1, "b": 4, "y": 3 })] {
        assert!(all.contains(&part), "{all:?}");
    }
}

#[test]
fn types_within_themselves_end() {
    let tree = json!({
        "$ref": "#/$defs/Tree",
        "$defs": { "Tree": { "oneOf": [
            { "const": "leaf" },
            { "type": "array", "prefixItems": [{ "$ref": "#/$defs/Tree" }, { "$ref": "#/$defs/Tree" }] },
            { "type": "object", "additionalProperties": { "$ref": "#/$defs/Tree" } },
        ] } },
    });
    let all = values(&tree);
    assert!(all.contains(&json!("leaf")) && all.contains(&json!({})), "{all:?}");
    assert!(all.iter().any(|v| v.is_array()) && all.len() < 100, "{all:?}");
    let endless = json!({
        "$ref": "#/$defs/Endless",
        "$defs": { "Endless": {
            "type": "object",
            "properties": { "next": { "$ref": "#/$defs/Endless" } },
            "required": ["next"],
        } },
    });
    assert_eq!(of(&endless).map(|_| ()), Err("each value contains another one without end".into()));
}

#[test]
fn a_schema_that_allows_anything_has_none() {
    for (schema, part) in [
        (json!(true), "the whole"),
        (json!({ "description": "whatever" }), "the whole"),
        (json!({ "type": "object", "properties": { "a": {} } }), "`a`"),
        (json!({ "type": "object", "properties": { "a": { "type": "array" } } }), "`a` allows a list"),
        (json!({ "type": "object", "additionalProperties": true }), "`{}`"),
        (json!({ "$ref": "#/$defs/Lost" }), "no schema `#/$defs/Lost`"),
    ] {
        let why = of(&schema).map(|all| all.len()).expect_err("it is open");
        assert!(why.contains(part), "{schema}: {why}");
    }
}

#[test]
fn fixed_lists_and_sets_keep_to_their_schema() {
    let three = json!({ "type": "array", "items": { "type": "integer" }, "minItems": 3, "maxItems": 3 });
    assert!(values(&three).iter().all(|v| v.as_array().is_some_and(|list| list.len() == 3)));
    let set = json!({ "type": "array", "items": { "type": "integer" }, "uniqueItems": true });
    assert!(values(&set).iter().all(|v| v.as_array().is_some_and(|list| list.len() <= 1)));
    let letter = json!({ "type": "string", "minLength": 1, "maxLength": 1 });
    assert!(values(&letter).iter().all(|v| v.as_str().is_some_and(|text| text.chars().count() == 1)));
}
