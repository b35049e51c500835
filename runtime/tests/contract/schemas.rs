//! The JSON Schema of a contract, as people and HTTP see it.

use super::api::LedgerRef;
use odeon::Contract;
use odeon::service::contract::method_named;
use schemars::SchemaGenerator;
use serde_json::{Value, json};

fn schema(method: &str) -> (Value, Option<Value>, Option<Value>, Value) {
    let mut generator = SchemaGenerator::default();
    let position = method_named::<LedgerRef>(method).expect("a method");
    let schema = LedgerRef::schema(position, &mut generator);
    let definitions = Value::Object(generator.take_definitions(true).into_iter().collect());
    let value = |schema: schemars::Schema| schema.to_value();
    (value(schema.arguments), schema.answer.map(value), schema.error.map(value), definitions)
}

#[test]
fn arguments_are_an_object_with_their_names_types_and_documentation() {
    let (arguments, ..) = schema("pay");
    assert_eq!(arguments["type"], "object");
    assert_eq!(arguments["required"], json!(["card", "amount"]), "tip has a default");
    let properties = &arguments["properties"];
    assert_eq!(properties["card"], json!({"$ref": "#/$defs/Card", "description": "Whose money."}));
    assert_eq!(properties["amount"]["format"], "uint32");
    assert_eq!(properties["tip"]["default"], 0);
}

#[test]
fn answers_and_errors_are_described_by_their_types() {
    let (_, answer, error, definitions) = schema("pay");
    assert_eq!(answer, Some(json!({"$ref": "#/$defs/Receipt"})));
    assert_eq!(error, Some(json!({"$ref": "#/$defs/PayError"})));
    assert_eq!(definitions["Card"]["properties"]["owner"]["type"], "string");
    assert!(definitions["PayError"].to_string().contains("Not enough money."));
}

#[test]
fn a_cast_has_no_answer_and_a_sure_method_no_error() {
    assert_eq!((schema("note").1, schema("note").2), (None, None));
    let (arguments, answer, error, _) = schema("notes");
    assert_eq!(arguments["properties"]["from"]["format"], "uint");
    assert_eq!(answer, Some(json!({"type": "array", "items": {"type": "string"}})));
    assert_eq!(error, None);
}

#[test]
fn a_reference_is_described_as_what_travels() {
    let schema = SchemaGenerator::default().into_root_schema_for::<LedgerRef>().to_value();
    assert_eq!(schema["required"], json!(["service"]));
    assert!(schema["description"].to_string().contains("`ledger`"));
}
