//! Samples of what contains nothing else: numbers, texts, keys.

use serde_json::{Map, Value, json};

/// The plainest one, or all of those at the edges.
pub(super) fn of(kind: &str, schema: &Map<String, Value>, plain: bool) -> Vec<Value> {
    let mut all = match kind {
        "null" => vec![Value::Null],
        "boolean" => vec![json!(true), json!(false)],
        "integer" => integers(schema),
        "number" if schema.get("format").is_some_and(|f| f == "float") => {
            vec![json!(0.5), json!(0), json!(-2.25), json!(f32::MAX), json!(f32::MIN_POSITIVE)]
        }
        "number" => {
            vec![json!(0.5), json!(7), json!(-2.25), json!(f64::MAX), json!(f64::MIN_POSITIVE), json!(-0.0)]
        }
        "string" => texts(schema),
        _ => Vec::new(),
    };
    if plain {
        all.truncate(1);
    }
    all
}

fn integers(schema: &Map<String, Value>) -> Vec<Value> {
    let bound = |word: &str| {
        let bound = schema.get(word)?;
        bound.as_i64().map(i128::from).or(bound.as_u64().map(i128::from))
    };
    let (low, high) = match schema.get("format").and_then(Value::as_str).unwrap_or_default() {
        "int8" => (i8::MIN.into(), i8::MAX.into()),
        "int16" => (i16::MIN.into(), i16::MAX.into()),
        "int32" => (i32::MIN.into(), i32::MAX.into()),
        "uint8" => (0, u8::MAX.into()),
        "uint16" => (0, u16::MAX.into()),
        "uint32" => (0, u32::MAX.into()),
        "uint64" | "uint" | "uint128" => (0, u64::MAX.into()),
        _ => (i64::MIN.into(), i128::from(i64::MAX)),
    };
    let (low, high) = (bound("minimum").unwrap_or(low), bound("maximum").unwrap_or(high));
    let mut all = Vec::new();
    // at the edges of MessagePack's forms, and of the type's
    for number in [1, 0, -1, -32, -33, 127, 128, 255, 256, 65_535, 65_536, low, high, low + 1, high - 1] {
        let value = u64::try_from(number).map(Value::from).or(i64::try_from(number).map(Value::from));
        if let Ok(value) = value
            && (low..=high).contains(&number)
            && !all.contains(&value)
        {
            all.push(value);
        }
    }
    all
}

fn texts(schema: &Map<String, Value>) -> Vec<Value> {
    let known: &[&str] = match schema.get("format").and_then(Value::as_str).unwrap_or_default() {
        "uuid" => &["018f3c3e-5a7b-7000-8000-000000000001"],
        "ipv4" | "ip" => &["192.0.2.1"],
        "ipv6" => &["2001:db8::1"],
        "date-time" => &["2026-11-02T10:20:30Z"],
        "date" => &["2026-11-02"],
        "partial-date-time" => &["2026-11-02T10:20:30"],
        "time" | "partial-time" => &["10:20:30"],
        "duration" => &["PT1M"],
        "uri" => &["http://example.com/"],
        "email" => &["ada@example.com"],
        _ => &[],
    };
    if !known.is_empty() {
        return known.iter().map(|text| json!(text)).collect();
    }
    let length = |word: &str| schema.get(word).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let (least, most) = (length("minLength").unwrap_or(0), length("maxLength").unwrap_or(usize::MAX));
    let long = "long ".repeat(52);
    let shortest = "a".repeat(least);
    let all = ["a", "", "ü", "1", "Größe 🦀", "forty bytes are more than fit a short one", &long, &shortest];
    let mut fitting: Vec<_> = all
        .into_iter()
        .filter(|text| (least..=most).contains(&text.chars().count()))
        .map(|t| json!(t))
        .collect();
    if least > 1 && least <= 1_000 {
        fitting.insert(0, json!(shortest));
    }
    fitting
}

/// Keys of maps, which are texts in JSON whatever they are: at least one.
pub(super) fn keys(pattern: &str, plain: bool) -> Vec<String> {
    let all: &[&str] = match pattern {
        "" => &["a", "b", "ü", ""],
        digits if digits.contains(r"\d") && digits.contains('-') => &["1", "-1", "0"],
        digits if digits.contains(r"\d") => &["1", "0"],
        _ => &["a"],
    };
    all.iter().take(if plain { 1 } else { all.len() }).map(ToString::to_string).collect()
}
